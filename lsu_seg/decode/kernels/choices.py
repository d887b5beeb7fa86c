"""The choice among the members of a set, by logits or by evidence, for eight pixels at a time."""

from __future__ import annotations

import numpy as np

from lsu_seg.decode.kernels.jit import inline
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

FAINT = np.float32(1e-30)
"""If the best product of shares is below this, float32 may have lost other products that matter."""

_f = np.float32


@inline
def best_of(scores, length, members, i):
    """For eight pixels, the largest of the members' scores (rows of `length`) and its class: in a tie, the first."""
    best, choice = load(scores, i), splat(members[0])
    for j in range(1, len(members)):
        x = load(scores, j * length + i)
        choice = where_greater(x, best, splat(members[j]), choice)
        best = where_greater(x, best, x, best)
    return best, choice


@inline
def choose(scores, members, size, rule, label, sure):
    """Decide `size` pixels by logits: the label, and its share of the softmax over the members."""
    for i in range(0, size, LANES):
        best, choice = best_of(scores, scores.shape[1], members, i)
        total = exp(subtract(load(scores[0], i), best))
        for j in range(1, len(members)):
            total = add(total, exp(subtract(load(scores[j], i), best)))
        share = divide(splat(_f(1.0)), total)
        store(sure, i, share)
        store(label, i, where_greater(splat(rule.low), share, splat(rule.void), choice))


@inline
def choose_samples(samples, powers, members, size, rule, label, sure):
    """The same at stride 4, for the pixels between `size` pairs of samples. Returns whether float32 was sufficient.

    Logits are linear between two samples, so shares are products: if A and B are the eighth roots of a member's share
    at the left and the right sample, relative to the best member there, the four pixels have A^7 B, A^5 B^3, A^3 B^5
    and A B^7. This takes one exponential for four pixels, and only products are compared.

    A share below 1e-38 is lost. Its member could neither win nor matter, unless all shares are lost because the best
    member is a different one on each side, by a large margin. Then the tile cannot be decided here.
    """
    eighth, length, num_members = splat(_f(0.125)), samples.shape[1], len(members)
    for i in range(0, size + 1, LANES):
        best = load(samples, i)
        for j in range(1, num_members):
            x = load(samples, j * length + i)
            best = where_greater(x, best, x, best)
        for j in range(num_members):
            at = j * length + i
            store(powers, at, exp(multiply(subtract(load(samples, at), best), eighth)))
    for j in range(num_members):  # the values of the last vector beyond the last sample must not affect the result
        store(powers, j * length + size + 1, splat(powers[j, size]))
    least, other, faintest = splat(rule.low), splat(rule.void), splat(_f(1.0))
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
    """Of the pixels between the samples from `near` on and those from `far` on, the two that are closer to `near`.

    Two at a time, because four would not fit into the registers.

    Returns:
        The choices of the two pixels, the products of these choices, and the sums of all products.
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
def share_out(sums, members, num_classes, label, sure, value):
    """Decide a tile by evidence: the class, or `num_classes` for void, its share of all evidence, and its evidence."""
    one, num_members = splat(_f(1.0)), len(members)
    size = len(sums) // (num_members + 1)
    for i in range(0, size, LANES):
        best, choice = best_of(sums, size, members, i)
        void = load(sums, num_members * size + i)  # 0 in a closed set
        total = void
        for j in range(num_members):
            total = add(total, load(sums, j * size + i))
        store(label, i, where_greater(void, best, splat(np.int32(num_classes)), choice))
        best = where_greater(void, best, void, best)
        share = divide(best, total)
        store(sure, i, where_greater(share, one, one, share))
        store(value, i, best)
