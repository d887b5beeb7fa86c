"""The taxonomies of a union, and the datasets that lead between their sources, each with the maps that count."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lsu_onto.algebra import compose
from lsu_onto.algebra.facts import Matrix, facts
from lsu_onto.algebra.ways import is_bridge
from lsu_onto.diagnostics import Span
from lsu_onto.library.library import Library
from lsu_onto.ontology.model import Dataset, MapRow, Ontology, Source, Taxonomy

Key = tuple[str, str]
"""Name and version of a source."""

COMMAND = "lsu-onto unite "
"""How the line begins that a united source has above its header."""


@dataclass(frozen=True)
class Member:
    """A taxonomy that is united, or one that only relates sources, with its maps. A source has none."""

    taxonomy: Source | Dataset
    maps: Mapping[Key, Ontology]
    doubts: frozenset[tuple[Key, int]] = frozenset()
    """Sources, and classes whose decisions allow what other rows claim whole."""
    twins: Source | None = None
    """The classes that it has in common with all others that extend the same dataset, as a source."""

    @property
    def name(self) -> str:
        """The taxonomy's name and version."""
        return f"{self.taxonomy.name} {self.taxonomy.version}"

    def facts(self, source: Key, k: int) -> Matrix | None:
        """What its map to a source with k classes leaves; None: it has no map there."""
        if isinstance(self.taxonomy, Source):
            return np.eye(k + 1, dtype=bool) if key_of(self.taxonomy) == source else None
        if self.twins and source == key_of(self.twins):
            names = [*(c.name for c in self.taxonomy.classes), ""]
            return np.array([[a == b for b in (*self.twins.by_name, "")] for a in names])
        if source not in self.maps:
            return None
        may = facts(self.maps[source])
        for row in self.maps[source].rows:
            if (source, row.cls) in self.doubts:
                meaning = row.meaning(k)
                may[row.cls, [*meaning.channels, *([k] if meaning.void else [])]] = True
        return may

    def stated(self, source: Key, k: int) -> Matrix | None:
        """The classes that rows name, without what another row claims, bool [D, k + 1]; decisions name none."""
        may = self.facts(source, k)
        if may is None or source not in self.maps:
            return None if may is None else may[:-1]
        out = np.zeros_like(may[:-1])
        for row in self.maps[source].rows:
            if row.decision is None and not row.poisoned:
                meaning = row.meaning(k)
                out[row.cls, [*meaning.channels, *([k] if meaning.void else [])]] = True
        return out & may[:-1]

    def row(self, d: int, sources: Sequence[Key]) -> MapRow | None:
        """What the map to the finest source says of a class: of some sources, or else of any."""
        order = [*sources, *sorted(self.maps, key=lambda k: -len(self.maps[k].source.classes))]
        maps = [self.maps[k] for k in order if k in self.maps]
        return next((row for o in maps for row in o.rows if row.cls == d and not row.poisoned), None)

    def blank(self, sources: Sequence[Key]) -> Matrix:
        """Which classes are none for the union, bool [D + 1]: void, and those on which there is a decision only."""
        out = np.zeros(len(self.taxonomy.classes) + 1, bool)
        out[-1] = True
        for d in range(len(out) - 1) if isinstance(self.taxonomy, Dataset) else ():
            row = self.row(d, sources)
            out[d] = row is not None and row.decision is not None
        return out


def key_of(t: Taxonomy) -> Key:
    return t.name, t.version


def member(library: Library, taxonomy: Source | Dataset, named: Collection[Key]) -> Member:
    """A taxonomy with its maps, inherited ones too; of several declarations the first one counts.

    Args:
        named: sources to which maps count even if they follow from others.
    """
    maps: dict[Key, Ontology] = {}
    if isinstance(taxonomy, Dataset):
        for e in library.entries(Path(taxonomy.span.file).parent):
            if e.source and (e.name, e.version) == key_of(taxonomy) and (e.source, e.source_version) not in maps:
                o = library.ontology(f"{e.path} {e.name} {e.version}", e.source_text)
                maps[e.source, e.source_version] = o
        for each in library.inherited_maps(taxonomy.span.file):
            if key_of(each.map.dataset) == key_of(taxonomy) and len(each.map.rows) == len(taxonomy.classes):
                maps.setdefault(key_of(each.map.source), each.map)  # else its own classes may be parts of the others
    return Member(taxonomy, {k: o for k, o in maps.items() if k in named or not _is_derived(library, o)})


def _is_derived(library: Library, o: Ontology) -> bool:
    """Whether `compose` wrote a map, or `unite` its source.

    What is written there follows from other maps: that a row has `~` does not mean that anybody has seen such pixels,
    and the rows to a united source also hold what was decided where others leave it open.
    """
    to = rf"{re.escape(o.source.name)} +{re.escape(o.source.version)}\b"
    return any(
        re.search(rf"^# {command}.*\n(?:#.*\n)*{header}{to}", library.texts.get(file, ""), re.MULTILINE)
        for file, command, header in (
            (o.span.file, compose.COMMAND, r"map +\S+ +\S+ +-> +"),
            (o.source.span.file, COMMAND, "source +"),
        )
    )


def bridges(
    library: Library, members: Sequence[Member], sources: Iterable[Key], named: Collection[Key]
) -> list[Member]:
    """Other datasets that have the classes of one source, each by `=`, and a map to another."""
    sources, known = set(sources), {key_of(m.taxonomy) for m in members}
    by_dataset: dict[Key, set[Key]] = {}
    for e in library.entries(Path()):
        if e.source and (e.name, e.version) not in known and (e.source, e.source_version) in sources:
            by_dataset.setdefault((e.name, e.version), set()).add((e.source, e.source_version))
    out = []
    for (name, version), reached in by_dataset.items():
        if len(reached) > 1:
            taxonomy = library.alone(f"{name} {version}")
            found = member(library, taxonomy, named)
            maps = {k: o for k, o in found.maps.items() if k in sources}
            if any(is_bridge(o) for o in maps.values()):
                out.append(Member(taxonomy, maps))
    return out


def with_twins(members: Sequence[Member]) -> list[Member]:
    """Datasets that extend the same one without classes of their own have the same classes, whatever maps say."""
    groups: dict[tuple[Key, frozenset[Span]], list[int]] = {}
    for i, m in enumerate(members):
        if isinstance(m.taxonomy, Dataset):
            root = m.taxonomy.extends[-1] if m.taxonomy.extends else key_of(m.taxonomy)
            declared = frozenset(c.span for c in m.taxonomy.classes)  # own classes may have the same names
            groups.setdefault((root, declared), []).append(i)
    out = list(members)
    for (root, _), group in groups.items():
        first = members[group[0]].taxonomy
        twins = Source(
            name=root[0], version=f"{root[1]} and what extends it", classes=first.classes, meta={}, span=first.span
        )
        for i in group if len(group) > 1 else ():
            out[i] = replace(members[i], twins=twins)
    return out
