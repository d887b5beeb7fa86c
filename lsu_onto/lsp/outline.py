"""Sections, groups and classes as a tree."""

from __future__ import annotations

from collections.abc import Callable

from lsprotocol import types

from lsu_onto.diagnostics import Span
from lsu_onto.lang import syntax as ast


def outline(file: ast.File, range_of: Callable[[Span], types.Range]) -> list[types.DocumentSymbol]:
    """The sections of a file, with their groups and classes below them.

    Args:
        file: the syntax tree.
        range_of: a span → its range.
    """
    lines = file.text.removeprefix("\ufeff").split("\n")
    sections: list[types.DocumentSymbol] = []
    levels: list[types.DocumentSymbol] = []  # the section, and the group that is open

    def add(name: str, detail: str, kind: types.SymbolKind, span: Span) -> types.DocumentSymbol:
        where = range_of(span)
        whole = range_of(Span(span.file, span.line, 1, len(lines[span.line - 1].rstrip("\r")) + 1))
        symbol = types.DocumentSymbol(name, kind, whole, where, detail=detail, children=[])
        (levels[-1].children if levels else sections).append(symbol)  # type: ignore[union-attr]
        for level in levels:
            level.range = types.Range(level.range.start, whole.end)
        return symbol

    for s in file.statements:
        if isinstance(s, ast.Header):
            levels.clear()
            detail = f"-> {s.target.name.text} {s.target.version.text}" if s.target else ""
            name = f"{s.kind} {s.taxon.name.text} {s.taxon.version.text}"
            levels.append(add(name, detail, types.SymbolKind.Namespace, s.span))
        elif isinstance(s, ast.Group):
            del levels[1:]
            levels.append(add(s.name, "", types.SymbolKind.Module, s.span))
        elif isinstance(s, ast.ClassLine):
            ids = ", ".join(f"{i.low}" if i.low == i.high else f"{i.low}..{i.high}" for i in s.ids)
            add(s.name.text, ids or "never drawn", types.SymbolKind.EnumMember, s.span)
        elif isinstance(s, ast.Row):
            add(s.target.text, "", types.SymbolKind.EnumMember, s.span)
    return sections
