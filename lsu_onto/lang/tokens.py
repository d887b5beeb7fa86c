"""A line that breaks the grammar as tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


class Token(NamedTuple):
    """`kind`: word, string, number, colour, group, sign (an operator or arrow) or mark (what only separates)."""

    kind: str
    text: str
    """Without quotes, and without the `@` of a group."""


_SIGN = r"-\ >|===|==>|-->|<->|<=>|<--|==|<=|=<|>=|!=|~=|<>|>>|<<|=>|->|<-|:=|[=<>~!]"
_TOKEN = re.compile(
    rf"""\s*(?:
    (?P<string>"[^"]*"|'[^']*'(?!\w))
    |(?P<colour>\#[0-9A-Fa-f]{{6}}(?![0-9A-Za-z]))
    |(?P<group>@[A-Za-z_]\w*(?:\.\w+)*(?:[./]\*)?)
    |(?P<sign>{_SIGN}|:(?=\s|$))
    |(?P<number>-?[0-9]+(?![\w.%]))
    |(?P<mark>[][{{}}(),;|&"'])
    |(?P<word>(?:(?!{_SIGN})[^\s"\#,;|@{{}}\[\]()&\\]|(?<=\w)\#)+|\\)
    |(?P<other>\S)
    )""",
    re.VERBOSE,
)


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a line whose note is cut off."""
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup or "other"
        value = found[kind]
        if kind == "other":
            continue
        if kind == "string":
            value = value[1:-1]
        yield Token(kind, value.removeprefix("@") if kind == "group" else value)
