"""Scale images some rows at a time: the result of `torch.nn.functional.interpolate` without the whole image."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import interpolate


def scaled_rows(images: Tensor, size: tuple[int, int], top: int, bottom: int) -> Tensor:
    """Rows top..bottom-1 of images scaled to `size`, bilinear, with antialiasing when they shrink.

    Args:
        images: float `[B, C, H, W]`. size: (height, width) of the whole result.

    Returns:
        `[B, C, bottom - top, width]`, identical to the bit whichever other rows are requested.

    >>> scaled_rows(torch.arange(4.0).view(1, 1, 4, 1), (2, 1), 1, 2).shape
    torch.Size([1, 1, 1, 1])
    """
    height, width = size
    rows = images[:, :, top:bottom]
    if images.shape[2] != height:
        place, weight = _taps(images.shape[2], height)
        rows = torch.zeros_like(images[:, :, :1]).expand(-1, -1, bottom - top, -1).clone()
        for tap in range(place.shape[1]):
            share = weight[top:bottom, tap].to(images)
            rows.addcmul_(images[:, :, place[top:bottom, tap].to(images.device)], share[:, None])
    if images.shape[3] != width:
        shrinks = width < images.shape[3]
        size = rows.shape[2], width
        rows = interpolate(rows, size, mode="bilinear", align_corners=False, antialias=shrinks)
    return rows


@lru_cache(32)
def _taps(n: int, size: int) -> tuple[Tensor, Tensor]:
    """The rows (of `n`) and weights that each of `size` rows averages: int64 and float64 `[size, taps]`; triangles."""
    step = n / size
    reach = max(step, 1.0)
    centre = (torch.arange(size, dtype=torch.float64) + 0.5) * step
    first = (centre - reach + 0.5).floor().clamp(min=0)
    place = first[:, None] + torch.arange(int(2 * reach) + 2)
    weight = (1 - ((place + 0.5 - centre[:, None]) / reach).abs()).clamp(min=0)
    weight[place > n - 1] = 0
    return place.clamp(max=n - 1).long(), weight / weight.sum(1, keepdim=True)
