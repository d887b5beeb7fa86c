"""Which images to open for a class: spread over the whole dataset, and in each part of it the one with most of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from lsu_seg.label_files import LabelReader
from lsu_seg.layout.pairs import Pair

SEGMENTS = 64
"""The images, sorted by key, are divided into so many parts."""


class Sighting(NamedTuple):
    """An image and its label, and what reads the label."""

    pair: Pair
    reader: LabelReader


class Candidates:
    """For each row of d and each segment, the image with the most pixels of the row. Its size is fixed.

    >>> from pathlib import Path
    >>> candidates = Candidates()
    >>> for i, pixels in enumerate([5, 9, 7]):
    ...     candidates.add(i / 3, [(0, pixels)], Sighting(Pair(Path("a"), Path("b"), f"{i}"), None))
    >>> [sighting.pair.key for sighting in candidates.of(0, 2)]
    ['1', '2', '0']
    """

    def __init__(self) -> None:
        self._best: dict[int, dict[int, tuple[int, Sighting]]] = {}

    def add(self, place: float, rows: Iterable[tuple[int, int]], sighting: Sighting) -> None:
        """Add an image.

        Args:
            place: where it is among all images, from 0 to 1.
            rows: the rows of d in it, each with its pixels.
        """
        segment = int(place * SEGMENTS)
        for row, pixels in rows:
            best = self._best.setdefault(row, {})
            if pixels > (best[segment][0] if segment in best else 0):
                best[segment] = pixels, sighting

    @property
    def rows(self) -> list[int]:
        """The rows that any image has."""
        return sorted(self._best)

    def of(self, row: int, number: int) -> list[Sighting]:
        """The images to open for a row, in this order, until `number` of them could be shown.

        The first are the best of `number` parts of the dataset, the others follow by their pixels.
        """
        best = [entry for _, entry in sorted(self._best.get(row, {}).items())]
        parts = [part for part in np.array_split(np.arange(len(best)), number) if len(part)]
        first = [max(part.tolist(), key=lambda i: best[i][0]) for part in parts]
        rest = sorted(set(range(len(best))) - set(first), key=lambda i: -best[i][0])
        return [best[i][1] for i in [*first, *rest]]
