"""Any MMSegmentation segmentor as a teacher."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from lsu_seg.decode import View

_STRIDE = 32
"""Views are sized to multiples of this, so that no backbone pads or rounds: logits always cover the image."""


class TeacherError(ValueError):
    """A model that cannot teach in this source taxonomy."""


class SegmentorTeacher:
    """Runs views of images through a segmentor and returns its logits at their own resolution.

    Args:
        model: an MMSegmentation segmentor (a DDP wrapper is taken off). It keeps its data preprocessor's
            normalisation; padding is not used.
        classes: the source's class names.

    Raises:
        TeacherError: the model predicts another number of classes, or names them otherwise.
    """

    def __init__(self, model: Any, classes: Sequence[str]) -> None:
        self.model = getattr(model, "module", model)
        out = getattr(self.model, "out_channels", None) or getattr(
            getattr(self.model, "decode_head", None), "out_channels", None
        )
        if out is not None and out != len(classes):
            raise TeacherError(
                f"the teacher predicts {out} classes, and the source taxonomy has {len(classes)}"
            )
        named = (getattr(self.model, "dataset_meta", None) or {}).get("classes")
        if named and list(named) != list(classes):
            at = next(
                (i for i, (a, b) in enumerate(zip(named, classes, strict=False)) if a != b), len(classes)
            )
            raise TeacherError(
                f"the checkpoint's classes differ from the source taxonomy's from channel {at} on:"
                f" {list(named)[at : at + 3]} against {list(classes)[at : at + 3]}"
            )

    @torch.no_grad()
    def views(
        self, images: Sequence[Tensor], scales: Sequence[float], flips: Sequence[bool]
    ) -> Iterator[list[View]]:
        """All views of a batch, one after the other.

        Args:
            images: uint8 `[3, H, W]` each, of one size, as the pipeline packs them.
            scales: of the image's size; every scale is seen with every flip.

        Yields:
            for each scale and flip, one `View` per image.
        """
        batch = self._normalised(images)
        height, width = batch.shape[2:]
        for scale in scales:
            size = [max(_STRIDE, round(s * scale / _STRIDE) * _STRIDE) for s in (height, width)]
            scaled = batch
            if list(batch.shape[2:]) != size:
                scaled = interpolate(batch, size, mode="bilinear", align_corners=False, antialias=scale < 1)
            for flip in flips:
                logits = self.model(scaled.flip(3) if flip else scaled, mode="tensor")
                logits = logits[0] if isinstance(logits, (list, tuple)) else logits
                yield [View(item, flip) for item in logits.float()]

    def _normalised(self, images: Sequence[Tensor]) -> Tensor:
        preprocessor = self.model.data_preprocessor
        padding, preprocessor.test_cfg = getattr(preprocessor, "test_cfg", None), None
        try:
            batch: Tensor = preprocessor({"inputs": list(images)}, False)["inputs"]
        finally:
            preprocessor.test_cfg = padding
        return batch
