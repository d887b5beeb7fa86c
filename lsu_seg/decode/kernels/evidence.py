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
def add_logits(asked, pixels, lines, share, has_mass, scores, sums):
    """Add the p of one view to `sums`.

    Args:
        asked: `Asked`.
        pixels: `Pixels`.
        lines: the view's channels, followed by its mass.
        share: the view's weight.
        scores: [channels, pixels], a buffer.
        sums: [members + 1, whole vectors], flat; the last row is the evidence for void: the residual, or the mass.
    """
    order, members, k, n, offset = asked.order, asked.size, len(asked.order), len(pixels.columns), pixels.offset
    size = whole_vectors(n)
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
        if asked.is_open and not has_mass:
            _increase(sums, members * size + i, multiply(rest, scale))
    if asked.is_open and has_mass:
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
def add_queries(view, asked, pixels, lines, share, scores, sums):
    """The same for a view of masks: sigmoids at label resolution, then the classes that the set allows.

    Args:
        lines: the view's masks.
    """
    members, queries, k, n, offset = asked.size, view.count, len(asked.order), len(pixels.columns), pixels.offset
    p_class = floats(view.p_class, (k + 1) * queries)
    for q in range(queries):
        expand(lines[q], pixels, scores[q])
    zero, one, size = splat(_f(0.0)), splat(_f(1.0)), whole_vectors(n)
    for i in range(0, n, LANES):
        at, total = offset + i, zero
        for q in range(queries):
            v = load(scores[q], at)
            minus = subtract(zero, v)
            e = exp(where_greater(v, minus, minus, v))
            m = divide(where_greater(v, zero, one, e), add(one, e))
            store(scores[q], at, m)
            total = add(total, m)
        # The class shares of a query sum to 1, so `total` is the sum of all evidence. If all masks are tiny, float32
        # has lost it, and NaN makes `exact_pixel` decode the pixel.
        scale = where_greater(total, splat(FAINT), divide(splat(share), total), splat(_f(np.nan)))
        for j in range(members + asked.is_open):
            c, evidence = asked.order[j] if j < members else k, zero
            for q in range(queries):
                evidence = add(evidence, multiply(splat(p_class[c * queries + q]), load(scores[q], at)))
            _increase(sums, j * size + i, multiply(evidence, scale))


@inline
def _log_add(a, b):
    if a < b:
        a, b = b, a
    return a + np.log1p(np.exp(b - a)) if b > -np.inf else a


@exact
def exact_pixel(x, y, views, steps, asked, has_mass, log_p, log_view):
    """Decode one pixel in float64 and in logarithms, as the reference does.

    Args:
        x, y: the pixel.
        views: VIEW [V].
        steps: `Steps`.
        asked: `Asked`.
        has_mass: as in `Rule`.
        log_p, log_view: float64 [K+1], buffers.

    Returns:
        The class, K for void, and the confidence.
    """
    order, k = asked.order, len(asked.order)
    log_p[:] = -np.inf
    for v in range(len(views)):
        _log_of_view(views[v], corners(views[v], v, x, y, steps), log_view)
        total = -np.inf
        for c in range(k + 1):
            total = _log_add(total, log_view[c])
        for c in range(k + 1):
            log_p[c] = _log_add(log_p[c], log_view[c] - total)
        if views[v].mass:
            mass = floats(views[v].mass, views[v].height * views[v].width)
            log_p[k] = _log_add(log_p[k], np.log(sample(mass, np.int64(0), corners(views[v], v, x, y, steps))))
    output, total = order[0], -np.inf
    for j in range(asked.size):
        total = _log_add(total, log_p[order[j]])
        if log_p[order[j]] > log_p[output]:
            output = order[j]
    if asked.is_open:
        evidence = log_p[k] if has_mass else -np.inf
        if not has_mass:
            for j in range(asked.size, k):
                evidence = _log_add(evidence, log_p[order[j]])
        total = _log_add(total, evidence)
        log_p[k] = evidence
        if evidence > log_p[output]:
            output = k
    return output, np.exp(log_p[output] - total)


@exact
def _log_of_view(view, at, log_view):
    """Set `log_view` [K+1] to a view's logits, or to the logarithm of its masks' evidence, without normalisation."""
    k, channel = len(log_view) - 1, view.height * view.width
    maps = floats(view.maps, view.count * channel)
    log_view[:] = -np.inf
    if view.log_class:
        log_class = doubles(view.log_class, (k + 1) * view.count)
        for q in range(view.count):
            m = sample(maps, q * channel, at)
            m = min(m, 0.0) - np.log1p(np.exp(-abs(m)))
            for c in range(k + 1):
                log_view[c] = _log_add(log_view[c], log_class[c * view.count + q] + m)
    else:
        for c in range(k):
            log_view[c] = sample(maps, c * channel, at)
