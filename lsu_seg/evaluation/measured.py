"""The counts of one dataset, from which every metric, interval and file derives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lsu_onto import Constraint
from lsu_seg.evaluation.bootstrap import iou
from lsu_seg.evaluation.counts import group_sums, image_sums, iou_summary
from lsu_seg.evaluation.views import projected_confusion, projected_summary, set_consistency, set_sums


@dataclass(frozen=True)
class Measured:
    """The counts of one dataset and of each of its images.

    Attributes:
        source: name of the source taxonomy; `classes`: its K classes.
        counts: `source` int64 `[K+1, K+1]` of `confusion`, `rows` int64 `[D+2, K+1]` of `row_counts`; with T
            temperatures `confidence` int64 `[T, K, 15, 3]` of `count_confidence`.
        views: the requested views.
        constraint: the dataset's constraint, if `rows` were counted.
        keys: keys of the n images, sorted; the same on every machine and with any number of ranks.
        sums: per image, int32: `source` `[n, 3, K]`, `projected` `[n, 3, D]`, `set` `[n, 2]`, and for the G groups of
            the source `groups` `[n, 3, G]`.
        groups: the groups of the source and their channels, if the view `source` was requested.
        temperatures: 1, and the one of the model's calibration, if it has one; () if confidence was not counted.
    """

    source: str
    classes: tuple[str, ...]
    views: tuple[str, ...]
    counts: dict[str, Tensor]
    constraint: Constraint | None = None
    keys: tuple[str, ...] = ()
    sums: dict[str, NDArray[np.int32]] = field(default_factory=dict)
    groups: Mapping[str, Sequence[int]] = field(default_factory=dict)
    temperatures: tuple[float, ...] = ()

    def summary(self, view: str) -> dict[str, Any]:
        """The result of `iou_summary` (`source`), `projected_summary` (`projected`) or `set_consistency` (`set`)."""
        if view == "source":
            return iou_summary(self.counts["source"])
        assert self.constraint is not None
        if view == "projected":
            return projected_summary(self.counts["rows"], self.constraint)[0]
        return dict(set_consistency(self.counts["rows"], self.constraint))

    def matrix(self, view: str) -> Tensor:
        """The confusion matrix of a view, int64, void last."""
        if view == "source":
            return self.counts["source"]
        assert self.constraint is not None
        return projected_confusion(self.counts["rows"], self.constraint)[0]

    def names(self, view: str) -> tuple[str, ...]:
        """The classes of `source` or `projected`."""
        if view == "source":
            return self.classes
        assert self.constraint is not None
        return self.constraint.classes

    def space(self, view: str) -> str:
        """The name of the label space of `source` or `projected`."""
        if view == "source":
            return self.source
        assert self.constraint is not None
        return self.constraint.dataset

    def group_sums(self) -> NDArray[np.int64]:
        """int64 `[3, G]` of all images."""
        return group_sums(self.counts["source"], self.groups.values())

    def figures(self) -> dict[str, float]:
        """All metrics as floats with flat names: `source/mIoU`, `source/IoU.car`, `set/unknown`, …"""
        flat: dict[str, float] = {}
        for view in self.views:
            summary = self.summary(view)
            classes = () if view == "set" else self.names(view)
            flat |= _flat(view, summary, classes)
        if self.groups:
            pairs = zip(self.groups, iou(self.group_sums().astype(float)).tolist(), strict=True)
            flat |= {f"groups/IoU.{name}": value for name, value in pairs if not np.isnan(value)}
        return flat


def sums_of_image(
    counts: dict[str, Tensor], constraint: Constraint | None, groups: Mapping[str, Sequence[int]]
) -> dict[str, NDArray[np.int32]]:
    """The `Measured.sums` of one image."""
    sums = {"source": image_sums(counts["source"])} if "source" in counts else {}
    if groups:
        sums["groups"] = group_sums(counts["source"], groups.values()).astype(np.int32)
    if constraint is not None:
        sums["projected"] = image_sums(projected_confusion(counts["rows"], constraint)[0])
        sums["set"] = set_sums(counts["rows"], constraint)
    return sums


_NAMES = {"miou": "mIoU", "miou_upper": "mIoU_upper", "accuracy": "aAcc"}


def _flat(view: str, summary: dict[str, Any], classes: Sequence[str]) -> dict[str, float]:
    flat = {f"{view}/{_NAMES.get(k, k)}": float(v) for k, v in summary.items() if not k.startswith("per_class")}
    for key, label in (("per_class", "IoU"), ("per_class_upper", "IoU_upper")):
        if key in summary:
            pairs = zip(classes, summary[key], strict=True)
            flat |= {f"{view}/{label}.{name}": float(v) for name, v in pairs if not np.isnan(v)}
    return flat
