"""Composed maps are true in every world that keeps their parts, and no row is wider than these force."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.chains import Row, forbidden, library, mapped, rows_of, text
from helpers.examples import examples
from lsu_onto.algebra.compose import compose
from lsu_onto.algebra.ways import way


def composed(sizes: tuple[int, int, int], first: list[Row], second: list[Row]) -> tuple[str, list[Row]]:
    """The text of the composed map, and its rows as they are read again."""
    parts = text(sizes, first, second)
    lib = library(parts)
    findings = [d for d in lib.check("/world/0.tax").diagnostics if d.severity != "info"]
    assert not findings, (parts, findings)
    out = compose(lib, way(lib, ["d", "s", "t"]))
    both = library(parts, out)
    findings = [d for d in both.check("/world/1.tax").diagnostics if d.severity != "info"]
    assert not findings, (parts, out, findings)
    return out, rows_of(both.ontology("d", "t"))


@st.composite
def chains(draw: st.DrawFn) -> tuple[tuple[int, int, int], set[tuple[int, int, int]], random.Random]:
    sizes = draw(st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)))
    pixel = st.tuples(*(st.integers(0, n) for n in sizes))
    pixels = set(draw(st.lists(pixel, min_size=1, max_size=20)))
    pixels |= {(d, draw(st.integers(0, sizes[1])), draw(st.integers(0, sizes[2]))) for d in range(sizes[0])}
    return sizes, pixels, random.Random(draw(st.integers(0, 1 << 30)))


@settings(max_examples=examples(200), deadline=None)
@given(chains())
def test_what_is_composed_holds_in_the_world(
    chain: tuple[tuple[int, int, int], set[tuple[int, int, int]], random.Random],
) -> None:
    sizes, pixels, rng = chain
    first = mapped(sizes[0], sizes[1], {(d, s) for d, s, _ in pixels}, rng)
    second = mapped(sizes[1], sizes[2], {(s, t) for _, s, t in pixels}, rng)
    out, rows = composed(sizes, first, second)
    wrong = {(d, t) for d, _, t in pixels} & set(forbidden(rows, sizes[2]))
    assert not wrong, (text(sizes, first, second), out)


SMALL = [(2, 1, 2), (2, 2, 1), (1, 2, 2), (1, 3, 1), (3, 1, 1), (1, 1, 3)]


@pytest.mark.parametrize("seed", range(60))
def test_no_row_is_wider_than_all_small_worlds_force(seed: int) -> None:
    """Every world of pixels (d, s, t), each there or not: what holds in all that keep the maps, the result says."""
    rng, sizes = random.Random(seed), SMALL[seed % len(SMALL)]
    n, m, k = sizes
    atoms = [a for a in np.ndindex(n + 1, m + 1, k + 1) if a != (n, m, k)]
    often = [3.0 ** sum(c < size for c, size in zip(a, sizes, strict=True)) for a in atoms]  # less void
    true = set(rng.choices(atoms, often, k=rng.randint(2, 6)))
    first = mapped(n, m, {(d, s) for d, s, _ in true}, rng)
    second = mapped(m, k, {(s, t) for _, s, t in true}, rng)
    worlds = np.arange(1 << len(atoms), dtype=np.uint32)

    def bits(d: int | None = None, s: int | None = None, t: int | None = None) -> np.uint32:
        chosen = [all(w is None or w == v for w, v in zip((d, s, t), atom, strict=True)) for atom in atoms]
        return np.uint32(sum(1 << i for i, c in enumerate(chosen) if c))

    for d, s in forbidden(first, m):
        worlds = worlds[worlds & bits(d=d, s=s) == 0]
    for s, t in forbidden(second, k):
        worlds = worlds[worlds & bits(s=s, t=t) == 0]
    for name, count in (("d", n), ("s", m), ("t", k)):
        for c in range(count):
            worlds = worlds[worlds & bits(**{name: c}) != 0]
    if not worlds.size:
        return
    out, rows = composed(sizes, first, second)
    why = text(sizes, first, second), out
    for d, t in forbidden(rows, k):
        assert not (worlds & bits(d=d, t=t)).any(), why
    for d, row in enumerate(rows):
        if first[d].decision or row.decision == "void":
            continue
        never = {t for t in range(k + 1) if not (worlds & bits(d=d, t=t)).any()}
        if row.decision:
            assert never == set(row.excluded), why
            continue
        assert never == {*range(k), *([] if row.void else [k])} - row.ops.keys() | ({k} if not row.void else set()), why
        for t, op in row.ops.items():
            whole = not any((worlds & bits(d=e, t=t)).any() for e in range(n + 1) if e != d)
            assert (op in "=>") == whole, why
