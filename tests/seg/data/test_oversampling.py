"""Repeat factors: how often images with rare classes are drawn, and what stays as it is."""

from __future__ import annotations

import itertools
import logging
from types import SimpleNamespace

import numpy as np
import pytest

from lsu_seg.data.compound import CompoundDataset
from lsu_seg.data.rare import repeat_factors
from lsu_seg.data.samplers import CompoundSampler
from lsu_seg.layout.pairs import DatasetError
from lsu_seg.training.checks import check_sampling
from lsu_seg.training.ontology import log_rare

FACTORS = (np.array([1.0, 1.0, 2.5, 1.0, 1.3]), np.array([1.0, 1.0]))


class Member(list):
    """Stands for a dataset: the sampler asks for no more than its length and weight."""

    weight = 1.0


def compound(factors: tuple[np.ndarray, ...] = FACTORS) -> CompoundDataset:
    out = CompoundDataset.__new__(CompoundDataset)
    out.datasets = [Member(range(len(each))) for each in factors]
    out.oversample_thr, out.repeats = 0.5, factors
    return out


def drawn(n: int, seed: int = 0, **options: int) -> list[int]:
    return list(itertools.islice(CompoundSampler(compound(), seed=seed, **options), n))


def test_factors_are_those_of_lvis() -> None:
    """Over datasets by their shares; an image has the largest factor of its classes, and never less than 1."""
    one = np.array([[50, 50, 0, 0, 0], [99, 0, 1, 0, 0], [99, 1, 0, 0, 0], [0, 0, 0, 80, 20]])  # 3 classes, sets, void
    two = np.array([[100, 0, 0, 0, 0], [9999, 1, 0, 0, 0]])  # of the second class are too few pixels
    f = 0.75 * np.array([0.75, 0.5, 0.25]) + 0.25 * np.array([1, 0, 0])
    factors = repeat_factors([one, two], [3.0, 1.0], 0.4)
    by_class = np.maximum(1, np.sqrt(0.4 / f))
    assert by_class[0] == 1 < by_class[1] < by_class[2]
    np.testing.assert_allclose(factors[0], [by_class[1], by_class[2], by_class[1], 1])
    np.testing.assert_allclose(factors[1], [1, 1])


def test_images_are_drawn_as_often_as_their_factors_say() -> None:
    stream = drawn(9000)
    assert np.mean([i < 5 for i in stream]) == pytest.approx(5 / 7, abs=0.001), "the shares of datasets stay"
    counts = np.bincount(stream, minlength=7)
    np.testing.assert_allclose(counts[:5] / counts[:5].sum(), FACTORS[0] / FACTORS[0].sum(), atol=0.01)
    first = [i for i in stream if i < 5]
    cycles = [np.bincount(first[k : k + 7], minlength=5) for k in range(0, 7 * 100, 7)]  # 6.8, rounded up
    scaled = FACTORS[0] * 7 / 6.8
    assert all((np.floor(scaled) <= c).all() and (c <= np.ceil(scaled)).all() for c in cycles)
    assert len({tuple(c) for c in cycles}) > 1, "rounded up or down at random"
    assert stream[:50] == drawn(50) != drawn(50, seed=1)


def test_a_resumed_training_and_new_labels() -> None:
    sampler = CompoundSampler(compound(), seed=3, batch_size=2)
    whole = list(itertools.islice(sampler, 40))
    again = CompoundSampler(compound(), seed=3, batch_size=2)
    again.skip(17)
    assert list(itertools.islice(again, 23)) == whole[17:]

    changed = compound()
    stream = iter(CompoundSampler(changed, seed=3, batch_size=2))
    list(itertools.islice(stream, 4))
    changed.repeats = (np.array([1.0, 9.0, 1.0, 1.0, 1.0]), FACTORS[1])
    assert np.bincount(list(itertools.islice(stream, 140)), minlength=7).argmax() == 1


def test_the_log(caplog: pytest.LogCaptureFixture) -> None:
    made = compound()
    made._metainfo = {"classes": ["a", "b"]}
    made.datasets[0].name, made.datasets[1].name = "one", "two"
    with caplog.at_level(logging.INFO):
        log_rare(SimpleNamespace(logger=logging.getLogger("of a test")), made)
    assert caplog.messages == [
        "`one`: images are drawn up to 2.5 times as often as others, for their rare classes; 1.36 times on average",
        "`two`: images are drawn up to 1.0 times as often as others, for their rare classes; 1.00 times on average",
    ]


def test_what_is_refused() -> None:
    for value in (0, 1.5, "1", True, float("nan")):
        with pytest.raises(DatasetError, match=r"`oversample_thr` of a CompoundDataset is .*; expected a share"):
            CompoundDataset([], oversample_thr=value)  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match=r"both `rare_classes` and `oversample_thr`"):
        CompoundDataset([], oversample_thr=0.5, rare_classes=0.01)
    with pytest.raises(ValueError, match=r"`shuffle=False` draws images in their order, and `oversample_thr` by"):
        CompoundSampler(compound(), shuffle=False)
    loop = SimpleNamespace(dataloader=SimpleNamespace(sampler=object(), batch_size=2))
    (finding,) = check_sampling(loop, compound())
    assert "has `oversample_thr`, and object draws images whatever classes they have" in finding
