"""Edits on the files of a map: a row, the ids of a class, a note."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from lsu_onto.errors import UserError
from lsu_onto.lang import syntax as ast
from lsu_onto.library.library import Library
from lsu_onto.ontology.model import NAMED, MapRow, Ontology
from lsu_onto.revise.page import Page
from lsu_onto.revise.places import class_line, ids_span
from lsu_onto.revise.wording import Wording


class RefusedError(UserError):
    """A change that cannot be written. The message says why, and where to make it by hand."""


class Edits:
    """The files of a map, as pages, with the changes so far. Rows first, then ids, then notes: see `Page.replace`."""

    def __init__(self, library: Library, o: Ontology) -> None:
        self.library = library
        self.o = o
        self.pages: dict[str, Page] = {}
        self.rows = {r.cls: r for r in o.rows}
        self.added: dict[int, tuple[str, int, int]] = {}
        """Class → where its own row was added: file, line, and place among the lines behind it."""

    def page(self, file: str) -> Page:
        if file not in self.pages:
            self.library.check(file)
            self.pages[file] = Page(self.library.texts[file])
        return self.pages[file]

    # --- rows -----------------------------------------------------------------------------------------

    def row(self, d: int, wording: Wording) -> None:
        """Write the relations of a class."""
        row = self.rows[d]
        if row.inherited:
            self._own_row(d, wording.text)
            return
        statement, page = self._statement(row), self.page(row.span.file)
        lines = _lines(statement)
        if wording.whole or not wording.pieces:
            self._whole(page, statement, wording.text)
            return
        for line in reversed(lines):
            pieces = [(r, p) for r, p in zip(statement.relations, wording.pieces, strict=True) if r.span.line == line]
            if not pieces:
                continue
            old = (page.lines[line - 1] or "")[pieces[0][0].span.column - 1 : _end(pieces[-1][0]) - 1]
            text = " ".join(self._written(page, r, p.op, p.targets) for r, ps in pieces for p in ps)
            same = all(len(p) == 1 and _says(r) == (p[0].op, p[0].targets) for r, p in pieces)
            if not same and text != old:
                self._put(page, statement, line, pieces[0][0].span.column, _end(pieces[-1][0]), text)

    def _written(self, page: Page, relation: ast.Relation, op: str, targets: Iterable[str]) -> str:
        """A relation in the style of the one that it comes from: with or without commas."""
        line = page.lines[relation.span.line - 1] or ""
        comma = "," in line[relation.span.column : _end(relation) - 1]
        return f"{op} {(', ' if comma else ' ').join(targets)}"

    def _whole(self, page: Page, s: ast.Row | ast.ClassLine, text: str) -> None:
        """Replace all relations by a text, which goes where the first one is."""
        spans: dict[int, tuple[int, int]] = {}
        for r in s.relations:
            start, _ = spans.get(r.span.line, (r.span.column, 0))
            spans[r.span.line] = start, _end(r)
        if s.decision:
            arrow = page.lines[s.decision.span.line - 1] or ""
            start = arrow.rindex("->", 0, s.decision.span.column - 1) + 1
            spans[s.decision.span.line] = start, s.decision.span.end
            for t in s.decision.minus:
                n = t.span.line
                at = spans[n][0] if n in spans else (page.lines[n - 1] or "").index("!") + 1
                spans[n] = at, t.span.end
        if not spans:
            spans[s.span.line] = (_head(s), _head(s))
            text = f"  {text}"
        first = min(spans)
        for line in sorted(spans, reverse=True):
            self._put(page, s, line, *spans[line], text if line == first else "")

    def _put(self, page: Page, s: ast.Row | ast.ClassLine, line: int, start: int, end: int, text: str) -> None:
        """Replace the relations of a line. A continuation that has none left goes; its note gets a line of its own."""
        if text or line == s.span.line:
            page.replace(line, start, end, text)
            return
        left = (page.lines[line - 1] or "")[end - 1 :].strip()
        page.delete(line)
        if left:
            page.below.setdefault(_lines(s)[-1], []).insert(0, " " * (start - 1) + left)

    def _statement(self, row: MapRow) -> ast.Row | ast.ClassLine:
        statements = self.library.check(row.span.file).file.statements
        return next(s for s in statements if isinstance(s, (ast.Row, ast.ClassLine)) and s.span == row.span)

    # --- rows that are not there yet ------------------------------------------------------------------

    def _own_row(self, d: int, text: str) -> None:
        """Write a row for a class that inherits its own."""
        o, c = self.o, self.o.dataset.classes[d]
        header, section = self._section()
        if header.kind == "dataset" and header.target:
            if c.span.file != o.span.file or c.span.line < header.span.line:
                base = self.rows[d].span
                raise RefusedError(
                    f"`{c.name}` has its row from {base.file}:{base.line}, and `{o.dataset.name}` has its relations on"
                    f" its class lines: change it there, or repeat the line of `{c.name}` in {o.span.file}"
                )
            statement = class_line(self.library, c)
            self.page(c.span.file).replace(c.span.line, _head(statement), _head(statement), f"  {text}")
            return
        page = self.page(o.span.file)
        if header.kind == "dataset":  # it has no map of its own
            line = page.last
            if not any(b.startswith("map ") for b in page.behind.get(line, [])):
                page.insert(line, "")
                taxa = f"{o.dataset.name} {o.dataset.version} -> {o.source.name} {o.source.version}"
                page.insert(line, f"map {taxa}")
            page.insert(line, f"{c.name}  {text}")
        else:
            line, column = section
            page.insert(line, f"{c.name}  ".ljust(column - 1) + text)
        self.added[d] = o.span.file, line, len(page.behind[line]) - 1

    def _section(self) -> tuple[ast.Header, tuple[int, int]]:
        """The header of the map; the last line of its section, and the column at which its relations start."""
        inside, header = False, None
        line, column = self.o.span.line, 1
        for s in self.library.check(self.o.span.file).file.statements:
            if isinstance(s, ast.Header):
                inside = s.span == self.o.span
                header = s if inside else header
            elif inside and not isinstance(s, ast.Comment):
                line = _lines(s)[-1] if isinstance(s, (ast.Row, ast.ClassLine)) else s.span.line
                if isinstance(s, ast.Row) and s.relations and s.relations[0].span.line == s.span.line:
                    column = s.relations[0].span.column
        assert header is not None  # the map was read from it
        return header, (line, column)

    # --- ids ------------------------------------------------------------------------------------------

    def ids(self, d: int, values: frozenset[int]) -> None:
        """Write the raw values of a class."""
        o, c = self.o, self.o.dataset.classes[d]
        if o.dataset.encoding in NAMED:
            raise RefusedError(f"the labels of `{o.dataset.name}` are names, which have no order: there are no ids")
        rgb = o.dataset.encoding == "rgb"
        old = frozenset(c.colours if c.ids else ()) if rgb else frozenset(v for a, b in c.ids for v in range(a, b + 1))
        if values == old:
            return
        if c.span.file != o.dataset.span.file or not self._declares(c.span.line):
            raise RefusedError(
                f"`{c.name}` has its ids from {c.span.file}:{c.span.line}, a dataset that `{o.dataset.name}` extends:"
                f" change them there, or repeat the line of `{c.name}` in {o.dataset.span.file}"
            )
        statement, page = class_line(self.library, c), self.page(c.span.file)
        if rgb and values and not c.ids:
            raise RefusedError(f"`{c.name}` is never drawn (`-` in {c.span.file}:{c.span.line}): write its id there")
        if rgb and values:
            colours = statement.colours
            start, end = colours[0].span.column, colours[-1].span.end
            page.replace(c.span.line, start, end, ",".join(f"#{v:06x}" for v in sorted(values)))
            return
        place = ids_span(self.library, statement, c)
        page.replace(place.line, place.column, place.end, _ranges(sorted(values)))

    def _declares(self, line: int) -> bool:
        """Whether a line is in the section of the dataset."""
        headers = [
            s.span.line
            for s in self.library.check(self.o.dataset.span.file).file.statements
            if isinstance(s, ast.Header) and s.span.line <= line
        ]
        return headers[-1:] == [self.o.dataset.span.line]

    # --- notes ----------------------------------------------------------------------------------------

    def notes(self, d: int, texts: Iterable[str]) -> None:
        """Add notes to the row of a class. One that has no row of its own in this map is named in its note."""
        row, name = self.rows[d], self.o.dataset.classes[d].name
        for text in (_one_line(t) for t in texts):
            if d in self.added:
                file, line, at = self.added[d]
                behind = self.page(file).behind[line]
                if " # " in behind[at]:
                    behind.insert(at + 1, " " * (behind[at].index(" # ") + 1) + f"# {text}")
                else:
                    behind[at] += f"  # {text}"
            elif row.inherited:
                header = self.o.span
                self.page(header.file).insert(header.line, f"# {name}: {text}")
            else:
                self._note(row, f"# {text}")

    def _note(self, row: MapRow, text: str) -> None:
        page, lines = self.page(row.span.file), _lines(self._statement(row))
        left = [n for n in lines if page.lines[n - 1] is not None]
        page.note(left[-1], lines[-1], text)


def _one_line(text: str) -> str:
    """The text without what ends a line, or cannot be in a file: control characters, halves of characters."""
    return " ".join("".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in text).split())


def _says(r: ast.Relation) -> tuple[str, tuple[str, ...]]:
    shown = {"group": "@{}", "string": '"{}"'}
    return r.op, tuple(shown.get(t.kind, "{}").format(t.text) for t in r.targets)


def _end(r: ast.Relation) -> int:
    return r.targets[-1].span.end


def _head(s: ast.Row | ast.ClassLine) -> int:
    """The column after what stands in front of the relations."""
    return s.end if isinstance(s, ast.ClassLine) else s.target.span.end


def _lines(s: ast.Row | ast.ClassLine) -> list[int]:
    """The lines of a row; a continued one has several."""
    minus = s.decision.minus if s.decision else ()
    ends = [*(r.span.line for r in s.relations), *([s.decision.span.line] if s.decision else ())]
    return list(range(s.span.line, max([s.span.line, *ends, *(t.span.line for t in minus)]) + 1))


def _ranges(values: list[int]) -> str:
    """Ids as they are written: `3`, `6,7`, `12..14`; `-` for none."""
    runs: list[list[int]] = []
    for v in values:
        if runs and v == runs[-1][-1] + 1:
            runs[-1].append(v)
        else:
            runs.append([v])
    return ",".join(f"{r[0]}..{r[-1]}" if len(r) > 2 else ",".join(map(str, r)) for r in runs) or "-"
