"""The symbols that names in a file refer to: classes, groups and taxonomies, with the places that declare them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from lsu_onto.diagnostics import Span
from lsu_onto.lang import syntax as ast
from lsu_onto.library.library import Library
from lsu_onto.library.pipe import Analysis
from lsu_onto.ontology.keys import PROMPT
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


def occurrences(library: Library, analysis: Analysis, line: int | None = None) -> list[Occurrence]:
    """Every name in a file, or on a line of it, that refers to something, in the order of the text."""
    return _sorted(m for m in _mentions(library, analysis, line) if line is None or m[0].line == line)


def references(library: Library, analysis: Analysis, symbol: Symbol) -> list[Occurrence]:
    """Every place in a file that names a symbol."""

    def by_symbol() -> dict[_Named, list[_Mention]]:
        out: dict[_Named, list[_Mention]] = {}
        for m in _mentions(library, analysis):
            out.setdefault(m[1:4], []).append(m)
        return out

    known = library.workspace.once(analysis.file.path, "mentions", by_symbol)
    return _sorted(known.get((symbol.kind, symbol.name, symbol.place), ()))


def _sorted(mentions: Iterable[_Mention]) -> list[Occurrence]:
    by_span = {m[0]: m for m in mentions}
    return [Occurrence(span, Symbol(*by_span[span][1:])) for span in sorted(by_span)]


def at(candidates: Iterable[Occurrence], line: int, column: int) -> Occurrence | None:
    """The occurrence under the cursor, or directly before it."""
    return next((o for o in candidates if o.span.line == line and o.span.column <= column <= o.span.end), None)


def find_taxonomy(library: Library, analysis: Analysis, kind: str, taxon: ast.Taxon) -> Source | Dataset | None:
    """The taxonomy that a reference in this file means."""
    key = (taxon.name.text, taxon.version.text)
    expected = Source if kind == "source" else Dataset
    own = (t for t in analysis.resolved.taxonomies if isinstance(t, expected) and (t.name, t.version) == key)
    return next(own, None) or library.taxonomy(kind, taxon)[0]


_Kind = Literal["class", "group", "taxonomy"]
_Named = tuple[_Kind, str, Span]
_Mention = tuple[Span, _Kind, str, Span, Source | Dataset]
"""A place in a file, and the fields of the symbol that it names. Most are dropped at once, and a tuple is cheap."""


def _mentions(library: Library, analysis: Analysis, line: int | None = None) -> Iterator[_Mention]:
    """The names of a file, or of the statement on a line of it, in no order.

    The time depends on the size of the file alone: nothing is looked up by going through a list.
    """
    groups: dict[int, dict[str, Span]] = {}

    def group(taxonomy: Source | Dataset, name: str) -> Span:
        if id(taxonomy) not in groups:
            groups[id(taxonomy)] = _group_places(library, taxonomy)
        return groups[id(taxonomy)].get(name, taxonomy.span)

    sections = {t.span: t for t in analysis.resolved.taxonomies}
    section: Source | Dataset | None = None
    own: set[Span] = set()
    statements = analysis.file.statements
    first = None
    if line is not None:
        above = statements[: bisect_right(statements, line, key=lambda s: s.span.line)]
        first = above[-1].span.line if above else 0
        header = next((s for s in reversed(above) if isinstance(s, ast.Header)), None)
        statements = tuple(dict.fromkeys(s for s in (header, *above[-1:]) if s))
    for s in statements:
        if isinstance(s, ast.ClassLine):
            if section and s.name.span in own:
                for word in (s.name, *([s.official] if s.official else []), *s.aliases):
                    yield word.span, "class", s.name.text, s.name.span, section
        elif isinstance(s, ast.Header):
            section = sections.get(s.span)
            own = {c.span for c in section.classes} if section else set()
            kind = "source" if s.kind == "source" else "dataset"
            yield from _taxon(s.taxon, section or find_taxonomy(library, analysis, kind, s.taxon))
            if s.target:
                yield from _taxon(s.target, find_taxonomy(library, analysis, "source", s.target))
        elif isinstance(s, ast.Extends):
            yield from _taxon(s.taxon, find_taxonomy(library, analysis, "dataset", s.taxon))
        elif isinstance(s, ast.Meta) and section and (named := _class_in_key(s)):
            index = section.by_name.get(named.text)
            if index is not None:
                yield named.span, "class", named.text, section.classes[index].span, section
        elif isinstance(s, ast.Group) and section:
            name_at = Span(s.span.file, s.span.line, s.span.column + 1, s.span.end - 1)
            yield name_at, "group", s.name, group(section, s.name), section
    for o in analysis.resolved.ontologies:
        for row in o.rows:
            if row.span.file != analysis.file.path or first not in (None, row.span.line):
                continue  # inherited, or of another line
            cls = o.dataset.classes[row.cls]
            yield row.span, "class", cls.name, cls.span, o.dataset
            for target in targets(row):
                if target.kind == "group":
                    yield target.span, "group", target.text, group(o.source, target.text), o.source
                elif len(target.channels) == 1:
                    channel = o.source.classes[target.channels[0]]
                    yield target.span, "class", channel.name, channel.span, o.source


def _class_in_key(s: ast.Meta) -> ast.Word | None:
    """Where a key names a class: `prompt-road:`, `background: road`."""
    key, start = s.key, len(PROMPT)
    if key.text.startswith(PROMPT):
        column = key.span.column + start
        return ast.Word(key.text[start:], key.span._replace(column=column, end=column + len(key.text) - start))
    return s.value if key.text == "background" else None


def targets(row: MapRow) -> list[ResolvedTarget]:
    return [t for r in row.relations for t in r.targets] + list(row.decision.minus if row.decision else ())


def rows_of(analysis: Analysis, symbol: Symbol) -> Iterator[tuple[Ontology, MapRow]]:
    """The rows for a class in the maps of this file."""
    for o in analysis.resolved.ontologies:
        for row in o.rows:
            if o.dataset.classes[row.cls].span == symbol.place:
                yield o, row


def _group_places(library: Library, taxonomy: Source | Dataset) -> dict[str, Span]:
    """Each group of a taxonomy → the first header of the group or of one of its subgroups."""
    places: dict[str, Span] = {}
    for s in library.check(taxonomy.span.file).file.statements:
        if s.span > taxonomy.span and isinstance(s, ast.Header):
            break
        if s.span > taxonomy.span and isinstance(s, ast.Group):
            parts = s.name.split(".")
            for n in range(1, len(parts) + 1):
                places.setdefault(".".join(parts[:n]), s.span)
    return places


def _taxon(taxon: ast.Taxon, taxonomy: Source | Dataset | None) -> Iterator[_Mention]:
    if taxonomy:
        for word in (taxon.name, taxon.version):
            yield word.span, "taxonomy", f"{taxonomy.name} {taxonomy.version}", taxonomy.span, taxonomy


def line_of(text: str, number: int) -> str:
    """A line without its line end; empty if there is no such line."""
    lines = text.split("\n", number)
    return lines[number - 1].removesuffix("\r") if 0 < number <= len(lines) else ""


def members(taxonomy: Taxonomy, group: str) -> list[str]:
    return [taxonomy.classes[i].name for i in taxonomy.group(group)]
