"""Tar shards as `webdataset` reads them, and `datasets` does: each sample has the files of an image as they lie."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from lsu_seg.export.labelled import Item
from lsu_seg.export.orientation import as_stored
from lsu_seg.export.shards import SHARD_BYTES, Shard, write_shards


def write(root: Path, items: Sequence[Item], advance: Callable[[int], None], shard_bytes: int = SHARD_BYTES) -> None:
    """Write `data/SPLIT-00000-of-00012.tar`, …. A shard that is there is whole.

    Samples are numbered, because readers end the name of a sample at its first dot, and names of images have dots.

    Raises:
        ExportError: see `Item`. OSError: the disk's word.
    """

    def write_one(file: BinaryIO, shard: Shard) -> None:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for number, item in enumerate(shard.items, shard.start):
                for suffix, data in _files(item):
                    member = tarfile.TarInfo(f"{number:09d}.{suffix}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
                advance(1)

    write_shards(root / "data", "tar", items, shard_bytes, advance, write_one)


def _files(item: Item) -> Iterator[tuple[str, bytes]]:
    """The files of a sample, with what follows its number in their names."""
    image = as_stored(item.image, item.read_image())
    yield ("png" if image.startswith(b"\x89PNG") else item.image.suffix.lstrip(".").lower() or "jpg"), image
    yield "label.png", item.read_label()
    if grey := item.read_confidence():
        yield "confidence.png", grey
    yield "json", json.dumps({"dataset": item.run.name, "name": item.key}).encode()
