"""Predictions and ground truth → counts → IoU. Counts are int64 and summed; ratios are computed once, at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsu_onto import ROW_UNKNOWN, ROW_VOID


def confusion(pred: Tensor, target: Tensor, num_classes: int, ignore: int = 255) -> Tensor:
    """Count pairs of ground truth and prediction.

    Args:
        pred: integer, any shape; values outside 0..K-1 count as void or other.
        target: integer, the same shape; 0..K-1 or `ignore`.

    Returns:
        int64 `[K+1, K+1]` on the CPU. Rows are the ground truth (the last one is ignored), columns the prediction (the
        last one is void or other). The sum is the number of pixels.

    Raises:
        ValueError: the shapes differ; a target is neither a class nor `ignore`; `ignore` is a class.

    >>> confusion(torch.tensor([0, 1, 255]), torch.tensor([0, 0, 1]), 2).tolist()
    [[1, 1, 0], [0, 0, 1], [0, 0, 0]]
    """
    if 0 <= ignore < num_classes:
        raise ValueError(f"`ignore` is {ignore}, which is one of the {num_classes} classes")
    target = torch.as_tensor(target).long()
    wrong = (target != ignore) & ((target < 0) | (target >= num_classes))
    if wrong.any():
        value, count = int(target[wrong][0]), int(wrong.sum())
        raise ValueError(f"{count} truth pixels, e.g. {value}, are neither 0..{num_classes - 1} nor {ignore}")
    return _count(pred, torch.where(target == ignore, num_classes, target), num_classes, num_classes + 1)


def row_counts(pred: Tensor, rows: Tensor, num_rows: int, num_classes: int) -> Tensor:
    """Count pairs of annotated dataset class and predicted source class, which the other two views are based on.

    Args:
        pred: integer, any shape; values outside 0..K-1 count as void or other.
        rows: integer, the same shape; 0..D-1, `ROW_VOID` or `ROW_UNKNOWN`.

    Returns:
        int64 `[D+2, K+1]` on the CPU: D classes, not annotated, unknown; columns as in `confusion`.

    Raises:
        ValueError: the shapes differ; `rows` has any other value.

    >>> row_counts(torch.tensor([0, 1, 1]), torch.tensor([0, ROW_VOID, ROW_UNKNOWN]), 1, 2).tolist()
    [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    """
    rows = torch.as_tensor(rows).long()
    if rows.numel() and (rows.min() < ROW_UNKNOWN or rows.max() >= num_rows):
        raise ValueError(f"rows range over {int(rows.min())}..{int(rows.max())}; there are {num_rows} classes")
    index = torch.where(rows == ROW_VOID, num_rows, torch.where(rows == ROW_UNKNOWN, num_rows + 1, rows))
    return _count(pred, index, num_classes, num_rows + 2)


def _count(pred: Tensor, index: Tensor, num_classes: int, num_rows: int) -> Tensor:
    pred = torch.as_tensor(pred).long().to(index.device)
    if pred.shape != index.shape:
        raise ValueError(
            f"the prediction has shape {tuple(pred.shape)}, the truth {tuple(index.shape)}; they are compared at the"
            " label's own size: in the pipeline, load labels after images were resized"
        )
    pred = torch.where((pred >= 0) & (pred < num_classes), pred, num_classes)
    pairs = (index * (num_classes + 1) + pred).flatten()
    counts = torch.bincount(pairs, minlength=num_rows * (num_classes + 1))
    return counts.reshape(num_rows, num_classes + 1).cpu()


def iou_summary(counts: Tensor, scored: Sequence[bool] | NDArray[np.bool_] | None = None) -> dict[str, Any]:
    """IoU per class, and its mean over the classes that are present, that is, occur in the ground truth.

    A class that occurs only in the prediction is absent: it does not enter the mean as 0; its pixels count against the
    classes that they should have been. Ignored ground truth counts only in `void_truth`.

    Args:
        counts: int64 `[K+1, K+1]` of `confusion`.
        scored: bool `[K]`, which classes enter the mean.

    Returns:
        `miou` and `accuracy` (NaN if no class is present); `per_class` float64 `[K]`, NaN if absent; the numbers of
        classes `present`, `absent`, `absent_predicted` (absent, but predicted) and `unscored` (present, but not in the
        mean); the numbers of pixels `pixels` (with ground truth), `void_truth` (ignored) and `void_predicted`
        (predicted as void or other, with ground truth).

    >>> summary = iou_summary(torch.tensor([[3, 1, 0], [0, 0, 0], [0, 5, 0]]))
    >>> summary["miou"], summary["present"], summary["absent"], summary["void_truth"]
    (0.75, 1, 1, 5)
    """
    table = counts.numpy().astype(np.int64)
    valid, hits = table[:-1], np.diag(table)[:-1]
    truth, predicted = valid.sum(1), valid.sum(0)[:-1]
    present = truth > 0
    mask = present if scored is None else present & np.asarray(scored, bool)
    per_class = np.full(len(truth), np.nan)
    per_class[present] = hits[present] / (truth + predicted - hits)[present]
    pixels = int(truth.sum())
    return {
        "miou": float(per_class[mask].mean()) if mask.any() else float("nan"),
        "accuracy": int(hits.sum()) / pixels if pixels else float("nan"),
        "per_class": per_class,
        "present": int(present.sum()),
        "absent": int((~present).sum()),
        "absent_predicted": int((~present & (predicted > 0)).sum()),
        "unscored": int((present & ~mask).sum()),
        "pixels": pixels,
        "void_truth": int(table[-1].sum()),
        "void_predicted": int(valid[:, -1].sum()),
    }


def group_sums(counts: Tensor, groups: Iterable[Sequence[int]]) -> NDArray[np.int64]:
    """What counts for the IoU of groups of classes: int64 `[3, G]`: hits, truth, predicted. From `confusion`.

    A pixel of a group is hit by any class of it.

    >>> group_sums(torch.tensor([[3, 1, 0, 1], [0, 2, 2, 0], [0, 0, 5, 0], [9, 0, 0, 0]]), [(0, 1), (2,)]).tolist()
    [[6, 5], [9, 5], [6, 7]]
    """
    valid = counts.numpy()[:-1]
    sums = [(valid[np.ix_(g, g)].sum(), valid[[*g]].sum(), valid[:, [*g]].sum()) for g in groups]
    return np.array(sums, np.int64).reshape(-1, 3).T


def image_sums(counts: Tensor) -> NDArray[np.int32]:
    """What an image adds to every IoU: int32 `[3, K]`: hits, truth, predicted. From `confusion`; IoU = h / (t + p - h).

    A bootstrap over images needs nothing else, and the sums are small: 1.5 KB per image with 124 classes.

    >>> image_sums(torch.tensor([[3, 1, 0], [0, 0, 0], [0, 5, 0]])).tolist()
    [[3, 0], [4, 0], [3, 1]]
    """
    valid = counts.numpy()[:-1]
    return np.stack([np.diag(valid), valid.sum(1), valid.sum(0)[:-1]]).astype(np.int32)
