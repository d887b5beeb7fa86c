"""What the audit says of right maps, and of maps with one error each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lsu_seg.audit.findings import Cells, Finding
from lsu_seg.audit.judge import examine
from lsu_seg.audit.verdicts import Settings
from tests.helpers.audit_world import ROWS, World, draw

SETTINGS = Settings()
RAW = np.arange(len(ROWS))


def judged(world: World, rows: dict[int, tuple[int, ...]] | None = None) -> tuple[list[Finding], Cells]:
    """The findings under the world's map, with other S(d) for some rows."""
    allowed = world.allowed.copy()
    for d, channels in (rows or {}).items():
        allowed[d] = False
        allowed[d, list(channels)] = True
    findings, cells, remarks = examine(world.pixels, allowed, np.arange(len(allowed)), SETTINGS)
    assert not remarks
    return findings, cells


@pytest.fixture(scope="module")
def world() -> World:
    return draw()


def test_right_maps_have_few_contradictions() -> None:
    """A quarter a map was counted: of five maps, more than four would be a chance of one in 80."""
    false = []
    for seed in range(1, 6):
        findings, cells = judged(draw(seed=seed))
        false += [f for f in findings if f.contradiction]
        assert np.nanmax(np.abs(cells.share.sum(1) - 1)) < 0.05
    assert len(false) <= 4


def test_a_missing_class_is_insisted_on(world: World) -> None:
    findings, cells = judged(world, {1: (1,)})
    [finding] = [f for f in findings if f.contradiction]
    assert (finding.kind, finding.rows, finding.channels) == ("insisted", (1,), (2,))
    assert finding.share == pytest.approx((world.classes[world.pixels.row == 1] == 2).mean(), abs=0.1)
    assert finding.expected < SETTINGS.false_alarms
    assert (cells.decidable <= 1).any()


def test_a_superfluous_class_is_a_note(world: World) -> None:
    findings, _ = judged(world, {0: (0, 6)})
    assert [(f.kind, f.rows, f.channels) for f in findings] == [("never-chosen", (0,), (6,))]


def test_what_the_teacher_says_aloud_is_not_called_never_chosen() -> None:
    """A bias towards a class is corrected, but the pictures show what the teacher said."""
    biased = draw(sure=3.5, bias=2.5 * np.eye(8)[6])
    said = (biased.pixels.p[biased.pixels.row == 0].argmax(1) == 6).mean()
    findings, cells = judged(biased, {0: (0, 6)})
    assert said > 0.15 and cells.share[0, 6] < 0.05
    assert [f for f in findings if f.rows == (0,)] == []


def test_a_row_of_other_classes_is_wrong_as_a_whole(world: World) -> None:
    findings, _ = judged(world, {2: (0, 5)})
    first = findings[0]
    assert (first.kind, first.rows, first.channels) == ("wrong-row", (2,), (3,))


def test_exchanged_rows_are_first_and_come_with_the_change(world: World) -> None:
    findings, _ = judged(world, {2: ROWS[4], 4: ROWS[2]})
    first = findings[0]
    assert (first.kind, first.rows) == ("exchanged", (2, 4))
    assert first.changes == {2: ROWS[2], 4: ROWS[4]}
    assert [f for f in findings[1:] if f.contradiction] == []


def test_ids_that_are_one_off_are_a_slipped_label_space(world: World) -> None:
    allowed = np.roll(world.allowed, 1, axis=0)
    findings, _, _ = examine(world.pixels, allowed, RAW, SETTINGS)
    first = findings[0]
    assert first.kind == "slipped"
    assert all(first.changes[d] == ROWS[d] for d in range(5))


@pytest.mark.parametrize("seed", range(3))
def test_a_teacher_that_knows_nothing_does_not_say_that_ids_have_slipped(seed: int) -> None:
    """Adapted to any order of the rows, it fits that order best."""
    guessing = draw(rows=tuple((c,) for c in range(8)), sure=0.0, seed=seed)
    p = np.random.default_rng(seed).permutation(guessing.pixels.p)
    findings, cells, _ = examine(replace(guessing.pixels, p=p), guessing.allowed, np.arange(8), SETTINGS)
    assert [f.kind for f in findings if f.kind == "slipped"] == []
    assert np.isinf(cells.decidable).mean() > 0.9


def test_void_that_hides_a_class(world: World) -> None:
    findings, _ = judged(world, {5: (8,)})
    assert [(f.kind, f.rows, f.channels) for f in findings if f.contradiction] == [("void-hides", (5,), (7,))]


def test_a_class_that_the_teacher_does_not_know() -> None:
    rows = (*ROWS[:5], (8,))
    right = draw(rows=rows, content={5: (8,)})
    findings, _ = judged(right)
    assert [f for f in findings if f.contradiction] == []
    findings, _ = judged(right, {5: (7,)})
    assert any(f.rows == (5,) for f in findings)


def test_a_row_on_which_something_is_insisted_is_not_called_void_too() -> None:
    """A third of the pixels show a class that the row does not allow, the others nothing that the teacher knows."""
    world = draw(seed=2, content={2: (0, 8, 8, 8)})
    kinds = {f.kind for f in judged(world)[0] if f.rows == (2,)}
    assert kinds == {"insisted"}


def test_the_same_pixels_are_judged_alike_again(world: World) -> None:
    first, cells = judged(world, {1: (1,)})
    again, others = judged(world, {1: (1,)})
    assert first == again
    np.testing.assert_array_equal(cells.score, others.score)


def test_one_class_per_row_is_decidable_too() -> None:
    world = draw(rows=tuple((c,) for c in range(8)))
    _, cells = judged(world)
    assert (cells.decidable < 1).any()


def test_void_rows_are_judged_however_many_there_are() -> None:
    world = draw(
        rows=(*((c,) for c in range(8)), *((8,) for _ in range(5))),
        content={12: (3,)} | dict.fromkeys(range(8, 12), (8,)),
    )
    findings, _ = judged(world)
    assert [f.rows for f in findings if f.kind == "void-hides"] == [(12,)]


def test_rows_with_few_pixels_are_not_judged(world: World) -> None:
    few = (world.pixels.row != 3) | (world.pixels.image < 2)
    thin = replace(world, pixels=world.pixels.take(few))
    findings, cells = judged(thin, {3: (0,)})
    assert not [f for f in findings if 3 in f.rows]
    assert np.isnan(cells.share[3]).all() and np.isinf(cells.decidable[3]).all()


def test_without_bound_rows_there_is_nothing_to_compare(world: World) -> None:
    findings, cells, [remark] = examine(world.pixels, np.ones_like(world.allowed), RAW, SETTINGS)
    assert findings == [] and np.isinf(cells.decidable).all()
    assert "fewer than 3 classes" in remark
