"""Where each class of a dataset is declared, and where its row is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from lsu_onto.diagnostics import Span
from lsu_onto.lang import syntax as ast
from lsu_onto.library.library import Library, searched
from lsu_onto.ontology.model import TaxClass


class ClassPlaces(NamedTuple):
    """The places of a class, each a file, a line, a column and an end. Lines and columns count from 1.

    Attributes:
        row: its row in the map, or its name on the class line of a dataset with an arrow.
        inherited: whether the row is that of a dataset that this one extends.
        ids: its ids (`-` included), which may be in the file of a dataset that this one extends.
    """

    row: Span
    inherited: bool
    ids: Span


def places(name: str | Path, source: str | None = None, paths: Iterable[str | Path] = ()) -> dict[str, ClassPlaces]:
    """Where the classes of a dataset stand, by name, in the order of its rows.

    Args:
        name, source, paths: as for `lsu_onto.load`, but not a compiled `.npz`.

    Raises:
        TaxonomyError: as for `lsu_onto.load`.

    >>> town = places("demo_town", source="demo")
    >>> town["pavement"].row.file == town["pavement"].ids.file, town["pavement"].inherited
    (True, False)
    """
    library = Library(searched(paths))
    o = library.ontology(name, source)
    rows = {r.cls: r for r in o.rows}
    return {
        c.name: ClassPlaces(rows[d].span, rows[d].inherited, ids_span(library, class_line(library, c), c))
        for d, c in enumerate(o.dataset.classes)
    }


def class_line(library: Library, c: TaxClass) -> ast.ClassLine:
    """The line that declares a class."""
    statements = library.check(c.span.file).file.statements
    return next(s for s in statements if isinstance(s, ast.ClassLine) and s.name.span == c.span)


def ids_span(library: Library, line: ast.ClassLine, c: TaxClass) -> Span:
    """The place of the ids of a class, or of its `-`."""
    if line.ids:
        return line.ids[0].span._replace(end=line.ids[-1].span.end)
    text = library.texts[c.span.file].removeprefix("\ufeff").split("\n")[c.span.line - 1]
    at = text.index("-") + 1
    return c.span._replace(column=at, end=at + 1)
