"""The set-valued loss as a function on tensors, which also works in training code without MMSegmentation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lsu_seg.targets.table import TargetError, UnknownTargetError


def set_nll_loss(
    logits: Tensor,
    target: Tensor,
    sets: Tensor,
    *,
    set_weights: Tensor | None = None,
    class_weight: Tensor | None = None,
    weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = 255,
    first_set: int | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy for pixels whose class is known, -log Σ_{s∈S} p(s) for pixels with a set S of possible classes.

    Computed in float32 (float64 for float64 logits), also under autocast. On maps without sets, it equals
    `F.cross_entropy` with the same `ignore_index`. Only pixels with sets cost extra time.

    Args:
        logits: `[N, K, ...]`, any float dtype.
        target: int64 `[N, ...]`: a class 0..K-1, `ignore_index`, or `first_set + i` for set i.
        sets: bool `[S, K]`; no row may be empty. S may be 0.
        set_weights: float `[S]`, a factor on the loss of each set's pixels.
        class_weight: float `[K]`; a set has the mean weight of its members. As in `F.cross_entropy`, the mean is then
            over weights.
        weight: float `[N, ...]`, a factor on each pixel's loss that the mean does not divide by.
        label_smoothing: the share of a set's target that is spread evenly over its members. Hard targets and sets of
            one class are not smoothed, because no other class is allowed there.
        ignore_index: the target of pixels that are ignored.
        first_set: the target of set 0; by default the first number after `ignore_index` and the classes.
        reduction: `mean` over the pixels that are not ignored (0 if all are ignored), `sum`, or `none`.

    Returns:
        A scalar, or `[N, ...]` for `none` (0 in ignored pixels), float32 or float64.

    Raises:
        TargetError: shapes that do not fit, an empty set, or a target that is none of the above.

    Two pixels, one of class 0, the other of class 0 or 1:

    >>> logits = torch.zeros(1, 4, 2)
    >>> set_nll_loss(logits, torch.tensor([[0, 256]]), torch.tensor([[True, True, False, False]]), reduction="none")
    tensor([[1.3863, 0.6931]])
    """
    if reduction not in ("mean", "sum", "none"):
        raise TargetError(f"reduction `{reduction}`: expected `mean`, `sum` or `none`")
    losses, shares = set_nll_map(
        logits,
        target,
        sets,
        set_weights=set_weights,
        class_weight=class_weight,
        weight=weight,
        label_smoothing=label_smoothing,
        ignore_index=ignore_index,
        first_set=first_set,
    )
    if reduction == "none":
        return losses
    return losses.sum() / at_least_something(shares.sum()) if reduction == "mean" else losses.sum()


def at_least_something(total: Tensor) -> Tensor:
    """The divisor of a mean: 1 if every pixel is ignored, so that the mean is 0 and not NaN."""
    return total.where(total > 0, 1)


def set_nll_map(
    logits: Tensor,
    target: Tensor,
    sets: Tensor,
    *,
    set_weights: Tensor | None = None,
    class_weight: Tensor | None = None,
    weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = 255,
    first_set: int | None = None,
) -> tuple[Tensor, Tensor]:
    """`set_nll_loss` before its reduction: the loss of each pixel, and its share in the mean, both `[N, ...]`."""
    k, device = logits.shape[1], logits.device
    first = max(ignore_index + 1, k) if first_set is None else first_set
    _check(logits, target, sets, ignore_index, first, label_smoothing)
    if ignore_index < 0:  # tables are indexed by target, so it needs a number that is not negative
        unused = first + len(sets)
        target, ignore_index = target.masked_fill(target == ignore_index, unused), unused
    values = max(first + len(sets), ignore_index + 1)
    flat = target.reshape(-1)
    low, high = (int(v) for v in flat.aminmax()) if len(flat) else (0, 0)
    if low < 0 or high >= values:
        raise _unknown(low if low < 0 else high, k, len(sets), first)

    # For each target value: its class or the first member of its set, and the share of its pixels in the mean.
    members, sizes = _members(sets.to(device))
    lead = torch.full((values,), -1, dtype=torch.int64, device=device)
    lead[:k] = torch.arange(k, device=device)
    lead[first : first + len(sets)] = members[:, 0] if len(sets) else lead[:0]
    lead[ignore_index] = 0
    share = torch.zeros(values, dtype=torch.promote_types(logits.dtype, torch.float32), device=device)
    per_class = share.new_ones(k) if class_weight is None else class_weight.to(share)
    share[:k] = per_class
    # No matrix product: autocast would compute it in half precision.
    share[first : first + len(sets)] = (sets.to(share) * per_class).sum(1) / sizes
    shares = share.index_select(0, flat).view(target.shape)
    factor = shares
    if set_weights is not None and bool((set_weights != 1).any()):
        share[first : first + len(sets)] *= set_weights.to(share)
        factor = share.index_select(0, flat).view(target.shape)
    if weight is not None:
        factor = factor * weight.to(factor)
    arguments = (lead, flat, members, sizes, first, ignore_index, factor, label_smoothing)
    losses: Tensor = _SetNLL.apply(logits, *arguments)  # type: ignore[no-untyped-call]
    return losses, shares


def _check(logits: Tensor, target: Tensor, sets: Tensor, ignore: int, first: int, smoothing: float) -> None:
    if logits.dim() < 2 or target.shape != logits.shape[:1] + logits.shape[2:]:
        raise TargetError(
            f"logits {list(logits.shape)} and target {list(target.shape)}: expected [N, K, ...] and [N, ...]"
        )
    k = logits.shape[1]
    if sets.dim() != 2 or sets.shape[1] != k or sets.dtype != torch.bool:
        raise TargetError(f"sets {list(sets.shape)} of {sets.dtype}: expected bool [S, {k}]")
    if not sets.any(1).all():
        raise TargetError(f"set {int((~sets.any(1)).nonzero()[0])} is empty: a pixel must be one of some classes")
    if not 0 <= smoothing < 1:
        raise TargetError(f"label smoothing of {smoothing}: expected 0 to 1, without 1")
    if first < k or k > ignore >= 0 or first <= ignore < first + len(sets):
        raise TargetError(f"{k} classes, ignored {ignore}, sets from {first}: the numbers overlap")


def _unknown(target: int, k: int, sets: int, first: int) -> UnknownTargetError:
    return UnknownTargetError(
        target,
        f"target {target} is neither a class below {k}, nor the ignored index, nor one of {sets} sets from {first} on",
    )


def _members(sets: Tensor) -> tuple[Tensor, Tensor]:
    """The members of each set, int64 `[S, M]` (arbitrary classes beyond its size), and the sizes, int64 `[S]`."""
    sizes = sets.sum(1)
    largest = int(sizes.max()) if len(sets) else 0
    return sets.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :largest], sizes


class _SetNLL(torch.autograd.Function):
    """Loss per pixel with its analytic gradient: softmax minus the softmax restricted to the set.

    All indices are flat, for `index_select` and `scatter_`: on a CPU, these are three times as fast as `gather` along a
    dimension or indexing with tensors.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        lead: Tensor,
        target: Tensor,
        members: Tensor,
        sizes: Tensor,
        first: int,
        ignore: int,
        factor: Tensor,
        smoothing: float,
    ) -> Tensor:
        logp = F.log_softmax(logits, 1, dtype=factor.dtype).contiguous()
        flat, (n, k), step = logp.view(-1), logp.shape[:2], factor[0].numel()
        at = (lead * step).index_select(0, target)
        if len(at) and int(at.min()) < 0:
            raise _unknown(int(target[at < 0][0]), k, len(sizes), first)
        image = torch.arange(n, device=at.device)[:, None] * (k * step)
        at.view(n, step).add_(image).add_(torch.arange(step, device=at.device))
        losses = flat.index_select(0, at).neg_()
        groups = _groups(target, members * step, sizes, first, ignore, k * step, step)
        for group in groups:
            own = group.logp(flat, 0)
            inside, spread = own, own * (smoothing / group.size) if smoothing else None
            for m in range(1, group.size):
                own = group.logp(flat, m)
                inside = torch.logaddexp(inside, own)
                if spread is not None:
                    spread.add_(own, alpha=smoothing / group.size)
            group_losses = inside.neg() if spread is None else (inside * (smoothing - 1)).sub_(spread)
            losses.index_copy_(0, group.pixels, group_losses)
            group.inside = inside
            del group.pixels
        ctx.save_for_backward(logp, at, factor)
        ctx.groups, ctx.smoothing, ctx.dtype = groups, smoothing, logits.dtype
        return losses.view(factor.shape).mul_(factor)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        logp, at, factor = ctx.saved_tensors
        out = logp.exp()
        flat = out.view(-1)
        flat.scatter_add_(0, at, factor.new_full((1,), -1).expand(len(at)))
        for group in ctx.groups:  # this also overwrites the first member's channel, which is wrong until here
            for m in range(group.size):
                own = group.logp(logp.view(-1), m)
                share = (own - group.inside).exp_()
                if ctx.smoothing:
                    share.mul_(1 - ctx.smoothing).add_(ctx.smoothing / group.size)
                flat.scatter_(0, group.channel(m), own.exp().sub_(share))
        out.mul_((grad * factor)[:, None])
        return out.to(ctx.dtype), *[None] * 8


@dataclass
class _Group:
    """Pixels whose sets have the same size. Indices are flat: `pixels` into `[N, ...]`, `base` into `[N, K, ...]`."""

    size: int
    pixels: Tensor
    base: Tensor
    which: Tensor
    offsets: Tensor
    few: bool
    inside: Tensor | None = None
    kept: dict[int, Tensor] = field(default_factory=dict)

    def channel(self, m: int) -> Tensor:
        """The flat index of the logit of each pixel's m-th member."""
        return self.offsets[m].index_select(0, self.which).add_(self.base)

    def logp(self, flat: Tensor, m: int) -> Tensor:
        """The log-probability of each pixel's m-th member; kept for the gradient if sets have few members."""
        if m in self.kept:
            return self.kept[m]
        member_logp = flat.index_select(0, self.channel(m))
        if self.few:
            self.kept[m] = member_logp
        return member_logp


def _groups(
    target: Tensor, offsets: Tensor, sizes: Tensor, first: int, ignore: int, image: int, step: int
) -> list[_Group]:
    """The groups of pixels with sets of two or more classes.

    Args:
        target: int64, flat.
        offsets: `[S, M]`, the first element of the channel of each set's members.
        image, step: the number of elements of an image `[K, ...]` and of a channel.
    """
    if not len(sizes):
        return []
    is_set = target >= first
    if ignore > first:
        is_set &= target != ignore
    pixels = is_set.nonzero().view(-1)
    which = target.index_select(0, pixels).sub_(first)
    distinct_sizes = sizes.unique().tolist()
    groups = []
    for size in distinct_sizes:
        group_pixels, group_sets = pixels, which
        if len(distinct_sizes) > 1:
            of_size = (sizes.index_select(0, which) == size).nonzero().view(-1)
            group_pixels, group_sets = pixels.index_select(0, of_size), which.index_select(0, of_size)
        if size > 1 and len(group_pixels):  # sets of one class are hard targets
            base = group_pixels.div(step, rounding_mode="floor").mul_(image - step).add_(group_pixels)
            few = 4 * size * step <= image
            groups.append(_Group(size, group_pixels, base, group_sets, offsets.T.contiguous(), few))
    return groups
