"""How far a metric would move with other images: the percentile bootstrap over images.

Images are the unit, because the pixels of an image are not independent. Every metric is a ratio of sums over images, so
a resample is a weight per image, and all resamples are one matrix product. It is exact: integers below 2^53.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

RESAMPLES, SEED = 1000, 0
_CHUNK = 50  # resamples at a time: 20 MB of weights for 50,000 images


def resample(sums: NDArray[np.int32], stream: int = 0) -> NDArray[np.float64]:
    """Sums over images drawn with replacement: `[n, ...]` -> `[RESAMPLES, ...]`.

    The same number of images and the same `stream` give the same draws, so that two models' metrics can be paired.

    >>> resample(np.ones((4, 2), np.int32)).shape, float(resample(np.ones((4, 2), np.int32)).std())
    ((1000, 2), 0.0)
    """
    n = len(sums)
    flat = sums.reshape(n, -1).astype(np.float64)
    rng = np.random.default_rng([SEED, stream])
    parts = [_weights(rng, n) @ flat for _ in range(0, RESAMPLES, _CHUNK)] if n else []
    totals = np.concatenate(parts) if parts else np.zeros((RESAMPLES, flat.shape[1]))
    return totals.reshape(RESAMPLES, *sums.shape[1:])


def _weights(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """How often each of n images is drawn: `[_CHUNK, n]`."""
    drawn = rng.integers(0, n, (_CHUNK, n)) + n * np.arange(_CHUNK)[:, None]
    return np.bincount(drawn.ravel(), minlength=_CHUNK * n).reshape(_CHUNK, n).astype(np.float64)


def iou(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU per class, NaN if absent: `[..., 3, K]` of hits, truth, predicted -> `[..., K]`."""
    hits, truth, predicted = sums[..., 0, :], sums[..., 1, :], sums[..., 2, :]
    union = truth + predicted - hits
    values: NDArray[np.float64] = np.divide(hits, union, out=np.full(hits.shape, np.nan), where=truth > 0)
    return values


def mean(per_class: NDArray[np.float64], scored: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """The mean over the classes present (in that resample): `[..., K]` -> `[...]`."""
    values = per_class if scored is None else np.where(scored, per_class, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no class is present: the result is NaN
        return np.asarray(np.nanmean(values, -1))


def interval(values: NDArray[np.float64], images: int) -> NDArray[np.float64]:
    """The middle 95 %: `[RESAMPLES, ...]` -> `[2, ...]`; NaN with fewer than two images, because nothing can vary.

    >>> interval(np.arange(1001.0), 2).tolist()
    [25.0, 975.0]
    """
    if images < 2:
        return np.full((2, *values.shape[1:]), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a class that occurs in no resample
        return np.asarray(np.nanpercentile(values, [2.5, 97.5], axis=0))
