"""Draws a dataset's official folder in miniature, in its official encoding. For tests.

`official.py` says where the files lie and in which form; from the taxonomy come the raw values alone, so that a wrong
pattern or encoding there finds nothing, or something else.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import parquet

from helpers.forms import channels, mask_of, photo, save, segments
from lsu_onto import ROW_SKIPPED, Constraint

SIZE = (24, 32)
CELL = 2
NOTHING = -1
"""A cell on which nothing is drawn; only under encodings that draw."""


class Picture(NamedTuple):
    """image, label: paths below the root. values: `[H, W]` indices into `Constraint.raw`, or `NOTHING`."""

    image: str
    label: str
    values: np.ndarray


Write = Callable[[Path, str, Sequence[Picture], Constraint], None]


class Official(NamedTuple):
    """How a dataset lies on disk.

    splits: (image, label) of each split. lists: file → a line of it, of each split, `{image}` and `{label}` (or
        `{bare}`, without `_bin`) in it.
    knows: official raw value or label → the class it must be. beside: other official files, not to be taken.
    spelling: what official labels look like, where the taxonomy knows more names. header: the first line of lists.
    """

    write: Write
    splits: dict[str, list[tuple[str, str]]]
    knows: dict[int | str, str]
    beside: Sequence[str] = ()
    lists: Mapping[str, tuple[str, str]] = MappingProxyType({})
    header: str = ""
    spelling: str = ".*"


def draw(official: Official, root: Path, constraint: Constraint) -> dict[str, dict[Path, np.ndarray]]:
    """Write the miniature; split → image → the rows that its label must be read as, int `[H, W]`.

    Every raw value of the taxonomy is in every image, but for names that the official files do not use.
    """
    names = constraint.raw_names
    values = [i for i in range(len(constraint.raw)) if not names or re.fullmatch(official.spelling, names[i])]
    if constraint.encoding in ("panoptic-rgb", "polygons", "rle"):
        values.append(NOTHING)
    # The last is `NOTHING`. What is skipped leaves what lies below.
    rows = np.append(constraint.raw_row, constraint.background).astype(int)
    rows[rows == ROW_SKIPPED] = constraint.background
    drawn: dict[str, dict[Path, np.ndarray]] = {}
    for number, (split, pairs) in enumerate(official.splits.items()):
        pictures = [Picture(*pair, _cells(values, 100 * number + n)) for n, pair in enumerate(pairs)]
        official.write(root, split, pictures, constraint)
        drawn[split] = {root / p.image: rows[p.values] for p in pictures}
        if split in official.lists:
            file, line = official.lists[split]
            text = [
                official.header,
                *(line.format(image=p.image, label=p.label, bare=p.label.replace("_bin", "")) for p in pictures),
            ]
            _text(root / file, "\n".join(filter(None, text)) + "\n")
    for path in official.beside:
        if path.endswith((".png", ".jpg")):
            photo(root / path, np.zeros(SIZE))
        else:
            _text(root / path, "[]")
    return drawn


def _cells(values: Sequence[int], seed: int) -> np.ndarray:
    shape = [s // CELL for s in SIZE]
    cells = np.random.default_rng(seed).permutation(np.resize(values, shape[0] * shape[1]))
    return np.kron(cells.reshape(shape), np.ones((CELL, CELL), int))


def _text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


# --- forms of label files ----------------------------------------------------------------------------------


def grey8(root: Path, split: str, pictures: Sequence[Picture], c: Constraint) -> None:
    for p in pictures:
        photo(root / p.image, p.values)
        save(root / p.label, c.raw[p.values].astype(np.uint8))


def palette8(root: Path, split: str, pictures: Sequence[Picture], c: Constraint) -> None:
    colours = np.zeros((256, 3), np.uint8)
    colours[c.raw] = c.palette[c.raw_row]
    for p in pictures:
        photo(root / p.image, p.values)
        image = Image.fromarray(c.raw[p.values].astype(np.uint8))
        image.putpalette(colours.tobytes())
        save(root / p.label, image)


def colours(root: Path, split: str, pictures: Sequence[Picture], c: Constraint) -> None:
    for p in pictures:
        photo(root / p.image, p.values)
        save(root / p.label, channels(c.raw[p.values]))


def panoptic(table: str, **names: str) -> Write:
    """Segment numbers R + 256 G + 65536 B, explained by one JSON. names: what categories are called there."""

    def write(root: Path, split: str, pictures: Sequence[Picture], c: Constraint) -> None:
        ids, annotations, images = c.raw.tolist(), [], []
        for n, p in enumerate(pictures):
            numbers, infos = segments(p.values, ids)
            photo(root / p.image, p.values)
            save(
                root / p.label,
                np.stack([numbers & 255, numbers >> 8 & 255, numbers >> 16], -1).astype(np.uint8),
            )
            images.append({"id": n, "file_name": Path(p.image).name, "height": SIZE[0], "width": SIZE[1]})
            annotations.append({"image_id": n, "file_name": Path(p.label).name, "segments_info": infos})
        called = [c.classes[row] for row in c.raw_row]
        categories = [{"id": i, "name": names.get(n, n)} for i, n in zip(ids, called, strict=True)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        _text(root / table.replace("$", split), json.dumps(content))

    return write


def polygons(root: Path, split: str, pictures: Sequence[Picture], c: Constraint) -> None:
    """A polygon per cell; its outline belongs to it."""
    h, w = SIZE
    for p in pictures:
        photo(root / p.image, p.values)
        objects: list[dict[str, Any]] = []
        for y in range(0, h, CELL):
            for x in range(0, w, CELL):
                if p.values[y, x] != NOTHING:
                    x2, y2 = x + CELL - 1, y + CELL - 1
                    corners = [[x, y], [x2, y], [x2, y2], [x, y2]]
                    label = c.raw_names[p.values[y, x]]
                    objects.append({"id": len(objects), "label": label, "polygon": corners, "deleted": 0, "draw": True})
        _text(root / p.label, json.dumps({"imgHeight": h, "imgWidth": w, "objects": objects}))


def masks(root: Path, split: str, pictures: Sequence[Picture], c: Constraint) -> None:
    """nuImages: a folder of tables per split; surfaces are tables of their own."""
    tables: dict[str, list[dict[str, Any]]] = {
        "sample_data": [],
        "surface_ann": [],
        "object_ann": [],
        "attribute": [],
    }
    used = sorted({int(v) for p in pictures for v in np.unique(p.values)} - {NOTHING})
    tables["category"] = [{"token": f"c{v}", "name": c.raw_names[v], "description": ""} for v in used]
    for n, p in enumerate(pictures):
        photo(root / p.image, p.values)
        frame = {
            "token": f"sd{n}",
            "filename": p.image,
            "is_key_frame": True,
            "height": SIZE[0],
            "width": SIZE[1],
        }
        sweep = {
            "token": f"sweep{n}",
            "filename": p.image.replace("samples", "sweeps"),
            "is_key_frame": False,
        }
        tables["sample_data"] += [frame, frame | sweep]
        for v in used:
            table = "surface_ann" if c.raw_names[v] in ("flat.driveable_surface", "vehicle.ego") else "object_ann"
            annotation = {"token": f"a{n}-{v}", "sample_data_token": f"sd{n}", "category_token": f"c{v}"}
            tables[table].append(annotation | {"mask": mask_of(p.values == v)})
    for name, content in tables.items():
        _text(root / f"v1.0-{split}/{name}.json", json.dumps(content))


def waymo(root: Path, split: str, pictures: Sequence[Picture], c: Constraint) -> None:
    """Waymo v2: a table per component and segment; images of every frame, labels of some. 16 bits, type * 1000 + n."""
    label_key = "[CameraSegmentationLabelComponent].panoptic_label"
    tables: dict[str, list[dict[str, Any]]] = {}
    for p in pictures:
        image, label = io.BytesIO(), io.BytesIO()
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(image, "JPEG")
        Image.fromarray((c.raw[p.values] * 1000 + np.arange(SIZE[1]) % 4).astype(np.uint16)).save(label, "PNG")
        table, name = p.image.rsplit("/", 1)
        time, camera = map(int, name.split("_"))
        for later in (0, 100_000):  # the frame after has no label
            key = {
                "key.segment_context_name": Path(table).stem,
                "key.frame_timestamp_micros": time + later,
                "key.camera_name": camera,
            }
            tables.setdefault(table, []).append(key | {"[CameraImageComponent].image": image.getvalue()})
            if not later:
                content = {f"{label_key}_divisor": 1000, label_key: label.getvalue()}
                tables.setdefault(p.label.rsplit("/", 1)[0], []).append(key | content)
    for path, content in tables.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pa.Table.from_pylist(content), root / path, row_group_size=1)
