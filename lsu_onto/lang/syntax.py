"""The syntax tree of a `.tax` file: plain values with spans, nothing resolved.

The values are named tuples, because files have thousands of them, and a frozen dataclass costs three times as much.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from lsu_onto.diagnostics import Diagnostic, Span

EDITION = 1
KEYWORDS = ("tax", "source", "dataset", "map", "extends", "aka")
RESERVED = (*KEYWORDS, "void", "any")


class Word(NamedTuple):
    """A name, version, key or number as written."""

    text: str
    span: Span


class Target(NamedTuple):
    """The target of a relation. `text` has no quotes and no `@`."""

    kind: Literal["name", "string", "group", "void", "any"]
    text: str
    span: Span


class Relation(NamedTuple):
    """`OP target…`, op one of `= < > ~ !`."""

    op: str
    targets: tuple[Target, ...]
    note: str
    span: Span


class Decision(NamedTuple):
    """`-> void` or `-> any [! target…]`."""

    to: Literal["void", "any"]
    minus: tuple[Target, ...]
    note: str
    span: Span


class Edition(NamedTuple):
    number: int
    note: str
    span: Span


class Taxon(NamedTuple):
    """A reference to a taxonomy: name and version."""

    name: Word
    version: Word


class Header(NamedTuple):
    """`source a v1`, `dataset a v1 [-> b v1]` or `map a v1 -> b v1`: starts a section."""

    kind: Literal["source", "dataset", "map"]
    taxon: Taxon
    target: Taxon | None
    note: str
    span: Span


class Extends(NamedTuple):
    taxon: Taxon
    note: str
    span: Span


class Meta(NamedTuple):
    """`key: value`."""

    key: Word
    value: Word
    note: str
    span: Span


class Group(NamedTuple):
    """`[vehicle.large]`: holds for the class lines below it."""

    name: str
    note: str
    span: Span


class IdRange(NamedTuple):
    """Raw values from `low` to `high`, both included."""

    low: int
    high: int
    span: Span


class ClassLine(NamedTuple):
    """A class of a source or dataset. A class without ids (`-`) is never drawn."""

    ids: tuple[IdRange, ...]
    name: Word
    official: Word | None
    colours: tuple[Word, ...]
    aliases: tuple[Word, ...]
    note: str
    relations: tuple[Relation, ...]
    decision: Decision | None
    span: Span

    @property
    def end(self) -> int:
        """The column after its ids, names, colours and aliases."""
        return (self.aliases or self.colours or (self.official or self.name,))[-1].span.end


class Row(NamedTuple):
    """A class of the dataset and its relations, inside a map."""

    target: Target
    note: str
    relations: tuple[Relation, ...]
    decision: Decision | None
    span: Span


class Comment(NamedTuple):
    note: str
    span: Span


Statement = Edition | Header | Extends | Meta | Group | ClassLine | Row | Comment


class Reading(NamedTuple):
    """What a line that could not be read was probably meant to say."""

    text: str
    """The line as the language writes it."""
    choices: tuple[tuple[str, str], ...] = ()
    """Relations that may be meant, each with when it holds. The first one stands in `text`."""
    lacks: tuple[str, ...] = ()
    """What the line does not say: `id` (`text` has 0 in its place), `relation`."""


class Unread(NamedTuple):
    """A physical line that could not be read."""

    line: str
    finding: Diagnostic
    """With `rule` as its help, or what the parser expected."""
    rule: str
    """Why the line is wrong: what comes in front of what to write. It may be empty."""
    reading: Reading | None


class File(NamedTuple):
    """A parsed file: the statements that could be read, in order, and its text by line."""

    path: str
    text: str
    statements: tuple[Statement, ...]
    allowed: Mapping[int, frozenset[str]] = MappingProxyType({})
    """Line → codes that `# allow:` suppresses on it."""
    unread: Mapping[int, Unread] = MappingProxyType({})
    """Line → what stands on it, where it could not be read."""
