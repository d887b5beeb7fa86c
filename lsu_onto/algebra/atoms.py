"""The finest regions of pixels that the maps of several taxonomies tell apart.

An atom is written as its pattern: the class that it has in each taxonomy, or `NONE`. The taxonomies are taken in their
order, and each splits the atoms of those before it. A class x splits an atom off where rows force it to have pixels
there: because the atom is the only place for what two classes share, or for x as a whole. Elsewhere the relation of x
to an atom is open: nothing is split, and x may have pixels of the atom.

Every pixel has one atom: what a taxonomy does not annotate, or has in a class that does not split, stays in the atom if
rows say that there is such a rest, and else is of the part that stands for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsu_onto.algebra.facts import Matrix, product
from lsu_onto.algebra.network import Network

NONE = -1

_FEW = 9
"""How many combinations of classes that divide the same region are atoms each."""

Pattern = tuple[int, ...]


class _Piece(NamedTuple):
    """Pixels in some cells.

    Attributes:
        cells: their numbers, ascending.
        reach: for each taxonomy so far, bool [cells, D + 1], the classes of its pixels.
    """

    cells: NDArray[np.intp]
    reach: tuple[Matrix, ...]

    def narrowed(self, here: Matrix) -> _Piece:
        """The pixels with some classes of the next taxonomy, bool [cells, D + 1]."""
        alive = here.any(1)
        return _Piece(self.cells[alive], tuple(r[alive] for r in (*self.reach, here)))


def _union(pieces: Sequence[_Piece]) -> _Piece:
    """All pixels of some pieces."""
    if len(pieces) == 1:
        return pieces[0]
    cells = np.unique(np.concatenate([p.cells for p in pieces]))
    reach = tuple(np.zeros((len(cells), r.shape[1]), bool) for r in pieces[0].reach)
    for p in pieces:
        for whole, r in zip(reach, p.reach, strict=True):
            whole[np.searchsorted(cells, p.cells)] |= r
    return _Piece(cells, reach)


@dataclass(frozen=True)
class _Region:
    """An atom of the taxonomies so far.

    Attributes:
        pattern: the atom. One that was split off from several is written as a part of the first of them.
        classes: what is true of the pattern: `NONE` where it was split off from several that differ.
        pixels: its pixels.
        names: bool [columns], the source classes that the rows of all of its classes name.
        equal: bool [columns], which of these are the same as one of its classes.
    """

    pattern: Pattern
    classes: Pattern
    pixels: _Piece
    names: Matrix
    equal: Matrix


class Open(NamedTuple):
    """A question: whether a class has pixels of an atom of the taxonomies before.

    Attributes:
        member, cls: the class.
        pattern: the atom.
        column: the source class that relates them.
        known: members and classes of the atom that decide it: where the atoms differ of which one has such pixels.
    """

    member: int
    cls: int
    pattern: Pattern
    column: int
    known: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Atoms:
    """What `split` gives.

    Attributes:
        levels: for each number of taxonomies, the patterns of its atoms.
        wide: of the same, those that have what the last taxonomy does not name of what they are a part of.
        steps: for each taxonomy, where its classes lead from each atom of those before (None: from no class).
        classes: of the atoms of all taxonomies, their class in each; `NONE` where their pixels have several.
        may: for each member, bool [D + 1, A + 1]: which pixels of a class (void last) can be of which atom; the last
            column is for pixels of no atom.
        open: what is not known of atoms and classes.
    """

    levels: tuple[tuple[Pattern, ...], ...]
    wide: tuple[frozenset[Pattern], ...]
    steps: tuple[Mapping[Pattern | None, Mapping[int, Pattern | None]], ...]
    classes: tuple[Pattern, ...]
    may: tuple[Matrix, ...]
    open: tuple[Open, ...]

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        return self.levels[-1]

    def of(self, classes: Sequence[int]) -> int | None:
        """The atom of a pixel: its class in each taxonomy, or the number of classes for void; None if it has none."""
        at: Pattern | None = None
        for step, c in zip(self.steps, classes, strict=True):
            at = step[at].get(c, step[at][NONE])
        return None if at is None else self.patterns.index(at)


def split(net: Network) -> Atoms:
    """The atoms of a network."""
    regions: list[_Region] = []
    outside = _Piece(np.arange(len(net.cells)), ())
    levels: list[tuple[Pattern, ...]] = [()]
    wide: list[frozenset[Pattern]] = [frozenset()]
    steps: list[Mapping[Pattern | None, Mapping[int, Pattern | None]]] = []
    questions: list[Open] = []
    for i in range(len(net.members)):
        splits, together, found = _splits(net, regions, i)
        questions += found
        level = _Level(net, i)
        for region in regions:
            level.divide(region, splits[region.pattern], together)
        outside = level.divide_outside(outside)
        regions = [level.region(pattern) for pattern in sorted(level.parts)]
        levels.append(tuple(r.pattern for r in regions))
        wide.append(frozenset(level.wide))
        steps.append(level.steps)
    pieces = [*(r.pixels for r in regions), outside]
    may = tuple(np.stack([np.any(p.reach[i], axis=0) for p in pieces], axis=1) for i in range(len(net.members)))
    classes = tuple(r.classes for r in regions)
    return Atoms(tuple(levels), tuple(wide), tuple(steps), classes, may, tuple(questions))


@dataclass
class _Level:
    """What one taxonomy makes of the regions before it.

    Attributes:
        parts: for each new atom what it consists of, those first that make it what it is.
        steps, wide: as in `Atoms`.
    """

    net: Network
    i: int
    parts: dict[Pattern, list[_Region]] = field(default_factory=dict)
    steps: dict[Pattern | None, dict[int, Pattern | None]] = field(default_factory=dict)
    wide: set[Pattern] = field(default_factory=set)

    def divide(self, region: _Region, splitting: set[int], together: Mapping[int, Pattern]) -> None:
        """A region: one part for each class that splits it, and the rest."""
        net, i = self.net, self.i
        here = net.may[i][region.pixels.cells]
        step: dict[int, Pattern | None] = {}
        own = []
        for x in sorted(splitting):
            if here[:, x].any():
                step[x] = target = (*together.get(x, region.pattern), x)
                own += [] if x in together else [target]
                only = here & (np.arange(here.shape[1]) == x)
                names, equal = region.names & net.related[i][x], region.equal | net.equal[i][x]
                self._add(target, (*region.classes, x), region.pixels.narrowed(only), names, equal)
        left = here.copy()
        left[:, [*step]] = False
        whole = (*region.pattern, NONE)
        alone = not own or _stands_alone(net, region.classes, region.names, [i])
        target = whole if alone else min(own, key=lambda p: _standing(net, p, whole))
        step[NONE] = target
        self.steps[region.pattern] = step
        if left.any():
            self.wide.add(target)
            self._add(target, (*region.classes, NONE), region.pixels.narrowed(left), region.names, region.equal)

    def divide_outside(self, outside: _Piece) -> _Piece:
        """What is of no class so far. A class there is the atom that has it, unless its row says that it is beside."""
        net, i = self.net, self.i
        here = net.may[i][outside.cells]
        before = (NONE,) * i
        step: dict[int, Pattern | None] = {NONE: None}
        having: dict[int, list[Pattern]] = {}
        for p in self.parts:
            having.setdefault(p[-1], []).append(p)
        for x in np.flatnonzero(~net.blank[i]).tolist():
            whole = (*before, x)
            alone = x not in having or _stands_alone(net, whole, net.related[i][x], range(i))
            step[x] = target = whole if alone else min(having[x], key=lambda p: _standing(net, p, whole))
            only = here & (np.arange(here.shape[1]) == x)
            if only.any():
                self._add(target, whole, outside.narrowed(only), net.related[i][x], net.equal[i][x])
        self.steps[None] = step
        left = here & net.blank[i]
        return outside.narrowed(left)

    def _add(self, target: Pattern, classes: Pattern, pixels: _Piece, names: Matrix, equal: Matrix) -> None:
        parts = self.parts.setdefault(target, [])
        is_own = classes[-1] == target[-1]
        parts.insert(0 if is_own else len(parts), _Region(target, classes, pixels, names, equal))

    def region(self, pattern: Pattern) -> _Region:
        """An atom as one region."""
        parts = self.parts[pattern]
        own = [p for p in parts if self._makes(p)] or parts
        classes = tuple(x if len({p.classes[j] for p in own}) == 1 else NONE for j, x in enumerate(own[0].classes))
        names = np.logical_or.reduce([p.names for p in own])
        equal = np.logical_or.reduce([p.equal for p in own])
        return _Region(pattern, classes, _union([p.pixels for p in parts]), names, equal)

    def _makes(self, part: _Region) -> bool:
        """Whether a part makes its atom what it is: its rest, and what is of no class before, are only put there."""
        outside = all(x == NONE for x in part.classes[:-1])
        return part.classes[-1] == part.pattern[-1] and outside == all(x == NONE for x in part.pattern[:-1])


def _splits(
    net: Network, regions: Sequence[_Region], i: int
) -> tuple[dict[Pattern, set[int]], dict[int, Pattern], list[Open]]:
    """What taxonomy i splits.

    Returns:
        For each atom so far, the classes that split it; the classes of which all parts are one atom, with the atom that
        this is written as a part of; and what stays open.
    """
    classes_of = {r.pattern: r.classes for r in regions}
    places: dict[tuple[int, int], dict[Pattern, None]] = {}  # class and column → where what they share may be
    for r in regions:
        here = net.may[i][r.pixels.cells][:, :-1]
        meet = _shared(net, r, i) & product(here.T, net.has[:, r.pixels.cells].T)
        for x, column in np.argwhere(meet & ~net.blank[i][:-1, None]).tolist():
            places.setdefault((x, column), {}).setdefault(r.pattern)
    certain: dict[Pattern, set[int]] = {r.pattern: set() for r in regions}
    meets: dict[Pattern, set[int]] = {}
    for (x, column), at in places.items():
        for home in at:
            meets.setdefault(home, set()).add(x)
        if len(at) == 1 and net.stated[i][x, column]:
            certain[next(iter(at))].add(x)
        for home in _only_places(net, at, classes_of, column) if net.whole[i][x, column] else ():
            certain[home].add(x)
    for home, classes in meets.items():
        certain[home] |= classes if len(classes) == 1 else set()
    splits = {home: {*classes} for home, classes in certain.items()}
    together: dict[int, Pattern] = {}
    for group, classes in _without_place(places, certain).items():
        for home in group:
            splits[home] |= classes
        if not _are_few(group, classes, certain):
            together |= dict.fromkeys(classes, group[0])
    found = []
    for (x, column), at in places.items():
        differ = [j for j in range(i) if len({classes_of[home][j] for home in at}) > 1] or range(i)
        for home in at:
            known = tuple((j, classes_of[home][j]) for j in differ if classes_of[home][j] != NONE)
            if x not in certain[home]:
                found.append(Open(i, x, home, column, known))
    return splits, together, found


def _only_places(
    net: Network, at: Iterable[Pattern], classes_of: Mapping[Pattern, Pattern], column: int
) -> Iterator[Pattern]:
    """Of the atoms that may have pixels of a source class, those that are the only place for what a class shares with
    it."""
    places: dict[tuple[int, int], list[Pattern]] = {}
    for home in at:
        for j, a in enumerate(classes_of[home]):
            if a != NONE and net.stated[j][a, column]:
                places.setdefault((j, a), []).append(home)
    yield from (homes[0] for homes in places.values() if len(homes) == 1)


def _without_place(
    places: Mapping[tuple[int, int], Mapping[Pattern, None]], certain: Mapping[Pattern, set[int]]
) -> dict[tuple[Pattern, ...], set[int]]:
    """The classes that certainly split nothing, by the fewest atoms of which one must have pixels of theirs."""
    out: dict[tuple[Pattern, ...], set[int]] = {}
    for x in sorted({x for x, _ in places} - set().union(*certain.values())):
        fewest = min((at for (y, _), at in places.items() if y == x), key=len)
        out.setdefault(tuple(fewest), set()).add(x)
    return out


def _are_few(group: Sequence[Pattern], classes: set[int], certain: Mapping[Pattern, set[int]]) -> bool:
    """Whether every atom of a group can be split by every class of one, so that both keep atoms of their own.

    Two classes that divide the same region each in their way are told apart only if what they may share are atoms. Of
    many, these would be too many: then one atom for each class has to do. Where others split an atom anyway, it does.
    """
    return not any(certain[home] for home in group) and len(group) * len(classes) <= _FEW


def _shared(net: Network, r: _Region, i: int) -> Matrix:
    """The source classes that relate each class of taxonomy i to a region, bool [D, columns].

    Those of the finest source that has something on both count: that two classes lie in the same one of a few coarse
    ones says little. Those of other sources count where they are the class itself, or one of the region.
    """
    out = r.names & net.related[i]
    same = out & (r.equal | net.equal[i])
    undecided = np.ones(len(out), bool)
    for start, end in pairwise(net.starts):  # the finest source comes first
        speaks = net.related[i][:, start:end].any(1) & r.names[start:end].any()
        out[~(undecided & speaks), start:end] = False
        undecided &= ~speaks
    return (out | same) & net.is_class


def _standing(net: Network, pattern: Pattern, part: Pattern) -> tuple[tuple[bool, int], ...]:
    """How well a pattern stands for a part of it; less is better. What it adds should have a name of the part, or else
    be as wide as possible."""
    added = [(i, x) for i, (x, of_part) in enumerate(zip(pattern, part, strict=True)) if x != of_part]
    names = {net.members[i].taxonomy.classes[x].name for i, x in enumerate(part) if x != NONE}
    return tuple((net.members[i].taxonomy.classes[x].name not in names, -net.widths[i][x]) for i, x in added)


def _stands_alone(net: Network, classes: Pattern, names: Matrix, others: Iterable[int]) -> bool:
    """Whether rows say that some classes have pixels of no class of other taxonomies, as far as these are related.

    Args:
        classes: of each taxonomy so far, or `NONE`.
        names: the source classes that the rows of all of them name.
        others: the taxonomies in question.
    """
    single = sum(x != NONE for x in classes) == 1
    for i in others:
        named: Matrix = np.any(net.related[i], axis=0)
        for start, end in pairwise(net.starts):
            here = names[start:end]
            if not here.any() or not named[start:end].any():
                continue
            free = here & ~named[start:end]
            free[-1] = here[-1] and single  # outside of a source, the rows of two say nothing of each other
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
