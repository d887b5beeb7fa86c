"""The two views besides the source view: the dataset's own taxonomy, and consistency with the constraint."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsu_onto import Constraint
from lsu_seg.evaluation.counts import iou_summary


def ignored_rows(constraint: Constraint) -> NDArray[np.bool_]:
    """bool `[D]`: classes that the map ignores by decision (`-> void`). `! any` states a fact, so it is not ignored."""
    return ~constraint.allowed[:, :-1].any(1) & ~constraint.novel


def projection(constraint: Constraint) -> NDArray[np.int64]:
    """int64 `[K]`: the dataset class that a predicted source class implies, or D if it implies none or several.

    A source class implies d if it lies inside d (`certain`) and inside no other dataset class.
    """
    one = constraint.certain.sum(0) == 1
    return np.where(one, constraint.certain.argmax(0), len(constraint.classes)).astype(np.int64)


def projected_confusion(counts: Tensor, constraint: Constraint) -> tuple[Tensor, int]:
    """The confusion in the dataset's own taxonomy, from `row_counts`.

    Returns:
        int64 `[D+1, D+1]` as from `confusion`, and the number of pixels with ground truth whose predicted source class
        implies no single dataset class. These are in the last column and count as missed: the IoU is a lower bound.
        The last row has the pixels that are not annotated, unknown, or ignored by decision.
    """
    d = len(constraint.classes)
    columns = np.append(projection(constraint), d)
    truth = np.where(ignored_rows(constraint), d, np.arange(d))
    table = counts.numpy()
    result = np.zeros((d + 1, d + 1), np.int64)
    np.add.at(result, (np.append(truth, [d, d])[:, None], columns[None]), table)
    ambiguous = table[:d][truth < d][:, :-1][:, columns[:-1] == d].sum()
    return torch.from_numpy(result), int(ambiguous)


def scored_rows(constraint: Constraint) -> NDArray[np.bool_]:
    """bool `[D]`: rows that some prediction implies, so that their IoU can be above 0.

    A source class inside the row is not enough: if it also lies inside another row, it implies neither.
    """
    return np.isin(np.arange(len(constraint.classes)), projection(constraint))


def possible(constraint: Constraint) -> NDArray[np.bool_]:
    """bool `[D, K+1]`: predictions (the last: void) that S(d) allows but that imply no row: they may be correct."""
    undecided = np.append(projection(constraint) == len(constraint.classes), True)
    allowed: NDArray[np.bool_] = constraint.allowed & undecided
    return allowed & ~ignored_rows(constraint)[:, None]


def projected_summary(counts: Tensor, constraint: Constraint) -> tuple[dict[str, Any], Tensor]:
    """The IoU in the dataset's own taxonomy, from `row_counts`: a lower and an upper value.

    `per_class` counts a prediction that implies no row as missed. `per_class_upper` counts it as a hit wherever S(d)
    allows it: the IoU if the model meant the correct row whenever the ontology leaves it open. A row with `>` and `~`
    is scored, and the difference between the two values shows how much depends on its `~`.

    Returns:
        The result of `iou_summary` over `scored_rows`, with `miou_upper` and `per_class_upper` `[D]` over the same
        rows, and with `ambiguous` and `unknown` pixels; and the confusion `[D+1, D+1]`.
    """
    matrix, ambiguous = projected_confusion(counts, constraint)
    scored, unknown = scored_rows(constraint), int(counts[-1].sum())
    summary = iou_summary(matrix, scored)
    table, valid = counts.numpy()[: len(constraint.classes)], matrix.numpy()[:-1]
    hits, truth, predicted = np.diag(valid), valid.sum(1), valid.sum(0)[:-1]
    upper = np.full(len(truth), np.nan)
    present = truth > 0
    more = (table * possible(constraint)).sum(1)
    upper[present] = (hits + more)[present] / (truth + predicted - hits)[present]
    mask = present & scored
    summary |= {
        "miou_upper": float(upper[mask].mean()) if mask.any() else float("nan"),
        "per_class_upper": upper,
        "ambiguous": ambiguous,
        "unknown": unknown,
        "void_truth": summary["void_truth"] - unknown,
        "void_predicted": summary["void_predicted"] - ambiguous,
    }
    return summary, matrix


def set_consistency(counts: Tensor, constraint: Constraint) -> dict[str, float]:
    """The share of pixels whose prediction lies in S(d), from `row_counts`.

    Returns:
        `consistency` over `pixels` (NaN if there are none). Excluded, and counted: `void_truth` (not annotated, or
        ignored by decision) and `unknown`. A class `! any` is included: only void is correct there.

    >>> from types import SimpleNamespace
    >>> world = SimpleNamespace(allowed=np.array([[True, False, False]]), novel=np.array([False]))
    >>> set_consistency(torch.tensor([[3, 1, 0], [7, 0, 0], [0, 2, 0]]), world)
    {'consistency': 0.75, 'pixels': 4, 'void_truth': 7, 'unknown': 2}
    """
    table = counts.numpy()
    d, ignored = len(constraint.allowed), ignored_rows(constraint)
    scored = table[:d][~ignored]
    pixels = int(scored.sum())
    hits = int(scored[constraint.allowed[~ignored]].sum())
    return {
        "consistency": hits / pixels if pixels else float("nan"),
        "pixels": pixels,
        "void_truth": int(table[:d][ignored].sum() + table[d].sum()),
        "unknown": int(table[d + 1].sum()),
    }


def set_sums(counts: Tensor, constraint: Constraint) -> NDArray[np.int32]:
    """What an image adds to the set consistency: int32 `[2]`: hits, pixels. From `row_counts`."""
    scored = ~ignored_rows(constraint)
    table = counts.numpy()[: len(scored)][scored]
    return np.array([table[constraint.allowed[scored]].sum(), table.sum()], np.int32)
