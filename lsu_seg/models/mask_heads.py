"""MMSegmentation's Mask2Former head, trained on sets: only the known pixels of a mask count (`known_masks.py`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.structures import InstanceData
from mmseg.models.decode_heads import Mask2FormerHead
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from lsu_seg.models.known_masks import hard_points, labels_at, masks_and_known, sample
from lsu_seg.openmmlab.mmdet import need_mmdet
from lsu_seg.openmmlab.registry import MODELS, register
from lsu_seg.targets.table import TableUser

_OUTSIDE = -1e4
"""A mask logit whose sigmoid is 0, also in half precision."""


@register(MODELS)
class SetMask2FormerHead(TableUser, Mask2FormerHead):
    """`Mask2FormerHead` for set-valued targets: `decode_head=dict(type='SetMask2FormerHead', source='cityscapes', …)`.

    Everything else, including the losses and the matching costs, is as in MMSegmentation's recipes. If the target of
    every pixel in a batch is a single class, the loss equals that of `Mask2FormerHead`. Unknown pixels, and void, count
    neither in the matching nor in the losses of masks. An image without any known class trains no query.

    Args:
        source: name of the source taxonomy.
        num_classes: K, the number of its classes.
        kwargs: as for `Mask2FormerHead`.

    Raises:
        MissingPackageError: mmdet, or a package that it needs, is not installed.
    """

    takes_sets = True

    def __init__(self, source: str, num_classes: int, **kwargs: Any) -> None:
        need_mmdet(type(self).__name__)
        super().__init__(num_classes=num_classes, **kwargs)
        self.source = source

    def _seg_data_to_instance_data(self, batch_data_samples: Any) -> tuple[list[InstanceData], list[dict[str, Any]]]:
        """For each image `labels` `[M]` and `masks` `[M, 2, H, W]` from `masks_and_known`, and its metadata."""
        table = self.table_of(self.num_classes)
        with self.explained(self.num_classes):
            pairs = [masks_and_known(s.gt_sem_seg.data.squeeze(0), table) for s in batch_data_samples]
        instances = [InstanceData(labels=classes, masks=masks) for classes, masks in pairs]
        return instances, [s.metainfo for s in batch_data_samples]

    def _loss_by_feat_single(
        self,
        cls_scores: Tensor,
        mask_preds: Tensor,
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict[str, Any]],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The class, mask and Dice loss of a layer, from class logits `[N, Q, K+1]` and mask logits `[N, Q, h, w]`."""
        cls_scores, mask_preds = cls_scores.float(), mask_preds.float()
        labels = torch.full(cls_scores.shape[:2], self.num_classes, device=cls_scores.device)
        weights = cls_scores.new_ones(cls_scores.shape[:2])
        predicted, target = [], []
        for i, instances in enumerate(batch_gt_instances):
            queries, masks = self._match(cls_scores[i], mask_preds[i], instances)
            labels[i, queries] = instances.labels[masks]
            weights[i] = float(len(masks) > 0)
            predicted.append(mask_preds[i, queries])
            target.append(instances.masks[masks])
        labels, weights = labels.flatten(), weights.flatten()
        shares = cls_scores.new_tensor(self.class_weight)[labels] * weights
        loss_cls = self.loss_cls(cls_scores.flatten(0, 1), labels, weights, avg_factor=shares.sum().clamp(min=1e-6))
        logits, masks = torch.cat(predicted), torch.cat(target)
        count = logits.new_tensor(float(len(masks)))
        all_reduce(count, "mean")
        if not len(masks):  # the losses are zero; the sums keep the parameters in the graph, for DDP
            return loss_cls, logits.sum(), logits.sum()
        points = hard_points(
            logits[:, None], masks, self.num_points, self.oversample_ratio, self.importance_sample_ratio
        )
        values, known = labels_at(masks, points)
        logits, count = sample(logits[:, None], points)[:, 0], count.clamp(min=1)
        loss_dice = self.loss_dice(logits.masked_fill(known == 0, _OUTSIDE), values, avg_factor=count)
        weight = known * (self.num_points / known.sum(1, keepdim=True).clamp(min=1))
        loss_mask = self.loss_mask(
            logits.flatten(), values.flatten(), weight.flatten(), avg_factor=count * self.num_points
        )
        return loss_cls, loss_mask, loss_dice

    @torch.no_grad()
    def _match(self, scores: Tensor, masks: Tensor, instances: InstanceData) -> tuple[Tensor, Tensor]:
        """Match one image's queries, class logits `[Q, K+1]` and mask logits `[Q, h, w]`, to its masks.

        Returns:
            indices of queries and of the masks matched to them, int64 `[M]` each.
        """
        points = torch.rand(1, self.num_points, 2, device=masks.device)
        labels, known = labels_at(instances.masks, points.expand(len(instances), -1, -1))
        costs = match_costs(
            self.assigner.match_costs, scores, sample(masks[None], points)[0], instances.labels, labels, known
        )
        queries, matched = linear_sum_assignment(costs.cpu().numpy())
        return torch.as_tensor(queries, device=masks.device), torch.as_tensor(matched, device=masks.device)


def match_costs(
    costs: Iterable[Callable[..., Tensor]],
    scores: Tensor,
    predicted: Tensor,
    classes: Tensor,
    labels: Tensor,
    known: Tensor,
) -> Tensor:
    """The cost of matching each query to each mask, computed over the known points of the mask.

    Args:
        costs: mmdet's match costs, or callables with the same signature.
        scores: class logits, float `[Q, K+1]`.
        predicted: mask logits at P points, float `[Q, P]`.
        classes: classes of the masks, int64 `[M]`.
        labels, known: the masks at the same points, and whether they are known there, float `[M, P]`.

    Returns:
        float `[Q, M]`. For a mask without known points only its class counts.
    """
    total = predicted.new_zeros(len(predicted), len(classes))
    groups, group = known.unique(
        dim=0, return_inverse=True
    )  # few groups: classes of the same sets have the same known pixels
    for i, points in enumerate(groups > 0):
        members = group == i
        queries = InstanceData(scores=scores, masks=predicted[:, points])
        masks = InstanceData(labels=classes[members], masks=labels[members][:, points])
        for cost in costs:
            total[:, members] += torch.nan_to_num(cost(pred_instances=queries, gt_instances=masks))
    return total
