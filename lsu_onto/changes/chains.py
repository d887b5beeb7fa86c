"""What follows from the maps of a file and those of others, as `compose` derives it, and how that changed.

A chain leads from a dataset to a source, through the dataset that has the classes of that source, to another source.
People compose it where the dataset has no map of its own there. A composed file says of which chain it is, whatever its
length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from textwrap import shorten
from typing import NamedTuple

import numpy as np

from lsu_onto.algebra.compose import COMMAND, ComposedRow, composed_rows, names_on_the_way
from lsu_onto.algebra.facts import Step
from lsu_onto.algebra.ways import is_bridge
from lsu_onto.changes.compare import VOID, Version, constraints, difference, ends, pairs_of_maps, successors
from lsu_onto.diagnostics import Diagnostic, Span
from lsu_onto.errors import UserError
from lsu_onto.library.library import Library
from lsu_onto.library.pipe import Imports
from lsu_onto.ontology.model import Ontology, Taxonomy
from lsu_onto.ontology.words import allowed_names
from lsu_onto.progress import progress

Name = tuple[str, str]
"""Name and version."""
Pair = tuple[Name, Name]
"""The ends of a map."""

_MOST, _FEW, _NOTE = 8, 3, 60
"""How many chains are shown, how many rows of each, and how many letters of the way of a row."""

_NOTED = re.compile(rf"^# {COMMAND}(.+)$", re.MULTILINE)


class Chain(NamedTuple):
    """A chain: what it is called, and the composed file that names it, if there is one."""

    names: tuple[Name, ...]
    file: str = ""


@dataclass(frozen=True)
class Maps:
    """The maps of a version of a file, and those that its library has beside them."""

    version: Version
    library: Library

    @cached_property
    def own(self) -> dict[Pair, Ontology]:
        return {_pair(o): o for o in self.version.maps}

    @cached_property
    def headers(self) -> dict[Pair, Path]:
        """Every map that there is, and its file."""
        out = dict.fromkeys(self.own, self._file)
        for e in self.library.entries(self._file.parent):
            if e.source:
                out.setdefault(((e.name, e.version), (e.source, e.source_version)), e.path)
        return out

    @cached_property
    def sources(self) -> set[Name]:
        here = {source for _, source in self.own}
        entries = self.library.entries(self._file.parent)
        return here | {(e.name, e.version) for e in entries if e.kind == "source"}

    @property
    def _file(self) -> Path:
        return Path(self.version.analysis.file.path)

    def map(self, dataset: Name, source: Name) -> Ontology | None:
        """The map between two taxonomies, as the file sees it; None if there is none, or nobody knows what it says."""
        if (dataset, source) in self.own:
            return self.own[dataset, source]
        if (dataset, source) not in self.headers:
            return None
        place = Span(str(self._file), 1, 1, 2)
        found, problem = Imports(self.library.workspace).map(dataset, source, place)
        unclear = problem or found is None or found.damaged or any(row.poisoned for row in found.rows)
        return None if unclear else found

    def bridges(self, at: Name, to: Name) -> list[Ontology]:
        """The maps of the datasets that have all classes of a source and a map to another: that of its name, or all."""
        datasets = [d for d, s in self.headers if s == at and (d, to) in self.headers]
        namesakes = [d for d in datasets if d[0] == at[0]]
        for chosen in (namesakes, datasets):
            maps = [o for d in chosen if (o := self.map(d, at)) and is_bridge(o)]
            if maps:
                return maps
        return []

    def steps(self, names: Sequence[Name]) -> list[Step] | None:
        """The maps of a chain, or None if it is interrupted."""
        steps: list[Step | None] = []
        at = names[0]
        for name in names[1:]:
            if not steps or (steps[-1] and steps[-1].backwards):
                steps.append(_step(self.map(at, name)))
            elif name in self.sources:
                bridges = self.bridges(at, name)
                dataset = _pair(bridges[0])[0] if len(bridges) == 1 else at
                steps += [_step(bridges[0], True) if len(bridges) == 1 else None, _step(self.map(dataset, name))]
            else:
                steps.append(_step(self.map(name, at), True))
            at = name
        complete = [s for s in steps if s]
        return complete if len(complete) == len(steps) else None

    def chains(self) -> Iterator[Chain]:
        """The chains in which a map of the file is, of two maps each, where the dataset has no other map."""
        near = {source for _, source in self.own}
        near |= {source for dataset, source in self.headers if any(dataset == own for own, _ in self.own)}
        for at in sorted(near):
            for to in sorted({s for d, s in self.headers if (d, at) in self.headers} - {at}):
                first = [d for d, s in self.headers if s == at and (d, to) not in self.headers]
                for bridge in self.bridges(at, to) if first else ():
                    (dataset, _) = _pair(bridge)
                    for d in first:
                        if {(d, at), (dataset, at), (dataset, to)} & self.own.keys():
                            yield Chain(tuple(dict.fromkeys([d, at, dataset, to])))

    def composed(self) -> Iterator[Chain]:
        """The chains that composed files name."""
        for (dataset, source), path in self.headers.items():
            names = [tuple(n.split("@", 1)) for n in _noted(self.library, path)]
            if len(names) > 2 and (names[0], names[-1]) == (dataset, source) and all(len(n) == 2 for n in names):
                yield Chain(tuple((n[0], n[1]) for n in names), str(path))


def _noted(library: Library, path: Path) -> list[str]:
    """The names of the chain that a file says it was composed of."""
    text = library.workspace.edited.get(str(path))
    if text is None:
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                text = file.read(2000)  # it stands above the map
        except OSError:
            return []
    noted = _NOTED.search(text)
    return noted[1].split() if noted else []


def _step(o: Ontology | None, backwards: bool = False) -> Step | None:
    return Step(o, backwards) if o else None


def _pair(o: Ontology) -> Pair:
    dataset, dataset_version, source, source_version = ends(o)
    return (dataset, dataset_version), (source, source_version)


def changed_chains(old: Maps, new: Maps) -> list[Diagnostic]:
    """What changed in the maps that follow from those of a file: composed files first; of many, the first ones."""
    findings: list[Diagnostic] = []
    more: list[str] = []
    chains = [*new.composed(), *old.chains()]
    with progress("chains", len(chains)) as advance:
        for chain in chains:
            finding = _compare(chain, old, new)
            if finding and len(findings) < _MOST:
                findings.append(finding)
            elif finding:
                more.append(" → ".join(f"`{' '.join(name)}`" for name in (chain.names[0], chain.names[-1])))
            advance()
    if more:
        shown = ", ".join(more[:_MOST]) + (", …" if len(more) > _MOST else "")
        help_ = f"{findings[-1].help}; {len(more)} more chain{'s' * (len(more) > 1)} changed: {shown}"
        findings[-1] = replace(findings[-1], help=help_)
    return findings


def _compare(chain: Chain, old: Maps, new: Maps) -> Diagnostic | None:
    """The finding on a chain, if what follows from it changed."""
    before = old.steps(chain.names)
    concerned = before and any(_pair(s.map) in old.own for s in before)
    if not before or not (concerned or chain.file == new.version.analysis.file.path):
        return None
    if is_bridge(before[0].map) and not chain.file:
        return None  # what changed for the source changed for its classes under another name
    later = {n: m for o, other in pairs_of_maps(old.version, new.version) if other for n, m in _renamed(o, other)}
    names = [later.get(name, name) for name in chain.names]
    after = new.steps(names)
    if after is None:
        return _interrupted(names, [new.map(*_new_pair(_pair(s.map), later)) for s in before if s.backwards])
    if (
        not chain.file
        and all(s.backwards or _pair(s.map) not in new.own for s in after)
        and _same_bridges(before, after)
    ):
        return None  # what changed lies elsewhere, and this file is not about the dataset or the source
    try:
        rows_before = composed_rows(before)
    except UserError:
        return None  # nothing followed that could be stale
    try:
        rows = composed_rows(after)
    except UserError as error:
        place = next((s.map.span for s in after if _pair(s.map) in new.own), after[0].map.span)
        dataset, way, source = _called(names)
        return Diagnostic(
            "TAX905", f"nothing follows any more from {dataset} to {source} by way of {way}", place, str(error)
        )
    written = new.map(names[0], names[-1]) if chain.file else None
    changed = list(_changed_rows(before, after, rows_before, rows, written))
    changed.sort(key=lambda each: sum(int(way.sum()) for way in rows[each[0]].ways))  # what is most certain first
    if not changed:
        return None
    dataset, way, source = _called(names)
    count = f"{len(changed)} class{'es' * (len(changed) > 1)} of {dataset}"
    command = COMMAND + " ".join(names_on_the_way(after))
    help_ = f"maps that were composed before are stale: `{command}`"
    if written:
        help_ = f"`{Path(chain.file).name}` is stale; compose it again: `{command}`"
    (second, label), *more = [(span, label) for _, span, label in changed[:_FEW]]
    what = f"{count} changed in {source}, by way of {way}"
    cause = _cause(old, new, after, rows, [d for d, _, _ in changed])
    return Diagnostic("TAX905", what, cause, help_, second, label, more=tuple(more))


def _same_bridges(before: Sequence[Step], after: Sequence[Step]) -> bool:
    """Whether what is walked backwards says the same as before."""
    old, new = ([s.may for s in steps if s.backwards] for steps in (before, after))
    return len(old) == len(new) and all(map(np.array_equal, old, new))


def _called(names: Sequence[Name]) -> tuple[str, str, str]:
    """The dataset, the way and the source of a chain, in words."""
    first, *way, last = [f"`{' '.join(name)}`" for name in names]
    return first, ", ".join(way), last


def _interrupted(names: Sequence[Name], bridges: Sequence[Ontology | None]) -> Diagnostic | None:
    """The finding on a chain that no dataset leads through any more; of a map that is gone, another finding tells."""
    lost = [o for o in bridges if o and not is_bridge(o)]
    if not lost or None in bridges:
        return None
    dataset, way, source = _called(names)
    what = f"the chain from {dataset} to {source} by way of {way} is interrupted"
    help_ = "`{} {}` no longer has all classes of the source, each by `=`".format(*_pair(lost[0])[0])
    return Diagnostic("TAX905", what, lost[0].span, help_)


def _renamed(old: Ontology, new: Ontology) -> Iterator[tuple[Name, Name]]:
    return zip(_pair(old), _pair(new), strict=True)


def _new_pair(pair: Pair, later: Mapping[Name, Name]) -> Pair:
    dataset, source = pair
    return later.get(dataset, dataset), later.get(source, source)


def _changed_rows(
    before: Sequence[Step],
    after: Sequence[Step],
    rows_before: Sequence[ComposedRow],
    rows: Sequence[ComposedRow],
    written: Ontology | None,
) -> Iterator[tuple[int, Span, str]]:
    """The classes of which something else follows now, each with its row and what changed, in words.

    Args:
        before, after: the chain. rows_before, rows: what follows from it.
        written: the composed map as a file has it. What is up to date there did not change.
    """
    datasets, sources = successors(before[0].start, after[0].start), successors(before[-1].end, after[-1].end)
    stated = {row.cls: row for row in (written or after[0].map).rows}
    for old_class, row in zip(before[0].start.classes, rows_before, strict=True):
        d = after[0].start.by_name.get(datasets.get(old_class.name, ""))
        if d is None:
            continue
        allowed = _names(rows[d], after[-1].end)
        known = stated.get(written.dataset.by_name.get(after[0].start.classes[d].name, -1) if written else d)
        if written and known and allowed_names(written, known) == allowed:
            continue
        change = difference([sources.get(n, n) for n in _names(row, before[-1].end)], allowed)
        if change:
            span = known.span if known else (written or after[0].map).span
            note = f", {shorten(rows[d].note, _NOTE, placeholder=' …')}" if rows[d].note else ""
            yield d, span, f"`{after[0].start.classes[d].name}` {change}{note}"


def _names(row: ComposedRow, source: Taxonomy) -> list[str]:
    """S(d) of a composed row in channel order, void last."""
    names = [source.classes[c].name for c in np.flatnonzero(row.allowed[:-1])]
    return names + [VOID] * bool(row.allowed[-1])


def _cause(old: Maps, new: Maps, steps: Sequence[Step], rows: Sequence[ComposedRow], classes: Sequence[int]) -> Span:
    """The row of the file that changes what some classes are in the end; else one on their way."""
    own = [(n, s.map) for n, s in enumerate(steps) if _pair(s.map) in new.own]
    pairs = pairs_of_maps(old.version, new.version)
    changed = {d.span for o, other in pairs if other for d in constraints(o, other, {})}
    on_the_way = [
        row.span for d in classes for n, o in own for row in o.rows if rows[d].ways[n + steps[n].backwards][row.cls]
    ]
    best = [span for span in on_the_way if span in changed] or [
        r.span for _, o in own for r in o.rows if r.span in changed
    ]
    return (best or on_the_way or [steps[0].map.span])[0]
