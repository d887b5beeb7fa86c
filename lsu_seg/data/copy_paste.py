"""Copy-paste: segments of rare classes from one training image into another, every pixel with its target.

As in Simple Copy-Paste (Ghiasi et al., CVPR 2021), edges are hard: blending brought nothing there, and a blended pixel
would have no target. Segments are those of one class, as in ClassMix (Olsson et al., WACV 2021), whose pixels are found
in targets, also of pseudo-labels. What varies a segment's size, position and side are the transforms that both images
have been through before.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.dataset import Compose
from mmseg.datasets.transforms import PackSegInputs
from numpy.typing import NDArray

from lsu_seg.data.arguments import check_transform, is_number
from lsu_seg.data.rare import MIN_IMAGE, RareClasses
from lsu_seg.openmmlab.registry import TRANSFORMS, register
from lsu_seg.targets.class_pixels import class_counts
from lsu_seg.targets.table import TargetTable


class Donors:
    """The images that segments are taken from: those of a `CompoundDataset`.

    Args:
        datasets: its `TaxDataset`s. weights: how often an image of each is drawn, relative to those of the others.
        rare: what their classes are drawn by.
    """

    def __init__(self, datasets: Sequence[Any], weights: Sequence[float], rare: RareClasses) -> None:
        self.datasets, self.rare = datasets, rare
        images = np.array([[len(of_class) for of_class in each] for each in rare.images])
        self.weights = images * np.array(weights)[:, None]
        """float64 `[datasets, K]`: how often a class is drawn from each dataset."""

    def __deepcopy__(self, _: Any) -> Donors:
        return self  # `MultiImageMixDataset` copies a sample with all that it holds

    def draw(self) -> dict[str, Any] | None:
        """An image, as it is where `TaxCopyPaste` stands in the pipeline; None if there is none with enough pixels.

        First a class is drawn, and then one of the images that have it, of any dataset.
        """
        odds = self.rare.odds * (self.weights.sum(0) > 0)
        if not odds.any():
            return None
        (drawn,) = random.choices(range(len(odds)), odds)
        (member,) = random.choices(range(len(self.weights)), self.weights[:, drawn])
        index, dataset = int(random.choice(self.rare.images[member][drawn])), self.datasets[member]
        # With the odds of what is pasted, a `RareClassCrop` looks for such a class.
        steps = Compose(list(_before_paste(dataset.pipeline.transforms)))
        donor: dict[str, Any] | None = dataset.run(steps, index, class_odds=self.rare.odds)
        return donor


def _before_paste(transforms: Sequence[Any]) -> Iterator[Any]:
    """The transforms up to the paste; in the pipeline of a dataset that nothing is pasted into, up to the packing."""
    for transform in transforms:
        if any(isinstance(inner, (TaxCopyPaste, PackSegInputs)) for inner in nested([transform])):
            return
        yield transform


def nested(pipeline: Any) -> Iterator[Any]:
    """The transforms of a pipeline, also those inside `RandomChoice`, `RandomApply` and the like."""
    for transform in getattr(pipeline, "transforms", pipeline if isinstance(pipeline, (list, tuple)) else ()):
        if not isinstance(transform, (list, tuple)):
            yield transform
        yield from nested(transform)


@register(TRANSFORMS)
class TaxCopyPaste(BaseTransform):
    """Paste the segments of one class of another training image, where the `CompoundDataset` has `copy_paste`.

    A class is drawn, the rarer the likelier (`copy_paste` is the temperature), and an image of any dataset that has it.
    The image goes through the transforms of its own dataset up to this one (or up to the packing, where that dataset's
    own pipeline pastes nothing). Of the classes that it has enough pixels of
    then, one is drawn, and all its segments are pasted, at the place where they are: connected pixels whose target is
    the class, or a set that has the class. Each keeps its target, so sets and loss weights come along.

    Where the images differ in size, a window of the other is taken that shows the class. `pasted` of the result names
    the dataset that segments come from.

    Args:
        prob: the share of the samples that something is pasted into.

    Raises:
        DatasetError: `prob` is no share.
    """

    def __init__(self, prob: float = 0.5) -> None:
        check_transform(self, prob=(prob, is_number(prob, 0, 1), "a share of the samples, 0 to 1"))
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        donors: Donors | None = results.get("donors")
        if donors is None or random.random() >= self.prob:
            return results
        donor = donors.draw()
        if donor is None:  # void everywhere
            return results
        target, table = donor["gt_seg_map"], donor["reader"].table
        chosen = _draw_class(target, table, donors.rare.odds)
        if chosen is None:
            return results
        there, here = _windows(np.argwhere((table.single == chosen)[target]), target.shape, results["gt_seg_map"].shape)
        segments = _segments(target[there], table, chosen)
        for key, of_donor in (("img", donor["img"]), ("gt_seg_map", target)):
            pasted = results[key].copy()
            pasted[here][segments] = of_donor[there][segments]
            results[key] = pasted
        results["pasted"] = donor["dataset"]
        results.pop("gt_rows", None)  # of the image before
        return results


def _draw_class(target: NDArray[Any], table: TargetTable, odds: NDArray[np.float64]) -> int | None:
    """One of the classes that a target map has enough pixels of."""
    pixels = class_counts(target, table)[: table.num_classes]
    odds = odds * ((pixels > 0) & (pixels >= MIN_IMAGE * target.size))
    return int(np.random.choice(len(odds), p=odds / odds.sum())) if odds.any() else None


def _windows(
    pixels: NDArray[np.int64], there: Sequence[int], here: Sequence[int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """A window of the donor that shows one of some pixels, and one of the same size in the image to paste into.

    Args:
        pixels: `[P, 2]`, rows and columns. there, here: the sizes of the donor and of the image.
    """
    out = []
    for pixel, of_donor, of_image in zip(random.choice(pixels), there, here, strict=True):
        size = min(of_donor, of_image)
        start = random.randint(max(0, pixel - size + 1), min(pixel, of_donor - size))
        place = random.randint(0, of_image - size)
        out.append((slice(start, start + size), slice(place, place + size)))
    rows, columns = out
    return (rows[0], columns[0]), (rows[1], columns[1])


def _segments(target: NDArray[Any], table: TargetTable, chosen: int) -> NDArray[np.bool_]:
    """bool `[H, W]`: connected pixels that are or may be of a class, if one of them is."""
    may_be = np.concatenate([np.arange(table.first) == chosen, table.sets[:, chosen]])[target]
    _, segments = cv2.connectedComponents(may_be.astype(np.uint8))
    surely = (table.single == chosen)[target]
    shown: NDArray[np.bool_] = np.isin(segments, np.unique(segments[surely]))
    return shown
