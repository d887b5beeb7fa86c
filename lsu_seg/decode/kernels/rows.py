"""The loops of the CPU decoder, compiled by numba. `cpu.py` prepares their arguments; `docs/decoding.md` explains.

Everything here works on one label row at a time, in buffers of a few row lengths: classes inside, eight pixels at a
time (`lanes`). No step depends on which thread does it. There is no fastmath but contraction (fused multiply-add),
which changes neither comparisons nor what is NaN.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.extending import intrinsic

from lsu_seg.decode.kernels.choices import choose, choose_samples, share_out
from lsu_seg.decode.kernels.evidence import TINY, add_logits, add_queries, exact_pixel
from lsu_seg.decode.kernels.lanes import LANES, copy, differences, lowest_bit
from lsu_seg.decode.kernels.sampling import (
    CLASS_P,
    COUNT,
    FLIP,
    HALF,
    HEIGHT,
    MAPS,
    MASS,
    STRIDE,
    WIDTH,
    blend,
    blend_members,
    expand,
    inline,
    not_finite,
    pointer,
    spread,
)

TILE = 4 * (8 * LANES - 1)
"""Pixels of a run that are handled at once: what its classes need stays in the first caches. At stride 4 they lie
between samples that fill whole vectors."""

PAD = 64
"""A tile's buffer is this much longer: it begins and ends with whole samples and ends with a whole vector."""

SHORT = 8
"""Runs up to this length are collected, and decoded together with the row's other short runs of the same set."""

# Columns of the table of sets.
ONLY, MEMBERS, OPEN = range(3)

_f = np.float32


@intrinsic
def _take_next(typing_context, counter):
    """Fetch and increment element 0 of an int64 array, atomically."""

    def codegen(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        one = ir.Constant(ir.IntType(64), 1)
        return builder.atomic_rmw("add", array.data, one, "seq_cst")

    return types.int64(counter), codegen


@inline
def _run_end(row, x, end, d):
    """Where the run of `d` that begins at `x` ends."""
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
    """The tile that begins at `x` ends here: with a sample of a logit map of stride 4, so that none is shared."""
    return min(end, ((x + 2) // TILE + 1) * TILE - 2)


@inline
def _collect(shorts, count, lengths, places, tiles, num_tiles):
    """Make tiles of short runs: those of one set together, its pixels in `places`. Returns the new `num_tiles`.

    `lengths` has the number of such pixels per set, and is 0 afterwards.
    """
    begin = 0
    for u in range(len(lengths)):
        n = lengths[u]
        lengths[u] = begin
        for at in range(begin, begin + n, TILE):
            tile = tiles[num_tiles]
            tile[0], tile[1], tile[2], tile[3] = at, min(at + TILE, begin + n), u, 1
            num_tiles += 1
        begin += n
    for i in range(count):
        u = shorts[i, 2]
        for x in range(shorts[i, 0], shorts[i, 1]):
            places[lengths[u]] = x
            lengths[u] += 1
    lengths[:] = 0
    return num_tiles


@inline
def _put(label, sure, offset, a, b, collected, places, out, confidence):
    """Write a tile's labels and confidences, which begin at `offset`, to its pixels of the row."""
    if collected:
        for i in range(b - a):
            out[places[a + i]], confidence[places[a + i]] = label[offset + i], sure[offset + i]
        return
    copy(confidence, a, sure, offset, b - a)
    for i in range(b - a):
        out[a + i] = label[offset + i]


def decode_rows(
    counter,
    chunks,
    status,
    rows,
    set_of,
    sets,
    order,
    views,
    yi,
    ya,
    xi,
    xa,
    mass,
    low,
    void,
    labels,
    confidence,
    lines,
    samples,
    powers,
    s,
    label,
    sure,
    woven_label,
    woven_sure,
    value,
    acc,
    log_p,
    log_mine,
    tiles,
    shorts,
    lengths,
    places,
    near,
    weights_near,
    left,
    right,
    marks,
):
    """Decode chunks of label rows until none is left. Several threads do so with one `counter`.

    Args:
        counter: int64 [1]. chunks: how many there are. status: int64 [2], set to 1: a view is not finite; a row is
            not one of the dataset's.
        rows: int16 [H, W]. set_of: int32 [D+1], the set of row d at d+1. sets: int32 [U, 3]. order: int32 [U, K],
            a set's members, ascending, and then all other classes.
        views: int64 [V, VIEW_FIELDS]. yi, ya: [V, H], upper row and weight of the lower. xi, xa: [V, W], left
            column of the padded line, weight of the right.
        mass: there is a no-object mass. low: the threshold. void: its label, int32.
        labels, confidence: [H, W], the outputs.
        lines ... marks: working space of this thread.
    """
    height, width = rows.shape
    num_classes, num_views = order.shape[1], len(views)
    share = _f(1.0) / _f(num_views)
    direct = num_views == 1 and views[0, CLASS_P] == 0
    woven = direct and views[0, STRIDE] == 4 and not views[0, FLIP]
    while True:
        chunk = _take_next(counter)
        if chunk >= chunks or status[0] or status[1]:
            return
        for v in range(num_views):
            view = views[v]
            size = view[COUNT] * view[HEIGHT] * view[WIDTH]
            maps = carray(pointer(view[MAPS]), (size,), np.float32)
            if not_finite(maps[size * chunk // chunks : size * (chunk + 1) // chunks]):
                status[0] = 1
        for y in range(height * chunk // chunks, height * (chunk + 1) // chunks):
            row, out, confident = rows[y], labels[y], confidence[y]
            confident[:] = _f(1.0)

            # 1. Runs: the decided ones are written, the others become tiles; what their sets need is noted.
            num_tiles, num_short, x, reach, until = 0, 0, 0, width, 0
            marks[:] = 0
            while x < width:
                d = row[x]
                end = _run_end(row, x, width, d)
                if d < -1 or d >= len(set_of) - 1:
                    status[1] = 1
                    d = np.int16(-1)
                u = set_of[d + 1]
                if sets[u, ONLY] >= 0:
                    out[x:end] = sets[u, ONLY]
                    x = end
                    continue
                short = end - x <= SHORT
                if short or not (woven and not sets[u, OPEN]):
                    if marks[u] == 0:
                        marks[u] = 1
                        left[u] = x
                    right[u] = end
                    reach, until = min(reach, x), end
                if short:
                    shorts[num_short, 0], shorts[num_short, 1], shorts[num_short, 2] = x, end, u
                    num_short += 1
                    lengths[u] += end - x
                    x = end
                while x < end:
                    tile, stop = tiles[num_tiles], _tile_end(x, end)
                    tile[0], tile[1], tile[2], tile[3] = x, stop, u, 0
                    num_tiles += 1
                    x = stop
            if num_short:
                num_tiles = _collect(shorts, num_short, lengths, places, tiles, num_tiles)
            if num_tiles == 0:
                continue

            for v in range(num_views):
                view, column, weight = views[v], xi[v], xa[v]
                h, w, stride, half = view[HEIGHT], view[WIDTH], view[STRIDE], view[HALF]
                maps = carray(pointer(view[MAPS]), (view[COUNT], h, w), np.float32)
                y0 = yi[v, y]
                y1 = min(y0 + 1, h - 1)

                # 2. Vertical interpolation of what occurs in this row, as far as it occurs.
                first, last = left[len(sets) :], right[len(sets) :]
                if direct:
                    first[:], last[:] = width, 0
                    for u in range(len(sets)):
                        if marks[u]:
                            n = sets[u, MEMBERS] if not sets[u, OPEN] else num_classes
                            for j in range(n):
                                c = order[u, j]
                                first[c], last[c] = min(first[c], left[u]), max(last[c], right[u])
                else:
                    first[:], last[:] = reach, until
                for c in range(view[COUNT]):
                    if last[c] > first[c]:
                        blend(
                            maps[c, y0],
                            maps[c, y1],
                            ya[v, y],
                            view[FLIP],
                            column[first[c]],
                            column[last[c] - 1] + 1,
                            lines[c],
                        )
                if view[MASS]:
                    masses = carray(pointer(view[MASS]), (h, w), np.float32)
                    blend(
                        masses[y0],
                        masses[y1],
                        ya[v, y],
                        view[FLIP],
                        column[reach],
                        column[until - 1] + 1,
                        lines[num_classes],
                    )

                # 3. The tiles: decided here, or added up over views.
                at = 0
                for t in range(num_tiles):
                    a, b, u, collected = tiles[t, 0], tiles[t, 1], tiles[t, 2], tiles[t, 3]
                    nm, n = sets[u, MEMBERS], b - a
                    members = order[u, :nm]
                    by_logits = direct and not sets[u, OPEN]
                    if by_logits and woven and not collected:
                        k = column[a]
                        size, offset = column[b - 1] + 1 - k, a + half - 4 * k
                        blend_members(maps, members, y0, y1, ya[v, y], k, size + 1, samples)
                        if choose_samples(samples, powers, members, size, low, void, woven_label, woven_sure):
                            copy(out, a, woven_label, offset, n)
                            copy(confident, a, woven_sure, offset, n)
                            continue
                        for j in range(nm):
                            spread(samples[j], size, s[j])
                        choose(s, members, 4 * size, low, void, label, sure)
                        _put(label, sure, offset, a, b, collected, places, out, confident)
                        continue
                    step = 0 if collected else stride
                    columns, weights = near[:n], weights_near[:n]
                    if collected:
                        for i in range(n):
                            columns[i], weights[i] = column[places[a + i]], weight[places[a + i]]
                    else:
                        columns, weights = column[a:b], weight[a:b]
                    if by_logits:
                        offset = 0
                        for j in range(nm):
                            offset = expand(lines[members[j]], columns, weights, a, step, half, s[j])
                        choose(s, members, offset + n, low, void, label, sure)
                        _put(label, sure, offset, a, b, collected, places, out, confident)
                        continue
                    size = (n + LANES - 1) // LANES * LANES
                    sums = acc[at : at + (nm + 1) * size].reshape((nm + 1, size))
                    at += (nm + 1) * size
                    if v == 0:
                        sums[:] = _f(0.0)
                    if view[CLASS_P]:
                        p_class = carray(pointer(view[CLASS_P]), (num_classes + 1, view[COUNT]), np.float32)
                        add_queries(
                            members,
                            sets[u, OPEN],
                            lines,
                            p_class,
                            columns,
                            weights,
                            a,
                            step,
                            half,
                            share,
                            s,
                            sums,
                        )
                    else:
                        add_logits(
                            order[u],
                            nm,
                            sets[u, OPEN],
                            lines,
                            columns,
                            weights,
                            a,
                            step,
                            half,
                            share,
                            mass,
                            s,
                            sums,
                        )

            # 4. Decide what was added up.
            at = 0
            for t in range(num_tiles):
                a, b, u, collected = tiles[t, 0], tiles[t, 1], tiles[t, 2], tiles[t, 3]
                nm, n = sets[u, MEMBERS], b - a
                if direct and not sets[u, OPEN]:
                    continue
                size = (n + LANES - 1) // LANES * LANES
                sums = acc[at : at + (nm + 1) * size].reshape((nm + 1, size))
                at += (nm + 1) * size
                share_out(sums, order[u, :nm], size, num_classes, label, sure, value)
                for i in range(n):
                    if not value[i] >= TINY:
                        x = places[a + i] if collected else a + i
                        label[i], exact = exact_pixel(
                            x, y, views, yi, ya, xi, xa, order[u], nm, sets[u, OPEN], mass, log_p, log_mine
                        )
                        sure[i] = min(_f(exact), _f(1.0))
                    if label[i] == num_classes or sure[i] < low:
                        label[i] = void
                _put(label, sure, 0, a, b, collected, places, out, confident)


# numba's cache goes by the time of this file alone; by its name, the function is another when the other files are.
_sources = b"".join(
    Path(__file__).with_name(f"{n}.py").read_bytes() for n in ("choices", "evidence", "lanes", "sampling")
)
decode_rows.__qualname__ += "-" + hashlib.sha256(_sources).hexdigest()[:8]
decode_rows = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})(decode_rows)
