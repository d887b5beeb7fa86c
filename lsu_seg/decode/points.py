"""The evidence of a teacher at some points of a label, without the evidence of the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import logsigmoid

from lsu_seg.decode.views import Part, QueryView, View, bilinear, shares_of_sets
from lsu_seg.runtime.transfer import to_device


def p_at(
    views: Sequence[View | QueryView], y: NDArray[np.int64], x: NDArray[np.int64], size: tuple[int, int]
) -> tuple[Tensor, Tensor | None]:
    """The mean p over the views, and the mean no-object mass, as `reference.decode` defines them for all classes.

    Computed in float64, so that rounding does not depend on which other points are asked for.

    Args:
        views: as for `reference.decode`; all on one device. y, x: `[P]`, rows and columns of the label. With views that
            are parts, rows of the part. size: (H, W) of the label, or of its part.

    Returns:
        float32 `[P, K]`, which sum to 1 unless the channels that a map has no class for are all there is, and `[P]`, on
        the views' device; the second is that of the views that have a no-object mass, None if there is none.

    >>> view = View(torch.tensor([[[1.0, 3.0]], [[1.0, 1.0]]]))
    >>> p, _ = p_at([view], np.array([0, 0]), np.array([0, 1]), (1, 3))
    >>> [round(v, 3) for v in p[:, 0].tolist()]  # the middle pixel lies between both samples
    [0.5, 0.731]
    """
    parts, masses, weights = [], [], []
    for view in views:
        mass: Tensor | None
        if isinstance(view, QueryView):
            log_mask = logsigmoid(_resized(view.masks, view, y, x, size))
            # Relative to the point's most certain mask, so that not all of them underflow.
            evidence = (log_mask - log_mask.amax(0)).exp().T @ view.classes.detach().double().softmax(1)
            with_void = evidence / evidence.sum(1, keepdim=True)
            log_p, mass = with_void[:, :-1].log(), with_void[:, -1]
        else:
            log_p = _resized(view.logits, view, y, x, size).T.log_softmax(1)
            mass = None if view.void is None else _resized(view.void[None], view, y, x, size)[0]
        parts.append(_mapped(log_p, view))
        if mass is not None:
            masses.append(mass * view.weight)
            weights.append(view.weight)
    # Relative to the view that leaves most to the classes, so that not all of them underflow.
    most = torch.stack([log_most for log_most, _ in parts]).amax(0).clamp(min=-1e300)
    total = sum((log_most - most).exp() * p * view.weight for view, (log_most, p) in zip(views, parts, strict=True))
    assert isinstance(total, Tensor)
    if any(view.to is not None for view in views):
        total = total / total.sum(1, keepdim=True).clamp(min=1e-300)
    else:
        total = total / sum(view.weight for view in views)
    return total.float(), (torch.stack(masses).sum(0) / sum(weights)).float() if masses else None


def _mapped(log_p: Tensor, view: View | QueryView) -> tuple[Tensor, Tensor]:
    """What a view says of the classes: a factor's logarithm `[P, 1]`, and p relative to it `[P, K]`."""
    if view.to is None:
        return torch.zeros_like(log_p[:, :1]), log_p.exp()
    classes = np.arange(view.num_classes + 1)[None] < view.num_classes
    shares = torch.from_numpy(shares_of_sets(np.asarray(view.to), classes)[0, :, :-1]).to(log_p.device)
    log_p = log_p.masked_fill(~shares.any(1), -torch.inf)
    log_most = log_p.amax(1, keepdim=True)
    return log_most, (log_p - log_most.clamp(min=-1e300)).exp() @ shares


def evidence_at(
    views: Sequence[View | QueryView], y: NDArray[np.int64], x: NDArray[np.int64], size: tuple[int, int]
) -> Tensor:
    """The evidence of each view at points, float32 `[V, P, C]` on the views' device. Arguments: see `p_at`.

    Logits; of masks the logarithm of each class's share of the evidence, with that of no object, in the last channel.
    """
    parts = []
    for view in views:
        if isinstance(view, QueryView):
            log_mask = logsigmoid(_resized(view.masks, view, y, x, size)).T[:, :, None]
            log_class = view.classes.detach().double().log_softmax(1)
            # Class by class, because all at once would need a tensor of size P x Q x K.
            merged = [(log_mask + log_class[:, c : c + 1]).logsumexp(1) for c in range(log_class.shape[1])]
            parts.append(torch.cat(merged, 1).log_softmax(1))
        else:
            parts.append(_resized(view.logits, view, y, x, size).T)
    return torch.stack(parts).float()


def covered(
    view: View | QueryView,
    missing: NDArray[np.bool_],
    y: NDArray[np.int64],
    x: NDArray[np.int64],
    size: tuple[int, int],
) -> NDArray[np.bool_]:
    """Whether the points read no sample of a view that is `missing`, bool `[h, w]`, as its maps lie in memory."""
    y0, y1, _, x0, x1, _ = _steps(view, missing.shape, y, x, size)
    return ~(missing[y0, x0] | missing[y0, x1] | missing[y1, x0] | missing[y1, x1])


def _resized(
    maps: Tensor, view: View | QueryView, y: NDArray[np.int64], x: NDArray[np.int64], size: tuple[int, int]
) -> Tensor:
    """The maps `[C, h, w]` of a view at the points, float64 `[C, P]`."""
    maps = maps.detach()
    steps = (to_device(torch.from_numpy(a), maps.device) for a in _steps(view, maps.shape[1:], y, x, size))
    y0, y1, down, x0, x1, right = steps
    upper = torch.lerp(maps[:, y0, x0].double(), maps[:, y0, x1].double(), right)
    lower = torch.lerp(maps[:, y1, x0].double(), maps[:, y1, x1].double(), right)
    return torch.lerp(upper, lower, down)


def _steps(
    view: View | QueryView, shape: Sequence[int], y: NDArray[np.int64], x: NDArray[np.int64], size: tuple[int, int]
) -> tuple[
    NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]
]:
    """The upper and lower map row that each point reads and the weight of the lower, and the same of columns."""
    h, w = shape
    part = view.part or Part(0, h, 0, size[0])
    rows, down = bilinear(part.full_height, part.label_height, view.align_corners)
    columns, right = bilinear(w, size[1], view.align_corners)
    upper = rows[y + part.label_top] - part.top
    left = columns[x]
    lower, beside = np.minimum(upper + 1, h - 1), np.minimum(left + 1, w - 1)
    if view.flip:
        left, beside = w - 1 - left, w - 1 - beside
    return upper, lower, down[y + part.label_top], left, beside, right[x]
