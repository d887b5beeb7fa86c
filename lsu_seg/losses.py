"""The set-valued loss: as a function on tensors, and as a loss of MMSegmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lsu_seg.registry import MODELS, register
from lsu_seg.targets import TargetError, target_table


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
    """Cross-entropy where a pixel's class is known, -log Σ_{s∈S} p(s) where only a set S of classes is.

    Computed in float32 (float64 for float64 logits), also under autocast. On maps without sets it equals
    `F.cross_entropy` with the same `ignore_index`; pixels with sets cost extra, others do not.

    Args:
        logits: `[N, K, ...]`, any float dtype.
        target: int64 `[N, ...]`: a class 0..K-1, `ignore_index`, or `first_set + i` for set i.
        sets: bool `[S, K]`; no row may be empty. S may be 0.
        set_weights: float `[S]`, a factor on the loss of each set's pixels.
        class_weight: float `[K]`; a set has the mean of its members'. As in `F.cross_entropy`, the mean is then
            over weights.
        weight: float `[N, ...]`, a factor on each pixel's loss that the mean does not divide by.
        label_smoothing: this share of a set's target is spread evenly over its members; hard targets, sets of one,
            are not smoothed, for no other class is allowed there.
        first_set: the target of set 0; by default what comes after `ignore_index` and the classes.
        reduction: `mean` over the pixels that are not ignored (0 where all are), `sum`, or `none`.

    Returns:
        A scalar, or `[N, ...]` for `none` (0 where ignored), float32 or float64.

    Raises:
        TargetError: shapes that do not fit, an empty set, or a target that is none of the above.

    Of two pixels one is class 0, the other class 0 or 1:

    >>> logits = torch.zeros(1, 4, 2)
    >>> set_nll_loss(logits, torch.tensor([[0, 256]]), torch.tensor([[True, True, False, False]]), reduction="none")
    tensor([[1.3863, 0.6931]])
    """
    k, device = logits.shape[1], logits.device
    first = max(ignore_index + 1, k) if first_set is None else first_set
    _check(logits, target, sets, ignore_index, first, reduction, label_smoothing)
    ignored = target == ignore_index
    lead = target.masked_fill(ignored, 0)
    members, sizes = _members(sets.to(device))
    if len(sets):
        # What each target value stands for: a class, or the first member of a set.
        lut = torch.zeros(first + len(sets), dtype=torch.int64, device=device)
        lut[:k] = torch.arange(k, device=device)
        lut[first:] = members[:, 0]
        value, lead = lead, lut[lead]

    factor = (~ignored).to(torch.promote_types(logits.dtype, torch.float32))
    if class_weight is not None:
        per_value = per_class = class_weight.to(factor)
        if len(sets):
            per_value = factor.new_zeros(len(lut))
            per_value[:k] = per_class
            per_value[first:] = (sets.to(factor) @ per_class) / sizes
        factor = factor * per_value[value if len(sets) else lead]
    total = factor.sum() if reduction == "mean" else None
    if set_weights is not None and len(sets):
        by_value = factor.new_ones(len(lut))
        by_value[first:] = set_weights.to(factor)
        factor = factor * by_value[value]
    if weight is not None:
        factor = factor * weight.to(factor)

    losses = _SetNLL.apply(logits, lead, target, members, sizes, first, factor, label_smoothing)
    if reduction == "none":
        return losses
    if total is None:
        return losses.sum()
    return losses.sum() / total.where(total > 0, 1)


@register(MODELS)
class SetNLLLoss(nn.Module):
    """`set_nll_loss` for any decode head: `loss_decode=dict(type='SetNLLLoss', source='cityscapes')`.

    Which sets a target map's numbers mean stands in the source's `TargetTable`, which the datasets filled; their
    `loss_weight` is in there as well. On hard labels it is MMSeg's `CrossEntropyLoss(avg_non_ignore=True)`.

    Args:
        source: the source taxonomy.
        class_weight: one per class of the source; a set has the mean of its members'.
        label_smoothing: this share of a set's target is spread over its members, see `set_nll_loss`.
        loss_weight, reduction: as in MMSeg's losses.
        loss_name: in the log; only names that begin with `loss_` are trained on.
    """

    def __init__(
        self,
        source: str,
        class_weight: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        loss_weight: float = 1.0,
        reduction: str = "mean",
        loss_name: str = "loss_set_nll",
    ) -> None:
        super().__init__()
        self.source, self.class_weight = source, class_weight
        self.label_smoothing, self.loss_weight, self.reduction = label_smoothing, loss_weight, reduction
        self._loss_name = loss_name

    @property
    def loss_name(self) -> str:
        return self._loss_name

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
        ignore_index: int = 255,
        **kwargs: Any,
    ) -> Tensor:
        """logits `[N, K, ...]`, target int64 `[N, ...]`, weight per pixel → a scalar, or `[N, ...]` for `none`.

        avg_factor: what `mean` divides by, in place of the pixels that are not ignored.
        """
        table = target_table(self.source, cls_score.shape[1])
        reduction = reduction_override or self.reduction
        averaged = avg_factor is not None and reduction == "mean"
        loss = set_nll_loss(
            cls_score,
            label,
            torch.from_numpy(table.sets),
            set_weights=torch.from_numpy(table.weights),
            class_weight=None if self.class_weight is None else cls_score.new_tensor(self.class_weight),
            weight=weight,
            label_smoothing=self.label_smoothing,
            ignore_index=ignore_index,
            first_set=table.first,
            reduction="sum" if averaged else reduction,
        )
        return self.loss_weight * (loss / avg_factor if averaged and avg_factor else loss)


def _check(
    logits: Tensor, target: Tensor, sets: Tensor, ignore: int, first: int, reduction: str, smoothing: float
) -> None:
    if logits.dim() < 2 or target.shape != logits.shape[:1] + logits.shape[2:]:
        raise TargetError(
            f"logits {list(logits.shape)} and target {list(target.shape)}: expected [N, K, ...] and [N, ...]"
        )
    k = logits.shape[1]
    if sets.dim() != 2 or sets.shape[1] != k or sets.dtype != torch.bool:
        raise TargetError(f"sets {list(sets.shape)} of {sets.dtype}: expected bool [S, {k}]")
    if not sets.any(1).all():
        raise TargetError(
            f"set {int((~sets.any(1)).nonzero()[0])} is empty: a pixel must be one of some classes"
        )
    if reduction not in ("mean", "sum", "none"):
        raise TargetError(f"reduction `{reduction}`: expected `mean`, `sum` or `none`")
    if not 0 <= smoothing < 1:
        raise TargetError(f"label smoothing of {smoothing}: expected 0 to 1, without 1")
    if first < k or k > ignore >= 0 or first <= ignore < first + len(sets):
        raise TargetError(f"{k} classes, ignored {ignore}, sets from {first}: the numbers overlap")
    wrong = ((target < 0) | (target >= k)) & (target != ignore)
    wrong &= (target < first) | (target >= first + len(sets))
    if wrong.any():
        raise TargetError(
            f"target {int(target[wrong][0])} is neither a class below {k}, nor {ignore}, nor one of {len(sets)} sets"
            f" from {first} on"
        )


def _members(sets: Tensor) -> tuple[Tensor, Tensor]:
    """The members of each set, int64 `[S, M]` (beyond a set's size: any), and sizes int64 `[S]`."""
    sizes = sets.sum(1)
    most = int(sizes.max()) if len(sets) else 0
    return sets.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :most], sizes


class _SetNLL(torch.autograd.Function):
    """Loss per pixel with its analytic gradient: softmax minus the softmax restricted to the set.

    Everything is indexed flat, with `index_select` and `scatter_`: on a CPU three times as fast as `gather` along a
    dimension or indexing with tensors.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, lead: Tensor, target: Tensor, members: Tensor, sizes: Tensor, first: int,
        factor: Tensor, smoothing: float,
    ) -> Tensor:  # fmt: skip
        logp = F.log_softmax(logits, 1, dtype=factor.dtype).contiguous()
        flat, step = logp.view(-1), logp[0, 0].numel()
        losses = flat.index_select(0, _leading(lead, logp)).neg_()
        groups = _groups(target, members * step, sizes, first, logp) if len(sizes) else []
        for group in groups:
            inside = flat.index_select(0, group.channel(0))
            for m in range(1, group.size):
                inside = torch.logaddexp(inside, flat.index_select(0, group.channel(m)))
            found = inside.neg()
            if smoothing:
                found *= 1 - smoothing
                for m in range(group.size):
                    found.sub_(flat.index_select(0, group.channel(m)), alpha=smoothing / group.size)
            losses.index_copy_(0, group.pixels, found)
            group.inside = inside
        ctx.save_for_backward(logp, lead, factor)
        ctx.groups, ctx.smoothing, ctx.dtype = groups, smoothing, logits.dtype
        return losses.view(lead.shape).mul_(factor)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        logp, lead, factor = ctx.saved_tensors
        out = logp.exp()
        minus = factor.new_full((lead.numel(),), -1)
        for group in ctx.groups:
            minus.index_fill_(0, group.pixels, 0)
        flat = out.view(-1)
        flat.scatter_add_(0, _leading(lead, logp), minus)
        for group in ctx.groups:
            for m in range(group.size):
                at = group.channel(m)
                own = logp.view(-1).index_select(0, at)
                share = (own - group.inside).exp_()
                if ctx.smoothing:
                    share.mul_(1 - ctx.smoothing).add_(ctx.smoothing / group.size)
                flat.scatter_(0, at, own.exp_().sub_(share))
        out.mul_((grad * factor)[:, None])
        return out.to(ctx.dtype), None, None, None, None, None, None, None


def _leading(lead: Tensor, logp: Tensor) -> Tensor:
    """Where in the flat `logp` [N, K, ...] each pixel's channel `lead` [N, ...] is."""
    n, k = logp.shape[:2]
    step = logp[0, 0].numel()
    image = torch.arange(n, device=lead.device)[:, None] * (k * step)
    return ((lead.reshape(n, step) * step).add_(image).add_(torch.arange(step, device=lead.device))).view(-1)


@dataclass
class _Group:
    """Pixels whose sets have one size. Indices are flat: `pixels` into `[N, ...]`, `base` into `[N, K, ...]`."""

    size: int
    pixels: Tensor
    base: Tensor
    which: Tensor
    offsets: Tensor
    inside: Tensor | None = None

    def channel(self, m: int) -> Tensor:
        """Where the logit of each pixel's m-th member is."""
        return self.offsets[m].index_select(0, self.which).add_(self.base)


def _groups(target: Tensor, offsets: Tensor, sizes: Tensor, first: int, logp: Tensor) -> list[_Group]:
    step = logp[0, 0].numel()
    flat = target.reshape(-1)
    pixels = (flat >= first).nonzero().view(-1)
    which = flat.index_select(0, pixels).sub_(first)
    different = sizes.unique().tolist()
    groups = []
    for size in different:
        mine, of = pixels, which
        if len(different) > 1:
            here = (sizes.index_select(0, which) == size).nonzero().view(-1)
            mine, of = pixels.index_select(0, here), which.index_select(0, here)
        if size > 1 and len(mine):  # sets of one are hard
            image = mine.div(step, rounding_mode="floor")
            groups.append(
                _Group(size, mine, image.mul_(step * (logp.shape[1] - 1)).add_(mine), of, offsets.T.contiguous())
            )
    return groups
