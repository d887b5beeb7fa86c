"""The CPU decoder's choice among the members of a set, for eight pixels at a time: by logits, or by evidence."""

from __future__ import annotations

import numpy as np

from lsu_seg.decode.kernels.lanes import (
    LANES,
    add,
    divide,
    exp,
    least_of,
    load,
    multiply,
    splat,
    store,
    subtract,
    weave,
    where_greater,
)
from lsu_seg.decode.kernels.sampling import inline

FAINT = np.float32(1e-30)
"""Where the best product of shares is below this, float32 may have lost others that count beside it."""

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
def choose_samples(samples, powers, members, size, low, void, label, sure):
    """The same at stride 4, for the pixels between `size` pairs of samples. Returns whether float32 could hold them.

    Between two samples the logits run straight, and what the softmax makes of them are products: with A and B the
    eighth roots of a member's share at the left and the right sample, relative to the best there, the four pixels
    have A^7 B, A^5 B^3, A^3 B^5 and A B^7. One exponential in four pixels, and none but products compared.

    A member's share that is lost below 1e-38 is that of a member that neither wins nor counts, unless all are lost:
    another one is best at each side, and by far. Then nothing is said of the tile.
    """
    eighth, length, nm = splat(_f(0.125)), samples.shape[1], len(members)
    for i in range(0, size + 1, LANES):
        best = load(samples, i)
        for j in range(1, nm):
            x = load(samples, j * length + i)
            best = where_greater(x, best, x, best)
        for j in range(nm):
            at = j * length + i
            store(powers, at, exp(multiply(subtract(load(samples, at), best), eighth)))
    for j in range(nm):  # what the last vector has beyond the last sample shall decide nothing
        store(powers, j * length + size + 1, splat(powers[j, size]))
    least, other, faintest = splat(low), splat(void), splat(_f(1.0))
    for i in range(0, size, LANES):
        chosen_a, chosen_b, best_a, best_b, a, b = _nearer(powers, members, i, i + 1)
        chosen_d, chosen_c, best_d, best_c, d, c = _nearer(powers, members, i + 1, i)
        ab, cd = where_greater(best_b, best_a, best_a, best_b), where_greater(best_d, best_c, best_c, best_d)
        ab = where_greater(cd, ab, ab, cd)
        faintest = where_greater(faintest, ab, ab, faintest)
        a, b, c, d = divide(best_a, a), divide(best_b, b), divide(best_c, c), divide(best_d, d)
        weave(sure, 4 * i, a, b, c, d)
        chosen_a = where_greater(least, a, other, chosen_a)
        chosen_b = where_greater(least, b, other, chosen_b)
        chosen_c = where_greater(least, c, other, chosen_c)
        chosen_d = where_greater(least, d, other, chosen_d)
        weave(label, 4 * i, chosen_a, chosen_b, chosen_c, chosen_d)
    return least_of(faintest) > FAINT


@inline
def _nearer(powers, members, near, far):
    """Of the two pixels at the samples from `near` on, towards those from `far` on: choice, its product, all products.

    Two at a time, because what four need does not fit into the registers.
    """
    best_a = best_b = sum_a = sum_b = splat(_f(0.0))
    chosen_a = chosen_b = splat(members[0])
    for j in range(len(members)):
        at = j * powers.shape[1]
        p, q = load(powers, at + near), load(powers, at + far)
        p2, pq = multiply(p, p), multiply(p, q)
        p4, p3q, pq3 = multiply(p2, p2), multiply(pq, p2), multiply(pq, multiply(q, q))
        a, b, member = multiply(p3q, p4), multiply(pq3, p4), splat(members[j])
        chosen_a, best_a = where_greater(a, best_a, member, chosen_a), where_greater(a, best_a, a, best_a)
        chosen_b, best_b = where_greater(b, best_b, member, chosen_b), where_greater(b, best_b, b, best_b)
        sum_a, sum_b = add(sum_a, a), add(sum_b, b)
    return chosen_a, chosen_b, best_a, best_b, sum_a, sum_b


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
