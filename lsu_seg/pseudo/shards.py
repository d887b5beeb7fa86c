"""Which worker labels which images."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Container, Iterator
from typing import Any

from mmengine.dist import get_dist_info
from torch.utils.data import Sampler

from lsu_seg.openmmlab.registry import DATA_SAMPLERS, register


@register(DATA_SAMPLERS)
class ShardSampler(Sampler[int]):
    """The images of this rank: whole batches in the dataset's order, assigned by a hash of their first image's key.

    Every image belongs to exactly one rank. Shards differ in length, and no rank waits for another. A batch contains
    the same images for any number of ranks and however many are already done, because the batch affects the last bits
    of the logits.

    Args:
        dataset: a `TaxDataset`.
        batch_size: the dataloader's.
        seed: unused, because nothing is random; mmengine passes one.
    """

    def __init__(self, dataset: Any, batch_size: int = 1, seed: int | None = None) -> None:
        rank, world_size = get_dist_info()
        self.batches = [
            list(range(first, min(first + batch_size, len(dataset))))
            for first in range(0, len(dataset), batch_size)
            if shard(dataset.get_data_info(first)["key"], world_size) == rank
        ]

    def keep(self, indices: Container[int]) -> None:
        """Keep only the batches that contain at least one of these images."""
        self.batches = [batch for batch in self.batches if any(i in indices for i in batch)]

    def __iter__(self) -> Iterator[int]:
        return itertools.chain.from_iterable(self.batches)

    def __len__(self) -> int:
        return sum(map(len, self.batches))


def shard(key: str, world_size: int) -> int:
    """The rank that labels the batch whose first image has this key.

    >>> [shard(f"train/{i:04}", 3) for i in range(8)]
    [0, 1, 2, 0, 1, 2, 1, 1]
    """
    return int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()[:8], "big") % world_size
