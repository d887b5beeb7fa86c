"""An extension of griffe: docstrings as they are written here."""

from __future__ import annotations

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^( *)>>> .*(?:\n(?! *$).*)*", re.MULTILINE)
_NAMES = re.compile(r"^ +(?:\w+, )+\w+(?=: )", re.MULTILINE)


class Docstrings(griffe.Extension):
    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = adapted(obj.docstring.value)


def adapted(docstring: str) -> str:
    """A docstring as griffe reads it.

    Examples are put into fences, or they would be quotations; each ends at an empty line. Of names that share a line,
    griffe takes the second for the type of the first, unless the space between them is none.
    """
    text = _NAMES.sub(lambda m: m[0].replace(", ", ",\u00a0"), docstring)
    return _EXAMPLE.sub(lambda m: f"{m[1]}```pycon\n{m[0]}\n{m[1]}```", text)
