"""How far a metric would move with other images: the percentile bootstrap over images.

Images are the unit, because the pixels of an image are not independent. Every metric is a ratio of sums over images, so
a resample is a weight per image, and all resamples are one matrix product. It is exact: integers below 2^53.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES, SEED = 1000, 0
_WEIGHTS = 2_500_000
"""At a time, 20 MB: 50 resamples of 50,000 images, 6 of 400,000."""
_DRAWS = 50_000
"""At a time, whole resamples: a call for each of few images costs more than its numbers."""


def resample_views(views: Mapping[str, NDArray[np.int32]], stream: int = 0) -> dict[str, NDArray[np.float64]]:
    """`resample` of several arrays of the same images: drawing them takes longer than adding them up.

    >>> views = {"a": np.array([[1], [2]], np.int32), "b": np.array([3, 4], np.int32)}
    >>> all((draws == resample(views[name])).all() for name, draws in resample_views(views).items())
    True
    """
    if not views:
        return {}
    flat = [sums.reshape(len(sums), math.prod(sums.shape[1:])) for sums in views.values()]
    ends = np.cumsum([part.shape[1] for part in flat])[:-1]
    parts = np.split(resample(np.concatenate(flat, 1, dtype=np.float64), stream), ends, axis=1)
    return {
        name: part.reshape(RESAMPLES, *sums.shape[1:]) for (name, sums), part in zip(views.items(), parts, strict=True)
    }


def resample(sums: NDArray[Any], stream: int = 0) -> NDArray[np.float64]:
    """Sums over images drawn with replacement: `[n, ...]` -> `[RESAMPLES, ...]`.

    The same number of images and the same `stream` give the same draws, so that two models' metrics can be paired.

    >>> resample(np.ones((4, 2), np.int32)).shape, float(resample(np.ones((4, 2), np.int32)).std())
    ((1000, 2), 0.0)
    """
    n = len(sums)
    flat = sums.reshape(n, math.prod(sums.shape[1:])).astype(np.float64, copy=False)
    rng = np.random.default_rng([SEED, stream])
    totals = np.zeros((RESAMPLES, flat.shape[1]))
    step = max(1, min(50, _WEIGHTS // max(1, n)))
    weights = np.empty((step, n))  # how often each image is drawn
    at_once = max(1, _DRAWS // max(1, n))
    for first in range(0, RESAMPLES if n else 0, step):
        some = weights[: RESAMPLES - first]
        for a in range(0, len(some), at_once):
            rows = some[a : a + at_once]
            drawn = rng.integers(0, n, rows.shape)  # the numbers that it would draw row by row
            drawn += np.arange(0, rows.size, n)[:, None]
            rows[:] = np.bincount(drawn.ravel(), minlength=rows.size).reshape(rows.shape)
        totals[first : first + step] = some @ flat
    return totals.reshape(RESAMPLES, *sums.shape[1:])


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
