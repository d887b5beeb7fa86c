"""PNG files written by the letter of the specification: every bit depth, filter and interlacing."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(name: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def header(width: int, height: int, bits: int = 8, colour: int = 0, interlaced: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced))


def png(
    values: np.ndarray, bits: int = 8, colour: int = 0, filters: Sequence[int] = (0,), interlaced: bool = False
) -> bytes:
    """A PNG of `[H, W]` or `[H, W, channels]` values, whose rows take the filters in turn."""
    palette = chunk(b"PLTE", bytes(range(256)) * 3) if colour == 3 and bits == 8 else b""
    palette = chunk(b"PLTE", bytes(3 << bits)) if colour == 3 and bits < 8 else palette
    pixels = zlib.compress(rows(values, bits, colour, filters, interlaced))
    head = header(values.shape[1], values.shape[0], bits, colour, int(interlaced))
    return SIGNATURE + head + palette + chunk(b"IDAT", pixels) + chunk(b"IEND")


def rows(
    values: np.ndarray, bits: int = 8, colour: int = 0, filters: Sequence[int] = (0,), interlaced: bool = False
) -> bytes:
    """The filtered rows, one byte of filter before each, before they are compressed."""
    out, number = b"", 0
    for x, y, dx, dy in _ADAM7 if interlaced else [(0, 0, 1, 1)]:
        part = values[y::dy, x::dx]
        above = b""
        for row in part if part.size else ():
            line = _packed(row.ravel().tolist(), bits)
            method = filters[number % len(filters)]
            out += bytes([method]) + _filtered(line, above or bytes(len(line)), method, _CHANNELS[colour] * bits)
            above, number = line, number + 1
    return out


def _packed(values: list[int], bits: int) -> bytes:
    text = "".join(f"{v:0{bits}b}" for v in values)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def _filtered(line: bytes, above: bytes, method: int, bits_of_a_pixel: int) -> bytes:
    step = max(1, bits_of_a_pixel // 8)
    out = []
    for i, value in enumerate(line):
        a, b = line[i - step] if i >= step else 0, above[i]
        c = above[i - step] if i >= step else 0
        nearest = min((a, b, c), key=lambda known: abs(a + b - c - known))  # Paeth; the first of equals
        out.append((value - (0, a, b, (a + b) // 2, nearest)[method]) % 256)
    return bytes(out)
