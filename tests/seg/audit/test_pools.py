"""The pools of the experiments on the audit."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "tools" / "experiments"))

from audit_table.pools import DRAWN, VOID, Pool, make_pool


def test_a_pool_has_truth_evidence_and_weights_that_add_up(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    truths = [np.repeat(rng.integers(-1, 3, (6, 8)), 8, 0).repeat(8, 1).astype(np.int16) for _ in range(3)]
    scenes = [(f"s{i}", np.zeros((*t.shape, 3), np.uint8), t) for i, t in enumerate(truths)]
    asked = iter(truths)

    def teacher(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """It takes class 2 for class 1, and is right else."""
        seen = np.maximum(next(asked), 0)
        return np.eye(3, dtype=np.float32)[np.where(seen == 2, 1, seen)].transpose(2, 0, 1)

    made = make_pool(("a", "b", "c"), scenes, teacher)
    made.save(tmp_path / "pool.npz")
    pool = Pool.load(tmp_path / "pool.npz")
    truth = np.array([truths[i][tuple(at)] for i, at in zip(pool.image, pool.place, strict=True)])
    assert (pool.row == truth).all() and (pool.row == VOID).any()
    known = pool.row >= 0
    assert (pool.p.argmax(1)[known] == np.where(truth == 2, 1, truth)[known]).all()
    for i, whole in enumerate(truths):
        for c in (VOID, 0, 1, 2):
            here = (pool.image == i) & (pool.row == c)
            pixels = np.count_nonzero(whole == c)
            assert here.sum() == min(DRAWN, pixels) and pool.weight[here].sum() == pytest.approx(pixels)
            assert pool.pixels[i, c] == pixels
    union = np.mean([np.count_nonzero(t == 1) for t in truths]) / np.mean([np.count_nonzero(t >= 1) for t in truths])
    assert pool.miou == pytest.approx((1 + union + 0) / 3)
