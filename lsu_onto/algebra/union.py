"""Several taxonomies as one: its classes are atoms, or several that are taken together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsu_onto.algebra.atoms import NONE, Atoms, Pattern, split
from lsu_onto.algebra.facts import Matrix
from lsu_onto.algebra.members import Member
from lsu_onto.algebra.naming import ordered
from lsu_onto.algebra.network import Network, UnrelatedError, network
from lsu_onto.diagnostics import suggest
from lsu_onto.errors import UserError
from lsu_onto.library.library import Library
from lsu_onto.ontology.model import Dataset, Source


class Question(NamedTuple):
    """Two classes of which no row says whether they ever meet.

    Attributes:
        first, second: each a taxonomy's name and version, and a class.
        through: the source classes that both overlap.
        classes: names of those of the union that the second may have pixels of, unless it never meets the first.
    """

    first: tuple[str, str]
    second: tuple[str, str]
    through: tuple[str, ...]
    classes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "is": {"dataset": self.first[0], "class": self.first[1]},
            "ever": {"dataset": self.second[0], "class": self.second[1]},
            "through": list(self.through),
            "classes": list(self.classes),
        }


class Merged(NamedTuple):
    """A class that several were merged into.

    Attributes:
        name: its name.
        of: the names of what was merged.
        apart: for each taxonomy that told some of them apart, its name and version, and its classes of which one cannot
            tell any more which it is; `void` if it might be none.
    """

    name: str
    of: tuple[str, ...]
    apart: dict[str, list[str]]


class Dropped(NamedTuple):
    """A class that was left out.

    Attributes:
        name: its name.
        share: that of the narrowest class that it is a part of, in the pixels of a dataset.
        parent: the dataset's name and version, and this class.
    """

    name: str
    share: float
    parent: tuple[str, str]


@dataclass(frozen=True)
class Union:
    """A source that is made of several taxonomies.

    Attributes:
        name: the source's.
        net, atoms: what it is made of.
        parts: for each class the numbers of its atoms.
        given: the names of classes, by their first atom.
        merged, dropped: what was done to make it smaller.
    """

    name: str
    net: Network
    atoms: Atoms
    parts: tuple[tuple[int, ...], ...]
    given: Mapping[int, str]
    merged: tuple[Merged, ...] = ()
    dropped: tuple[Dropped, ...] = ()

    @property
    def members(self) -> Sequence[Member]:
        return self.net.members

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the classes."""
        return tuple(self.given[part[0]] for part in self.parts)

    @cached_property
    def called(self) -> tuple[str, ...]:
        """The names of the taxonomies, with the version where several have the name."""
        often = Counter(m.taxonomy.name for m in self.members)
        return tuple(
            m.taxonomy.name if often[m.taxonomy.name] == 1 else f"{m.taxonomy.name}@{m.taxonomy.version}"
            for m in self.members
        )

    @cached_property
    def patterns(self) -> tuple[Pattern, ...]:
        """The class that each has in each taxonomy; `NONE` where its atoms differ."""
        out = []
        for part in self.parts:
            first, *others = (self.atoms.classes[u] for u in part)
            out.append(tuple(x if all(p[i] == x for p in others) else NONE for i, x in enumerate(first)))
        return tuple(out)

    @cached_property
    def may(self) -> tuple[Matrix, ...]:
        """Which class of a member can have pixels of which class, bool [D + 1, K + 1] each; void is last."""
        kept = {u for part in self.parts for u in part}
        others = [u for u in range(len(self.atoms.patterns) + 1) if u not in kept]
        columns = [*map(list, self.parts), others]
        return tuple(np.stack([np.any(m[:, c], axis=1) for c in columns], axis=1) for m in self.atoms.may)

    def parents(self, c: int) -> list[list[int]]:
        """The classes of each taxonomy that a class may be of, its own first; without those that say nothing."""
        out = []
        for blank, x, may in zip(self.net.blank, self.patterns[c], self.may, strict=True):
            others = np.flatnonzero(may[:, c] & ~blank).tolist()
            out.append([*(d for d in others if d == x), *(d for d in others if d != x)])
        return out

    def holds(self, i: int, d: int, c: int) -> bool:
        """Whether a class of a member has all pixels of a class of the union."""
        column = self.may[i][:, c]
        return bool(column[d] and column.sum() == 1)

    @cached_property
    def questions(self) -> list[Question]:
        """What is not known, in the order of how many classes it leaves in doubt."""
        doubts: dict[tuple[int, int, int, int], tuple[dict[int, None], dict[int, None]]] = {}
        of = {u: c for c, part in enumerate(self.parts) for u in part}
        for each in self.atoms.open:
            i, x = each.member, each.cls
            atoms = [
                u
                for u, (p, classes) in enumerate(zip(self.atoms.patterns, self.atoms.classes, strict=True))
                if (p[:i] == each.pattern and (p[i] == NONE or self.atoms.may[i][x, u]))
                or (p[i] == x and any(classes[k] == NONE for k, _ in each.known))
            ]
            doubted = [of[u] for u in atoms if u in of]
            for j, a in each.known if doubted else ():
                classes, columns = doubts.setdefault((j, a, i, x), ({}, {}))
                classes |= dict.fromkeys(doubted)
                columns[each.column] = None
        made = [
            Question(
                self._class(j, a),
                self._class(i, x),
                tuple(map(self._column, sorted(columns))),
                tuple(self.names[c] for c in sorted(classes)),
            )
            for (j, a, i, x), (classes, columns) in doubts.items()
        ]
        return sorted(made, key=lambda q: (-len(q.classes), q.first, q.second))

    def _class(self, i: int, x: int) -> tuple[str, str]:
        return self.members[i].name, self.members[i].taxonomy.classes[x].name

    def _column(self, column: int) -> str:
        j = int(np.searchsorted(self.net.starts, column, side="right")) - 1
        source = self.net.sources[j]
        return f"{source.name}:{source.classes[column - self.net.starts[j]].name}"

    def merge(self, words: Sequence[str]) -> Union:
        """The union in which some classes are one.

        Args:
            words: each is names of classes with commas between them, the first of which in the source keeps its name;
                or a class of a taxonomy, `vistas:bike_lane`, for all classes of which it is the only one there.

        Raises:
            UserError: there is no such class, or one is named twice.
        """
        groups = [self._chosen(word) for word in words]
        taken: set[int] = set()
        for word, group in zip(words, groups, strict=True):
            if twice := taken.intersection(group):
                raise UserError(f"`{word}` has `{self.names[min(twice)]}`, which is merged already; name it once")
            taken |= {*group}
        first = {min(group): group for group in groups}
        parts = []
        for c, part in enumerate(self.parts):
            if c in first:
                parts.append(tuple(u for d in first[c] for u in self.parts[d]))
            elif c not in taken:
                parts.append(part)
        given = dict(self.given)
        for word, group in zip(words, groups, strict=True):
            name = word.rpartition(":")[2]
            if ":" in word and name not in {self.names[c] for c in range(len(self.parts)) if c not in group}:
                given[self.parts[group[0]][0]] = name
        merged = replace(self, parts=tuple(parts), given=given)
        losses = (self._loss(group, merged) for _, group in sorted(first.items()))
        return replace(merged, merged=(*self.merged, *losses))

    def _chosen(self, word: str) -> list[int]:
        """The classes that one `--merge` names, in the order of their numbers; the first gives the name."""
        if ":" in word:
            name, _, of = word.partition(":")
            members = [i for i, m in enumerate(self.members) if name in (m.taxonomy.name, m.name.replace(" ", "@"))]
            if len(members) != 1:
                what = f"stands for {len(members)}" if members else "is none"
                united = ", ".join(m.name.replace(" ", "@") for m in self.members)
                raise UserError(f"`{word}`: `{name}` {what} of the united taxonomies; they are {united}")
            t = self.members[members[0]].taxonomy
            if of not in t.by_name:
                hint = suggest(of, t.by_name, f"`lsu-onto show {t.name}@{t.version}` lists them")
                raise UserError(f"`{name}` has no class `{of}`; {hint}")
            chosen = [c for c in range(len(self.parts)) if self.parents(c)[members[0]] == [t.by_name[of]]]
        else:
            number = {name: c for c, name in enumerate(self.names)}
            names = [n.strip() for n in word.split(",")]
            for n in names:
                if n not in number:
                    hint = suggest(n, number, "write the command without --merge, and the file lists them")
                    raise UserError(f"there is no class `{n}` to merge; {hint}")
            chosen = sorted({number[n] for n in names})
        if len(chosen) < 2:
            what = f"only `{self.names[chosen[0]]}`" if chosen else "no class"
            raise UserError(f"`--merge {word}` names {what}; there is nothing to merge")
        return chosen

    def _loss(self, group: Sequence[int], after: Union) -> Merged:
        c = next(c for c, part in enumerate(after.parts) if self.parts[group[0]][0] in part)
        apart = {}
        for i, m in enumerate(self.members):
            before = [self.parents(g)[i] for g in group]
            classes = sorted(after.parents(c)[i])
            held = any(self.holds(i, d, g) for g, b in zip(group, before, strict=True) for d in b)
            lost = held and not any(after.holds(i, d, c) for d in classes)
            if lost or (any(len(b) < len(classes) for b in before) and len(classes) > 1):
                apart[m.name] = [m.taxonomy.classes[d].name for d in classes]
                apart[m.name] += ["void"] * bool(lost and after.may[i][after.net.blank[i], c].any())
        return Merged(after.names[c], tuple(self.names[g] for g in group), apart)

    def drop(self, below: float, shares: dict[str, NDArray[np.float64]]) -> Union:
        """The union without what is rare: its pixels are void.

        The share of a class is taken to be that of the narrowest class of a dataset that it is a part of.

        Args:
            below: the least share of a class that stays.
            shares: for datasets, by name and version, the share of each class. A class whose narrowest class is of none
                of them stays.
        """
        kept, dropped = [], []
        for c, pattern in enumerate(self.patterns):
            widths = [(int(self.may[i][x, :-1].sum()), i, x) for i, x in enumerate(pattern) if x != NONE]
            least = min(widths, default=(0,))[0]
            found = [
                (float(shares[self.members[i].name][x]), self._class(i, x))
                for width, i, x in widths
                if width == least and self.members[i].name in shares
            ]
            if found and max(found)[0] < below:
                dropped.append(Dropped(self.names[c], *max(found)))
            else:
                kept.append(self.parts[c])
        if not kept:
            raise UserError(f"no class has a share of {below:g} or more; drop below less")
        return replace(self, parts=tuple(kept), dropped=(*self.dropped, *dropped))


def unite(library: Library, taxonomies: Sequence[Source | Dataset], name: str, through: Sequence[Source] = ()) -> Union:
    """The source that is made of some taxonomies, in their order.

    Raises:
        UserError: their maps contradict each other.
    """
    names: dict[Pattern, str] = {}
    for n in range(2, len(taxonomies)):
        with suppress(UnrelatedError):  # one that comes later may relate them
            net = network(library, taxonomies[:n], through)
            names = ordered(net, split(net), names)
    net = network(library, taxonomies, through)
    atoms = split(net)
    number = {p: u for u, p in enumerate(atoms.patterns)}
    given = {number[p]: called for p, called in ordered(net, atoms, names).items()}
    return Union(name, net, atoms, tuple((u,) for u in given), given)
