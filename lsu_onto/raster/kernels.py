"""Loops over pixels that numba compiles. Imported by `loops.py` alone, where numba is installed and worth its import.

Indices are unsigned: numba would look at each signed one for a count from the end, which halves the speed.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numba import uint64 as u

_SETTINGS = {"nogil": True, "error_model": "numpy", "boundscheck": False}


def compile_and_keep(function):
    """Let numba compile a function, and keep the result for later processes if it can write to a folder for caches."""
    try:
        return njit(cache=True, **_SETTINGS)(function)
    except RuntimeError:
        return njit(**_SETTINGS)(function)


@njit(inline="always", **_SETTINGS)
def _paeth(a, b, c):
    """That of left `a`, above `b` and above left `c` which is nearest to a + b - c: stb_image's way, branchless."""
    third, low, high = c * 3 - (a + b), min(a, b), max(a, b)
    nearest = low if high <= third else c
    return high if third <= low else nearest


@compile_and_keep
def unfilter(lines, line_words, out, out_words, size, step):
    """Undo the filters of PNG rows.

    Args:
        lines: uint8 `[rows * (1 + size)]`, each row with the byte of its filter in front.
        out: uint8 `[(1 + rows) * size]`; the first row is the one above the others.
        line_words, out_words: the eight bytes from each byte of these arrays on, as uint64.
        size: bytes of a row. step: bytes of a pixel.

    Returns:
        False if there is a filter that the format does not have.
    """
    row, pixel, one, two, three, word, words = u(size), u(step), u(1), u(2), u(3), u(8), u(24)
    d, o, p = u(0), u(size), u(0)  # where the row starts in `lines` and in `out`, and the row above it
    for _ in range(lines.size // (1 + size)):
        method = lines[d]
        d += one
        i = u(0)
        if method == 0:
            for k in range(size):
                out[o + u(k)] = lines[d + u(k)]
        elif method == 1:
            if pixel == one:
                a0 = np.uint8(0)
                while i < row:
                    a0 = np.uint8(a0 + lines[d + i])
                    out[o + i] = a0
                    i += one
            elif pixel == two:
                a0, a1 = np.uint8(0), np.uint8(0)
                while i < row:
                    a0, a1 = np.uint8(a0 + lines[d + i]), np.uint8(a1 + lines[d + i + one])
                    out[o + i], out[o + i + one] = a0, a1
                    i += two
            elif pixel == three:
                a0, a1, a2 = np.uint8(0), np.uint8(0), np.uint8(0)
                while i < row:
                    a0, a1 = np.uint8(a0 + lines[d + i]), np.uint8(a1 + lines[d + i + one])
                    a2 = np.uint8(a2 + lines[d + i + two])
                    out[o + i], out[o + i + one], out[o + i + two] = a0, a1, a2
                    i += three
            else:
                while i < pixel:
                    out[o + i] = lines[d + i]
                    i += one
                while i < row:
                    out[o + i] = np.uint8(lines[d + i] + out[o + i - pixel])
                    i += one
        elif method == 2:
            for k in range(size):
                out[o + u(k)] = np.uint8(lines[d + u(k)] + out[p + u(k)])
        elif method == 3:
            while i < pixel:
                out[o + i] = np.uint8(lines[d + i] + (out[p + i] >> 1))
                i += one
            while i < row:
                mean = (np.int32(out[o + i - pixel]) + np.int32(out[p + i])) >> 1
                out[o + i] = np.uint8(lines[d + i] + mean)
                i += one
        elif method == 4 and pixel == three:
            a0, a1, a2 = np.int32(0), np.int32(0), np.int32(0)
            c0, c1, c2 = np.int32(0), np.int32(0), np.int32(0)
            while i < row:
                if a0 == c0 and a1 == c1 and a2 == c2:
                    # The pixel to the left equals the one above it: what differs by 0 equals the row above.
                    first = i
                    while (
                        i + words <= row
                        and (line_words[d + i] | line_words[d + i + u(8)] | line_words[d + i + u(16)]) == 0
                    ):
                        out_words[o + i], out_words[o + i + u(8)] = out_words[p + i], out_words[p + i + u(8)]
                        out_words[o + i + u(16)] = out_words[p + i + u(16)]
                        i += words
                    if i > first:
                        a0, a1 = np.int32(out[o + i - three]), np.int32(out[o + i - two])
                        a2 = np.int32(out[o + i - one])
                        c0, c1, c2 = a0, a1, a2
                        if i >= row:
                            break
                b0, b1, b2 = np.int32(out[p + i]), np.int32(out[p + i + one]), np.int32(out[p + i + two])
                a0 = (np.int32(lines[d + i]) + _paeth(a0, b0, c0)) & 255
                a1 = (np.int32(lines[d + i + one]) + _paeth(a1, b1, c1)) & 255
                a2 = (np.int32(lines[d + i + two]) + _paeth(a2, b2, c2)) & 255
                c0, c1, c2 = b0, b1, b2
                out[o + i], out[o + i + one], out[o + i + two] = np.uint8(a0), np.uint8(a1), np.uint8(a2)
                i += three
        elif method == 4:
            same = u(0)  # so many bytes to the left equal those above them
            while i < pixel:
                value = np.uint8(lines[d + i] + out[p + i])
                out[o + i] = value
                same = same + one if value == out[p + i] else u(0)
                i += one
            while i < row:
                if same >= pixel:
                    while i + word <= row and line_words[d + i] == 0:
                        out_words[o + i] = out_words[p + i]
                        i += word
                    if i >= row:
                        break
                nearest = _paeth(np.int32(out[o + i - pixel]), np.int32(out[p + i]), np.int32(out[p + i - pixel]))
                value = np.uint8(lines[d + i] + np.uint8(nearest))
                out[o + i] = value
                same = same + one if value == out[p + i] else u(0)
                i += one
        else:
            return False
        d, p, o = d + row, o, o + row
    return True


@compile_and_keep
def look_up(table, values, shift, out):
    """`out = table[values] + shift`, all of one dimension, for values that the table has."""
    for i in range(values.size):
        out[i] = table[values[i]] + shift


@compile_and_keep
def count(words, rest, counts):
    """Add the numbers of 16 bits to their counts, `[1 << 16]`: four in each of the words, and the rest.

    Labels have long runs, so most words equal the one before.
    """
    previous, run = u(0), 0
    for word in words:
        if word == previous:
            run += 1
        else:
            for shift in (u(0), u(16), u(32), u(48)):
                counts[previous >> shift & u(0xFFFF)] += run
            previous, run = word, 1
    for shift in (u(0), u(16), u(32), u(48)):
        counts[previous >> shift & u(0xFFFF)] += run
    for value in rest:
        counts[value] += 1
