"""The canonical format of a `.tax` file.

Only white space changes; with `name_of`, quoted references also become names. The rules:

- Classes are aligned in columns: ids, name with its official label, colours, aliases, relations, note. A blank line
  starts a new table. If ids are lists or ranges, every group is a table of its own.
- A cell wider than `WIDE` does not widen its column: the rest of its line moves right.
- Continued relations are aligned with the first operator of their class, keys with the other keys of their run.
- At most one blank line in a row; none at the start and the end. Comments stay where they are; an indented one
  below a note is aligned with that note.
- A line that cannot be read stays as it is, and so does a file of a newer edition.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from lsu_onto.lang import syntax as ast
from lsu_onto.lang.parse import _logical_lines, parse

NameOf = Callable[[ast.Target], str | None]
"""A quoted reference → the name of the class that it stands for, or None to leave it as it is."""

WIDE = 40
GAP = 2

_TOKEN = re.compile(r'"[^"]*"|#(?=[ \t]|$).*|#[0-9A-Fa-f]+|->|[-=<>~!,]|@?[^ \t"#=<>~!,@-]+')
_KEY = re.compile(r"[ \t]*([\w-]+:)[ \t]*(.*)")
_GROUP = re.compile(r"[ \t]*\[[ \t]*([^ \t\]]+)[ \t]*\](.*)")
_NOTE = re.compile(r"#(?=[ \t]|$).*")
_ID = re.compile(r"\d+(\.\.\d+)?|[-,]")


@dataclass
class _Item:
    """A logical line: the cells of its first line; then relations and note of each physical line."""

    kind: str
    """`blank`, `as is`, `comment`, `group`, `key`, `row`, or `other` (one cell and a note)."""
    cells: list[str] = field(default_factory=list)
    parts: list[tuple[str, str]] = field(default_factory=list)
    out: list[str] = field(default_factory=list)
    note_at: int | None = None
    """Where the note of the last line starts."""


def format_text(path: str, text: str, name_of: NameOf | None = None) -> str:
    """The text of a `.tax` file in its canonical format.

    Args:
        path: the file's name, for spans.
        text: its text.
        name_of: turns quoted references into names; without it they stay.
    """
    given, text = text, "\n".join(line.rstrip(" \t\r") for line in text.removeprefix("\ufeff").split("\n"))
    file, findings = parse(path, text)
    if any(d.code == "TAX005" for d in findings):
        return given
    items = list(_items(file, text, name_of))
    for table in _tables(items):
        _align_table(table)
    for run in _runs(items):
        _align_keys(run)
    return "".join(f"{line}\n" for line in _print(items))


# --- text → items ------------------------------------------------------------------------------------------


def _items(file: ast.File, text: str, name_of: NameOf | None) -> Iterator[_Item]:
    statements = {s.span.line: s for s in file.statements}
    after = 0
    for first, lines in _logical_lines(text):
        if after and first > after:
            yield _Item("blank")
        after = first + len(lines)
        statement = statements.get(first)
        item = _item(statement, first, lines, name_of) if statement else None
        yield item or _Item("as is", out=lines)


def _item(statement: ast.Statement, first: int, lines: list[str], name_of: NameOf | None) -> _Item | None:
    line = lines[0]
    if len(lines) > 1 and isinstance(statement, (ast.Comment, ast.Meta, ast.Group)):
        return None
    if isinstance(statement, ast.Comment):
        return _Item("comment", ["indented" if line[0] in " \t" else ""], [("", _note(line.lstrip(" \t")))])
    if isinstance(statement, ast.Meta):
        key = _KEY.fullmatch(line)
        if key is None:
            return None
        note = _NOTE.search(key[2])
        value = key[2][: note.start()].rstrip(" \t") if note else key[2]
        if note and value.endswith("#"):
            return None  # a space between them would start the note one character early
        return _Item("key", [key[1], value], [("", _note(note[0]) if note else "")])
    if isinstance(statement, ast.Group):
        group = _GROUP.fullmatch(line)
        return group and _Item("group", [f"[{group[1]}]"], [("", _note(group[2].lstrip(" \t")))])

    tokens = [[(m[0], m.start() + 1) for m in _TOKEN.finditer(line)] for line in lines]
    if _squeeze(t for line in tokens for t, _ in line) != _squeeze(lines):
        return None
    names = _names(statement, name_of) if name_of else {}
    words = [
        [names.get((first + i, column), t) for t, column in line if not _NOTE.match(t)] for i, line in enumerate(tokens)
    ]
    notes = [_note(line[-1][0]) if _NOTE.match(line[-1][0]) else "" for line in tokens]
    if isinstance(statement, ast.ClassLine):
        cells, rest = _class_cells(words[0])
    elif isinstance(statement, ast.Row):
        cells, rest = ["", words[0][0], "", ""], words[0][1:]
    elif any(notes[:-1]):
        return None
    else:
        return _Item("other", [_join(w for line in words for w in line)], [("", notes[-1])])
    return _Item("row", cells, list(zip(map(_join, [rest, *words[1:]]), notes, strict=True)))


def _class_cells(words: list[str]) -> tuple[list[str], list[str]]:
    """The cells of a class line (ids, name, colours, aliases), and the words of its relations."""

    def until(start: int, stop: Callable[[str], bool]) -> int:
        return next((i for i in range(start, len(words)) if stop(words[i])), len(words))

    name = until(0, lambda w: not _ID.fullmatch(w))
    colours = name + 1 + (words[name + 1 : name + 2] != [] and words[name + 1].startswith('"'))
    aka = until(colours, lambda w: w != "," and not w.startswith("#"))
    relations = until(aka, lambda w: w in ("->", *"=<>~!"))
    cells = [
        "".join(words[:name]),
        _join(words[name:colours]),
        "".join(words[colours:aka]),
        _join(words[aka:relations]),
    ]
    return cells, words[relations:]


def _names(statement: ast.Statement, name_of: NameOf) -> dict[tuple[int, int], str]:
    """Place of a quoted reference → the name to write instead."""
    targets = [statement.target] if isinstance(statement, ast.Row) else []
    if isinstance(statement, (ast.Row, ast.ClassLine)):
        targets += [t for r in statement.relations for t in r.targets]
        targets += statement.decision.minus if statement.decision else ()
    names = {(t.span.line, t.span.column): name_of(t) for t in targets if t.kind == "string"}
    return {place: name for place, name in names.items() if name}


def _note(text: str) -> str:
    """A note as written; tabs in front of its text become spaces."""
    body = text[1:].lstrip(" \t")
    return text[: len(text) - len(body)].replace("\t", " ") + body if body else text[:1]


def _join(words: Iterable[str]) -> str:
    return " ".join(words).replace(" ,", ",") if not isinstance(words, str) else words


def _squeeze(parts: Iterable[str]) -> str:
    return re.sub(r"[ \t]+", "", "".join(parts))


# --- columns -----------------------------------------------------------------------------------------------


def _tables(items: list[_Item]) -> Iterator[list[_Item]]:
    """The rows that share columns."""
    groups: list[list[_Item]] = [[]]
    for item in [*items, _Item("blank")]:
        if item.kind == "row":
            groups[-1].append(item)
        elif item.kind == "group":
            groups.append([])
        elif item.kind not in ("comment", "as is"):
            rows = [row for group in groups for row in group]
            several = any("," in row.cells[0] or "." in row.cells[0] for row in rows)
            yield from (g for g in (groups if several else [rows]) if g)
            groups = [[]]


def _runs(items: list[_Item]) -> Iterator[list[_Item]]:
    """Runs of neighbouring keys. Any other line with a note is a run of its own."""
    run: list[_Item] = []
    for item in [*items, _Item("blank")]:
        if item.kind == "key":
            run.append(item)
        elif item.kind not in ("comment", "as is"):
            if run:
                yield run
            if item.kind in ("group", "other"):
                yield [item]
            run = []


def _align_table(rows: list[_Item]) -> None:
    columns = zip(*(row.cells for row in rows), strict=True)
    widths = [max((len(c) for c in column if len(c) <= WIDE), default=0) for column in columns]
    *starts, relations_at = accumulate((w + GAP if w else 0 for w in widths), initial=0)
    related = any(relations for row in rows for relations, _ in row.parts)
    column = 0
    for row in rows:
        head = ""
        for cell, start in zip(row.cells, starts, strict=True):
            head = _put(head, start, cell)
        (first, _), *more = row.parts
        row.out = [_put(head, relations_at, first)]
        indent = len(row.out[0]) - len(first) if first else max(relations_at, GAP)
        row.out += [" " * indent + relations for relations, _ in more]
        for line, (relations, note) in zip(row.out, row.parts, strict=True):
            if (related or note) and max(map(len, [*row.cells, relations])) <= WIDE:
                column = max(column, len(line) + GAP)
    for row in rows:
        _add_notes(row, column)


def _align_keys(run: list[_Item]) -> None:
    width = max(len(item.cells[0]) for item in run) + 1
    column = 0
    for item in run:
        item.out = [(item.cells[0].ljust(width) + "".join(item.cells[1:])).rstrip(" ")]
        if item.parts[0][1] and max(map(len, item.cells[1:]), default=0) <= WIDE:
            column = max(column, len(item.out[0]) + GAP)
    for item in run:
        _add_notes(item, column)


def _add_notes(item: _Item, column: int) -> None:
    for i, (_, note) in enumerate(item.parts):
        item.out[i] = _put(item.out[i], column, note)
        item.note_at = len(item.out[i]) - len(note) if note else None


def _put(line: str, column: int, text: str) -> str:
    """The line with a text at a column, or after a gap if the line reaches beyond the column."""
    if not text:
        return line
    return line.ljust(max(column, len(line) + GAP if line else 0)) + text


def _print(items: list[_Item]) -> Iterator[str]:
    note_at: int | None = None
    for item in items:
        if item.kind == "comment":
            note_at = (note_at or 0) if item.cells[0] else 0
            yield " " * note_at + item.parts[0][1]
        else:
            note_at = item.note_at
            yield from item.out or [""]
