"""A JSON list, one element at a time: brushes are lists of numbers, and those of thousands of images take gigabytes."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import IO, Any

_PART = 1 << 20
_SPACE = re.compile(r"[ \t\n\r]*")


def elements(file: IO[bytes], key: str = "") -> Iterator[Any]:
    """The elements of the list in a file, or of the list under a key of the object in it.

    Raises:
        ValueError, RecursionError: it holds no such list, or is damaged.

    >>> import io
    >>> list(elements(io.BytesIO(b'[1, {"a": [2]} ]')))
    [1, {'a': [2]}]
    >>> list(elements(io.BytesIO(b'{"b": 0, "a": [1, 2]}'), "a"))
    [1, 2]
    """
    text = _Text(file)
    if not key:
        yield from _list(text)
    else:
        found = False
        for name in _items(text, "{", "}", "it is no object"):
            if text.sign() != ":":
                raise ValueError(f"no `:` behind the key {str(name)[:40]!r}")
            text.at += 1
            if name == key:
                if found:
                    raise ValueError(f"it has `{key}` twice")
                found = True
                yield from _list(text)
            else:
                text.sign()
                text.element()
        if not found:
            raise ValueError(f"it has no `{key}`")
    if behind := text.sign():
        raise ValueError(f"found `{behind}` behind the {'object' if key else 'list'}")


def _list(text: _Text) -> Iterator[Any]:
    return _items(text, "[", "]", "it is no list")


def _items(text: _Text, first: str, last: str, else_: str) -> Iterator[Any]:
    """The values in brackets: the elements of a list, or the keys of an object, behind which the caller reads on."""
    if text.sign() != first:
        raise ValueError(else_)
    text.at += 1
    if text.sign() == last:
        text.at += 1
        return
    while True:
        text.sign()
        yield text.element()
        after = text.sign()
        text.at += 1
        if after == last:
            return
        if after != ",":
            raise ValueError(f"found `{after}` behind an element" if after else "it is cut off")


class _Text:
    """The text of a file from `at` on, as much of it as is needed."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        start = file.read(_PART)
        self._decoder = codecs.getincrementaldecoder(json.detect_encoding(start))("surrogatepass")
        self._parse = json.JSONDecoder().raw_decode
        self._ended = not start
        self._rest, self.at = self._decoder.decode(start), 0

    def sign(self) -> str:
        """The next sign that is no space, at which `at` is then; none at the end of the file."""
        while True:
            space = _SPACE.match(self._rest, self.at)
            assert space is not None  # it matches nothing, too
            self.at = space.end()
            if self.at < len(self._rest) or self._ended:
                return self._rest[self.at : self.at + 1]
            self._more()

    def element(self) -> Any:
        """The value that begins at `at`, and `at` behind it."""
        while True:
            try:
                value, end = self._parse(self._rest, self.at)
            except json.JSONDecodeError as error:
                if self._ended:
                    raise ValueError(error.msg) from error  # without its place, which is one in a part of the file
            else:
                if end < len(self._rest) or self._ended:  # a number may go on
                    self.at = end
                    return value
            self._more()

    def _more(self) -> None:
        """Read as much again as is there, so that a long element is not parsed too often."""
        data = self._file.read(max(_PART, len(self._rest) - self.at))
        self._ended = not data
        self._rest, self.at = self._rest[self.at :] + self._decoder.decode(data, final=self._ended), 0
