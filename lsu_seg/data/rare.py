"""Rare-class sampling: first a class is drawn, the rarer the likelier, and then an image that has it.

From DAFormer (Hoyer, Dai and Van Gool, CVPR 2022), with its numbers: the odds of class c are exp((1 - f_c) / T), where
f_c is the share of its pixels. Here f_c is what training sees of it: over all datasets of a `CompoundDataset`, each by
its share of the samples. Only pixels count whose target is the class alone (`class_counts`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_IMAGE = 0.0015
"""An image has a class from this share of its pixels on: DAFormer's 3,000 pixels of an image of GTA5 (1914x1052)."""
MIN_CROP = 0.0057
"""A crop shows a class from this share on: DAFormer's 1,500 pixels of 512x512."""
TRIES = 10
"""So many crops are tried."""


@dataclass(frozen=True)
class RareClasses:
    """What a class is drawn by, and where it is found.

    Attributes:
        shares: float64 `[K]`, f_c. odds: float64 `[K]`, with sum 1; 0 for classes that no target is.
        images: of each dataset, the images that have each of the K classes.
    """

    shares: NDArray[np.float64]
    odds: NDArray[np.float64]
    images: tuple[tuple[NDArray[np.int64], ...], ...]

    def draw(self, dataset: int, seed: tuple[int, ...]) -> int | None:
        """An image of a dataset, the same for the same seed; None if none has enough pixels of any class."""
        images = self.images[dataset]
        odds = self.odds * [len(of_class) > 0 for of_class in images]
        if not odds.any():
            return None
        generator = np.random.default_rng(seed)
        of_class = images[generator.choice(len(odds), p=odds / odds.sum())]
        return int(generator.choice(of_class))


def find_rare_classes(counts: Sequence[NDArray[np.int64]], masses: Sequence[float], temperature: float) -> RareClasses:
    """Odds and images of classes.

    Args:
        counts: of each dataset, int64 `[N, K + 2]` (`count_classes`). masses: how often its images are drawn, relative
            to those of the others.
        temperature: T. The smaller, the less likely are frequent classes.

    >>> counts = np.array([[98, 0, 0, 2], [90, 10, 0, 0]])  # of two images: two classes, sets, void
    >>> rare = find_rare_classes([counts], [1.0], 0.1)
    >>> rare.shares.round(3).tolist(), rare.odds.round(3).tolist()
    ([0.949, 0.051], [0.0, 1.0])
    >>> rare.draw(0, (0,))
    1
    """
    k = counts[0].shape[1] - 2
    f = np.zeros(k)
    for each, mass in zip(counts, masses, strict=True):
        total = each.sum(0)
        f += mass / max(sum(masses), 1e-300) * total[:k] / max(1, total[: k + 1].sum())
    exponent = np.where(f > 0, (1 - f) / temperature, -np.inf)
    odds = np.exp(exponent - exponent.max()) if (f > 0).any() else f
    images = tuple(tuple(np.flatnonzero(has) for has in _classes_of_images(each).T) for each in counts)
    return RareClasses(f, odds / max(odds.sum(), 1e-300), images)


def repeat_factors(
    counts: Sequence[NDArray[np.int64]], masses: Sequence[float], threshold: float
) -> tuple[NDArray[np.float64], ...]:
    """How often each image is drawn, relative to one without rare classes: of each dataset, float64 `[N]`, 1 or more.

    From LVIS (Gupta, Dollar and Girshick, CVPR 2019): with f_c, the share of images that have class c, a class has the
    factor max(1, sqrt(threshold / f_c)), and an image the largest of its classes. f_c is over all datasets, each by its
    share of the samples.

    Args:
        counts, masses: as in `find_rare_classes`. threshold: classes that fewer images have are rare.

    >>> counts = np.array([[98, 0, 0, 2]] * 3 + [[90, 10, 0, 0]])  # of four images: two classes, sets, void
    >>> [factors.tolist() for factors in repeat_factors([counts], [1.0], 1.0)]
    [[1.0, 1.0, 1.0, 2.0]]
    """
    has = [_classes_of_images(each) for each in counts]
    weights = np.asarray(masses, float) / max(sum(masses), 1e-300)
    f = sum(weight * each.mean(0) for weight, each in zip(weights, has, strict=True) if len(each))
    of_class = np.sqrt(np.maximum(1, threshold / np.maximum(f, 1e-300)))
    return tuple(np.where(each, of_class, 1.0).max(1, initial=1.0) for each in has)


def _classes_of_images(counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool `[N, K]`: whether an image has enough pixels of a class."""
    enough: NDArray[np.bool_] = (counts > 0) & (counts >= MIN_IMAGE * counts.sum(1, keepdims=True))
    return enough[:, :-2]
