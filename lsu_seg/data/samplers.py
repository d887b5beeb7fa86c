"""Sampling across datasets by weight."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import torch
from mmengine.dist import get_dist_info, sync_random_seed
from torch import Tensor
from torch.utils.data import Sampler

from lsu_seg.data.arguments import is_number
from lsu_seg.data.compound import compound_of
from lsu_seg.openmmlab.registry import DATA_SAMPLERS, register


@register(DATA_SAMPLERS)
class CompoundSampler(Sampler[int]):
    """Samples a `CompoundDataset` by its weights, as closely as whole images allow.

    An image of weight w is drawn w times as often as one of weight 1: dataset i has the share
    w_i n_i / Σ w_j n_j. All ranks follow the same plan, which is a sequence of batches:

    - In every batch, each dataset is within one image of its share (⌊share · batch_size⌋ images or one more).
    - The ranks' batches are consecutive in the plan, so the ranks together also train on these shares. From the start
      of training to any batch, each dataset is within one image of its share (within two for batch_size above 1).
    - Each rank takes the batch that brings it closest to the shares, so every rank sees every dataset.
    - The images of a dataset are shuffled, and each is drawn once, on any rank, before one is drawn again. With
      `rare_classes` of the `CompoundDataset`, images are drawn by their classes instead, and may repeat at any time.
      With `oversample_thr`, each image is drawn at least once in every cycle, and those with rare classes more often.

    An epoch has as many samples as the datasets (of weight above 0) have images, divided by the number of ranks and
    rounded up to whole batches. The plan continues from epoch to epoch. It depends only on the seed and the number of
    ranks, not on workers.

    Args:
        dataset: a `CompoundDataset`, also in a `RepeatDataset`, whose epochs are so many times as long, or in a
            `MultiImageMixDataset`. Any other dataset counts as one of weight 1.
        shuffle: shuffle within each dataset.
        seed: None draws a seed that all ranks share.
        batch_size: the dataloader's batch size on one rank. With 1, any window of the stream is close to the shares:
            within one image of them for two datasets, within two for more.
        endless: continue after an epoch, as `IterBasedTrainLoop` needs. For `EpochBasedTrainLoop`: False.

    Raises:
        ValueError: an argument of another type, a batch size below 1, no dataset with images and a weight above 0, or
            `rare_classes` or `oversample_thr` without `shuffle`.
    """

    def __init__(
        self,
        dataset: Any,
        shuffle: bool = True,
        seed: int | None = None,
        batch_size: int = 1,
        endless: bool = True,
    ) -> None:
        if not is_number(batch_size, 1, whole=True):
            raise ValueError(f"batch_size is {batch_size}; expected the dataloader's, 1 or more")
        for key, value in (("shuffle", shuffle), ("endless", endless)):
            if not isinstance(value, bool):
                raise ValueError(f"{key} is {value!r}; expected True or False")
        if seed is not None and not isinstance(seed, Integral):
            raise ValueError(f"seed is {seed!r}; expected a whole number, or None for one that all ranks share")
        self.rank, self.world_size = get_dist_info()
        self.dataset = dataset
        self.shuffle = shuffle
        self.seed = sync_random_seed() if seed is None else seed
        self.batch_size, self.endless = batch_size, endless
        compound = compound_of(dataset)
        repeats = 1
        self._compound = compound
        if compound is not None:
            for key in ("rare_classes", "oversample_thr"):
                if getattr(compound, key) is not None and not shuffle:
                    raise ValueError(f"`shuffle=False` draws images in their order, and `{key}` by their classes")
            self.sizes = [len(d) for d in compound.datasets]
            mass = compound.masses()
            if dataset is not compound:
                repeats = len(dataset) // max(1, sum(self.sizes))
        else:
            self.sizes, mass = [len(dataset)], [float(len(dataset))]
        if sum(mass) <= 0:
            raise ValueError("every dataset has weight 0 or no images: there is nothing to sample")
        if not math.isfinite(sum(mass)):
            raise ValueError("the weights of the datasets have no finite sum: write smaller ones; only ratios count")
        self.shares = [m / sum(mass) for m in mass]
        drawn_from = sum(n for n, m in zip(self.sizes, mass, strict=True) if m > 0)
        self.batches: int = math.ceil(repeats * drawn_from / (self.world_size * batch_size))
        self._epoch = self._skipped = 0
        nothing = [0] * len(self.sizes)
        self._states = {0: _State(nothing, [nothing] * self.world_size)}
        self._orders: dict[int, tuple[int, Any, list[int]]] = {}

    def __iter__(self) -> Iterator[int]:
        skipped, self._skipped = self._skipped, 0
        epochs = itertools.count(self._epoch) if self.endless else [self._epoch]
        offsets = [0, *itertools.accumulate(self.sizes)]
        draws = itertools.chain.from_iterable(map(self._draws, epochs))
        # Images are drawn once it is known which: it takes longer than to know how many of each dataset.
        return (offsets[i] + self._image(i, n) for i, n in itertools.islice(draws, skipped, None))

    def __len__(self) -> int:
        return self.batches * self.batch_size

    def set_epoch(self, epoch: int) -> None:
        """Start the next iteration at this epoch."""
        self._epoch = epoch

    def skip(self, num_samples: int) -> None:
        """Skip the first samples of the next iteration. mmengine calls this to resume."""
        self._skipped = num_samples

    def _draws(self, epoch: int) -> Iterator[tuple[int, int]]:
        """This rank's draws in an epoch, as (dataset, number of the draw from it)."""
        begin = max(e for e in self._states if e <= epoch)
        for e in range(begin, epoch + 1):
            state = self._states[e].copy()
            for _ in range(self.batches):
                before = state.drawn
                batches = state.advance(self.shares, self.batch_size)
                own_batch = state.assign(batches, self.shares)[self.rank]
                if e == epoch:
                    yield from _numbered(batches, before, own_batch)
            self._states[e + 1] = state

    def _image(self, which: int, n: int) -> int:
        """The n-th draw from a dataset, counted over all ranks from the start of training."""
        size = self.sizes[which]
        rare = self._compound.rare if self._compound is not None else None
        repeats = self._compound.repeats if self._compound is not None else None
        if rare is not None and (image := rare.draw(which, (self.seed & 2**63 - 1, which, n))) is not None:
            return image
        if not self.shuffle:
            return n % size
        factors = None if repeats is None else repeats[which]
        length = size if factors is None else math.ceil(factors.sum() - 1e-6)
        cycle = n // length
        kept = self._orders.get(which)
        if kept is None or kept[0] != cycle or kept[1] is not factors:  # new labels have other factors
            generator = torch.Generator()
            generator.manual_seed((self.seed * 1_000_003 + which) * 1_000_003 + cycle & 2**63 - 1)
            order = torch.randperm(size, generator=generator)
            if factors is not None:
                order = _repeated(order, torch.from_numpy(factors), length, generator)
            kept = self._orders[which] = cycle, factors, order.tolist()
        return kept[2][n % length]


def _repeated(order: Tensor, factors: Tensor, length: int, generator: torch.Generator) -> Tensor:
    """So many draws, in which each image is as often as its factor says, rounded up or down at random.

    Args:
        order: int64 `[N]`, shuffled images. factors: `[N]`, 1 or more. length: their sum, rounded up.
    """
    ends = factors[order].cumsum(0) * (length / factors.sum())
    marks = torch.rand(1, generator=generator, dtype=ends.dtype) + torch.arange(length)
    drawn = order[torch.searchsorted(ends, marks, right=True).clamp(max=len(order) - 1)]
    return drawn[torch.randperm(length, generator=generator)]


@dataclass
class _State:
    """The position in the plan. drawn: images of each dataset so far; by_rank: the same for each rank."""

    drawn: list[int]
    by_rank: list[list[int]]

    def copy(self) -> _State:
        return _State(list(self.drawn), [list(r) for r in self.by_rank])

    def advance(self, shares: list[float], batch_size: int) -> list[list[int]]:
        """The next batch of every rank, as the datasets of its samples."""
        return [self._batch(shares, batch_size) for _ in self.by_rank]

    def _batch(self, shares: list[float], batch_size: int) -> list[int]:
        drawn = list(self.drawn)
        total = sum(drawn) + batch_size
        batch = []
        for i, share in enumerate(shares):
            whole = math.floor(share * batch_size + 1e-9)
            batch += [i] * whole
            drawn[i] += whole
        # Datasets that would be below their share after this batch get one more image, first those that would soonest
        # be a whole image behind. (Ordering by how far they are behind would leave rare datasets waiting too long.)
        candidates = [i for i, share in enumerate(shares) if share > 0]
        candidates.sort(key=lambda i: (drawn[i] >= shares[i] * total - 1e-9, (drawn[i] + 1) / shares[i]))
        for i in candidates[: batch_size - len(batch)]:
            batch.append(i)
            drawn[i] += 1
        self.drawn = drawn
        return batch

    def assign(self, batches: list[list[int]], shares: list[float]) -> list[int]:
        """The batch that each rank takes, chosen so that every rank approaches the shares."""
        seen = sum(self.by_rank[0])
        lag = [[share * seen - n for share, n in zip(shares, row, strict=True)] for row in self.by_rank]
        gain = [[sum(behind[i] for i in batch) for batch in batches] for behind in lag]
        assignment = list(range(len(batches)))
        improved = True
        while improved:
            improved = False
            for q, r in itertools.combinations(range(len(assignment)), 2):
                a, b = assignment[q], assignment[r]
                if gain[q][b] + gain[r][a] > gain[q][a] + gain[r][b] + 1e-9:
                    assignment[q], assignment[r], improved = b, a, True
        for row, b in zip(self.by_rank, assignment, strict=True):
            for i in batches[b]:
                row[i] += 1
        return assignment


def _numbered(batches: list[list[int]], before: list[int], own_batch: int) -> Iterator[tuple[int, int]]:
    """The draws of one of the batches, as (dataset, number of the draw from it)."""
    numbers = list(before)
    for b, batch in enumerate(batches):
        for i in batch:
            if b == own_batch:
                yield i, numbers[i]
            numbers[i] += 1
