"""The kinds of findings about rows, each from the statistics and what the rehearsal says they are worth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsu_seg.audit.findings import Finding
from lsu_seg.audit.presence import FEATURES, Presence
from lsu_seg.audit.rehearsal import Rehearsal, familiar_scores
from lsu_seg.audit.rows import PAIR, closed_rows, fits, pair_gains
from lsu_seg.audit.scale import CHOSEN, insisted

SAID = 0.1
"""No class is `never chosen` of which the teacher itself, uncorrected, sees more than this in the row."""
KNOWS = 0.3
"""No row is `really void` in which it sees so much of what the map allows."""
NOVEL = 5
"""Fewer rehearsed rows of classes that the teacher does not have say nothing about void."""


@dataclass(frozen=True)
class Settings:
    """What the findings depend on.

    Attributes:
        false_alarms: contradictions that the audit of a right map would report, on average. notes: the same of notes.
        maps: number of rehearsed maps. seed: of the rehearsal.
    """

    false_alarms: float = 0.3
    notes: float = 0.6
    maps: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        if self.maps < 2:
            raise ValueError(f"maps: {self.maps}; at least 2 are needed, as each half judges the other")


class Parts(NamedTuple):
    """How the expected false alarms are divided over the kinds of findings."""

    insisted: float = 0.55
    wrong_row: float = 0.15
    exchanged: float = 0.1
    void_hides: float = 0.15
    mispaired: float = 0.05


PARTS = Parts()
NOTE_PARTS = 0.65, 0.35
"""The same of `allowed but never chosen` and `a class that is really void`."""


@dataclass(frozen=True)
class Case:
    """A map of D rows and K source classes, with all that is known of it.

    Attributes:
        allowed: bool `[D, K+1]`. judged: bool `[D]`, rows with enough pixels. statistics: its last row
            is that of values in `void:`.
        known: from the rehearsal. settings: the budgets.
    """

    allowed: NDArray[np.bool_]
    judged: NDArray[np.bool_]
    statistics: Presence
    known: Rehearsal
    settings: Settings

    @cached_property
    def z(self) -> NDArray[np.float64]:
        """Log odds `[D, K]` that c occurs in d."""
        return self.known.scale.score(self.statistics)[: len(self.allowed)]

    @property
    def share(self) -> NDArray[np.float64]:
        """The estimated share `[D, K]`."""
        return self.statistics.share[: len(self.allowed)]

    @property
    def said(self) -> NDArray[np.float64]:
        """The part `[D, K]` of each row of which c is the teacher's own best class, as its pictures show it."""
        logit = self.statistics.features[: len(self.allowed), :, FEATURES.index("raw argmax")]
        return np.asarray(1 / (1 + np.exp(-logit)))

    @property
    def closed(self) -> NDArray[np.bool_]:
        """Judged rows that must be some of the source's classes, but not any of them."""
        return closed_rows(self.allowed) & self.judged

    def budget(self, part: float) -> float:
        """Of the expected false contradictions."""
        return self.settings.false_alarms * part


def exchanged(case: Case) -> Iterator[Finding]:
    """Pairs of rows whose scores fit each other's S(r)."""
    gains = pair_gains(np.where(case.closed[:, None] & case.closed[None, :], fits(case.z, case.allowed), np.nan))
    while (gain := float(gains.max(initial=0.0))) > PAIR:
        a, b = map(int, np.unravel_index(gains.argmax(), gains.shape))
        expected = case.known.expected_pairs(gain)
        if expected >= case.budget(PARTS.exchanged):
            return
        changes = {d: tuple(np.flatnonzero(case.allowed[r]).tolist()) for d, r in ((a, b), (b, a))}
        yield Finding("exchanged", (min(a, b), max(a, b)), score=gain, expected=expected, changes=changes)
        gains[[a, b]] = 0
        gains[:, [a, b]] = 0


def wrong_rows(case: Case) -> Iterator[Finding]:
    """Rows of which next to nothing is what they may be."""
    for d in np.flatnonzero(case.closed).tolist():
        inside = case.allowed[d, :-1]
        best = float(case.z[d, inside].max())
        expected = case.known.expected_slack(best)
        share = float(np.clip(case.share[d, ~inside].sum(), 0, 1))
        if expected < case.budget(PARTS.wrong_row) and share >= 0.5:
            outside = np.where(inside, -np.inf, case.share[d])
            seen = [int(c) for c in np.argsort(-outside) if outside[c] > 0.1][:3]
            yield Finding("wrong-row", (d,), tuple(seen), share=share, score=-best, expected=expected)


def insisted_on(case: Case) -> Iterator[Finding]:
    """Classes that the map does not allow in a row and that the teacher sees there."""
    z = case.z
    # what may be void may look like anything
    expected = case.known.scale.false_present(z) * np.where(case.allowed[:, -1:], 3, 1)
    some = case.allowed[:, :-1].any(1) & case.judged
    seen = insisted(expected, z, case.share, case.budget(PARTS.insisted)) & ~case.allowed[:, :-1] & some[:, None]
    for d, c in np.argwhere(seen).tolist():
        share, score = float(case.share[d, c]), float(z[d, c])
        yield Finding("insisted", (d,), (c,), share=share, score=score, expected=float(expected[d, c]))


def void_hides(case: Case) -> Iterator[Finding]:
    """Rows that are void, and that the teacher knows."""
    hidden = case.allowed[:, -1] & ~case.allowed[:, :-1].any(1) & case.judged
    scores = familiar_scores(case.statistics, case.known)
    for d in np.flatnonzero(hidden).tolist():
        expected = case.known.expected_known(float(scores[d]), int(hidden.sum()))
        if len(case.known.novel) >= NOVEL and scores[d] > 0 and expected < case.budget(PARTS.void_hides):
            order = np.argsort(-case.share[d])
            seen = [int(c) for c in order if case.share[d, c] > 0.15][:3] or [int(order[0])]
            share = float(np.clip(case.share[d, seen].sum(), 0, 1))
            yield Finding("void-hides", (d,), tuple(seen), share=share, score=float(scores[d]), expected=expected)


def never_chosen(case: Case) -> Iterator[Finding]:
    """Classes that the map allows in a row beside others, and that the teacher hardly sees there."""
    z = case.z
    expected = case.known.scale.false_absent(z)
    few = (expected < case.settings.notes * NOTE_PARTS[0]) & (case.share < CHOSEN) & (case.said < SAID)
    several = case.closed & (case.allowed.sum(1) > 1)
    for d, c in np.argwhere(few & case.allowed[:, :-1] & several[:, None]).tolist():
        share, score = float(case.share[d, c]), -float(z[d, c])
        yield Finding("never-chosen", (d,), (c,), share=share, score=score, expected=float(expected[d, c]))


def is_void(case: Case) -> Iterator[Finding]:
    """Rows that the teacher does not know, though the map says what they are."""
    scores = familiar_scores(case.statistics, case.known)
    for d in np.flatnonzero(case.closed).tolist():
        expected = case.known.expected_novel(float(scores[d]), d)
        novel = len(case.known.novel) >= NOVEL and scores[d] < 0 and case.said[d, case.allowed[d, :-1]].sum() < KNOWS
        if novel and expected < case.settings.notes * NOTE_PARTS[1]:
            yield Finding("is-void", (d,), score=-float(scores[d]), expected=expected)
