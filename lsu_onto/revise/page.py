"""The text of a file, changed in places: everything else stays as it is, to the byte."""

from __future__ import annotations

import re

_BOM = "\ufeff"
_NOTE = re.compile(r'(?:"[^"]*"|[^"#]|#(?![ \t]|$))*(?=#(?:[ \t]|$))')
"""What is in front of the note of a line."""


class Page:
    """A text by lines, which are numbered from 1 as in spans, with columns that do the same.

    Replace on a line from right to left: the columns on the left stay.
    """

    def __init__(self, text: str) -> None:
        self.old = text
        self.bom = _BOM if text.startswith(_BOM) else ""
        lines = text.removeprefix(_BOM).split("\n")
        self.lines: list[str | None] = [line.removesuffix("\r") for line in lines]
        self.ends = ["\r" if line.endswith("\r") else "" for line in lines]
        self.below: dict[int, list[str]] = {}
        """Notes below a line, by its number."""
        self.behind: dict[int, list[str]] = {}
        """Further lines that follow a line and what is below it."""

    def replace(self, line: int, column: int, end: int, text: str) -> None:
        """Replace what is from a column to before another. What follows keeps its column if there is room."""
        old = self.lines[line - 1] or ""
        head, rest = old[: column - 1] + text, old[end - 1 :]
        tail = rest.lstrip(" \t")
        gap = len(rest) - len(tail)
        if tail:
            head = head if text else head.rstrip(" \t")
            head = (head + " " * min(gap, 2)).ljust(end - 1 + gap)
        elif not text:
            head, tail = head.rstrip(" \t"), ""
        else:
            tail = rest
        self.lines[line - 1] = head + tail

    def delete(self, line: int) -> None:
        self.lines[line - 1] = None

    def insert(self, line: int, text: str) -> None:
        """Put a line behind another, and behind those that were put there before."""
        self.behind.setdefault(line, []).append(text)

    def note(self, line: int, last: int, text: str) -> None:
        """Add a note to a line; if it has one already, below it, behind line `last`."""
        old = self.lines[line - 1] or ""
        has = _NOTE.match(old)
        if has:
            self.below.setdefault(last, []).append(" " * max(has.end(), 1) + text)
        else:
            self.lines[line - 1] = old.rstrip(" \t") + "  " + text

    @property
    def last(self) -> int:
        """The number of the last line that is not blank."""
        return max((i for i, line in enumerate(self.lines, 1) if line and line.strip()), default=1)

    @property
    def text(self) -> str:
        style = self.ends[0]
        out: list[str] = []
        for i, (line, end) in enumerate(zip(self.lines, self.ends, strict=True), 1):
            more = [*self.below.get(i, ()), *self.behind.get(i, ())]
            if line is not None:
                out.append(line + (style if more and i == len(self.lines) else end))
            out += [m + style for m in more]
            if more and i == len(self.lines):
                out[-1] = out[-1].removesuffix("\r")
        return self.bom + "\n".join(out)
