"""A sample of six rows and five source classes, drawn without pictures."""

from __future__ import annotations

import numpy as np

from lsu_seg.audit.sample import GRID, Sample

SOURCE = ("road", "grass", "tree", "car", "sky")
ROWS = ("way", "green", "cars", "sky", "rest", "noise")
SHOWN: dict[int, list[int]] = {0: [0], 1: [1, 2], 2: [3], 3: [4], 4: [0, 1, 2, 3, 4]}
"""What pixels of a row show; `noise` shows nothing that the teacher knows."""


def drawn(images: int = 30, each: int = 10) -> Sample:
    """The teacher is right with three pixels of four, and says so."""
    rng = np.random.default_rng(5)
    row = np.repeat(np.tile(np.arange(len(ROWS)), images), each)
    n, k = len(row), len(SOURCE)
    image = np.repeat(np.arange(images), each * len(ROWS))
    shown = np.array([rng.choice(SHOWN[d]) if d in SHOWN else -1 for d in row.tolist()])
    p = rng.dirichlet(np.full(k, 2.0), n) * 0.5
    best = np.where(rng.random(n) < 0.75, shown, rng.integers(k, size=n))
    p[shown >= 0, best[shown >= 0]] += 0.5
    return Sample(
        classes=SOURCE, rows_of=ROWS, p=np.round(255 * p / p.sum(1, keepdims=True)).astype(np.uint8), void=None,
        row=row.astype(np.int16), agree=best == shown, image=image.astype(np.int32),
        place=np.zeros((n, 2), np.uint16), weight=np.ones(n, np.float32), keys=tuple(map(str, range(images))),
        size=np.full((images, 2), 64, np.int32), pixels=np.full((images, len(ROWS) + 1), each),
        grid_image=np.zeros(0, np.int32), grid_row=np.zeros((0, *GRID), np.int16),
        grid_top=np.zeros((0, *GRID, 2), np.uint16), images=images, unasked=np.zeros(len(ROWS) + 1, np.int64),
    )  # fmt: skip
