"""The kinds of findings about rows: scores that a right map would hardly have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsu_seg.audit.findings import Finding
from lsu_seg.audit.learnt import Learnt
from lsu_seg.audit.rows import PAIR, fits, may_exchange, pair_gains
from lsu_seg.audit.scores import Scores, outside

FEWEST_SHOW = 2
"""What a map does not allow is no contradiction if fewer images show it: there would be next to nothing to look at."""
UNLIKELY = -3.0
"""Log odds below which a class is not insisted on, however rarely forbidden classes score as much."""
LEAST = 0.02
"""Of a row, a class that is not allowed must be so much to be insisted on."""
CHOSEN = 0.05
"""A class that a map allows in a row is expected to be more of it than this."""
SEEN = 0.1
"""No class is `never chosen` that is estimated to be more of the row than this."""
SAID = 0.15
"""No class is `never chosen` of which the teacher itself, uncorrected, sees more than this in the row."""
KNOWS = 0.3
"""No row is `really void` in which it sees so much of what the map allows."""
NONE = 0.2
"""Of a row of which the teacher sees next to nothing of what it may be, it sees at most so much of that."""
MIXED = 3.0
"""So many times as often, a row that may be void shows a class that it may not be: void may look like anything."""
SURE = 0.9
"""The chance of being found from which on a pair is called decidable."""


@dataclass(frozen=True)
class Settings:
    """What the findings depend on.

    Attributes:
        false_alarms: contradictions that the audit of a right map would report, on average. notes: the same of notes.
        seed: of the drawing of pixels.
    """

    false_alarms: float = 0.5
    notes: float = 0.6
    seed: int = 0


class Parts(NamedTuple):
    """How the expected false alarms are divided over the kinds of findings."""

    insisted: float = 0.55
    wrong_row: float = 0.15
    exchanged: float = 0.05
    void_hides: float = 0.15
    mispaired: float = 0.1


PARTS = Parts()
NOTE_PARTS = 0.65, 0.35
"""The same of `allowed but never chosen` and `a class that is really void`."""


@dataclass(frozen=True)
class Case:
    """A map with its scores, and what they are worth.

    Attributes:
        scores: of the map. learnt: what scores are worth. settings: the budgets.
    """

    scores: Scores
    learnt: Learnt
    settings: Settings

    def budget(self, part: float) -> float:
        """Of the expected false contradictions."""
        return self.settings.false_alarms * part

    def expected_pairs(self, gain: float) -> float:
        """How many pairs of rows of a right map gain as much by being exchanged."""
        rows = int(self.scores.closed.sum())
        return float(self.learnt.exchanged(gain)) * rows * (rows - 1) / 2


def shows(s: Scores) -> NDArray[np.bool_]:
    """Pairs `[D, K]` of which enough is seen to be insisted on, whatever scores are worth."""
    return np.asarray((s.z > UNLIKELY) & (s.share > LEAST) & (s.shown >= FEWEST_SHOW))


def shows_else(s: Scores) -> NDArray[np.bool_]:
    """Rows `[D]` that show a class which the map does not allow in them."""
    return np.asarray((np.where(s.allowed[:, :-1], 0, s.shown) >= FEWEST_SHOW).any(1))


def hardly_shows(s: Scores) -> NDArray[np.bool_]:
    """Pairs `[D, K]` of which little enough is seen to be never chosen."""
    return np.asarray((s.share < SEEN) & (s.said < SAID))


def unknown(s: Scores) -> NDArray[np.bool_]:
    """Rows `[D]` in which the teacher sees little enough of what the map allows to be really void."""
    return np.asarray((s.said * s.allowed[:, :-1]).sum(1) < KNOWS)


def exchanged(case: Case) -> Iterator[Finding]:
    """Pairs of rows whose scores fit each other's S(r)."""
    s = case.scores
    fit = np.where(s.closed[:, None] & s.closed[None, :], fits(s.z, s.allowed), np.nan)
    gains = np.where(may_exchange(fit), pair_gains(fit), 0.0)
    while (gain := float(gains.max(initial=0.0))) > PAIR:
        a, b = map(int, np.unravel_index(gains.argmax(), gains.shape))
        expected = case.expected_pairs(gain)
        if expected >= case.budget(PARTS.exchanged):
            return
        changes = {d: tuple(np.flatnonzero(s.allowed[r]).tolist()) for d, r in ((a, b), (b, a))}
        yield Finding("exchanged", (min(a, b), max(a, b)), score=gain, expected=expected, changes=changes)
        gains[[a, b]] = 0
        gains[:, [a, b]] = 0


def wrong_rows(case: Case) -> Iterator[Finding]:
    """Rows that show other classes than they may be. That they show next to nothing else is left to be seen."""
    s = case.scores
    score = s.wrong_row
    expected = case.learnt.wrong_row(score) * s.rows_at_risk * int(s.closed.sum())
    for d in np.flatnonzero(s.closed & shows_else(s) & (expected < case.budget(PARTS.wrong_row))).tolist():
        seen = outside(s.share[d], s.allowed[d, :-1])
        share = float(np.clip(s.share[d, seen].sum(), 0, 1))
        yield Finding("wrong-row", (d,), tuple(seen), share=share, score=float(score[d]), expected=float(expected[d]))


def insisted_on(case: Case) -> Iterator[Finding]:
    """Classes that the map does not allow in a row and that the teacher sees there."""
    s = case.scores
    expected = case.learnt.insisted(s.insisted) * s.pairs_at_risk
    expected = expected * np.where(s.allowed[:, -1:], MIXED, 1)
    some = s.allowed[:, :-1].any(1) & s.judged
    seen = (expected < case.budget(PARTS.insisted)) & shows(s)
    for d, c in np.argwhere(seen & ~s.allowed[:, :-1] & some[:, None]).tolist():
        share, score = float(s.share[d, c]), float(s.insisted[d, c])
        yield Finding("insisted", (d,), (c,), share=share, score=score, expected=float(expected[d, c]))


def void_hides(case: Case) -> Iterator[Finding]:
    """Rows that are void, and that the teacher knows."""
    s = case.scores
    score = case.learnt.known(s.familiarity)
    expected = case.learnt.void_hides(score) * s.rows_at_risk * int(s.ignored.sum())
    for d in np.flatnonzero(s.ignored & shows_else(s) & (expected < case.budget(PARTS.void_hides))).tolist():
        order = np.argsort(-s.share[d])
        seen = [int(c) for c in order if s.share[d, c] > 0.15][:3] or [int(order[0])]
        share = float(np.clip(s.share[d, seen].sum(), 0, 1))
        yield Finding("void-hides", (d,), tuple(seen), share=share, score=float(score[d]), expected=float(expected[d]))


def never_chosen(case: Case) -> Iterator[Finding]:
    """Classes that the map allows in a row beside others, and that the teacher hardly sees there."""
    s = case.scores
    expected = case.learnt.never_chosen(s.never_chosen) * int(s.chosen_from.sum())
    few = (expected < case.settings.notes * NOTE_PARTS[0]) & hardly_shows(s)
    for d, c in np.argwhere(few & s.chosen_from).tolist():
        share, score = float(s.share[d, c]), float(s.never_chosen[d, c])
        yield Finding("never-chosen", (d,), (c,), share=share, score=score, expected=float(expected[d, c]))


def is_void(case: Case) -> Iterator[Finding]:
    """Rows that the teacher does not know, though the map says what they are."""
    s = case.scores
    score = case.learnt.novel(s.familiarity)
    expected = case.learnt.is_void(score) * s.rows_at_risk * int(s.closed.sum())
    for d in np.flatnonzero(s.closed & unknown(s) & (expected < case.settings.notes * NOTE_PARTS[1])).tolist():
        yield Finding("is-void", (d,), score=float(score[d]), expected=float(expected[d]))


def decidable(case: Case) -> NDArray[np.float32]:
    """The share of d from which on c would have been insisted on nine times out of ten, `[D, K]`; inf: from none on."""
    out = np.full(case.scores.z.shape, np.inf, np.float32)
    for share in np.exp(np.linspace(0, np.log(LEAST), 60)):
        out = np.where(power_of(case, np.full(out.shape, share)) >= SURE, np.float32(share), out)
    return np.where(case.scores.closed[:, None], out, np.inf).astype(np.float32)


def power_of(case: Case, share: NDArray[np.float64]) -> NDArray[np.float64]:
    """The chance that c, had the map forgotten it, would have been insisted on, if it were so much of d, `[D, K]`."""
    border = case.learnt.insisted.border(case.budget(PARTS.insisted) / case.scores.pairs_at_risk)
    odds = case.learnt.power(case.scores.circumstances(share, border))
    return np.asarray(1 / (1 + np.exp(-odds)))
