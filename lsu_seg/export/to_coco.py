"""COCO panoptic: a PNG of segments per image, and a JSON per split about them. Each class is one segment."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lsu_onto import make_folder, open_to_read, write_atomic
from lsu_seg.export.labelled import Item, Run
from lsu_seg.export.target import temporary
from lsu_seg.export.to_folder import put_image
from lsu_seg.label_files import own_pixels, void_index
from lsu_seg.runtime.lines import LineFile, read_line


def write(root: Path, items: Sequence[Item], advance: Callable[[int], None], copy: bool) -> None:
    """Write `images/SPLIT/…`, `panoptic_SPLIT/…` and `annotations/panoptic_SPLIT.json`.

    What is known of each image is kept in a file of lines until the JSON can be written, so an export that was stopped
    goes on, and memory does not grow with the number of images.

    Raises:
        ExportError: see `Item`. OSError: the disk's word.
    """
    for split, group in groupby(items, lambda item: item.split):
        members = list(group)
        path = root / f"annotations/panoptic_{split}.json"
        if path.exists():
            advance(len(members))
            continue
        lines = root / f".annotations-{split}.jsonl"
        done = {line["id"] for line in _lines(lines)}
        file = LineFile(lines)
        try:
            for number, item in enumerate(members, 1):
                if number not in done:
                    file.append(json.dumps(_image(root, number, item, copy)).encode())
                advance(1)
        finally:
            file.close()
        _write_json(path, split, lines, members)
        lines.unlink()


def _image(root: Path, number: int, item: Item, copy: bool) -> dict[str, Any]:
    """Write an image's files; returns its lines in the JSON."""
    name = f"{item.run.name}/{item.key}"
    image = put_image(root / "images" / item.split / name, item, copy)
    labels = own_pixels(item.label, item.read_label())
    classes = item.run.constraint.num_classes
    ids = np.where(labels == void_index(classes), 0, labels.astype(np.int32) + 1)
    buffer = io.BytesIO()
    Image.fromarray(np.stack([ids & 255, ids >> 8, ids * 0], -1).astype(np.uint8)).save(buffer, "PNG", compress_level=3)
    write_atomic(root / f"panoptic_{item.split}/{name}.png", buffer.getvalue(), sync=False)
    return {
        "id": number,
        "file_name": image.relative_to(root / "images" / item.split).as_posix(),
        "height": labels.shape[0],
        "width": labels.shape[1],
        "license": item.run.name,
        "segments": [_segment(ids, int(i)) for i in np.unique(ids) if i],
    }


def _segment(ids: NDArray[Any], number: int) -> dict[str, Any]:
    inside = ids == number
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    left, top = int(columns[0]), int(rows[0])
    box = [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1]
    return {"id": number, "category_id": number, "area": int(inside.sum()), "bbox": box, "iscrowd": 0}


def _write_json(path: Path, split: str, lines: Path, items: Sequence[Item]) -> None:
    runs = list({item.run.root: item.run for item in items}.values())
    numbers = {run.name: number for number, run in enumerate(runs, 1)}

    def parts() -> Iterator[str]:
        source = runs[0].constraint
        info = {"description": f"{split}: pseudo-labels in the classes of {source.source} {source.source_version}"}
        yield f'{{"info": {json.dumps(info)},\n"licenses": {json.dumps(_licences(runs))},\n'
        yield f'"categories": {json.dumps(_categories(runs[0]))},\n"images": [\n'
        keys = ("id", "file_name", "height", "width")
        images = ({**{k: line[k] for k in keys}, "license": numbers[line["license"]]} for line in _lines(lines))
        yield from _joined(images)
        yield '\n],\n"annotations": [\n'
        stems = ((line, Path(line["file_name"]).with_suffix(".png").as_posix()) for line in _lines(lines))
        yield from _joined(
            {"image_id": line["id"], "file_name": stem, "segments_info": line["segments"]} for line, stem in stems
        )
        yield "\n]}\n"

    make_folder(path.parent)
    hidden = temporary(path)
    try:
        with hidden.open("w", encoding="utf-8") as file:
            file.writelines(parts())
        hidden.replace(path)
    finally:
        hidden.unlink(missing_ok=True)


def _joined(objects: Iterator[dict[str, Any]]) -> Iterator[str]:
    for number, each in enumerate(objects):
        yield (",\n" if number else "") + json.dumps(each)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """What is kept of the images that are done. A line that a kill cut off is none."""
    try:
        with open_to_read(path) as file:
            for line in file:
                try:
                    yield read_line(line)
                except ValueError:
                    continue
    except FileNotFoundError:
        return


def _categories(run: Run) -> list[dict[str, Any]]:
    c = run.constraint
    groups = c.source_groups or ("",) * c.num_classes
    rows = zip(c.source_classes, c.source_palette.tolist(), groups, strict=True)
    return [
        {"id": channel + 1, "name": name, "supercategory": group or name, "isthing": 0, "color": colour}
        for channel, (name, colour, group) in enumerate(rows)
    ]


def _licences(runs: Sequence[Run]) -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "name": run.about.get("licence", "unknown"),
            "url": run.about.get("url", ""),
            "dataset": run.name,
        }
        for number, run in enumerate(runs, 1)
    ]
