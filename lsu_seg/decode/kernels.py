"""The loops of the CPU decoder, compiled by numba. `cpu.py` prepares their arguments; `docs/decoding.md` explains.

Everything here works on one label row at a time, in buffers of a few row lengths, and lets LLVM vectorise: classes
outside, pixels inside. No step depends on which thread does it. There is no fastmath but contraction (fused
multiply-add), which changes neither comparisons nor what is NaN.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

TILE = 256
"""Pixels of a run that are handled at once: what its classes need stays in the first caches."""

PAD = 16
"""A tile's buffer is this much longer: it begins and ends with whole steps of the logits (stride at most 8)."""

SHORT = 6
"""Runs up to this length are decoded pixel by pixel."""

TINY = np.float32(1e-20)
"""Where the best allowed p is below this, float32 may have lost the order: such pixels are decoded in float64."""
FAINT = np.float32(1e-10)
"""Where all masks together say less than this, p cannot be normalised in float32: TINY * FAINT is still a number."""

# Columns of the table of views.
MAPS, COUNT, HEIGHT, WIDTH, FLIP, MASS, STRIDE, HALF, CLASS_P, CLASS_LOG_P = range(10)
VIEW_FIELDS = 10

# Columns of the table of sets.
ONLY, MEMBERS, OPEN = range(3)

_f = np.float32
_jit = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
_inline = njit(nogil=True, error_model="numpy", fastmath={"contract"})


@intrinsic
def _pointer(typing_context, address):
    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), codegen


@intrinsic
def _take_next(typing_context, counter):
    """Fetch and increment element 0 of an int64 array, atomically."""

    def codegen(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        one = ir.Constant(ir.IntType(64), 1)
        return builder.atomic_rmw("add", array.data, one, "seq_cst")

    return types.int64(counter), codegen


@_inline
def _exp(x):
    """exp(x) for x <= 0, to 2 units in the last place; not less than exp(-87), so that nothing is denormal."""
    x = max(x, _f(-87.0))
    shifted = x * _f(1.44269504088896341) + _f(12582912.0)  # 1.5 * 2**23: the integer part in the low bits
    n = shifted - _f(12582912.0)
    r = x - n * _f(0.693359375)
    r = r - n * _f(-2.12194440e-4)
    y = _f(1.9875691500e-4)
    y = y * r + _f(1.3981999507e-3)
    y = y * r + _f(8.3334519073e-3)
    y = y * r + _f(4.1665795894e-2)
    y = y * r + _f(1.6666665459e-1)
    y = y * r + _f(5.0000001201e-1)
    y = y * (r * r) + (r + _f(1.0))
    power = np.int32(_f(shifted).view(np.int32) << np.int32(23))
    return np.int32(_f(y).view(np.int32) + power).view(np.float32)


@_inline
def _not_finite(values):
    """Whether any of float32 [N] is NaN or Inf: the exponent's bits are all ones, and carry into the sign."""
    carry = np.int32(0)
    bits = values.view(np.int32)
    for i in range(len(bits)):
        carry |= np.int32((bits[i] & np.int32(0x7F800000)) + np.int32(0x00800000))
    return carry < 0


@_inline
def _run_end(row, x, end, d):
    """Where the run of `d` that begins at `x` ends."""
    while x + 32 <= end:
        differs = np.int16(0)
        for i in range(32):
            differs |= np.int16(row[x + i] ^ d)
        if differs != 0:
            break
        x += 32
    while x < end and row[x] == d:
        x += 1
    return x


@_inline
def _blend(top, bottom, weight, flip, low, high, out):
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


@_inline
def _expand(line, a, b, column, weight, stride, half, out):
    """Interpolate a line horizontally for the label pixels a .. b-1. Returns where in `out` pixel a lies."""
    if stride == 4:
        k = column[a]
        n = column[b - 1] + 1 - k
        left, right = line[k : k + n], line[k + 1 : k + 1 + n]
        for i in range(n):
            p, q = left[i], right[i]
            out[4 * i] = p * _f(0.875) + q * _f(0.125)
            out[4 * i + 1] = p * _f(0.625) + q * _f(0.375)
            out[4 * i + 2] = p * _f(0.375) + q * _f(0.625)
            out[4 * i + 3] = p * _f(0.125) + q * _f(0.875)
        return a - (4 * k - half)
    if stride == 8:
        k = column[a]
        n = column[b - 1] + 1 - k
        left, right = line[k : k + n], line[k + 1 : k + 1 + n]
        for i in range(n):
            p, q = left[i], right[i]
            for j in range(8):
                w = _f(0.0625) + _f(0.125) * _f(j)
                out[8 * i + j] = p * (_f(1.0) - w) + q * w
        return a - (8 * k - half)
    if stride == 1:
        k = column[a]
        for i in range(b - a):
            out[i] = line[k + i]
        return 0
    columns, weights = column[a:b], weight[a:b]
    for i in range(b - a):
        k, w = columns[i], weights[i]
        out[i] = (_f(1.0) - w) * line[k] + w * line[k + 1]
    return 0


@_inline
def _add_exp(v, best, total):
    for i in range(len(v)):
        total[i] += _exp(v[i] - best[i])


@_inline
def _keep_better(v, c, best, arg):
    # With a mask and not a condition: LLVM makes a branch of that, and does not vectorise.
    for i in range(len(v)):
        x, b, a = v[i], best[i], arg[i]
        mask = np.int32(-np.int32(x > b))
        best[i] = max(b, x)
        arg[i] = np.int32(a ^ np.int32((a ^ c) & mask))


@_inline
def _write(labels, confidence, x, label, share, low, void):
    confidence[x] = share
    labels[x] = void if share < low else label


@_inline
def _by_logits(
    a, b, members, lines, column, weight, stride, half, low, void, labels, confidence, s, best, arg, total
):
    """A run of a closed set, one view: only the allowed logits matter, and only they are interpolated."""
    if b - a <= SHORT:
        for x in range(a, b):
            k, w = column[x], weight[x]
            top, choice = _f(0.0), 0
            for j in range(len(members)):
                line = lines[members[j]]
                v = (_f(1.0) - w) * line[k] + w * line[k + 1]
                s[j, 0] = v
                if j == 0 or v > top:
                    top, choice = v, members[j]
            share = _f(0.0)
            for j in range(len(members)):
                share += _exp(s[j, 0] - top)
            _write(labels, confidence, x, choice, _f(1.0) / share, low, void)
        return
    n = b - a
    offset = 0
    for j in range(len(members)):
        offset = _expand(lines[members[j]], a, b, column, weight, stride, half, s[j])
    best, arg, total = best[:n], arg[:n], total[:n]
    _best(s, members, offset, n, best, arg)
    total[:] = _f(0.0)
    for j in range(len(members)):
        _add_exp(s[j, offset : offset + n], best, total)
    out, sure = labels[a:b], confidence[a:b]
    for i in range(n):
        sure[i] = _f(1.0) / total[i]
    for i in range(n):
        out[i] = void if sure[i] < low else arg[i]


@_inline
def _best(s, members, offset, n, best, arg):
    """Per pixel the largest of the members' scores and its class, the first among equals."""
    v, c = s[0, offset : offset + n], members[0]
    for i in range(n):
        best[i] = v[i]
        arg[i] = c
    for j in range(1, len(members)):
        _keep_better(s[j, offset : offset + n], members[j], best, arg)


@_inline
def _add_logits(
    a, b, order, nm, is_open, lines, column, weight, stride, half, share, mass, evidence, s, best, total, out
):
    """Add one view's p to `out` [members, pixels], and void's evidence to `evidence`: the residual, or the mass."""
    n, offset, nk = b - a, 0, len(order)
    for j in range(nk):
        offset = _expand(lines[order[j]], a, b, column, weight, stride, half, s[j])
    best, total = best[:n], total[:n]
    best[:] = s[0, offset : offset + n]
    for j in range(1, nk):
        v = s[j, offset : offset + n]
        for i in range(n):
            best[i] = max(best[i], v[i])
    total[:] = _f(0.0)
    for j in range(nm, nk):
        _add_exp(s[j, offset : offset + n], best, total)
    if is_open and not mass:
        rest = s[nk, :n]  # a spare row
        rest[:] = total
    for j in range(nm):
        v = s[j, offset : offset + n]
        for i in range(n):
            e = _exp(v[i] - best[i])
            v[i] = e
            total[i] += e
    for i in range(n):
        total[i] = share / total[i]
    for j in range(nm):
        v, p = s[j, offset : offset + n], out[j]
        for i in range(n):
            p[i] += v[i] * total[i]
    if is_open and mass:
        offset = _expand(lines[nk], a, b, column, weight, stride, half, s[nk])
        v = s[nk, offset : offset + n]
        for i in range(n):
            evidence[i] += v[i] * share
    elif is_open:
        rest = s[nk, :n]
        for i in range(n):
            evidence[i] += rest[i] * total[i]


@_inline
def _add_queries(
    a, b, members, is_open, lines, p_class, column, weight, stride, half, share, evidence, s, total, out
):
    """The same for a view of masks: sigmoid at label resolution, then the classes that the set allows."""
    n, offset, nq, k = b - a, 0, p_class.shape[1], p_class.shape[0] - 1
    total = total[:n]
    total[:] = _f(0.0)
    for q in range(nq):
        offset = _expand(lines[q], a, b, column, weight, stride, half, s[q])
        v = s[q, offset : offset + n]
        for i in range(n):
            e = _exp(-abs(v[i]))
            e = (_f(1.0) if v[i] >= _f(0.0) else e) / (_f(1.0) + e)
            v[i] = e
            total[i] += e
    for i in range(n):
        # A query's classes sum to 1, so `total` is the sum of all evidence. Where no mask comes near, float32 has
        # lost it, and NaN sends the pixel to `_exact`.
        total[i] = share / total[i] if total[i] >= FAINT else _f(np.nan)
    for j in range(len(members) + is_open):
        c = members[j] if j < len(members) else k
        p = out[j] if j < len(members) else evidence
        sum_ = s[nq, :n]
        sum_[:] = _f(0.0)
        for q in range(nq):
            v, f = s[q, offset : offset + n], p_class[c, q]
            for i in range(n):
                sum_[i] += f * v[i]
        for i in range(n):
            p[i] += sum_[i] * total[i]


@_inline
def _sample(maps, c, view, y, x, yi, ya, xi, xa):
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


@_inline
def _log_add(a, b):
    if a < b:
        a, b = b, a
    return a + np.log1p(np.exp(b - a)) if b > -np.inf else a


@njit(cache=True, nogil=True, error_model="numpy")
def _exact(x, y, views, yi, ya, xi, xa, order, nm, is_open, mass, log_p, mine):
    """One pixel in float64 and in logarithms, as the reference has it. Returns channel (K for void), confidence.

    `log_p` and `mine`: float64 [K+1], working space.
    """
    k = len(order)
    log_p[:] = -np.inf
    for v in range(len(views)):
        view = views[v]
        maps = carray(_pointer(view[MAPS]), (view[COUNT], view[HEIGHT], view[WIDTH]), np.float32)
        mine[:] = -np.inf
        if view[CLASS_P]:
            log_class = carray(_pointer(view[CLASS_LOG_P]), (k + 1, view[COUNT]), np.float64)
            for q in range(view[COUNT]):
                m = _sample(maps, q, view, y, x, yi[v], ya[v], xi[v], xa[v])
                m = min(m, 0.0) - np.log1p(np.exp(-abs(m)))
                for c in range(k + 1):
                    mine[c] = _log_add(mine[c], log_class[c, q] + m)
        else:
            for c in range(k):
                mine[c] = _sample(maps, c, view, y, x, yi[v], ya[v], xi[v], xa[v])
        total = -np.inf
        for c in range(k + 1):
            total = _log_add(total, mine[c])
        for c in range(k + 1):
            log_p[c] = _log_add(log_p[c], mine[c] - total)
        if view[MASS]:
            masses = carray(_pointer(view[MASS]), (1, view[HEIGHT], view[WIDTH]), np.float32)
            log_p[k] = _log_add(log_p[k], np.log(_sample(masses, 0, view, y, x, yi[v], ya[v], xi[v], xa[v])))
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


@_jit
def decode_rows(
    counter, chunks, status, rows, set_of, sets, order, views, yi, ya, xi, xa, mass, low, void, labels, confidence,
    lines, s, best, arg, total, acc, log_p, log_mine, tiles, left, right, marks,
):  # fmt: skip
    """Decode chunks of label rows until none is left. Several threads do so with one `counter`.

    Args:
        counter: int64 [1]. chunks: how many there are. status: int64 [2], set to 1: a view is not finite; a row is
            not one of the dataset's.
        rows: int16 [H, W]. set_of: int32 [D+1], the set of row d at d+1. sets: int32 [U, 3]. order: int32 [U, K],
            a set's members, ascending, and then all other classes.
        views: int64 [V, VIEW_FIELDS]. yi, ya: [V, H], upper row and weight of the lower. xi, xa: [V, W], left
            column of the padded line, weight of the right.
        mass: there is a no-object mass. low: the threshold. void: its label.
        labels, confidence: [H, W], the outputs.
        lines ... marks: working space of this thread.
    """
    height, width = rows.shape
    num_classes, num_views = order.shape[1], len(views)
    share = _f(1.0) / _f(num_views)
    direct = num_views == 1 and views[0, CLASS_P] == 0
    while True:
        chunk = _take_next(counter)
        if chunk >= chunks or status[0] or status[1]:
            return
        for v in range(num_views):
            view = views[v]
            h = view[HEIGHT]
            maps = carray(_pointer(view[MAPS]), (view[COUNT], h * view[WIDTH]), np.float32)
            a, b = h * chunk // chunks * view[WIDTH], h * (chunk + 1) // chunks * view[WIDTH]
            for c in range(view[COUNT]):
                if _not_finite(maps[c, a:b]):
                    status[0] = 1
        for y in range(height * chunk // chunks, height * (chunk + 1) // chunks):
            row, out, sure = rows[y], labels[y], confidence[y]

            # 1. Runs: the decided ones are written, the others become tiles; what their sets need is noted.
            num_tiles, used, x = 0, 0, 0
            left[:], right[:] = width, 0
            marks[:] = 0
            while x < width:
                d = row[x]
                if d < -1 or d >= len(set_of) - 1:
                    status[1] = 1
                    d = np.int16(-1)
                u = set_of[d + 1]
                end = _run_end(row, x, width, row[x])
                if sets[u, ONLY] >= 0:
                    out[x:end] = sets[u, ONLY]
                    sure[x:end] = _f(1.0)
                    x = end
                    continue
                if marks[u] == 0:
                    marks[u] = 1
                    left[u] = x
                right[u] = end
                while x < end:
                    stop = min(end, x + TILE)
                    tiles[num_tiles, 0], tiles[num_tiles, 1], tiles[num_tiles, 2] = x, stop, u
                    num_tiles += 1
                    used += stop - x
                    x = stop
            if num_tiles == 0:
                continue

            for v in range(num_views):
                view, column, weight = views[v], xi[v], xa[v]
                h, w, stride, half = view[HEIGHT], view[WIDTH], view[STRIDE], view[HALF]
                maps = carray(_pointer(view[MAPS]), (view[COUNT], h, w), np.float32)
                y0 = yi[v, y]
                y1 = min(y0 + 1, h - 1)

                # 2. Vertical interpolation of what occurs in this row, as far as it occurs.
                if direct:
                    first, last = left[len(sets) :], right[len(sets) :]
                    for u in range(len(sets)):
                        if marks[u]:
                            n = sets[u, MEMBERS] if not sets[u, OPEN] else num_classes
                            for j in range(n):
                                c = order[u, j]
                                first[c], last[c] = min(first[c], left[u]), max(last[c], right[u])
                    for c in range(num_classes):
                        if last[c] > first[c]:
                            _blend(
                                maps[c, y0], maps[c, y1], ya[v, y], view[FLIP],
                                column[first[c]], column[last[c] - 1] + 1, lines[c],
                            )  # fmt: skip
                    reach, until = tiles[0, 0], tiles[num_tiles - 1, 1]
                else:
                    reach, until = tiles[0, 0], tiles[num_tiles - 1, 1]
                    for c in range(view[COUNT]):
                        _blend(
                            maps[c, y0], maps[c, y1], ya[v, y], view[FLIP],
                            column[reach], column[until - 1] + 1, lines[c],
                        )  # fmt: skip
                if view[MASS]:
                    masses = carray(_pointer(view[MASS]), (h, w), np.float32)
                    _blend(
                        masses[y0], masses[y1], ya[v, y], view[FLIP],
                        column[reach], column[until - 1] + 1, lines[num_classes],
                    )  # fmt: skip

                # 3. The tiles: decided here, or added up over views.
                at = 0
                for t in range(num_tiles):
                    a, b, u = tiles[t, 0], tiles[t, 1], tiles[t, 2]
                    nm, n = sets[u, MEMBERS], b - a
                    if direct and not sets[u, OPEN]:
                        _by_logits(
                            a, b, order[u, :nm], lines, column, weight, stride, half, low, void, out, sure,
                            s, best, arg, total,
                        )  # fmt: skip
                        continue
                    sums = acc[at : at + (nm + 1) * n].reshape((nm + 1, n))
                    at += (nm + 1) * n
                    if v == 0:
                        sums[:] = _f(0.0)
                    if view[CLASS_P]:
                        p_class = carray(_pointer(view[CLASS_P]), (num_classes + 1, view[COUNT]), np.float32)
                        _add_queries(
                            a, b, order[u, :nm], sets[u, OPEN], lines, p_class, column, weight, stride, half,
                            share, sums[nm], s, total, sums,
                        )  # fmt: skip
                    else:
                        _add_logits(
                            a, b, order[u], nm, sets[u, OPEN], lines, column, weight, stride, half,
                            share, mass, sums[nm], s, best, total, sums,
                        )  # fmt: skip

            # 4. Decide what was added up.
            at = 0
            for t in range(num_tiles):
                a, b, u = tiles[t, 0], tiles[t, 1], tiles[t, 2]
                nm, n = sets[u, MEMBERS], b - a
                if direct and not sets[u, OPEN]:
                    continue
                sums = acc[at : at + (nm + 1) * n].reshape((nm + 1, n))
                at += (nm + 1) * n
                _best(sums, order[u, :nm], 0, n, best, arg)
                total[:n] = sums[nm]  # 0 in a closed set
                for j in range(nm):
                    v_ = sums[j]
                    for i in range(n):
                        total[i] += v_[i]
                for i in range(n):
                    wins = sums[nm, i] > best[i]
                    chosen = num_classes if wins else arg[i]
                    value = sums[nm, i] if wins else best[i]
                    confident = value / total[i]
                    if not (best[i] >= TINY or sums[nm, i] >= TINY):
                        chosen, exact = _exact(
                            a + i,
                            y,
                            views,
                            yi,
                            ya,
                            xi,
                            xa,
                            order[u],
                            nm,
                            sets[u, OPEN],
                            mass,
                            log_p,
                            log_mine,
                        )
                        confident = _f(exact)
                    confident = min(confident, _f(1.0))
                    _write(out, sure, a + i, void if chosen == num_classes else chosen, confident, low, void)
