"""What the classes of a union are called, their groups and their colours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from lsu_onto.algebra.atoms import NONE, Atoms, Pattern, main_part
from lsu_onto.algebra.network import Network
from lsu_onto.ontology.model import Taxonomy

_GONE = -2
"""The end of a pattern that is no atom any more, and whose number is free."""


def ordered(net: Network, atoms: Atoms, before: Mapping[Pattern, str]) -> dict[Pattern, str]:
    """A name for each atom, in the order of their numbers.

    What stands for an atom when it is split keeps its number, and its name if it is more than a part. The other parts
    are appended. They are called as their class in the taxonomy that splits, if no other atom has it, and else as both.

    Args:
        before: the same for the first taxonomies alone, so that numbers and names change little when more are added.
    """
    start = len(next(iter(before), ()))
    names = _named(net, atoms, start, [*before], before, {})
    for i in range(start, len(net.members)):
        parts: dict[Pattern, list[Pattern]] = {}
        for p in atoms.levels[i + 1]:
            parts.setdefault(p[:-1], []).append(p)
        main = {u: main_part(net, parts[u]) for u in names if u in parts}
        t = net.members[i].taxonomy
        kept = {
            p: names[u]
            for u, p in main.items()
            if len(parts[u]) == 1 or p in atoms.wide[i + 1] or t.classes[p[-1]].name in _words(net, u)
        }
        names = _named(net, atoms, i + 1, [main.get(u, (*u, _GONE)) for u in names], kept, names)
    return {p: name for p, name in names.items() if p in atoms.patterns}


def _named(
    net: Network,
    atoms: Atoms,
    i: int,
    places: Sequence[Pattern],
    kept: Mapping[Pattern, str],
    parents: Mapping[Pattern, str],
) -> dict[Pattern, str]:
    """The atoms of the first i taxonomies, with names, in their order; some numbers may be free.

    Args:
        places: what has a number already. That of what is no atom is free, and given to a new one.
        kept: names that are given already.
        parents: the names of the atoms of one taxonomy less.
    """
    level = {*atoms.levels[i]}
    order = {p: n for n, p in enumerate(parents)}
    new = sorted(level.difference(places), key=lambda p: (order.get(p[:-1], len(order)), p[-1:] == (NONE,), p[::-1]))
    fillers = iter(new)
    filled = [p if p in level else next(fillers, p) for p in places]
    often = Counter(p[-1] for p in level if p)
    taken = {kept[p] for p in level if p in kept}
    names: dict[Pattern, str] = {}
    for p in (*filled, *fillers):
        name = kept.get(p, "")
        if p in level and not name:
            name = next(n for n in _candidates(net, p, parents.get(p[:-1]), often[p[-1]] == 1) if n not in taken)
            taken.add(name)
        names[p] = name
    return names


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


def groups_of(net: Network, patterns: Sequence[Pattern]) -> list[str]:
    """The group of each atom: that of the first of its classes that has one, in the words of the taxonomies before.

    A group is what theirs of the same name is, also where it is a part of it (`object.vehicle`: `vehicle`, if they have
    that, or `object`), or else what most of its classes are there.
    """
    groups = [""] * len(patterns)
    for i, m in enumerate(net.members):
        own = [_group(m.taxonomy, p[i]) for p in patterns]
        known = {*groups} - {""}
        named = {mine: next((g for g in _paths(mine) if g in known), "") for mine in {*own}}
        votes: dict[str, Counter[str]] = {}
        for p, group, mine in zip(patterns, groups, own, strict=True):
            if group and mine:  # what has the same name decides, if there is any
                alike = m.taxonomy.classes[p[i]].name in _words(net, p[:i])
                votes.setdefault(mine, Counter())[group] += len(patterns) if alike else 1
        said = {mine: count.most_common(1)[0][0] for mine, count in votes.items()}
        groups = [group or named[mine] or said.get(mine, mine) for group, mine in zip(groups, own, strict=True)]
    return groups


def _paths(group: str) -> list[str]:
    """
    >>> _paths("object.vehicle")
    ['object.vehicle', 'vehicle', 'object']
    """
    return [group, *reversed(group.split("."))]


def _group(t: Taxonomy, x: int) -> str:
    group = "" if x == NONE else t.classes[x].group
    return "" if group == "void" else group


def colours_of(net: Network, patterns: Sequence[Pattern]) -> list[int]:
    """A colour for each atom, of one of its classes if no atom before has it."""
    taken: dict[int, None] = {}
    for p in patterns:
        own = [net.members[i].taxonomy.classes[x].colours[:1] for i, x in enumerate(p) if x != NONE]
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
