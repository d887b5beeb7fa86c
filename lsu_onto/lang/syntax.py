"""The syntax tree of a `.tax` file: plain values with spans, nothing resolved."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from lsu_onto.diagnostics import Span

EDITION = 1
KEYWORDS = ("tax", "source", "dataset", "map", "extends", "aka")
RESERVED = (*KEYWORDS, "void", "any")


@dataclass(frozen=True)
class Word:
    """A name, version, key or number as written."""

    text: str
    span: Span


@dataclass(frozen=True)
class Target:
    """What a relation points at. `text` has no quotes and no `@`."""

    kind: Literal["name", "string", "group", "void", "any"]
    text: str
    span: Span


@dataclass(frozen=True)
class Relation:
    """`OP target…`, op one of `= < > ~ !`."""

    op: str
    targets: tuple[Target, ...]
    note: str
    span: Span


@dataclass(frozen=True)
class Decision:
    """`-> void` or `-> any [! target…]`."""

    to: Literal["void", "any"]
    minus: tuple[Target, ...]
    note: str
    span: Span


@dataclass(frozen=True)
class Edition:
    number: int
    note: str
    span: Span


@dataclass(frozen=True)
class Taxon:
    """A reference to a taxonomy: name and version."""

    name: Word
    version: Word


@dataclass(frozen=True)
class Header:
    """`source a v1`, `dataset a v1 [-> b v1]` or `map a v1 -> b v1`: starts a section."""

    kind: Literal["source", "dataset", "map"]
    taxon: Taxon
    target: Taxon | None
    note: str
    span: Span


@dataclass(frozen=True)
class Extends:
    taxon: Taxon
    note: str
    span: Span


@dataclass(frozen=True)
class Meta:
    """`key: value`."""

    key: Word
    value: Word
    note: str
    span: Span


@dataclass(frozen=True)
class Group:
    """`[vehicle.large]`: holds for the class lines below it."""

    name: str
    note: str
    span: Span


@dataclass(frozen=True)
class IdRange:
    """Raw values `low..high`, both included."""

    low: int
    high: int
    span: Span


@dataclass(frozen=True)
class ClassLine:
    """A class of a source or dataset. No ids: never drawn (`-`)."""

    ids: tuple[IdRange, ...]
    name: Word
    official: Word | None
    colours: tuple[Word, ...]
    aliases: tuple[Word, ...]
    note: str
    relations: tuple[Relation, ...]
    decision: Decision | None
    span: Span


@dataclass(frozen=True)
class Row:
    """A class of the dataset and its relations, inside a map."""

    target: Target
    note: str
    relations: tuple[Relation, ...]
    decision: Decision | None
    span: Span


@dataclass(frozen=True)
class Comment:
    note: str
    span: Span


Statement = Edition | Header | Extends | Meta | Group | ClassLine | Row | Comment


@dataclass(frozen=True)
class File:
    """A parsed file: the statements that could be read, in order, and its text by line."""

    path: str
    text: str
    statements: tuple[Statement, ...]
    allowed: dict[int, frozenset[str]] = field(default_factory=dict)
    """Line → codes that `# allow:` suppresses there."""
