"""Our positions, which count characters from 1, and those of the protocol, which count code units from 0."""

from __future__ import annotations

from pathlib import Path

from lsprotocol import types
from pygls.uris import from_fs_path, to_fs_path

from lsu_onto.diagnostics import Span

_CODECS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}


def to_character(line: str, column: int, encoding: str = "utf-16") -> int:
    """Column of a character → code units in front of it.

    >>> to_character("a🚗b", 3)
    3
    """
    if line.isascii():
        return column - 1
    codec, size = _CODECS[encoding]
    beyond = max(0, column - 1 - len(line))
    return len(line[: column - 1].encode(codec, "surrogatepass")) // size + beyond


def to_column(line: str, character: int, encoding: str = "utf-16") -> int:
    """Code units before a character → its column, or the end of the line if it has fewer.

    >>> to_column("a🚗b", 3)
    3
    """
    if line.isascii():
        return min(character, len(line)) + 1
    codec, size = _CODECS[encoding]
    units = line.encode(codec, "surrogatepass")[: character * size]
    return len(units.decode(codec, "ignore")) + 1


def to_range(lines: list[str], span: Span, encoding: str) -> types.Range:
    """A span → a range.

    Args:
        lines: the lines of the span's file.
        span: where.
        encoding: the code units that the client counts.
    """
    line = lines[span.line - 1].removesuffix("\r") if span.line <= len(lines) else ""
    start, end = (to_character(line, c, encoding) for c in (span.column, span.end))
    return types.Range(types.Position(span.line - 1, start), types.Position(span.line - 1, end))


def to_path(uri: str) -> str:
    """The path under which a library knows a document: the address, if the document is not a file."""
    return (to_fs_path(uri) or uri).replace("\0", "\ufffd")  # a NUL would end every look at the disk


def to_uri(path: str) -> str:
    return from_fs_path(str(Path(path).absolute())) or path
