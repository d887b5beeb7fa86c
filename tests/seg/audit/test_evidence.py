"""Which images show a finding, and where in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lsu_seg.audit.evidence import regions, sees
from lsu_seg.audit.findings import Finding, Region
from lsu_seg.audit.sample import GRID, Sample

SEEN = {"a": (0.96, 30), "b": (0.9, 5000), "c": (0.1, 5000), "d": (0.98, 9)}
"""Image → the probability of class 1 at its sampled pixels of row 0, and its pixels of the row."""


@pytest.fixture
def sample() -> Sample:
    """Four sampled pixels of row 0 in three images, all of them in one place; of the last image, one."""
    images = np.array([0] * 4 + [1] * 4 + [2] * 4 + [3])
    p = np.array([round(255 * SEEN["abcd"[i]][0]) for i in images], np.uint8)
    n = len(images)
    return Sample(
        classes=("x", "y"),
        rows_of=("row", "other"),
        p=np.stack([255 - p, p], 1),
        void=None,
        row=np.zeros(n, np.int16),
        agree=np.ones(n, bool),
        image=images.astype(np.int32),
        place=np.full((n, 2), (30, 45), np.uint16),
        weight=np.ones(n, np.float32),
        keys=tuple(SEEN),
        size=np.array([[60, 90]] * 4, np.int32),
        pixels=np.array([[pixels, 0, 0] for _, pixels in SEEN.values()]),
        grid_image=np.array([0, 2], np.int32),
        grid_row=np.zeros((2, *GRID), np.int16),
        grid_top=np.zeros((2, *GRID, 2), np.uint16),
        images=4,
        unasked=np.zeros(3, np.int64),
    )


def keys(shown: tuple[Region, ...]) -> str:
    return "".join(region.key for region in shown)


def test_what_is_large_and_sure_is_shown_first_and_single_pixels_not_at_all(sample: Sample) -> None:
    insisted = Finding("insisted", (0,), (1,))
    shown = regions(sample, insisted)
    assert keys(shown) == "bca"
    assert [region.share for region in shown] == pytest.approx([0.9, 0.1, 0.96], abs=0.01)
    assert {region.box for region in shown} == {(25, 37, 35, 53)}  # a sixth of the image at least
    assert sees(sample, insisted) == 3
    assert keys(regions(sample, Finding("never-chosen", (0,), (1,)))) == "cba"
    assert sees(sample, Finding("never-chosen", (0,), (1,))) == 1
    assert regions(sample, Finding("insisted", (1,), (1,))) == ()  # nothing of the row was drawn


def test_of_exchanged_rows_each_shows_what_it_looks_like(sample: Sample) -> None:
    both = replace(sample, row=np.where(sample.image == 2, 1, 0).astype(np.int16))
    both = replace(both, pixels=np.array([[9, 0, 0], [900, 0, 0], [0, 900, 0], [9, 0, 0]]))
    exchanged = Finding("exchanged", (0, 1), changes={0: (1,), 1: (0,)})
    shown = regions(both, exchanged)
    assert keys(shown) == "bca" and [region.share for region in shown[:2]] == pytest.approx([0.9, 0.9], abs=0.01)
    assert sees(both, exchanged) == 4


def test_whole_images_are_shown_of_pairs_and_none_of_lists(sample: Sample) -> None:
    pair = Finding("mispaired", keys=("d", "a"))
    assert regions(sample, pair) == (Region("d", (0, 0, 60, 90), 1.0), Region("a", (0, 0, 60, 90), 1.0))
    assert sees(sample, pair) == 2
    assert regions(sample, Finding("shuffled")) == () and sees(sample, Finding("shuffled")) == 2
