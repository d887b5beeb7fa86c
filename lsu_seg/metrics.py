"""How good is a segmentation, in the source taxonomy and in each dataset's own. Everything is counted.

Counts are int64 matrices that are summed over images and ranks; ratios are taken once, at the end, and are
fractions 0..1 everywhere (mmengine's log too). Nothing is dropped: what is not scored is stated as a count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce, get_dist_info
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from numpy.typing import NDArray
from torch import Tensor

import lsu_onto
from lsu_onto import ROW_UNKNOWN, ROW_VOID, Constraint
from lsu_seg.encodings import void_index
from lsu_seg.registry import METRICS, register

VIEWS = ("source", "projected", "set")


def confusion(pred: Tensor, target: Tensor, num_classes: int, ignore: int = 255) -> Tensor:
    """Count pairs of truth and prediction.

    Args:
        pred: integer, any shape; whatever is not 0..K-1 is void or other.
        target: integer, the same shape; 0..K-1 or `ignore`.

    Returns:
        int64 `[K+1, K+1]` on the CPU. Rows are the truth, the last one ignored truth; columns are the prediction,
        the last one void or other. The sum is the number of pixels.

    Raises:
        ValueError: shapes differ; a truth that is neither a class nor `ignore`; `ignore` is a class.

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
    """Count pairs of annotated dataset class and predicted source class: all that the other two views need.

    Args:
        pred: integer, any shape; whatever is not 0..K-1 is void or other.
        rows: integer, the same shape; 0..D-1, `ROW_VOID` or `ROW_UNKNOWN`.

    Returns:
        int64 `[D+2, K+1]` on the CPU: D classes, not annotated, unknown; columns as in `confusion`.

    Raises:
        ValueError: shapes differ; another value in `rows`.

    >>> row_counts(torch.tensor([0, 1, 1]), torch.tensor([0, ROW_VOID, ROW_UNKNOWN]), 1, 2).tolist()
    [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    """
    rows = torch.as_tensor(rows).long()
    if rows.numel() and (rows.min() < ROW_UNKNOWN or rows.max() >= num_rows):
        raise ValueError(
            f"rows range over {int(rows.min())}..{int(rows.max())}; there are {num_rows} classes"
        )
    index = torch.where(rows == ROW_VOID, num_rows, torch.where(rows == ROW_UNKNOWN, num_rows + 1, rows))
    return _count(pred, index, num_classes, num_rows + 2)


def _count(pred: Tensor, index: Tensor, num_classes: int, num_rows: int) -> Tensor:
    pred = torch.as_tensor(pred).long().to(index.device)
    if pred.shape != index.shape:
        raise ValueError(f"the prediction has shape {tuple(pred.shape)}, the truth {tuple(index.shape)}")
    pred = torch.where((pred >= 0) & (pred < num_classes), pred, num_classes)
    pairs = (index * (num_classes + 1) + pred).flatten()
    counts = torch.bincount(pairs, minlength=num_rows * (num_classes + 1))
    return counts.reshape(num_rows, num_classes + 1).cpu()


def iou_summary(counts: Tensor, scored: Sequence[bool] | NDArray[np.bool_] | None = None) -> dict[str, Any]:
    """IoU per class and its mean over the classes that are present, that is, occur in the truth.

    A class that only the prediction has is absent: it does not enter the mean as 0, its pixels count against the
    classes that they should have been. Ignored truth counts nowhere but in `void_truth`.

    Args:
        counts: int64 `[K+1, K+1]` of `confusion`.
        scored: bool `[K]`, leaves classes out of the mean.

    Returns:
        `miou` and `accuracy` (NaN if nothing is present); `per_class` float64 `[K]`, NaN where absent; the numbers of
        classes `present`, `absent`, `absent_predicted` (absent, but predicted) and `unscored` (present, left out);
        the numbers of pixels `pixels` (with truth), `void_truth` (ignored), `void_predicted` (void or other, where
        there is truth).

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


def ignored_rows(constraint: Constraint) -> NDArray[np.bool_]:
    """bool `[D]`: classes that the map decided to ignore (`-> void`). `! any` states a fact, so it is not ignored."""
    return ~constraint.allowed[:, :-1].any(1) & ~constraint.novel


def projection(constraint: Constraint) -> NDArray[np.int64]:
    """int64 `[K]`: the dataset class that a predicted source class implies, or D where it implies none or several.

    A source class implies d if it lies inside d (`certain`), and nothing else does.
    """
    one = constraint.certain.sum(0) == 1
    return np.where(one, constraint.certain.argmax(0), len(constraint.classes)).astype(np.int64)


def projected_confusion(counts: Tensor, constraint: Constraint) -> tuple[Tensor, int]:
    """The confusion in the dataset's own taxonomy, from `row_counts`.

    Returns:
        int64 `[D+1, D+1]` as of `confusion`, and the number of pixels with truth whose predicted source class implies
        no single dataset class. These are in the last column and thus count as missed: the IoU is a lower bound.
        The last row has what is not annotated, unknown, or ignored by decision.
    """
    d = len(constraint.classes)
    columns = np.append(projection(constraint), d)
    truth = np.where(ignored_rows(constraint), d, np.arange(d))
    table = counts.numpy()
    result = np.zeros((d + 1, d + 1), np.int64)
    np.add.at(result, (np.append(truth, [d, d])[:, None], columns[None]), table)
    ambiguous = table[:d][truth < d][:, :-1][:, columns[:-1] == d].sum()
    return torch.from_numpy(result), int(ambiguous)


def set_consistency(counts: Tensor, constraint: Constraint) -> dict[str, float]:
    """The share of pixels whose prediction lies in S(d), from `row_counts`.

    Returns:
        `consistency` over `pixels` (NaN if there are none); not in it, and counted: `void_truth` (not annotated, or
        ignored by decision) and `unknown`. A class `! any` is in it: only void is right there.

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


@register(METRICS)
class OntologyIoU(BaseMetric):
    """mIoU in the source taxonomy, projected into the dataset's own, and consistency with the constraint.

    Reads from every data sample `pred_sem_seg` `[1, H, W]` at the labels' own size and, by view:

    - `source`: `gt_sem_seg` `[1, H, W]`, channels and void. K and names come from `dataset_meta["classes"]`.
    - `projected`, `set`: `gt_rows` int16 `[1, H, W]`, and the constraint: `dataset_meta["constraint"]`, or loaded by
      the name `dataset_meta["taxonomy"]`.

    Logs fractions 0..1 and counts, e.g. `source/mIoU`, `source/IoU.car` of each class present, `source/absent`, `projected/mIoU`, `projected/ambiguous`,
    `set/consistency`, `set/unknown`, and a table per class. For `save_best` give `rule="greater"` with the key.

    Args:
        source: name of the source taxonomy; checked against the constraint's.
        views: any of `source`, `projected`, `set`.
        ignore_index: void in `gt_sem_seg`; by default 255, or 65535 with more than 255 classes.

    Raises:
        ValueError: an unknown view; data that lacks what a view needs, or does not fit.

    >>> metric = OntologyIoU("demo", views=("source", "set"))
    """

    default_prefix = ""  # not None: keys carry their view, and BaseMetric would warn of a missing prefix

    def __init__(
        self, source: str, views: Sequence[str] = ("source",), ignore_index: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        wrong = [v for v in views if v not in VIEWS]
        if wrong or not views:
            raise ValueError(f"views are {list(views)}; expected some of {', '.join(VIEWS)}")
        self.source, self.views, self.ignore_index = source, tuple(views), ignore_index
        self._constraint: Constraint | None
        self._reset()

    def _reset(self) -> None:
        self.results.clear()
        # All images but the latest, which may turn out to be padding of the sampler; see `evaluate`.
        self._sum: dict[str, Tensor] = {}
        self._last: dict[str, Tensor] = {}
        self._images = 0
        self._constraint = None  # of the dataset that was judged; the next may be another

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count one batch."""
        names, constraint = self._meta()
        ignore = void_index(len(names)) if self.ignore_index is None else self.ignore_index
        for sample in data_samples:
            path = sample.get("img_path", f"image {self._images}")
            counts = {}
            try:
                pred = self._map(sample, "pred_sem_seg")
                if "source" in self.views:
                    target = self._map(sample, "gt_sem_seg")
                    counts["source"] = confusion(pred, target, len(names), ignore)
                if constraint is not None:
                    rows = self._map(sample, "gt_rows")
                    counts["rows"] = row_counts(pred, rows, len(constraint.classes), len(names))
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error
            self._sum = _add(self._sum, self._last)
            self._last = counts
            self._images += 1

    def evaluate(self, size: int) -> dict[str, float]:
        """Sum over ranks and compute. The same dict on every rank.

        `size` is the number of images. A sampler that gives each rank equally many repeats some at the end: rank r
        has image r, r + world size, …, so repeated ones are the last of the highest ranks, and are taken back.
        """
        names, constraint = self._meta()
        rank, world = get_dist_info()
        images = torch.tensor([self._images])
        all_reduce(images)
        surplus = int(images) - size
        if surplus >= world:
            print_log(
                f"OntologyIoU saw {int(images)} images, the dataset has {size}: all are counted", "current"
            )
        keep_last = not 0 < surplus < world or rank < world - surplus
        shapes = {"source": (len(names) + 1,) * 2} if "source" in self.views else {}
        if constraint is not None:
            shapes["rows"] = (len(constraint.classes) + 2, len(names) + 1)
        total = {key: torch.zeros(shape, dtype=torch.int64) for key, shape in shapes.items()}
        total = _add(_add(total, self._sum), self._last if keep_last else {})
        for counts in total.values():
            all_reduce(counts)
        metrics = self.compute_metrics([total])
        self._reset()
        return {f"{self.prefix}/{key}" if self.prefix else key: value for key, value in metrics.items()}

    def compute_metrics(self, results: list[dict[str, Tensor]]) -> dict[str, float]:
        """The metrics of the sum of `{"source": confusion, "rows": row_counts}` dicts."""
        names, constraint = self._meta()
        total: dict[str, Tensor] = {}
        for counts in results:
            total = _add(total, counts)
        metrics: dict[str, float] = {}
        if "source" in self.views:
            summary = iou_summary(total["source"])
            metrics |= _flat("source", summary, names)
            title = f"in the source taxonomy `{self.source}`"
            print_log(class_table(title, names, total["source"], summary), "current")
        if constraint is not None and "projected" in self.views:
            own, ambiguous = projected_confusion(total["rows"], constraint)
            summary = iou_summary(own, constraint.certain.any(1))
            unknown = int(total["rows"][-1].sum())
            summary["void_truth"] -= unknown
            summary["void_predicted"] -= ambiguous
            metrics |= _flat(
                "projected", {**summary, "ambiguous": ambiguous, "unknown": unknown}, constraint.classes
            )
            title = f"in the taxonomy of `{constraint.dataset}`, {ambiguous} ambiguous pixels"
            print_log(
                class_table(title, constraint.classes, own, summary, constraint.certain.any(1)), "current"
            )
        if constraint is not None and "set" in self.views:
            metrics |= {
                f"set/{key}": float(v) for key, v in set_consistency(total["rows"], constraint).items()
            }
        return metrics

    def _meta(self) -> tuple[Sequence[str], Constraint | None]:
        """Names of the K source classes, and the constraint if a view needs it."""
        meta = self.dataset_meta or {}
        constraint = meta.get("constraint") or self._constraint
        if constraint is None and self.views != ("source",):
            if not meta.get("taxonomy"):
                raise ValueError(
                    f"views {self.views} need `taxonomy` in the dataset's metainfo, as of `TaxDataset`"
                )
            constraint = self._constraint = lsu_onto.load(meta["taxonomy"], self.source)
        source = constraint.source if constraint is not None else meta.get("source", self.source)
        if source != self.source:
            raise ValueError(
                f"the dataset is related to source `{source}`; the metric is for `{self.source}`"
            )
        names = meta.get("classes") or (constraint.source_classes if constraint is not None else None)
        if not names:
            raise ValueError("the dataset's metainfo has no `classes`")
        if constraint is not None and len(names) != constraint.num_classes:
            raise ValueError(f"metainfo has {len(names)} classes, `{self.source}` {constraint.num_classes}")
        return names, constraint if self.views != ("source",) else None

    @staticmethod
    def _map(sample: dict, key: str) -> Tensor:
        """The map `[1, H, W]` under a key, as `[H, W]`."""
        if key not in sample:
            raise ValueError(f"the data sample has no `{key}`")
        data = sample[key]["data"]
        return data[0] if data.ndim == 3 else data


def class_table(
    title: str,
    names: Sequence[str],
    counts: Tensor,
    summary: dict[str, Any],
    scored: Sequence[bool] | NDArray[np.bool_] | None = None,
) -> str:
    """Plain text: IoU and pixels per class, then what the mean is over."""
    truth, predicted = counts[:-1].sum(1).tolist(), counts[:-1].sum(0).tolist()
    width = max(map(len, (*names, "class")))
    lines = [f"IoU {title}", f"{'class':{width}}  {'IoU':>6}  {'truth px':>12}  {'predicted px':>12}"]
    for i, name in enumerate(names):
        iou = f"{summary['per_class'][i]:6.4f}" if truth[i] else "absent"
        note = (
            "  not in the mean: no source class lies inside it"
            if scored is not None and not scored[i]
            else ""
        )
        lines.append(f"{name:{width}}  {iou}  {truth[i]:12d}  {predicted[i]:12d}{note}")
    mean = f"mIoU {summary['miou']:.4f} over {summary['present'] - summary['unscored']} classes"
    lines.append(f"{mean}; {summary['absent']} absent, {summary['unscored']} not scored")
    return "\n".join(lines)


def _flat(view: str, summary: dict[str, Any], classes: Sequence[str]) -> dict[str, float]:
    names = {"miou": "mIoU", "accuracy": "aAcc"}
    flat = {f"{view}/{names.get(k, k)}": float(v) for k, v in summary.items() if k != "per_class"}
    pairs = zip(classes, summary["per_class"], strict=True)
    return flat | {f"{view}/IoU.{name}": float(iou) for name, iou in pairs if not np.isnan(iou)}


def _add(a: dict[str, Tensor], b: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: a[key] + b[key] if key in a and key in b else (a | b)[key] for key in a | b}
