"""Random maps over pixels whose source class is known: what a rehearsal plays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsu_seg.audit.pixels import Pixels, redraw
from lsu_seg.audit.presence import Opinion

LEFTOVER = 0.05
"""A pixel of a hidden class is used if the teacher gave other classes so much: what it says without it is known."""
ENOUGH = 8
"""A class occurs in the dataset if at least so many sampled pixels are taken for it."""


@dataclass(frozen=True)
class Mock:
    """A random map that is right, and the pixels under it.

    Attributes:
        pixels: with D rows. allowed: bool `[D, K+1]`; the last row is `-> void` if a class was hidden from the teacher.
        share: float64 `[D, K]`, the part of each row's pixels that is each class.
        origin: int64 `[D, K]`, the row of the dataset that most of what looks like c comes from.
        source_row: int64 `[D]`, the row of the dataset that most of each row's pixels come from.
        hidden: the row whose class the teacher does not have, or -1.
    """

    pixels: Pixels
    allowed: NDArray[np.bool_]
    share: NDArray[np.float64]
    origin: NDArray[np.int64]
    source_row: NDArray[np.int64]
    hidden: int


def assumed_classes(o: Opinion, rng: np.random.Generator) -> NDArray[np.int64]:
    """A class for every pixel, drawn from the teacher's opinion within S(d); -1 where S(d) is everything or has void.

    Drawn, and not the best one: the best class of an unsure teacher would make it look better than it is.
    """
    part = o.q * o.allowed[o.pixels.row]
    total = part.sum(1)
    pick = (part.cumsum(1) < (rng.random(len(part)) * total)[:, None]).sum(1)
    bound = o.closed[o.pixels.row] & (total > 1e-6)
    return np.where(bound, np.minimum(pick, part.shape[1] - 1), -1)


def random_map(
    pixels: Pixels, classes: NDArray[np.int64], rows: int, spread: float, hide: bool, rng: np.random.Generator
) -> Mock:
    """Put each class into a row, some into two, and draw the pixels anew.

    Args:
        classes: int `[N]`, the source class of each pixel; -1 unknown. rows: how many rows, at most. spread: rows per
            class. hide: take one class out of the teacher's channels; its pixels become a row of their own.
    """
    k = pixels.p.shape[1]
    known = classes >= 0
    occurs = np.flatnonzero(np.bincount(classes[known], minlength=k) >= ENOUGH)
    hidden = int(rng.choice(occurs)) if hide and len(occurs) > 4 else -1
    left = occurs[occurs != hidden]
    rows = int(np.clip(rows, 2, max(len(left), 2)))
    first = rng.integers(rows, size=(k,))
    first[rng.permutation(left)[:rows]] = rng.permutation(rows)[: min(rows, len(left))]
    second = np.full(k, -1)
    for c in rng.permutation(k)[: round(k * float(np.clip(spread - 1, 0, 0.7)))]:
        second[c] = (first[c] + rng.integers(1, rows)) % rows
    if hidden >= 0:
        first[hidden], second[hidden] = rows, -1
    total = rows + (hidden >= 0)
    allowed = np.zeros((total, k + 1), bool)
    allowed[first, np.arange(k)] = True
    allowed[second[second >= 0], np.flatnonzero(second >= 0)] = True
    if hidden >= 0:
        allowed[rows, k] = True
    # a shared class is divided differently in each image
    c = np.maximum(classes, 0)
    images, at = np.unique(pixels.image, return_inverse=True)
    lean = rng.random((len(images), k)) * 0.8 + 0.1
    moved = (second[c] >= 0) & (rng.random(len(c)) < lean[at, c])
    row = np.where(moved, second[c], first[c])
    if hidden >= 0:
        known = known & ((classes != hidden) | (pixels.p[:, hidden] < 1 - LEFTOVER))
    drawn, at = redraw(pixels, np.where(known, row, -2), total, rng)
    share = np.zeros((total, k))
    np.add.at(share, (drawn.row, c[at]), drawn.weight)
    share /= np.maximum(share.sum(1, keepdims=True), 1e-9)
    evidence = np.zeros((pixels.rows + 1, total, k))
    np.add.at(evidence, (pixels.row[at], drawn.row), drawn.p)
    origin = evidence.argmax(0)
    came = np.zeros((pixels.rows + 1, total), np.int64)
    np.add.at(came, (pixels.row[at], drawn.row), 1)
    if hidden >= 0:
        keep = np.arange(k) != hidden
        p = drawn.p[:, keep] + 1e-6
        drawn = Pixels(p / p.sum(1, keepdims=True), drawn.row, drawn.agree, drawn.image, drawn.weight, total)
        allowed, share, origin = allowed[:, np.append(keep, True)], share[:, keep], origin[:, keep]
    return Mock(drawn, allowed, share, origin, came.argmax(0), rows if hidden >= 0 else -1)
