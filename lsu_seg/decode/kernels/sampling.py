"""Bilinear interpolation of whole lines, vertically and then horizontally, or of one pixel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lsu_seg.decode.kernels.jit import inline
from lsu_seg.decode.kernels.lanes import LANES, add, floats, load, multiply, splat, store, sum_of, weave

_f = np.float32


@inline
def not_finite(values):
    """Whether any value of float32 [N] is NaN or Inf. All other values times 0 are 0."""
    n, zero = len(values), splat(_f(0.0))
    a = b = c = d = zero
    whole = n // (4 * LANES) * (4 * LANES)
    for i in range(0, whole, 4 * LANES):
        a = add(a, multiply(load(values, i), zero))
        b = add(b, multiply(load(values, i + LANES), zero))
        c = add(c, multiply(load(values, i + 2 * LANES), zero))
        d = add(d, multiply(load(values, i + 3 * LANES), zero))
    total = sum_of(add(add(a, b), add(c, d)))
    for i in range(whole, n):
        total += values[i] * _f(0.0)
    return total != _f(0.0)


@inline
def blend(top, bottom, weight, flip, low, high, out):
    """Interpolate a channel vertically: columns `low` .. `high` of the padded line.

    Column 0 of the padded line repeats column 1, and column w+1 repeats column w.
    """
    w = len(top)
    first, last = max(low - 1, 0), min(high, w)
    n = last - first
    target = out[first + 1 : last + 1]
    keep = _f(1.0) - weight
    if flip:
        a, b = top[w - last : w - first], bottom[w - last : w - first]
        for i in range(n):
            target[i] = keep * a[n - 1 - i] + weight * b[n - 1 - i]
    else:
        a, b = top[first:last], bottom[first:last]
        for i in range(n):
            target[i] = keep * a[i] + weight * b[i]
    if low == 0:
        out[0] = out[1]
    if high == w + 1:
        out[w + 1] = out[w]


@inline
def blend_members(view, y, weight, members, low, size, samples):
    """The same for several channels of a view that is not mirrored, between its rows y and y+1.

    Interpolates `size` columns from `low` on, into one row of `samples` per channel.
    """
    h, w = view.height, view.width
    maps = floats(view.maps, view.count * h * w)
    first = max(low - 1, 0)
    n = min(low + size - 1, w) - first
    before = first + 1 - low
    keep, next_row = _f(1.0) - weight, w if y + 1 < h else 0
    for j in range(len(members)):
        at, top = j * samples.shape[1] + before, (members[j] * h + y) * w + first
        bottom = top + next_row
        if n >= LANES:
            for i in range(0, n, LANES):
                i = min(i, n - LANES)  # the last vector overlaps the previous one: reads must stay inside the map
                store(samples, at + i, _mix(load(maps, top + i), keep, load(maps, bottom + i), weight))
        else:
            for i in range(n):
                samples[j, before + i] = keep * maps[top + i] + weight * maps[bottom + i]
        if before:
            samples[j, 0] = samples[j, 1]
        if low + size - 1 > w:
            samples[j, size - 1] = samples[j, size - 2]


@inline
def _mix(p, a, q, b):
    return add(multiply(p, splat(a)), multiply(q, splat(b)))


@inline
def spread(line, size, out):
    """At stride 4, interpolate the four pixels between the two samples of each of `size` pairs horizontally."""
    for i in range(0, size, LANES):
        p, q = load(line, i), load(line, i + 1)
        weave(
            out,
            4 * i,
            _mix(p, _f(0.875), q, _f(0.125)),
            _mix(p, _f(0.625), q, _f(0.375)),
            _mix(p, _f(0.375), q, _f(0.625)),
            _mix(p, _f(0.125), q, _f(0.875)),
        )


@inline
def expand(line, pixels, out):
    """Interpolate a line horizontally for the pixels of a tile. The first pixel is at `pixels.offset` of `out`."""
    columns, weights = pixels.columns, pixels.weights
    n, k = len(columns), columns[0]
    if pixels.stride == 4:
        spread(line[k:], columns[n - 1] + 1 - k, out)
    elif pixels.stride == 8:
        m = columns[n - 1] + 1 - k
        left, right = line[k : k + m], line[k + 1 : k + 1 + m]
        for i in range(m):
            p, q = left[i], right[i]
            for j in range(8):
                w = _f(0.0625) + _f(0.125) * _f(j)
                out[8 * i + j] = p * (_f(1.0) - w) + q * w
    elif pixels.stride == 1:
        for i in range(0, n, LANES):
            store(out, i, load(line, k + i))
    else:
        for i in range(n):
            c, w = columns[i], weights[i]
            out[i] = (_f(1.0) - w) * line[c] + w * line[c + 1]


class Corners(NamedTuple):
    """The four samples around a pixel, as flat indices into a channel, and the weights of the lower and right ones."""

    top_left: int
    top_right: int
    bottom_left: int
    bottom_right: int
    down: float
    right: float


@inline
def corners(view, v, x, y, steps):
    """The `Corners` of pixel (x, y) in view number v."""
    h, w, k = view.height, view.width, steps.left[v, x]
    y0 = steps.upper[v, y]
    y1, x0, x1 = min(y0 + 1, h - 1), max(k - 1, 0), min(k, w - 1)
    if view.flip:
        x0, x1 = w - 1 - x0, w - 1 - x1
    down, right = np.float64(steps.down[v, y]), np.float64(steps.right[v, x])
    return Corners(y0 * w + x0, y0 * w + x1, y1 * w + x0, y1 * w + x1, down, right)


@inline
def sample(maps, channel, at):
    """One interpolated value, in float64. `channel` is the index in `maps` at which the channel begins."""
    top = (1 - at.right) * maps[channel + at.top_left] + at.right * maps[channel + at.top_right]
    bottom = (1 - at.right) * maps[channel + at.bottom_left] + at.right * maps[channel + at.bottom_right]
    return (1 - at.down) * top + at.down * bottom
