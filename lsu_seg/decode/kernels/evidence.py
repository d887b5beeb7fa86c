"""The evidence for each class, from the softmax or the masks of views: of a tile in float32, of a pixel in float64."""

from __future__ import annotations

import numpy as np

from lsu_seg.decode.kernels.jit import exact, inline
from lsu_seg.decode.kernels.lanes import (
    LANES,
    add,
    divide,
    doubles,
    exp,
    floats,
    load,
    multiply,
    splat,
    store,
    subtract,
    where_greater,
)
from lsu_seg.decode.kernels.sampling import corners, expand, sample

TINY = np.float32(1e-20)
"""If the best allowed p is below this, float32 may have lost the order, and the pixel is decoded in float64."""
FAINT = np.float32(1e-10)
"""If the sum of all masks is below this, p cannot be normalised in float32, which can still represent TINY * FAINT."""

_f = np.float32


@inline
def whole_vectors(n):
    """The number of elements of the whole vectors that hold `n` pixels."""
    return (n + LANES - 1) // LANES * LANES


@inline
def add_logits(view, asked, pixels, lines, scores, sums):
    """Add the p of one view to `sums`.

    Args:
        view: VIEW.
        asked: `Asked`.
        pixels: `Pixels`.
        lines: the view's channels, followed by its mass.
        scores: [channels, pixels], a buffer.
        sums: [members + 1, whole vectors], flat; the last row is the evidence for void: the residual, or the mass.
    """
    order, members, k, n, offset = asked.order, asked.size, len(asked.order), len(pixels.columns), pixels.offset
    size, share = whole_vectors(n), _f(view.weight)
    for j in range(k):
        expand(lines[order[j]], pixels, scores[j])
    for i in range(0, n, LANES):
        at = offset + i
        best = load(scores[0], at)
        for j in range(1, k):
            v = load(scores[j], at)
            best = where_greater(v, best, v, best)
        rest = splat(_f(0.0))
        for j in range(members, k):
            rest = add(rest, exp(subtract(load(scores[j], at), best)))
        total = rest
        for j in range(members):
            e = exp(subtract(load(scores[j], at), best))
            store(scores[j], at, e)
            total = add(total, e)
        scale = divide(splat(share), total)
        for j in range(members):
            _increase(sums, j * size + i, multiply(load(scores[j], at), scale))
        if asked.is_open and not view.mass:
            _increase(sums, members * size + i, multiply(rest, scale))
    if asked.is_open and view.mass:
        _add_mass(lines[k], pixels, share, scores[k], sums[members * size :])


@inline
def _add_mass(line, pixels, share, scores, sums):
    expand(line, pixels, scores)
    for i in range(0, len(pixels.columns), LANES):
        _increase(sums, i, multiply(load(scores, pixels.offset + i), splat(share)))


@inline
def _increase(sums, at, x):
    store(sums, at, add(load(sums, at), x))


@inline
def add_shares(view, asked, pixels, lines, scores, sums):
    """The same for a view whose maps have shares in the elements of S(d): sigmoids of masks, or a softmax of channels.

    Args:
        lines: the view's maps, followed by its mass.
    """
    members, count, k, n, offset = asked.size, view.count, len(asked.order), len(pixels.columns), pixels.offset
    shares = floats(view.shares + 4 * asked.set * view.per_set, (k + 1) * count)
    for q in range(count):
        expand(lines[q], pixels, scores[q])
    zero, one, size, share = splat(_f(0.0)), splat(_f(1.0)), whole_vectors(n), _f(view.weight)
    for i in range(0, n, LANES):
        at, total, best = offset + i, zero, zero
        if view.softmax:
            best = load(scores[0], at)
            for q in range(1, count):
                v = load(scores[q], at)
                best = where_greater(v, best, v, best)
        for q in range(count):
            v = load(scores[q], at)
            if view.softmax:
                m = exp(subtract(v, best))
            else:
                minus = subtract(zero, v)
                e = exp(where_greater(v, minus, minus, v))
                m = divide(where_greater(v, zero, one, e), add(one, e))
            store(scores[q], at, m)
            total = add(total, m)
        # The shares of a mask sum to 1, so `total` is the sum of all evidence. If all masks are tiny, float32 has lost
        # it, and NaN makes `exact_pixel` decode the pixel.
        scale = where_greater(total, splat(FAINT), divide(splat(share), total), splat(_f(np.nan)))
        for j in range(members + asked.is_open):
            c, evidence = asked.order[j] if j < members else k, zero
            for q in range(count):
                evidence = add(evidence, multiply(splat(shares[c * count + q]), load(scores[q], at)))
            _increase(sums, j * size + i, multiply(evidence, scale))
    if asked.is_open and view.mass:
        _add_mass(lines[count], pixels, share, scores[count], sums[members * size :])


@inline
def _log_add(a, b):
    if a < b:
        a, b = b, a
    return a + np.log1p(np.exp(b - a)) if b > -np.inf else a


@exact
def exact_pixel(x, y, views, steps, asked, log_p, log_view):
    """Decode one pixel in float64 and in logarithms, as the reference does.

    Args:
        x, y: the pixel.
        views: VIEW [V].
        steps: `Steps`.
        asked: `Asked`.
        log_p, log_view: float64 [K+1], buffers.

    Returns:
        The class, K for void, and the confidence.
    """
    order, k = asked.order, len(asked.order)
    log_p[:] = -np.inf
    for v in range(len(views)):
        view, at = views[v], corners(views[v], v, x, y, steps)
        minus = np.log(view.weight) - _log_of_view(view, at, asked.set, log_view)
        if not view.shares and not view.mass and asked.is_open:
            for j in range(asked.size, k):
                log_view[k] = _log_add(log_view[k], log_view[order[j]])
        for c in range(k + 1):
            log_p[c] = _log_add(log_p[c], log_view[c] + minus)
        if view.mass:
            mass = floats(view.mass, view.height * view.width)
            log_p[k] = _log_add(log_p[k], np.log(view.weight) + np.log(sample(mass, np.int64(0), at)))
    output, total = order[0], -np.inf
    for j in range(asked.size):
        total = _log_add(total, log_p[order[j]])
        if log_p[order[j]] > log_p[output]:
            output = order[j]
    if asked.is_open:
        total = _log_add(total, log_p[k])
        if log_p[k] > log_p[output]:
            output = k
    return output, np.exp(log_p[output] - total) if total > -np.inf else 0.0


@exact
def _log_of_view(view, at, u, log_view):
    """Set `log_view` [K+1] to a view's logits, or to the logarithm of its maps' evidence for set u. Neither is
    normalised: returns the logarithm of all evidence."""
    k, channel, total = len(log_view) - 1, view.height * view.width, -np.inf
    maps = floats(view.maps, view.count * channel)
    log_view[:] = -np.inf
    if view.shares:
        log_shares = doubles(view.log_shares + 8 * u * view.per_set, (k + 1) * view.count)
        for q in range(view.count):
            m = sample(maps, q * channel, at)
            if not view.softmax:
                m = min(m, 0.0) - np.log1p(np.exp(-abs(m)))
            total = _log_add(total, m)
            for c in range(k + 1):
                log_view[c] = _log_add(log_view[c], log_shares[c * view.count + q] + m)
    else:
        for c in range(k):
            log_view[c] = sample(maps, c * channel, at)
            total = _log_add(total, log_view[c])
    return total
