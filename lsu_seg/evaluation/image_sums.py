"""What is kept of each image of an evaluation: its key and its sums. There may be hundreds of thousands."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_CHUNK = 1024
"""So many images lie in small arrays of their own, each with 100 bytes of its object, before they become one array."""

Sums = dict[str, NDArray[np.int32]]


class ImageSums:
    """Keys and sums of images, in as little memory as they need.

    >>> images = ImageSums()
    >>> for key in "ab":
    ...     images.append(key, {"set": np.array([1, 2], np.int32)})
    >>> images.take(1)
    (['a'], {'set': array([[1, 2]], dtype=int32)})
    """

    def __init__(self) -> None:
        self._keys: list[str] = []
        self._whole: dict[str, list[NDArray[np.int32]]] = {}
        self._latest: list[Mapping[str, NDArray[np.int32]]] = []

    def __len__(self) -> int:
        return len(self._keys)

    def append(self, key: str, sums: Mapping[str, NDArray[np.int32]]) -> None:
        self._keys.append(key)
        self._latest.append(sums)
        if len(self._latest) == _CHUNK:
            self._stack()

    def _stack(self) -> None:
        for view in self._latest[0] if self._latest else ():
            self._whole.setdefault(view, []).append(np.stack([sums[view] for sums in self._latest]))
        self._latest = []

    def take(self, number: int) -> tuple[list[str], Sums]:
        """The first so many keys, and their sums `[number, ...]` by view."""
        self._stack()
        return self._keys[:number], {v: np.concatenate(parts)[:number] for v, parts in self._whole.items()}


def merged(parts: Sequence[tuple[list[str], Sums]]) -> tuple[tuple[str, ...], Sums]:
    """Keys and sums of all ranks' images, in the order of the keys, whichever rank had them."""
    parts = [part for part in parts if part[0]]
    if len(parts) == 1 and all(a < b for a, b in itertools.pairwise(parts[0][0])):
        return tuple(parts[0][0]), parts[0][1]  # not copied: of hundreds of thousands, they are hundreds of megabytes
    keys = [key for own, _ in parts for key in own]
    sums = {view: np.concatenate([part[view] for _, part in parts]) for view in (parts[0][1] if parts else ())}
    order: list[int] = []
    for _, same in itertools.groupby(sorted(range(len(keys)), key=keys.__getitem__), key=keys.__getitem__):
        images = list(same)
        if len(images) > 1:  # by their sums, so that the order never depends on who had them
            images.sort(key=lambda i: [values[i].tobytes() for values in sums.values()])
        order += images
    return tuple(keys[i] for i in order), {view: values[order] for view, values in sums.items()}
