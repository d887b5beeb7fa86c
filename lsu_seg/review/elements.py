"""A JSON list, one element at a time: brushes are lists of numbers, and those of thousands of images take gigabytes."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

_PART = 1 << 20
_SPACE = re.compile(r"[ \t\n\r]*")


def elements(file: BinaryIO) -> Iterator[Any]:
    """The elements of the list in a file.

    Raises:
        ValueError, RecursionError: it holds no list, or is damaged.

    >>> import io
    >>> list(elements(io.BytesIO(b'[1, {"a": [2]} ]')))
    [1, {'a': [2]}]
    """
    text = _Text(file)
    if text.sign() != "[":
        raise ValueError("it is no list")
    text.at += 1
    if text.sign() == "]":
        text.at += 1
    else:
        while True:
            text.sign()
            yield text.element()
            after = text.sign()
            text.at += 1
            if after == "]":
                break
            if after != ",":
                raise ValueError(f"found `{after}` behind an element" if after else "it is cut off")
    if behind := text.sign():
        raise ValueError(f"found `{behind}` behind the list")


class _Text:
    """The text of a file from `at` on, as much of it as is needed."""

    def __init__(self, file: BinaryIO) -> None:
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
