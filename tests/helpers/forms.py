"""Draws label files in every encoding, each in the form in which a dataset publishes it. For tests.

A form is a function `(root, split, {stem: rows}) -> None` that writes images and labels below `root`, and the keys
that a taxonomy needs to find them. Rows are rows of `tiny.PARK`; `ROW_VOID` is what was not annotated.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import parquet
from pycocotools import mask as coco

from helpers.tiny import SOURCE
from lsu_onto import ROW_VOID

Rows = Mapping[str, np.ndarray]

NAMES = ["way", "green", "sky", "thing", "animal", "skip"]
COLOURS = [0x805080, 0x70A030, 0x4080B0, 0x202090, 0xD02040, 0x00FFFF]
RELATIONS = ["= road", "> grass tree", "= sky", "~ car void", "! any", "-> any ! sky"]


class Form(NamedTuple):
    """keys: lines of the taxonomy. ids: of the classes. write: draws a split."""

    keys: str
    ids: list[int]
    write: Callable[[Path, str, Rows], None]


def write_tax(folder: Path, form: Form) -> str:
    """`tiny.tax` and `form.tax`; returns the path of the second."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.tax").write_text(SOURCE)
    lines = [
        f'{i} {name} "the {name}" #{colour:06x} {relation}'
        for i, name, colour, relation in zip(form.ids, NAMES, COLOURS, RELATIONS, strict=True)
    ]
    splits = "splits: train val" if "{split}" in form.keys else "splits: train"
    text = "\n".join(["tax 1", "dataset form v1 -> tiny v1", splits, form.keys, *lines, ""])
    (folder / "form.tax").write_text(text)
    return str(folder / "form.tax")


def save(path: Path, pixels: Any, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)


def photo(path: Path, rows: np.ndarray) -> None:
    """An image of the size of its label."""
    save(path, np.random.default_rng(len(path.name)).integers(0, 256, (*rows.shape, 3), np.uint8))


def channels(values: np.ndarray) -> np.ndarray:
    """0xrrggbb → uint8 `[H, W, 3]`."""
    return np.stack([values >> 16, values >> 8 & 255, values & 255], -1).astype(np.uint8)


def numbered(ids: list[int], void: int, dtype: type = np.uint8, pack: Callable[[np.ndarray], Any] | None = None):
    """Labels that store a number per pixel, below `labels/{split}/{scene}`."""

    def write(root: Path, split: str, drawn: Rows) -> None:
        for stem, rows in drawn.items():
            values = np.array([*ids, void])[rows]  # ROW_VOID is -1: the last
            pixels = (pack(values) if pack else values).astype(dtype)
            photo(root / f"images/{split}/a/{stem}_image.png", rows)
            save(root / f"labels/{split}/a/{stem}_label.png", pixels)

    return write


LAYOUT = "images: images/{split}/{scene}/{stem}_image.png\nlabels: labels/{split}/{scene}/{stem}_label.png\n"


def write_palette(root: Path, split: str, drawn: Rows) -> None:
    """Mapillary Vistas, YCOR: palette images; the index counts."""
    for stem, rows in drawn.items():
        image = Image.fromarray(np.array([*range(6), 255], np.uint8)[rows])
        image.putpalette(channels(np.array([*COLOURS, *[0] * 250])).tobytes())
        photo(root / f"images/{split}/a/{stem}_image.png", rows)
        save(root / f"labels/{split}/a/{stem}_label.png", image)


def write_colours(root: Path, split: str, drawn: Rows) -> None:
    for stem, rows in drawn.items():
        photo(root / f"images/{split}/a/{stem}_image.png", rows)
        save(root / f"labels/{split}/a/{stem}_label.png", channels(np.array([*COLOURS, 0])[rows]))


def segments(rows: np.ndarray, ids: list[int]) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """A segment for every class and every block of eight columns, with a number of up to 24 bits."""
    numbers = np.zeros(rows.shape, np.int64)
    infos = []
    for x in range(0, rows.shape[1], 8):
        for row in np.unique(rows[:, x : x + 8]):
            if row != ROW_VOID:
                number = 0x010203 * (int(row) + 1) + x * 7
                numbers[:, x : x + 8][rows[:, x : x + 8] == row] = number
                infos.append({"id": number, "category_id": ids[row], "area": 1, "iscrowd": 0, "bbox": [0] * 4})
    return numbers, infos


def panoptic(ids: list[int], image: str, label: str, table: str) -> Callable[[Path, str, Rows], None]:
    """COCO's and WildDash 2's form: segment numbers as R + 256 G + 65536 B, and one JSON."""

    def write(root: Path, split: str, drawn: Rows) -> None:
        annotations = []
        for n, (stem, rows) in enumerate(drawn.items()):
            numbers, infos = segments(rows, ids)
            pixels = np.stack([numbers & 255, numbers >> 8 & 255, numbers >> 16], -1).astype(np.uint8)
            photo(root / image.format(split=split, stem=stem), rows)
            save(root / label.format(split=split, stem=stem), pixels)
            annotations.append({"image_id": n, "file_name": f"{stem}.png", "segments_info": infos})
        path = root / table.format(split=split)
        path.parent.mkdir(parents=True, exist_ok=True)
        categories = [{"id": i, "name": name} for i, name in zip(ids, NAMES, strict=True)]
        path.write_text(json.dumps({"images": [], "annotations": annotations, "categories": categories}))

    return write


def write_polygons(root: Path, split: str, drawn: Rows) -> None:
    """Cityscapes' and IDD's form: what is drawn later lies above; outlines belong to the shape."""
    for stem, rows in drawn.items():
        h, w = rows.shape
        everything = [[0, 0], [w, 0], [w, h], [0, h]]
        objects: list[dict[str, Any]] = [
            {"label": "the animal", "polygon": everything, "deleted": 1},
            {"label": "license plate", "polygon": everything},  # official tools leave negative ids out
        ]
        for y in range(0, h, 8):
            for x in range(0, w, 8):
                row = int(rows[y, x])
                x2, y2 = min(x + 7, w - 1), min(y + 7, h - 1)
                corners = [[x, y], [x2, y], [x2, y2], [x, y2]]
                if row != ROW_VOID:
                    objects.append({"label": "the skip", "polygon": corners})  # hidden by the next
                    label = f"the {NAMES[row]}" + ("group" if (x + y) % 16 else "")
                    objects.append({"label": label, "polygon": corners, "deleted": 0, "id": len(objects)})
        photo(root / f"leftImg8bit/{split}/a/{stem}_leftImg8bit.jpg", rows)
        path = root / f"gtFine/{split}/a/{stem}_gtFine_polygons.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"imgHeight": h, "imgWidth": w, "objects": objects}))


def mask_of(drawn: np.ndarray) -> dict[str, Any]:
    """A mask as nuImages stores it: compressed run lengths, once more in base 64."""
    rle = coco.encode(np.asfortranarray(drawn.astype(np.uint8)))
    return {"size": rle["size"], "counts": base64.b64encode(rle["counts"]).decode()}


def write_masks(root: Path, split: str, drawn: Rows) -> None:
    """nuImages' form: images of all splits in one folder, tables per split, objects above surfaces."""
    tables: dict[str, list[dict[str, Any]]] = {
        "category": [{"token": f"c{i}", "name": f"the {n}"} for i, n in enumerate(NAMES)],
        "sample_data": [],
        "surface_ann": [],
        "object_ann": [],
    }
    for stem, rows in drawn.items():
        h, w = rows.shape
        name = f"samples/CAM_FRONT/{stem}.jpg"
        photo(root / name, rows)
        token = f"sd_{stem}"
        frame = {"token": token, "filename": name, "is_key_frame": True, "height": h, "width": w}
        sweep = frame | {"token": f"sweep_{stem}", "filename": f"sweeps/{stem}.jpg", "is_key_frame": False}
        lidar = {"filename": f"samples/LIDAR_TOP/{stem}.bin", "height": None, "width": None}
        tables["sample_data"] += [frame, sweep, frame | {"token": f"l_{stem}"} | lidar]
        for row in range(6):
            surface = row < 3
            # A surface lies below: it may cover pixels of later objects. The object is drawn last.
            shape = (rows == row) | ((rows >= 3) & surface & (row == 0))
            annotation = {"category_token": f"c{row}", "sample_data_token": token, "mask": mask_of(shape)}
            if surface:
                tables["surface_ann"].append(annotation | {"token": f"s{row}"})
                continue
            # In the file's order the wrong one would win; the tools draw in the order of the tokens.
            tables["object_ann"].append(annotation | {"token": f"z{row}", "bbox": [0, 0, w, h]})
            over = annotation | {"token": f"a{row}", "category_token": f"c{(row + 1) % 3 + 3}"}
            tables["object_ann"].append(over)
        tables["object_ann"].append(annotation | {"token": "none", "mask": None})
    folder = root / f"v1.0-{split}"
    folder.mkdir(parents=True)
    for table, content in tables.items():
        (folder / f"{table}.json").write_text(json.dumps(content))


def write_waymo(root: Path, split: str, drawn: Rows) -> None:
    """Waymo v2: a table per component and segment; images of every frame, labels of some."""
    for n, (stem, rows) in enumerate(drawn.items()):
        frames = [1510593600000000 + n, 1510593600100000 + n]
        keys = {
            "key.segment_context_name": [stem] * 2,
            "key.frame_timestamp_micros": frames,
            "key.camera_name": [1, 1],
        }
        image, label = io.BytesIO(), io.BytesIO()
        Image.fromarray(np.zeros((*rows.shape, 3), np.uint8)).save(image, "JPEG")
        Image.fromarray((np.arange(1, 8)[rows] * 1000 + 3).astype(np.uint16)).save(label, "PNG")
        table = pa.table(keys | {"[CameraImageComponent].image": [image.getvalue()] * 2})
        one = pa.table(
            {k: v[1:] for k, v in keys.items()}
            | {
                "[CameraSegmentationLabelComponent].panoptic_label_divisor": pa.array([1000], pa.int32()),
                "[CameraSegmentationLabelComponent].panoptic_label": [label.getvalue()],
            }
        )
        for component, content in (("camera_image", table), ("camera_segmentation", one)):
            (root / split / component).mkdir(parents=True, exist_ok=True)
            parquet.write_table(content, root / split / component / f"{stem}.parquet", row_group_size=1)


def _pack_cityscapes(values: np.ndarray) -> np.ndarray:
    return np.where(values < 4, values, values * 1000 + 7)  # instances of things only


COCO_IDS = [1, 90, 91, 118, 184, 200]
FORMS = {
    "id": Form(f"encoding: id\nvoid: 255\n{LAYOUT}", list(range(6)), numbered(list(range(6)), 255)),
    "palette": Form(f"encoding: id\nvoid: 255\n{LAYOUT}", list(range(6)), write_palette),
    "id16": Form(
        f"encoding: id16\nvoid: 65535\n{LAYOUT}",
        [0, 300, 5000, 7, 9, 11],
        numbered([0, 300, 5000, 7, 9, 11], 65535, np.uint16),
    ),
    "id16/1000": Form(
        f"encoding: id16/1000\nvoid: 60\n{LAYOUT}",
        list(range(6)),
        numbered(list(range(6)), 60, np.uint16, lambda v: v * 1000 + 13),
    ),
    "id16/256": Form(
        f"encoding: id16/256\nvoid: 255\n{LAYOUT}",
        list(range(6)),
        numbered(list(range(6)), 255, np.uint16, lambda v: v * 256 + 255),
    ),
    "id16/1000, Waymo": Form(
        "encoding: id16/1000\nvoid: 7\nimages: {split}/camera_image/{segment}.parquet/{frame}_{camera}\n"
        "labels: {split}/camera_segmentation/{segment}.parquet/{frame}_{camera}\n",
        list(range(1, 7)),
        write_waymo,
    ),
    "instance-ids": Form(
        f"encoding: instance-ids\nvoid: 0\n{LAYOUT}",
        list(range(1, 7)),
        numbered(list(range(1, 7)), 0, np.uint16, _pack_cityscapes),
    ),
    "rgb": Form(f"encoding: rgb\nvoid: #000000\n{LAYOUT}", list(range(6)), write_colours),
    "panoptic-rgb, COCO": Form(
        "encoding: panoptic-rgb\nimages: {split}2017/{stem}.jpg\nlabels: panoptic_{split}2017/{stem}.png\n"
        "segments: annotations/panoptic_{split}2017.json\n",
        COCO_IDS,
        panoptic(
            COCO_IDS,
            "{split}2017/{stem}.jpg",
            "panoptic_{split}2017/{stem}.png",
            "annotations/panoptic_{split}2017.json",
        ),
    ),
    "panoptic-rgb, WildDash 2": Form(
        "encoding: panoptic-rgb\nimages: images/{stem}.jpg\nlabels: panoptic/{stem}.png\nsegments: panoptic.json\n",
        list(range(6)),
        panoptic(list(range(6)), "images/{stem}.jpg", "panoptic/{stem}.png", "panoptic.json"),
    ),
    "polygons": Form(
        "encoding: polygons\nimages: leftImg8bit/{split}/{seq}/{stem}_leftImg8bit.{suffix}\n"
        'labels: gtFine/{split}/{seq}/{stem}_gtFine_polygons.json\n- plate "license plate" -> void\n',
        list(range(6)),
        write_polygons,
    ),
    "rle": Form(
        "encoding: rle\nimages: samples/{camera}/{stem}.jpg\nsegments: v1.0-{split}\n", list(range(6)), write_masks
    ),
}
"""Every encoding, under the name of the dataset where it has several forms."""
