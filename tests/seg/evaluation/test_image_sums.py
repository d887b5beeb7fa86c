"""Sums of many images: kept in few arrays, merged from all ranks, resampled in little memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from lsu_seg.evaluation import bootstrap
from lsu_seg.evaluation.image_sums import ImageSums, merged


def sums_of(value: int) -> dict[str, np.ndarray]:
    return {"source": np.full((3, 2), value, np.int32), "set": np.array([value, 1], np.int32)}


def test_every_image_is_kept_whatever_the_chunks() -> None:
    images = ImageSums()
    for i in range(2500):
        images.append(f"{i:04}", sums_of(i))
    keys, sums = images.take(2499)  # the last may be the sampler's padding
    assert keys == [f"{i:04}" for i in range(2499)]
    assert sums["source"].shape == (2499, 3, 2)
    assert sums["set"][:, 0].tolist() == list(range(2499))
    assert ImageSums().take(0) == ([], {})


def test_the_order_does_not_depend_on_who_had_an_image() -> None:
    def part(*images: tuple[str, int]) -> tuple[list[str], dict[str, np.ndarray]]:
        own = ImageSums()
        for key, value in images:
            own.append(key, sums_of(value))
        return own.take(len(images))

    keys, sums = merged([part(("c", 1), ("a", 7)), part(), part(("a", 5), ("b", 2))])
    assert keys == ("a", "a", "b", "c")
    assert sums["set"][:, 0].tolist() == [5, 7, 2, 1]
    again, swapped = merged([part(("a", 5), ("c", 1)), part(("b", 2), ("a", 7))])
    assert again == keys
    assert all((swapped[view] == values).all() for view, values in sums.items())
    assert merged([part(), part()]) == ((), {})


def test_an_image_costs_little_more_than_its_numbers() -> None:
    images, numbers = ImageSums(), {"source": np.ones((3, 5), np.int32), "set": np.ones(2, np.int32)}
    keys = [f"{i:05}" for i in range(8192)]
    tracemalloc.start()
    for key in keys:
        images.append(key, {view: values.copy() for view, values in numbers.items()})
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert used < 1.5 * 8192 * sum(values.nbytes for values in numbers.values())


def test_resampling_many_images_takes_no_more_memory_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = np.ones((200_000, 1), np.int32)
    monkeypatch.setattr(bootstrap, "RESAMPLES", 50)
    tracemalloc.start()
    draws = bootstrap.resample(sums)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (draws == 200_000).all()
    assert peak < 40e6  # 50 resamples at a time would take 80
