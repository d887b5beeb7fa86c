"""Plain folders: `images/SPLIT/DATASET/KEY.jpg`, `labels/SPLIT/DATASET/KEY.png`, and `confidence/…`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from lsu_onto import write_atomic
from lsu_seg.export.labelled import Item
from lsu_seg.export.target import temporary
from lsu_seg.label_files import container


def write(root: Path, items: Sequence[Item], advance: Callable[[int], None], copy: bool) -> None:
    """Write links to the files, or copies. A file that is there is whole.

    Raises:
        ExportError: see `Item`. OSError: the disk's word.
    """
    for item in items:
        name = f"{item.split}/{item.run.name}/{item.key}"
        put_image(root / "images" / name, item, copy)
        _put(root / f"labels/{name}.png", item.label, item.read_label, copy)
        if item.confidence:
            _put(root / f"confidence/{name}.png", item.confidence, item.read_confidence, copy)
        advance(1)


def put_image(stem: Path, item: Item, copy: bool) -> Path:
    """Link or copy an image; returns the name that it has: `stem` with the image's own suffix."""
    if container(item.image) == item.image:
        path = stem.parent / (stem.name + item.image.suffix)
        _put(path, item.image, item.read_image, copy, checked=False)  # to read all images takes long
        return path
    data = item.read_image()  # in a table, to which there is no link
    path = stem.parent / (stem.name + (".png" if data.startswith(b"\x89PNG") else ".jpg"))
    if not path.exists():
        write_atomic(path, data, sync=False)
    return path


def _put(path: Path, original: Path, read: Callable[[], bytes | None], copy: bool, checked: bool = True) -> None:
    """Link or copy a file. checked: whether it must be what the run has written also where it is only linked to."""
    if os.path.lexists(path):
        return
    if copy:
        write_atomic(path, read() or b"", sync=False)
        return
    if checked:
        read()
    link = temporary(path)
    link.symlink_to(original.absolute())
    link.replace(path)
