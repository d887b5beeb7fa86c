"""Teachers that cannot judge a map, and are said not to: ones that guess, and ones with classes in another order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lsu_seg.audit.judge import GUESSES, LEAST_TOLD, MOST_ROWS, examine
from lsu_seg.audit.pixels import Pixels
from lsu_seg.audit.teacher import tells_apart
from lsu_seg.audit.verdicts import Settings
from tests.helpers.audit_world import ROWS, draw

RAW = np.arange(len(ROWS))
JUDGED = np.ones(len(ROWS), bool)


def test_what_the_best_class_tells_is_the_information_about_the_row() -> None:
    """Of rows that are as frequent, and a teacher that is always right: the logarithm of their number."""
    rows = tuple((c,) for c in range(6))
    knowing = draw(rows=rows, sure=50, images=200).pixels
    assert tells_apart(knowing, JUDGED) == pytest.approx(np.log(6), abs=0.02)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["guesses", "one class", "one class per image"])
def test_a_teacher_that_guesses_cannot_judge(kind: str, seed: int) -> None:
    """As does one whose checkpoint was not loaded."""
    world = draw(images=8, seed=seed)
    rng = np.random.default_rng(seed)
    p = rng.permutation(world.pixels.p)
    if kind != "guesses":
        p = np.eye(8, dtype=np.float32)[rng.integers(8, size=8)[world.pixels.image if "per" in kind else 0 * RAW[0]]]
        p = np.broadcast_to(0.5 * p + 0.0625, world.pixels.p.shape)
    findings, cells, remarks = examine(replace(world.pixels, p=p), world.allowed, RAW, Settings())
    assert remarks == [GUESSES] and findings == []
    assert np.isnan(cells.share).all() and np.isinf(cells.decidable).all()


def weak() -> Pixels:
    return draw(sure=0.7, images=15).pixels


def test_a_weak_teacher_may_judge() -> None:
    pixels = weak()
    assert (pixels.p.argmax(1) == draw(sure=0.7, images=15).classes).mean() < 0.35
    assert tells_apart(pixels, JUDGED) > 5 * LEAST_TOLD
    assert GUESSES not in examine(pixels, draw().allowed, RAW, Settings())[2]


def test_classes_in_another_order_are_named_as_a_cause_of_many_contradictions() -> None:
    world = draw()
    assert examine(world.pixels, world.allowed, RAW, Settings())[2] == []
    turned = replace(world.pixels, p=np.roll(world.pixels.p, 3, axis=1))
    findings, _, remarks = examine(turned, world.allowed, RAW, Settings())
    assert remarks == [MOST_ROWS] and any(f.contradiction for f in findings)
    one = world.allowed.copy()
    one[1] = np.eye(9, dtype=bool)[1]  # a single error is none of the teacher
    findings, _, remarks = examine(world.pixels, one, RAW, Settings())
    assert remarks == [] and [f.rows for f in findings if f.contradiction] == [(1,)]
