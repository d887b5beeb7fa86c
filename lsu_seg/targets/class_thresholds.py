"""Thresholds by class: sets replace the same share of each class's pseudo-labels, the least confident ones.

A single threshold removes few labels of frequent classes, on which teachers are confident, and up to half of those of
rare classes (docs/results-camvid.md). Class-balanced self-training (Zou et al., ECCV 2018) chooses thresholds in the
same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsu_seg.label_files import LabelFileError
from lsu_seg.label_files.annotation import Annotation, read_confidence
from lsu_seg.runtime.progress import track
from lsu_seg.runtime.side_by_side import side_by_side
from lsu_seg.targets.kept_counts import digest_of, kept_counts

SAMPLE = 500
"""The number of images, evenly spaced, that estimate a dataset's confidence; reading all of them may take hours."""


def class_thresholds(counts: NDArray[np.int64], unsure: float) -> NDArray[np.float64]:
    """The confidence of every class below which at most a share of `unsure` of its pixels lies.

    Args:
        counts: int64 `[K, 256]`: pixels of each class by confidence, 255 = 1.
        unsure: 0..1.

    Returns:
        float64 `[K]`, 0..1; 0 for classes without pixels.

    >>> counts = np.zeros((2, 256), np.int64)
    >>> counts[0, [51, 102, 255]] = 5, 5, 90  # the other class has no pixels
    >>> class_thresholds(counts, 0.06).tolist()
    [0.4, 0.0]
    """
    below = np.cumsum(counts, 1)
    level = (below <= unsure * below[:, -1:]).sum(1)  # the first level at or below which too many pixels are
    return np.where(below[:, -1] > 0, np.minimum(level, 255), 0) / 255


def count_confidence(
    items: Sequence[Mapping[str, Any]], labels: Annotation, own: Annotation, folder: Path, title: str
) -> NDArray[np.int64]:
    """Count the confidences of the pseudo-labels in ambiguous pixels, class by class.

    The counts are cached in `folder/confidence.json`, and counted again if the images that were read have changed.

    Args:
        items: as returned by `TaxDataset.load_data_list`; `SAMPLE` of them are read.
        labels, own: the readers of pseudo-labels and of the dataset's own labels.
        folder: the folder of the pseudo-labels.
        title: the title of the progress bar.

    Returns:
        int64 `[K, 256]`: pixels of each class by confidence, 255 = 1.

    Raises:
        LabelFileError: a file is damaged, or its size differs from that of the other files of the image.
    """
    chosen = [items[i] for i in np.linspace(0, len(items) - 1, min(len(items), SAMPLE)).astype(int)]
    digest = digest_of(chosen, ("seg_map_path", "confidence_path", "own_path"), own)
    k = own.constraint.num_classes

    def count() -> NDArray[np.int64]:
        counts = np.zeros((k, 256), np.int64)
        for of_image in track(side_by_side(partial(_of_image, labels, own), chosen), title, len(chosen)):
            counts += of_image
        return counts

    return kept_counts(folder / "confidence.json", digest, (k, 256), count)


def _of_image(labels: Annotation, own: Annotation, item: Mapping[str, Any]) -> NDArray[np.int64]:
    k = own.constraint.num_classes
    ambiguous = np.append(own.constraint.allowed.sum(1) > 1, False)  # ROW_VOID is -1, the last entry
    classes = labels.load(item["seg_map_path"])[0]
    confidence = read_confidence(item["confidence_path"], classes.shape)
    rows = own.load(item["own_path"])[1]
    if rows.shape != classes.shape:
        raise LabelFileError(
            f"{item['seg_map_path']}: the pseudo-label is {classes.shape[1]}x{classes.shape[0]}, and the label"
            f" {item['own_path']} {rows.shape[1]}x{rows.shape[0]}: these are not the labels of this dataset"
        )
    counted = ambiguous[rows] & (classes < k)
    index = classes[counted].astype(np.int64) * 256 + confidence[counted]
    return np.bincount(index, minlength=k * 256).reshape(k, 256)
