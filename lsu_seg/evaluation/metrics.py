"""How good is a segmentation, in the source taxonomy and in each dataset's own. Everything is counted.

Counts are int64 matrices that are summed over images and ranks; ratios are taken once, at the end, and are
fractions 0..1 everywhere (mmengine's log too). Nothing is dropped: what is not scored is stated as a count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, all_reduce, get_dist_info
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from numpy.typing import NDArray
from torch import Tensor

import lsu_onto
from lsu_onto import Constraint
from lsu_seg.evaluation.confidence import count_confidence
from lsu_seg.evaluation.counts import confusion, iou_summary, row_counts
from lsu_seg.evaluation.errors import EvaluationError
from lsu_seg.evaluation.image_sums import ImageSums, merged
from lsu_seg.evaluation.measured import Measured, sums_of_image
from lsu_seg.evaluation.views import scored_rows
from lsu_seg.label_files import void_index
from lsu_seg.openmmlab.registry import METRICS, register
from lsu_seg.teachers.reliability import BINS

VIEWS = ("source", "projected", "set")
_OF = "of "
"""Begins the keys of the counts of single datasets."""


@register(METRICS)
class OntologyIoU(BaseMetric):
    """mIoU in the source taxonomy, projected into the dataset's own, and consistency with the constraint.

    Reads from every data sample `pred_sem_seg` `[1, H, W]` at the labels' own size, `seg_logits` if there are any, to
    see whether they are numbers, and, by view:

    - `source`: `gt_sem_seg` `[1, H, W]`, channels and void. K and names come from `dataset_meta["classes"]`; the groups
      of the source and their channels from the constraint, or from `dataset_meta["groups"]`.
    - `projected`, `set`: `gt_rows` int16 `[1, H, W]`, and the constraint: `dataset_meta["constraint"]`, or loaded by
      the name `dataset_meta["taxonomy"]`.

    Logs fractions 0..1 and counts, e.g. `source/mIoU`, `source/IoU.car` of each class present, `source/absent`,
    `groups/IoU.vehicle`, `projected/mIoU` and `projected/mIoU_upper`, `projected/ambiguous`, `set/consistency`,
    `set/unknown`, and a table per class. Of a `CompoundDataset`, the view `source` also has the mIoU of each of its
    datasets, `town/mIoU`. After `evaluate`, `measured` holds the counts. For `save_best` give `rule="greater"` with the
    key.

    Args:
        source: name of the source taxonomy; checked against the constraint's.
        views: any of `source`, `projected`, `set`.
        ignore_index: void in `gt_sem_seg`; by default 255, or 65535 with more than 255 classes.
        temperatures: in the view `source`, also count how confident predictions are, with `seg_logits` divided by each
            of these (`count_confidence`).
        logits_are_shares: as for `count_confidence`.

    Raises:
        EvaluationError: an unknown view; data that lacks what a view needs, or does not fit; logits of NaN or Inf.

    >>> metric = OntologyIoU("demo", views=("source", "set"))
    """

    default_prefix = ""  # not None: keys carry their view, and BaseMetric would warn of a missing prefix

    def __init__(
        self,
        source: str,
        views: Sequence[str] = ("source",),
        ignore_index: int | None = None,
        temperatures: Sequence[float] = (),
        logits_are_shares: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        unknown = [v for v in views if v not in VIEWS]
        if unknown or not views:
            raise EvaluationError(f"views are {list(views)}; expected some of {', '.join(VIEWS)}")
        self.source, self.views, self.ignore_index = source, tuple(views), ignore_index
        self.temperatures, self.logits_are_shares = tuple(temperatures), logits_are_shares
        self._constraint: Constraint | None
        self.measured: Measured | None = None
        self._reset()

    def _reset(self) -> None:
        self.results.clear()
        # All images but the latest, which may turn out to be padding of the sampler; see `evaluate`.
        self._sum: dict[str, Tensor] = {}
        self._last: dict[str, Tensor] = {}
        self._images = ImageSums()
        self._constraint = None  # of the dataset that was judged; the next may be another

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Count one batch."""
        names, constraint, groups = self._meta()
        ignore = void_index(len(names)) if self.ignore_index is None else self.ignore_index
        for sample in data_samples:
            path = sample.get("img_path", f"image {len(self._images)}")
            counts = {}
            try:
                _check_logits(sample)
                pred = self._map(sample, "pred_sem_seg")
                if "source" in self.views:
                    target = self._map(sample, "gt_sem_seg")
                    counts["source"] = confusion(pred, target, len(names), ignore)
                    logits = sample["seg_logits"]["data"] if "seg_logits" in sample else None
                    if self.temperatures and logits is not None and logits.shape == (len(names), *pred.shape):
                        counts["confidence"] = count_confidence(
                            logits, pred, target, self.temperatures, self.logits_are_shares
                        )
                    if dataset := sample.get("dataset"):
                        counts[f"{_OF}{dataset}"] = counts["source"]
                if constraint is not None:
                    rows = self._map(sample, "gt_rows")
                    counts["rows"] = row_counts(pred, rows, len(constraint.classes), len(names))
            except ValueError as error:
                raise EvaluationError(f"{path}: {error}") from error
            self._sum = _add(self._sum, self._last)
            self._last = counts
            self._images.append(sample.get("key", path), sums_of_image(counts, constraint, groups))

    def evaluate(self, size: int) -> dict[str, float]:
        """Sum over ranks and compute. The same dict on every rank, and `measured` has what it derives from.

        `size` is the number of images. A sampler that gives each rank equally many repeats some at the end: rank r
        has image r, r + world size, …, so repeated ones are the last of the highest ranks, and are taken back.
        """
        names, constraint, groups = self._meta()
        rank, world = get_dist_info()
        counted = torch.tensor([len(self._images)])
        all_reduce(counted)
        surplus = int(counted) - size
        if surplus >= world:
            print_log(f"OntologyIoU saw {int(counted)} images, the dataset has {size}: all are counted", "current")
        keep_last = not 0 < surplus < world or rank < world - surplus
        shapes: dict[str, tuple[int, ...]] = {}
        if "source" in self.views:
            shapes["source"] = (len(names) + 1,) * 2
            if self.temperatures:
                shapes["confidence"] = (len(self.temperatures), len(names), BINS, 3)
        if constraint is not None:
            shapes["rows"] = (len(constraint.classes) + 2, len(names) + 1)
        counted_here = _add(self._sum, self._last if keep_last else {})
        members = [key for part in all_gather_object(sorted(counted_here)) for key in part if key.startswith(_OF)]
        shapes |= dict.fromkeys(sorted(members), (len(names) + 1,) * 2)  # the same on every rank
        total = {key: torch.zeros(shape, dtype=torch.int64) for key, shape in shapes.items()}
        total = _add(total, counted_here)
        for counts in total.values():
            all_reduce(counts)
        of_members = {key.removeprefix(_OF): total.pop(key) for key in dict.fromkeys(sorted(members))}
        keys, sums = merged(all_gather_object(self._images.take(len(self._images) - (not keep_last))))
        self.measured = Measured(
            self.source, tuple(names), self.views, total, constraint, keys, sums, groups, self.temperatures
        )
        metrics = self.compute_metrics([total])
        if len(of_members) > 1:
            means = {name: iou_summary(counts)["miou"] for name, counts in of_members.items()}
            metrics |= {f"{name}/mIoU": float(mean) for name, mean in means.items() if not np.isnan(mean)}
        self._reset()
        return {f"{self.prefix}/{key}" if self.prefix else key: value for key, value in metrics.items()}

    def compute_metrics(self, results: list[dict[str, Tensor]]) -> dict[str, float]:
        """The metrics of the sum of `{"source": confusion, "rows": row_counts}` dicts."""
        names, constraint, groups = self._meta()
        total: dict[str, Tensor] = {}
        for counts in results:
            total = _add(total, counts)
        measured = Measured(self.source, tuple(names), self.views, total, constraint, groups=groups)
        if "source" in self.views:
            title = f"in the source taxonomy `{self.source}`"
            print_log(class_table(title, names, total["source"], measured.summary("source")), "current")
        if constraint is not None and "projected" in self.views:
            summary = measured.summary("projected")
            title = f"in the taxonomy of `{constraint.dataset}`, {summary['ambiguous']} ambiguous pixels"
            table = class_table(
                title, constraint.classes, measured.matrix("projected"), summary, scored_rows(constraint)
            )
            print_log(table, "current")
        return measured.figures()

    def figure_names(self, members: Sequence[str] = ()) -> set[str]:
        """What `evaluate` may call its figures; of classes that are absent it leaves theirs out.

        Args:
            members: the names of the datasets in a `CompoundDataset`.
        """
        names, constraint, groups = self._meta()
        counts = {"source": torch.ones((len(names) + 1,) * 2, dtype=torch.int64)} if "source" in self.views else {}
        if constraint is not None:
            counts["rows"] = torch.ones((len(constraint.classes) + 2, len(names) + 1), dtype=torch.int64)
        figures = Measured(self.source, tuple(names), self.views, counts, constraint, groups=groups).figures()
        found = {*figures, *(f"{member}/mIoU" for member in members)}
        return {f"{self.prefix}/{key}" if self.prefix else key for key in found}

    def _meta(self) -> tuple[Sequence[str], Constraint | None, Mapping[str, Sequence[int]]]:
        """Names of the K source classes, the constraint if a view needs it, and the groups for the view `source`."""
        meta = self.dataset_meta or {}
        constraint = meta.get("constraint") or self._constraint
        source = constraint.source if constraint is not None else meta.get("source", self.source)
        if source != self.source:
            raise EvaluationError(f"the dataset is related to source `{source}`; the metric is for `{self.source}`")
        if constraint is None and self.views != ("source",):
            if not meta.get("taxonomy"):
                raise EvaluationError(
                    f"views {self.views} need `taxonomy` in the dataset's metainfo, as of `TaxDataset`"
                )
            constraint = self._constraint = lsu_onto.load(meta["taxonomy"], self.source, meta.get("paths", ()))
        names = meta.get("classes") or (constraint.source_classes if constraint is not None else None)
        if not names:
            raise EvaluationError("the dataset's metainfo has no `classes`")
        if constraint is not None and len(names) != constraint.num_classes:
            raise EvaluationError(f"metainfo has {len(names)} classes, `{self.source}` {constraint.num_classes}")
        groups = meta.get("groups", {}) if constraint is None else constraint.groups
        return (
            names,
            constraint if self.views != ("source",) else None,
            groups if "source" in self.views else {},
        )

    @staticmethod
    def _map(sample: dict[str, Any], key: str) -> Tensor:
        """The map `[1, H, W]` under a key, as `[H, W]`."""
        if key not in sample:
            raise EvaluationError(f"the data sample has no `{key}`")
        data: Tensor = sample[key]["data"]
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
        note = "  not in the mean: no prediction implies it" if scored is not None and not scored[i] else ""
        lines.append(f"{name:{width}}  {iou}  {truth[i]:12d}  {predicted[i]:12d}{note}")
    mean = f"mIoU {summary['miou']:.4f} over {summary['present'] - summary['unscored']} classes"
    lines.append(f"{mean}; {summary['absent']} absent, {summary['unscored']} not scored")
    return "\n".join(lines)


def _add(a: dict[str, Tensor], b: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: a[key] + b[key] if key in a and key in b else (a | b)[key] for key in a | b}


def _check_logits(sample: Mapping[str, Any]) -> None:
    """Refuse logits whose largest is no number: `argmax` takes NaN for the largest, and the first class for all."""
    logits = sample.get("seg_logits")
    if logits is None:
        return
    wrong = int((~logits["data"].amax(0).isfinite()).sum())
    if wrong:
        raise ValueError(
            f"the model's logits hold NaN or Inf at {wrong} pixel(s), which are of no class; check that its training"
            " has not diverged, and that its weights fit its config and precision"
        )
