"""Colours as RandAugment changes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform

from lsu_seg.data.arguments import check_transform, is_number
from lsu_seg.openmmlab.registry import TRANSFORMS, register

MAGNITUDES = 30
"""The largest magnitude, as in torchvision."""

Operation = Callable[[Any, float, int], Any]
"""An image, uint8 `[H, W, 3]` BGR; the strength, 0 to 1; and in which direction, 1 or -1."""

OPERATIONS: dict[str, Operation] = {
    "identity": lambda image, *_: image,
    "auto_contrast": lambda image, *_: mmcv.auto_contrast(image),
    "equalize": lambda image, *_: mmcv.imequalize(image),
    "posterize": lambda image, strength, _: mmcv.posterize(image, 8 - round(4 * strength)),
    "solarize": lambda image, strength, _: mmcv.solarize(image, 255 * (1 - strength)),
    "color": lambda image, strength, sign: mmcv.adjust_color(image, 1 + 0.9 * strength * sign),
    "contrast": lambda image, strength, sign: mmcv.adjust_contrast(image, 1 + 0.9 * strength * sign),
    "brightness": lambda image, strength, sign: mmcv.adjust_brightness(image, 1 + 0.9 * strength * sign),
    "sharpness": lambda image, strength, sign: mmcv.adjust_sharpness(image, 1 + 0.9 * strength * sign),
}
"""RandAugment's, without those that move pixels."""


@register(TRANSFORMS)
class RandAugmentColour(BaseTransform):
    """The operations of RandAugment (Cubuk et al., 2020) that change colours; labels stay as they are.

    Beside `PhotoMetricDistortion`, which changes brightness, contrast, saturation and hue, there are sharpness,
    equalized and stretched histograms, fewer levels, and inverted highlights. There is no change of hue.

    Args:
        num_ops: so many operations are drawn, one after the other.
        magnitude: how strong each is, 0 to 30.

    Raises:
        DatasetError: a number that is out of range.
    """

    def __init__(self, num_ops: int = 2, magnitude: int = 9) -> None:
        check_transform(
            self,
            num_ops=(num_ops, is_number(num_ops, 0, 100, whole=True), "a whole number, 0 to 100"),
            magnitude=(
                magnitude,
                is_number(magnitude, 0, MAGNITUDES, whole=True),
                f"a whole number, 0 to {MAGNITUDES}",
            ),
        )
        self.num_ops, self.magnitude = num_ops, magnitude

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        image = results["img"]
        for name in np.random.choice(list(OPERATIONS), self.num_ops):
            image = OPERATIONS[name](image, self.magnitude / MAGNITUDES, np.random.choice([-1, 1]))
        results["img"] = np.ascontiguousarray(image, results["img"].dtype)
        return results
