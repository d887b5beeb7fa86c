"""Pipeline steps: label files → `gt_seg_map` and `gt_rows`, and packing them for the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs

from lsu_seg.encodings import LabelFileError
from lsu_seg.registry import TRANSFORMS, register


@register(TRANSFORMS)
class LoadTaxAnnotations(BaseTransform):
    """Load a label file through the dataset's taxonomy.

    Adds `gt_seg_map` `[H, W]` (source channels; void where the class is not decided by the ground truth alone),
    which geometric transforms carry along, and `gt_rows` int16 `[H, W]` (rows of d at the label's own
    resolution), which they do not.

    Raises:
        LabelFileError: an unreadable label, a value that the taxonomy does not list, or another size than the
            image's.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        path = results["seg_map_path"]
        channels, rows = results["annotation"].load(path)
        image = results.get("ori_shape")
        if image is not None and tuple(image[:2]) != channels.shape:
            raise LabelFileError(
                f"{path}: the label is {channels.shape[1]}x{channels.shape[0]} and the image `{results['img_path']}`"
                f" {image[1]}x{image[0]}; they must be of one size, labels are never resized silently"
            )
        results["gt_seg_map"] = channels
        results["gt_rows"] = rows
        results["seg_fields"].append("gt_seg_map")
        return results


@register(TRANSFORMS)
class PackTaxInputs(PackSegInputs):
    """`PackSegInputs`, and `gt_rows` int16 `[1, H, W]` and the sample's `key` beside it."""

    def __init__(
        self, meta_keys: tuple[str, ...] = ("img_path", "seg_map_path", "ori_shape", "img_shape", "key")
    ) -> None:
        super().__init__(meta_keys=meta_keys)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        packed = super().transform(results)
        if "gt_rows" in results:
            rows = torch.from_numpy(np.ascontiguousarray(results["gt_rows"]))[None]
            packed["data_samples"].gt_rows = PixelData(data=rows)
        return packed
