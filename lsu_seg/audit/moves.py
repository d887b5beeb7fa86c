"""Which row's S(r) the content of each row fits: tried before anything is calibrated, as a wrong map spoils that."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lsu_seg.audit.adapt import SLACK, Adaptation, adapt
from lsu_seg.audit.pixels import Pixels
from lsu_seg.audit.rows import closed_rows

PER_ROW = 200
"""Pixels of each row that are looked at."""
ROUNDS = 3
"""Of assignment and adaptation."""
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
    few = _few(pixels, rows)
    same = (allowed[:, None] == allowed[None]).all(2)
    inside = allowed[:, :-1]

    def moved(to: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.asarray((to != stay) & ~same[stay, np.maximum(to, 0)])

    def fitted(to: NDArray[np.int64]) -> tuple[float, NDArray[np.float64]]:
        """How good a move is over the rows that it does not leave open, and all rows' fit under its adaptation."""
        bound = inside[np.maximum(to, 0)] & (closed[np.maximum(to, 0)] & (to >= 0) & closed)[:, None]
        fit = _fit(few, inside, adapt(few, bound, None, 25))
        at = rows[(to[rows] >= 0) & closed[np.maximum(to[rows], 0)]]
        return (float(fit[at, to[at]].sum()) / max(len(at), 1) if len(at) * 2 >= len(rows) else -np.inf), fit

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
            gain -= EFFORT * moved(to).sum() / len(rows)
            if gain > value + 1e-9:
                best, value = to, gain
    for to in ways:
        if moved(to)[rows].sum() < 3:
            continue
        gain = fitted(to)[0] - EFFORT / len(rows)
        if gain > value + 1e-9:
            best, value = to, gain
    return best


def _few(pixels: Pixels, rows: NDArray[np.intp]) -> Pixels:
    """At most `PER_ROW` pixels of each of the rows, evenly from their images."""
    order = np.argsort(pixels.row, kind="stable")
    start = np.searchsorted(pixels.row[order], rows)
    end = np.searchsorted(pixels.row[order], rows, "right")
    at = [
        order[s + np.unique(np.linspace(0, e - s - 1, min(PER_ROW, e - s)).astype(int))]
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
