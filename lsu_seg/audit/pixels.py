"""The sampled pixels as the statistics see them: probabilities that sum to 1, and rows that can be regrouped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsu_seg.audit.sample import Sample

PER_IMAGE = 10
"""Pixels of one row in one image that the statistics look at; neighbours in one image say the same."""
PER_ROW = 800
"""Pixels of one row that they look at, if there are few rows."""
PIXELS = 16_000
"""Pixels that they look at, all in all."""


@dataclass(frozen=True)
class Pixels:
    """N sampled pixels of a dataset with D rows and K source classes.

    Attributes:
        p: float32 `[N, K]`, the teacher's probability, rows sum to 1.
        row: int64 `[N]`, the row of d, or -1 for values listed in `void:`.
        agree: bool `[N]`, whether top class and annotation are the same around the pixel.
        image: int64 `[N]`, any number per image.
        weight: float32 `[N]`, pixels of the dataset for which the pixel stands.
        rows: D.
    """

    p: NDArray[np.float32]
    row: NDArray[np.int64]
    agree: NDArray[np.bool_]
    image: NDArray[np.int64]
    weight: NDArray[np.float32]
    rows: int

    def take(self, at: NDArray[np.intp] | NDArray[np.bool_]) -> Pixels:
        """Some of the pixels."""
        return Pixels(self.p[at], self.row[at], self.agree[at], self.image[at], self.weight[at], self.rows)


def pixels_of(sample: Sample) -> Pixels:
    """The pixels of a sample; those in which the teacher saw nothing at all are left out.

    What a query model holds for no object is spread over the classes: crumbs of certainty are not certainty.
    """
    p = sample.p.astype(np.float32)
    if sample.void is not None:
        p = p + sample.void.astype(np.float32)[:, None] / max(p.shape[1], 1)
    total = p.sum(1)
    kept = total > 0
    p = p[kept] / total[kept, None]
    row = sample.row[kept].astype(np.int64)
    image = sample.image[kept].astype(np.int64)
    return Pixels(p, row, sample.agree[kept], image, sample.weight[kept].astype(np.float32), len(sample.rows_of))


def redraw(
    pixels: Pixels, row: NDArray[np.int64], rows: int, rng: np.random.Generator
) -> tuple[Pixels, NDArray[np.intp]]:
    """The pixels under other rows, drawn as a labelling run would have drawn them.

    Of each row in each image at most `PER_IMAGE` pixels are kept, by weighted sampling without replacement (Efraimidis
    and Spirakis 2006), and of each row at most `PER_ROW`, of many rows fewer. The weights stand for the same number of
    pixels as before.

    Args:
        row: int `[N]`, the new row of each pixel; below -1: the pixel is dropped.

    Returns:
        The pixels, and which of the given ones they are.
    """
    at = np.flatnonzero(row >= -1)
    keys = np.log(rng.random(len(at), np.float32) + 1e-12) / pixels.weight[at]
    group = (row[at] + 1) * (int(pixels.image.max(initial=0)) + 1) + pixels.image[at]
    order = np.lexsort((-keys, group))
    at, group = at[order], group[order]
    _, start, inverse, count = np.unique(group, return_index=True, return_inverse=True, return_counts=True)
    rank = np.arange(len(at)) - start[inverse]
    mass = np.bincount(inverse, pixels.weight[at])
    weight = (mass / np.minimum(count, PER_IMAGE))[inverse]
    kept = rank < PER_IMAGE
    at, weight = at[kept], weight[kept]
    new = row[at]
    # of each row, a random part of what is left
    order = np.lexsort((rng.random(len(at)), new))
    at, weight, new = at[order], weight[order], new[order]
    _, start, inverse, count = np.unique(new, return_index=True, return_inverse=True, return_counts=True)
    most = min(PER_ROW, max(PIXELS // max(rows, 1), 100))
    kept = np.arange(len(at)) - start[inverse] < most
    weight = weight * (np.maximum(count, most) / most)[inverse]
    at, weight, new = at[kept], weight[kept], new[kept]
    order = np.argsort(at)
    at = at[order]
    weight = weight[order].astype(np.float32)
    return Pixels(pixels.p[at], new[order], pixels.agree[at], pixels.image[at], weight, rows), at
