"""The model's forward pass; if it runs out of memory, it retries with smaller batches, then with smaller pieces."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from mmseg.structures import SegDataSample
from torch import Tensor

from lsu_onto import ran_out
from lsu_seg.decode import QueryView, View
from lsu_seg.errors import TeacherError
from lsu_seg.teachers.maps import Maps, stride_of
from lsu_seg.teachers.windows import MULTIPLE

_HALO = 256
"""Pixels around a piece that the model also sees: larger than most convolutional models' receptive fields."""

_SMALLEST = 64
"""Pieces whose longer side, without halo, is shorter than this are not halved again."""

Core = tuple[int, int, int, int]
"""top, bottom, left, right, in pixels."""


@dataclass
class Forward:
    """Runs a model for one image, or for several images that share a batch.

    A size that ran out of memory is not tried again for the same image. The next image gets its own `Forward` and
    starts as planned, so that its labels do not depend on the images before it.

    Attributes:
        model: a segmentor, see `SegmentorTeacher`.
        image_size: (height, width), for error messages.
        compiled: (number, height, width) of the batch of windows that the model is compiled for, or None.
        temperature: what the model's logits are divided by.
        out_of_memory: whether the model ran out of memory.
    """

    model: Any
    image_size: tuple[int, int]
    compiled: tuple[int, int, int] | None = None
    temperature: float = 1.0
    out_of_memory: bool = False
    _too_large: set[tuple[int, ...]] = field(default_factory=set)

    def __call__(self, batch: Tensor, by_class: bool = False) -> list[Maps]:
        """The evidence for each image or window of float `[B, 3, h, w]`; with `by_class`, masks are merged by class.

        Raises:
            TeacherError: even the smallest pieces do not fit into memory.
        """
        evidence = self._try(batch, by_class)
        if evidence is not None:
            return evidence
        if len(batch) > 1:
            return [maps for item in batch.split(1) for maps in self(item, by_class)]
        return [self._from_pieces(batch)]

    def _try(self, batch: Tensor, by_class: bool) -> list[Maps] | None:
        """The evidence, or None if memory does not suffice."""
        if tuple(batch.shape) in self._too_large:
            return None
        try:
            evidence = [Maps.of(view) for view in views_of(self.model, self._filled(batch))[: len(batch)]]
            evidence = [maps.by_class() for maps in evidence] if by_class else evidence
            return [maps.tempered(self.temperature) for maps in evidence]
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
        # Only here has the exception been released, and with it the tensors of the frames that it passed through.
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        self._too_large.add(tuple(batch.shape))
        self.out_of_memory = True
        return None

    def _filled(self, batch: Tensor) -> Tensor:
        """A batch of windows as the model is compiled for it, unless it has to see more than twice as many for that."""
        if self.compiled is None or tuple(batch.shape[2:]) != self.compiled[1:]:
            return batch
        missing = max(0, self.compiled[0] - len(batch))
        more = batch[-1:].expand(missing if missing <= len(batch) else 0, -1, -1, -1)
        return torch.cat([batch, more])  # a copy, because it is compiled for the strides, too

    def _from_pieces(self, image: Tensor) -> Maps:
        """See `[1, 3, h, w]` in pieces that overlap only in their halos, which are cut away."""
        height, width = image.shape[2:]
        whole: Maps | None = None
        for (top, bottom, left, right), maps, stride in self._pieces(image, (0, height, 0, width)):
            if whole is None:
                size = len(maps.values), height // stride, width // stride
                whole = maps.like(maps.values.new_empty(size))
            rows, columns = slice(top // stride, bottom // stride), slice(left // stride, right // stride)
            whole.values[:, rows, columns] = maps.values
            del maps  # or it would be in memory beside the next piece
        assert whole is not None
        return whole

    def _pieces(self, image: Tensor, core: Core) -> Iterator[tuple[Core, Maps, int]]:
        """The two halves of `core`; a half that is still too large is halved again."""
        for half in self._halves(core):
            crop, inner = _with_halo(image, half)
            evidence = self._try(crop, by_class=True)
            if evidence is None:
                yield from self._pieces(image, half)
                continue
            maps = evidence.pop()
            stride = self.stride(crop, maps)
            top, bottom, left, right = (n // stride for n in inner)
            values = maps.values[:, top:bottom, left:right]
            pieces = [(half, maps.like(values), stride)]
            del maps, values, crop
            yield pieces.pop()  # nothing is left of a piece while the next one is computed

    def _halves(self, core: Core) -> list[Core]:
        top, bottom, left, right = core
        if max(bottom - top, right - left) < _SMALLEST:
            height, width = self.image_size
            raise TeacherError(
                f"out of memory: of an image of {height} x {width} pixels, the teacher cannot even see a piece of"
                f" {bottom - top} x {right - left}; free memory on its device, or take a smaller model or `memory`"
            )
        if bottom - top >= right - left:
            middle = top + _half(bottom - top)
            return [(top, middle, left, right), (middle, bottom, left, right)]
        middle = left + _half(right - left)
        return [(top, bottom, left, middle), (top, bottom, middle, right)]

    def stride(self, batch: Tensor, maps: Maps) -> int:
        """Pixels per value of a map.

        Raises:
            TeacherError: windows cannot be joined, because the model's values do not lie on one grid.
        """
        height, width = batch.shape[2:]
        size = maps.values.shape[1], maps.values.shape[2]
        stride = stride_of((height, width), size)
        if not stride or MULTIPLE % stride:
            raise TeacherError(
                f"the teacher gives {size[0]} x {size[1]} values for a window of {height} x {width} pixels; windows"
                f" need a whole number of pixels for each value that divides {MULTIPLE}. Set window=None, memory=None"
                " for whole images"
            )
        return stride


def views_of(model: Any, batch: Tensor) -> list[View | QueryView]:
    """A forward pass: the evidence of a segmentor for each image of a batch `[N, 3, H, W]`, as it is preprocessed.

    `openmmlab/failures.py` knows this function by its name: what the model raises here is explained to its author.
    """
    if hasattr(model, "evidence_of"):
        return list(model.evidence_of(batch))
    if has_mask_head(model):
        return _mask_views(model, batch)
    logits = model(batch, mode="tensor")
    logits = logits[0] if isinstance(logits, (list, tuple)) else logits
    aligned = bool(getattr(model, "align_corners", False))  # the model's `predict` resizes by it
    return [View(item, align_corners=aligned) for item in logits]


def has_mask_head(model: Any) -> bool:
    """Whether the head is one of those that MMSegmentation has from mmdet, Mask2Former's and MaskFormer's.

    They are known by what sets them apart: the samples, which no other head's forward takes.
    """
    head = getattr(model, "decode_head", None)
    return head is not None and "batch_data_samples" in inspect.signature(head.forward).parameters


def _mask_views(model: Any, batch: Tensor) -> list[View | QueryView]:
    """The masks and classes of the last of the decoder's layers. MMSegmentation's own `predict` drops no-object.

    It resizes masks with `align_corners=False`, whatever the head's config says.
    """
    size = tuple(batch.shape[2:])
    sample = SegDataSample(metainfo=dict(img_shape=size, batch_input_shape=size))
    classes, masks = model.decode_head(model.extract_feat(batch), [sample] * len(batch))
    return [QueryView(*pair) for pair in zip(classes[-1], masks[-1], strict=True)]


def _half(side: int) -> int:
    return -(-side // (2 * MULTIPLE)) * MULTIPLE


def _with_halo(image: Tensor, core: Core) -> tuple[Tensor, Core]:
    """`[1, 3, h, w]` → the core with its halo, clipped to the image, and the position of the core inside it."""
    top, bottom, left, right = core
    longer = max(bottom - top, right - left)
    halo = min(_HALO, max(MULTIPLE, longer // 2 // MULTIPLE * MULTIPLE))
    up, down = max(0, top - halo), min(image.shape[2], bottom + halo)
    west, east = max(0, left - halo), min(image.shape[3], right + halo)
    return image[:, :, up:down, west:east], (top - up, bottom - up, left - west, right - west)
