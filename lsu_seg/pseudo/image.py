"""One image on its way from the dataset to the output folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lsu_onto import Constraint
from lsu_seg.decode import Decoded
from lsu_seg.label_files import void_index
from lsu_seg.pseudo.collect import Seen
from lsu_seg.pseudo.errors import OutputError
from lsu_seg.pseudo.inputs import State


class LabelledImage:
    """What the teacher needs to know about an image, and the part of its label that is decided, from the top down.

    Attributes:
        image: uint8 `[3, h, w]`. key, path: of the sample.
        states: of the image's files, before they were read.
        unknown: number of pixels whose raw values the taxonomy does not list.
        rows: int16 `[H, W]`, the label as rows of d. needed: bool `[H, W]`, pixels for which the teacher is asked.
        todo, todo_raw: whether the label, and the teacher's unconstrained label, are still to be made.
        seen: what is kept of the image for an audit, if anything.
        decided: number of label rows, from the top, that are decided.
        labels, confidence, raw, soft: `[H, W]` (`soft`: two arrays `[k, H, W]`), filled from the top down by `settle`.
        teacher: whether the teacher was asked. out_of_memory: whether it ran out of memory at first.
    """

    def __init__(self, image: Tensor, sample: Any, constraint: Constraint) -> None:
        self.image, self.key, self.path = image, sample.key, sample.img_path
        self.states: Sequence[State] = sample.states
        self.unknown = int(sample.get("unknown_pixels", 0))
        self.rows: NDArray[np.int16] = np.ascontiguousarray(sample.gt_rows.data[0].numpy())
        # A pixel without annotation has row -1, which is the index of the last entry.
        self.needed: NDArray[np.bool_] = np.append(constraint.relabel < 0, False)[self.rows]
        self.todo = self.todo_raw = True
        self.seen: Seen | None = None
        self.decided = 0
        self._unsettled: list[Callable[[], None]] = []
        self.teacher = self.out_of_memory = False
        void = void_index(constraint.num_classes)
        self._void, self._dtype = void, np.uint8 if void < 256 else np.uint16
        self.labels: NDArray[Any] = np.empty(0)
        self.confidence: NDArray[np.float32] = np.empty(0, np.float32)
        self.raw: NDArray[Any] = np.empty(0)
        self.soft: tuple[NDArray[Any], NDArray[np.float32]] | None = None

    def put(
        self, rows: int, finish: Callable[[], Decoded], soft: tuple[NDArray[Any], NDArray[np.float32]] | None = None
    ) -> None:
        """Add the next rows of the label, which `finish` returns; `settle` calls it."""
        top = self.decided
        self.decided += rows
        self._unsettled.append(lambda: self._put(top, finish(), soft))

    def put_raw(self, top: int, finish: Callable[[], Decoded]) -> None:
        """Add rows of the teacher's unconstrained label, from `top` on."""
        self._unsettled.append(lambda: self._put_raw(top, finish().labels))

    @property
    def unsettled(self) -> int:
        """The number of things that were put and not settled. Each holds its evidence in memory."""
        return len(self._unsettled)

    def settle(self, first: int | None = None) -> None:
        """Wait for what was put: for all of it, or for the `first` so many things.

        Raises:
            DecodeError: it cannot be decoded.
        """
        settled, self._unsettled = self._unsettled[:first], self._unsettled[len(self._unsettled[:first]) :]
        for each in settled:
            each()

    def _put(self, top: int, decoded: Decoded, soft: tuple[NDArray[Any], NDArray[np.float32]] | None) -> None:
        if len(decoded.labels) == len(self.rows):
            self.labels, self.confidence, self.soft = decoded.labels, decoded.confidence, soft
            return
        if not top:
            self.labels = np.empty(self.rows.shape, self._dtype)
            self.confidence = np.empty(self.rows.shape, np.float32)
            if soft:
                self.soft = tuple(np.empty((len(a), *self.rows.shape), a.dtype) for a in soft)  # type: ignore[assignment]
        here = slice(top, top + len(decoded.labels))
        self.labels[here], self.confidence[here] = decoded.labels, decoded.confidence
        if self.soft and soft:
            for whole, part in zip(self.soft, soft, strict=True):
                whole[:, here] = part

    def _put_raw(self, top: int, labels: NDArray[Any]) -> None:
        if not len(self.raw):
            self.raw = np.empty(self.rows.shape, self._dtype)
        self.raw[top : top + len(labels)] = labels

    def record(self) -> dict[str, Any]:
        """The counts of an image. `confidence` is the mean over the pixels for which the teacher was asked."""
        asked = int(np.count_nonzero(self.needed))
        counts = {
            "pixels": self.rows.size,
            "asked": asked,
            "void": int(np.count_nonzero(self.labels == self._void)),
            "unknown": self.unknown,
            "confidence": round(float(self.confidence[self.needed].mean()), 4) if asked else 1.0,
            "teacher": self.teacher,
        }
        return counts | ({"out_of_memory": True} if self.out_of_memory else {})


def labelled_images(batch: Any, constraint: Constraint) -> list[LabelledImage]:
    """The images of a batch, as a data loader gives it.

    Raises:
        OutputError: its pipeline has not read what a labelling needs.
    """
    samples = batch.get("data_samples") if isinstance(batch, dict) and "inputs" in batch else None
    if not samples or "key" not in samples[0] or "gt_rows" not in samples[0]:
        raise OutputError("the test pipeline must have LoadTaxAnnotations and end in PackTaxInputs")
    return [LabelledImage(image, sample, constraint) for image, sample in zip(batch["inputs"], samples, strict=True)]
