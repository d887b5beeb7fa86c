"""Sampling across datasets by weight."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from lsu_seg.datasets import CompoundDataset
from lsu_seg.registry import DATA_SAMPLERS, register


@register(DATA_SAMPLERS)
class CompoundSampler(Sampler[int]):
    """An endless stream over a `CompoundDataset` that realises its weights as closely as whole images allow.

    An image of weight w is drawn w times as often as one of weight 1: dataset i has the share
    w_i n_i / Σ w_j n_j. From the start of the stream to any point of it, every dataset is within one image of its
    share. Within a dataset images are shuffled and each comes once before any comes again.

    Args:
        dataset: a `CompoundDataset`, or any other dataset, which counts as one of weight 1.
        shuffle: shuffle within each dataset.
        seed: None draws one that all ranks share.
    """

    def __init__(self, dataset: Any, shuffle: bool = True, seed: int | None = None) -> None:
        self.rank, self.world_size = get_dist_info()
        self.dataset = dataset
        self.shuffle = shuffle
        self.seed = sync_random_seed() if seed is None else seed
        if isinstance(dataset, CompoundDataset):
            self.sizes = [len(d) for d in dataset.datasets]
            mass = [w * n for w, n in zip(dataset.weights, self.sizes, strict=True)]
        else:
            self.sizes, mass = [len(dataset)], [1.0]
        if sum(mass) <= 0:
            raise ValueError("every dataset has weight 0 or no images: there is nothing to sample")
        self.shares = [m / sum(mass) for m in mass]

    def _stream(self) -> Iterator[int]:
        offsets = [0, *itertools.accumulate(self.sizes)]
        inner = [self._shuffled(i, n) for i, n in enumerate(self.sizes)]
        drawn = [0] * len(self.sizes)
        for total in itertools.count(1):
            # Of the datasets behind their share, the one that would first be a whole image behind. (The one that is
            # furthest behind would not do: rare datasets are then overtaken for too long.)
            behind = [i for i, share in enumerate(self.shares) if drawn[i] < share * total]
            i = min(behind, key=lambda i: (drawn[i] + 1) / self.shares[i])
            drawn[i] += 1
            yield offsets[i] + next(inner[i])

    def _shuffled(self, which: int, size: int) -> Iterator[int]:
        generator = torch.Generator()
        generator.manual_seed(self.seed + which)
        while True:
            yield from torch.randperm(size, generator=generator).tolist() if self.shuffle else range(size)

    def __iter__(self) -> Iterator[int]:
        return itertools.islice(self._stream(), self.rank, None, self.world_size)

    def __len__(self) -> int:
        return sum(self.sizes)

    def set_epoch(self, epoch: int) -> None:
        """The stream is endless: epochs mean nothing to it."""
