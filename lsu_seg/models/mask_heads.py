"""MMSegmentation's Mask2Former head, trained on sets: a mask's pixels count where they are known (`known_masks.py`)."""

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

    Everything else is as MMSegmentation's recipes have it, its losses and matching costs among it. Where all pixels of
    a batch have one class, the loss is that of `Mask2FormerHead`. What is not known counts neither in matching nor in
    the losses of masks, void included; of an image without any known class no query learns.

    Args:
        source: the source taxonomy.
        num_classes: K.
        kwargs: as in `Mask2FormerHead`.

    Raises:
        ImportError: mmdet, or something that it needs, is not installed.
    """

    takes_sets = True

    def __init__(self, source: str, num_classes: int, **kwargs: Any) -> None:
        need_mmdet(type(self).__name__)
        super().__init__(num_classes=num_classes, **kwargs)
        self.source = source

    def _seg_data_to_instance_data(self, batch_data_samples: Any) -> tuple[list[InstanceData], list[dict[str, Any]]]:
        """`labels` `[M]` and `masks` `[M, 2, H, W]` of each image, as `masks_and_known` makes them."""
        table = self.table_of(self.num_classes)
        with self.explained(self.num_classes):
            found = [masks_and_known(s.gt_sem_seg.data.squeeze(0), table) for s in batch_data_samples]
        instances = [InstanceData(labels=classes, masks=masks) for classes, masks in found]
        return instances, [s.metainfo for s in batch_data_samples]

    def _loss_by_feat_single(
        self,
        cls_scores: Tensor,
        mask_preds: Tensor,
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict[str, Any]],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The losses of classes, masks and Dice of a layer: class logits `[N, Q, K+1]`, mask logits `[N, Q, h, w]`."""
        cls_scores, mask_preds = cls_scores.float(), mask_preds.float()
        labels = torch.full(cls_scores.shape[:2], self.num_classes, device=cls_scores.device)
        weights = cls_scores.new_ones(cls_scores.shape[:2])
        predicted, target = [], []
        for i, known_of in enumerate(batch_gt_instances):
            queries, masks = self._match(cls_scores[i], mask_preds[i], known_of)
            labels[i, queries] = known_of.labels[masks]
            weights[i] = float(len(masks) > 0)
            predicted.append(mask_preds[i, queries])
            target.append(known_of.masks[masks])
        labels, weights = labels.flatten(), weights.flatten()
        shares = cls_scores.new_tensor(self.class_weight)[labels] * weights
        loss_cls = self.loss_cls(cls_scores.flatten(0, 1), labels, weights, avg_factor=shares.sum().clamp(min=1e-6))
        logits, masks = torch.cat(predicted), torch.cat(target)
        count = logits.new_tensor(float(len(masks)))
        all_reduce(count, "mean")
        if not len(masks):
            return (
                loss_cls,
                logits.sum(),
                logits.sum(),
            )  # zeros that keep the parameters in the graph, for DDP
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
    def _match(self, scores: Tensor, masks: Tensor, known_of: InstanceData) -> tuple[Tensor, Tensor]:
        """Queries and their masks, int64 `[M]` both: class logits `[Q, K+1]`, mask logits `[Q, h, w]` of one image."""
        points = torch.rand(1, self.num_points, 2, device=masks.device)
        labels, known = labels_at(known_of.masks, points.expand(len(known_of), -1, -1))
        costs = match_costs(
            self.assigner.match_costs, scores, sample(masks[None], points)[0], known_of.labels, labels, known
        )
        queries, of = linear_sum_assignment(costs.cpu().numpy())
        return torch.as_tensor(queries, device=masks.device), torch.as_tensor(of, device=masks.device)


def match_costs(
    costs: Iterable[Callable[..., Tensor]],
    scores: Tensor,
    predicted: Tensor,
    classes: Tensor,
    labels: Tensor,
    known: Tensor,
) -> Tensor:
    """What matching each query to each mask costs, by what is known of the mask.

    Args:
        costs: mmdet's, or what is called like them.
        scores: class logits `[Q, K+1]`.
        predicted: mask logits at points, `[Q, P]`.
        classes: of the masks, int64 `[M]`.
        labels, known: of the masks at the points, `[M, P]`.

    Returns:
        float `[Q, M]`. Masks of which no point is known cost what their class does.
    """
    total = predicted.new_zeros(len(predicted), len(classes))
    groups, group = known.unique(dim=0, return_inverse=True)  # few: classes of the same sets know the same
    for i, points in enumerate(groups > 0):
        mine = group == i
        queries = InstanceData(scores=scores, masks=predicted[:, points])
        masks = InstanceData(labels=classes[mine], masks=labels[mine][:, points])
        for cost in costs:
            total[:, mine] += torch.nan_to_num(cost(pred_instances=queries, gt_instances=masks))
    return total
