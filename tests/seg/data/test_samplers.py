"""Sampling by weight: over an epoch, in every batch, on several ranks."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from helpers.examples import examples
from helpers.tiny import LOAD, write_park, write_tax
from lsu_seg.data import samplers
from lsu_seg.data.compound import CompoundDataset
from lsu_seg.data.samplers import CompoundSampler


class Sized(list):
    """Stands for a dataset of n images; the sampler asks for no more than its length and weight."""

    def __init__(self, n: int, weight: float) -> None:
        super().__init__(range(n))
        self.weight = weight


def sampler(
    sizes: list[int], weights: list[float], seed: int = 0, rank: int = 0, ranks: int = 1, **options: Any
) -> CompoundSampler:
    compound = CompoundDataset.__new__(CompoundDataset)
    compound.datasets = [Sized(n, w) for n, w in zip(sizes, weights, strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samplers, "get_dist_info", lambda: (rank, ranks))
        return CompoundSampler(compound, seed=seed, **options)


def draws(s: CompoundSampler, n: int) -> list[int]:
    return list(itertools.islice(s, n))


def counts(stream: list[int], sizes: list[int]) -> np.ndarray:
    """How many of each dataset."""
    which = np.repeat(np.arange(len(sizes)), sizes)[stream]
    return np.bincount(which, minlength=len(sizes))


def shares_of(sizes: list[int], weights: list[float]) -> np.ndarray:
    mass = np.array(sizes) * weights
    return mass / mass.sum()


worlds = st.lists(st.tuples(st.integers(1, 60), st.floats(0.01, 5, allow_nan=False)), min_size=1, max_size=7).map(
    lambda w: tuple(map(list, zip(*w, strict=True)))
)
machines = st.tuples(st.integers(1, 4), st.integers(1, 9))  # ranks, batch size


# --- shares ------------------------------------------------------------------------------------------------


@given(worlds)
@settings(max_examples=examples(100))
def test_every_prefix_is_within_one_image_of_the_weights(world: tuple[list[int], list[float]]) -> None:
    sizes, weights = world
    which = np.repeat(np.arange(len(sizes)), sizes)[draws(sampler(sizes, weights), 300)]
    drawn = np.cumsum(which[:, None] == np.arange(len(sizes)), axis=0)
    wanted = shares_of(sizes, weights) * np.arange(1, 301)[:, None]
    assert np.abs(drawn - wanted).max() < 1 + 1e-9


@given(worlds, machines)
@settings(max_examples=examples(100))
def test_shares_of_every_batch_epoch_and_rank(world: tuple[list[int], list[float]], machine: tuple[int, int]) -> None:
    (sizes, weights), (ranks, size) = world, machine
    shares = shares_of(sizes, weights)
    each = [sampler(sizes, weights, rank=r, ranks=ranks, batch_size=size, endless=False) for r in range(ranks)]
    epochs = []
    for epoch in range(3):
        for s in each:
            s.set_epoch(epoch)
        epochs.append([list(s) for s in each])
        assert {len(stream) for stream in epochs[-1]} == {len(each[0])}
        for stream in epochs[-1]:
            for batch in _batched(stream, size):
                assert np.abs(counts(batch, sizes) - shares * size).max() < 1 + 1e-6
            assert np.abs(counts(stream, sizes) - shares * len(stream)).max() < 5
        together = sum((counts(stream, sizes) for epoch_ in epochs for stream in epoch_), np.zeros(len(sizes)))
        total = (epoch + 1) * ranks * len(each[0])
        assert np.abs(together - shares * total).max() < (1 + 1e-6 if size == 1 else 2)


def _batched(stream: list[int], size: int) -> list[list[int]]:
    return [stream[i : i + size] for i in range(0, len(stream), size)]


def test_two_equal_datasets_on_two_ranks() -> None:
    """One stream dealt out image by image would give each rank one dataset only."""
    for size in (1, 2, 3):
        for rank in range(2):
            s = sampler([6, 6], [1.0, 1.0], rank=rank, ranks=2, batch_size=size)
            found = counts(draws(s, 12), [6, 6])
            assert abs(found[0] - found[1]) <= 2


def test_a_weight_is_how_often_an_image_is_drawn() -> None:
    found = Counter(draws(sampler([10, 10], [1.0, 3.0]), 400))
    assert {found[i] for i in range(10)} == {10}
    assert {found[i] for i in range(10, 20)} == {30}


def test_weight_zero_is_never_drawn() -> None:
    never = sampler([3, 3, 3], [1.0, 0.0, 1.0])
    assert set(draws(never, 60)) == {0, 1, 2, 6, 7, 8}
    assert len(never) == 6
    with pytest.raises(ValueError, match="nothing to sample"):
        sampler([3, 3], [0.0, 0.0])
    with pytest.raises(ValueError, match="the weights of the datasets have no finite sum"):
        sampler([3, 3], [1e308, 1.0])
    for option in (dict(batch_size=0), dict(batch_size="2"), dict(batch_size=2.5), dict(shuffle="no"), dict(endless=0)):
        ((key, value),) = option.items()
        with pytest.raises(ValueError, match=f"{key} is {value}|{key} is {value!r}; expected True or False"):
            sampler([3, 3], [1.0, 1.0], **option)


# --- images ------------------------------------------------------------------------------------------------


@given(worlds, machines, st.integers(0, 5))
@settings(max_examples=examples(60))
def test_each_image_comes_once_before_any_comes_again(
    world: tuple[list[int], list[float]], machine: tuple[int, int], seed: int
) -> None:
    """Over all ranks, in the order of time, and from epoch to epoch."""
    (sizes, weights), (ranks, size) = world, machine
    assume(sum(sizes) * 3 < 500)
    each = [sampler(sizes, weights, seed, rank=r, ranks=ranks, batch_size=size) for r in range(ranks)]
    streams = [draws(s, 3 * len(s)) for s in each]
    offset = 0
    for n in sizes:
        mine = [i for i in itertools.chain(*streams) if offset <= i < offset + n]
        times = [Counter(mine)[i] for i in range(offset, offset + n)]
        assert max(times) - min(times) <= 1
        offset += n


def test_ranks_have_no_image_in_common_within_an_epoch() -> None:
    each = [sampler([9, 6], [1.0, 1.0], rank=r, ranks=3) for r in range(3)]
    epochs = [[draws(s, 10)[e * 5 : e * 5 + 5] for s in each] for e in range(2)]
    for epoch in epochs:
        assert sorted(itertools.chain(*epoch)) == list(range(15))
    assert epochs[0] != epochs[1]


def test_a_seed_decides_the_order() -> None:
    first, again, other = (draws(sampler([9, 5], [1.0, 2.0], seed), 50) for seed in (3, 3, 4))
    assert first == again != other
    assert draws(sampler([3, 2], [1.0, 1.0], shuffle=False), 5) == [0, 3, 1, 2, 4]


# --- loops -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ranks", [1, 2])
def test_epochs_are_parts_of_the_endless_stream(ranks: int) -> None:
    """So that EpochBasedTrainLoop and IterBasedTrainLoop train on the same, and a resumed training as well."""
    for rank in range(ranks):
        options: dict[str, Any] = dict(rank=rank, ranks=ranks, batch_size=4)
        endless = draws(sampler([9, 5], [1.0, 0.5], **options), 60)
        finite = sampler([9, 5], [1.0, 0.5], endless=False, **options)
        assert len(finite) == (16 if ranks == 1 else 8)
        parts = []
        for epoch in range(60 // len(finite)):
            finite.set_epoch(epoch)
            parts += list(finite)
        assert parts == endless[: len(parts)]
        resumed = sampler([9, 5], [1.0, 0.5], endless=False, **options)
        resumed.set_epoch(2)
        assert list(resumed) == endless[2 * len(finite) : 3 * len(finite)]
        skipping = sampler([9, 5], [1.0, 0.5], **options)
        skipping.skip(7)
        assert draws(skipping, 20) == endless[7:27]
        assert draws(skipping, 20) == endless[:20]  # once only


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_do_not_change_what_is_drawn(tmp_path: Path, workers: int) -> None:
    init_default_scope("mmseg")
    park = write_tax(tmp_path / "tax")
    for name, stems in (("one", "abc"), ("two", "de")):
        write_park(tmp_path / name, {s: [0, 1, 2] for s in stems})
    datasets = [
        dict(type="TaxDataset", taxonomy=park, data_root=str(tmp_path / n), split="train") for n in ("one", "two")
    ]
    loader = Runner.build_dataloader(
        dict(
            batch_size=2,
            num_workers=workers,
            sampler=dict(type="CompoundSampler", batch_size=2, endless=False),
            dataset=dict(type="CompoundDataset", datasets=datasets, pipeline=LOAD),
            collate_fn=dict(type="pseudo_collate"),
        ),
        seed=3,
    )
    assert len(loader) == 3
    keys = [Path(s.img_path).relative_to(tmp_path).as_posix() for b in loader for s in b["data_samples"]]
    stream = draws(sampler([3, 2], [1.0, 1.0], seed=3, batch_size=2), 6)
    names = [f"one/images/train/{s}.png" for s in "abc"] + [f"two/images/train/{s}.png" for s in "de"]
    assert keys == [names[i] for i in stream]


def test_any_dataset_will_do() -> None:
    assert sorted(draws(CompoundSampler(Sized(3, 1.0), seed=0), 3)) == [0, 1, 2]
