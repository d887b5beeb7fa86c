"""A union as the text of a `.tax` file, and what there is to say of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lsu_onto.algebra.channels import Rows, channel_dataset, channels_name, storage
from lsu_onto.algebra.facts import ignores
from lsu_onto.algebra.naming import colours_of, groups_of
from lsu_onto.algebra.union import Union
from lsu_onto.algebra.wording import Relation, anything, checked, few, wrapped
from lsu_onto.exchange.draft import ClassLine, class_lines, map_rows
from lsu_onto.library.library import Library
from lsu_onto.ontology.model import Source

VERSION = "v1"

_SHOWN = 20
"""How many questions the text has."""


def text(library: Library, union: Union, about: str) -> str:
    """The text of a `.tax` file: the source, and the map of each taxonomy to it.

    Raises:
        UserError: the text would not be valid.
    """
    lines = list(_source_lines(union, about))
    file = str(Path("out.tax").absolute())
    source = Library([], {file: "\n".join(lines) + "\n"}).source(file)
    assert source is not None
    for i, m in enumerate(union.members):
        t = m.taxonomy
        if isinstance(t, Source):
            lines += ["", *channel_dataset(t)]
        dataset = channels_name(t) if isinstance(t, Source) else t.name
        rows: Rows = [(c.name, _relation(union, i, d, source), []) for d, c in enumerate(t.classes)]
        lines += ["", f"map {dataset} {t.version} -> {union.name} {VERSION}", "", *map_rows(rows)]
    return checked(library, "\n".join(lines) + "\n", f"the source `{union.name}`", [m.taxonomy for m in union.members])


def _source_lines(union: Union, about: str) -> Iterator[str]:
    *first, last = (f"{m.taxonomy.name} {m.taxonomy.version}" for m in union.members)
    of = f"{', '.join(first)} and {last}"
    yield from ("tax 1", f"# {about}", f"source {union.name} {VERSION}", "", f"title: What {of} tell apart")
    yield from storage(len(union.names))
    groups, colours = groups_of(union.net, union.patterns), colours_of(union.net, union.patterns)
    classes = []
    for u, name in enumerate(union.names):
        note = ", ".join(_of_parent(union, i, of, u) for i, of in enumerate(union.parents(u)) if of)
        classes.append(ClassLine(name, str(u), colours=f"#{colours[u]:06x}", group=groups[u], notes=[note]))
    yield from class_lines(classes)


def _of_parent(union: Union, i: int, classes: Sequence[int], atom: int) -> str:
    """A taxonomy and its classes of an atom, with a question mark behind those that it may or may not be of."""
    own = union.patterns[atom][i]
    names = [f"{union.members[i].taxonomy.classes[d].name}{'' if d == own else '?'}" for d in classes]
    return f"{union.called[i]} {few(names, 5)}"


def _relation(union: Union, i: int, d: int, source: Source) -> Relation:
    """The row of a class: what may be of it, and what is all of it."""
    m, may = union.members[i], union.may[i]
    if union.net.blank[i][d]:
        row = m.row(d, union.net.keys)
        assert row is not None
        return ("-> void",) if ignores(row) else anything(may[d], source)
    classes = np.flatnonzero(may[d, :-1]).tolist()
    whole = [union.names[c] for c in classes if union.holds(i, d, c)]
    others = [union.names[c] for c in classes if not union.holds(i, d, c)]
    if not classes:
        return ("! any",)
    if len(classes) == 1 and not may[d, -1]:
        return (f"{'=' if whole else '<'} {union.names[classes[0]]}",)
    return (*wrapped(">", whole), *wrapped("~", [*others, *(["void"] if may[d, -1] else [])]))


def report(union: Union) -> str:
    """What was made, what was lost, and the first questions, as text."""
    of = ", ".join(f"{len(m.taxonomy.classes)} of {m.name}" for m in union.members)
    lines = [f"{len(union.names)} classes, from {of}"]
    for each in union.merged:
        lines.append(f"merged: {each.name}, of {' '.join(each.of)}")
        lines += [f"  no longer tells apart in {name}: {' '.join(names)}" for name, names in each.apart.items()]
    if union.dropped:
        lines += ["", "dropped; their pixels are void:"]
        lines += [f"  {d.name}: {d.share:.2g} of {d.parent[0]} is {d.parent[1]}" for d in union.dropped]
    if union.questions:
        lines += ["", "open questions, and how many classes each leaves in doubt:"]
    called = {m.name: short for m, short in zip(union.members, union.called, strict=True)}
    for q in union.questions[:_SHOWN]:
        first, second = (f"{called[dataset]}:{name}" for dataset, name in (q.first, q.second))
        lines.append(f"{len(q.classes):4}  is {first} ever {second}?  both overlap {few(q.through, 4)}")
    more = len(union.questions) - _SHOWN
    if more > 0:
        lines.append(f"      and {more} more, which --format json shows")
    return "\n".join(lines) + "\n"


def as_json(union: Union) -> dict[str, Any]:
    """The same as data, with the taxonomies' classes of each class, and all questions."""
    return {
        "source": f"{union.name} {VERSION}",
        "classes": [
            {
                "name": name,
                "parents": {
                    m.name: [m.taxonomy.classes[d].name for d in of]
                    for m, of in zip(union.members, union.parents(c), strict=True)
                },
            }
            for c, name in enumerate(union.names)
        ],
        "merged": [m._asdict() for m in union.merged],
        "dropped": [
            {"name": d.name, "share": d.share, "dataset": d.parent[0], "class": d.parent[1]} for d in union.dropped
        ],
        "questions": [q.as_json() for q in union.questions],
    }
