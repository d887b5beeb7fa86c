"""What an editor shows without being asked for a place: colours of words, folds, hints, links, and symbols by name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from pygments.token import Comment, Keyword, Name, Number, Operator, String

from lsu_onto.diagnostics import Span
from lsu_onto.lang import syntax as ast
from lsu_onto.lang.highlight import TaxLexer
from lsu_onto.library.library import Library
from lsu_onto.library.pipe import Analysis
from lsu_onto.lsp.session import Session
from lsu_onto.lsp.symbols import find_taxonomy, occurrences
from lsu_onto.ontology.model import MapRow, Source, Taxonomy
from lsu_onto.ontology.words import meaning_text

# --- colours of words --------------------------------------------------------------------------------------

TOKENS = ("namespace", "type", "class", "enumMember", "property", "keyword", "operator", "number", "string", "comment")
"""Of the protocol: a taxonomy, a group, a class of a dataset, a class of a source, a key, …"""

MODIFIERS = ("declaration",)

_LEXED = (
    (Comment, "comment"),
    (Keyword, "keyword"),
    (Operator, "operator"),
    (Number, "number"),
    (String, "string"),
    (Name.Attribute, "property"),
)
_LEXER = TaxLexer()


class Token(NamedTuple):
    """A word, what it is, and whether this is where it is declared."""

    span: Span
    kind: str
    declared: bool


def tokens(library: Library, analysis: Analysis) -> Iterator[Token]:
    """The words of a file, in order. A name that refers to nothing has no colour, so that it stands out."""
    names = {(o.span.line, o.span.column): o for o in occurrences(library, analysis)}
    path, line, start = analysis.file.path, 1, 0
    for at, lexed, text in _LEXER.get_tokens_unprocessed(analysis.file.text.removeprefix("\ufeff")):
        column = at - start + 1
        name = names.get((line, column))
        if name and lexed not in Number:  # a version
            symbol = name.symbol
            of_source = isinstance(symbol.taxonomy, Source)
            kind = {"taxonomy": "namespace", "group": "type"}.get(symbol.kind, "enumMember" if of_source else "class")
            declared = name.span == symbol.place if symbol.kind == "class" else line == symbol.place.line
            yield Token(name.span, kind, declared and path == symbol.place.file)
        else:
            kind = next((kind for type_, kind in _LEXED if lexed in type_), "")
            if kind and text.strip():
                yield Token(Span(path, line, column, column + len(text)), kind, False)
        if "\n" in text:
            line, start = line + text.count("\n"), at + text.rindex("\n") + 1


# --- folds -------------------------------------------------------------------------------------------------


class Fold(NamedTuple):
    """Lines of which the first one stays."""

    first: int
    last: int
    is_comment: bool


def folds(file: ast.File) -> list[Fold]:
    """Sections, their groups, and comments of several lines. Comments and empty lines end nothing and begin nothing."""
    out: list[Fold] = []
    open_: list[tuple[int, int]] = []  # level and line of the section, and of its group
    last = 0  # line that belongs to what is open

    def close(level: int) -> None:
        while open_ and open_[-1][0] >= level:
            first = open_.pop()[1]
            if last > first:
                out.append(Fold(first, last, False))

    for s in file.statements:
        if isinstance(s, ast.Comment):
            continue
        level = 0 if isinstance(s, ast.Header) else 1 if isinstance(s, ast.Group) else 2
        close(level)
        if level < 2:
            open_.append((level, s.span.line))
        relations = s.relations if isinstance(s, (ast.ClassLine, ast.Row)) else ()
        last = max(s.span.line, *(r.span.line for r in relations), 0)
    close(0)
    run: list[int] = []
    for number in [*(s.span.line for s in file.statements if isinstance(s, ast.Comment)), -1]:
        if run and number != run[-1] + 1:
            if len(run) > 1:
                out.append(Fold(run[0], run[-1], True))
            run = []
        run.append(number)
    return sorted(out)


# --- hints -------------------------------------------------------------------------------------------------


_LONG = 80
"""Characters of a hint. The tooltip has what is longer."""


def hints(analysis: Analysis, lines: range) -> Iterator[tuple[Span, str, str]]:
    """S(d) of the rows that do not spell it out: where the hint goes, its short text, and the whole one."""
    for o in analysis.resolved.ontologies:
        for row in o.rows:
            if row.span.file != analysis.file.path or row.span.line not in lines or row.poisoned or row.decision:
                continue
            end, meaning = _end(row), meaning_text(o, row)
            if end and meaning:
                short = meaning if len(meaning) <= _LONG else f"{meaning[:_LONG].rpartition(' ')[0]} …"
                yield end, f"= {short}", meaning


def _end(row: MapRow) -> Span | None:
    """The place after the relations of a row."""
    spans = (t.span for r in row.relations for t in r.targets)
    last = max(spans, key=lambda span: (span.line, span.end), default=None)
    return last and last._replace(column=last.end)


# --- links -------------------------------------------------------------------------------------------------

_URL = re.compile(r"https?://(?:[^\s\"<>`()]|\([^\s\"<>`()]*\))+(?<![.,;:!?'\]}])")
"""Parentheses in an address come in pairs, as in Wikipedia's; one that only closes is of the sentence."""


def links(library: Library, analysis: Analysis) -> Iterator[tuple[Span, str | Taxonomy]]:
    """Addresses, and references to the taxonomies of other files."""
    path = analysis.file.path
    for number, line in enumerate(analysis.file.text.removeprefix("\ufeff").split("\n"), 1):
        for m in _URL.finditer(line):
            yield Span(path, number, m.start() + 1, m.end() + 1), m[0]
    for s in analysis.file.statements:
        references = []
        if isinstance(s, ast.Extends):
            references = [("dataset", s.taxon)]
        elif isinstance(s, ast.Header):
            references = [("dataset", s.taxon)] * (s.kind == "map") + ([("source", s.target)] if s.target else [])
        for kind, taxon in references:
            taxonomy = find_taxonomy(library, analysis, kind, taxon)
            if taxonomy and taxonomy.span.file != path:
                yield taxon.name.span._replace(end=taxon.version.span.end), taxonomy


# --- symbols by name ---------------------------------------------------------------------------------------

_MANY = 500
"""Symbols that are shown; more letters lead to fewer."""


class Named(NamedTuple):
    """A taxonomy or a class."""

    name: str
    span: Span
    inside: str
    """The taxonomy of a class; or empty."""


def by_name(session: Session, query: str) -> list[Named]:
    """The taxonomies and classes whose names have the letters of a query, in their order, as editors look for them.

    Without a query, only the user's own: a list of everything that is shipped is too long to read.
    """
    letters = query.replace(" ", "").lower()

    def has(name: str) -> bool:
        rest = iter(name.lower())
        return all(letter in rest for letter in letters)

    out: list[Named] = []
    for path in session.everywhere():
        if not query and not session.owns(path):
            continue
        for t in session.library.declared(path).taxonomies:
            if t.span.file != path:
                continue
            title = f"{t.name} {t.version}"
            out += [Named(title, t.span, "")] if has(title) else []
            own = (c for c in t.classes if c.span.file == path and has(c.name))
            out += [Named(c.name, c.span, title) for c in own]
            if len(out) >= _MANY:
                return out[:_MANY]
    return out
