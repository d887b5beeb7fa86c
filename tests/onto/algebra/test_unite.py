"""`unite`: in every world that keeps the maps each pixel has one atom, and the maps to the atoms say what is forced."""

from __future__ import annotations

import random
from contextlib import suppress
from itertools import product
from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.chains import Row, forbidden, library, mapped, rows_of, tight
from helpers.examples import examples
from lsu_onto.algebra.union import Union, unite
from lsu_onto.algebra.universal import text
from lsu_onto.errors import UserError
from lsu_onto.library.library import Library
from lsu_onto.ontology.model import Dataset, Source

Pixel = tuple[int, ...]
"""A class of each taxonomy; the number of classes is void."""


class World(NamedTuple):
    """Datasets a, b, c, with the numbers of their classes; the sources s and t; pixels; and maps that are true of them:
    names of dataset and source → rows. The dataset m has the classes of s."""

    sizes: dict[str, int]
    pixels: list[Pixel]
    maps: dict[tuple[str, str], list[Row]]

    def text(self) -> str:
        lines = ["tax 1"]
        for name, n in self.sizes.items():
            kind = "source" if name in "st" else "dataset"
            lines += [f"{kind} {name} v1", *(f"{i} {name}{i}" for i in range(n))]
        for (d, s), rows in self.maps.items():
            lines += [f"map {d} v1 -> {s} v1", *(f"{d}{i} {row.text(s)}" for i, row in enumerate(rows))]
        return "\n".join(lines) + "\n"

    def possible(self) -> list[Pixel]:
        """All pixels that the maps leave, of no class that nobody names."""
        names = list(self.sizes)
        never = {
            (names.index(d), x, names.index(s), y)
            for (d, s), rows in self.maps.items()
            for x, y in forbidden(rows, self.sizes[s])
        }
        return [
            p
            for p in product(*(range(n + 1) for n in self.sizes.values()))
            if not any(p[i] == x and p[j] == y for i, x, j, y in never)
        ]


def drawn(rng: random.Random, datasets: str, void: bool = True, loose: bool = True) -> World:
    """A world, and maps as people write them; not all of them."""
    sizes = {name: rng.randint(1, 3) for name in [*datasets, "s", "t"]} | {"m": 0}
    sizes["m"] = sizes["s"]
    names = list(sizes)

    def pixel() -> Pixel:
        p = {n: rng.randint(0, size - (not void)) for n, size in sizes.items()}
        return tuple((p | {"m": p["s"]}).values())

    pixels = [pixel() for _ in range(rng.randint(1, 12))]
    for i, name in enumerate(names[:-1]):
        for x in range(sizes[name]):
            p = list(pixel())
            p[i] = x
            p[-1] = p[names.index("s")]
            pixels.append(tuple(p))

    def rows(d: str, s: str) -> list[Row]:
        pairs = {(p[names.index(d)], p[names.index(s)]) for p in pixels}
        if not loose:
            return [tight(x, sizes[s], pairs) for x in range(sizes[d])]
        return mapped(sizes[d], sizes[s], pairs, rng)

    maps = {(d, "s"): rows(d, "s") for d in datasets}
    if loose:
        maps |= {(d, "t"): rows(d, "t") for d in datasets if rng.random() < 0.4}
    maps["m", "s"] = [Row({x: "="}) for x in range(sizes["m"])]
    if rng.random() < 0.5:
        maps["m", "t"] = rows("m", "t")
    return World(sizes, pixels, maps)


def united(world: World, names: str) -> tuple[Library, Union]:
    lib = library(world.text())
    findings = [d for d in lib.check("/world/0.tax").diagnostics if d.severity == "error"]
    assert not findings, (world.text(), findings)
    taxonomies: list[Source | Dataset] = [lib.alone(f"{n} v1") for n in names]
    return lib, unite(lib, taxonomies, "u")


def smaller(union: Union, rng: random.Random) -> Union:
    """The union, or one with classes that are merged or dropped."""
    how = rng.choice(["as it is", "as it is", "merged", "dropped", "both"])
    if how in ("dropped", "both"):
        shares = {m.name: np.array([rng.random() for _ in m.taxonomy.classes]) for m in union.members}
        with suppress(UserError):  # nothing would be left
            union = union.drop(0.2, shares)
    if how in ("merged", "both") and len(union.names) > 2:
        union = union.merge([",".join(rng.sample(union.names, 2))])
    return union


@settings(max_examples=examples(150), deadline=None)
@given(st.integers(0, 1 << 30), st.sampled_from(["ab", "abc", "as"]))
def test_the_maps_say_what_all_worlds_force_and_no_more(seed: int, members: str) -> None:
    world = drawn(random.Random(seed), members.replace("s", ""))
    lib, union = united(world, members)
    union = smaller(union, random.Random(seed + 1))
    out = text(lib, union, "unite")
    both = library(world.text(), out)
    findings = [d for d in both.check("/world/1.tax").diagnostics if d.severity == "error"]
    assert not findings, (world.text(), out, findings)
    where = [list(world.sizes).index(n) for n in members]
    of = {}
    for p in world.possible():
        own = tuple(p[i] for i in where)
        atom = union.atoms.of(own)
        of[own] = next((c for c, part in enumerate(union.parts) if atom in part), None)
    assert {tuple(p[i] for i in where) for p in world.pixels} <= of.keys()
    none = len(union.names)
    for i, name in enumerate(members):
        dataset = f"{name}_channels" if name == "s" else name
        rows = rows_of(both.ontology(f"{dataset} v1", "u v1"))
        for x, row in enumerate(rows):
            atoms = {none if atom is None else atom for own, atom in of.items() if own[i] == x}
            why = world.text(), out, name, x
            if row.decision == "void":
                assert any(rows[x].decision == "void" for (d, _), rows in world.maps.items() if d == name), why
                continue
            allowed = (
                {*range(none + 1)} - {*row.excluded} if row.decision else {*row.ops} | ({none} if row.void else set())
            )
            assert allowed - {none} == atoms - {none} and (none in allowed or none not in atoms), why
            for u, op in row.ops.items():
                assert (op in "=>") == all(own[i] == x for own, atom in of.items() if atom == u), why
    for u in range(none):
        assert u in of.values(), (world.text(), out, "an atom that the maps exclude")
    stated = sum(len(row.ops) + 1 for rows in world.maps.values() for row in rows)
    assert len(union.atoms.patterns) <= stated + sum(world.sizes[n] for n in members)


@settings(max_examples=examples(150), deadline=None)
@given(st.integers(0, 1 << 30), st.sampled_from(["ab", "abc"]))
def test_every_atom_has_pixels_where_every_row_says_all_that_is_true(seed: int, members: str) -> None:
    """Where classes overlap as their rows say, and nothing is void, only what is a question may have no pixel."""
    world = drawn(random.Random(seed), members, void=False, loose=False)
    lib, union = united(world, members)
    atoms = {union.atoms.of(p[: len(members)]) for p in world.pixels}
    seen = {c for c, part in enumerate(union.parts) if atoms.intersection(part)}
    asked = {union.names.index(name) for q in union.questions for name in q.classes}
    assert {*range(len(union.names))} - seen <= asked, (world.text(), text(lib, union, ""), sorted(world.pixels))
