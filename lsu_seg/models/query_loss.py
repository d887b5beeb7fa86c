"""Set-valued targets for Hugging Face mask models: the loss of `transformers`, restricted to known pixels.

This module imports `transformers`, so it is imported only when such a model is built.
"""

from __future__ import annotations

from typing import Any

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import softplus
from transformers.models.mask2former.modeling_mask2former import Mask2FormerHungarianMatcher, Mask2FormerLoss

from lsu_seg.models.known_masks import hard_points, labels_at, sample


class KnownMatcher(Mask2FormerHungarianMatcher):
    """Match queries to masks by the known pixels of the masks."""

    @torch.no_grad()
    def forward(  # type: ignore[override]  # annotated there as Tensor, but called with lists
        self,
        masks_queries_logits: Tensor,
        class_queries_logits: Tensor,
        mask_labels: list[Tensor],
        class_labels: list[Tensor],
    ) -> list[tuple[Tensor, Tensor]]:
        """Match each image's queries to its masks.

        Args:
            masks_queries_logits: float `[N, Q, h, w]`. class_queries_logits: float `[N, Q, K+1]`.
            mask_labels: per image float `[M, 2, H, W]`, from `masks_and_known`. class_labels: per image int64 `[M]`.

        Returns:
            per image the indices of queries and of the masks matched to them, int64 `[M]` each.
        """
        matches = []
        for logits, classes, target, mask_classes in zip(
            masks_queries_logits.float(),
            class_queries_logits.float(),
            mask_labels,
            class_labels,
            strict=True,
        ):
            points = torch.rand(1, self.num_points, 2, device=logits.device)
            labels, known = labels_at(target, points.expand(len(target), -1, -1))
            predicted = sample(logits[None], points)[0]
            inside, share = softplus(-predicted), predicted.sigmoid()
            cost_mask = inside @ labels.T + softplus(predicted) @ (known - labels).T
            cost_mask = cost_mask / known.sum(1).clamp(min=1)
            cost_dice = 1 - (2 * share @ labels.T + 1) / (share @ known.T + labels.sum(1) + 1)
            cost = (
                self.cost_mask * cost_mask
                - self.cost_class * classes.softmax(-1)[:, mask_classes]
                + self.cost_dice * cost_dice
            )
            most = torch.finfo(cost.dtype).max
            pairs = linear_sum_assignment(torch.nan_to_num(cost, most, most, most).cpu().numpy())
            matches.append((torch.as_tensor(pairs[0]).long(), torch.as_tensor(pairs[1]).long()))
        return matches


class KnownLoss(Mask2FormerLoss):
    """The loss of Mask2Former and EoMT, in which only the known pixels of a mask count.

    If all pixels are known, it equals the original loss. `mask_labels` are `[M, 2, H, W]`, from `masks_and_known`.
    """

    def __init__(self, net: Any) -> None:
        super().__init__(net.config, net.weight_dict)
        old = self.matcher
        self.matcher = KnownMatcher(old.cost_class, old.cost_mask, old.cost_dice, old.num_points)

    def loss_masks(
        self, masks_queries_logits: Tensor, mask_labels: list[Tensor], indices: Any, num_masks: Tensor | int
    ) -> dict[str, Tensor]:
        """Point-wise cross-entropy and Dice: the mean over masks of the mean over known points."""
        chosen = Mask2FormerLoss._get_predictions_permutation_indices(self, indices)
        predicted = masks_queries_logits[chosen][:, None].float()
        target = torch.cat([m[j.to(m.device)] for m, (_, j) in zip(mask_labels, indices, strict=True)])
        with torch.no_grad():
            points = hard_points(
                predicted, target, self.num_points, self.oversample_ratio, self.importance_sample_ratio
            )
            labels, known = labels_at(target, points)
        logits = sample(predicted, points)[:, 0]
        entropy = (softplus(logits) - logits * labels) * known
        share = logits.sigmoid() * known
        dice = 1 - (2 * (share * labels).sum(1) + 1) / (share.sum(1) + labels.sum(1) + 1)
        return {
            "loss_mask": (entropy.sum(1) / known.sum(1).clamp(min=1)).sum() / num_masks,
            "loss_dice": dice.sum() / num_masks,
        }
