"""`lsu-onto unite`: the atoms of several taxonomies as a source of its own, and the map of each to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from lsu_onto.algebra.atoms import NONE, Atoms, Pattern, main_part, split
from lsu_onto.algebra.channels import Rows, channel_dataset, channels_name
from lsu_onto.algebra.facts import ignores
from lsu_onto.algebra.network import Member, Network, network
from lsu_onto.algebra.wording import Relation, anything, checked, few, wrapped
from lsu_onto.exchange.draft import ClassLine, class_lines, map_rows
from lsu_onto.library.library import Library
from lsu_onto.ontology.model import Dataset, Source, Taxonomy

VERSION = "v1"

_SHOWN = 20
"""How many questions the text has."""


@dataclass(frozen=True)
class Question:
    """Two classes of which no row says whether they ever meet.

    Attributes:
        first, second: each a taxonomy's name and version, and a class.
        through: the source classes that both overlap.
        atoms: names of the atoms that the second may have pixels of, unless it never meets the first.
    """

    first: tuple[str, str]
    second: tuple[str, str]
    through: tuple[str, ...]
    atoms: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "is": {"dataset": self.first[0], "class": self.first[1]},
            "ever": {"dataset": self.second[0], "class": self.second[1]},
            "through": list(self.through),
            "atoms": list(self.atoms),
        }


@dataclass(frozen=True)
class Union:
    """A source that is made of several taxonomies."""

    name: str
    net: Network
    atoms: Atoms

    @property
    def members(self) -> Sequence[Member]:
        return self.net.members

    @cached_property
    def names(self) -> tuple[str, ...]:
        return _names(self.net, self.atoms)

    def parents(self, atom: int) -> list[list[int]]:
        """The classes of each taxonomy that an atom may be of, its own first; without those that say nothing."""
        p = self.atoms.patterns[atom]
        out = []
        for blank, x, may in zip(self.net.blank, p, self.atoms.may, strict=True):
            others = np.flatnonzero(may[:, atom] & ~blank).tolist()
            out.append(sorted(others, key=lambda d, x=x: (d != x, d)))  # type: ignore[misc]
        return out

    def holds(self, i: int, d: int, atom: int) -> bool:
        """Whether a class has all pixels of an atom."""
        column = self.atoms.may[i][:, atom]
        return bool(column[d] and column.sum() == 1)

    @cached_property
    def questions(self) -> list[Question]:
        """What is not known, in the order of how many atoms it leaves in doubt."""
        patterns = self.atoms.patterns
        doubts: dict[tuple[int, int, int, int], tuple[dict[int, None], dict[int, None]]] = {}
        for each in self.atoms.open:
            i, x = each.member, each.cls
            known = [(j, a) for j, a in enumerate(each.pattern) if a != NONE]
            pairs = [(j, a) for j, a in known if j in each.between] or known
            doubted = [u for u, p in enumerate(patterns) if p[:i] == each.pattern and self.atoms.may[i][x, u]]
            for j, a in pairs if doubted else ():
                atoms, columns = doubts.setdefault((j, a, i, x), ({}, {}))
                atoms |= dict.fromkeys(doubted)
                columns[each.column] = None
        made = [
            Question(
                self._class(j, a),
                self._class(i, x),
                tuple(map(self._column, sorted(columns))),
                tuple(self.names[u] for u in sorted(atoms)),
            )
            for (j, a, i, x), (atoms, columns) in doubts.items()
        ]
        return sorted(made, key=lambda q: (-len(q.atoms), q.first, q.second))

    def _class(self, i: int, x: int) -> tuple[str, str]:
        t = self.members[i].taxonomy
        return f"{t.name} {t.version}", t.classes[x].name

    def _column(self, column: int) -> str:
        j = int(np.searchsorted(self.net.starts, column, side="right")) - 1
        source = self.net.sources[j]
        return f"{source.name}:{source.classes[column - self.net.starts[j]].name}"


def unite(library: Library, taxonomies: Sequence[Source | Dataset], name: str, through: Sequence[Source] = ()) -> Union:
    """The source that is made of some taxonomies, in their order.

    Raises:
        UserError: their maps contradict each other.
    """
    net = network(library, taxonomies, through)
    return Union(name, net, split(net))


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
    wide = len(union.names) > 255
    *first, last = (f"{m.taxonomy.name} {m.taxonomy.version}" for m in union.members)
    of = f"{', '.join(first)} and {last}"
    yield from ("tax 1", f"# {about}", f"source {union.name} {VERSION}", "", f"title: What {of} tell apart")
    yield from (f"encoding: {'id16' if wide else 'id'}", f"void: {65535 if wide else 255}", "")
    groups, colours = _groups(union), _colours(union)
    classes = []
    for u, name in enumerate(union.names):
        note = ", ".join(_of_parent(union, i, of, u) for i, of in enumerate(union.parents(u)) if of)
        classes.append(ClassLine(name, str(u), colours=f"#{colours[u]:06x}", group=groups[u], notes=[note]))
    yield from class_lines(classes)


def _of_parent(union: Union, i: int, classes: Sequence[int], atom: int) -> str:
    """A taxonomy and its classes of an atom, with a question mark behind those that it may or may not be of."""
    t = union.members[i].taxonomy
    own = union.atoms.patterns[atom][i]
    names = [f"{t.classes[d].name}{'' if d == own else '?'}" for d in classes]
    return f"{t.name} {few(names, 5)}"


def _relation(union: Union, i: int, d: int, source: Source) -> Relation:
    """The row of a class: what may be of it, and what is all of it."""
    m, may = union.members[i], union.atoms.may[i]
    if union.net.blank[i][d]:
        row = m.row(d, union.net.keys)
        assert row is not None
        return ("-> void",) if ignores(row) else anything(may[d], source)
    atoms = np.flatnonzero(may[d, :-1]).tolist()
    whole = [union.names[u] for u in atoms if union.holds(i, d, u)]
    others = [union.names[u] for u in atoms if not union.holds(i, d, u)]
    if len(atoms) == 1:
        return (f"{'=' if whole else '<'} {union.names[atoms[0]]}",)
    return (*wrapped(">", whole), *wrapped("~", others))


def _names(net: Network, atoms: Atoms) -> tuple[str, ...]:
    """A name for each atom. What stands for an atom when it is split keeps its name, so that adding a taxonomy renames
    little; the other parts are called as their class, if it is in no other atom, and else as both."""
    names: dict[Pattern, str] = {}
    for i, level in enumerate(atoms.levels[1:]):
        t = net.members[i].taxonomy
        parts: dict[Pattern, list[Pattern]] = {}
        for p in level:
            parts.setdefault(p[:-1], []).append(p)
        kept = {}
        for u, ps in parts.items():
            main = main_part(net, ps)
            alike = len(ps) == 1 or main in atoms.wide[i + 1] or t.classes[main[-1]].name in _words(net, u)
            if u in names and alike:
                kept[main] = names[u]
        often = Counter(p[-1] for p in level)
        taken = set(kept.values())
        new = {}
        for p in level:
            if p not in kept:
                new[p] = next(n for n in _candidates(net, p, names.get(p[:-1]), often[p[-1]] == 1) if n not in taken)
                taken.add(new[p])
        names = {**kept, **new}
    return tuple(names[p] for p in atoms.patterns)


def _words(net: Network, p: Pattern) -> list[str]:
    """The names of an atom's classes, each once."""
    return list(dict.fromkeys(net.members[j].taxonomy.classes[x].name for j, x in enumerate(p) if x != NONE))


def _candidates(net: Network, p: Pattern, before: str | None, only: bool) -> Iterator[str]:
    before = before or "_".join(_words(net, p[:-1]))
    if p[-1] == NONE:
        own = f"other_{before}"
    else:
        t = net.members[len(p) - 1].taxonomy
        own = t.classes[p[-1]].name
        if only or not before:
            yield own
        if before:
            yield f"{before}_{own}"
        yield f"{t.name}_{own}"
        yield "_".join(
            f"{net.members[j].taxonomy.name}_{net.members[j].taxonomy.classes[x].name}"
            for j, x in enumerate(p)
            if x != NONE
        )
    yield own
    n = 1
    while n := n + 1:
        yield f"{own}_{n}"


def _groups(union: Union) -> list[str]:
    """The group of each atom: that of the first of its classes that has one, in the words of the taxonomies before."""
    patterns = union.atoms.patterns
    groups = [""] * len(patterns)
    for i, m in enumerate(union.members):
        own = [_group(m.taxonomy, p[i]) for p in patterns]
        votes: dict[str, Counter[str]] = {}
        for p, group, mine in zip(patterns, groups, own, strict=True):
            if group and mine:  # what has the same name decides, if there is any
                alike = m.taxonomy.classes[p[i]].name in _words(union.net, p[:i])
                votes.setdefault(mine, Counter())[group] += len(patterns) if alike else 1
        said = {mine: count.most_common(1)[0][0] for mine, count in votes.items()}
        groups = [group or said.get(mine, mine) for group, mine in zip(groups, own, strict=True)]
    return groups


def _group(t: Taxonomy, x: int) -> str:
    group = "" if x == NONE else t.classes[x].group
    return "" if group == "void" else group


def _colours(union: Union) -> list[int]:
    """A colour for each atom, of one of its classes if no atom before has it."""
    taken: dict[int, None] = {}
    for p in union.atoms.patterns:
        own = [union.members[i].taxonomy.classes[x].colours[:1] for i, x in enumerate(p) if x != NONE]
        wanted = [c for colours in own for c in colours if c] or [0x808080]
        taken[next(c for c in chain(wanted, _near(wanted[-1])) if c not in taken)] = None
    return list(taken)


def _near(colour: int) -> Iterator[int]:
    """Other colours, steps away from one."""
    rgb = [colour >> 16, colour >> 8 & 255, colour & 255]
    n = 0
    while n := n + 1:
        r, g, b = ((c + n * step) % 256 for c, step in zip(rgb, (55, 23, 87), strict=True))
        yield r << 16 | g << 8 | b


def report(union: Union) -> str:
    """What was made, and the first questions, as text."""
    of = ", ".join(f"{len(m.taxonomy.classes)} of {m.taxonomy.name} {m.taxonomy.version}" for m in union.members)
    lines = [f"{len(union.names)} classes, from {of}"]
    if union.questions:
        lines += ["", "open questions, and how many classes each leaves in doubt:"]
    for q in union.questions[:_SHOWN]:
        first, second = (f"{dataset.partition(' ')[0]}:{name}" for dataset, name in (q.first, q.second))
        lines.append(f"{len(q.atoms):4}  is {first} ever {second}?  both overlap {few(q.through, 4)}")
    more = len(union.questions) - _SHOWN
    if more > 0:
        lines.append(f"      and {more} more, which --format json shows")
    return "\n".join(lines) + "\n"


def as_json(union: Union) -> dict[str, Any]:
    """The same as data."""
    return {
        "source": f"{union.name} {VERSION}",
        "classes": [
            {
                "name": name,
                "parents": {
                    f"{m.taxonomy.name} {m.taxonomy.version}": [m.taxonomy.classes[d].name for d in of]
                    for m, of in zip(union.members, union.parents(u), strict=True)
                },
            }
            for u, name in enumerate(union.names)
        ],
        "questions": [q.as_json() for q in union.questions],
    }
