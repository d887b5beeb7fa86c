"""Set-valued targets for Hugging Face models that predict masks: the loss of `transformers`, on known pixels only.

Of a pixel whose target is a set, the masks of the set's classes do not know whether it is theirs. Such a pixel counts
neither when queries are matched to masks, nor in the losses of those masks; in the masks of all other classes it is
outside, as always. Nor does void count anywhere.

Imports `transformers`: only where such a model is built.
"""

from __future__ import annotations

from typing import Any

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import grid_sample, softplus
from transformers.models.mask2former.modeling_mask2former import Mask2FormerHungarianMatcher, Mask2FormerLoss

from lsu_seg.targets import TargetTable, query_targets


def masks_and_known(target: Tensor, table: TargetTable) -> tuple[Tensor, Tensor]:
    """`query_targets` on the target's device.

    Args:
        target: int `[H, W]`.

    Returns:
        classes int64 `[M]`; float32 `[M, 2, H, W]`: the mask of each class, and whether a pixel is known.

    >>> table = TargetTable(3)
    >>> either = table.add([True, True, False])
    >>> classes, masks = masks_and_known(torch.tensor([[0, either, 2, 255]]), table)
    >>> classes.tolist(), masks[:, 0, 0].tolist(), masks[:, 1, 0].tolist()
    ([0, 2], [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]], [[1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 1.0, 0.0]])
    """
    values, index = target.unique(return_inverse=True)
    found = query_targets(values.cpu().numpy()[None], table)  # of a row with every value once
    of_value = torch.stack([torch.from_numpy(x[:, 0]) for x in (found.mask_labels, found.known)], 1)
    return torch.from_numpy(found.class_labels).to(target.device), of_value.float().to(target.device)[
        ..., index
    ]


def _sample(maps: Tensor, points: Tensor, padding: str = "zeros") -> Tensor:
    """Maps `[N, C, h, w]` at points `[N, P, 2]`, 0..1 in x and y → `[N, C, P]`, as `transformers` does it."""
    grid = 2 * points[:, :, None] - 1
    return grid_sample(maps, grid, align_corners=False, padding_mode=padding)[..., 0]


def _labels(target: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Targets `[N, 2, H, W]` at points `[N, P, 2]`: labels and known, `[N, P]`. Known is 1 where all four neighbours are."""
    known = (_sample(target[:, 1:], points, "border")[:, 0] > 1 - 1e-4).float()
    return _sample(target[:, :1], points)[:, 0] * known, known


class KnownMatcher(Mask2FormerHungarianMatcher):
    """Queries ↔ masks, by what is known of the masks."""

    @torch.no_grad()
    def forward(
        self,
        masks_queries_logits: Tensor,
        class_queries_logits: Tensor,
        mask_labels: list[Tensor],
        class_labels: list[Tensor],
    ) -> list[tuple[Tensor, Tensor]]:
        """Mask logits `[N, Q, h, w]`, class logits `[N, Q, K+1]`, and per image `[M, 2, H, W]` and `[M]`."""
        matches = []
        for logits, classes, target, wanted in zip(
            masks_queries_logits.float(),
            class_queries_logits.float(),
            mask_labels,
            class_labels,
            strict=True,
        ):
            points = torch.rand(1, self.num_points, 2, device=logits.device)
            labels, known = _labels(target, points.expand(len(target), -1, -1))
            predicted = _sample(logits[None], points)[0]
            inside, share = softplus(-predicted), predicted.sigmoid()
            cost_mask = inside @ labels.T + softplus(predicted) @ (known - labels).T
            cost_mask = cost_mask / known.sum(1).clamp(min=1)
            cost_dice = 1 - (2 * share @ labels.T + 1) / (share @ known.T + labels.sum(1) + 1)
            cost = (
                self.cost_mask * cost_mask
                - self.cost_class * classes.softmax(-1)[:, wanted]
                + self.cost_dice * cost_dice
            )
            most = torch.finfo(cost.dtype).max
            pairs = linear_sum_assignment(torch.nan_to_num(cost, most, most, most).cpu().numpy())
            matches.append((torch.as_tensor(pairs[0]).long(), torch.as_tensor(pairs[1]).long()))
        return matches


class KnownLoss(Mask2FormerLoss):
    """The loss of Mask2Former and of EoMT, in which a mask's pixels count where they are known.

    With all pixels known it is theirs. `mask_labels` are `[M, 2, H, W]`, as `masks_and_known` makes them.
    """

    def __init__(self, net: Any) -> None:
        super().__init__(net.config, net.weight_dict)
        old = self.matcher
        self.matcher = KnownMatcher(old.cost_class, old.cost_mask, old.cost_dice, old.num_points)

    def loss_masks(
        self, masks_queries_logits: Tensor, mask_labels: list[Tensor], indices: Any, num_masks: Tensor
    ) -> dict[str, Tensor]:
        """Point-wise cross-entropy and Dice, means over masks of means over known points."""
        predicted = masks_queries_logits[self._get_predictions_permutation_indices(indices)][:, None].float()
        target = torch.cat([m[j.to(m.device)] for m, (_, j) in zip(mask_labels, indices, strict=True)])
        with torch.no_grad():
            points = self._points(predicted, target)
            labels, known = _labels(target, points)
        logits = _sample(predicted, points)[:, 0]
        entropy = (softplus(logits) - logits * labels) * known
        share = logits.sigmoid() * known
        dice = 1 - (2 * (share * labels).sum(1) + 1) / (share.sum(1) + labels.sum(1) + 1)
        return {
            "loss_mask": (entropy.sum(1) / known.sum(1).clamp(min=1)).sum() / num_masks,
            "loss_dice": dice.sum() / num_masks,
        }

    def _points(self, predicted: Tensor, target: Tensor) -> Tensor:
        """`[N, P, 2]`: where the prediction is least certain among many known points, and some at random."""
        drawn = torch.rand(
            len(predicted), int(self.num_points * self.oversample_ratio), 2, device=predicted.device
        )
        certainty = _sample(predicted, drawn)[:, 0].abs()
        certainty = certainty.masked_fill(_labels(target, drawn)[1] == 0, torch.inf)
        hard = int(self.importance_sample_ratio * self.num_points)
        best = (-certainty).topk(hard, dim=1).indices
        chosen = drawn.gather(1, best[..., None].expand(-1, -1, 2))
        rest = torch.rand(len(predicted), self.num_points - hard, 2, device=predicted.device)
        return torch.cat([chosen, rest], 1)
