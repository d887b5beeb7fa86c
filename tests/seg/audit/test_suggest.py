"""Rows of a first map, from drawn pixels and from names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lsu_onto import NameOdds, Suggestion
from lsu_seg.audit.sample import Sample
from lsu_seg.audit.suggest import seen_as_json, suggest
from tests.helpers.drawn_sample import ROWS, SOURCE, drawn


@pytest.fixture(scope="module")
def sample() -> Sample:
    return drawn()


@pytest.fixture
def nameless() -> NameOdds:
    """Names that say nothing."""
    odds = np.full((len(ROWS), len(SOURCE) + 1), -3.0)
    return NameOdds("it v1", "that v1", ROWS, SOURCE, odds, tuple({} for _ in ROWS), np.full(len(ROWS), -1))


def sets(suggestions: list[Suggestion]) -> list[set[str]]:
    return [{[*SOURCE, "void"][c] for c in s.channels} for s in suggestions]


def test_pictures_alone(sample: Sample, nameless: NameOdds) -> None:
    made, sight = suggest(sample, nameless)
    way, green, cars, sky, rest, noise = sets(made)
    assert (way - {"void"}, cars - {"void"}, sky - {"void"}) == ({"road"}, {"car"}, {"sky"})
    assert green >= {"grass", "tree"} and not green & {"car", "sky", "road"}
    assert len(rest) > 2 and made[4].state == "widened"  # a mix of everything is not certain
    assert noise == {"void"} and "the teacher is unsure everywhere" in made[5].reasons
    assert (sight.images == 30).all()
    assert sight.share[0, 0] > 0.8 > sight.share[1, 1] > 0.3
    assert sight.flagged[0, 0] > 0.5
    assert "the teacher sees road 9" in made[0].reasons[-1] or "the teacher sees road 100" in made[0].reasons[-1]


def test_names_and_pictures_are_added(sample: Sample, nameless: NameOdds) -> None:
    odds = nameless.odds.copy()
    odds[3, 4], odds[0, 0] = 3, 1
    same = nameless.same.copy()
    same[3] = 4
    names = replace(
        nameless, odds=odds, same=same, reasons=({0: ["so has `x`"]}, {}, {}, {4: ["the same name"]}, {}, {})
    )
    both, _ = suggest(sample, names)
    assert (both[3].op, both[3].channels, both[3].widened) == ("=", (4,), False)
    assert (both[0].op, both[0].channels) == ("<", (0,))
    alone, _ = suggest(sample, nameless)
    assert both[3].certainty >= alone[3].certainty
    assert both[0].reasons[0] == "road: so has `x`" and both[0].reasons[1].startswith("the teacher sees road")


def test_pictures_are_less_certain_than_their_least_certain_cell(sample: Sample, nameless: NameOdds) -> None:
    """Of coarse classes, parts that the teacher seldom recognises are missing."""
    made, sight = suggest(sample, nameless)
    for s in made[:5]:
        least = np.abs(nameless.odds[s.row] + sight.odds[s.row]).min()
        assert s.certainty == pytest.approx(1 / (1 + np.exp(2.68 - 1.37 * min(least, 3.0))))
        assert s.certainty < 1 / (1 + np.exp(-least))
    assert made[0].certainty > 0.7 > 0.6 > made[4].certainty


def test_a_class_that_is_called_void_stays_void_whatever_it_shows(sample: Sample, nameless: NameOdds) -> None:
    odds = nameless.odds.copy()
    odds[2, 5] = 1
    assert sets(suggest(sample, replace(nameless, odds=odds))[0])[2] == {"void"}


def test_a_row_that_was_not_seen_is_judged_by_its_name(sample: Sample, nameless: NameOdds) -> None:
    kept = np.flatnonzero(sample.row != 0)
    parts = {f: getattr(sample, f)[kept] for f in ("p", "row", "agree", "image", "place", "weight")}
    odds = nameless.odds.copy()
    odds[0, 3] = 4
    made, sight = suggest(replace(sample, **parts), replace(nameless, odds=odds))
    assert sight.images[0] == 0 and made[0].channels == (3,) and made[0].reasons == ()
    assert sets(made)[2] - {"void"} == {"car"}


def test_shares_as_data(sample: Sample, nameless: NameOdds) -> None:
    kept = np.flatnonzero(sample.row != 1)
    parts = {f: getattr(sample, f)[kept] for f in ("p", "row", "agree", "image", "place", "weight")}
    _, sight = suggest(replace(sample, **parts), nameless)
    way, green, *_ = seen_as_json(sight, nameless)
    assert way["images"] == 30 and way["share"]["road"] > 0.8 and way["agree"]["road"] > 0.5
    assert green == {"images": 0, "share": None, "agree": None}
