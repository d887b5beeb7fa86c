"""The resolved model: taxonomies and the relations between them, as immutable values.

These are plain dataclasses: `resolve.py` makes every value from a checked syntax tree, so there is nothing to validate,
and importing pydantic would take longer than all the rest of `lsu-onto validate`. Data that comes from outside the
language is validated where it enters (`constraint/npz.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Literal, NamedTuple

from lsu_onto.diagnostics import Span
from lsu_onto.lang.names import transliterated

NAMED = ("polygons", "rle")
"""The encodings whose raw values are the names of classes, not numbers."""


def alternatives(patterns: str) -> list[str]:
    """The patterns that ` | ` separates in a key such as `labels:`, in their order.

    >>> alternatives("{split}/labels/{stem}.png | {split}/v1.2/labels/{stem}.png")
    ['{split}/labels/{stem}.png', '{split}/v1.2/labels/{stem}.png']
    """
    return re.split(r"\s+\|\s+", patterns)


def bare(name: str) -> str:
    """A name without what may be written in several ways: case, accents, spaces and marks.

    >>> bare("Traffic-Light"), bare("Straße")
    ('trafficlight', 'strasse')
    """
    return transliterated(name).replace("_", "") or name


@dataclass(frozen=True, kw_only=True)
class TaxClass:
    """One class of a taxonomy.

    `ids` are inclusive ranges of raw values (channels in a source); a class without any is never drawn. `colours` are
    `0xrrggbb`. The first is for the palette; under `encoding: rgb`, all of them are raw values.
    """

    name: str
    official: str
    ids: tuple[tuple[int, int], ...]
    colours: tuple[int, ...]
    aliases: tuple[str, ...]
    group: str
    note: str
    span: Span
    end: int
    """The column after its ids, names, colours and aliases, where relations and further aliases go."""

    @property
    def rgb(self) -> tuple[int, int, int] | None:
        if not self.colours:
            return None
        c = self.colours[0]
        return c >> 16, c >> 8 & 255, c & 255


@dataclass(frozen=True, kw_only=True)
class Taxonomy:
    """What sources and datasets share: a name, a version, classes in the file's order, and free keys."""

    name: str
    version: str
    classes: tuple[TaxClass, ...]
    meta: dict[str, str]
    encoding: str = "id"
    void: tuple[int, ...] = ()
    """Raw values that mean "not annotated", ascending."""
    void_span: Span | None = None
    """The place of the key, which may be in the file of a base."""
    span: Span
    bases: tuple[str, ...] = ()
    """The files of the datasets that it extends."""
    extends: tuple[tuple[str, str], ...] = ()
    """Name and version of the datasets that it extends, nearest first."""
    damaged: bool = False
    """A line of its section could not be read, so a missing name may not be a mistake."""

    @cached_property
    def signature(self) -> tuple[str, str, tuple[str, ...]]:
        """Name and version, and the names of the classes: files in two folders may each mean another taxonomy of that
        name."""
        return self.name, self.version, tuple(c.name for c in self.classes)

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.meta.get("splits", "").replace(",", " ").split())

    @cached_property
    def by_name(self) -> dict[str, int]:
        return {c.name: i for i, c in enumerate(self.classes)}

    @cached_property
    def by_other_name(self) -> dict[str, int]:
        """Official names and aliases → class."""
        out: dict[str, int] = {}
        for i, c in enumerate(self.classes):
            for other in (c.official, *c.aliases):
                out.setdefault(other, i)
        return out

    @cached_property
    def by_letters(self) -> dict[str, int]:
        """All names without what may be written in several ways → class."""
        return {bare(k): i for k, i in self.by_any_name.items()}

    @cached_property
    def by_any_name(self) -> dict[str, int]:
        """Names, official names and aliases → class."""
        return self.by_other_name | self.by_name

    @cached_property
    def lowered(self) -> dict[str, str]:
        """Names in lower case → as they are written."""
        return {name.lower(): name for name in self.by_any_name}

    @cached_property
    def classes_lowered(self) -> dict[str, str]:
        """Names of classes in lower case → the first that is written so."""
        return {name.lower(): name for name in reversed(self.by_name)}

    @cached_property
    def groups_lowered(self) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        """Groups by their names in lower case, and by what follows a point in these."""
        exact: dict[str, list[str]] = {}
        ending: dict[str, list[str]] = {}
        for group in self.groups:
            exact.setdefault(group.lower(), []).append(group)
            parts = group.lower().split(".")
            for n in range(1, len(parts)):
                ending.setdefault(".".join(parts[n:]), []).append(group)
        return exact, ending

    @cached_property
    def meant(self) -> dict[str, tuple[str, str] | None]:
        """What has been made of names that it does not have (`unknown.py`). A file may repeat one in every row."""
        return {}

    def group(self, name: str) -> tuple[int, ...]:
        """The classes of a group and its subgroups."""
        return self.members.get(name, ())

    @cached_property
    def members(self) -> dict[str, tuple[int, ...]]:
        """Group → its classes and those of its subgroups."""
        found: dict[str, list[int]] = {}
        for i, c in enumerate(self.classes):
            group = c.group
            while group:
                found.setdefault(group, []).append(i)
                group = group.rpartition(".")[0]
        return {name: tuple(classes) for name, classes in found.items()}

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Every group and every parent of one, in order of appearance."""
        seen: dict[str, None] = {}
        for c in self.classes:
            parts = c.group.split(".") if c.group else []
            for n in range(1, len(parts) + 1):
                seen.setdefault(".".join(parts[:n]))
        return tuple(seen)


@dataclass(frozen=True, kw_only=True)
class Source(Taxonomy):
    """The K classes that models predict; class i is channel i."""


@dataclass(frozen=True, kw_only=True)
class Dataset(Taxonomy):
    """The D classes that a dataset was annotated with."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One resolved target. `channels` has several entries for a group, and none for `void` and `any`."""

    text: str
    channels: tuple[int, ...]
    kind: Literal["name", "string", "group", "void", "any"]
    span: Span


@dataclass(frozen=True, kw_only=True)
class Relation:
    op: Literal["=", "<", ">", "~", "!"]
    targets: tuple[Target, ...]
    note: str
    span: Span


@dataclass(frozen=True, kw_only=True)
class Decision:
    to: Literal["void", "any"]
    minus: tuple[Target, ...]
    note: str
    span: Span


class Meaning(NamedTuple):
    """S(d), as the table of relations in docs/language.md defines it: the operator of each allowed channel (`any` if a
    decision allows it), whether void is allowed, and whether the class is known to be no source class."""

    channels: Mapping[int, str]
    void: bool
    novel: bool


@lru_cache(maxsize=64)
def _any_but(num_channels: int, minus: frozenset[int], void: bool) -> Meaning:
    """What `-> any` means, which is asked for often, for many rows, and as large as the source."""
    return Meaning(MappingProxyType({c: "any" for c in range(num_channels) if c not in minus}), void, False)


@dataclass(frozen=True, kw_only=True)
class MapRow:
    """The relations of one dataset class. A poisoned row contains a name that could not be resolved."""

    cls: int
    relations: tuple[Relation, ...]
    decision: Decision | None
    note: str
    span: Span
    poisoned: bool = False
    inherited: bool = False
    """It comes from the map of a dataset that this one extends."""

    def meaning(self, num_channels: int) -> Meaning:
        """S(d): exactly the set written, minus `!` targets."""
        minus = {c for r in self.relations if r.op == "!" for t in r.targets for c in t.channels}
        if self.decision:
            if self.decision.to == "void":
                return Meaning({}, True, False)
            minus |= {c for t in self.decision.minus for c in t.channels}
            void = not any(t.kind == "void" for t in self.decision.minus)
            return _any_but(num_channels, frozenset(minus), void)
        stated: dict[int, str] = {}
        void = novel = False
        for relation in self.relations:
            for target in relation.targets:
                if relation.op == "!":
                    novel = novel or target.kind == "any"
                    continue
                void = void or target.kind == "void"
                for c in target.channels:
                    stated.setdefault(c, relation.op)
        if novel:
            return Meaning({}, not stated, not stated)
        return Meaning({c: op for c, op in stated.items() if c not in minus}, void, False)


@dataclass(frozen=True, kw_only=True)
class Ontology:
    """A resolved map: both taxonomies, and one row for each dataset class that the map mentions."""

    dataset: Dataset | Source
    source: Source
    rows: tuple[MapRow, ...]
    span: Span
    damaged: bool = False
    files: tuple[str, ...]
    """The files it was read from: dataset, map, source."""

    def _repr_html_(self) -> str:
        """The map as a table, for notebooks."""
        from lsu_onto.ontology.html import ontology_table

        return ontology_table(self)
