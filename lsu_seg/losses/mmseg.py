"""The set-valued loss for MMSegmentation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from mmseg.structures.sampler import OHEMPixelSampler
from torch import Tensor, nn

from lsu_seg.errors import ConfigError
from lsu_seg.losses.set_nll import at_least_something, set_nll_loss, set_nll_map
from lsu_seg.openmmlab.registry import MODELS, TASK_UTILS, register
from lsu_seg.targets.table import TableUser


def check_loss(loss: nn.Module, loss_weight: Any, loss_name: Any) -> None:
    """Refuse a weight or a name that would show at the first step, or never.

    Raises:
        ConfigError: what was found, and what was expected.
    """
    kind = type(loss).__name__
    if not _is_number(loss_weight) or loss_weight < 0:
        raise ConfigError(f"`loss_weight` of a {kind} is {loss_weight!r}; expected a number, 0 or more")
    if not isinstance(loss_name, str) or not loss_name:
        raise ConfigError(f"`loss_name` of a {kind} is {loss_name!r}; expected a name that begins with `loss_`")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


@register(MODELS)
class SetNLLLoss(TableUser, nn.Module):
    """`set_nll_loss` for any decode head: `loss_decode=dict(type='SetNLLLoss', source='cityscapes')`.

    The datasets' `TargetTable` defines the sets behind the numbers of a target map, and their `loss_weight`.
    `OntologyHook` passes it to the loss before training (`use_table`); a loss without a table refuses sets. On hard
    labels, the loss equals MMSeg's `CrossEntropyLoss(avg_non_ignore=True)`.

    Args:
        source: the source taxonomy.
        class_weight: one per class of the source; a set has the mean weight of its members.
        label_smoothing: the share of a set's target that is spread over its members (see `set_nll_loss`).
        loss_weight, reduction: as in MMSeg's losses.
        loss_name: the name in the log; MMSeg trains only on losses whose names begin with `loss_`.
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
        check_loss(self, loss_weight, loss_name)
        if not _is_number(label_smoothing) or not 0 <= label_smoothing < 1:
            raise ConfigError(f"`label_smoothing` of a SetNLLLoss is {label_smoothing!r}; expected 0 to 1, without 1")
        if reduction not in ("mean", "sum", "none"):
            raise ConfigError(f"`reduction` of a SetNLLLoss is {reduction!r}; expected `mean`, `sum` or `none`")
        each = class_weight if isinstance(class_weight, (list, tuple)) else ()
        if wrong := [value for value in each if not _is_number(value) or value < 0]:
            raise ConfigError(f"`class_weight` of a SetNLLLoss has {wrong[0]!r}; expected numbers, 0 or more")
        if each and not any(each):
            raise ConfigError("`class_weight` of a SetNLLLoss is 0 for every class: nothing would be learnt")
        self.source, self.class_weight = source, class_weight
        self.label_smoothing, self.loss_weight, self.reduction = label_smoothing, loss_weight, reduction
        self._loss_name = loss_name
        self.watch = False
        """Whether to record `seen`, for `OntologyHook`."""
        self.seen: Tensor | None = None
        """Statistics of the last batch, float32 `[N, 5]`. Per sample: the sum of the loss, the sum of the shares in the
        mean, the number of pixels with sets, the number of pixels that are not ignored, and how many of these have a
        likeliest class that is the target or in its set."""

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
        """The loss: a scalar, or `[N, ...]` with reduction `none`.

        Args:
            cls_score: logits `[N, K, ...]`.
            label: int64 `[N, ...]`, a target map.
            weight: float `[N, ...]`, a factor on each pixel's loss.
            avg_factor: the divisor of `mean`, instead of the number of pixels that are not ignored.
            reduction_override: instead of the loss's own reduction.
            ignore_index: the target of ignored pixels.

        Raises:
            TargetError: the table is of another source, or a target has no meaning.
        """
        table = self.table_of(cls_score.shape[1])
        with self.explained(table.num_classes):
            losses, shares = set_nll_map(
                cls_score,
                label,
                torch.from_numpy(table.sets),
                set_weights=torch.from_numpy(table.weights),
                class_weight=None if self.class_weight is None else cls_score.new_tensor(self.class_weight),
                weight=weight,
                label_smoothing=self.label_smoothing,
                ignore_index=ignore_index,
                first_set=table.first,
            )
        reduction = reduction_override or self.reduction
        if self.watch and reduction == "mean":
            is_set = torch.zeros(table.first + len(table), dtype=torch.bool)
            is_set[table.first :] = torch.from_numpy(table.sets.sum(1) > 1)
            valid = label != ignore_index
            with_set = is_set.to(label.device)[label.masked_fill(~valid, 0)]
            correct = valid & _best_is_target(cls_score.detach(), label, torch.from_numpy(table.sets), table.first)
            maps = (losses.detach(), shares, with_set, valid, correct)
            self.seen = torch.stack([x.flatten(1).sum(1).float() for x in maps], 1)
        if reduction == "mean":
            losses = losses.sum() / (at_least_something(shares.sum()) if avg_factor is None else avg_factor)
        elif reduction == "sum":
            losses = losses.sum()
        return self.loss_weight * losses

    @torch.no_grad()
    def probability(self, cls_score: Tensor, label: Tensor, ignore_index: int = 255) -> Tensor:
        """The probability of each pixel's target (a class or a set) under logits `[N, K, ...]`: float `[N, ...]`."""
        table = self.table_of(cls_score.shape[1])
        with self.explained(table.num_classes):
            losses = set_nll_loss(
                cls_score,
                label,
                torch.from_numpy(table.sets),
                ignore_index=ignore_index,
                first_set=table.first,
                reduction="none",
            )
        return losses.neg_().exp_()


def _best_is_target(logits: Tensor, target: Tensor, sets: Tensor, first: int) -> Tensor:
    """Whether the largest of the logits `[N, K, ...]` is that of the target or of a member of its set: bool `[N, ...]`.

    Compares values, because `argmax` takes up to 70 times as long on a CPU, which is a third of a training step of a
    small model.
    """
    best = logits.amax(1)
    hard = target.clamp(0, logits.shape[1] - 1)
    correct = logits.gather(1, hard[:, None])[:, 0] == best
    is_set = target >= first
    members = sets.to(target.device)[target[is_set] - first]
    member_logits = logits.movedim(1, -1)[is_set].masked_fill(~members, -torch.inf)
    correct[is_set] = member_logits.amax(1) == best[is_set]
    return correct


@register(TASK_UTILS)
class SetOHEMPixelSampler(OHEMPixelSampler):
    """`OHEMPixelSampler` for set-valued targets: `thresh` is compared with the probability of the pixel's set.

    MMSeg's own sampler works with `SetNLLLoss` if it has no `thresh`, and gives the same result on hard labels.

    Args:
        context, thresh, min_kept: as in MMSeg; a `SetNLLLoss` must be among the context's losses.
    """

    def sample(self, seg_logit: Tensor, seg_label: Tensor) -> Tensor:
        """Logits `[N, K, H, W]`, target `[N, 1, H, W]` → weights `[N, H, W]`: 1 for pixels that are kept, else 0."""
        if self.thresh is None:
            kept: Tensor = super().sample(seg_logit, seg_label)
            return kept
        losses = self.context.loss_decode
        losses = list(losses) if isinstance(losses, nn.ModuleList) else [losses]
        loss = next(loss for loss in losses if isinstance(loss, SetNLLLoss))
        target, ignore = seg_label.squeeze(1), self.context.ignore_index
        with torch.no_grad():
            p = loss.probability(seg_logit, target, ignore)
            valid: Tensor = target != ignore
            ascending = p[valid].sort().values
            min_kept = self.min_kept * len(target)
            limit = ascending[min(min_kept, len(ascending) - 1)] if len(ascending) else p.new_zeros(())
            return (valid & (p < limit.clamp(min=self.thresh))).to(seg_logit.dtype)
