"""Masks with unknown pixels: made from targets, and sampled at points as in Mask2Former's losses.

If a pixel's target is a set, it is unknown in the masks of the set's classes, because it may belong to any of them.
There it counts neither in the matching of queries to masks nor in the losses. In the masks of all other classes it is
outside, as usual. Void pixels count nowhere.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from lsu_seg.targets.table import TargetTable, query_targets

NO_SETS = (
    "cannot be trained on sets; take a `SetMask2FormerHead`, Mask2Former or EoMT as an `HFSegmentor`, or a head of"
    " per-pixel logits with `loss_decode=dict(type='SetNLLLoss', …)`"
)
"""What messages say about other heads that predict masks."""


def masks_and_known(target: Tensor, table: TargetTable) -> tuple[Tensor, Tensor]:
    """The result of `query_targets` for one image, on the target's device.

    Args:
        target: int `[H, W]`.

    Returns:
        the M classes, int64 `[M]`; and for each class its mask and whether a pixel is known, float32 `[M, 2, H, W]`.

    >>> from lsu_seg.targets import TargetSet
    >>> table = TargetTable("demo", 3, [TargetSet((0, 1))])
    >>> classes, masks = masks_and_known(torch.tensor([[0, table.number((0, 1)), 2, 255]]), table)
    >>> classes.tolist(), masks[:, 0, 0].tolist(), masks[:, 1, 0].tolist()
    ([0, 2], [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]], [[1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 1.0, 0.0]])
    """
    values, index = target.unique(return_inverse=True)
    queries = query_targets(values.cpu().numpy()[None], table)  # for one row that has every value once
    by_value = torch.stack([torch.from_numpy(x[:, 0]) for x in (queries.mask_labels, queries.known)], 1)
    return torch.from_numpy(queries.class_labels).to(target.device), by_value.float().to(target.device)[..., index]


def sample(maps: Tensor, points: Tensor, padding: str = "zeros") -> Tensor:
    """Sample maps `[N, C, h, w]` bilinearly at points `[N, P, 2]`, x and y in 0..1 → `[N, C, P]`, zeros outside."""
    grid = 2 * points[:, :, None] - 1
    return grid_sample(maps, grid, align_corners=False, padding_mode=padding)[..., 0]


def labels_at(target: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Sample targets `[N, 2, H, W]` at points `[N, P, 2]` → labels and known, float `[N, P]` each.

    A point is known if all four pixels around it are.
    """
    known = (sample(target[:, 1:], points, "border")[:, 0] > 1 - 1e-4).float()
    return sample(target[:, :1], points)[:, 0] * known, known


@torch.no_grad()
def hard_points(
    predicted: Tensor, target: Tensor, count: int, oversample_ratio: float, importance_sample_ratio: float
) -> Tensor:
    """The points at which masks are trained: known points where the prediction is least certain, and random points.

    Args:
        predicted: mask logits, float `[N, 1, h, w]`.
        target: float `[N, 2, H, W]`, as from `masks_and_known`.
        count: P, the number of points per mask.
        oversample_ratio: the least certain points are chosen from this many times P candidates.
        importance_sample_ratio: the share of the P points that are the least certain ones; the rest is random.

    Returns:
        points, float `[N, P, 2]`, x and y in 0..1.
    """
    n, device = len(predicted), predicted.device
    drawn = torch.rand(n, int(count * oversample_ratio), 2, device=device)
    certainty = sample(predicted, drawn)[:, 0].abs()
    certainty = certainty.masked_fill(labels_at(target, drawn)[1] == 0, torch.inf)
    hard = int(importance_sample_ratio * count)
    best = (-certainty).topk(hard, dim=1).indices
    chosen = drawn.gather(1, best[..., None].expand(-1, -1, 2))
    return torch.cat([chosen, torch.rand(n, count - hard, 2, device=device)], 1)
