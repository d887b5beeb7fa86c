"""The relations of a row for another S(d): those that stay true are kept, and new ones are the weakest.

`=` and `>` are strong claims, which no change of S(d) justifies: a new class gets `~`, and a single one `<`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from lsu_onto.ontology.fixes import shown
from lsu_onto.ontology.model import MapRow, Source, Target

Allowed = frozenset[int]
"""S(d) as channels; K is void."""


class Piece(NamedTuple):
    """An operator and its targets, as they are written."""

    op: str
    targets: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join((self.op, *self.targets))


@dataclass(frozen=True)
class Wording:
    """The relations of a row. `pieces[i]` replaces relation i of the row; nothing, if it goes.

    `holds` says with which operator the row holds a channel, unless a decision allows it.
    """

    pieces: tuple[tuple[Piece, ...], ...]
    holds: dict[int, str]
    whole: str = ""
    """What replaces all relations, in place of `pieces`."""

    @property
    def text(self) -> str:
        return self.whole or " ".join(p.text for pieces in self.pieces for p in pieces)


def allowed(row: MapRow, source: Source) -> Allowed:
    """S(d) of a row."""
    meaning = row.meaning(len(source.classes))
    return frozenset([*meaning.channels, *([len(source.classes)] if meaning.void else [])])


def reworded(row: MapRow, wanted: Allowed, source: Source, weak: Allowed = frozenset()) -> Wording:
    """The relations of a row such that S(d) is `wanted`.

    Args:
        row: the row as it is.
        wanted: channels; K is void. Not empty.
        source: has the classes.
        weak: the channels of which the row may no longer claim all, because another row holds a part of them.
    """
    void = len(source.classes)
    if wanted == {void}:
        return Wording((), {}, "-> void")
    if len(wanted) == 1:
        (channel,) = wanted
        return Wording((), {channel: "<"}, f"< {source.classes[channel].name}")
    missing = frozenset(range(void + 1)) - wanted
    if not missing:
        return Wording((), {}, "-> any")
    if row.decision and row.decision.to == "any" and len(missing) < len(wanted):
        return Wording((), {}, Piece("-> any !", _excluded(row.decision.minus, missing, source)).text)
    return _edited(row, wanted, source, weak) or Wording(
        (), {c: "~" for c in wanted if c != void}, Piece("~", _names(wanted, source)).text
    )


def _names(channels: Iterable[int], source: Source) -> tuple[str, ...]:
    """Names in the order of the channels, `void` last."""
    return tuple([*(c.name for c in source.classes), "void"][i] for i in sorted(channels))


def _channels(t: Target, source: Source) -> Allowed:
    return frozenset([len(source.classes)] if t.kind == "void" else t.channels)


def _excluded(minus: Iterable[Target], missing: Allowed, source: Source) -> tuple[str, ...]:
    """The targets of `!` that take out just these channels, as far as possible those that are written."""
    kept = [t for t in minus if _channels(t, source) & missing and _channels(t, source) <= missing]
    rest = missing.difference(*(_channels(t, source) for t in kept))
    return (*map(shown, kept), *_names(rest, source))


def _edited(row: MapRow, wanted: Allowed, source: Source, weak: Allowed) -> Wording | None:
    """The relations with what goes taken out and what comes added; None if nothing of them stays."""
    pieces: list[list[Piece]] = []
    holds: dict[int, str] = {}
    removed: set[int] = set()
    weak = _spread(row, wanted, source, weak)
    for relation in row.relations:
        kept: dict[str, list[str]] = {relation.op: []}
        for t in relation.targets if relation.op != "!" else ():
            channels = _channels(t, source)
            have = channels & wanted
            if not have:
                continue
            op = "~" if relation.op in "=<" or (relation.op == ">" and have & weak) else relation.op
            if len(channels - have) < len(have):
                kept.setdefault(op, []).append(shown(t))
                removed |= channels - have
            else:  # a few of a large group
                kept.setdefault(op, []).extend(_names(have, source))
            holds |= {c: op for c in have if c not in holds}
        pieces.append([Piece(op, tuple(targets)) for op, targets in kept.items() if targets])
    if not any(pieces):
        return None
    void = len(source.classes)
    removals = [t for r in row.relations if r.op == "!" for t in r.targets]
    stay = [t for t in removals if t.channels and removed & {*t.channels} and wanted.isdisjoint(t.channels)]
    more = _names(removed.difference(*(t.channels for t in stay)), source)
    for i, relation in enumerate(row.relations):
        targets = tuple(shown(t) for t in relation.targets if t in stay)
        if relation.op == "!" and targets:
            pieces[i] = [Piece("!", targets)]
    _add(pieces, "~", _names(wanted - holds.keys(), source))
    _add(pieces, "!", more)
    holds |= dict.fromkeys(wanted - holds.keys(), "~")
    holds.pop(void, None)
    return Wording(tuple(map(tuple, pieces)), holds)


def _spread(row: MapRow, wanted: Allowed, source: Source, weak: Allowed) -> Allowed:
    """What is weak, and what shares a group with it: a class of a weakened `> @group` may also be named alone."""
    groups = [_channels(t, source) & wanted for r in row.relations if r.op == ">" for t in r.targets]
    while not weak.issuperset(more := weak.union(*(g for g in groups if g & weak))):
        weak = more
    return weak


def _add(pieces: list[list[Piece]], op: str, targets: tuple[str, ...]) -> None:
    """Add targets behind the last ones of the same operator, or else behind the last ones that allow something."""
    if not targets:
        return
    places = [(i, j) for i, row in enumerate(pieces) for j, p in enumerate(row) if p.op == op]
    if places:
        i, j = places[-1]
        pieces[i][j] = Piece(op, pieces[i][j].targets + targets)
        return
    i = max(i for i, row in enumerate(pieces) if any(p.op != "!" for p in row))
    pieces[i].append(Piece(op, targets))
