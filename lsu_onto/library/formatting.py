"""`fmt` with access to the library, which can turn quoted references into names."""

from __future__ import annotations

import difflib

from lsu_onto.diagnostics import Span
from lsu_onto.lang import syntax as ast
from lsu_onto.lang.fmt import format_text
from lsu_onto.library.library import Library
from lsu_onto.library.pipe import Analysis
from lsu_onto.ontology.model import Taxonomy


def format_file(library: Library, path: str, text: str | None = None) -> str:
    """The text of a file in its canonical format, with quoted references turned into names.

    With `text` the file on disk is not read (editors, standard input).
    """
    analysis = library.check(path, text)
    names = quoted_names(analysis)
    return format_text(path, library.texts[path], lambda target: names.get(target.span))


def quoted_names(analysis: Analysis) -> dict[Span, str]:
    """Place of each quoted reference that can be resolved → the name of its class."""
    names: dict[Span, str] = {}

    def add(span: Span, taxonomy: Taxonomy, index: int) -> None:
        name = taxonomy.classes[index].name
        if name not in ast.RESERVED and taxonomy.by_name.get(name) == index:
            names[span] = name

    for o in analysis.resolved.ontologies:
        for row in o.rows:
            add(row.span, o.dataset, row.cls)  # fmt uses it only if it is quoted
            targets = [t for r in row.relations for t in r.targets]
            targets += row.decision.minus if row.decision else ()
            for t in targets:
                if t.kind == "string" and len(t.channels) == 1:
                    add(t.span, o.source, t.channels[0])
    return names


_NO_NEWLINE = "\n\\ No newline at end of file"


def _lines(text: str) -> list[str]:
    """The lines of a text, so that a missing end of the last one, and a line that ends as on Windows, are differences.

    >>> _lines("a\\r\\nb")
    ['a\\r', 'b\\n\\\\ No newline at end of file']
    """
    *lines, last = text.split("\n")
    return [*lines, last + _NO_NEWLINE] if last else lines


def diff(path: str, old: str, new: str, colour: bool = False) -> str:
    """Unified diff between a file and its canonical text."""
    lines = difflib.unified_diff(_lines(old), _lines(new), path, path, lineterm="")
    if not colour:
        return "\n".join(lines)
    from lsu_onto.lang.highlight import highlight

    signs = {"-": "\x1b[1;31m-\x1b[0m", "+": "\x1b[1;32m+\x1b[0m", " ": " "}

    def paint(number: int, line: str) -> str:
        if number < 2:  # the names of the files
            return f"\x1b[1m{line}\x1b[0m"
        if line.startswith("@@"):
            return f"\x1b[36m{line}\x1b[0m"
        text, end, mark = line[1:].partition(_NO_NEWLINE)
        return signs[line[0]] + highlight(text).replace("\r", "^M") + end + mark

    return "\n".join(paint(i, line) for i, line in enumerate(lines))
