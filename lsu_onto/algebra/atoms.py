"""The finest regions of pixels that the maps of several taxonomies tell apart.

An atom is written as its pattern: the class that it has in each taxonomy, or `NONE`. The taxonomies are taken in their
order, and each splits the atoms of those before it. A class x splits an atom off where rows force it to have pixels
there: because the atom is the only place for what x shares with some source class, or for x as a whole. Elsewhere the
relation of x to an atom is open: nothing is split, and x may have pixels of the atom.

So that every pixel has one atom, pixels that fit a pattern only in part belong to one that fits better: a pixel that a
dataset does not annotate is of the first atom with what its other classes are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from lsu_onto.algebra.facts import Matrix, product
from lsu_onto.algebra.network import Network

NONE = -1
Pattern = tuple[int, ...]


@dataclass(frozen=True)
class _Branch:
    """Pixels that are treated alike.

    Attributes:
        pattern: their classes in the taxonomies so far. `NONE` is for classes that do not split.
        atom: the pattern that stands for all branches of the same atom, if they are one.
        alive: bool [C], the cells where it has pixels.
        names: bool [columns], the source classes that the rows of all of its classes name.
        equal: bool [columns], which of these are the same as one of its classes.
        rest: for each taxonomy so far, bool [D + 1], the classes of its pixels.
        shared: the taxonomies whose class was split off from several atoms together; it may have no pixels in this one.
    """

    pattern: Pattern
    atom: Pattern
    alive: Matrix
    names: Matrix
    equal: Matrix
    rest: tuple[Matrix, ...] = ()
    shared: frozenset[int] = frozenset()

    @property
    def empty(self) -> bool:
        return all(x == NONE for x in self.pattern)


class Open(NamedTuple):
    """A question: whether a class has pixels of an atom of the taxonomies before.

    Attributes:
        member, cls: the class.
        pattern: the atom.
        column: the source class that relates them.
        between: where the atoms differ of which one has pixels of the class.
    """

    member: int
    cls: int
    pattern: Pattern
    column: int
    between: frozenset[int]


class Box(NamedTuple):
    """Pixels of one atom: those that have one of some classes of each taxonomy (bool [D + 1]), in some cells."""

    classes: tuple[Matrix, ...]
    alive: Matrix
    atom: int | None


@dataclass(frozen=True)
class Atoms:
    """What `split` gives.

    Attributes:
        levels: for each number of taxonomies, the patterns of its atoms.
        wide: of the same, those that have what the last taxonomy does not name of what they are a part of.
        boxes: all pixels that the facts leave; no pixel is in two.
        may: for each member, bool [D + 1, A + 1]: which pixels of a class (void last) can be of which atom; the last
            column is for pixels of no atom.
        open: what is not known of atoms and classes.
    """

    levels: tuple[tuple[Pattern, ...], ...]
    wide: tuple[frozenset[Pattern], ...]
    boxes: tuple[Box, ...]
    may: tuple[Matrix, ...]
    open: tuple[Open, ...]

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        return self.levels[-1]

    def of(self, classes: Sequence[int]) -> int | None:
        """The atom of a pixel: its class in each taxonomy, or the number of classes for void; None if it has none."""
        return next(b.atom for b in self.boxes if all(mask[c] for mask, c in zip(b.classes, classes, strict=True)))


def split(net: Network) -> Atoms:
    """The atoms of a network."""
    columns = net.starts[-1]
    branches = [_Branch((), (), np.ones(len(net.cells), bool), np.ones(columns, bool), np.zeros(columns, bool))]
    homes = _homes(net, branches)
    levels: list[tuple[Pattern, ...]] = [()]
    wide: list[frozenset[Pattern]] = [frozenset()]
    questions: list[Open] = []
    for i in range(len(net.members)):
        splits, together, found = _splits(net, branches, homes, i)
        questions += found
        branches = [
            child
            for b, home in zip(branches, homes, strict=True)
            for child in _children(net, b, splits[home], together, i)
        ]
        homes = _homes(net, branches)
        levels.append(tuple(sorted({home for home in homes if home is not None})))
        rests = [home for b, home in zip(branches, homes, strict=True) if b.pattern[-1] == NONE]
        wide.append(frozenset(home for home in rests if home is not None))
    number = {p: a for a, p in enumerate(levels[-1])}
    boxes = tuple(
        Box(b.rest, b.alive, None if home is None else number[home]) for b, home in zip(branches, homes, strict=True)
    )
    return Atoms(tuple(levels), tuple(wide), boxes, _may(net, boxes, len(number)), tuple(questions))


def _children(
    net: Network, b: _Branch, splitting: set[int], together: Mapping[int, Pattern], i: int
) -> Iterator[_Branch]:
    """What taxonomy i makes of a branch: one for each class that splits it, and the rest."""
    size = len(net.members[i].taxonomy.classes)
    here = b.alive[:, None] & net.may[i]
    related = net.related[i]
    left = np.ones(size + 1, bool)
    for x in sorted(splitting):
        if here[:, x].any():
            left[x] = False
            names = related[x] if b.empty else b.names & related[x]
            only = np.arange(size + 1) == x
            atom = b.atom if b.empty else together.get(x, b.atom)
            equal = b.equal | net.equal[i][x]
            shared = b.shared | ({i} if x in together and not b.empty else set())
            yield _Branch((*b.pattern, x), (*atom, x), here[:, x], names, equal, (*b.rest, only), shared)
    alive: Matrix = np.any(here & left, axis=1)
    if alive.any():
        yield _Branch((*b.pattern, NONE), (*b.atom, NONE), alive, b.names, b.equal, (*b.rest, left), b.shared)


def _splits(
    net: Network, branches: Sequence[_Branch], homes: Sequence[Pattern | None], i: int
) -> tuple[dict[Pattern | None, set[int]], dict[int, Pattern], list[Open]]:
    """What taxonomy i splits.

    Returns:
        For each atom so far, the classes that split it; the classes of which all parts are one atom, with the atom that
        this is numbered as a part of; and what stays open.
    """
    m = net.members[i]
    splits: dict[Pattern | None, set[int]] = {home: set() for home in homes}
    splits[None] = {d for d in range(len(m.taxonomy.classes)) if not net.blank[i][d]}
    places: dict[tuple[int, int], dict[Pattern, None]] = {}  # class and column → where what they share may be
    for b, home in zip(branches, homes, strict=True):
        if home is None:
            continue
        here = (b.alive[:, None] & net.may[i])[:, :-1]
        shared = _shared(net, b, i)
        for x, column in np.argwhere(shared & product(here.T, net.has.T)).tolist():
            if not net.blank[i][x]:
                places.setdefault((x, column), {}).setdefault(home)
    certain: dict[Pattern | None, set[int]] = {home: set() for home in homes}
    meets: dict[Pattern, set[int]] = {}
    for (x, column), at in places.items():
        for home in at:
            meets.setdefault(home, set()).add(x)
        if len(at) == 1 and net.stated[i][x, column]:
            certain[next(iter(at))].add(x)
        for home in _only_places(net, at, column) if net.whole[i][x, column] else ():
            certain[home].add(x)
    for home, classes in meets.items():
        certain[home] |= classes if len(classes) == 1 else set()
    for home, classes in certain.items():
        splits[home] |= classes
    together: dict[int, Pattern] = {}
    for group, classes in _without_place(places, certain).items():
        for home in group:
            splits[home] |= classes
        if not _are_few(group, classes, certain):
            together |= dict.fromkeys(classes, group[0])
    found = [
        Open(i, x, home, column, frozenset(j for j in range(i) if len({p[j] for p in at}) > 1))
        for (x, column), at in places.items()
        for home in at
        if x not in certain[home]
    ]
    return splits, together, found


def _only_places(net: Network, at: Iterable[Pattern], column: int) -> Iterator[Pattern]:
    """Of the atoms that may have pixels of a source class, those that are the only place for what a class shares with
    it."""
    places: dict[tuple[int, int], list[Pattern]] = {}
    for home in at:
        for j, a in enumerate(home):
            if a != NONE and net.stated[j][a, column]:
                places.setdefault((j, a), []).append(home)
    yield from (homes[0] for homes in places.values() if len(homes) == 1)


def _without_place(
    places: Mapping[tuple[int, int], Mapping[Pattern, None]], certain: Mapping[Pattern | None, set[int]]
) -> dict[tuple[Pattern, ...], set[int]]:
    """The classes that certainly split nothing, by the fewest atoms of which one must have pixels of theirs."""
    out: dict[tuple[Pattern, ...], set[int]] = {}
    for x in sorted({x for x, _ in places} - set().union(*certain.values())):
        fewest = min((at for (y, _), at in places.items() if y == x), key=len)
        out.setdefault(tuple(fewest), set()).add(x)
    return out


def _are_few(group: Sequence[Pattern], classes: set[int], certain: Mapping[Pattern | None, set[int]]) -> bool:
    """Whether every atom of a group can be split by every class of one, so that both keep atoms of their own.

    Two classes that divide the same region each in their way are told apart only if what they may share are atoms. Of
    many, these would be too many: then one atom for each class has to do. Where others split an atom anyway, it does.
    """
    return not any(certain[home] for home in group) and len(group) * len(classes) <= 2 * (len(group) + len(classes))


def _shared(net: Network, b: _Branch, i: int) -> Matrix:
    """The source classes that relate each class of taxonomy i to a branch, bool [D, columns].

    Those of the finest source that has something on both count: that two classes lie in the same one of a few coarse
    ones says little. Those of other sources count where they are the class itself, or one of the branch.
    """
    out = b.names & net.related[i]
    same = out & (b.equal | net.equal[i])
    undecided = np.ones(len(out), bool)
    for start, end in pairwise(net.starts):  # the finest source comes first
        speaks = net.related[i][:, start:end].any(1) & b.names[start:end].any()
        out[~(undecided & speaks), start:end] = False
        undecided &= ~speaks
    return (out | same) & net.is_class


def _homes(net: Network, branches: Sequence[_Branch]) -> list[Pattern | None]:
    """For each branch the atom that its pixels belong to: its own, if that is one; None if it has no class.

    A pattern is no atom if another has all of its classes and more, unless rows say that it has pixels beside that. The
    other one does not count if it is only one of several places of a class: all pixels may be in the rest.
    """
    parts = [frozenset((i, x) for i, x in enumerate(b.pattern) if x != NONE) for b in branches]
    having: dict[tuple[int, int], set[int]] = {}
    for j, part in enumerate(parts):
        for each in part:
            having.setdefault(each, set()).add(j)
    larger = [
        {
            k
            for k in (set.intersection(*(having[e] for e in part)) if part else ())
            if k != j and all(branches[j].pattern[i] != NONE for i in branches[k].shared)
        }
        for j, part in enumerate(parts)
    ]
    atoms = {b.atom for j, b in enumerate(branches) if parts[j] and (not larger[j] or _stands_alone(net, b))}

    def home(j: int) -> Pattern | None:
        if not parts[j] or branches[j].atom in atoms:
            return branches[j].atom if parts[j] else None
        return home(min(larger[j], key=lambda k: (_standing(net, branches[k].pattern, branches[j].pattern), k)))

    return [home(j) for j in range(len(branches))]


def _standing(net: Network, pattern: Pattern, part: Pattern) -> tuple[tuple[bool, int], ...]:
    """How well a pattern stands for a part of it; less is better. What it adds should have a name of the part, or else
    be as wide as possible."""
    added = [(i, x) for i, (x, of_part) in enumerate(zip(pattern, part, strict=True)) if x != of_part]
    names = {net.members[i].taxonomy.classes[x].name for i, x in enumerate(part) if x != NONE}
    return tuple((net.members[i].taxonomy.classes[x].name not in names, -net.widths[i][x]) for i, x in added)


def _stands_alone(net: Network, b: _Branch) -> bool:
    """Whether rows say that a pattern has pixels of no class of the other taxonomies, as far as these are related."""
    kept = [i for i, x in enumerate(b.pattern) if x != NONE]
    for i, x in enumerate(b.pattern):
        named: Matrix = np.any(net.related[i], axis=0)
        for start, end in pairwise(net.starts) if x == NONE else ():
            names = b.names[start:end]
            if not names.any() or not named[start:end].any():
                continue
            free = names & ~named[start:end]
            free[-1] = names[-1] and len(kept) == 1  # outside of a source the rows of two say nothing of each other
            if not free.any():
                return False
            break
    return True


def main_part(net: Network, parts: Sequence[Pattern]) -> Pattern:
    """Of the parts of an atom, the one that stands for it; the rest does, unless a part has one of its names."""
    whole = (*parts[0][:-1], NONE)
    standing = {p: _standing(net, p, whole) for p in parts if p[-1] != NONE}
    best = min(standing, key=lambda p: standing[p], default=whole)
    return whole if whole in parts and (best == whole or standing[best][0][0]) else best


def _may(net: Network, boxes: Sequence[Box], atoms: int) -> tuple[Matrix, ...]:
    """Which classes can be of which atom; the last column is for none."""
    out = [np.zeros((len(m.taxonomy.classes) + 1, atoms + 1), bool) for m in net.members]
    for box in boxes:
        for i, classes in enumerate(box.classes):
            out[i][:, atoms if box.atom is None else box.atom] |= classes & net.may[i][box.alive].any(0)
    return tuple(out)
