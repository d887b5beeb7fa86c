"""CSV and TSV with the place of every cell, which the `csv` module does not provide."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lsu_onto.diagnostics import suggest
from lsu_onto.exchange.base import ExchangeError, Place
from lsu_onto.files import open_to_read, read_rest

_SHOWN = 300
"""Characters of what a message says that it has found."""


@dataclass(frozen=True)
class Cell:
    text: str
    place: Place

    @property
    def stripped(self) -> str:
        return self.text.strip()


@dataclass(frozen=True)
class Table:
    """A header and the rows below it; blank rows are left out."""

    file: str
    header: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    delimiter: str = ","

    def column(self, *names: str) -> int | None:
        """The first column with one of these names, whatever its case."""
        columns = [c.stripped.lower() for c in self.header]
        return next((columns.index(n) for n in names if n in columns), None)

    def need(self, *names: str, hint: str = "is this a file of that format?") -> int:
        index = self.column(*names)
        if index is None:
            separator = next((s for s in (";", "\t") if s in self.header[0].text), None)
            if separator and len(self.header) == 1:
                raise ExchangeError(
                    f"{self.file}:1:1: one column, `{self.header[0].stripped}`: the cells are separated by"
                    f" {'tabs' if separator != ';' else '`;`'}; expected commas, so save it with commas"
                )
            have = ", ".join(f"`{c.stripped}`" for c in self.header if c.stripped) or "nothing"
            have = have if len(have) <= _SHOWN else f"{have[:_SHOWN]} …"
            raise ExchangeError(
                f"{self.file}:1:1: the header has no column `{names[0]}`; found {have};"
                f" {suggest(names[0], [c.stripped for c in self.header] if len(self.header) > 1 else (), hint)}"
            )
        return index


def number(text: str) -> int | None:
    """A plain number that a label file could hold, or None.

    >>> number("007"), number("-1"), number("²"), number("9" * 5000)
    (7, None, None, None)
    """
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else None


def read_text(path: str) -> str:
    """The text of a file without its byte order mark."""
    try:
        with open_to_read(path) as file:
            data = read_rest(file)
    except OSError as e:
        folder = Path(path).parent
        missing = isinstance(e, FileNotFoundError) and folder.is_dir()
        hint = suggest(path, map(str, folder.iterdir())) if missing else None
        raise ExchangeError(f"cannot read `{path}`: {e.strerror}" + (f"; {hint}" if hint else "")) from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = data.count(b"\n", 0, e.start) + 1
        column = e.start - (data.rfind(b"\n", 0, e.start) + 1) + 1
        raise ExchangeError(
            f"{path}:{line}:{column}: not UTF-8 text: found byte 0x{data[e.start]:02x}; save the file as UTF-8"
        ) from None
    if "\0" in text:
        raise ExchangeError(f"{path}: this is binary data, not a table; give the text file")
    return text


def read_table(path: str, delimiter: str | None = ",", *, quotes: bool = True) -> Table:
    """Read a table. Quoting follows RFC 4180, unless a format has no quotes; line ends may be of any kind.

    Args:
        path: the file.
        delimiter: what separates cells; None: the comma, semicolon or tab that the header has most of.
        quotes: whether a cell may be quoted.
    """
    return table_of(path, read_text(path), delimiter, quotes=quotes)


def table_of(path: str, text: str, delimiter: str | None, *, quotes: bool = True) -> Table:
    """The same of the text of a file. Blank lines count as lines."""
    stated = re.match(r'\ufeff?"?sep=([,;\t])"?\r?\n', text) if delimiter is None else None  # Excel's first line
    delimiter = delimiter or (stated[1] if stated else _delimiter(text))
    rows = [r for r in _rows(path, text, delimiter, quotes) if any(c.stripped for c in r)][bool(stated) :]
    if not rows:
        raise ExchangeError(f"{path}: the file is empty; expected a header and one row per class")
    return Table(path, rows[0], tuple(rows[1:]), delimiter)


def _delimiter(text: str) -> str:
    header = next((line for line in text.splitlines() if line.strip()), "")
    bare = re.sub(r'"[^"]*"|\([^)]*\)', "", header)  # `Color_Code (R,G,B)` is one cell
    return max((",", ";", "\t"), key=bare.count)


def _rows(path: str, text: str, delimiter: str, quotes: bool) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    row: list[Cell] = []
    i, line, start = 0, 1, 0
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    while i < len(text):
        place = (path, line, i - start + 1)
        if text[i] == '"' and quotes:
            value, i = _quoted(text, i, place)
            newlines = text.count("\n", start, i)
            if newlines:
                line, start = line + newlines, text.rfind("\n", 0, i) + 1
            tail = _until(text, i, delimiter)
            value, i = value + text[i:tail], tail
        else:
            end = _until(text, i, delimiter)
            value, i = text[i:end], end
        row.append(Cell(value, place))
        if i >= len(text):
            break
        if text[i] == "\n":
            rows.append(tuple(row))
            row, line, start = [], line + 1, i + 1
        i += 1
    if row:
        rows.append(tuple(row))
    return rows


def _until(text: str, i: int, delimiter: str) -> int:
    ends = [e for e in (text.find(delimiter, i), text.find("\n", i)) if e >= 0]
    return min(ends, default=len(text))


def _quoted(text: str, i: int, place: Place) -> tuple[str, int]:
    parts, at = [], i + 1
    while True:
        end = text.find('"', at)
        if end < 0:
            file, line, column = place
            raise ExchangeError(f"{file}:{line}:{column}: the quote is not closed; add `\"` at the cell's end")
        parts.append(text[at:end])
        if text[end + 1 : end + 2] != '"':
            return "".join(parts), end + 1
        parts.append('"')
        at = end + 2
