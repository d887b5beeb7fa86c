"""Random ontologies over a pool whose true classes are known, and what can be wrong with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit_table.pools import Pool
from lsu_seg.audit.pixels import Pixels, redraw


@dataclass(frozen=True)
class World:
    """A dataset with the truth about it.

    Attributes:
        pixels: under the rows as annotated. allowed: bool `[D, K+1]`, as the map says. truth: float `[D, K+1]`, the
            share of each true class in each row, void last. grid_row, grid_top: as in a Sample. keys: number of images.
        channels: int `[K]`, the pool's classes that the teacher has.
    """

    pixels: Pixels
    allowed: NDArray[np.bool_]
    truth: NDArray[np.float64]
    grid_row: NDArray[np.int64]
    grid_top: NDArray[np.int64]
    keys: int
    channels: NDArray[np.int64]


def draw_world(pool: Pool, seed: int) -> World:
    """A clean ontology: random groups of the source's classes, a third of them shared between two rows.

    One class of the source is held out: the teacher's channel of it is removed, as if it had never known the class, and
    its pixels become a row of their own that is `-> void` (in half of the worlds). One row in three worlds is `-> any`.
    """
    rng = np.random.default_rng([seed, 77])
    count = len(pool.classes)
    occurs = np.flatnonzero(pool.pixels[:, :count].sum(0) > 0)
    hidden = int(rng.choice(occurs)) if rng.random() < 0.5 and count > 4 else -1
    channels = np.array([c for c in range(count) if c != hidden])
    k = len(channels)
    groups = int(rng.integers(max(3, k // 2), k + 1))
    home = np.full((count, 2), -1)
    home[rng.permutation(channels), 0] = np.concatenate([rng.permutation(groups), rng.integers(groups, size=k)])[:k]
    shared = rng.permutation(channels)[: round(k / 3)]
    for c in shared:
        home[c, 1] = rng.choice([r for r in range(groups) if r != home[c, 0]])
    rows = groups
    row_hidden = -1
    if hidden >= 0:
        row_hidden, rows = rows, rows + 1
        home[hidden, 0] = row_hidden
    any_row = int(rng.integers(groups)) if rng.random() < 1 / 3 else -1
    allowed = np.zeros((rows, k + 1), bool)
    index = {int(c): i for i, c in enumerate(channels)}
    for c in channels:
        for r in home[c]:
            if r >= 0:
                allowed[r, index[int(c)]] = True
    if any_row >= 0:
        allowed[any_row] = True
    if row_hidden >= 0:
        allowed[row_hidden, k] = True
    # of a shared class, each image is cut into blocks that belong to one row or the other
    part = rng.random(count) * 0.6 + 0.2
    block = _blocks(pool, seed)
    second = block < part[np.maximum(pool.row, 0)]
    truth = pool.row.astype(np.int64)
    row = np.where(truth >= 0, home[np.maximum(truth, 0), 0], -1)
    has = (truth >= 0) & (home[np.maximum(truth, 0), 1] >= 0) & second
    row = np.where(has, home[np.maximum(truth, 0), 1], row)
    p = pool.p[:, channels].astype(np.float32) + 1e-6
    p = np.round(p / p.sum(1, keepdims=True) * 255) / 255  # as a sample stores it
    p /= p.sum(1, keepdims=True)
    # the annotation around a pixel is that of its own row
    near = pool.near.astype(np.int64)
    near_row = np.where(near < 255, home[np.minimum(near, count - 1), 0], -1)
    near_two = np.where(near < 255, home[np.minimum(near, count - 1), 1], -1)
    agree = pool.top_agrees & ((near_row == row[:, None]) | (near_two == row[:, None])).all(1)
    pixels = Pixels(p, row, agree, pool.image.astype(np.int64), pool.weight.astype(np.float32), rows)
    pixels, at = redraw(pixels, row, rows, rng)
    classes = truth[at]
    share = np.zeros((rows, k + 1))
    for r in range(rows):
        at = pixels.row == r
        for c in range(k):
            share[r, c] = pixels.weight[at & (classes == channels[c])].sum()
        share[r, k] = pixels.weight[at & ((classes == hidden) | (classes < 0))].sum() if at.any() else 0
        share[r] /= max(share[r].sum(), 1e-9)
    g = pool.grid_row.astype(np.int64)
    grid_row = np.where(g >= 0, home[np.maximum(g, 0), 0], -1)
    cut = _hash(np.arange(g.size).reshape(g.shape) // 64, seed) < part[np.maximum(g, 0)]
    grid_row = np.where((g >= 0) & (home[np.maximum(g, 0), 1] >= 0) & cut, home[np.maximum(g, 0), 1], grid_row)
    to = np.full(count + 1, 0)
    to[channels] = np.arange(k)
    top = pool.grid_top.astype(np.int64)
    if hidden >= 0:
        gone = top == hidden
        top = np.where(gone, top[..., ::-1], top)
    return World(pixels, allowed, share, grid_row, to[np.minimum(top, count)], len(pool.keys), channels)


def _hash(x: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    x = (x.astype(np.uint64) + np.uint64(seed * 7919 + 13)) * np.uint64(0x9E3779B97F4A7C15)
    x ^= x >> np.uint64(29)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    return (x >> np.uint64(11)).astype(np.float64) / 2.0**53


def _blocks(pool: Pool, seed: int) -> NDArray[np.float64]:
    """A random number of each pixel's block: 8 by 8 blocks in an image."""
    size = pool.size[pool.image]
    y = pool.place[:, 0] * 8 // size[:, 0]
    x = pool.place[:, 1] * 8 // size[:, 1]
    return _hash(pool.image.astype(np.int64) * 64 + y * 8 + x, seed)
