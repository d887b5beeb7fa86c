"""`lsu-onto compose`: maps in a row, as the one map from the first dataset to the last source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np

from lsu_onto.algebra.facts import Matrix, Step, ignores, possible
from lsu_onto.algebra.ways import is_bridge
from lsu_onto.algebra.wording import anything, checked, few, map_text, need_a_world, relation
from lsu_onto.library.library import Library
from lsu_onto.ontology.model import MapRow, Source, Taxonomy

COMMAND = "lsu-onto compose "
"""How the comment begins in which a composed file says of which chain it is."""


class ComposedRow(NamedTuple):
    """What follows for a class d.

    Attributes:
        allowed: S(d), bool [K + 1].
        decision: `void` or `any`, where somebody decided that.
        ways: what d may be in each taxonomy on the way, itself first.
        note: in words, through which classes it came.
    """

    allowed: Matrix
    decision: str
    ways: list[Matrix]
    note: str


def compose(library: Library, steps: Sequence[Step]) -> str:
    """The text of a `.tax` file with the map that follows from several in a row.

    Args:
        library: where the maps come from.
        steps: the maps; the first starts at a dataset, the last ends at a source.

    Raises:
        UserError: no pixels keep the maps, so that nothing follows; or the text would not be valid.
    """
    dataset, source = steps[0].start, steps[-1].end
    assert isinstance(source, Source)
    matrices = [s.may for s in steps]
    sets = possible(matrices)
    need_a_world(steps, matrices, sets)
    rows, stops = [], _stops(steps)
    for d, (cls, row) in enumerate(zip(dataset.classes, _rows(steps, matrices), strict=True)):
        if row.decision:
            words = ("-> void",) if row.decision == "void" else anything(row.allowed, source)
        else:
            words = relation(row.allowed, sets[d], source, _is_vague(stops, row.ways))
        rows.append((cls.name, words, [row.note]))
    files = [
        f"{s.map.dataset.name} {s.map.dataset.version} -> {s.map.source.name} {s.map.source.version}" for s in steps
    ]
    about = [f"{COMMAND}{' '.join(names_on_the_way(steps))}", f"From the maps {', '.join(files)}"]
    text = map_text(dataset, source, rows, about)
    return checked(library, text, f"the map of `{dataset.name}` to `{source.name}`", [dataset, source])


def composed_rows(steps: Sequence[Step]) -> list[ComposedRow]:
    """The row of each class of the first dataset, as `compose` writes it.

    Raises:
        UserError: no pixels keep the maps, so that nothing follows.
    """
    matrices = [s.may for s in steps]
    need_a_world(steps, matrices, possible(matrices))
    return list(_rows(steps, matrices))


def names_on_the_way(steps: Sequence[Step]) -> list[str]:
    """The taxonomies of a chain, as the command names them: a dataset called as its source is found without that."""
    called = (f"{s.start.name}@{s.start.version}" for s in steps[:1])
    ends = (
        f"{s.end.name}@{s.end.version}"
        for s in steps
        if not (s.backwards and (s.end.name, s.end.version) == (s.start.name, s.start.version))
    )
    return [*called, *ends]


def _rows(steps: Sequence[Step], matrices: Sequence[Matrix]) -> Iterator[ComposedRow]:
    first, stops = {row.cls: row for row in steps[0].map.rows}, _stops(steps)
    for d in range(len(steps[0].start.classes)):
        ways = list(accumulate(matrices, lambda at, m: m[at].any(0), initial=np.arange(len(matrices[0])) == d))
        row = first.get(d)
        void = np.arange(len(ways[-1])) == len(ways[-1]) - 1
        if row is not None and row.decision is not None:
            allowed = void if ignores(row) else _left_open(row, matrices)
            yield ComposedRow(allowed, row.decision.to, ways, f"decided in the map to {steps[0].end.name}")
        elif _is_ignored(stops, ways):
            yield ComposedRow(void, "void", ways, _note(stops, ways))
        else:
            yield ComposedRow(ways[-1], "", ways, _note(stops, ways))


def _left_open(row: MapRow, matrices: Sequence[Matrix]) -> Matrix:
    """What `-> any` of a dataset class allows in the end: what it excludes by `!` in the first source stays so."""
    k = matrices[0].shape[1] - 1
    meaning = row.meaning(k)
    allowed: Matrix = np.isin(np.arange(k + 1), [*meaning.channels, *([k] if meaning.void else [])])
    for m in matrices[1:]:
        allowed = allowed @ m
    return allowed


class _Stop(NamedTuple):
    """A taxonomy on the way, and what the next map says of its classes.

    Attributes:
        rows: class → its row; none where the map is read backwards.
        goes_on: the next taxonomy is a dataset that has its classes, and may have more.
    """

    taxonomy: Taxonomy
    rows: Mapping[int, MapRow]
    goes_on: bool


def _stops(steps: Sequence[Step]) -> list[_Stop]:
    return [
        _Stop(
            step.end,
            {} if following.backwards else {row.cls: row for row in following.map.rows},
            following.backwards and is_bridge(following.map),
        )
        for step, following in pairwise(steps)
    ]


def _classes_on_the_way(stops: Sequence[_Stop], ways: Sequence[Matrix]) -> Iterator[tuple[list[MapRow | None], bool]]:
    """For each map but the first, its rows of the classes that d may be in front of it, and whether void is one."""
    for stop, at in zip(stops, ways[1:], strict=False):
        yield [stop.rows.get(c) for c in np.flatnonzero(at[:-1]).tolist()], bool(at[-1])


def _is_ignored(stops: Sequence[_Stop], ways: Sequence[Matrix]) -> bool:
    """Whether a map on the way ignores all that d may be."""
    return any(
        rows and not void and all(row is not None and ignores(row) for row in rows)
        for rows, void in _classes_on_the_way(stops, ways)
    )


def _is_vague(stops: Sequence[_Stop], ways: Sequence[Matrix]) -> bool:
    """Whether d may be what a map on the way says nothing of: void, or a class that it leaves to a decision."""
    return any(
        void or any(row is not None and row.decision is not None for row in rows)
        for rows, void in _classes_on_the_way(stops, ways)
    )


def _note(stops: Sequence[_Stop], ways: Sequence[Matrix]) -> str:
    """Through which classes of each taxonomy on the way; of those that the next map decides, how."""
    parts = []
    name_of_source = ""
    for stop, at in zip(stops, ways[1:], strict=False):
        if stop.goes_on:
            name_of_source = stop.taxonomy.name
            continue
        names = []
        for c in np.flatnonzero(at[:-1]).tolist():
            name, row = stop.taxonomy.classes[c].name, stop.rows.get(c)
            names.append(f"{name} (-> {row.decision.to})" if row and row.decision else name)
        where, name_of_source = name_of_source or stop.taxonomy.name, ""
        parts.append(f"through {where}: {few([*names, *(['void'] if at[-1] else [])])}")
    return "; ".join(parts)
