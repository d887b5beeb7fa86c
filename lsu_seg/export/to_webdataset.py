"""Tar shards as `webdataset` reads them, and `datasets` does: each sample has the files of an image as they lie."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lsu_seg.export.labelled import Item
from lsu_seg.export.orientation import as_stored
from lsu_seg.export.shards import SHARD_BYTES, shards
from lsu_seg.export.target import temporary


def write(root: Path, items: Sequence[Item], advance: Callable[[int], None], shard_bytes: int = SHARD_BYTES) -> None:
    """Write `data/SPLIT-00000-of-00012.tar`, …. A shard that is there is whole.

    Samples are numbered, because readers end the name of a sample at its first dot, and names of images have dots.

    Raises:
        ExportError: see `Item`. OSError: the disk's word.
    """
    number = 0
    for shard in shards(items, shard_bytes):
        path = root / "data" / f"{shard.name}.tar"
        if path.exists():
            advance(len(shard.items))
        else:
            _write_shard(path, shard.items, number, advance)
        number += len(shard.items)


def _write_shard(path: Path, items: Sequence[Item], number: int, advance: Callable[[int], None]) -> None:
    hidden = temporary(path)
    try:
        with hidden.open("wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for at, item in enumerate(items, number):
                for suffix, data in _files(item):
                    member = tarfile.TarInfo(f"{at:09d}.{suffix}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
                advance(1)
        hidden.replace(path)
    finally:
        hidden.unlink(missing_ok=True)


def _files(item: Item) -> Iterator[tuple[str, bytes]]:
    """The files of a sample, with what follows its number in their names."""
    image = as_stored(item.image, item.read_image())
    yield ("png" if image.startswith(b"\x89PNG") else item.image.suffix.lstrip(".").lower() or "jpg"), image
    yield "label.png", item.read_label()
    if grey := item.read_confidence():
        yield "confidence.png", grey
    yield "json", json.dumps({"dataset": item.run.name, "name": item.key}).encode()
