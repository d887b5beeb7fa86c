"""Any segmentor as a teacher: its evidence for an image, whole or window by window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from lsu_seg.decode import QueryView, View
from lsu_seg.teachers.windows import MULTIPLE, Band, TeacherError, Views, scaled_size


class SegmentorTeacher:
    """Runs views of images through a segmentor and hands over its evidence at the evidence's own resolution.

    The segmentor is called with normalised images, float `[B, 3, h, w]`, h and w multiples of 32. Where it has a method
    `evidence_of(batch) -> list[View | QueryView]`, one for each image, that is its evidence (the views' `flip` and
    `part` are set here). Else it is `model(batch, mode="tensor")`: logits `[B, K, h', w']`, or a list that they come
    first in.

    Args:
        model: an MMSegmentation segmentor (a DDP wrapper is taken off), or what behaves like one. It keeps its data
            preprocessor's normalisation; padding is not used.
        classes: the source's class names.
        views: how images are looked at.

    Raises:
        TeacherError: the model predicts another number of classes, or names them otherwise.
    """

    def __init__(self, model: Any, classes: Sequence[str], views: Views | None = None) -> None:
        self.settings = views or Views()
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
    def evidence(
        self,
        images: Sequence[Tensor],
        needed: Sequence[NDArray[np.bool_] | None] | None,
        label_sizes: Sequence[tuple[int, int]],
    ) -> Iterator[tuple[int, Band]]:
        """The evidence of all views for the labels of some images, band by band.

        Args:
            images: uint8 `[3, h, w]` each, of one size, as the pipeline packs them.
            needed: for each image bool `[H, W]`, the pixels of its label that the teacher is asked for, or None: all.
            label_sizes: (H, W) of each image's label.

        Yields:
            (place of the image among `images`, band). The bands of an image come in order and do not overlap. Label
            rows without a needed pixel may be in none. Labels do not depend on how many bands there are.
        """
        batch = self._normalised(images)
        views: list[list[View | QueryView]] = [[] for _ in images]
        for scale in self.settings.scales:
            size = scaled_size(batch.shape[2:], scale)
            scaled = batch
            if tuple(batch.shape[2:]) != size:
                scaled = interpolate(batch, size, mode="bilinear", align_corners=False, antialias=scale < 1)
            for flip in self.settings.flips:
                for mine, view in zip(views, self._forward(scaled.flip(3) if flip else scaled), strict=True):
                    view.flip = flip
                    mine.append(view)
        for i, (mine, (height, _)) in enumerate(zip(views, label_sizes, strict=True)):
            yield i, Band(0, height, mine)

    def _forward(self, batch: Tensor) -> list[View | QueryView]:
        """The model's evidence for each image of `[B, 3, h, w]`."""
        if hasattr(self.model, "evidence_of"):
            return list(self.model.evidence_of(batch))
        logits = self.model(batch, mode="tensor")
        logits = logits[0] if isinstance(logits, (list, tuple)) else logits
        return [View(item) for item in logits.float()]

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
            size = [max(MULTIPLE, round(s * scale / MULTIPLE) * MULTIPLE) for s in (height, width)]
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
