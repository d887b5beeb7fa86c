"""Completions: what may be written at the cursor."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from lsu_onto.lang import syntax as ast
from lsu_onto.library.library import Library
from lsu_onto.library.pipe import Analysis
from lsu_onto.lsp import words
from lsu_onto.lsp.data_notes import note_at, proposals
from lsu_onto.lsp.symbols import find_taxonomy, line_of, members
from lsu_onto.ontology import keys
from lsu_onto.ontology.model import Taxonomy

_CONTINUES = re.compile(r"[ \t]+(?:[=<>~!]|->)")
_NO_ROW = re.compile(r"[ \t]*(?:#|\[|[\w-]+:|(?:tax|source|dataset|map|extends)[ \t])")
_OPERATOR = re.compile(r"->|[=<>~!]")


class Item(NamedTuple):
    """One proposal. It replaces the text between `start` and the cursor."""

    text: str
    kind: Literal["class", "group", "word", "taxonomy", "version", "key", "value", "code"]
    detail: str
    note: str
    start: int
    """A column."""


def complete(library: Library, analysis: Analysis, line: int, column: int) -> list[Item]:
    """The proposals at a place, best first, in the order of their files."""
    text = analysis.file.text.removeprefix("\ufeff")
    before = line_of(text, line)[: column - 1]
    return [
        Item(t, kind, detail, note, start)
        for t, kind, detail, note, start in _proposals(library, analysis, text, line, before)
    ]


_Proposals = Iterator[Item]


def _proposals(library: Library, analysis: Analysis, text: str, line: int, before: str) -> _Proposals:
    start = len(before) - len(re.search(r"@?[\w.]*$", before)[0]) + 1  # type: ignore[index]
    begins = note_at(before)
    if begins is not None:
        section = _section(analysis, line)
        is_row = bool(section and section.target and not _NO_ROW.match(before))
        for word, kind, detail, note, typed in proposals(analysis, line, before[begins:], is_row):
            yield Item(word, kind, detail, note, len(before) - len(typed) + 1)
        return
    bare = re.sub(r'"[^"]*"', lambda m: "_" * len(m[0]), before)
    if '"' in bare:
        return
    key = re.fullmatch(r"[ \t]*([\w-]+):[ \t]*(\S*)", before)
    header = re.fullmatch(r"[ \t]*(source|dataset|map|extends)[ \t]+(.*)", before)
    if key:
        known = keys.ENCODINGS if key[1] == "encoding" else {}
        yield from (Item(w, "value", about, "", key.start(2) + 1) for w, about in known.items())
    elif header:
        yield from _taxonomies(library, analysis, header[1], before, start)
    elif re.fullmatch(r"[A-Za-z_][\w-]*|", before):
        yield from _line_start(library, analysis, line, before)
    else:
        relations = bare
        while _CONTINUES.match(relations) and line > 1:
            line -= 1
            relations = f"{re.sub(r'#([ ].*)?$', '', line_of(text, line))}\n{relations}"
        yield from _targets(library, analysis, line, relations, start)


def _section(analysis: Analysis, line: int) -> ast.Header | None:
    """The header above a line."""
    headers = [s for s in analysis.file.statements if isinstance(s, ast.Header) and s.span.line < line]
    return headers[-1] if headers else None


def _line_start(library: Library, analysis: Analysis, line: int, typed: str) -> _Proposals:
    section = _section(analysis, line)
    if line == 1:
        yield Item("tax 1", "word", words.KEYWORDS["tax"], "", 1)
    if section and section.kind == "map":
        dataset = find_taxonomy(library, analysis, "dataset", section.taxon)
        after = [
            s.span.line
            for s in analysis.file.statements
            if isinstance(s, ast.Header) and s.span.line > section.span.line
        ]
        rows = [
            s
            for s in analysis.file.statements
            if isinstance(s, ast.Row) and section.span.line < s.span.line < min(after, default=1 << 60)
        ]
        mapped = {s.target.text for s in rows if s.span.line != line}
        if dataset:
            yield from (i for i in _classes(dataset, 1, "raw value") if i.text not in mapped)
    elif section:
        yield from (Item(f"{k}:", "key", about, "", 1) for k, about in keys.KEYS.items())
        taxonomy = find_taxonomy(library, analysis, section.kind, section.taxon)
        if taxonomy and typed and typed.startswith(keys.PROMPT[: len(typed)]):  # too many for an empty line
            about = str(keys.meaning(keys.PROMPT))
            classes = [c for c in taxonomy.classes if f"{keys.PROMPT}{c.name}" not in taxonomy.meta]
            yield from (Item(f"{keys.PROMPT}{c.name}:", "key", about, "", 1) for c in classes)
    for word in ("source", "dataset", "map", *(["extends"] if section and section.kind == "dataset" else [])):
        yield Item(word, "word", words.KEYWORDS[word], "", 1)


def _taxonomies(library: Library, analysis: Analysis, word: str, before: str, start: int) -> _Proposals:
    """After `->`: sources. After `map` and `extends`: datasets. After a name: its versions."""
    arrow = before.rfind("->")
    rest = before[arrow + 2 :] if arrow >= 0 else before.split(word, 1)[1]
    kind = "source" if arrow >= 0 else "dataset" if word in ("map", "extends") else ""
    named = re.fullmatch(r"[ \t]+(\w+)[ \t]+(\w*[\d.]*)", rest)
    if not kind or not (named or re.fullmatch(r"[ \t]*\w*", rest)):
        return
    for e in dict.fromkeys(library.entries(Path(analysis.file.path).parent)):
        if e.kind == kind and named and e.name == named[1]:
            yield Item(e.version, "version", f"{e.name} {e.version}", str(e.path.name), start)
        elif e.kind == kind and not named:
            yield Item(f"{e.name} {e.version}", "taxonomy", f"{kind} in {e.path.name}", "", start)


def _targets(library: Library, analysis: Analysis, line: int, relations: str, start: int) -> _Proposals:
    """After an operator: the targets that it may have."""
    section = _section(analysis, line)
    operators = list(_OPERATOR.finditer(relations))
    if not operators or not section or not section.target:
        return
    op = operators[-1][0]
    typed = relations[operators[-1].end() :]
    if op == "->":
        if re.fullmatch(r"[ \t]*\w*", typed):
            yield from (Item(w, "word", words.TARGETS[w], "", start) for w in ("void", "any"))
        return
    named = set(re.findall(r"@?[\w.]+", typed[: typed.rfind(" ") + 1]))
    if op in "=<" and named:
        return  # it stands alone
    source = find_taxonomy(library, analysis, "source", section.target)
    if source:
        yield from (i for i in _classes(source, start, "channel") if i.text not in named)
        for g in source.groups:
            names = members(source, g)
            if f"@{g}" not in named and op not in "=<":
                yield Item(f"@{g}", "group", f"{len(names)} classes", ", ".join(names), start)
    decided = any(o[0] == "->" for o in operators)
    extra = ["void"] * (op in ">~" or decided) + ["any"] * (op == "!" and not named and not decided)
    yield from (Item(w, "word", words.TARGETS[w], "", start) for w in extra if w not in named)


def _classes(taxonomy: Taxonomy, start: int, what: str) -> _Proposals:
    for c in taxonomy.classes:
        ids = ", ".join(f"{low}" if low == high else f"{low}..{high}" for low, high in c.ids)
        facts = [f"{what} {ids}" if ids else "never drawn", *([f"in {c.group}"] if c.group else [])]
        official = [c.official] if c.official != c.name else []
        yield Item(c.name, "class", ", ".join(facts), ". ".join([*official, *([c.note] if c.note else [])]), start)
