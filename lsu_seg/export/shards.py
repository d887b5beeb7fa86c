"""Files of many images, for the formats that have such: which images lie together, and how a file is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import BinaryIO, NamedTuple

from lsu_seg.export.labelled import Item
from lsu_seg.export.target import temporary
from lsu_seg.label_files import container, read_bytes

SHARD_BYTES = 500 << 20
"""As large as the shards that `datasets` writes itself."""
_FILES, _READ = 200, 20
"""How many images say how large the others are; of those in a table, each must be read."""


class Shard(NamedTuple):
    """Images of one split. name: `SPLIT-00000-of-00012`. start: the number of the first image in the export."""

    name: str
    start: int
    items: Sequence[Item]


def write_shards(
    folder: Path,
    suffix: str,
    items: Sequence[Item],
    shard_bytes: int,
    advance: Callable[[int], None],
    write: Callable[[BinaryIO, Shard], None],
) -> None:
    """Write `SPLIT-00000-of-00012.SUFFIX`, …. A shard that is there is whole.

    Args:
        items: sorted by their splits. write: writes one into an open file, and advances by its images.
    """
    for shard in _shards(items, shard_bytes):
        path = folder / f"{shard.name}.{suffix}"
        if path.exists():
            advance(len(shard.items))
            continue
        hidden = temporary(path)
        try:
            with hidden.open("wb") as file:
                write(file, shard)
            hidden.replace(path)
        finally:
            hidden.unlink(missing_ok=True)


def _shards(items: Sequence[Item], shard_bytes: int) -> Iterator[Shard]:
    """Images in shards of about `shard_bytes`."""
    begun = 0
    for split, group in groupby(items, lambda item: item.split):
        members = list(group)
        size = max(1, shard_bytes // _mean_size(members))
        starts = range(0, len(members), size)
        for number, start in enumerate(starts):
            name = f"{split}-{number:05d}-of-{len(starts):05d}"
            yield Shard(name, begun + start, members[start : start + size])
        begun += len(members)


def _mean_size(items: Sequence[Item]) -> int:
    """Bytes of an image with its label, from some of them."""
    in_table = container(items[0].image) != items[0].image
    chosen = items[:: max(1, len(items) // (_READ if in_table else _FILES))]
    sizes = [_size(path) for item in chosen for path in (item.image, item.label)]
    return max(1, sum(sizes) // len(chosen))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else len(read_bytes(path))
