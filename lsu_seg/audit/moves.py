"""Which row's S(r) the content of each row fits: by the likelihood of an adapted teacher, then by learnt scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lsu_seg.audit.adapt import SLACK, Adaptation, adapt
from lsu_seg.audit.pixels import Pixels
from lsu_seg.audit.rows import SLIP, closed_rows, fits

FEW = 200
"""Pixels of each row that are looked at."""
ROUNDS = 3
"""Of assignment and adaptation."""
STAYS = 0.5
"""Log-likelihood that a row which moves must gain."""
EFFORT = 0.4
"""Mean log-likelihood per moved row that a move must gain; a known pattern needs to gain it only once."""


def likely_move(
    pixels: Pixels, allowed: NDArray[np.bool_], judged: NDArray[np.bool_], ways: list[NDArray[np.int64]]
) -> NDArray[np.int64]:
    """The move of rows under which an adapted teacher explains them best; each row itself if none is clearly better.

    A map is as good as the mean of log(Σ_{c∈S(d)} p'_c + 0.01), where p' is adapted to that same map. Candidates are
    `ways`, and linear assignments (Kuhn 1955), each alternating with the adaptation to it.

    Args:
        allowed: bool `[D, K+1]`. judged: bool `[D]`, rows with enough pixels. ways: as `rows.patterns` returns them.

    Returns:
        int64 `[D]`, the row whose S(r) fits each row's content; -1 where a pattern leaves the list.
    """
    from scipy.optimize import linear_sum_assignment

    stay = np.arange(len(allowed))
    closed = closed_rows(allowed)
    rows = np.flatnonzero(closed & judged)
    if len(rows) < 2:
        return stay
    few = _few(pixels, np.flatnonzero(judged))
    same = (allowed[:, None] == allowed[None]).all(2)
    inside = allowed[:, :-1]

    def moved(to: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.asarray((to != stay) & ((to < 0) | ~same[stay, np.maximum(to, 0)]))

    present = np.flatnonzero(judged)

    def fitted(to: NDArray[np.int64]) -> tuple[float, NDArray[np.float64]]:
        """How good a move is, over all rows with pixels, and all rows' fit under its adaptation.

        A row of which it says nothing, as its S(r) is everything or void, or as the list ends, fits as well as it does
        the rows' S(r) on average.
        """
        known = (to >= 0) & closed[np.maximum(to, 0)]
        fit = _fit(few, inside, adapt(few, inside[np.maximum(to, 0)] & known[:, None], None, 25))
        usual = fit[:, closed].mean(1)
        return float(np.where(known, fit[stay, np.maximum(to, 0)], usual)[present].mean()), fit

    now, fit = fitted(stay)
    best, value = stay, now
    for start in (fit, _fit(few, inside, Adaptation(1.0, np.zeros(inside.shape[1])))):
        part = start
        for _ in range(ROUNDS):
            to = stay.copy()
            cost = part[np.ix_(rows, rows)] + 0.05 * same[np.ix_(rows, rows)] + 0.05 * np.eye(len(rows))
            to[rows] = rows[linear_sum_assignment(-cost)[1]]
            to = np.where(moved(to), to, stay)
            gain, part = fitted(to)
            gain -= EFFORT * moved(to).sum() / len(present)
            if gain > value + 1e-9:
                best, value = to, gain
    for to in ways:
        if moved(to)[present].sum() < 3:
            continue
        gain = fitted(to)[0] - EFFORT / len(present)
        if gain > value + 1e-9:
            best, value = to, gain
    return best


def refined(
    to: NDArray[np.int64],
    allowed: NDArray[np.bool_],
    judged: NDArray[np.bool_],
    pattern: bool,
    scores: Callable[[NDArray[np.bool_]], NDArray[np.float64]],
) -> NDArray[np.int64]:
    """The assignment of closed rows that the scores under a move prefer, as long as it is better than the move itself.

    Scores are learnt, and tell apart what the likelihood of a weak teacher does not; but they need a map that is nearly
    right. So they improve what `likely_move` found.

    Args:
        to: int64 `[D]`, as `likely_move` returns it. pattern: whether it is one of the known ways, which is no chance:
            another assignment must then be much better. scores: a map's allowed `[D, K+1]` → log odds `[D, K]` that c
            occurs in d.
    """
    from scipy.optimize import linear_sum_assignment

    rows = np.flatnonzero(closed_rows(allowed) & judged)
    usual = closed_rows(allowed)

    def fitted(to: NDArray[np.int64]) -> tuple[float, NDArray[np.float64]]:
        moved = np.where((to >= 0)[:, None], allowed[np.maximum(to, 0)], True)
        fit = fits(scores(moved), allowed)
        own = fit[rows, np.maximum(to[rows], 0)]
        own = np.where((to[rows] < 0) | np.isnan(own), fit[rows][:, usual].mean(1), own)
        return float(own.sum()), fit

    value, fit = fitted(to)
    best, needed = to, value + (SLIP if pattern else 1e-9)
    for _ in range(ROUNDS):
        new = np.where(to >= 0, to, np.arange(len(to)))
        new[rows] = rows[linear_sum_assignment(-fit[np.ix_(rows, rows)] - STAYS * np.eye(len(rows)))[1]]
        if np.array_equal(new, to):
            break
        value, fit = fitted(new)
        to = new
        if value > needed:
            best, needed = new, value + 1e-9
    stay = np.arange(len(to))
    return best if (best != stay)[rows].any() else stay  # rows that fit anything prove nothing


def _few(pixels: Pixels, rows: NDArray[np.intp]) -> Pixels:
    """At most `FEW` pixels of each of the rows, evenly from their images."""
    order = np.argsort(pixels.row, kind="stable")
    start = np.searchsorted(pixels.row[order], rows)
    end = np.searchsorted(pixels.row[order], rows, "right")
    at = [
        order[s + np.unique(np.linspace(0, e - s - 1, min(FEW, e - s)).astype(int))]
        for s, e in zip(start, end, strict=True)
        if e > s
    ]
    return pixels.take(np.concatenate(at))


def _fit(pixels: Pixels, inside: NDArray[np.bool_], adaptation: Adaptation) -> NDArray[np.float64]:
    """Mean over each row's pixels of log(Σ_{c∈S(r)} p'_c + 0.01), `[D, D]`: content by S(r)."""
    mass = np.log(adaptation(pixels.p) @ inside.T.astype(np.float32) + SLACK)
    total = np.zeros((len(inside), len(inside)))
    np.add.at(total, pixels.row, mass)
    return np.asarray(total / np.maximum(np.bincount(pixels.row, minlength=len(inside)), 1)[:, None])
