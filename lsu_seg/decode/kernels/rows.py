"""The decoding of a label row, from its runs to its labels.

Everything here works on one label row at a time, in buffers of a few row lengths, with classes in the inner loop and
eight pixels at a time (`lanes`). The result does not depend on the thread.
"""

from __future__ import annotations

import numpy as np

from lsu_seg.decode.kernels.choices import choose, choose_samples, share_out
from lsu_seg.decode.kernels.evidence import TINY, add_logits, add_shares, exact_pixel, whole_vectors
from lsu_seg.decode.kernels.jit import inline, inline_once
from lsu_seg.decode.kernels.lanes import LANES, copy, differences, floats, lowest_bit
from lsu_seg.decode.kernels.records import Asked, Pixels
from lsu_seg.decode.kernels.sampling import blend, blend_members, expand, spread

TILE_PIXELS = 4 * (8 * LANES - 1)
"""The pixels of a run that are decoded together, few enough for their data to stay in the L1 and L2 caches. At stride
4, they lie between samples that fill whole vectors."""

PAD = 64
"""The extra length of a tile's buffer, which begins and ends with whole samples and ends with a whole vector."""

SHORT = 8
"""Runs of at most this length are collected and decoded together with the row's other short runs of the same set."""

_f = np.float32


@inline_once
def decode_row(y, image, job, space):
    """Decode label row y. Returns whether all its values are rows of the dataset.

    Args:
        y: the index of the row.
        image: `Image`.
        job: `Job`.
        space: `Space`.
    """
    confidence = image.confidence[y]
    confidence[:] = _f(1.0)
    num_tiles, begin, end, known = _find_tiles(image.rows[y], image.labels[y], job, space.row)
    if num_tiles:
        for v in range(len(job.views)):
            _blend_lines(v, y, begin, end, job, space.row)
            _decode_view(v, y, num_tiles, image.labels[y], confidence, job, space)
        _decide_sums(y, num_tiles, image.labels[y], confidence, job, space)
    return known


@inline
def _find_tiles(row, out, job, space):
    """Write the runs that have one possible output, cut the others into tiles, and note the extent of their sets.

    Returns:
        The number of tiles; the begin and end of the pixels for which lines must be interpolated; and whether all
        values are rows of the dataset.
    """
    sets, rule, width, known = job.sets, job.rule, len(row), True
    num_tiles, num_short, x, begin, end = 0, 0, np.int64(0), width, 0
    space.set_end[:] = 0
    while x < width:
        d = row[x]
        stop = _run_end(row, x, width, d)
        if d < -1 or d >= len(sets.of_row) - 1:
            known = False
            d = np.int16(-1)
        u = sets.of_row[d + 1]
        if sets.only[u] >= 0:
            out[x:stop] = sets.only[u]
            x = stop
            continue
        short = stop - x <= SHORT
        if short or not (rule.woven and not sets.is_open[u]):
            if space.set_end[u] == 0:
                space.set_begin[u] = x
            space.set_end[u] = stop
            begin, end = min(begin, x), stop
        if short:
            run = space.short_runs[num_short]
            run.begin, run.end, run.set = x, stop, u
            num_short += 1
            space.short_pixels[u] += stop - x
            x = stop
        while x < stop:
            tile, cut = space.tiles[num_tiles], _tile_end(x, stop)
            tile.begin, tile.end, tile.set, tile.collected = x, cut, u, 0
            num_tiles += 1
            x = cut
    if num_short:
        num_tiles = _collect(num_short, num_tiles, space)
    return num_tiles, begin, end, known


@inline
def _run_end(row, x, end, d):
    """The end of the run of `d` that begins at `x`."""
    while x + 32 <= end:
        differs = differences(row, x, d)
        if differs:
            return x + lowest_bit(differs)
        x += 32
    while x < end and row[x] == d:
        x += 1
    return x


@inline
def _tile_end(x, end):
    """The end of the tile that begins at `x`: with a sample of a map of stride 4, so that no two tiles share one."""
    return min(end, ((x + 2) // TILE_PIXELS + 1) * TILE_PIXELS - 2)


@inline
def _collect(num_short, num_tiles, space):
    """Make tiles of each set's short runs, with the pixels in `places`. Returns the number of tiles.

    `short_pixels` has the number of these pixels per set, and is 0 afterwards.
    """
    begin, places, next_place = 0, space.places, space.short_pixels
    for u in range(len(next_place)):
        n = next_place[u]
        next_place[u] = begin
        for at in range(begin, begin + n, TILE_PIXELS):
            tile = space.tiles[num_tiles]
            tile.begin, tile.end, tile.set, tile.collected = at, min(at + TILE_PIXELS, begin + n), u, 1
            num_tiles += 1
        begin += n
    for i in range(num_short):
        run = space.short_runs[i]
        for x in range(run.begin, run.end):
            places[next_place[run.set]] = x
            next_place[run.set] += 1
    next_place[:] = 0
    return num_tiles


@inline
def _blend_lines(v, y, begin, end, job, space):
    """Interpolate a view vertically: each channel that occurs in the row, and only where it occurs."""
    view, left, weight = job.views[v], job.steps.left[v], job.steps.down[v, y]
    w = view.width
    top = view.maps + 4 * w * job.steps.upper[v, y]
    bottom = top + 4 * w if job.steps.upper[v, y] + 1 < view.height else top
    if job.rule.by_logits:
        _reach_of_channels(job.sets, len(left), space)
    else:
        space.begin[:], space.end[:] = begin, end
    channel = 4 * w * view.height
    for c in range(view.count):
        first, stop = space.begin[c], space.end[c]
        if stop > first:
            a, b = floats(top + c * channel, w), floats(bottom + c * channel, w)
            blend(a, b, weight, view.flip, left[first], left[stop - 1] + 1, space.lines[c])
    if view.mass:
        a, b = floats(top - view.maps + view.mass, w), floats(bottom - view.maps + view.mass, w)
        line = space.lines[view.count]
        blend(a, b, weight, view.flip, left[begin], left[end - 1] + 1, line)


@inline
def _reach_of_channels(sets, width, space):
    """Set the extent in which the row needs each channel: from the first to the last pixel whose set has it."""
    space.begin[:], space.end[:] = width, 0
    for u in range(len(sets.size)):
        if space.set_end[u]:
            for j in range(sets.order.shape[1] if sets.is_open[u] else sets.size[u]):
                c = sets.order[u, j]
                space.begin[c] = min(space.begin[c], space.set_begin[u])
                space.end[c] = max(space.end[c], space.set_end[u])


@inline_once
def _decode_view(v, y, num_tiles, out, confidence, job, space):
    """Process the tiles of a row for one view: decide tiles that logits decide, and sum the evidence of the others."""
    at = 0
    for t in range(num_tiles):
        tile = space.row.tiles[t]
        u = tile.set
        asked = Asked(job.sets.order[u], job.sets.size[u], job.sets.is_open[u], u)
        by_logits = job.rule.by_logits and not asked.is_open
        if by_logits and job.rule.woven and not tile.collected:
            _decide_between_samples(y, tile, asked, out, confidence, job, space)
            continue
        pixels = _pixels(v, tile, job, space)
        if by_logits:
            _decide_by_logits(tile, pixels, asked, out, confidence, job.rule, space)
            continue
        sums = space.row.sums[at : at + (asked.size + 1) * whole_vectors(tile.end - tile.begin)]
        at += len(sums)
        if v == 0:
            sums[:] = _f(0.0)
        _add_evidence(job.views[v], pixels, asked, job, space, sums)


@inline
def _pixels(v, tile, job, space):
    """The positions of a tile's pixels in view v: slices for adjacent pixels, buffers for collected ones."""
    view, left, right, n = job.views[v], job.steps.left[v], job.steps.right[v], tile.end - tile.begin
    if not tile.collected:
        offset = (tile.begin + view.half) % view.stride if view.stride else 0
        return Pixels(left[tile.begin : tile.end], right[tile.begin : tile.end], view.stride, offset)
    columns, weights = space.tile.columns[:n], space.tile.weights[:n]
    for i in range(n):
        x = space.row.places[tile.begin + i]
        columns[i], weights[i] = left[x], right[x]
    return Pixels(columns, weights, 0, 0)


@inline_once
def _add_evidence(view, pixels, asked, job, space, sums):
    if view.shares:
        add_shares(view, asked, pixels, space.row.lines, space.tile.scores, sums)
    else:
        add_logits(view, asked, pixels, space.row.lines, space.tile.scores, sums)


@inline_once
def _decide_between_samples(y, tile, asked, out, confidence, job, space):
    """At stride 4, interpolate the tile's samples vertically, member by member, and decide the pixels between them."""
    view, rule, members, buffers = job.views[0], job.rule, asked.order[: asked.size], space.tile
    samples, sure = buffers.samples, buffers.sure
    low = job.steps.left[0, tile.begin]
    size, offset = job.steps.left[0, tile.end - 1] + 1 - low, tile.begin + view.half - 4 * low
    blend_members(view, job.steps.upper[0, y], job.steps.down[0, y], members, low, size + 1, samples)
    if choose_samples(samples, buffers.powers, members, size, rule, buffers.narrow_label, sure):
        n = tile.end - tile.begin
        copy(out, tile.begin, buffers.narrow_label, offset, n)
        copy(confidence, tile.begin, sure, offset, n)
    else:
        for j in range(len(members)):
            spread(samples[j], size, buffers.scores[j])
        choose(buffers.scores, members, 4 * size, rule, buffers.label, sure)
        _put(tile, buffers.label, sure, offset, space.row.places, out, confidence)


@inline_once
def _decide_by_logits(tile, pixels, asked, out, confidence, rule, space):
    members, scores, label, sure = asked.order[: asked.size], space.tile.scores, space.tile.label, space.tile.sure
    for j in range(len(members)):
        expand(space.row.lines[members[j]], pixels, scores[j])
    choose(scores, members, pixels.offset + tile.end - tile.begin, rule, label, sure)
    _put(tile, label, sure, pixels.offset, space.row.places, out, confidence)


@inline
def _decide_sums(y, num_tiles, out, confidence, job, space):
    """Decide the tiles whose evidence was summed over the views."""
    num_classes, rule, label, sure = job.sets.order.shape[1], job.rule, space.tile.label, space.tile.sure
    at = 0
    for t in range(num_tiles):
        tile = space.row.tiles[t]
        u = tile.set
        asked = Asked(job.sets.order[u], job.sets.size[u], job.sets.is_open[u], u)
        if rule.by_logits and not asked.is_open:
            continue
        sums = space.row.sums[at : at + (asked.size + 1) * whole_vectors(tile.end - tile.begin)]
        at += len(sums)
        share_out(sums, asked.order[: asked.size], num_classes, label, sure, space.tile.value)
        for i in range(tile.end - tile.begin):
            if job.sets.silent[u]:  # not pixel by pixel: it may be the whole image
                label[i], sure[i] = asked.order[0], _f(0.0)
            elif not space.tile.value[i] >= TINY:
                x = space.row.places[tile.begin + i] if tile.collected else tile.begin + i
                label[i], share = exact_pixel(x, y, job.views, job.steps, asked, space.tile.log_p, space.tile.log_view)
                sure[i] = min(_f(share), _f(1.0))
            if label[i] == num_classes or sure[i] < rule.low:
                label[i] = rule.void
        _put(tile, label, sure, np.int64(0), space.row.places, out, confidence)


@inline
def _put(tile, label, sure, offset, places, out, confidence):
    """Write a tile's labels and confidences, which begin at `offset`, to its pixels in the row."""
    if tile.collected:
        for i in range(tile.end - tile.begin):
            x = places[tile.begin + i]
            out[x], confidence[x] = label[offset + i], sure[offset + i]
    else:
        copy(confidence, tile.begin, sure, offset, tile.end - tile.begin)
        for i in range(tile.end - tile.begin):
            out[tile.begin + i] = label[offset + i]
