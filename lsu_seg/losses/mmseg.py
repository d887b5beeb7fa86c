"""The set-valued loss in MMSegmentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmseg.structures.sampler import OHEMPixelSampler
from torch import Tensor, nn

from lsu_seg.losses.set_nll import at_least_something, set_nll_loss, set_nll_map
from lsu_seg.openmmlab.registry import MODELS, TASK_UTILS, register
from lsu_seg.targets.table import TableUser


@register(MODELS)
class SetNLLLoss(TableUser, nn.Module):
    """`set_nll_loss` for any decode head: `loss_decode=dict(type='SetNLLLoss', source='cityscapes')`.

    The datasets' `TargetTable` says which sets the numbers of a target map mean, and has their `loss_weight`.
    `OntologyHook` gives it to the loss before training (`use_table`); a loss without a table refuses sets. On hard
    labels it is MMSeg's `CrossEntropyLoss(avg_non_ignore=True)`.

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
        self.watch = False
        """Whether to keep `seen`, for `OntologyHook`."""
        self.seen: Tensor | None = None
        """Of the last batch, float32 `[N, 5]`: per sample the sums of loss and of shares in the mean, pixels with sets,
        pixels that are not ignored, and those of them whose likeliest class is the target or in its set."""

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
            several = torch.zeros(table.first + len(table), dtype=torch.bool)
            several[table.first :] = torch.from_numpy(table.sets.sum(1) > 1)
            valid = label != ignore_index
            of_set = several.to(label.device)[label.masked_fill(~valid, 0)]
            right = valid & _best_is_target(cls_score.detach(), label, torch.from_numpy(table.sets), table.first)
            of_sample = (losses.detach(), shares, of_set, valid, right)
            self.seen = torch.stack([x.flatten(1).sum(1).float() for x in of_sample], 1)
        if reduction == "mean":
            losses = losses.sum() / (at_least_something(shares.sum()) if avg_factor is None else avg_factor)
        elif reduction == "sum":
            losses = losses.sum()
        return self.loss_weight * losses

    @torch.no_grad()
    def probability(self, cls_score: Tensor, label: Tensor, ignore_index: int = 255) -> Tensor:
        """Of each pixel's target, a class or a set: logits `[N, K, ...]`, target `[N, ...]` → `[N, ...]`."""
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
    """Where the best logit is the target's, or one of its set's: bool `[N, ...]`. Logits `[N, K, ...]`.

    By values, as the place of a maximum (`argmax`) takes up to 70 times as long on a CPU, a third of a step of a small
    model.
    """
    best = logits.amax(1)
    hard = target.clamp(0, logits.shape[1] - 1)
    right = logits.gather(1, hard[:, None])[:, 0] == best
    of_set = target >= first
    members = sets.to(target.device)[target[of_set] - first]
    of_members = logits.movedim(1, -1)[of_set].masked_fill(~members, -torch.inf)
    right[of_set] = of_members.amax(1) == best[of_set]
    return right


@register(TASK_UTILS)
class SetOHEMPixelSampler(OHEMPixelSampler):
    """`OHEMPixelSampler` for set-valued targets: `thresh` is compared with the probability of the pixel's set.

    MMSeg's own works with `SetNLLLoss` as long as it has no `thresh`, and is the same on hard labels.

    Args:
        context, thresh, min_kept: as in MMSeg; the context's losses must have a `SetNLLLoss` among them.
    """

    def sample(self, seg_logit: Tensor, seg_label: Tensor) -> Tensor:
        """logits `[N, K, H, W]`, target `[N, 1, H, W]` → weights `[N, H, W]`, 1 for the pixels that are kept."""
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
            rising = p[valid].sort().values
            keep = self.min_kept * len(target)
            enough = rising[min(keep, len(rising) - 1)] if len(rising) else p.new_zeros(())
            return (valid & (p < enough.clamp(min=self.thresh))).to(seg_logit.dtype)
