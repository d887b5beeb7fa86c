"""Facts and their composition against all small worlds: nothing true is ruled out, and nothing is left open in vain."""

from __future__ import annotations

import random
from time import process_time

import numpy as np
import pytest

from lsu_onto.algebra.facts import CONTAINS, DISJOINT, EQUAL, INSIDE, OVERLAPS, possible, product


def relation(first: int, second: int) -> int:
    """RCC-5 between two sets of pixels, as bits."""
    if not first & second:
        return DISJOINT
    if first == second:
        return EQUAL
    return INSIDE if not first & ~second else CONTAINS if not second & ~first else OVERLAPS


def by_brute_force(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The relations and the meetings of d and t (void last) over every world: each atom (d, s, t) present or absent."""
    atoms = [(d, s, t) for d, s, t in np.ndindex(len(a), len(b), b.shape[1]) if a[d, s] and b[s, t]]

    def of(position: int, value: int) -> int:
        return sum(1 << i for i, atom in enumerate(atoms) if atom[position] == value)

    ds, ss, ts = (
        [of(p, v) for v in range(n)] for p, n in enumerate((len(a), len(b), b.shape[1]))
    )  # each class as a set of atoms
    sets, met = np.zeros((len(ds) - 1, len(ts) - 1), np.uint8), np.zeros((len(ds), len(ts)), bool)
    classes = [*ds[:-1], *ss[:-1], *ts[:-1]]
    for world in range(1 << len(atoms)):
        if not all(world & c for c in classes):
            continue
        for d, t in np.ndindex(*sets.shape):
            sets[d, t] |= relation(world & ds[d], world & ts[t])
        for d, t in np.ndindex(*met.shape):
            met[d, t] |= bool(world & ds[d] & ts[t])
    return sets, met


def random_matrix(rng: random.Random, rows: int, columns: int) -> np.ndarray:
    may = np.array([[rng.random() < 0.45 for _ in range(columns + 1)] for _ in range(rows + 1)])
    may[rows] |= np.array([rng.random() < 0.4 for _ in range(columns + 1)])
    return may


@pytest.mark.parametrize("seed", range(60))
def test_two_maps_leave_open_just_what_some_world_has(seed: int) -> None:
    rng = random.Random(seed)
    while True:
        d, s, t = rng.randint(1, 3), rng.randint(1, 2), rng.randint(1, 3)
        a, b = random_matrix(rng, d, s), random_matrix(rng, s, t)
        if 0 < sum(a[:, m].sum() * b[m].sum() for m in range(s + 1)) <= 11:
            break
    sets, met = by_brute_force(a, b)
    assert possible([a, b]).tolist() == sets.tolist()
    if met.any():  # the maps do not contradict each other
        assert product(a, b)[:d].tolist() == met[:d].tolist()


def test_products_are_those_of_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    monkeypatch.setattr("lsu_onto.algebra.facts._SMALL", 0)
    for d, m, k in ((1, 1, 1), (3, 9, 17), (20, 8, 3), (5, 0, 4), (0, 3, 2)):
        for share in (0, 0.1, 0.9, 1):
            a, b = rng.random((d, m)) < share, rng.random((m, k)) < 1 - share / 2
            assert np.array_equal(product(a, b), a.astype(int) @ b.astype(int) > 0)


def test_thousands_of_classes_take_no_time() -> None:
    """As numbers, these matrices take 400 billion steps."""
    start = process_time()
    assert np.array_equal(product(np.eye(6000, dtype=bool), ~np.eye(6000, dtype=bool)), ~np.eye(6000, dtype=bool))
    assert process_time() - start < 4
