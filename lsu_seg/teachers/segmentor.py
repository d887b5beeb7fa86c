"""Any segmentor as a teacher: its evidence for whole images or window by window."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from numpy.typing import NDArray
from torch import Tensor

from lsu_onto import ran_out
from lsu_seg.decode import QueryView, View
from lsu_seg.errors import TeacherError
from lsu_seg.runtime.allocator import keep_freed_memory
from lsu_seg.runtime.transfer import to_device
from lsu_seg.teachers.classes import class_mismatch, warn_of_assumed
from lsu_seg.teachers.computing import ComputingNetwork
from lsu_seg.teachers.forward import Forward
from lsu_seg.teachers.maps import Maps
from lsu_seg.teachers.memory import Plan, Probe, make_plan
from lsu_seg.teachers.resample import scaled_rows
from lsu_seg.teachers.sliding import SlidingView, windows_together
from lsu_seg.teachers.windows import Band, Views, scaled_size

_PROBE = 128
"""Side of the image used to determine a model's stride and channels."""

_KEPT = 1.5
"""Memory use as a multiple of the plan, if freed memory is kept."""


@dataclass
class Counts:
    """What a teacher has done so far.

    Attributes:
        images: images seen. out_of_memory: those that had to be seen in smaller pieces.
        windows: windows in all views of the images seen in windows. skipped: those without a needed pixel.
    """

    images: int = 0
    out_of_memory: int = 0
    windows: int = 0
    skipped: int = 0


class SegmentorTeacher:
    """Runs views of images through a segmentor and returns its evidence at the evidence's own resolution.

    The segmentor is called with normalised images, float `[B, 3, h, w]`, where h and w are multiples of 32. If it has a
    method `evidence_of(batch) -> list[View | QueryView]`, with one item per image, that is its evidence (this class
    sets `flip` and `part` of the views). Otherwise the evidence is `model(batch, mode="tensor")`: logits
    `[B, K, h', w']`, or a list whose first item they are.

    Args:
        model: an MMSegmentation segmentor (a DDP wrapper is removed), or an object that behaves like one. The
            normalisation of its data preprocessor is used, its padding is not.
        classes: the source's class names.
        views: how the teacher looks at images.
        network: how the model's network computes, if not as it is; it must be open while the teacher is asked.
        temperature: what the model's logits are divided by, see `Maps.tempered`.

    Raises:
        TeacherError: the model predicts another number of classes, or has other names for them; a network is to be
            compiled, and `views` have no window.
    """

    def __init__(
        self,
        model: Any,
        classes: Sequence[str],
        views: Views | None = None,
        network: ComputingNetwork | None = None,
        temperature: float = 1.0,
    ) -> None:
        self.settings, self.temperature = views or Views(), temperature
        self.counts = Counts()
        self._plans: dict[tuple[tuple[int, int], tuple[int, int]], Plan] = {}
        self.model = getattr(model, "module", model)
        if problem := class_mismatch(self.model, classes):
            raise TeacherError(problem)
        warn_of_assumed(self.model, classes)
        self._compiled: tuple[int, int, int] | None = None
        if network is not None and network.settings.compile:
            network.settings.check_window(self.settings.window)
            self._compile(network)

    @torch.no_grad()
    def _compile(self, network: ComputingNetwork) -> None:
        assert self.settings.window is not None
        together = windows_together(self.settings.window)
        self.model.eval()  # or the blank windows would go into its statistics
        batch = self._normalised([torch.zeros(3, *self.settings.window, dtype=torch.uint8)] * together)
        network.compile_for(lambda: self._forward((batch.shape[2], batch.shape[3]))(batch))
        self._compiled = (together, *self.settings.window) if network.compiled else None

    @torch.no_grad()
    def evidence(
        self,
        images: Sequence[Tensor],
        needed: Sequence[NDArray[np.bool_] | None] | None,
        label_sizes: Sequence[tuple[int, int]],
    ) -> Iterator[tuple[int, Band]]:
        """The evidence of all views for the labels of several images, band by band.

        Args:
            images: uint8 `[3, h, w]` each, all of one size, as packed by the pipeline.
            needed: for each image bool `[H, W]`, the label pixels that need the teacher, or None: all pixels.
            label_sizes: (H, W) of each image's label.

        Yields:
            (index of the image in `images`, band). The bands of an image come in order and do not overlap. Label rows
            without a needed pixel may be missing. Labels do not depend on the number of bands.

        Raises:
            TeacherError: the budget is too small, or even the smallest pieces do not fit into memory.
        """
        image_size = images[0].shape[1], images[0].shape[2]
        needed = needed or [None] * len(images)
        try:
            plan = self.plan(image_size, label_sizes[0])
            if plan.window is None:
                for at in range(0, len(images), plan.together):
                    some = slice(at, at + plan.together)
                    for i, band in enumerate(self._whole(images[some], label_sizes[some], image_size)):
                        yield at + i, band
                return
            for i, (image, image_needed, label) in enumerate(zip(images, needed, label_sizes, strict=True)):
                plan = self.plan(image_size, label)
                for band in self._in_windows(image, image_needed, label, plan):
                    yield i, band
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
            now = "not set" if self.settings.memory is None else f"{self.settings.memory:g}"
            raise TeacherError(
                f"out of memory beside the model, with images of {image_size[0]} x {image_size[1]} pixels: set"
                f" `memory` ({now}) to the GiB that can be had there, or take fewer or smaller scales"
            ) from None

    def plan(self, image: tuple[int, int], label: tuple[int, int]) -> Plan:
        """The plan for images and labels of these (height, width); logged if it takes more memory than any before."""
        if self.settings.window is None and self.settings.memory is None:
            return Plan()
        if (image, label) not in self._plans:
            plan = make_plan(self.settings, self._probe, image, label)
            if plan.bytes > max((p.bytes for p in self._plans.values()), default=0):
                print_log(plan.words, "current")
                budget = math.inf if self.settings.memory is None else self.settings.memory * 2**30
                keep_freed_memory(_KEPT * plan.bytes <= budget)
            self._plans[image, label] = plan
        return self._plans[image, label]

    def may_skip(self, image: tuple[int, int], label: tuple[int, int]) -> bool:
        """Whether some pixels of such an image may not be seen, because they are not needed."""
        return not self.settings.keep_windows and self.plan(image, label).window is not None

    @cached_property
    def _blank(self) -> tuple[Tensor, Maps]:
        """A small image and the model's evidence for it. Models with a fixed input size only accept the window's."""
        height, width = self.settings.window or (_PROBE, _PROBE)
        try:
            batch = self._normalised([torch.zeros(3, height, width, dtype=torch.uint8)])
            # As it is without a temperature, for which masks are merged by class: until then, they are all in memory.
            return batch, Forward(self.model, (height, width), self._compiled)(batch)[0]
        except TeacherError as error:
            if self.settings.window or error.__cause__ is None:
                raise
            raise TeacherError(
                f"{error}; if it only takes images of one size, set `test_cfg.window` to (height, width)"
            ) from error
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
            raise TeacherError(f"out of memory with a window of {height} x {width} pixels: set a smaller one") from None

    @property
    def _probe(self) -> Probe:
        batch, maps = self._blank
        values, classes = maps.values, maps.classes
        stride = batch.shape[2] / values.shape[1], batch.shape[3] / values.shape[2]
        return Probe(stride, len(values), len(values) if classes is None else classes.shape[1])

    def _whole(
        self, images: Sequence[Tensor], labels: Sequence[tuple[int, int]], size: tuple[int, int]
    ) -> Iterator[Band]:
        """One band per image."""
        batch = self._normalised(images)
        forward = self._forward(size)
        views: list[list[View | QueryView]] = [[] for _ in images]
        for scale in self.settings.scales:
            scaled_to = scaled_size(size, scale)
            scaled = scaled_rows(batch, scaled_to, 0, scaled_to[0])
            for flip in self.settings.flips:
                evidence = forward(scaled.flip(3) if flip else scaled)
                for image_views, maps in zip(views, evidence, strict=True):
                    image_views.append(maps.view(flip))
        self.counts.images += len(images)
        self.counts.out_of_memory += len(images) * forward.out_of_memory
        for image_views, (height, _) in zip(views, labels, strict=True):
            yield Band(0, height, image_views, forward.out_of_memory)

    def _in_windows(
        self, image: Tensor, needed: NDArray[np.bool_] | None, label: tuple[int, int], plan: Plan
    ) -> Iterator[Band]:
        """The bands of one image. For each view, only the strip that the next band needs is in memory."""
        assert plan.window is not None
        batch, forward = self._normalised([image]), self._forward((image.shape[1], image.shape[2]))
        asked = None if needed is None or self.settings.keep_windows else np.asarray(needed)
        # The two views of a scale, plain and mirrored, use the same strip one after the other.
        pixels = lru_cache(1)(partial(scaled_rows, batch))
        small, maps = self._blank
        blank, stride = maps.by_class(), forward.stride(small, maps)
        views = [
            SlidingView(
                pixels,
                scaled_size(batch.shape[2:], scale),
                flip,
                plan.window,
                self.settings.overlap,
                stride,
                blank,
                label,
                asked,
            )
            for scale in self.settings.scales
            for flip in self.settings.flips
        ]
        done = 0
        while done < label[0]:
            min(views, key=lambda view: view.ready).advance(done, forward)
            ready = min(view.ready for view in views)
            while done < ready:
                bottom = min(ready, done + plan.band_rows)
                if asked is None or asked[done:bottom].any():
                    parts = [v.part(done, bottom) for v in views]
                    missing = [v.missing_part(done, bottom) for v in views] if any(v.skipped for v in views) else None
                    yield Band(done, bottom, parts, forward.out_of_memory, missing)
                done = bottom
        self.counts.images += 1
        self.counts.out_of_memory += forward.out_of_memory
        self.counts.windows += sum(v.windows for v in views)
        self.counts.skipped += sum(v.skipped for v in views)

    def _forward(self, image_size: tuple[int, int]) -> Forward:
        return Forward(self.model, image_size, self._compiled, self.temperature)

    @cached_property
    def _device(self) -> torch.device:
        if not isinstance(self.model, torch.nn.Module):
            return torch.device("cpu")
        tensors = chain(self.model.parameters(), self.model.buffers())
        return next((tensor.device for tensor in tensors), torch.device("cpu"))

    def _normalised(self, images: Sequence[Tensor]) -> Tensor:
        preprocessor = self.model.data_preprocessor
        images = [to_device(image, self._device) for image in images]
        padding, preprocessor.test_cfg = getattr(preprocessor, "test_cfg", None), None
        try:
            batch: Any = preprocessor({"inputs": images}, False)["inputs"]
        finally:
            preprocessor.test_cfg = padding
        if not isinstance(batch, Tensor):
            raise TeacherError(
                f"the model's data preprocessor, a {type(preprocessor).__name__}, makes no batch of the images: build"
                " the model with the one of its training, such as `dict(type='SegDataPreProcessor', mean=…, std=…)`"
            )
        return batch
