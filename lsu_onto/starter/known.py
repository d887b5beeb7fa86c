"""What other maps say of the names of classes: votes for and against each class of a source."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsu_onto.errors import UserError
from lsu_onto.library.library import Library
from lsu_onto.library.searchpath import shipped
from lsu_onto.ontology.model import Ontology, Source, TaxClass
from lsu_onto.starter.spelling import group_names, head, spellings

NAME, SYNONYM, DETOUR, HEAD, GROUP = 1.0, 0.5, 0.5, 0.4, 0.3
"""What a map counts: that knows the name; another name of the same; the name, in another source; a name with the same
last word; a group of the name."""
VOID_ELSEWHERE, ABSENT_ELSEWHERE = 0.25, 0.5
"""What a row with void counts, in a map to another source: for void here, and against a class that both sources have.
Its void may be any class that the other source lacks."""


@dataclass(frozen=True)
class Vote:
    """What one map says of a class.

    Attributes:
        dataset: of the map. yes: `[K+1]`, 1 where a class is in S(d). counts: `[K+1]`, how much that counts.
        own: `[K+1]`, whether the map has a row for this class alone.
    """

    dataset: str
    yes: NDArray[np.float64]
    counts: NDArray[np.float64]
    own: NDArray[np.bool_]


@dataclass(frozen=True)
class Said:
    """A vote about a class.

    Attributes:
        worth: how much it counts. way: in words, how it came to be about this class; empty: by its name.
    """

    worth: float
    way: str
    vote: Vote


def _table() -> dict[str, list[Vote]]:
    return defaultdict(list)


@dataclass
class Known:
    """What the maps at hand say of names, to a source of K classes.

    Attributes:
        votes, detours, heads, groups: votes by name; by name, in maps to other sources; by the last word of a name; by
            the name of a group.
        equal: name → names of classes that some map calls equal.
    """

    votes: dict[str, list[Vote]] = field(default_factory=_table)
    detours: dict[str, list[Vote]] = field(default_factory=_table)
    heads: dict[str, list[Vote]] = field(default_factory=_table)
    groups: dict[str, list[Vote]] = field(default_factory=_table)
    equal: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def of(self, c: TaxClass) -> list[Said]:
        """What is said of a class, each map once: of its name, or else of its last word, or else of its group."""
        names = spellings(c)
        others = dict.fromkeys(other for n in names for other in sorted(self.equal.get(n, ())) if other not in names)
        out: dict[str, Said] = {}
        for worth, way, table, keys in (
            (NAME, "", self.votes, names),
            (SYNONYM, "by a synonym", self.votes, others),
            (DETOUR, "by way of another source", self.detours, names),
        ):
            for vote in _one_each(table, keys):
                out.setdefault(vote.dataset, Said(worth, way, vote))
        if not out:
            last = head(c)
            out = {v.dataset: Said(HEAD, f"of another `{last}`", v) for v in _one_each(self.heads, [last])}
        for group in group_names(c):
            if not out:
                way = f"of others in a group `{group}`"
                out = {v.dataset: Said(GROUP, way, v) for v in _one_each(self.groups, [group])}
        return list(out.values())


def _one_each(table: dict[str, list[Vote]], keys: Iterable[str]) -> Iterator[Vote]:
    """The first vote of each map."""
    seen = set()
    for key in keys:
        for vote in table.get(key, ()):
            if vote.dataset not in seen:
                seen.add(vote.dataset)
                yield vote


def known(library: Library, s: Source, without: frozenset[str], but: tuple[str, str]) -> Known:
    """What the maps on the search path say.

    Args:
        without: datasets whose maps are left out. but: dataset and source of maps that are left out.
    """
    out = Known()
    elsewhere = []
    for o in _maps(library, s):
        if o.dataset.name in without or (o.dataset.name, o.source.name) == but:
            continue
        _synonyms(o, out)
        if o.source.signature == s.signature:
            _direct(o, out)
        else:
            elsewhere.append(o)
    for o in elsewhere:
        _by_way(o, s, out)
    return out


def _maps(library: Library, s: Source) -> Iterator[Ontology]:
    """The maps on the search path. Those of the demo are about drawings, and count only among themselves."""
    demo = shipped() / "demo"
    for path in dict.fromkeys(str(e.path) for e in library.entries() if e.source):
        if Path(path).is_relative_to(demo) and not Path(s.span.file).is_relative_to(demo):
            continue
        try:
            yield from library.check(path).resolved.ontologies
        except UserError:  # another file's mistake is not this one's
            continue


def _sets(o: Ontology) -> dict[int, NDArray[np.float64]]:
    """Class → S(d) as `[K+1]`."""
    k = len(o.source.classes)
    out = {}
    for row in o.rows:
        if not row.poisoned:
            meaning = row.meaning(k)
            out[row.cls] = np.zeros(k + 1)
            out[row.cls][[*meaning.channels, *([k] if meaning.void else [])]] = 1
    return out


def _synonyms(o: Ontology, out: Known) -> None:
    for row in o.rows:
        channels = row.meaning(len(o.source.classes)).channels if not row.poisoned else {}
        for channel in (c for c, op in channels.items() if op == "="):
            for a in spellings(o.dataset.classes[row.cls]):
                for b in spellings(o.source.classes[channel]):
                    if a != b:
                        out.equal[a].add(b)
                        out.equal[b].add(a)


def _alone(sets: Iterable[NDArray[np.float64]], k: int) -> NDArray[np.bool_]:
    """`[K+1]`, the classes that a row has for itself."""
    alone = np.zeros(k + 1, bool)
    for yes in sets:
        if np.count_nonzero(yes >= 0.5) == 1:
            alone |= yes >= 0.5
    alone[k] = False  # void is nobody's
    return alone


def _direct(o: Ontology, out: Known) -> None:
    sets = _sets(o)
    k = len(o.source.classes)
    alone = _alone(sets.values(), k)
    groups: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    heads: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    everything = np.ones(k + 1)
    for cls, yes in sets.items():
        c = o.dataset.classes[cls]
        vote = Vote(o.dataset.name, yes, everything, alone)
        for name in spellings(c):
            out.votes[name].append(vote)
        if yes.sum() <= k / 2:  # else it is a decision, which says nothing of others
            if head(c):
                heads[head(c)].append(yes)
            for group in group_names(c):
                groups[group].append(yes)
    for table, found in ((out.heads, heads), (out.groups, groups)):
        for name, rows in found.items():
            table[name].append(Vote(o.dataset.name, np.mean(rows, 0), everything, alone))


def _by_way(o: Ontology, s: Source, out: Known) -> None:
    """What a map to another source says, as far as maps to `s` know that one's classes."""
    k = len(s.classes)
    sets = [_seen_as(c, s, out) for c in o.source.classes]
    theirs = {name for c in o.source.classes for name in spellings(c)}
    in_both = [any(name in theirs for name in spellings(c)) for c in s.classes]
    said: dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for cls, inside in _sets(o).items():
        channels = np.flatnonzero(inside[:-1])
        parts = [sets[c] for c in channels]
        if len(channels) > len(o.source.classes) / 2 or any(part is None for part in parts):
            continue
        yes = np.max([np.zeros(k + 1), *(part for part in parts if part is not None)], 0)
        counts = np.ones(k + 1)
        if inside[-1]:  # what is not a class there may be one here
            yes[k] = 1
            counts = np.array([*np.where(in_both, ABSENT_ELSEWHERE, 0.0), VOID_ELSEWHERE])
        said[cls] = yes, counts
    alone = _alone((yes for yes, _ in said.values()), k)
    for cls, (yes, counts) in said.items():
        vote = Vote(o.dataset.name, yes, counts, alone)
        for name in spellings(o.dataset.classes[cls]):
            out.detours[name].append(vote)


def _seen_as(c: TaxClass, s: Source, out: Known) -> NDArray[np.float64] | None:
    """How often each class of `s` is in S(d) of a class with the name, or None if nobody knows it."""
    votes = list(_one_each(out.votes, spellings(c)))
    if votes:
        return np.asarray(np.mean([v.yes for v in votes], 0))
    same = [s.by_letters[name] for name in spellings(c) if name in s.by_letters]
    return np.eye(len(s.classes) + 1)[same[0]] if same else None
