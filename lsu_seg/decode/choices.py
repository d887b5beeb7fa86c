"""The CPU decoder's choice among the members of a set, for eight pixels at a time: by logits, or by evidence."""

from __future__ import annotations

import numpy as np

from lsu_seg.decode.lanes import LANES, add, divide, exp, load, splat, store, subtract, weave, where_greater
from lsu_seg.decode.sampling import inline, quarters

_f = np.float32


@inline
def best_of(s, members, i):
    """Of eight pixels the largest of the members' scores and its class, the first among equals."""
    best, choice = load(s[0], i), splat(members[0])
    for j in range(1, len(members)):
        x = load(s[j], i)
        choice = where_greater(x, best, splat(members[j]), choice)
        best = where_greater(x, best, x, best)
    return best, choice


@inline
def choose(s, members, size, low, void, label, sure):
    """Decide `size` pixels by logits: the label and its share of the softmax over the members."""
    for i in range(0, size, LANES):
        best, choice = best_of(s, members, i)
        total = exp(subtract(load(s[0], i), best))
        for j in range(1, len(members)):
            total = add(total, exp(subtract(load(s[j], i), best)))
        share = divide(splat(_f(1.0)), total)
        store(sure, i, share)
        store(label, i, where_greater(splat(low), share, splat(void), choice))


@inline
def choose_samples(lines, members, k, size, low, void, label, sure):
    """The same at stride 4, for the pixels of `size` samples from column `k` of the padded lines on.

    `quarters` gives the first pixels of eight samples, their second ones, third, fourth. They stay apart until they are
    decided: to put two results in the order of the row costs less than every member's scores.
    """
    for i in range(k, k + size, LANES):
        a, b, c, d = quarters(lines[members[0]], i)
        chosen_a = chosen_b = chosen_c = chosen_d = splat(members[0])
        for j in range(1, len(members)):
            w, x, y, z = quarters(lines[members[j]], i)
            member = splat(members[j])
            chosen_a, a = where_greater(w, a, member, chosen_a), where_greater(w, a, w, a)
            chosen_b, b = where_greater(x, b, member, chosen_b), where_greater(x, b, x, b)
            chosen_c, c = where_greater(y, c, member, chosen_c), where_greater(y, c, y, c)
            chosen_d, d = where_greater(z, d, member, chosen_d), where_greater(z, d, z, d)
        sum_a = sum_b = sum_c = sum_d = splat(_f(0.0))
        for j in range(len(members)):
            w, x, y, z = quarters(lines[members[j]], i)
            sum_a, sum_b = add(sum_a, exp(subtract(w, a))), add(sum_b, exp(subtract(x, b)))
            sum_c, sum_d = add(sum_c, exp(subtract(y, c))), add(sum_d, exp(subtract(z, d)))
        one, least, other = splat(_f(1.0)), splat(low), splat(void)
        a, b, c, d = divide(one, sum_a), divide(one, sum_b), divide(one, sum_c), divide(one, sum_d)
        weave(sure, 4 * (i - k), a, b, c, d)
        chosen_a = where_greater(least, a, other, chosen_a)
        chosen_b = where_greater(least, b, other, chosen_b)
        chosen_c = where_greater(least, c, other, chosen_c)
        chosen_d = where_greater(least, d, other, chosen_d)
        weave(label, 4 * (i - k), chosen_a, chosen_b, chosen_c, chosen_d)


@inline
def share_out(sums, members, size, num_classes, label, sure, value):
    """Decide `size` pixels by evidence: the class or `num_classes` for void, its share of all, and its evidence."""
    one, nm = splat(_f(1.0)), len(members)
    for i in range(0, size, LANES):
        best, choice = best_of(sums, members, i)
        void = load(sums[nm], i)  # 0 in a closed set
        total = void
        for j in range(nm):
            total = add(total, load(sums[j], i))
        store(label, i, where_greater(void, best, splat(np.int32(num_classes)), choice))
        best = where_greater(void, best, void, best)
        share = divide(best, total)
        store(sure, i, where_greater(share, one, one, share))
        store(value, i, best)
