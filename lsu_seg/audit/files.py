"""Whose image a label fits: what the teacher sees at the points of a grid, under each label's classes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SMOOTHING = 0.5
"""Added to each count of the table."""
FEWEST = 8
"""Of fewer images nothing is said."""
TRUST = 50.0
"""Points from which on the second class, given the first, is learnt from the row itself."""
_MOST = 400
"""Images that are compared with one another."""


class Pairing(NamedTuple):
    """How labels fit images.

    Attributes:
        fit: float64 `[G, G]`, of the codes of image i under the label of image j.
        lift: by how many standard deviations labels fit their own image better than other images, on average.
        pairs: (i, j, gain, expected), the pairs that fit each other better than themselves, the best first.
    """

    fit: NDArray[np.float64]
    lift: float
    pairs: list[tuple[int, int, float, float]]


def pairing(rows: NDArray[np.integer], top: NDArray[np.integer], count: int, channels: int) -> Pairing | None:
    """Compare every label with every image. No map is needed.

    A_ij is the mean over the grid of log P(code_i | d_j) / P(code_i), where the code is what the teacher's best class
    and its second are, and the table of P is made from the dataset itself. Exchanging the labels of i and j gains
    A_ij + A_ji - A_ii - A_jj.

    Args:
        rows: int `[G, h, w]`, the row of d, below 0 for none. top: int `[G, h, w, 2]`, the two best channels.
        count: number of rows D. channels: K.

    Returns:
        None if there are fewer than `FEWEST` images.
    """
    images = min(len(rows), _MOST)
    if images < FEWEST:
        return None
    rows = rows[:images].reshape(images, -1)
    code = top[:images, ..., 0].astype(np.int64).reshape(images, -1)
    known = (rows >= 0) & (code < channels)
    code = np.where(known, code, 0)
    d = np.where(known, rows, 0)
    # P(best | d), and P(second | best, d) drawn towards P(second | best)
    best, second = code, np.where(known, np.minimum(top[:images, ..., 1].reshape(images, -1), channels - 1), 0)
    table = np.zeros((count, channels, channels))
    np.add.at(table, (d[known], best[known], second[known]), 1)
    once = table.sum(2) + SMOOTHING
    whole = table.sum(0) + SMOOTHING / channels
    likely = whole / whole.sum(1, keepdims=True)
    joint = (table + TRUST * likely) / (table.sum(2, keepdims=True) + TRUST)
    ratio = np.log(once / once.sum(1, keepdims=True)) - np.log(once.sum(0) / once.sum())
    ratio = (ratio[..., None] + np.log(joint) - np.log(likely)).reshape(count, -1)
    code = best * channels + second
    fit = np.zeros((images, images))
    for j in range(images):  # the label of j under the codes of every image
        values = ratio[d[j][None, :], code] * (known & known[j][None, :])
        fit[:, j] = values.sum(1) / np.maximum((known & known[j][None, :]).sum(1), 1)
    own = np.diag(fit)
    spread = fit.std(1)
    lift = float(((own - fit.mean(1)) / np.maximum(spread, 1e-9)).mean())
    gain = fit + fit.T - own[:, None] - own[None, :]
    first, other = np.triu_indices(images, 1)
    return Pairing(fit, lift, _outliers(first, other, gain[first, other]))


def _outliers(
    i: NDArray[np.intp], j: NDArray[np.intp], values: NDArray[np.float64]
) -> list[tuple[int, int, float, float]]:
    """Pairs whose gain is above 0, with the number of pairs that would gain as much by chance.

    The tail of the gains of the other pairs is taken as exponential; of three fits, from different quantiles on, the
    one that expects most counts.
    """
    order = np.argsort(-values)
    taken: set[int] = set()
    best: list[int] = []
    for at in order[: 4 * FEWEST].tolist():
        if values[at] <= 0 or len(best) == 8:
            break
        if int(i[at]) not in taken and int(j[at]) not in taken:
            best.append(at)
            taken |= {int(i[at]), int(j[at])}
    out: list[tuple[int, int, float, float]] = []
    used: set[int] = set()
    for at in best:
        used |= {int(i[at]), int(j[at])}
        free = ~np.isin(i, list(used)) & ~np.isin(j, list(used))
        tail = np.sort(values[free])[::-1]
        if len(tail) < 200:
            break
        expected = max(_by_tail(tail, len(tail) // part, float(values[at])) for part in (20, 100, 400))
        out.append((int(i[at]), int(j[at]), float(values[at]), expected))
    return out


def _by_tail(tail: NDArray[np.float64], n: int, value: float) -> float:
    """How many of the values, given in descending order, would reach `value`: an exponential fit to the best n."""
    n = max(n, 5)
    scale = max(float((tail[:n] - tail[n]).mean()), 1e-6)
    return n * float(np.exp(-(value - tail[n]) / scale))
