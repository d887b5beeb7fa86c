"""Soft labels: the best classes of every pixel, and their shares of the evidence in S(d)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lsu_seg.decode import reference
from lsu_seg.decode.views import Part, QueryView, View, bilinear
from lsu_seg.label_files import void_index

_PIXELS = 1 << 16
"""The number of pixels decided at a time, which bounds the tensors of K channels."""


def top_k(
    views: Sequence[View | QueryView],
    rows: NDArray[np.int16],
    allowed: NDArray[np.bool_],
    k: int,
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """The k best elements of S(d), best first, and their shares. In open rows, void is one of the elements.

    The evidence is that of `reference.decode`, in float64, which takes longer than decoding the label.

    Args:
        views, rows, allowed: as for `reference.decode`; views may be parts.
        k: the number of elements, at least 1.

    Returns:
        Classes, uint8 or uint16 `[k, H, W]`, and shares, float32 `[k, H, W]`. If S(d) has fewer than k elements, the
        rest are the void index with a share of 0. Pixels without annotation are void with a share of 1.

    >>> view = View(torch.tensor([1.0, 2.0, 9.0]).reshape(3, 1, 1))
    >>> classes, shares = top_k([view], np.zeros((1, 1), np.int16), np.array([[True, True, False, False]]), 3)
    >>> classes[:, 0, 0].tolist(), [round(float(s), 3) for s in shares[:, 0, 0]]
    ([1, 0, 255], [0.731, 0.269, 0.0])
    """
    num_classes = allowed.shape[1] - 1
    void = void_index(num_classes)
    height, width = rows.shape
    classes = np.empty((k, height, width), np.uint8 if void < 256 else np.uint16)
    shares = np.empty((k, height, width), np.float32)
    table = torch.from_numpy(np.vstack([allowed, np.arange(num_classes + 1) == num_classes]))
    step = max(1, _PIXELS // max(1, width))
    for top in range(0, height, step):
        band = rows[top : top + step]
        parts = [_part(view, top, len(band), height) for view in views]
        inside = table.to(views[0].maps.device)[torch.from_numpy(band.astype(np.int64))].permute(2, 0, 1)
        _, log_p, outside = reference._fuse(parts, inside)
        # In the log domain, so that a tiny share of tiny evidence does not underflow.
        log_e = torch.cat([log_p, outside.log()[None]]).masked_fill(~inside, -torch.inf)
        singleton = inside.sum(0) == 1
        log_e = torch.where(singleton & inside, 0.0, log_e)
        share = torch.softmax(log_e, 0).nan_to_num(0)  # NaN: no evidence at all
        best, which = share.topk(min(k, len(share)), 0)
        which = torch.where((best > 0) & (which < num_classes), which, void)
        n = len(which)
        classes[:, top : top + step], shares[:, top : top + step] = void, 0
        classes[:n, top : top + step] = which.cpu().numpy()
        shares[:n, top : top + step] = best.cpu().numpy()
    return classes, shares


def _part(view: View | QueryView, top: int, rows: int, height: int) -> View | QueryView:
    """The part of a view of `height` label rows that `rows` of them read, from `top` on."""
    whole = view.part or Part(0, view.maps.shape[1], 0, height)
    upper, _ = bilinear(whole.full_height, whole.label_height, view.align_corners)
    first = whole.label_top + top
    map_rows = slice(int(upper[first]) - whole.top, int(upper[first + rows - 1]) - whole.top + 2)
    part = whole._replace(top=int(upper[first]), label_top=first)
    if isinstance(view, QueryView):
        return replace(view, masks=view.masks[:, map_rows], part=part)
    void = None if view.void is None else view.void[map_rows]
    return replace(view, logits=view.logits[:, map_rows], void=void, part=part)
