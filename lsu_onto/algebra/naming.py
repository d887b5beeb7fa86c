"""What the classes of a union are called, their groups and their colours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

from lsu_onto.algebra.atoms import NONE, Atoms, Pattern, main_part
from lsu_onto.algebra.network import Network
from lsu_onto.ontology.model import Taxonomy


def names_of(net: Network, atoms: Atoms) -> tuple[str, ...]:
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


def groups_of(net: Network, patterns: Sequence[Pattern]) -> list[str]:
    """The group of each atom: that of the first of its classes that has one, in the words of the taxonomies before."""
    groups = [""] * len(patterns)
    for i, m in enumerate(net.members):
        own = [_group(m.taxonomy, p[i]) for p in patterns]
        votes: dict[str, Counter[str]] = {}
        for p, group, mine in zip(patterns, groups, own, strict=True):
            if group and mine:  # what has the same name decides, if there is any
                alike = m.taxonomy.classes[p[i]].name in _words(net, p[:i])
                votes.setdefault(mine, Counter())[group] += len(patterns) if alike else 1
        said = {mine: count.most_common(1)[0][0] for mine, count in votes.items()}
        groups = [group or said.get(mine, mine) for group, mine in zip(groups, own, strict=True)]
    return groups


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
