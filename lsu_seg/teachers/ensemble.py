"""Several teachers that look at the same images: their evidence band by band, as if one had all of their views."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsu_seg.decode import Part, QueryView, View
from lsu_seg.teachers.segmentor import Counts, SegmentorTeacher
from lsu_seg.teachers.windows import Band

Placed = Callable[[Sequence[View | QueryView]], list[View | QueryView]]
"""Views of a teacher → the same with their weights, and for the classes of the labels' source."""


@dataclass
class Clock:
    """How long a teacher has worked, on a GPU by the GPU's own clock.

    Attributes:
        seconds: of the work that is known to be done.
    """

    seconds: float = 0.0
    _running: list[tuple[torch.cuda.Event, torch.cuda.Event]] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        if not torch.cuda.is_initialized():
            start = time.perf_counter()
            yield
            self.seconds += time.perf_counter() - start
            return
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        yield
        end.record()
        self._running.append((begin, end))
        while self._running and self._running[0][1].query():
            self._take()

    def total(self) -> float:
        """The seconds of all work, for which this waits."""
        while self._running:
            self._running[0][1].synchronize()
            self._take()
        return self.seconds

    def _take(self) -> None:
        begin, end = self._running.pop(0)
        self.seconds += begin.elapsed_time(end) / 1000


class EnsembleTeacher:
    """Runs each image through several teachers, which are all in memory.

    A band has the views of all teachers. Its label rows are those that every teacher has got to, so it never has more
    of them than any one teacher's own band.

    Args:
        teachers: name → teacher, and what becomes of its views.

    Attributes:
        counts: sums over the teachers, but of images that did not fit, the most that one of them had.
        clocks: of each teacher.
    """

    def __init__(self, teachers: dict[str, tuple[SegmentorTeacher, Placed]]) -> None:
        self._teachers = teachers
        self.counts = Counts()
        self.clocks = {name: Clock() for name in teachers}

    def may_skip(self, image: tuple[int, int], label: tuple[int, int]) -> bool:
        """Whether some pixels of such an image may not be seen by every teacher."""
        return any(teacher.may_skip(image, label) for teacher, _ in self._teachers.values())

    def seconds(self) -> dict[str, float]:
        """How long each teacher has worked."""
        return {name: clock.total() for name, clock in self.clocks.items()}

    def evidence(
        self,
        images: Sequence[Tensor],
        needed: Sequence[NDArray[np.bool_] | None] | None,
        label_sizes: Sequence[tuple[int, int]],
    ) -> Iterator[tuple[int, Band]]:
        """As of `SegmentorTeacher.evidence`."""
        streams = [
            _Stream(teacher.evidence(images, needed, label_sizes), placed, self.clocks[name])
            for name, (teacher, placed) in self._teachers.items()
        ]
        for i, (height, _) in enumerate(label_sizes):
            for band in _merged(streams, i, height):
                yield i, band
        own = [teacher.counts for teacher, _ in self._teachers.values()]
        self.counts.images = max(c.images for c in own)
        self.counts.out_of_memory = max(c.out_of_memory for c in own)
        self.counts.windows, self.counts.skipped = sum(c.windows for c in own), sum(c.skipped for c in own)


class _Stream:
    """The bands of one teacher, of which one is held."""

    def __init__(self, bands: Iterator[tuple[int, Band]], placed: Placed, clock: Clock) -> None:
        self._bands, self._placed, self._clock = bands, placed, clock
        self._held: tuple[int, Band] | None = None

    def after(self, image: int, done: int) -> Band | None:
        """The band of an image that goes on below its first `done` label rows, if any does."""
        while True:
            if self._held is None:
                with self._clock.running():
                    item = next(self._bands, None)
                    if item is None:
                        return None
                    i, band = item
                    self._held = i, band._replace(views=self._placed(band.views))
            i, band = self._held
            if i > image:
                return None
            if i == image and band.bottom > done:
                return band
            self._held = None  # before the next is computed


def _merged(streams: Sequence[_Stream], image: int, height: int) -> Iterator[Band]:
    """The views of all teachers, for the same label rows. No pixel needs the rows that one of them has passed over."""
    done = 0
    while done < height:
        bands = []
        for stream in streams:
            band = stream.after(image, done)
            if band is None:
                return
            bands.append(band)
        top, bottom = max(done, *(b.top for b in bands)), min(b.bottom for b in bands)
        if top < bottom:
            missing = None
            if any(b.missing is not None for b in bands):
                missing = [m for b in bands for m in _missing(b)]
            views = [_cut(view, band, top, bottom, height) for band in bands for view in band.views]
            yield Band(top, bottom, views, any(b.out_of_memory for b in bands), missing)
        done = bottom
        del bands


def _missing(band: Band) -> list[NDArray[np.bool_]]:
    if band.missing is not None:
        return band.missing
    return [np.zeros(tuple(view.maps.shape[1:]), bool) for view in band.views]


def _cut(view: View | QueryView, band: Band, top: int, bottom: int, height: int) -> View | QueryView:
    """A view of a band for some of its label rows. Its maps are not copied."""
    if (top, bottom) == (band.top, band.bottom):
        return view
    part = view.part or Part(0, int(view.maps.shape[1]), 0, height)
    return replace(view, part=part._replace(label_top=top))
