"""Masks of which some pixels are not known: made from targets, and read at points as Mask2Former's losses do.

Of a pixel whose target is a set, the masks of the set's classes do not know whether it is theirs. Such a pixel counts
neither when queries are matched to masks, nor in the losses of those masks; in the masks of all other classes it is
outside, as always. Nor does void count anywhere.
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
"""What messages say of other heads that predict masks."""


def masks_and_known(target: Tensor, table: TargetTable) -> tuple[Tensor, Tensor]:
    """`query_targets` on the target's device.

    Args:
        target: int `[H, W]`.

    Returns:
        classes int64 `[M]`; float32 `[M, 2, H, W]`: the mask of each class, and whether a pixel is known.

    >>> from lsu_seg.targets import TargetSet
    >>> table = TargetTable("demo", 3, [TargetSet((0, 1))])
    >>> classes, masks = masks_and_known(torch.tensor([[0, table.number((0, 1)), 2, 255]]), table)
    >>> classes.tolist(), masks[:, 0, 0].tolist(), masks[:, 1, 0].tolist()
    ([0, 2], [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]], [[1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 1.0, 0.0]])
    """
    values, index = target.unique(return_inverse=True)
    found = query_targets(values.cpu().numpy()[None], table)  # of a row with every value once
    of_value = torch.stack([torch.from_numpy(x[:, 0]) for x in (found.mask_labels, found.known)], 1)
    return torch.from_numpy(found.class_labels).to(target.device), of_value.float().to(target.device)[..., index]


def sample(maps: Tensor, points: Tensor, padding: str = "zeros") -> Tensor:
    """Maps `[N, C, h, w]` at points `[N, P, 2]`, 0..1 in x and y → `[N, C, P]`, zeros outside."""
    grid = 2 * points[:, :, None] - 1
    return grid_sample(maps, grid, align_corners=False, padding_mode=padding)[..., 0]


def labels_at(target: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Targets `[N, 2, H, W]` at points `[N, P, 2]`: labels and known, `[N, P]`; known where all four neighbours are."""
    known = (sample(target[:, 1:], points, "border")[:, 0] > 1 - 1e-4).float()
    return sample(target[:, :1], points)[:, 0] * known, known


@torch.no_grad()
def hard_points(
    predicted: Tensor, target: Tensor, count: int, oversample_ratio: float, importance_sample_ratio: float
) -> Tensor:
    """Where masks are trained: many points where the prediction is least certain, among known ones, some at random.

    Args:
        predicted: mask logits `[N, 1, h, w]`.
        target: `[N, 2, H, W]`, as `masks_and_known` makes them.
        count: P.
        oversample_ratio: this many times P are drawn to choose from.
        importance_sample_ratio: the share of P that is chosen.

    Returns:
        points `[N, P, 2]`.
    """
    n, device = len(predicted), predicted.device
    drawn = torch.rand(n, int(count * oversample_ratio), 2, device=device)
    certainty = sample(predicted, drawn)[:, 0].abs()
    certainty = certainty.masked_fill(labels_at(target, drawn)[1] == 0, torch.inf)
    hard = int(importance_sample_ratio * count)
    best = (-certainty).topk(hard, dim=1).indices
    chosen = drawn.gather(1, best[..., None].expand(-1, -1, 2))
    return torch.cat([chosen, torch.rand(n, count - hard, 2, device=device)], 1)
