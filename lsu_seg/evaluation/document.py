"""Measured counts → the document written as JSON: per dataset and pooled, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import lsu_onto
from lsu_seg.evaluation import bootstrap
from lsu_seg.evaluation.confidence import as_document
from lsu_seg.evaluation.counts import iou_summary
from lsu_seg.evaluation.measured import Measured
from lsu_seg.evaluation.views import possible, projection, scored_rows

FORMAT = 1


def document(measured: Mapping[str, Measured]) -> dict[str, Any]:
    """All measurements of one model, as plain values; undefined values are None.

    `sets` has one entry per dataset. `pooled` is their union: all matrices and images, resampled within each dataset.
    """
    first = next(iter(measured.values()))
    draws = {name: bootstrap.resample_views(m.sums, i) for i, (name, m) in enumerate(measured.items())}
    return {
        "format": FORMAT,
        "toolkit": lsu_onto.__version__,
        "source": first.source,
        "bootstrap": {"resamples": bootstrap.RESAMPLES, "seed": bootstrap.SEED, "level": 0.95},
        "sets": {name: _set(m, draws[name]) for name, m in measured.items()},
        "pooled": _pooled(measured, draws),
    }


def _set(m: Measured, draws: Mapping[str, NDArray[np.float64]]) -> dict[str, Any]:
    views: dict[str, Any] = {}
    for view in m.views:
        summary = m.summary(view)
        if view == "set":
            hits, pixels = draws["set"].T
            share = np.divide(hits, pixels, out=np.full(len(hits), np.nan), where=pixels > 0)
            views[view] = summary | {"interval": bootstrap.interval(share, len(m.keys))}
            continue
        scored = None
        if view == "projected":
            assert m.constraint is not None
            scored = scored_rows(m.constraint)
        views[view] = _classes(m.names(view), summary, m.matrix(view), draws[view], len(m.keys), scored)
        if view == "source":
            views[view] |= _reliability(m.counts, m.classes, m.temperatures)
        if view == "source" and m.groups:
            views[view]["groups"] = _groups(m.groups, m.classes, m.group_sums(), draws["groups"], len(m.keys))
    if "projected" in views and m.constraint is not None:
        implied, open_ = projection(m.constraint), possible(m.constraint)
        labels = (*m.constraint.source_classes, "void")
        for d, one in enumerate(views["projected"]["classes"]):
            one["certain"] = [labels[s] for s in np.flatnonzero(implied == d)]
            one["possible"] = [labels[s] for s in np.flatnonzero(open_[d])]
    constraint = m.constraint
    return {
        "taxonomy": constraint.dataset if constraint else None,
        "taxonomy_sha256": constraint.content_sha256("labels", "map", "novel") if constraint else None,
        "images": len(m.keys),
        "views": views,
    }


def _classes(
    names: Sequence[str],
    summary: dict[str, Any],
    matrix: Tensor,
    draws: NDArray[np.float64],
    images: int,
    scored: NDArray[np.bool_] | None = None,
) -> dict[str, Any]:
    per_class = bootstrap.iou(draws)
    low, high = bootstrap.interval(per_class, images)
    table = matrix.numpy()
    truth, predicted = table[:-1].sum(1), table[:-1].sum(0)[:-1]
    classes = []
    for i, name in enumerate(names):
        one = {
            "name": name,
            "iou": summary["per_class"][i],
            "interval": [low[i], high[i]],
            "hits": table[i, i],
            "truth": truth[i],
            "predicted": predicted[i],
        }
        if scored is not None:
            one |= {"iou_upper": summary["per_class_upper"][i], "scored": scored[i]}
        classes.append(one)
    plain = {k: v for k, v in summary.items() if not k.startswith("per_class")}
    return plain | {
        "interval": bootstrap.interval(bootstrap.mean(per_class, scored), images),
        "classes": classes,
        "matrix": table,
    }


def _groups(
    groups: Mapping[str, Sequence[int]],
    names: Sequence[str],
    sums: NDArray[np.int64],
    draws: NDArray[np.float64],
    images: int,
) -> list[dict[str, Any]]:
    """The groups of the source, each as if it were one class. A group inside another counts in both."""
    low, high = bootstrap.interval(bootstrap.iou(draws), images)
    values = bootstrap.iou(sums.astype(float))
    return [
        {
            "name": name,
            "classes": [names[c] for c in channels],
            "iou": values[i],
            "interval": [low[i], high[i]],
            **dict(zip(("hits", "truth", "predicted"), sums[:, i], strict=True)),
        }
        for i, (name, channels) in enumerate(groups.items())
    ]


def _reliability(counts: Mapping[str, Tensor], classes: Sequence[str], temperatures: Sequence[float]) -> dict[str, Any]:
    """How sure predictions are; nothing of a model that predicts labels alone, without logits."""
    if not temperatures:
        return {}
    confidence = counts["confidence"]
    if not confidence.any() and counts["source"][:-1, :-1].any():
        return {}
    return {"reliability": as_document(confidence, classes, temperatures)}


def _pooled(measured: Mapping[str, Measured], draws: Mapping[str, Mapping[str, NDArray[np.float64]]]) -> dict[str, Any]:
    """The source view and the set consistency over all sets; classes of several taxonomies cannot be pooled."""
    first = next(iter(measured.values()))
    images = sum(len(m.keys) for m in measured.values())
    views: dict[str, Any] = {}
    share = {name: {"images": len(m.keys), "pixels": {}} for name, m in measured.items()}
    if all("source" in m.views for m in measured.values()):
        counts = torch.stack([m.counts["source"] for m in measured.values()]).sum(0)
        total = np.sum([d["source"] for d in draws.values()], axis=0)
        views["source"] = _classes(first.classes, iou_summary(counts), counts, total, images)
        if first.temperatures and all(m.temperatures == first.temperatures for m in measured.values()):
            confidence = torch.stack([m.counts["confidence"] for m in measured.values()]).sum(0)
            both = {"source": counts, "confidence": confidence}
            views["source"] |= _reliability(both, first.classes, first.temperatures)
        if first.groups and all(m.groups == first.groups for m in measured.values()):
            sums = np.sum([m.group_sums() for m in measured.values()], axis=0)
            total = np.sum([d["groups"] for d in draws.values()], axis=0)
            views["source"]["groups"] = _groups(first.groups, first.classes, sums, total, images)
    if all("set" in m.views for m in measured.values()):
        parts = [m.summary("set") for m in measured.values()]
        hits, pixels = np.sum([d["set"] for d in draws.values()], axis=0).T
        ratio = np.divide(hits, pixels, out=np.full(len(hits), np.nan), where=pixels > 0)
        exact = np.sum([m.sums["set"].sum(0, dtype=np.int64) for m in measured.values()], axis=0)
        views["set"] = {
            "consistency": exact[0] / exact[1] if exact[1] else None,
            "interval": bootstrap.interval(ratio, images),
            **{k: sum(p[k] for p in parts) for k in ("pixels", "void_truth", "unknown")},
        }
    for name, m in measured.items():
        share[name]["pixels"] = {v: m.summary(v)["pixels"] for v in views if v in m.views}
    return {"sets": share, "images": images, "views": views}
