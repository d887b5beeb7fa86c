"""Writing `.tax` text: identifiers for official labels, class lines and rows. `fmt` aligns them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lsu_onto.lang.colours import as_colour
from lsu_onto.lang.names import NAME, identifier, identifiers
from lsu_onto.lang.syntax import RESERVED

__all__ = ["NAME", "identifier", "identifiers"]

WIDTH = 100


def name_problem(name: str) -> str | None:
    """Why a taxonomy cannot have this name, or None if it can.

    >>> name_problem("field"), name_problem("my data.tax")
    (None, '`my data.tax` cannot be a name; write `my_data`')
    """
    if NAME.fullmatch(name) and name not in RESERVED:
        return None
    return f"`{name}` cannot be a name; write `{identifier(name.removesuffix('.tax'))}`"


def quoted(text: str) -> str:
    """A quoted string. The language has no escapes."""
    return '"' + re.sub(r"[\0\r\n\t]+", " ", text.replace('"', "'")) + '"'


def one_line(text: str) -> str:
    """What can stand behind a key: one line, of which nothing is a note.

    >>> one_line("a\\nb: c # d")
    'a b: c d'
    """
    return " ".join(re.sub(r"[\0#]", " ", text).split())


def note(*parts: str) -> str:
    """A trailing note, or an empty string. It never switches a diagnostic off."""
    text = "; ".join(dict.fromkeys(" ".join(p.replace("\0", " ").split()) for p in parts if p.strip()))
    return "# " + re.sub(r"\ballow:", "allow", text) if text else ""


@dataclass
class ClassLine:
    """A class as it will be written. `relation` has one string per line."""

    name: str
    ids: str = "-"
    official: str = ""
    colours: str = ""
    aliases: tuple[str, ...] = ()
    group: str = ""
    relation: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)


def class_lines(classes: Sequence[ClassLine]) -> list[str]:
    """Class lines below their `[group]` headers.

    A class without a group that follows one with a group stands in `[ungrouped]`: a header holds until the next.
    """
    out: list[str] = []
    group, officials = "", set[str]()
    for c in classes:
        heading = c.group or ("ungrouped" if group else "")
        if heading != group:
            out.append(f"[{heading}]")
            group = heading
        name, official = c.name, quoted(c.official or c.name)
        if official in officials or as_colour(c.official):
            # listed twice, different in what a quoted string cannot hold, or read as a colour
            c.notes.append(f"officially {official}")
        elif c.official and c.official != c.name:
            name += f" {official}"
            c.notes += [f"spelt `{c.official}`"] if '"' in c.official else []
        officials.add(official)
        names = [a for a in c.aliases if not as_colour(a)]
        c.notes += [f"also called {quoted(a)}" for a in c.aliases if as_colour(a)]
        alone = len(names) == 1  # of several, quotes say where each ends
        aliases = " ".join(a if alone and NAME.fullmatch(a) and a not in RESERVED else quoted(a) for a in names)
        head = " ".join(filter(None, [c.ids, name, c.colours, f"aka {aliases}" if aliases else ""]))
        out += _with_relation(head, c.relation, note(*c.notes))
    return out


def map_rows(rows: Iterable[tuple[str, tuple[str, ...], list[str]]]) -> list[str]:
    """Rows of a map: name, relation, notes."""
    return [line for name, relation, notes in rows for line in _with_relation(name, relation, note(*notes))]


def _with_relation(head: str, relation: tuple[str, ...], trailing: str) -> list[str]:
    first, *rest = relation or ("",)
    lines = [f"{head} {first}", *(f"  {r}" for r in rest)]
    lines[-1] += f" {trailing}"
    return [line.rstrip() for line in lines]


def allowed_relation(channels: Sequence[str], void: bool, total: int) -> tuple[str, ...]:
    """The weakest statement with exactly this S(d), because a published set says no more.

    >>> allowed_relation(["road"], False, 19), allowed_relation(["road"], True, 19), allowed_relation([], True, 19)
    (('< road',), ('~ road void',), ('-> void',))
    """
    if not channels:
        return ("-> void",)
    if void and len(channels) == total > 1:
        return ("-> any",)
    if len(channels) == 1 and not void:
        return (f"< {channels[0]}",)
    lines, current = [], "~"
    for name in [*channels, *(["void"] if void else [])]:
        if len(current) + len(name) + 1 > WIDTH - 30 and current != "~":
            lines.append(current)
            current = "~"
        current += f" {name}"
    return (*lines, current)
