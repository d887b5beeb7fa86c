"""The Triton kernels of `cuda.py`. They never build a tensor of size K x H x W.

A program decides a piece of a label row. It looks up the S(d) of its pixels, and is done if each has one element.
`decide_one_view` then goes through the channels in the sets of its pixels, with one pixel per lane, so a pixel's label
depends neither on its neighbours nor on the size of the piece. `decide` interpolates a tile of channels x pixels per
view in registers and sums the probabilities there; a matrix product combines the masks of queries.
"""

from __future__ import annotations

import triton
import triton.language as tl

_TINY = tl.constexpr(1e-30)
"""Pixels of one view of logits whose allowed probabilities are below this are decided in float64, by the reference."""
_LEAST = tl.constexpr(1e-20)
"""The same of several views, and of queries."""
_FAINT = tl.constexpr(1e-10)
"""So are pixels whose masks sum to less than this. _LEAST * _FAINT is still a normal number of float32: below, products
of masks and classes lose their shares long before their sum is lost."""
_LOWEST = tl.constexpr(-3.4028234663852886e38)
_MEMBER = tl.constexpr(1 << 15)
"""The bit of an entry of a list that says that the channel is in S(d), rather than only in the softmax."""


@triton.jit
def _sample(at, mask, y0, y1, ya, x0, x1, xa):
    """The bilinear sample at the pixels of a row: `at` points to the maps; y0 and y1 are offsets of their rows."""
    a = tl.load(at + (y0 + x0), mask=mask, other=0.0).to(tl.float32)
    b = tl.load(at + (y1 + x0), mask=mask, other=0.0).to(tl.float32)
    left = a + (b - a) * ya
    a = tl.load(at + (y0 + x1), mask=mask, other=0.0).to(tl.float32)
    b = tl.load(at + (y1 + x1), mask=mask, other=0.0).to(tl.float32)
    right = a + (b - a) * ya
    return left + (right - left) * xa


@triton.jit(do_not_specialize=["num_sets", "low", "void"])
def decide_one_view(
    logits,
    mass,
    rows,
    only,
    first_entry,
    entries,
    y0s,
    y1s,
    yas,
    x0s,
    x1s,
    xas,
    labels,
    confidence,
    any_weak,
    width,
    h,
    w,
    num_sets,
    low,
    void,
    has_mass: tl.constexpr,
    block: tl.constexpr,
):
    """One view of logits. `entries` of set d, from `first_entry[d]` on: the channels of its softmax, ascending."""
    y = tl.program_id(1)
    x = tl.program_id(0) * block + tl.arange(0, block)
    inside = x < width
    place = y.to(tl.int64) * width + x
    row = tl.load(rows + place, mask=inside, other=-1).to(tl.int32)
    which = tl.where((row < 0) | (row >= num_sets - 1), num_sets - 1, row)
    label = tl.load(only + which)
    asked = inside & (label < 0)
    may_void = label == -2
    sure = tl.full([block], 1.0, tl.float32)

    if tl.max(asked.to(tl.int32), 0) > 0:
        begin = tl.load(first_entry + which)
        count = tl.where(asked, tl.load(first_entry + which + 1) - begin, 0)
        y0, y1, ya = tl.load(y0s + y) * w, tl.load(y1s + y) * w, tl.load(yas + y)
        x0 = tl.load(x0s + x, mask=inside, other=0)
        x1 = tl.load(x1s + x, mask=inside, other=0)
        xa = tl.load(xas + x, mask=inside, other=0.0)
        plane = tl.full([1], 0, tl.int64) + h * w

        top = tl.full([block], _LOWEST, tl.float32)  # of all channels; the sums are multiples of exp(top)
        inner = tl.zeros([block], tl.float32)
        outer = tl.zeros([block], tl.float32)
        best = tl.zeros([block], tl.int32)
        best_logit = tl.full([block], float("-inf"), tl.float32)
        for j in range(tl.max(count, 0)):
            here = j < count
            entry = tl.load(entries + begin + j, mask=here, other=0).to(tl.int32)
            member = here & (entry >= _MEMBER)
            channel = tl.where(member, entry - _MEMBER, entry)
            logit = _sample(logits + channel * plane, here, y0, y1, ya, x0, x1, xa)
            higher = tl.where(here, tl.maximum(top, logit), top)
            scale = tl.exp(top - higher)
            e = tl.where(here, tl.exp(tl.where(here, logit - higher, 0.0)), 0.0)
            inner = inner * scale + tl.where(member, e, 0.0)
            outer = outer * scale + tl.where(member, 0.0, e)
            better = member & (logit > best_logit)  # a tie goes to the lowest channel
            best = tl.where(better, channel, best)
            best_logit = tl.where(better, logit, best_logit)
            top = higher

        total = tl.maximum(inner + outer, 1.0)  # at least 1 where there is a channel at all
        largest = tl.where(best_logit > _LOWEST, tl.exp(tl.where(best_logit > _LOWEST, best_logit - top, 0.0)), 0.0)
        largest = largest / total
        inner = inner / total
        evidence = outer / total
        if has_mass:
            evidence = _sample(mass, asked, y0, y1, ya, x0, x1, xa)
        evidence = tl.where(may_void, evidence, 0.0)
        wins = may_void & (evidence > largest)
        value = tl.where(wins, evidence, largest)
        whole = inner + evidence
        weak = asked & (largest < _TINY) & (evidence < _TINY)
        certainty = tl.minimum(value / tl.where(whole > 0, whole, 1.0), 1.0)
        chosen = tl.where(wins | (certainty < low), void, best)
        certainty = tl.where(weak, -1.0, certainty)
        label = tl.where(asked, chosen, label)
        sure = tl.where(asked, certainty, sure)
        if tl.max(weak.to(tl.int32), 0) > 0:
            tl.store(any_weak, 1.0)

    tl.store(labels + place, label.to(labels.dtype.element_ty), mask=inside)
    tl.store(confidence + place, sure, mask=inside)


@triton.jit
def _joined(
    maps,
    classes,
    count,
    c,
    asked,
    plane,
    y0,
    y1,
    ya,
    x0,
    x1,
    xa,
    num_classes,
    channels: tl.constexpr,
    block: tl.constexpr,
):
    """p [channels, block] of masks and their classes, no-object last; and the sum [block] before normalisation."""
    p_class = classes.to(tl.pointer_type(tl.float32))
    joined = tl.zeros([channels, block], tl.float32)
    for first in range(0, count, 16):
        q = first + tl.arange(0, 16)
        masks = _sample(maps + q[:, None] * plane, (q < count)[:, None] & asked[None, :], y0, y1, ya, x0, x1, xa)
        share = tl.load(p_class + c * count + q[None, :], mask=(c <= num_classes) & (q < count)[None, :], other=0.0)
        joined += tl.dot(share, tl.sigmoid(masks), input_precision="ieee")
    total = tl.sum(joined, 0)
    return joined / tl.maximum(total, _FAINT)[None, :], total


@triton.jit
def _divided(
    maps,
    shares,
    count,
    softmax,
    c,
    asked,
    plane,
    y0,
    y1,
    ya,
    x0,
    x1,
    xa,
    num_classes,
    channels: tl.constexpr,
    block: tl.constexpr,
):
    """The same of a view with a map, whose `shares` [block] are those of each pixel's set."""
    joined = tl.zeros([channels, block], tl.float32)
    total = tl.zeros([block], tl.float32)
    top = tl.full([block], _LOWEST, tl.float32)  # of all maps of a softmax; the sums are multiples of exp(top)
    for q in range(count):
        mask = _sample(maps + q * plane, asked[None, :], y0, y1, ya, x0, x1, xa)
        value = tl.sum(mask, 0)
        m = tl.sigmoid(value)
        if softmax:
            higher = tl.maximum(top, value)
            scale = tl.exp(top - higher)
            joined = joined * scale[None, :]
            total = total * scale
            m = tl.exp(value - higher)
            top = higher
        share = tl.load(shares[None, :] + c * count + q, mask=(c <= num_classes) & asked[None, :], other=0.0)
        joined += share * m[None, :]
        total += m
    return joined / tl.maximum(total, _FAINT)[None, :], total


@triton.jit(do_not_specialize=["views", "num_classes", "num_sets", "low", "void"])
def decide(
    rows,
    sets,
    only,
    table,
    weights,
    y0s,
    y1s,
    yas,
    x0s,
    x1s,
    xas,
    labels,
    confidence,
    any_weak,
    width,
    height,
    views,
    num_classes,
    num_sets,
    low,
    void,
    form: tl.constexpr,
    mapped: tl.constexpr,
    channels: tl.constexpr,
    block: tl.constexpr,
):
    """Several views, or queries. `table [V, 8]`: addresses of maps, their number, height and width, address of their
    shares (0: logits of the classes), address of the mass (0: none), numbers from the shares of one set to those of the
    next (0: no map), whether maps with a map are logits. `mapped`: some view has a map."""
    y = tl.program_id(1)
    x = tl.program_id(0) * block + tl.arange(0, block)
    inside = x < width
    place = y.to(tl.int64) * width + x
    row = tl.load(rows + place, mask=inside, other=-1).to(tl.int32)
    which = tl.where((row < 0) | (row >= num_sets - 1), num_sets - 1, row)
    label = tl.load(only + which)
    asked = inside & (label < 0)
    sure = tl.full([block], 1.0, tl.float32)

    if tl.max(asked.to(tl.int32), 0) > 0:
        c = tl.arange(0, channels)[:, None]
        member = tl.load(
            sets + which[None, :] * (num_classes + 1) + c, mask=(c <= num_classes) & asked[None, :], other=0
        )
        may_void = tl.sum(tl.where(c == num_classes, member, 0), 0) > 0
        member = (member > 0) & (c < num_classes)
        real = (c < num_classes) & asked[None, :]
        p = tl.zeros([channels, block], tl.float32)
        mass = tl.zeros([block], tl.float32)
        weak = tl.zeros([block], tl.int32)
        for v in range(views):
            maps = tl.load(table + v * 8).to(tl.pointer_type(tl.float32))
            count = tl.load(table + v * 8 + 1).to(tl.int32)
            h = tl.load(table + v * 8 + 2)
            w = tl.load(table + v * 8 + 3)
            shares = tl.load(table + v * 8 + 4)
            mass_map = tl.load(table + v * 8 + 5)
            weight = tl.load(weights + v)
            plane = h * w  # 64 bits, as the table has it
            y0, y1 = tl.load(y0s + v * height + y) * w, tl.load(y1s + v * height + y) * w
            ya = tl.load(yas + v * height + y)
            x0 = tl.load(x0s + v * width + x, mask=inside, other=0)[None, :]
            x1 = tl.load(x1s + v * width + x, mask=inside, other=0)[None, :]
            xa = tl.load(xas + v * width + x, mask=inside, other=0.0)[None, :]
            is_query = form == 1
            if form == 2:
                is_query = shares != 0
            is_mapped = mapped
            if mapped:
                is_mapped = tl.load(table + v * 8 + 6) != 0
            if is_mapped:
                of_set = shares.to(tl.pointer_type(tl.float32)) + which * tl.load(table + v * 8 + 6)
                softmax = tl.load(table + v * 8 + 7) != 0
                joined, total = _divided(
                    maps, of_set, count, softmax, c, asked, plane, y0, y1, ya, x0, x1, xa, num_classes, channels, block
                )
                weak = tl.where(total < _FAINT, 1, weak)
                mass += weight * tl.sum(tl.where(c == num_classes, joined, 0.0), 0)
                p += weight * tl.where(c < num_classes, joined, 0.0)
            elif is_query:
                joined, total = _joined(
                    maps, shares, count, c, asked, plane, y0, y1, ya, x0, x1, xa, num_classes, channels, block
                )
                weak = tl.where(total < _FAINT, 1, weak)
                mass += weight * tl.sum(tl.where(c == num_classes, joined, 0.0), 0)
                p += weight * tl.where(c < num_classes, joined, 0.0)
            else:
                score = _sample(maps + c * plane, real, y0, y1, ya, x0, x1, xa)
                top = tl.max(tl.where(real, score, float("-inf")), 0)
                e = tl.where(real, tl.exp(score - top[None, :]), 0.0)
                # The sum is at least 1, or 0 if no channel is real.
                e = e * (weight / tl.maximum(tl.sum(e, 0), 1.0))[None, :]
                p += e
                if mass_map == 0:
                    mass += tl.sum(tl.where(member, 0.0, e), 0)
            if mass_map != 0:
                at = mass_map.to(tl.pointer_type(tl.float32))
                mass += weight * tl.sum(_sample(at, asked[None, :], y0, y1, ya, x0, x1, xa), 0)

        inner = tl.where(member, p, 0.0)
        evidence = tl.where(may_void, mass, 0.0)
        best = tl.argmax(tl.where(member, p, float("-inf")), 0, tie_break_left=True)
        largest = tl.max(inner, 0)
        wins = may_void & (evidence > largest)
        value = tl.where(wins, evidence, largest)
        weak = tl.where((largest < _LEAST) & (evidence < _LEAST), 1, weak)
        chosen = tl.where(wins, void, best)
        whole = tl.sum(inner, 0) + evidence
        certainty = tl.minimum(value / tl.where(whole > 0, whole, 1.0), 1.0)  # 0/0 where nothing is asked
        chosen = tl.where(certainty < low, void, chosen)
        weak = tl.where(asked, weak, 0)
        certainty = tl.where(weak > 0, -1.0, certainty)
        label = tl.where(asked, chosen, label)
        sure = tl.where(asked, certainty, sure)
        if tl.max(weak, 0) > 0:
            tl.store(any_weak, 1.0)

    tl.store(labels + place, label.to(labels.dtype.element_ty), mask=inside)
    tl.store(confidence + place, sure, mask=inside)
