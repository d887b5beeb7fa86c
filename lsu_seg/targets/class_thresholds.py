"""Thresholds by class: of each class's pseudo-labels the same share, the least sure, gives way to sets.

One threshold for all classes takes few labels from the frequent classes, of which teachers are sure, and up to a half
from rare ones (docs/results.md). Class-balanced self-training (Zou et al., ECCV 2018) picks thresholds in the same way.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsu_seg.label_files import LabelFileError, container, write_atomic
from lsu_seg.label_files.annotation import Annotation, read_confidence
from lsu_seg.runtime.progress import track

SAMPLE = 500
"""So many images, evenly spaced, tell a dataset's distribution of confidence; reading all may take hours."""


def class_thresholds(counts: NDArray[np.int64], unsure: float) -> NDArray[np.float64]:
    """The confidence of every class, 0..1, below which is a share of at most `unsure` of its pixels.

    Args:
        counts: int64 `[K, 256]`: pixels of each class by their confidence, 255 = 1.

    >>> counts = np.zeros((2, 256), np.int64)
    >>> counts[0, [51, 102, 255]] = 5, 5, 90  # of the other class there are none
    >>> class_thresholds(counts, 0.06).tolist()
    [0.4, 0.0]
    """
    below = np.cumsum(counts, 1)
    level = (below <= unsure * below[:, -1:]).sum(1)  # the first that too many would be below, or at
    return np.where(below[:, -1] > 0, np.minimum(level, 255), 0) / 255


def count_confidence(
    items: Sequence[Mapping[str, Any]], labels: Annotation, own: Annotation, folder: Path, title: str
) -> NDArray[np.int64]:
    """How sure the pseudo-labels of ambiguous pixels are, class by class.

    The counts stay in `folder/confidence.json`, for as long as the images that they are of stay the same.

    Args:
        items: as `TaxDataset.load_data_list` gives them; `SAMPLE` of them are read.
        labels, own: how pseudo-labels and the dataset's own labels are read.
        folder: of the pseudo-labels.
        title: of the progress bar.

    Returns:
        int64 `[K, 256]`, by confidence, 255 = 1.

    Raises:
        LabelFileError: one of the files is damaged, or of another size than the others.
    """
    chosen = [items[i] for i in np.linspace(0, len(items) - 1, min(len(items), SAMPLE)).astype(int)]
    digest = hashlib.sha256(own.constraint.sha256.encode())
    for item in chosen:
        for key in ("seg_map_path", "confidence_path", "own_path"):
            stat = container(Path(item[key])).stat()
            digest.update(f"{item['key']} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    kept = folder / "confidence.json"
    k = own.constraint.num_classes
    counts = _kept(kept, digest.hexdigest(), k)
    if counts is None:
        counts = np.zeros((k, 256), np.int64)
        ambiguous = np.append(own.constraint.allowed.sum(1) > 1, False)  # ROW_VOID is -1: the last
        for item in track(chosen, title, len(chosen)):
            classes = labels.load(item["seg_map_path"])[0]
            confidence = read_confidence(item["confidence_path"], classes.shape)
            rows = own.load(item["own_path"])[1]
            if rows.shape != classes.shape:
                raise LabelFileError(
                    f"{item['seg_map_path']}: the pseudo-label is {classes.shape[1]}x{classes.shape[0]}, and the label"
                    f" {item['own_path']} {rows.shape[1]}x{rows.shape[0]}: these are not the labels of this dataset"
                )
            asked = ambiguous[rows] & (classes < k)
            index = classes[asked].astype(np.int64) * 256 + confidence[asked]
            counts += np.bincount(index, minlength=k * 256).reshape(k, 256)
        with contextlib.suppress(OSError):  # where nothing can be written they are counted again next time
            write_atomic(kept, json.dumps({"of": digest.hexdigest(), "counts": counts.tolist()}).encode())
    return counts


def _kept(path: Path, digest: str, k: int) -> NDArray[np.int64] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["of"] == digest:
            return np.array(found["counts"], np.int64).reshape(k, 256)
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
    return None
