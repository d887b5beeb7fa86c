"""What is drawn of a dataset: by hashes of keys and positions alone, so every worker draws the same."""

from __future__ import annotations

import hashlib
import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsu_seg.audit.sample import GRID
from lsu_seg.label_files import count_rows

IMAGES = 256
"""In so many images pixels of a row are drawn."""

GRIDS = 1000
"""So many images have a grid."""

_PROBES = 1 << 14
_MIX = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def seed_of(key: str) -> int:
    """A number of 64 bits that an image's key alone decides."""
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big")


def mixed(seed: int, numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A hash of 64 bits of each number (splitmix64), which is another for another seed.

    >>> mixed(7, np.array([0, 1])).tolist() != mixed(8, np.array([0, 1])).tolist()
    True
    """
    z = np.asarray(numbers).astype(np.uint64) * np.uint64(_MIX[0]) + np.uint64(seed)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(_MIX[1])
    z = (z ^ (z >> np.uint64(27))) * np.uint64(_MIX[2])
    return z ^ (z >> np.uint64(31))


def lots(key: str, rows: int) -> list[int]:
    """The lots of an image, which are small where it is drawn: of each of `rows` rows, of `ROW_VOID`, of the grids."""
    values: list[int] = mixed(seed_of(key), np.arange(1, rows + 3)).tolist()
    return values


def per_image(images: int) -> int:
    """The number of pixels that are drawn of a row in each image of a split of `images`.

    >>> per_image(20), per_image(128), per_image(5000)
    (32, 16, 8)
    """
    return min(32, max(8, 2048 // max(1, min(images, IMAGES))))


class Smallest:
    """The smallest lots of each row so far, and of the grids, in fixed memory.

    Args:
        rows: the number of rows of d.
    """

    def __init__(self, rows: int) -> None:
        self._sizes = [IMAGES] * (rows + 1) + [GRIDS]
        self._heaps: list[list[int]] = [[] for _ in self._sizes]

    def wants(self, row: int, lot: int) -> bool:
        """Whether a lot of this row (`rows`: void, `rows + 1`: grids) is among the smallest."""
        heap = self._heaps[row]
        return len(heap) < self._sizes[row] or lot < -heap[0]

    def add(self, row: int, lot: int) -> None:
        heap = self._heaps[row]
        if len(heap) < self._sizes[row]:
            heapq.heappush(heap, -lot)
        elif lot < -heap[0]:
            heapq.heapreplace(heap, -lot)


@dataclass(frozen=True)
class Points:
    """What is looked at in an image.

    Attributes:
        key: of the image. size: (H, W) of its label. pixels: int64 `[D+1]`, of each row, `ROW_VOID` last.
        row: int64 `[n]`, of each drawn pixel, D for `ROW_VOID`; in the order in which they are drawn within a row.
        y, x: int64 `[5n]` or `[5n + 36·64]`: the pixels, then their four neighbours each, then the grid's cells.
        alike: bool `[n]`, whether the annotation is the same at the four neighbours.
        grid_row: int16 `[36, 64]`, or None if the image has no grid.
    """

    key: str
    size: tuple[int, int]
    pixels: NDArray[np.int64]
    row: NDArray[np.int64]
    y: NDArray[np.int64]
    x: NDArray[np.int64]
    alike: NDArray[np.bool_]
    grid_row: NDArray[np.int16] | None


def draw(key: str, rows: NDArray[np.int16], pixels: NDArray[np.int64], number: NDArray[np.int64], grid: bool) -> Points:
    """Draw pixels of an image.

    Args:
        rows: `[H, W]`, rows of d and `ROW_VOID`. pixels: what `count` returns for them.
        number: int64 `[D+1]`, how many are to be drawn of each row, `ROW_VOID` last. grid: whether to look at its grid.
    """
    height, width = rows.shape
    flat, void = rows.reshape(-1), len(pixels) - 1
    drawn = _positions(flat, seed_of(key), pixels, number)
    row = np.repeat(np.arange(len(pixels)), [len(d) for d in drawn])
    y, x = np.divmod(np.concatenate(drawn), width)
    step = max(1, round(height / 128))
    near = [
        ((y + dy * step).clip(0, height - 1), (x + dx * step).clip(0, width - 1)) for dy in (-1, 1) for dx in (-1, 1)
    ]
    code = np.where(row == void, -1, row)
    alike = np.logical_and.reduce([rows[b, a] == code for b, a in near])
    ys, xs, grid_row = [y, *(b for b, _ in near)], [x, *(a for _, a in near)], None
    if grid:
        down, across = ((np.arange(n) * 2 + 1) * side // (2 * n) for n, side in zip(GRID, rows.shape, strict=True))
        grid_row = rows[np.ix_(down, across)]
        ys.append(np.repeat(down, GRID[1]))
        xs.append(np.tile(across, GRID[0]))
    return Points(key, (height, width), pixels, row, np.concatenate(ys), np.concatenate(xs), alike, grid_row)


def count(rows: NDArray[np.int16], number: int) -> NDArray[np.int64]:
    """The pixels of each of `number` rows, and last of `ROW_VOID`: int64 `[number + 1]`.

    >>> count(np.array([[0, 2, -1, 2]], np.int16), 3).tolist()
    [1, 0, 2, 1]
    """
    counts = count_rows(rows, number)
    return np.append(counts, rows.size - counts.sum())


def _positions(
    flat: NDArray[np.int16], seed: int, pixels: NDArray[np.int64], number: NDArray[np.int64]
) -> list[NDArray[np.int64]]:
    """Of each row, `number` of its pixels (or all, if it has fewer): a uniform choice by hashes."""
    # Positions all over the image hit common rows often enough; only for rare ones the image is searched.
    wanted = np.minimum(number, pixels)
    probes = ((mixed(seed, np.arange(_PROBES)) >> np.uint64(32)) * np.uint64(flat.size) >> np.uint64(32)).astype(
        np.int64
    )
    order = np.unique(probes, return_index=True)[1]
    probes = probes[np.sort(order)]
    hit = flat[probes]
    out = []
    for row in range(len(pixels)):
        code = -1 if row == len(pixels) - 1 else row
        found = probes[:0]
        if wanted[row]:
            found = probes[hit == code]
            if len(found) < wanted[row]:
                found = np.flatnonzero(flat == code)
                found = found[np.argsort(mixed(seed, found), kind="stable")]
        out.append(found[: wanted[row]])
    return out
