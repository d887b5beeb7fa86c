"""Whether the teacher tells the dataset's classes apart at all. No map is needed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lsu_seg.audit.pixels import Pixels

FOLDS = 5
SMOOTHING = 0.5
"""Added to each count of the table."""


def tells_apart(pixels: Pixels, judged: NDArray[np.bool_]) -> float:
    """How much the teacher's best class says about the row of a pixel, in nats; about 0 for one that guesses.

    It is the mean over rows of log P(best | d) / P(best), in which every row counts as much. P is learnt from other
    images than those that it is tried on: in their own, even a guess fits.

    Args:
        judged: bool `[D]`, the rows that are compared.
    """
    at = np.flatnonzero((pixels.row >= 0) & judged[np.maximum(pixels.row, 0)])
    row, best = pixels.row[at], pixels.p[at].argmax(1)
    fold = pixels.image[at] % FOLDS
    table = np.zeros((FOLDS, pixels.rows, pixels.p.shape[1]))
    np.add.at(table, (fold, row, best), 1)
    others = table.sum(0) - table + SMOOTHING
    likely = others / others.sum(2, keepdims=True)
    usual = likely[:, judged].mean(1)
    gain = np.log(likely[fold, row, best]) - np.log(usual[fold, best])
    count = np.maximum(np.bincount(row, minlength=pixels.rows), 1)
    return float((np.bincount(row, gain, minlength=pixels.rows) / count)[judged].mean()) if judged.any() else 0.0
