"""The CPU decoder's bilinear sampling (`align_corners=False`): vertical and then horizontal, and of one pixel alone."""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from lsu_seg.decode.kernels.lanes import LANES, add, load, multiply, splat, store, sum_of, weave

# Columns of the table of views.
MAPS, COUNT, HEIGHT, WIDTH, FLIP, MASS, STRIDE, HALF, CLASS_P, CLASS_LOG_P = range(10)
VIEW_FIELDS = 10

# Columns of the table of sets.
ONLY, MEMBERS, OPEN = range(3)

_f = np.float32
inline = njit(nogil=True, error_model="numpy", fastmath={"contract"})


@intrinsic
def pointer(typing_context, address):
    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), codegen


@inline
def not_finite(values):
    """Whether any of float32 [N] is NaN or Inf: what is not, times 0, is 0."""
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
    """Interpolate a channel vertically: columns `low` .. `high` of the padded line (column 0 repeats 1, w+1 repeats w)."""
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
def blend_members(maps, members, y0, y1, weight, low, size, samples):
    """The same of several channels, not mirrored, for `size` columns from `low` on: a member's go to its row of `samples`."""
    h, w = maps.shape[1:]
    first = max(low - 1, 0)
    n = min(low + size - 1, w) - first
    before = first + 1 - low
    keep = _f(1.0) - weight
    for j in range(len(members)):
        at, top = j * samples.shape[1] + before, (members[j] * h + y0) * w + first
        bottom = top + (y1 - y0) * w
        if n >= LANES:
            for i in range(0, n, LANES):
                i = min(i, n - LANES)  # the last vector shares with the one before; nothing else may be read
                store(samples, at + i, _mix(load(maps, top + i), keep, load(maps, bottom + i), weight))
        else:
            for i in range(n):
                x = first + i
                samples[j, before + i] = keep * maps[members[j], y0, x] + weight * maps[members[j], y1, x]
        if before:
            samples[j, 0] = samples[j, 1]
        if low + size - 1 > w:
            samples[j, size - 1] = samples[j, size - 2]


@inline
def _mix(p, a, q, b):
    return add(multiply(p, splat(_f(a))), multiply(q, splat(_f(b))))


@inline
def spread(line, size, out):
    """At stride 4, interpolate horizontally: the four pixels between the samples of each of `size` pairs."""
    for i in range(0, size, LANES):
        p, q = load(line, i), load(line, i + 1)
        weave(
            out,
            4 * i,
            _mix(p, 0.875, q, 0.125),
            _mix(p, 0.625, q, 0.375),
            _mix(p, 0.375, q, 0.625),
            _mix(p, 0.125, q, 0.875),
        )


@inline
def expand(line, columns, weights, x, stride, half, out):
    """Interpolate a line horizontally for the pixels of a tile. Returns where in `out` its first pixel lies.

    `x` is that pixel where they are neighbours and the stride is a whole number; `stride` is 0 elsewhere.
    """
    n = len(columns)
    if stride == 4:
        k = columns[0]
        spread(line[k:], columns[n - 1] + 1 - k, out)
        return (x + half) % 4
    if stride == 8:
        k = columns[0]
        m = columns[n - 1] + 1 - k
        left, right = line[k : k + m], line[k + 1 : k + 1 + m]
        for i in range(m):
            p, q = left[i], right[i]
            for j in range(8):
                w = _f(0.0625) + _f(0.125) * _f(j)
                out[8 * i + j] = p * (_f(1.0) - w) + q * w
        return (x + half) % 8
    if stride == 1:
        k = columns[0]
        for i in range(0, n, LANES):
            store(out, i, load(line, k + i))
        return 0
    for i in range(n):
        k, w = columns[i], weights[i]
        out[i] = (_f(1.0) - w) * line[k] + w * line[k + 1]
    return 0


@inline
def sample(maps, c, view, y, x, yi, ya, xi, xa):
    """One interpolated value, in float64."""
    h, w, k = view[HEIGHT], view[WIDTH], xi[x]
    y0 = yi[y]
    y1, x0, x1 = min(y0 + 1, h - 1), max(k - 1, 0), min(k, w - 1)
    if view[FLIP]:
        x0, x1 = w - 1 - x0, w - 1 - x1
    ay, ax = np.float64(ya[y]), np.float64(xa[x])
    top = (1 - ax) * maps[c, y0, x0] + ax * maps[c, y0, x1]
    bottom = (1 - ax) * maps[c, y1, x0] + ax * maps[c, y1, x1]
    return (1 - ay) * top + ay * bottom
