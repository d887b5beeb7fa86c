"""Our positions, which count characters from 1, and those of the protocol, which count code units from 0."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from lsprotocol import types
from pygls.uris import from_fs_path, to_fs_path

from lsu_onto.diagnostics import Span

_CODECS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}

_NO_NAME = re.compile("[\0\ud800-\udc7f\udd00-\udfff]")
"""What is in no name of a file: it would end every look at the disk."""


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
    r"""The path under which a library knows a document: the address, if the document is not a file.

    >>> to_path("file:///data/caf%C3%A9.tax"), to_path("file:///data/caf%E9.tax"), to_path("untitled:1")
    ('/data/café.tax', '/data/caf\udce9.tax', 'untitled:1')
    >>> to_path("http://[x/a.tax")
    'http://[x/a.tax'
    """
    try:
        path = to_fs_path(uri)
    except ValueError:  # `http://[x/`
        path = None
    if path and "\ufffd" in path:  # bytes that are no text
        path = unquote(urlsplit(uri).path, errors="surrogateescape")
    return _NO_NAME.sub("\ufffd", path or uri)


def to_uri(path: str) -> str:
    r"""The address of a file, whose name may be no text.

    >>> to_uri("/data/café.tax"), to_uri("/data/caf\udce9.tax")
    ('file:///data/caf%C3%A9.tax', 'file:///data/caf%E9.tax')
    """
    absolute = str(Path(path).absolute())
    try:
        return from_fs_path(absolute) or path
    except UnicodeEncodeError:
        return f"file://{quote(os.fsencode(absolute))}"
