"""Hover texts: what an editor shows about the word under the cursor, as Markdown."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

from lsu_onto.diagnostics import RULES, Rule, Span
from lsu_onto.lang import syntax as ast
from lsu_onto.library.library import Library
from lsu_onto.library.pipe import Analysis
from lsu_onto.lsp import words
from lsu_onto.lsp.data_notes import data_at
from lsu_onto.lsp.symbols import Symbol, at, line_of, members, occurrences, rows_of
from lsu_onto.ontology import keys
from lsu_onto.ontology.model import Source, TaxClass
from lsu_onto.ontology.provenance import provenance
from lsu_onto.ontology.words import allowed_names, notes, relation_text

_MANY = 24


def hover(library: Library, analysis: Analysis, line: int, column: int) -> tuple[Span, str] | None:
    """The place of the word under the cursor and what is known about it, or None."""
    here = at(occurrences(library, analysis, line), line, column)
    if here:
        return here.span, describe(analysis, here.symbol)
    text = line_of(analysis.file.text.removeprefix("\ufeff"), line)
    for m in re.finditer(r"TAX\d{3}", text):
        if m[0] in RULES and m.start() < column <= m.end() + 1:
            return Span(analysis.file.path, line, m.start() + 1, m.end() + 1), _rule(RULES[m[0]])
    if data := data_at(text, column):
        return Span(analysis.file.path, line, data[0], data[1]), data[2]
    statements = analysis.file.statements
    above = bisect_right(statements, line, key=lambda s: s.span.line)
    for span, word, meaning in _words(statements[above - 1], text) if above else ():
        if span.line == line and span.column <= column <= span.end:
            return span, f"`{word}`: {meaning}"
    return None


def describe(analysis: Analysis, symbol: Symbol) -> str:
    """Everything about a class, a group or a taxonomy."""
    t = symbol.taxonomy
    kind = "source" if isinstance(t, Source) else "dataset"
    if symbol.kind == "taxonomy":
        lines = [f"**{symbol.name}**: a {kind} of {len(t.classes)} classes"]
        lines += [f"- {key}: {value}" for key, value in t.meta.items()]
        return "\n".join([*lines, f"- file: {Path(t.span.file).name}"])
    owner = f"`{t.name} {t.version}`"
    if symbol.kind == "group":
        return f"**@{symbol.name}**: a group of {owner}\n\n{_names(members(t, symbol.name))}"
    c = symbol.cls
    lines = [f"**{c.name}**: a class of {owner}" + (f", in `{c.group}`" if c.group else "")]
    rows = [*rows_of(analysis, symbol)]
    seen = [*provenance([c.note]).remarks] if rows else [c.note]
    for o, row in rows:
        lines += ["", f"`{relation_text(row)}` in `{o.source.name} {o.source.version}`", ""]
        if row.poisoned:
            lines.append("S(d) is not known: a name does not resolve")
        else:
            lines.append(f"S({c.name}) = {{{_names(allowed_names(o, row))}}}")
        origin = provenance(notes(o, row))
        if origin.in_words():
            lines += ["", f"- {origin.in_words()}"]
        seen += origin.remarks
    lines += ["", *_facts(c, isinstance(t, Source), t.encoding)]
    return "\n".join([*lines, *(f"\n> {n}" for n in dict.fromkeys(seen) if n)])


def _facts(c: TaxClass, source: bool, encoding: str) -> Iterator[str]:
    ids = ", ".join(f"{low}" if low == high else f"{low}..{high}" for low, high in c.ids)
    what = "channel" if source else "id" if encoding == "rgb" else "raw value"
    yield f"- {what}: {ids or 'none (never drawn)'}"
    if c.colours:
        yield f"- colour: {', '.join(f'`#{x:06x}`' for x in c.colours)}"
    if c.official != c.name:
        yield f"- official name: {c.official}"
    if c.aliases:
        yield f"- aka {', '.join(c.aliases)}"


def _names(names: list[str]) -> str:
    return ", ".join(names[:_MANY]) + (f", … ({len(names)})" if len(names) > _MANY else "")


def _rule(rule: Rule) -> str:
    return (
        f"**{rule.code}** ({rule.severity}): {rule.title}\n\n{rule.why}\n\n"
        f"bad:\n```tax\n{rule.bad}\n```\ngood:\n```tax\n{rule.good}\n```"
    )


def _words(s: ast.Statement, text: str) -> Iterator[tuple[Span, str, str]]:
    """The words of a statement that have a fixed meaning: operators, `void`, `any`, a key, a keyword.

    `text` is its first line.
    """
    if isinstance(s, ast.Meta):
        meaning = keys.meaning(s.key.text)
        if meaning:
            yield s.key.span, f"{s.key.text}:", meaning
    if isinstance(s, (ast.ClassLine, ast.Row)):
        for r in s.relations:
            yield r.span._replace(end=r.span.column + 1), r.op, words.OPERATORS[r.op]
            for t in r.targets:
                if t.kind in words.TARGETS:
                    yield t.span, t.kind, words.TARGETS[t.kind]
        if s.decision:
            yield s.decision.span, f"-> {s.decision.to}", words.OPERATORS["->"]
    m = re.match(r"[ \t]*(\w+)", text)
    if m and m[1] in words.KEYWORDS and isinstance(s, (ast.Header, ast.Extends, ast.Edition)):
        yield s.span._replace(column=m.start(1) + 1, end=m.end(1) + 1), m[1], words.KEYWORDS[m[1]]
