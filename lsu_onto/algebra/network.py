"""What the maps of several taxonomies leave of pixels that have a class of each.

A pixel has one class, or void, of every taxonomy that is united and of every source between them. Maps join datasets
to sources only, so once its classes of the sources are known, each dataset's class can be chosen alone. A *cell* is one
choice of classes of the sources that leaves every dataset something.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lsu_onto.algebra.facts import Matrix, ignores
from lsu_onto.algebra.members import Key, Member, bridges, key_of, member, with_twins
from lsu_onto.algebra.ways import is_bridge, need_same
from lsu_onto.errors import UserError
from lsu_onto.library.library import Library
from lsu_onto.ontology.model import Dataset, Source

_MOST_CELLS = 300_000
"""How many cells are looked at; the shipped maps leave a few hundred."""


class UnrelatedError(UserError):
    """No source relates two taxonomies, so that each class of one might be any of the other."""


@dataclass(frozen=True)
class Network:
    """What is left.

    Attributes:
        members: the taxonomies that are united.
        sources: the sources that relate them, the finest one first.
        cells: int [C, sources], classes; the number of classes of a source is its void.
        may: for each member, bool [C, D + 1], the classes that a pixel of the cell may have.
        stated: for each member, bool [D, columns], the source classes that its own rows name.
        whole: which of them lie inside the class, and equal: which of them are the same pixels.
        related: those that rows name, with those of sources that it has no map to, by way of others.
        starts: where the columns of each source start; its void is the last of them.
    """

    members: tuple[Member, ...]
    sources: tuple[Source, ...]
    cells: NDArray[np.intp]
    may: tuple[Matrix, ...]
    stated: tuple[Matrix, ...]
    whole: tuple[Matrix, ...]
    equal: tuple[Matrix, ...]
    related: tuple[Matrix, ...]
    starts: tuple[int, ...]

    @property
    def keys(self) -> list[Key]:
        return [key_of(s) for s in self.sources]

    @cached_property
    def blank(self) -> tuple[Matrix, ...]:
        """For each member, the classes that are none for the union, bool [D + 1]."""
        return tuple(m.blank(self.keys) for m in self.members)

    @cached_property
    def is_class(self) -> Matrix:
        """Which columns are classes, not void."""
        out = np.ones(self.starts[-1], bool)
        out[np.array(self.starts[1:], int) - 1] = False
        return out

    @cached_property
    def has(self) -> Matrix:
        """The classes of each cell, bool [columns, C]."""
        out = np.zeros((self.starts[-1], len(self.cells)), bool)
        for start, at in zip(self.starts, self.cells.T, strict=False):
            out[start + at, np.arange(len(at))] = True
        return out

    @cached_property
    def widths(self) -> tuple[list[int], ...]:
        """Of each class of each member, how many source classes it may have something of."""
        return tuple(r.sum(1).tolist() for r in self.related)


def network(library: Library, taxonomies: Sequence[Source | Dataset], through: Sequence[Source] = ()) -> Network:
    """What the maps of some taxonomies say together.

    Args:
        library: where the maps come from.
        taxonomies: what is united.
        through: the only sources to whose maps to listen; none: all, but for maps that follow from others.

    Raises:
        UserError: the maps contradict each other, or lead to two sources of one name.
    """
    named = {key_of(s) for s in (*through, *(t for t in taxonomies if isinstance(t, Source)))}
    members = [member(library, t, named) for t in taxonomies]
    by_key = _by_key(members, (*(t for t in taxonomies if isinstance(t, Source)), *through))
    if through:
        by_key = {key_of(s): s for s in through}
        members = [replace(m, maps={k: o for k, o in m.maps.items() if k in by_key}) for m in members]
    members = with_twins(members)
    by_key |= {key_of(m.twins): m.twins for m in members if m.twins}
    everyone = [*members, *bridges(library, members, by_key, named)]
    _by_key(everyone, by_key.values())  # those of the bridges, too
    used = {k: sum(m.facts(k, len(s.classes)) is not None for m in everyone) for k, s in by_key.items()}
    sources = sorted((s for k, s in by_key.items() if used[k] > 1), key=lambda s: -len(s.classes))
    _need_relations(everyone, len(members), sources)
    cells, may = _cells(everyone, sources)
    if doubted := _lost_by_decisions(everyone, may, sources):
        everyone = [replace(m, doubts=doubts) for m, doubts in zip(everyone, doubted, strict=True)]
        cells, may = _cells(everyone, sources)
    n = len(members)
    for i, lost in _lost(everyone[:n], may):
        raise UserError(_contradiction(everyone, sources, i, lost))
    starts = tuple(np.cumsum([0, *(len(s.classes) + 1 for s in sources)]).tolist())
    stated = [_stated(m, sources, starts) for m in everyone]
    inside = [_inside(m, own, sources, starts) for m, own in zip(everyone[:n], stated, strict=False)]
    related = [
        _related(m, own, everyone, stated, sources, starts) for m, own in zip(everyone[:n], stated, strict=False)
    ]
    return Network(
        members=tuple(everyone[:n]),
        sources=tuple(sources),
        cells=cells,
        may=tuple(may[:n]),
        stated=tuple(stated[:n]),
        whole=tuple(whole for whole, _ in inside),
        equal=tuple(equal for _, equal in inside),
        related=tuple(related),
        starts=starts,
    )


def _by_key(members: Sequence[Member], others: Iterable[Source]) -> dict[Key, Source]:
    """The sources of maps, and others; refuses two that only have the same name and version."""
    out: dict[Key, Source] = {}
    for source in (*(o.source for m in members for o in m.maps.values()), *others):
        need_same(out.setdefault(key_of(source), source), source)
    return out


def _cells(everyone: Sequence[Member], sources: Sequence[Source]) -> tuple[NDArray[np.intp], list[Matrix]]:
    """The choices of classes of the sources that leave each dataset a class or void; and what they leave."""
    cells = np.zeros((1, 0), np.intp)
    may: list[Matrix] = [np.ones((1, len(m.taxonomy.classes) + 1), bool) for m in everyone]
    for source in sources:
        n, k = len(cells), len(source.classes)
        if n * (k + 1) > _MOST_CELLS:
            names = ", ".join(f"`{s.name}`" for s in sources)
            raise UserError(
                f"the maps to {names} leave too many combinations of their classes, because rows name most of them; "
                f"listen to one source: `--through {sources[0].name}@{sources[0].version}`"
            )
        cells = np.hstack([np.repeat(cells, k + 1, 0), np.tile(np.arange(k + 1), n)[:, None]])
        may = [np.repeat(m, k + 1, 0) for m in may]
        for m, each in zip(may, everyone, strict=True):
            left = each.facts(key_of(source), k)
            if left is not None:
                m &= np.tile(left.T, (n, 1))
        keep: Matrix = np.all([m.any(1) for m in may], axis=0)
        cells, may = cells[keep], [m[keep] for m in may]
    return cells, may


def _lost(members: Sequence[Member], may: Sequence[Matrix]) -> Iterator[tuple[int, int]]:
    """The classes that no pixel can have: which member, which class."""
    for i, (_, left) in enumerate(zip(members, may, strict=False)):
        yield from ((i, d) for d in np.flatnonzero(~np.any(left[:, :-1], axis=0)).tolist())


def _lost_by_decisions(
    everyone: Sequence[Member], may: Sequence[Matrix], sources: Sequence[Source]
) -> list[frozenset[tuple[Key, int]]]:
    """For each member its classes that no pixel can have because a decision allows what other rows claim whole.

    Whoever decides that a class may be of another doubts that this one is a part of a third.
    """
    doubts: list[set[tuple[Key, int]]] = [set() for _ in everyone]
    keys = {key_of(s) for s in sources}
    for i, d in _lost(everyone, may):
        for source, o in everyone[i].maps.items():
            if source in keys and any(row.cls == d and row.decision and not ignores(row) for row in o.rows):
                doubts[i].add((source, d))
    return [frozenset(d) for d in doubts] if any(doubts) else []


def _contradiction(everyone: Sequence[Member], sources: Sequence[Source], i: int, lost: int) -> str:
    """What to say of a class that no pixel can have; it names as few taxonomies and sources as will do."""

    def is_lost(rest: Sequence[Member], used: Sequence[Source]) -> bool:
        return not _cells([everyone[i], *rest], used)[1][0][:, lost].any()

    rest, used = [m for m in everyone if m is not everyone[i]], list(sources)
    for s in sources:
        fewer = [u for u in used if u is not s]
        used = fewer if is_lost(rest, fewer) else used
    for m in list(rest):
        fewer_members = [r for r in rest if r is not m]
        rest = fewer_members if is_lost(fewer_members, used) else rest
    t = everyone[i].taxonomy
    theirs = f"those of {', '.join(f'`{m.name}`' for m in rest)}" if rest else "each other"
    twins = {id(m.twins) for m in everyone if m.twins}
    if any(id(u) in twins for u in used):
        theirs += " (datasets that extend the same one have the same classes)"
    mapped, to = ([s for s in which if id(s) not in twins] for which in (sources, used))
    by = " and ".join(f"`{s.name} {s.version}`" for s in to)
    near = {id(u): sum(key_of(u) in m.maps for m in everyone) for u in to}
    # without the coarsest of those to which there are the fewest maps
    worst = min(reversed(to), key=lambda u: near[id(u)], default=None)
    hint = " ".join(f"--through {s.name}@{s.version}" for s in mapped if s is not worst)
    return (
        f"no pixel can be `{t.classes[lost].name}` of `{t.name} {t.version}`: its maps to {by} contradict {theirs}; "
        "mend a row" + (f", or listen to fewer maps: `{hint}`" if hint else "")
    )


def _need_relations(everyone: Sequence[Member], named: int, sources: Sequence[Source]) -> None:
    """Refuse a taxonomy that no source relates to the first one: each of its classes might be anything."""
    reached, before = {0}, 0
    near = [{key_of(s) for s in sources if m.facts(key_of(s), len(s.classes)) is not None} for m in everyone]
    while len(reached) > before:
        before = len(reached)
        keys = set().union(*(near[i] for i in reached))
        reached |= {i for i, each in enumerate(near) if each & keys}
    if lost := [m.name for i, m in enumerate(everyone[:named]) if i not in reached]:
        raise UnrelatedError(
            f"nothing relates `{lost[0]}` to `{everyone[0].name}`: there is no source that both have a map to, and no "
            "dataset that leads from a source of one to one of the other; name a dataset that does, or write a map "
            "(those that `compose` and `unite` wrote count if their source is named, for example by `--through`)"
        )


def _stated(m: Member, sources: Sequence[Source], starts: Sequence[int]) -> Matrix:
    out = np.zeros((len(m.taxonomy.classes), starts[-1]), bool)
    for source, start in zip(sources, starts, strict=False):
        k = len(source.classes)
        own = m.stated(key_of(source), k)
        if own is not None:
            out[:, start : start + k + 1] = own
    return out


def _inside(m: Member, stated: Matrix, sources: Sequence[Source], starts: Sequence[int]) -> tuple[Matrix, Matrix]:
    """The source classes that lie inside a class, and those with the same pixels, bool [D, columns] each."""
    whole, equal = np.zeros_like(stated), np.zeros_like(stated)
    for source, (start, end) in zip(sources, pairwise(starts), strict=True):
        may = m.facts(key_of(source), len(source.classes))
        if may is not None:
            only = (may & (may.sum(0) == 1))[:-1, :-1]
            whole[:, start : end - 1] = only
            equal[:, start : end - 1] = only & (may.sum(1) == 1)[:-1, None]
    return whole & stated, equal & stated


def _related(
    m: Member,
    own: Matrix,
    everyone: Sequence[Member],
    stated: Sequence[Matrix],
    sources: Sequence[Source],
    starts: Sequence[int],
) -> Matrix:
    """The source classes that a member names, and by way of these those of the sources that it has no map to."""
    out = own.copy()
    spans = [slice(start, end - 1) for start, end in pairwise(starts)]
    reached = [m.facts(key_of(s), len(s.classes)) is not None for s in sources]

    def onward() -> tuple[Matrix, int, list[int]] | None:
        """The rows of a dataset that leads on, from which source that is reached, and to which others."""
        for b, rows in zip(everyone, stated, strict=True):
            to = [j for j, s in enumerate(sources) if not reached[j] and key_of(s) in b.maps]
            for i, source in enumerate(sources) if to else ():
                if reached[i] and key_of(source) in b.maps and is_bridge(b.maps[key_of(source)]):
                    return rows, i, to
        return None

    while step := onward():
        rows, i, to = step
        for j in to:
            out[:, spans[j]] = (out[:, spans[i]] @ rows[:, spans[i]].T) @ rows[:, spans[j]]
            reached[j] = True
    return out
