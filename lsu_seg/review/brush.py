"""Masks in Label Studio's run lengths of bits (`"format": "rle"`).

A stream of bits: 32 say how many values follow, 5 how many bits a value has, four times 4 how many bits lengths may
have; each block then begins with a bit that says whether it repeats one value, 2 bits that choose among the four sizes,
and its length. All these numbers but the first are stored minus 1. Values are the four channels of each pixel, of which
the last is the mask.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_SIZES = (3, 4, 8, 16)
_ON = 255


def encode(mask: NDArray[np.bool_]) -> list[int]:
    """The bytes of a mask `[H, W]`.

    >>> decode(encode(np.eye(3, dtype=bool)), 3, 3).astype(int).tolist()
    [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    """
    flat = mask.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=not flat[0]))
    lengths = np.diff(starts, append=flat.size) * 4
    parts = [f"{flat.size * 4:032b}{7:05b}", *(f"{size - 1:04b}" for size in _SIZES)]
    for length, value in zip(lengths.tolist(), (flat[starts] * _ON).tolist(), strict=True):
        for at in range(0, length, 1 << _SIZES[-1]):
            part = min(length - at, 1 << _SIZES[-1])
            chosen = next(i for i, size in enumerate(_SIZES) if part <= 1 << size)
            parts.append(f"1{chosen:02b}{part - 1:0{_SIZES[chosen]}b}{value:08b}")
    bits = np.frombuffer("".join(parts).encode(), np.uint8) - ord("0")
    return np.packbits(bits).tolist()


def decode(data: Sequence[int], height: int, width: int) -> NDArray[np.bool_]:
    """The mask `[H, W]` in bytes.

    Raises:
        ValueError: they are damaged, or of another size.
    """
    bits = "".join(f"{byte:08b}" for byte in bytes(data))
    at = 0

    def number(size: int) -> int:
        nonlocal at
        at += size
        if at > len(bits):
            raise ValueError("its run lengths are cut off")
        return int(bits[at - size : at], 2)

    count = number(32)
    if count != height * width * 4:
        raise ValueError(f"it has {count // 4} pixels, and the image {width}x{height}")
    if number(5) != 7:
        raise ValueError("its values do not have 8 bits")
    sizes = [number(4) + 1 for _ in range(4)]
    values = np.zeros(count, np.uint8)
    done = 0
    while done < count:
        repeats = number(1)
        length = number(sizes[number(2)]) + 1
        if done + length > count:
            raise ValueError("its run lengths are damaged")
        if repeats:
            values[done : done + length] = number(8)
        else:
            values[done : done + length] = [number(8) for _ in range(length)]
        done += length
    return values.reshape(height, width, 4)[:, :, 3] > _ON // 2
