"""The lines of a file, and the sections that they stand in."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from lsu_onto.diagnostics import Span
from lsu_onto.lang import fastpath
from lsu_onto.lang import syntax as ast
from lsu_onto.ontology.model import Ontology


class Place(NamedTuple):
    """The section of a line: its kind as `read_loosely` has it, and its map if there is one."""

    kind: str
    map: Ontology | None


class Places:
    """The lines of a file, and the sections that they stand in."""

    def __init__(self, file: ast.File, maps: dict[Span, Ontology]) -> None:
        self.lines = file.text.split("\n")
        self.headers = [
            (s.span.line, Place(_kind(s), maps.get(s.span))) for s in file.statements if isinstance(s, ast.Header)
        ]
        broken = [n for n, u in file.unread.items() if u.reading and is_header(u.reading.text)]
        self.headers = sorted([*self.headers, *((n, Place("", None)) for n in broken)], key=lambda h: h[0])
        self._starts = [n for n, _ in self.headers]

    def line(self, number: int) -> str:
        return self.lines[number - 1].removesuffix("\r").rstrip()

    def written(self, span: Span) -> str:
        return self.lines[span.line - 1][span.column - 1 : span.end - 1]

    def of(self, line: int) -> Place:
        at = bisect_right(self._starts, line)
        return self.headers[at - 1][1] if at else Place("", None)


def _kind(header: ast.Header) -> str:
    return "mapped" if header.kind == "dataset" and header.target else header.kind


def is_header(text: str) -> bool:
    return isinstance(fastpath.statement("", 1, [text]), ast.Header)
