"""Reliability: of the pixels that a model is so and so confident of, the share that it has right."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BINS = 15
"""Of equal width, as in Guo et al. (2017)."""


def bin_of(confidence: Tensor) -> Tensor:
    """The bin of each confidence, int64: bin i has those above i / 15 and up to (i + 1) / 15.

    >>> bin_of(torch.tensor([0.0, 0.05, 1 / 15, 0.07, 1.0])).tolist()
    [0, 0, 0, 1, 14]
    """
    return ((confidence.double() * BINS - 1e-6).ceil().long() - 1).clamp(0, BINS - 1)


def calibration_error(bins: NDArray[Any]) -> float:
    """The expected calibration error: how far confidence and accuracy are apart, averaged over all pixels.

    Args:
        bins: `[15, 3]`: of each bin the number of pixels, of those that are right, and the sum of their confidence.

    Returns:
        0..1; NaN without a pixel.

    >>> bins = np.zeros((15, 3))
    >>> bins[14] = 10, 7, 9.8  # 98 % confident on average, and 70 % right
    >>> round(calibration_error(bins), 2)
    0.28
    """
    pixels, hits, confidence = np.asarray(bins, np.float64).T
    total = pixels.sum()
    return float(np.abs(hits - confidence).sum() / total) if total else float("nan")


def count_bins(confidence: Tensor, hit: Tensor, weight: Tensor) -> NDArray[np.float64]:
    """The `bins` of `calibration_error`, of pixels `[P]` that each stand for `weight` pixels."""
    at = bin_of(confidence)
    sums = [torch.bincount(at, w.double(), BINS) for w in (weight, weight * hit, weight * confidence.double())]
    return torch.stack(sums, 1).numpy()
