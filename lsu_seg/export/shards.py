"""Which images lie together in a file, where a format has files of many images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from lsu_seg.export.labelled import Item
from lsu_seg.label_files import container, read_bytes

SHARD_BYTES = 500 << 20
"""As large as the shards that `datasets` writes itself."""
_FILES, _READ = 200, 20
"""How many images say how large the others are; of those in a table, each must be read."""


class Shard(NamedTuple):
    """Images of one split. name: `SPLIT-00000-of-00012`."""

    name: str
    items: Sequence[Item]


def shards(items: Sequence[Item], shard_bytes: int) -> Iterator[Shard]:
    """Images, which are sorted by their splits, in shards of about `shard_bytes`."""
    for split, group in groupby(items, lambda item: item.split):
        members = list(group)
        size = max(1, shard_bytes // _mean_size(members))
        starts = range(0, len(members), size)
        for number, start in enumerate(starts):
            yield Shard(f"{split}-{number:05d}-of-{len(starts):05d}", members[start : start + size])


def _mean_size(items: Sequence[Item]) -> int:
    """Bytes of an image with its label, from some of them."""
    in_table = container(items[0].image) != items[0].image
    chosen = items[:: max(1, len(items) // (_READ if in_table else _FILES))]
    sizes = [_size(path) for item in chosen for path in (item.image, item.label)]
    return max(1, sum(sizes) // len(chosen))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else len(read_bytes(path))
