"""Shared code of the encodings whose labels are drawn over one another (`polygons`, `rle`), and of JSON side files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsu_onto import ROW_SKIPPED
from lsu_seg.label_files.errors import not_what_was_expected, refuse
from lsu_seg.label_files.members import read_bytes


class Drawing(NamedTuple):
    """codes: uint16 `[H, W]`, 0 where nothing is drawn. labels: the name of code i + 1, known or not."""

    codes: NDArray[np.uint16]
    labels: list[str]


class Palette:
    """Assigns codes to labels.

    Args:
        known: label → row of d, or `ROW_SKIPPED` if the label is not drawn.

    >>> palette = Palette({"car": 0, "plate": ROW_SKIPPED})
    >>> [palette.code(label) for label in ("car", "cargroup", "plate", "cat")]
    [1, 1, None, 2]
    """

    def __init__(self, known: dict[str, int]) -> None:
        self.known = known
        self._codes: dict[str, int] = {}

    @property
    def labels(self) -> list[str]:
        """The name of code i + 1."""
        return list(self._codes)

    def code(self, label: str) -> int | None:
        """The code of a label, or None if it is not to be drawn. Raises ValueError where there are too many labels."""
        if label not in self.known and label.removesuffix("group") in self.known:
            label = label.removesuffix("group")  # Cityscapes' mark of instances that annotators could not separate
        if self.known.get(label) == ROW_SKIPPED:
            return None
        code = self._codes.setdefault(label, len(self._codes) + 1)
        if code > np.iinfo(np.uint16).max:
            raise ValueError("more labels than 16 bits tell apart")
        return code


def read_json(path: Path, expected: str) -> Any:
    """The content of a JSON file. Raises `LabelFileError` if it is not JSON."""
    data = read_bytes(path)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:  # the second: nested too deeply
        if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
            raise refuse(path, f"damaged JSON ({error})", expected, "get the file again") from error
        raise not_what_was_expected(path, data, expected, "check `encoding:`") from error


def wrong_json(path: Path, error: Exception, expected: str) -> Exception:
    """The error for JSON of an unexpected form, given the exception that was raised while reading it."""
    found = f"no `{error.args[0]}`" if isinstance(error, KeyError) else f"another form ({error})"
    return refuse(path, found, expected, "check `encoding:` and whether the file belongs to the dataset")
