"""The pools of the experiments on the audit."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[3] / "tools" / "experiments"))

from audit_table.learn import FEWEST, _tail
from audit_table.looks import SMALLEST, looks
from audit_table.ontologies import draw_world
from audit_table.plants import MISSING, confident_joint, plants
from audit_table.pools import DRAWN, UNKNOWN, VOID, Pool, make_pool

from lsu_seg.audit.findings import Cells, Finding


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


@pytest.fixture(scope="module")
def pool() -> Pool:
    """Eight classes in stripes, and a teacher that is right at four of five pixels."""
    rng = np.random.default_rng(0)
    truths = [np.repeat(rng.permutation(8), 6)[:, None].repeat(64, 1).astype(np.int16) for _ in range(30)]
    asked = iter(truths)

    def teacher(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        truth = next(asked)
        seen = np.where(rng.random(truth.shape) < 0.8, truth, rng.integers(8, size=truth.shape))
        return (np.eye(8, dtype=np.float32)[seen] * 0.6 + 0.05).transpose(2, 0, 1)

    scenes = [(f"s{i:02}", np.zeros((48, 64, 3), np.uint8), t) for i, t in enumerate(truths)]
    return make_pool(tuple("abcdefgh"), scenes, teacher)


def test_classes_of_a_pool_are_merged(pool: Pool) -> None:
    to = np.array([0, 1, 2, 0, 1, 2, 2, 2])
    coarse = pool.merged(to)
    assert coarse.classes.tolist() == ["a+d", "b+e", "c+f+g+h"]
    np.testing.assert_allclose(coarse.p.sum(1), pool.p.astype(float).sum(1), atol=2e-3)
    np.testing.assert_allclose(coarse.p[:, 0], pool.p[:, 0].astype(float) + pool.p[:, 3], atol=1e-3)
    known = pool.row >= 0
    assert (coarse.row[known] == to[pool.row[known]]).all() and (coarse.row[~known] == VOID).all()
    assert (coarse.near == np.where(pool.near == UNKNOWN, UNKNOWN, to[np.minimum(pool.near, 7)])).all()
    np.testing.assert_array_equal(coarse.pixels[:, [1, 3]], pool.pixels[:, [1, 8]] + pool.pixels[:, [4, 8]] * [1, 0])
    assert (coarse.grid_row == to[pool.grid_row]).all() and (coarse.grid_top == to[pool.grid_top]).all()


def test_a_world_says_what_is_really_in_its_rows(pool: Pool) -> None:
    for seed in range(8):
        world = draw_world(pool, seed)
        np.testing.assert_allclose(world.truth.sum(1), 1)
        assert not (world.truth[~world.allowed] > 0).any()  # the map is right
        np.testing.assert_allclose(world.pixels.p.sum(1), 1, rtol=1e-5)
        assert world.grid_row.max() < len(world.allowed) and world.grid_top.max() < len(world.channels)


def test_each_plant_is_one_error_and_knows_when_it_is_named(pool: Pool) -> None:
    world = draw_world(pool, 0)
    made = {plant.kind: plant for plant in plants(world, np.random.default_rng(0))}
    assert {"exchanged", "slipped by one", "permuted", "trainIds", "missing", "wrong row", "void hides"} <= set(made)
    nothing = Cells(*(np.full((len(world.allowed), len(world.channels)), np.inf, np.float32),) * 3)
    for kind in ("exchanged", "slipped by one", "trainIds"):
        plant = made[kind]
        assert (plant.allowed.shape != world.allowed.shape) or (plant.allowed != world.allowed).any()
        assert plant.judge([], nothing) == {"first": False, "exact": False}
    plant = made["exchanged"]
    a, b = np.flatnonzero((plant.allowed != world.allowed).any(1)).tolist()
    right = {d: tuple(np.flatnonzero(world.allowed[d]).tolist()) for d in (a, b)}
    assert plant.judge([Finding("exchanged", (a, b), changes=right)], nothing) == {"first": True, "exact": True}
    half = {a: right[a]}
    assert plant.judge([Finding("exchanged", (a, b), changes=half)], nothing) == {"first": True, "exact": False}


def test_several_classes_are_missing_one_at_a_time(pool: Pool) -> None:
    for seed in range(4):
        world = draw_world(pool, seed)
        out = [p.allowed for p in plants(world, np.random.default_rng(seed)) if p.kind == "missing"]
        gone = [np.argwhere(world.allowed & ~allowed).tolist() for allowed in out]
        assert all(len(pairs) == 1 and world.truth[tuple(pairs[0])] > 0.1 for pairs in gone)
        assert len({tuple(pairs[0]) for pairs in gone}) == len(gone) <= MISSING
        assert not any((allowed & ~world.allowed).any() for allowed in out)


def test_looks_are_at_a_right_map_and_at_maps_with_one_error(pool: Pool, tmp_path: Path) -> None:
    pool.save(tmp_path / "pool.npz")
    right, *others = looks(tmp_path / "pool.npz", 3)
    assert right.kind == "right" and not (right.truth[~right.allowed] > 0).any()
    # a teacher that is right at four of five pixels leaves most of each row that clearly shows something else
    assert ((right.left == np.inf) | ((right.left > 0.5) & (right.left <= 1))).all()
    for look in others:
        assert (look.allowed != right.allowed).any(1).nonzero()[0].tolist() == [look.d]
        if look.kind == "missing":
            assert (right.allowed ^ look.allowed)[look.d].nonzero()[0].tolist() == [look.c]
            assert look.truth[look.d, look.c] > SMALLEST
    assert {look.kind for look in others} >= {"missing", "void hides"}


@pytest.mark.parametrize("each", [1.0, 1.7])
def test_a_tail_expects_of_the_maps_that_it_was_counted_on_what_they_have(each: float) -> None:
    rng = np.random.default_rng(0)
    maps: list[NDArray[np.float64]] = [rng.exponential(size=n) for n in (40, 200, 90)]
    maps[0][:30] = -np.inf  # candidates that cannot become a finding
    candidates = each * sum(map(len, maps))
    tail = _tail(maps, candidates)
    for score in tail.scores:
        assert float(tail(score)) * candidates == pytest.approx(sum((values > score).sum() for values in maps))
    assert (np.concatenate(maps) > tail.scores[-1]).sum() == FEWEST
    with pytest.raises(SystemExit, match="learn from more worlds"):
        _tail([np.full(1000, -np.inf)])


def test_the_confident_joint_sees_what_is_missing(pool: Pool) -> None:
    world = draw_world(pool, 3)
    joint = confident_joint(world.pixels, world.allowed)
    k = len(world.channels)
    closed = ~world.allowed[:, k] & ~world.allowed[:, :k].all(1)
    assert joint[closed][world.truth[closed, :k] > 0.3].min() > joint[closed][world.truth[closed, :k] == 0].max()
