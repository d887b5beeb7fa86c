"""Whose image a label fits: what the teacher sees at the points of a grid, under each label's classes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SMOOTHING = 0.5
"""Added to each count of the table."""
FEWEST = 24
"""Of fewer images nothing is said: there are too few pairs to know what is unusual."""
VARIED = 3
"""Nor if fewer rows than these are seen, or in images that show one row alone: any label fits them."""
TRUST = 50.0
"""Points from which on the second class, given the first, is learnt from the row itself."""
FOLDS = 5
_MOST = 400
"""Images that are compared with one another."""


class Pairing(NamedTuple):
    """How labels fit images.

    Attributes:
        fit: float64 `[G, G]`, of the codes of image i under the label of image j, of the images that are compared.
        lift: by how many standard deviations labels fit their own image better than other images, on average.
        pairs: (i, j, gain, expected), the pairs that fit each other better than themselves, the best first.
    """

    fit: NDArray[np.float64]
    lift: float
    pairs: list[tuple[int, int, float, float]]

    @property
    def order(self) -> float:
        """The lift in standard errors: about 0 ± 1 for a list in any order, however little the teacher sees."""
        return self.lift * float(np.sqrt(len(self.fit)))


def pairing(rows: NDArray[np.integer], top: NDArray[np.integer], count: int, channels: int) -> Pairing | None:
    """Compare every label with every image. No map is needed.

    A_ij is the mean over the grid of log P(code_i | d_j) / P(code_i), where the code is what the teacher's best class
    and its second are, and the table of P is made from the dataset itself, without image i and others of its fold: what
    was learnt from a label fits it, rightly paired or not. Exchanging the labels of i and j gains
    A_ij + A_ji - A_ii - A_jj.

    Args:
        rows: int `[G, h, w]`, the row of d, below 0 for none. top: int `[G, h, w, 2]`, the two best channels.
        count: number of rows D. channels: K.

    Returns:
        None if there are fewer than `FEWEST` images that show two rows or more, or fewer than `VARIED` rows in all; or
        if the teacher's best class is the same everywhere, which any label fits.
    """
    chosen = np.unique(np.linspace(0, max(len(rows) - 1, 0), min(len(rows), _MOST)).astype(int))
    seen_rows = np.where(top[..., 0] < channels, rows, -1)
    several = [i for i in chosen.tolist() if len(np.unique(seen_rows[i][seen_rows[i] >= 0])) > 1]
    images = len(several)
    if images < FEWEST or len(np.unique(seen_rows[seen_rows >= 0])) < VARIED:
        return None
    rows, top = rows[several].reshape(images, -1), top[several]
    code = top[..., 0].astype(np.int64).reshape(images, -1)
    known = (rows >= 0) & (code < channels)
    code = np.where(known, code, 0)
    d = np.where(known, rows, 0)
    if len(np.unique(code[known])) < 2:
        return None
    best, second = code, np.where(known, np.minimum(top[..., 1].reshape(images, -1), channels - 1), 0)
    code = best * channels + second
    fold = np.arange(images) % FOLDS
    tables = np.zeros((FOLDS, count, channels, channels))
    np.add.at(tables, (np.broadcast_to(fold[:, None], d.shape)[known], d[known], best[known], second[known]), 1)
    ratio = np.stack([_ratio(table) for table in tables.sum(0) - tables])
    place = (fold * count)[:, None] * channels**2 + code
    fit = np.zeros((images, images))
    for j in range(images):  # the label of j under the codes of every image
        both = known & known[j]
        values = ratio.take(d[j] * channels**2 + place) * both
        fit[:, j] = values.sum(1) / np.maximum(both.sum(1), 1)
    own = np.diag(fit)
    spread = fit.std(1)
    lift = float(((own - fit.mean(1)) / np.maximum(spread, 1e-9)).mean())
    gain = fit + fit.T - own[:, None] - own[None, :]
    first, other = np.triu_indices(images, 1)
    pairs = _outliers(first, other, gain[first, other])
    return Pairing(fit, lift, [(several[i], several[j], value, expected) for i, j, value, expected in pairs])


def _ratio(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """log P(code | d) / P(code), `[D, K · K]`, by how often each best and second class occur in each row, `[D, K, K]`.

    P(second | best, d) is drawn towards P(second | best).
    """
    once = table.sum(2) + SMOOTHING
    whole = table.sum(0) + SMOOTHING / table.shape[1]
    likely = whole / whole.sum(1, keepdims=True)
    joint = (table + TRUST * likely) / (table.sum(2, keepdims=True) + TRUST)
    ratio = np.log(once / once.sum(1, keepdims=True)) - np.log(once.sum(0) / once.sum())
    return np.asarray((ratio[..., None] + np.log(joint) - np.log(likely)).reshape(len(table), -1))


def _outliers(
    i: NDArray[np.intp], j: NDArray[np.intp], values: NDArray[np.float64]
) -> list[tuple[int, int, float, float]]:
    """Pairs whose gain is above 0, with the number of pairs that would gain as much by chance.

    The tail of the gains of the other pairs is taken as exponential; the geometric mean of three fits counts, from
    different quantiles on.
    """
    order = np.argsort(-values)
    taken: set[int] = set()
    best: list[int] = []
    for at in order[:32].tolist():
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
        fits = [_by_tail(tail, len(tail) // part, float(values[at])) for part in (20, 100, 400)]
        expected = float(np.exp(np.mean(np.log(np.maximum(fits, 1e-300)))))
        out.append((int(i[at]), int(j[at]), float(values[at]), expected))
    return out


def _by_tail(tail: NDArray[np.float64], n: int, value: float) -> float:
    """How many of the values, given in descending order, would reach `value`: an exponential fit to the best n."""
    n = max(n, 5)
    scale = max(float((tail[:n] - tail[n]).mean()), 1e-6)
    return n * float(np.exp(-(value - tail[n]) / scale))
