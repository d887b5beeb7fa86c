"""The symbols that names in a file refer to: classes, groups and taxonomies, with the places that declare them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from lsu_onto.diagnostics import Span
from lsu_onto.lang import syntax as ast
from lsu_onto.library.library import Library
from lsu_onto.library.pipe import Analysis
from lsu_onto.ontology.model import Dataset, MapRow, Ontology, Source, TaxClass, Taxonomy
from lsu_onto.ontology.model import Target as ResolvedTarget


@dataclass(frozen=True)
class Symbol:
    """Something with a name. Two symbols are equal if the same place declares them."""

    kind: Literal["class", "group", "taxonomy"]
    name: str
    place: Span
    """The place of its name in its declaration."""
    taxonomy: Source | Dataset = field(compare=False)

    @property
    def cls(self) -> TaxClass:
        """The class, if it is one."""
        return next(c for c in self.taxonomy.classes if c.span == self.place)


@dataclass(frozen=True)
class Occurrence:
    """A place in a file that names a symbol."""

    span: Span
    symbol: Symbol


def occurrences(library: Library, analysis: Analysis) -> list[Occurrence]:
    """Every name in a file that refers to something, in the order of the text."""
    by_span = {o.span: o for o in _occurrences(library, analysis) if o.span.file == analysis.file.path}
    return sorted(by_span.values(), key=lambda o: o.span)


def at(candidates: Iterable[Occurrence], line: int, column: int) -> Occurrence | None:
    """The occurrence under the cursor, or directly before it."""
    return next((o for o in candidates if o.span.line == line and o.span.column <= column <= o.span.end), None)


def find_taxonomy(library: Library, analysis: Analysis, kind: str, taxon: ast.Taxon) -> Source | Dataset | None:
    """The taxonomy that a reference in this file means."""
    key = (taxon.name.text, taxon.version.text)
    expected = Source if kind == "source" else Dataset
    own = (t for t in analysis.resolved.taxonomies if isinstance(t, expected) and (t.name, t.version) == key)
    return next(own, None) or library.taxonomy(kind, taxon)[0]


def _occurrences(library: Library, analysis: Analysis) -> Iterator[Occurrence]:
    section: Source | Dataset | None = None
    for s in analysis.file.statements:
        if isinstance(s, ast.Header):
            section = next((t for t in analysis.resolved.taxonomies if t.span == s.span), None)
            kind = "source" if s.kind == "source" else "dataset"
            yield from _taxon(s.taxon, section or find_taxonomy(library, analysis, kind, s.taxon))
            if s.target:
                yield from _taxon(s.target, find_taxonomy(library, analysis, "source", s.target))
        elif isinstance(s, ast.Extends):
            yield from _taxon(s.taxon, find_taxonomy(library, analysis, "dataset", s.taxon))
        elif isinstance(s, ast.Group) and section:
            name_at = Span(s.span.file, s.span.line, s.span.column + 1, s.span.end - 1)
            yield Occurrence(name_at, _group(library, section, s.name))
        elif isinstance(s, ast.ClassLine) and section:
            cls = next((c for c in section.classes if c.span == s.name.span), None)
            for word in [s.name, *([s.official] if s.official else []), *s.aliases] if cls else ():
                yield Occurrence(word.span, Symbol("class", s.name.text, s.name.span, section))
    for o in analysis.resolved.ontologies:
        for row in o.rows:
            yield Occurrence(row.span, _class(o.dataset, row.cls))
            for target in targets(row):
                if target.kind == "group":
                    yield Occurrence(target.span, _group(library, o.source, target.text))
                elif len(target.channels) == 1:
                    yield Occurrence(target.span, _class(o.source, target.channels[0]))


def targets(row: MapRow) -> list[ResolvedTarget]:
    return [t for r in row.relations for t in r.targets] + list(row.decision.minus if row.decision else ())


def rows_of(analysis: Analysis, symbol: Symbol) -> Iterator[tuple[Ontology, MapRow]]:
    """The rows for a class in the maps of this file."""
    for o in analysis.resolved.ontologies:
        for row in o.rows:
            if o.dataset.classes[row.cls].span == symbol.place:
                yield o, row


def _class(taxonomy: Source | Dataset, index: int) -> Symbol:
    cls = taxonomy.classes[index]
    return Symbol("class", cls.name, cls.span, taxonomy)


def _group(library: Library, taxonomy: Source | Dataset, name: str) -> Symbol:
    """A group, which is declared by the first header of the group or of one of its subgroups."""
    place = taxonomy.span
    for s in library.check(taxonomy.span.file).file.statements:
        if isinstance(s, ast.Group) and s.span > taxonomy.span and f"{s.name}.".startswith(f"{name}."):
            place = s.span
            break
    return Symbol("group", name, place, taxonomy)


def _taxon(taxon: ast.Taxon, taxonomy: Source | Dataset | None) -> Iterator[Occurrence]:
    if taxonomy:
        symbol = Symbol("taxonomy", f"{taxonomy.name} {taxonomy.version}", taxonomy.span, taxonomy)
        for word in (taxon.name, taxon.version):
            yield Occurrence(word.span, symbol)


def line_of(text: str, number: int) -> str:
    """A line without its line end; empty if there is no such line."""
    lines = text.split("\n", number)
    return lines[number - 1].removesuffix("\r") if 0 < number <= len(lines) else ""


def members(taxonomy: Taxonomy, group: str) -> list[str]:
    return [taxonomy.classes[i].name for i in taxonomy.group(group)]
