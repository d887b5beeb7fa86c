"""How sure predictions are, and how often they are right: reliability, and the expected calibration error.

Only pixels whose ground truth is one class are counted. Where it is a set, a prediction inside it may still be wrong,
so what share of a bin's pixels is right has only an upper bound there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsu_seg.teachers.reliability import BINS, bin_of, calibration_error

_UNIT = 1 << 24
"""Confidence is summed in units of 1 / 2^24, as int64, so that the sum is the same in any order and on any machine."""
_AT_ONCE = 1 << 23
"""The number of logits of a band of rows, which bounds the memory of their exponentials."""
STABLE = 10_000
"""A class has a calibration error of its own if so many pixels are predicted as it."""


def count_confidence(
    logits: Tensor, pred: Tensor, target: Tensor, temperatures: Sequence[float], are_shares: bool = False
) -> Tensor:
    """Count the pixels of an image by predicted class and confidence.

    Args:
        logits: float `[K, H, W]`. pred: integer `[H, W]`, their argmax. target: `[H, W]`; pixels other than 0..K-1 have
            no ground truth.
        temperatures: what the logits are divided by, for each of T counts. The confidence is the softmax of `pred`.
        are_shares: `logits` are evidence that has only to be normalised, as MMSegmentation's mask models predict it.

    Returns:
        int64 `[T, K, 15, 3]` on the CPU: pixels, those that are right, and the sum of their confidence in 1 / 2^24.
    """
    k, height, width = logits.shape
    total = torch.zeros(len(temperatures), k * BINS, 3, dtype=torch.int64)
    target, pred = target.to(logits.device), pred.to(logits.device)
    step = max(1, _AT_ONCE // (k * width))
    for top in range(0, height, step):
        rows = slice(top, top + step)
        known = (target[rows] >= 0) & (target[rows] < k) & (pred[rows] >= 0) & (pred[rows] < k)
        own = pred[rows][known].long()
        hit = (own == target[rows][known]).double().cpu()
        values = logits[:, rows][:, known].float()
        values = values.clamp_min(torch.finfo(values.dtype).tiny).log() if are_shares else values
        for i, temperature in enumerate(temperatures):
            relative = (values - values.gather(0, own[None])) / temperature
            # On the CPU: with `randomness.deterministic`, torch refuses to sum weights on a GPU.
            confidence = relative.exp().sum(0).reciprocal().cpu()
            at = own.cpu() * BINS + bin_of(confidence)
            units = (confidence.double() * _UNIT).round()
            sums = [torch.bincount(at, w, k * BINS) for w in (None, hit, units)]
            total[i] += torch.stack([s.long() for s in sums], 1)  # exact: a double holds 2^53 units
    return total.view(len(temperatures), k, BINS, 3)


def bins_of(counts: Tensor | NDArray[np.int64]) -> NDArray[np.float64]:
    """`[..., 15, 3]` of `count_confidence`, with the sum of confidence as it is."""
    return np.asarray(counts).astype(np.float64) / (1, 1, _UNIT)


def as_document(counts: Tensor, names: Sequence[str], temperatures: Sequence[float]) -> dict[str, Any]:
    """The reliability of one dataset or of several together, as plain values.

    Returns:
        `temperature`, and for temperature 1 (`before`) and, if there is another, for that (`after`): `ece`, the
        `accuracy` and mean `confidence` of all pixels, `bins` with pixels, accuracy and mean confidence each, and the
        `ece` of the classes that at least 10,000 pixels are predicted as.
    """
    sets = dict(zip(("before", "after"), bins_of(counts), strict=False))
    return {"temperature": temperatures[-1]} | {key: _one(by_class, names) for key, by_class in sets.items()}


def _one(by_class: NDArray[np.float64], names: Sequence[str]) -> dict[str, Any]:
    bins = by_class.sum(0)
    pixels, hits, confidence = bins.T
    total = bins.sum(0)
    stable = [i for i in range(len(names)) if by_class[i, :, 0].sum() >= STABLE]
    return {
        "ece": calibration_error(bins),
        "pixels": int(total[0]),
        "accuracy": _ratio(total[1], total[0]),
        "confidence": _ratio(total[2], total[0]),
        "bins": {
            "pixels": pixels.astype(np.int64),
            "accuracy": [_ratio(h, n) for h, n in zip(hits, pixels, strict=True)],
            "confidence": [_ratio(c, n) for c, n in zip(confidence, pixels, strict=True)],
        },
        "classes": {names[i]: calibration_error(by_class[i]) for i in stable},
    }


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
