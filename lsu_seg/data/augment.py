"""Augmentations of MMSegmentation that give the same pixels from the same random numbers in a third of the time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from mmcv.transforms.utils import cache_randomness
from mmseg.datasets.transforms import PhotoMetricDistortion, RandomCrop
from numpy.typing import NDArray

from lsu_seg.data.arguments import are_numbers, check_transform, is_number
from lsu_seg.openmmlab.registry import TRANSFORMS, register

_EVERY = np.arange(256, dtype=np.uint8)


@register(TRANSFORMS)
class TaxRandomCrop(RandomCrop):
    """`RandomCrop` that counts the pixels of a crop's classes with a histogram instead of sorting them.

    Args:
        crop_size, cat_max_ratio, ignore_index: as in `RandomCrop`; `crop_size` may be a list, as JSON and YAML have it.

    Raises:
        DatasetError: a setting that is of another type, or out of range.
    """

    def __init__(self, crop_size: int | Sequence[int], cat_max_ratio: float = 1.0, ignore_index: int = 255) -> None:
        sides = crop_size if isinstance(crop_size, (list, tuple)) else (crop_size, crop_size)
        check_transform(
            self,
            crop_size=(crop_size, are_numbers(sides, 1, whole=True), "height and width in pixels, such as (512, 1024)"),
            cat_max_ratio=(cat_max_ratio, is_number(cat_max_ratio, 0, 1), "a share of the pixels, 0 to 1"),
            ignore_index=(ignore_index, is_number(ignore_index, whole=True), "a whole number"),
        )
        super().__init__(tuple(sides), cat_max_ratio, ignore_index)

    @cache_randomness  # type: ignore[untyped-decorator]
    def crop_bbox(self, results: dict[str, Any]) -> tuple[int, ...]:
        box = self._any_box(results["img"])
        if self.cat_max_ratio < 1.0:
            for _ in range(10):
                counts = _counts(self.crop(results["gt_seg_map"], box), self.ignore_index)
                if len(counts) > 1 and counts.max() / counts.sum() < self.cat_max_ratio:
                    break
                box = self._any_box(results["img"])
        return box

    def _any_box(self, image: NDArray[Any]) -> tuple[int, ...]:
        top, left = (
            np.random.randint(0, max(size - wanted, 0) + 1)
            for size, wanted in zip(image.shape, self.crop_size, strict=False)
        )
        return top, top + self.crop_size[0], left, left + self.crop_size[1]


def _counts(labels: NDArray[Any], ignored: int) -> NDArray[np.int64]:
    """The pixels of each value that occurs and is not ignored."""
    if labels.dtype not in (np.uint8, np.uint16) or not 0 < labels.size < 1 << 24:  # OpenCV counts in float32
        values, counts = np.unique(labels, return_counts=True)
        of_others: NDArray[np.int64] = counts[values != ignored]
        return of_others
    size = int(labels.max()) + 1
    counts = np.asarray(cv2.calcHist([labels], [0], None, [size], [0, size]), np.int64).ravel()
    if 0 <= ignored < size:
        counts[ignored] = 0
    return counts[counts > 0]


@register(TRANSFORMS)
class TaxPhotoMetricDistortion(PhotoMetricDistortion):
    """`PhotoMetricDistortion` that computes each change for the 256 values of a byte, and looks pixels up.

    Args:
        brightness_delta, contrast_range, saturation_range, hue_delta: as in `PhotoMetricDistortion`; with a `hue_delta`
            of 0, the hue stays as it is.

    Raises:
        DatasetError: a setting that is of another type, or out of range.
    """

    def __init__(
        self,
        brightness_delta: float = 32,
        contrast_range: Sequence[float] = (0.5, 1.5),
        saturation_range: Sequence[float] = (0.5, 1.5),
        hue_delta: int = 18,
    ) -> None:
        factors = "the lowest and the highest factor, such as (0.5, 1.5)"
        check_transform(
            self,
            brightness_delta=(brightness_delta, is_number(brightness_delta, 0), "a number, 0 or more"),
            contrast_range=(contrast_range, _is_range(contrast_range), factors),
            saturation_range=(saturation_range, _is_range(saturation_range), factors),
            hue_delta=(hue_delta, is_number(hue_delta, 0, 180, whole=True), "a whole number, 0 to 180"),
        )
        super().__init__(brightness_delta, contrast_range, saturation_range, hue_delta)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        return dict(super().transform(results | {"img": in_order(results["img"])}))

    def convert(self, img: NDArray[Any], alpha: float = 1, beta: float = 0) -> NDArray[np.uint8]:
        table: NDArray[np.uint8] = super().convert(_EVERY, alpha, beta)
        return _look_up(img, table) if img.dtype == np.uint8 else super().convert(img, alpha, beta)

    def saturation(self, img: NDArray[Any]) -> NDArray[Any]:
        if not np.random.randint(2):
            return img
        alpha = np.random.uniform(self.saturation_lower, self.saturation_upper)
        return _changed_in_hsv(img, 1, super().convert(_EVERY, alpha))

    def hue(self, img: NDArray[Any]) -> NDArray[Any]:
        if not np.random.randint(2) or not self.hue_delta:
            return img
        turned = (_EVERY.astype(int) + np.random.randint(-self.hue_delta, self.hue_delta)) % 180
        return _changed_in_hsv(img, 0, turned.astype(np.uint8))


def _is_range(value: Any) -> bool:
    return are_numbers(value, 0) and value[0] <= value[1]


def in_order(image: NDArray[Any]) -> NDArray[Any]:
    """An image that `RandomFlip` has mirrored by its strides alone, `[H, W, 3]`, as pixels that lie in order.

    OpenCV copies them thirty times as fast as numpy does, which whatever comes next would leave it to.
    """
    if image.ndim == 3 and image.strides[1] < 0 < image.strides[0]:
        return np.asarray(cv2.flip(image[:, ::-1], 1))
    return image


def _changed_in_hsv(image: NDArray[np.uint8], channel: int, table: NDArray[np.uint8]) -> NDArray[Any]:
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    channels = list(cv2.split(hsv))
    channels[channel] = cv2.LUT(channels[channel], table)
    cv2.merge(channels, hsv)
    changed: NDArray[Any] = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR, hsv)
    return changed


def _look_up(image: NDArray[np.uint8], table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    pixels: Any = cv2.LUT(image, table)
    return np.asarray(pixels)
