"""Random pixel worlds: draw pixels, read the relations off them, and see that the compiler says what was drawn.

A world is an array of (dataset class, source class or void), one pair a pixel: the ground truth of every claim
that a `.tax` file makes.
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import lsu_onto
from helpers.examples import examples
from lsu_onto.constraint.invariants import broken
from lsu_onto.library.library import Library

World = tuple[int, list[tuple[int, int]]]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """K, and pixels (d, s); s == K is void. Few pixels, so that all five relations are common."""
    k = draw(st.integers(1, 6))
    pixels = draw(st.lists(st.tuples(st.integers(0, 5), st.integers(0, k)), min_size=1, max_size=24))
    return k, pixels


def relations(d: int, k: int, pixels: list[tuple[int, int]]) -> dict[int, str]:
    """RCC-5 between dataset class d and every source class that shares a pixel with it; void as `void`."""
    mine = [s for e, s in pixels if e == d]
    out: dict[int, str] = {}
    for s in sorted(set(mine)):
        whole_d = set(mine) == {s}
        whole_s = all(e == d for e, t in pixels if t == s)
        out[s] = "void" if s == k else {(1, 1): "=", (1, 0): "<", (0, 1): ">", (0, 0): "~"}[whole_d, whole_s]
    return out


def row(found: dict[int, str]) -> str:
    """As a person would write it."""
    if list(found.values()) == ["void"]:
        return "! any"
    by_op: dict[str, list[str]] = {}
    for s, op in found.items():
        by_op.setdefault(op, []).append(f"s{s}")
    void = by_op.pop("void", None)
    never = by_op.pop("!", None)
    if void:
        by_op.setdefault("~", []).append("void")
    if never:
        by_op["!"] = never
    return " ".join(f"{op} {' '.join(names)}" for op, names in by_op.items())


def write(k: int, truth: dict[int, dict[int, str]]) -> list[str]:
    lines = ["tax 1", "source world v1", *(f"{s} s{s}" for s in range(k)), "dataset drawn v1 -> world v1"]
    return lines + [f"{d} d{d} {row(found)}" for d, found in truth.items()]


@settings(max_examples=examples(600))
@given(worlds())
def test_what_was_drawn_is_what_is_compiled(world: World) -> None:
    k, pixels = world
    classes = sorted({d for d, _ in pixels})
    truth = {d: relations(d, k, pixels) for d in classes}
    lines = write(k, truth)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "world.tax"
        file.write_text("\n".join(lines) + "\n")
        assert [d for d in Library().check(file).diagnostics if d.severity != "info"] == [], lines
        c = lsu_onto.load(file)
    assert broken(c) is None
    for i, d in enumerate(classes):
        support = set(truth[d])
        assert set(np.flatnonzero(c.allowed[i])) == support
        assert c.relabel[i] == (next(iter(support)) if len(support) == 1 else -1)
        assert c.novel[i] == (support == {k})
        for s in range(k):
            op = truth[d].get(s, "")
            assert c.kind[i, s] == " =<>~".find(op or " ")
            inside = bool(op) and all(e == d for e, t in pixels if t == s)
            assert c.certain[i, s] == inside
    table = np.full(c.raw.max() + 1, lsu_onto.ROW_UNKNOWN)
    table[c.raw] = c.raw_row
    rows = table[[d for d, _ in pixels]]
    assert c.allowed[rows, [s for _, s in pixels]].all()


@settings(max_examples=examples(200))
@given(worlds(), st.data())
def test_a_claim_that_no_world_can_keep_is_found(world: World, data: st.DataObject) -> None:
    """Two dataset classes in one source class, one of which claims all of it."""
    k, pixels = world
    shared = [(d, e, s) for d, s in pixels for e, t in pixels if s == t < k and d != e]
    if not shared:
        return
    d, e, s = data.draw(st.sampled_from(shared))
    lines = [*write(k, {}), f"{d} d{d} > s{s} ~ void", f"{e} d{e} ~ s{s} void"]
    found = Library().check("world.tax", "\n".join(lines)).diagnostics
    assert [x.code for x in found if x.severity != "info"] == ["TAX306"]


def wrong(world: World, rng: random.Random) -> tuple[list[str], dict[int, dict[int, str]]] | None:
    """A true file with one relation changed to another kind; `!` is what stands between classes that never meet."""
    k, pixels = world
    truth = {d: relations(d, k, pixels) for d in sorted({d for d, _ in pixels})}
    d, s = rng.choice(sorted(truth)), rng.randrange(k)
    before = truth[d].get(s, "!")
    after = rng.choice([op for op in "=<>~!" if op != before])
    changed = {s: after, **{t: op for t, op in truth[d].items() if t != s}}
    if after == "!" and before == "!":
        return None
    truth[d] = dict(sorted(changed.items()))
    return write(k, truth), truth


def keeps(world: World, c: lsu_onto.Constraint) -> bool:
    """Whether all that a compiled file claims of pixels holds in a world: S(d) has every pixel, and `certain` is."""
    _, pixels = world
    row = {name: i for i, name in enumerate(c.classes)}
    inside = all(c.allowed[row[f"d{d}"], s] for d, s in pixels)
    whole = all(d == e for i, s in np.argwhere(c.certain) for d, t in pixels if t == s for e in [int(c.classes[i][1:])])
    return inside and whole


def test_one_wrong_relation_is_found_or_is_a_weaker_truth(tmp_path: Path) -> None:
    rng = random.Random(0)
    caught = missed = 0
    while caught + missed < 1500:
        k = rng.randint(1, 6)
        world = k, [(rng.randint(0, 5), rng.randint(0, k)) for _ in range(rng.randint(1, 24))]
        mutated = wrong(world, rng)
        if mutated is None:
            continue
        library = Library()
        text = "\n".join(mutated[0]) + "\n"
        if any(d.severity != "info" for d in library.check("world.tax", text).diagnostics):
            caught += 1
            continue
        missed += 1
        file = tmp_path / "world.tax"
        file.write_text(text)
        assert keeps(world, lsu_onto.load(file)), text
    print(f"caught {caught} of {caught + missed}")
    assert caught >= 0.9 * (caught + missed), (caught, missed)
