"""`lsu-onto check-maps`: maps of several datasets to several sources that cannot all be true.

Two datasets with maps to the same two sources form a circle: a dataset u → P ← v → Q ← u. Each map rules pairs of
classes out. A pair that a row states must have a way around the circle through pairs that are left, and so must every
class of which a row states anything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lsu_onto.algebra.facts import Matrix, facts, ignores, product
from lsu_onto.algebra.ways import is_bridge
from lsu_onto.diagnostics import Diagnostic, Span
from lsu_onto.library.library import Library
from lsu_onto.library.pipe import differing
from lsu_onto.library.searchpath import Entry
from lsu_onto.ontology.model import MapRow, Ontology, Target, TaxClass, Taxonomy

Name = tuple[str, str, tuple[str, ...]]
"""The `signature` of a taxonomy."""

_FEW = 4
"""How many names or rows a finding shows of a kind."""


@dataclass(frozen=True)
class Known:
    """A map, and what is looked up in it again and again."""

    map: Ontology

    @cached_property
    def may(self) -> Matrix:
        return facts(self.map)

    @cached_property
    def open(self) -> Matrix:
        """The same, but for decisions, which may allow what other rows claim whole: somebody doubts the claim."""
        may = self.may.copy()
        for x, row in self.rows.items():
            if row.decision and not ignores(row):
                meaning = row.meaning(may.shape[1] - 1)
                may[x, [*meaning.channels, *([-1] if meaning.void else [])]] = True
            elif row.decision:
                may[x] = True
        return may

    @cached_property
    def bridge(self) -> bool:
        return is_bridge(self.map)

    @cached_property
    def rows(self) -> dict[int, MapRow]:
        return {row.cls: row for row in self.map.rows}

    @cached_property
    def stated(self) -> dict[tuple[int, int], tuple[str, Target]]:
        """Class of the dataset and of the source → the operator between them, and where it is written."""
        out: dict[tuple[int, int], tuple[str, Target]] = {}
        for row in self.map.rows:
            allowed = {} if row.decision else row.meaning(len(self.map.source.classes)).channels
            for relation in row.relations if allowed else ():
                for target in relation.targets:
                    for c in target.channels:
                        if allowed.get(c) == relation.op:
                            out.setdefault((row.cls, c), (relation.op, target))
        return out

    @property
    def pair(self) -> tuple[Name, Name]:
        return self.map.dataset.signature, self.map.source.signature


class Circle(NamedTuple):
    """A way from the dataset of `direct` to its source, and another: `other` to a second source, `there` back to a
    second dataset, `back` from that one to the source of `direct`."""

    direct: Known
    other: Known
    there: Known
    back: Known

    @property
    def is_triangle(self) -> bool:
        """Whether one of the datasets is one of the sources: it has all of its classes, each by `=`."""
        return any(k.bridge for k in self)

    def rank(self) -> tuple[bool, int, bool]:
        """What the reader knows best comes first: triangles, maps of their own, a dataset with the name of a source."""
        names = {known.pair[1][0] for known in self}
        inherited = sum(any(row.inherited for row in known.map.rows) for known in self)
        return not self.is_triangle, inherited, self.there.pair[0][0] not in names

    def by_the_other_way(self) -> Matrix:
        """Which classes of the dataset and of the source of `direct` may meet."""
        return product(product(self.other.open, self.there.may.T), self.back.may)

    def contradictions(self, meet: Matrix) -> Iterator[tuple[int, Diagnostic]]:
        """Classes of the dataset with a strong claim, or whole rows, of which no pixel is left."""
        left: Matrix = np.any(self.direct.may & meet, axis=1)
        lost: dict[int, list[int]] = {}
        for (x, p), (op, _) in self.direct.stated.items():
            if op != "~" and not meet[x, p]:
                lost.setdefault(x, []).append(p)
        for x in sorted({*lost, *(x for x, _ in self.direct.stated if not left[x])}):
            name, dataset = self.direct.map.dataset.classes[x].name, _called(self.direct.map.dataset)
            first, second = _called(self.direct.map.source), _called(self.other.map.source)
            if x in lost:
                op, target = self.direct.stated[x, lost[x][0]]
                names = " ".join(self.direct.map.source.classes[p].name for p in lost[x])
                what = f"`{name} {op} {names}` of {dataset} contradicts its map to {second}"
                yield x, self._finding("TAX401", what, target.span, "one of these rows is wrong", x, lost[x])
            else:
                what = f"no pixel can be `{name}` of {dataset}: its maps to {first} and {second} contradict each other"
                of, span = np.flatnonzero(self.direct.may[x, :-1]).tolist(), self.direct.rows[x].span
                yield x, self._finding("TAX401", what, span, "one of these rows is wrong", x, of)

    def exclusions(self, meet: Matrix) -> Iterator[tuple[int, Diagnostic]]:
        """Source classes that a row says to overlap, and which it cannot by the other way."""
        for (x, p), (op, target) in self.direct.stated.items():
            if op != "~" or meet[x, p]:
                continue
            name, source_class = self.direct.map.dataset.classes[x].name, self.direct.map.source.classes[p].name
            dataset, second = _called(self.direct.map.dataset), _called(self.other.map.source)
            what = f"`{name}` of {dataset} overlaps `{source_class}`, and by way of {second} it cannot"
            help_ = "mend the row that is wrong, or say in its note how they differ, with `allow: TAX402`"
            yield p, self._finding("TAX402", what, target.span, help_, x, [p])

    def _finding(self, code: str, what: str, span: Span, help_: str, x: int, of: Iterable[int]) -> Diagnostic:
        """A finding on class x and classes of the source, with the rows of the other way."""
        row, source = self.other.rows.get(x), self.other.map.source
        places = [(row.span, f"in {source.name}: {_names(self.other.open[x], source.classes)}")] if row else []
        places += self._rows_on_the_way(x, of)
        (second, label), *more = places or [(self.there.map.span, "by way of this map")]
        return Diagnostic(code, what, span, help_, second, label, more=tuple(more))

    def _rows_on_the_way(self, x: int, of: Iterable[int]) -> list[tuple[Span, str]]:
        """The rows of the second dataset that keep x from some classes of the source."""
        of = list(of)
        here = self.other.open[x] @ self.there.may.T  # what x may be in the second dataset
        there: Matrix = np.any(self.back.may[:, of], axis=1)  # what they may be
        fewer = not there[-1] and there[:-1].sum() <= here[:-1].sum()
        if self.back.bridge if self.back.bridge != self.there.bridge else fewer:  # `=` rows would say nothing
            shown, known = np.flatnonzero(there[:-1]).tolist(), self.there
        else:
            shown, known = np.flatnonzero(here[:-1]).tolist(), self.back
        owners = [v for p in of for v in _owners(self.back, p)] if known is self.back and here[-1] else []
        stating = [v for v in dict.fromkeys([*owners, *shown]) if v in known.rows and not known.rows[v].decision]
        source, classes = known.map.source, known.map.dataset.classes
        return [
            (known.rows[v].span, f"`{classes[v].name}` in {source.name}: {_names(known.may[v], source.classes)}")
            for v in stating[:_FEW]
        ]


def _owners(known: Known, channel: int) -> list[int]:
    """The class of a dataset that claims all of a source class."""
    return [x for (x, c), (op, _) in known.stated.items() if c == channel and op in "=>"]


def _called(t: Taxonomy) -> str:
    return f"`{t.name} {t.version}`"


def _names(may: Matrix, classes: tuple[TaxClass, ...]) -> str:
    """What a class may be, in words; of many classes, the first ones."""
    names = [classes[c].name for c in np.flatnonzero(may[:-1])] + (["void"] if may[-1] else [])
    if len(names) == len(may):
        return "anything"
    return " ".join(names) if len(names) <= 2 * _FEW else f"{' '.join(names[: 2 * _FEW - 1])} … ({len(names)})"


def _connected(library: Library, files: Collection[str]) -> list[str]:
    """The files with maps that may be in a circle with those of some files, as their headers say; and those of
    datasets that have no map of their own, and may inherit some."""
    folders = dict.fromkeys(Path(f).parent for f in files)  # what lies beside a file is found, too
    entries = list(dict.fromkeys(e for folder in folders for e in library.entries(folder)))
    maps = [e for e in entries if e.source]
    near: set[tuple[str, str]] = {(e.source, e.source_version) for e in maps if str(e.path) in files}
    datasets: set[tuple[str, str]] = set()
    while more := {(e.name, e.version) for e in maps if (e.source, e.source_version) in near} - datasets:
        datasets |= more
        near |= {(e.source, e.source_version) for e in maps if (e.name, e.version) in datasets}
    mapped = {(e.name, e.version) for e in maps}
    alone = {(e.name, e.version) for e in entries if e.kind == "dataset"} - mapped
    chosen = [e for e in entries if e.kind != "source" and (e.name, e.version) in datasets | alone]
    return list(dict.fromkeys(str(e.path) for e in chosen))


def maps_around(library: Library, files: Collection[str]) -> tuple[list[Known], list[Diagnostic]]:
    """The maps that may be in a circle with those of some files, inherited ones last; and the errors of all files.

    Of several declarations the first one counts. What is wrong with inherited rows is found on the base first.
    """
    own: dict[tuple[Name, Name], Known] = {}
    inherited: dict[tuple[Name, Name], Known] = {}
    errors: list[Diagnostic] = []
    for path in dict.fromkeys([*files, *_connected(library, files)]):
        analysis = library.check(path)
        errors += analysis.errors
        for o in () if analysis.errors else analysis.resolved.ontologies:
            own.setdefault(Known(o).pair, Known(o))
        for each in () if analysis.errors else library.inherited_maps(path):
            if len(each.map.rows) < len(each.map.dataset.classes):
                continue  # its own classes may be parts of those that the map is about
            inherited.setdefault(Known(each.map).pair, Known(each.map))
    return [*own.values(), *(known for pair, known in inherited.items() if pair not in own)], errors


def circles(maps: Iterable[Known]) -> list[Circle]:
    """Every circle, from every map in it."""
    by_dataset: dict[Name, dict[Name, Known]] = {}
    for known in maps:
        dataset, source = known.pair
        by_dataset.setdefault(dataset, {})[source] = known
    out = [
        Circle(ours[p], ours[q], theirs[q], theirs[p])
        for ours, theirs in permutations(by_dataset.values(), 2)
        for p, q in permutations([s for s in ours if s in theirs], 2)
    ]
    return sorted(out, key=Circle.rank)


def disagreements(library: Library, files: Collection[str]) -> list[Diagnostic]:
    """The errors of files; then what no pixels can keep, contradictions first, but for what notes answer.

    Only circles that have a map in one of the files are looked at.
    """
    maps, errors = maps_around(library, files)
    found = [*(d for d in errors if d.span.file in files), *_declared_twice(library, files), *between(maps, files)]
    return library.workspace.reported(found)


def _declared_twice(library: Library, files: Collection[str]) -> Iterator[Diagnostic]:
    """What several of the files declare differently: one of them would be passed over."""
    entries: dict[tuple[str, ...], dict[str, Entry]] = {}
    for e in library.entries():
        keys = [*([e.taxonomy] if e.kind != "map" else []), *([e.map] if e.source else [])]
        for key in keys if str(e.path) in files else ():
            entries.setdefault(key, {}).setdefault(str(e.path), e)
    shown: set[tuple[str, Span]] = set()
    for key, several in entries.items():
        first, *_ = several.values()
        other = differing(library.workspace, list(several.values()), key)
        if other and (str(first.path), other) not in shown:
            shown.add((str(first.path), other))
            what = f"`{first.name} {first.version}` is declared in `{first.path}`, too, differently"
            yield Diagnostic("TAX110", what, other, "take one out, or give it another version")


def between(maps: Iterable[Known], files: Collection[str]) -> list[Diagnostic]:
    """Where maps disagree.

    That one row allows what others exclude is shown of triangles: by way of a dataset with other classes than the
    source, little follows. Contradictions are shown of other circles, too, if they are about rows of which none has
    been shown. Around one circle a contradiction can be seen from several places, and is shown once.
    """
    contradictions: list[Diagnostic] = []
    exclusions: dict[tuple[Span, int], Diagnostic] = {}
    shown: set[tuple[str, int]] = set()
    shown_around: dict[frozenset[Span], set[tuple[str, int]]] = {}
    for circle in circles(maps):
        if not any(known.map.span.file in files for known in circle):
            continue
        meet = circle.by_the_other_way()
        around = shown_around.setdefault(frozenset(known.map.span for known in circle), set())
        for x, finding in circle.contradictions(meet):
            own = {(r.span.file, r.span.line) for known in (circle.direct, circle.other) if (r := known.rows.get(x))}
            lines = own | {(place.file, place.line) for place, _ in finding.places}
            if not own & around and (circle.is_triangle or not lines & shown):
                contradictions.append(finding)
                around |= lines
                shown |= lines
        for p, finding in circle.exclusions(meet) if circle.is_triangle else ():
            exclusions.setdefault((finding.span, p), finding)
    first = {(d.span, d.message): d for d in reversed(contradictions)}
    return [*reversed(first.values()), *exclusions.values()]


def marked(library: Library, maps: Sequence[Ontology]) -> list[dict[tuple[int, int], bool]]:
    """For each map of a triangle, the classes that it says to overlap and that cannot by the other way.

    Args:
        library: where the maps come from.
        maps: two datasets to the same two sources.

    Returns:
        For each map: class of the dataset and of the source → whether the note of the row answers it.
    """
    known = [Known(o) for o in maps]
    marks: dict[tuple[Name, Name], dict[tuple[int, int], bool]] = {k.pair: {} for k in known}
    for circle in circles(known):
        meet = circle.by_the_other_way()
        left: Matrix = np.any(circle.direct.may & meet, axis=1)
        for (x, p), (op, target) in circle.direct.stated.items():
            if not meet[x, p] or not left[x]:
                allowed = library.workspace.parsed(target.span.file).file.allowed.get(target.span.line, ())
                marks[circle.direct.pair][x, p] = op == "~" and bool(left[x]) and "TAX402" in allowed
    return [marks[k.pair] for k in known]
