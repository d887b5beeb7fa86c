"""The CPU decoder's p: a view's softmax, or its masks, added up for a tile of pixels; one pixel in float64."""

from __future__ import annotations

import numpy as np
from numba import carray, njit

from lsu_seg.decode.kernels.lanes import (
    LANES,
    add,
    divide,
    exp,
    load,
    multiply,
    splat,
    store,
    subtract,
    where_greater,
)
from lsu_seg.decode.kernels.sampling import (
    CLASS_LOG_P,
    CLASS_P,
    COUNT,
    HEIGHT,
    MAPS,
    MASS,
    WIDTH,
    expand,
    inline,
    pointer,
    sample,
)

TINY = np.float32(1e-20)
"""Where the best allowed p is below this, float32 may have lost the order: such pixels are decoded in float64."""
FAINT = np.float32(1e-10)
"""Where all masks together say less than this, p cannot be normalised in float32: TINY * FAINT is still a number."""

_f = np.float32


@inline
def add_logits(order, nm, is_open, lines, columns, weights, x, stride, half, share, mass, s, sums):
    """Add one view's p to `sums` [members + 1, pixels]; void's evidence, the residual or the mass, to the last."""
    n, nk, offset = len(columns), len(order), 0
    for j in range(nk):
        offset = expand(lines[order[j]], columns, weights, x, stride, half, s[j])
    for i in range(0, n, LANES):
        at = offset + i
        best = load(s[0], at)
        for j in range(1, nk):
            v = load(s[j], at)
            best = where_greater(v, best, v, best)
        rest = splat(_f(0.0))
        for j in range(nm, nk):
            rest = add(rest, exp(subtract(load(s[j], at), best)))
        total = rest
        for j in range(nm):
            e = exp(subtract(load(s[j], at), best))
            store(s[j], at, e)
            total = add(total, e)
        scale = divide(splat(share), total)
        for j in range(nm):
            store(sums[j], i, add(load(sums[j], i), multiply(load(s[j], at), scale)))
        if is_open and not mass:
            store(sums[nm], i, add(load(sums[nm], i), multiply(rest, scale)))
    if is_open and mass:
        _add_mass(lines[nk], columns, weights, x, stride, half, share, s[nk], sums[nm])


@inline
def _add_mass(line, columns, weights, x, stride, half, share, s, sums):
    offset = expand(line, columns, weights, x, stride, half, s)
    for i in range(0, len(columns), LANES):
        store(sums, i, add(load(sums, i), multiply(load(s, offset + i), splat(share))))


@inline
def add_queries(members, is_open, lines, p_class, columns, weights, x, stride, half, share, s, sums):
    """The same for a view of masks: sigmoid at label resolution, then the classes that the set allows."""
    n, nm, nq, k, offset = len(columns), len(members), p_class.shape[1], p_class.shape[0] - 1, 0
    for q in range(nq):
        offset = expand(lines[q], columns, weights, x, stride, half, s[q])
    zero, one = splat(_f(0.0)), splat(_f(1.0))
    for i in range(0, n, LANES):
        at, total = offset + i, zero
        for q in range(nq):
            v = load(s[q], at)
            minus = subtract(zero, v)
            e = exp(where_greater(v, minus, minus, v))
            m = divide(where_greater(v, zero, one, e), add(one, e))
            store(s[q], at, m)
            total = add(total, m)
        # A query's classes sum to 1, so `total` is the sum of all evidence. Where no mask comes near, float32 has
        # lost it, and NaN sends the pixel to `exact_pixel`.
        scale = where_greater(total, splat(FAINT), divide(splat(share), total), splat(_f(np.nan)))
        for j in range(nm + is_open):
            c, evidence = members[j] if j < nm else k, zero
            for q in range(nq):
                evidence = add(evidence, multiply(splat(p_class[c, q]), load(s[q], at)))
            store(sums[j], i, add(load(sums[j], i), multiply(evidence, scale)))


@inline
def _log_add(a, b):
    if a < b:
        a, b = b, a
    return a + np.log1p(np.exp(b - a)) if b > -np.inf else a


@njit(nogil=True, error_model="numpy")
def exact_pixel(x, y, views, yi, ya, xi, xa, order, nm, is_open, mass, log_p, mine):
    """One pixel in float64 and in logarithms, as the reference has it. Returns channel (K for void), confidence.

    `log_p` and `mine`: float64 [K+1], working space.
    """
    k = len(order)
    log_p[:] = -np.inf
    for v in range(len(views)):
        view = views[v]
        maps = carray(pointer(view[MAPS]), (view[COUNT], view[HEIGHT], view[WIDTH]), np.float32)
        mine[:] = -np.inf
        if view[CLASS_P]:
            log_class = carray(pointer(view[CLASS_LOG_P]), (k + 1, view[COUNT]), np.float64)
            for q in range(view[COUNT]):
                m = sample(maps, q, view, y, x, yi[v], ya[v], xi[v], xa[v])
                m = min(m, 0.0) - np.log1p(np.exp(-abs(m)))
                for c in range(k + 1):
                    mine[c] = _log_add(mine[c], log_class[c, q] + m)
        else:
            for c in range(k):
                mine[c] = sample(maps, c, view, y, x, yi[v], ya[v], xi[v], xa[v])
        total = -np.inf
        for c in range(k + 1):
            total = _log_add(total, mine[c])
        for c in range(k + 1):
            log_p[c] = _log_add(log_p[c], mine[c] - total)
        if view[MASS]:
            masses = carray(pointer(view[MASS]), (1, view[HEIGHT], view[WIDTH]), np.float32)
            log_p[k] = _log_add(log_p[k], np.log(sample(masses, 0, view, y, x, yi[v], ya[v], xi[v], xa[v])))
    output, total = order[0], -np.inf
    for j in range(nm):
        total = _log_add(total, log_p[order[j]])
        if log_p[order[j]] > log_p[output]:
            output = order[j]
    if is_open:
        evidence = log_p[k] if mass else -np.inf
        if not mass:
            for j in range(nm, k):
                evidence = _log_add(evidence, log_p[order[j]])
        total = _log_add(total, evidence)
        log_p[k] = evidence
        if evidence > log_p[output]:
            output = k
    return output, np.exp(log_p[output] - total)
