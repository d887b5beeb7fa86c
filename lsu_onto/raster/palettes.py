"""The colours that palette files give to their values, and files that disagree about them.

A tool that writes palette images may number colours anew in each file. The values of such files mean nothing without
their palettes.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray


def value_colours(array: NDArray[Any], palette: NDArray[np.uint8]) -> dict[int, int]:
    """Value → 0xrrggbb of each value that occurs and that the palette has; empty if the palette says nothing.

    Palettes of a single colour, and those with each value as its own grey, are what tools write that know no colours.

    Args:
        array: uint8 `[H, W]`.
        palette: `[<=256, 3]`.

    >>> value_colours(np.array([[0, 2]], np.uint8), np.array([[0, 0, 0], [9, 9, 9], [255, 0, 0]], np.uint8))
    {0: 0, 2: 16711680}
    """
    if (palette == palette[:1]).all() or (palette == np.arange(len(palette))[:, None]).all():
        return {}
    return {v: int.from_bytes(palette[v].tobytes(), "big") for v in _values(array) if v < len(palette)}


def _values(array: NDArray[np.uint8]) -> list[int]:
    """The values that occur, in order. Eight pixels that equal the eight before them have no new ones."""
    from PIL import Image

    flat = array.ravel()
    words = flat[: flat.size // 8 * 8].view(np.uint64)
    changed = words[1:][words[1:] != words[:-1]]  # a tenth of a label, and the rest takes most of the time
    pixels = np.concatenate([words[:1].view(np.uint8), changed.view(np.uint8), flat[words.size * 8 :]])
    return [v for v, n in enumerate(Image.fromarray(pixels[None]).histogram()) if n]  # a third of numpy's time


class Palettes:
    """The colour of each value in the files of a dataset so far.

    >>> palettes = Palettes()
    >>> palettes.add("a.png", {1: 0xFF0000, 2: 0x00FF00}), palettes.add("b.png", {1: 0xFF0000})
    ('', '')
    >>> palettes.add("c.png", {1: 0x00FF00})
    'a palette with #00ff00 for value 1, which is #ff0000 in a.png'
    """

    def __init__(self) -> None:
        self._first: dict[int, tuple[int, str]] = {}

    def add(self, path: str | os.PathLike[str], colours: dict[int, int]) -> str:
        """Compare a file with those before it.

        Args:
            colours: value → colour of the values that occur in the file (`value_colours`).

        Returns:
            What contradicts an earlier file, or nothing. The colours of a file that does are not taken over.
        """
        for value, colour in colours.items():
            known, file = self._first.get(value, (colour, ""))
            if known != colour:
                return f"a palette with #{colour:06x} for value {value}, which is #{known:06x} in {file}"
        for value, colour in colours.items():
            self._first.setdefault(value, (colour, os.fspath(path)))
        return ""
