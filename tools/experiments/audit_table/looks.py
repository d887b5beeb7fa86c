"""Maps over a pool's scenes, right ones and ones with an error, and what the statistics say of each."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audit_table.ontologies import World, draw_world
from audit_table.pools import Pool
from lsu_seg.audit.files import pairing
from lsu_seg.audit.judge import enough, share_granted, statistics
from lsu_seg.audit.presence import Presence
from lsu_seg.audit.rows import closed_rows
from lsu_seg.audit.scores import CLEAR, outside

SMALLEST = 0.03
"""Share of the smallest class that is taken out."""
FEWEST_CLASSES = 3
"""Every other world has coarser classes, down to so many: the source of a map may have few, too."""
FEWEST_IMAGES = 15
"""Datasets are small and large: a model that saw only large ones would make much of a few images fewer."""


class Look(NamedTuple):
    """A map and its statistics.

    Attributes:
        d, c: what was planted. truth: float `[D, K+1]`, the shares of the true classes.
        order: of `pairing`, for a right map; NaN if nothing can be said.
        left: float `[D]`, of a right map: how much of each row is what it allows, to a teacher adapted to a map that
            also allows what the row shows most beside that; infinite for rows that clearly show nothing else.
    """

    kind: str
    d: int
    c: int
    allowed: NDArray[np.bool_]
    judged: NDArray[np.bool_]
    truth: NDArray[np.float64]
    statistics: Presence
    order: float
    left: NDArray[np.float64]


def looks(path: Path, seed: int) -> list[Look]:
    """A right map and several with one error each, over some of the pool's images."""
    rng = np.random.default_rng([seed, 9])
    pool = Pool.load(path)
    if rng.random() < 0.5:
        fine, coarse = len(pool.classes), int(rng.integers(FEWEST_CLASSES, len(pool.classes)))
        pool = pool.merged(rng.permutation(np.append(np.arange(coarse), rng.integers(coarse, size=fine - coarse))))
    count = len(pool.keys)
    few = int(count * np.exp(-rng.random() * np.log(count / FEWEST_IMAGES)))
    world = draw_world(pool.some(np.sort(rng.choice(count, few, replace=False))), seed)
    judged = enough(world.pixels)
    k = world.allowed.shape[1] - 1
    pairs = pairing(world.grid_row, world.grid_top, len(world.allowed), k)
    right = _look(world, judged, "right", world.allowed)
    left = _left(world, right.statistics.share)
    out = [right._replace(order=pairs.order if pairs else np.nan, left=left)]
    closed = closed_rows(world.allowed) & judged
    inside, truth = world.allowed[:, :k] & closed[:, None], world.truth[:, :k]
    large = np.argwhere(inside & (truth > SMALLEST) & (inside.sum(1) > 1)[:, None])
    for d, c in rng.permutation(large)[:4].tolist():
        out.append(_look(world, judged, "missing", _changed(world, d, ~np.eye(k + 1, dtype=bool)[c]), d, c))
    for d in rng.permutation(np.flatnonzero(closed))[:3].tolist():
        out.append(_look(world, judged, "void hides", _changed(world, d, np.zeros(k + 1, bool), k), d))
    void = np.flatnonzero(world.allowed[:, k] & ~world.allowed[:, :k].any(1) & judged)
    for d in void.tolist():
        for c in rng.permutation(k)[:3].tolist():
            out.append(_look(world, judged, "really void", _changed(world, d, np.zeros(k + 1, bool), c), d))
    return out


def _changed(world: World, d: int, keep: NDArray[np.bool_], add: int | None = None) -> NDArray[np.bool_]:
    allowed = world.allowed.copy()
    allowed[d] &= keep
    if add is not None:
        allowed[d, add] = True
    return allowed


def _look(
    world: World, judged: NDArray[np.bool_], kind: str, allowed: NDArray[np.bool_], d: int = -1, c: int = -1
) -> Look:
    nothing = np.full(len(allowed), np.inf)
    return Look(kind, d, c, allowed, judged, world.truth, statistics(world.pixels, allowed), np.nan, nothing)


def _left(world: World, share: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.full(len(world.allowed), np.inf)
    inside = world.allowed[:, :-1]
    for d in np.flatnonzero(closed_rows(world.allowed)):
        seen = outside(share[d], inside[d])
        if share[d, seen[0]] > CLEAR:
            out[d] = share_granted(world.pixels, world.allowed, [(d, c) for c in seen])[d, inside[d]].sum()
    return out
