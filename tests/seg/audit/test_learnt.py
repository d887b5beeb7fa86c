"""What was learnt of scores, and the scores of a map."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from lsu_seg.audit.findings import Finding
from lsu_seg.audit.judge import enough, scored
from lsu_seg.audit.learnt import Tail, as_json, learnt
from lsu_seg.audit.presence import FEATURES
from lsu_seg.audit.scores import CIRCUMSTANCES, FAMILIAR, PART, USUAL, Scores
from lsu_seg.audit.verdicts import (
    Case,
    Settings,
    decidable,
    insisted_on,
    is_void,
    power_of,
    void_hides,
    wrong_rows,
)
from tests.helpers.audit_world import ROWS, World, draw


@pytest.fixture(scope="module")
def world() -> World:
    return draw()


def scores(world: World, rows: dict[int, tuple[int, ...]] | None = None) -> Scores:
    allowed = world.allowed.copy()
    for d, channels in (rows or {}).items():
        allowed[d] = False
        allowed[d, list(channels)] = True
    return scored(world.pixels, allowed, enough(world.pixels), learnt())


def test_the_file_weighs_the_features_that_there_are() -> None:
    known = learnt()
    assert known.present.names == FEATURES
    assert known.known.names == known.novel.names == FAMILIAR
    assert known.power.names == CIRCUMSTANCES
    for linear in (known.present, known.known, known.novel, known.power):
        assert len(linear.weights) == len(linear.names)


def test_what_is_written_is_read_again(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "again.json").write_text(as_json(learnt()))
    assert learnt(tmp_path / "again.json") == learnt()


def test_higher_scores_are_rarer_and_borders_are_where_they_say() -> None:
    tails = [value for f in fields(learnt()) if isinstance(value := getattr(learnt(), f.name), Tail)]
    assert len(tails) == 7
    for tail in tails:
        assert list(tail.scores) == sorted(set(tail.scores)) and list(tail.rates) == sorted(tail.rates)[::-1]
        at = np.linspace(tail.scores[0], tail.scores[-1] + 5, 50)
        assert (np.diff(tail(at)) < 0).all()
        for score in at:
            assert tail.border(float(tail(score))) == pytest.approx(score)
        assert tail(tail.scores[0] - 0.1) == 1  # nobody counted how often lower scores occur


def test_a_row_is_held_against_the_other_rows_alone(world: World) -> None:
    s = scores(world)
    for d in range(len(world.allowed)):
        others = np.arange(len(world.allowed)) != d
        expected = PART * np.quantile(s.z[others][s.forbidden[others]], 1 - USUAL)
        assert s.usual[d, 0] == pytest.approx(expected)
    changed = replace(s, statistics=replace(s.statistics, features=s.statistics.features.copy()))
    changed.statistics.features[2] += 3
    np.testing.assert_array_equal(changed.usual[2], s.usual[2])
    assert (changed.usual[3] != s.usual[3]).any()


def test_what_is_missing_scores_higher_than_all_that_is_rightly_forbidden(world: World) -> None:
    s = scores(world, {1: (1,)})
    assert np.unravel_index(np.where(s.forbidden, s.insisted, -np.inf).argmax(), s.z.shape) == (1, 2)
    s = scores(world, {2: (0, 5)})
    assert s.wrong_row.argmax() == 2
    s = scores(world, {0: (0, 6)})
    assert np.unravel_index(np.where(s.chosen_from, s.never_chosen, -np.inf).argmax(), s.z.shape) == (0, 6)


def test_of_few_pairs_more_is_expected_by_chance(world: World) -> None:
    """There, right maps were seen to have more that seems wrong."""
    s = scores(world, {1: (1,)})
    [found] = (f for f in insisted_on(Case(s, learnt(), Settings())) if f.rows == (1,))
    rate = float(learnt().insisted(s.insisted[1, 2]))
    assert found.expected == pytest.approx(rate * (int(s.forbidden.sum()) + 10))


def test_images_count_only_as_they_show_a_class(world: World) -> None:
    """Of right maps, what two images show is insisted on as often in rows of few images as in rows of many."""
    whole = scores(world, {1: (1,)})

    def found(shown: int, images: float) -> list[Finding]:
        few = replace(
            whole.statistics,
            shown=np.minimum(whole.statistics.shown, shown),
            images=np.full(len(whole.statistics.images), images),
        )
        return [f for f in insisted_on(Case(replace(whole, statistics=few), learnt(), Settings())) if f.rows == (1,)]

    assert found(1, 50.0) == []
    assert found(2, 3.0) == found(2, 50.0) == found(1000, 1000.0) != []


def test_of_rows_in_few_images_more_is_expected_by_chance() -> None:
    """There, rows of right maps were seen to look like others, like what is known, or like nothing, more often."""
    world = draw(rows=(*ROWS, (8,)), content={2: (0, 5), 3: (8,), 6: (1, 2)})
    whole = scores(world)

    def expected(images: float) -> list[float]:
        few = replace(whole.statistics, images=np.full(len(whole.statistics.images), images))
        case = Case(replace(whole, statistics=few), learnt(), Settings(50.0, 50.0))
        # the scores depend on the number of images, too: only what they are worth is compared
        worth = (
            case.learnt.wrong_row(case.scores.wrong_row),
            case.learnt.is_void(learnt().novel(case.scores.familiarity)),
        )
        hides = case.learnt.void_hides(learnt().known(case.scores.familiarity))
        found = [
            next(f for f in kind(case) if f.rows == (d,))
            for kind, d in ((wrong_rows, 2), (is_void, 3), (void_hides, 6))
        ]
        return [f.expected / float(rate[d]) for f, rate, d in zip(found, (*worth, hides), (2, 3, 6), strict=True)]

    rows = int(whole.closed.sum())
    assert expected(50) == pytest.approx([rows, rows, 1])
    assert expected(5) == pytest.approx([10 * rows, 10 * rows, 10])
    assert expected(1000) == pytest.approx([rows, rows, 1])


def test_images_that_show_a_class_are_those_where_the_teacher_is_sure_of_it(world: World) -> None:
    shown = scores(world).shown
    px = world.pixels
    for d, c in ((0, 0), (1, 2), (2, 5), (4, 1)):
        sure = (px.row == d) & (px.p[:, c] >= 0.5)
        assert shown[d, c] == len(set(px.image[sure].tolist()))
    assert shown.max() > 5 and (shown == 0).any()


def test_power_grows_with_the_share_and_with_what_is_allowed_to_be_false(world: World) -> None:
    s = scores(world)
    case = Case(s, learnt(), Settings())
    powers = np.array([power_of(case, np.full(s.z.shape, share)) for share in (0.02, 0.1, 0.5)])
    assert (np.diff(powers, axis=0) > 0)[powers[1:] < 1].all() and (powers[1] > powers[0]).all()
    assert powers.min() > 0 and powers.max() <= 1
    lax = replace(case, settings=Settings(false_alarms=3.0))
    assert (power_of(lax, np.full(s.z.shape, 0.1)) > powers[1]).all()
    assert (decidable(lax) <= decidable(case)).all()
