"""Statistics of a run, for its progress bar and its summary."""

from __future__ import annotations

import time
from typing import Any

from lsu_seg.teachers import Counts


class Statistics:
    """Sums over the images that a worker labelled.

    Args:
        teacher: the teacher's counts of images and windows.
    """

    def __init__(self, teacher: Counts) -> None:
        self.teacher = teacher
        self.images = self.skipped = self.pixels = self.asked = self.void = self.unknown = 0
        self.all_void = 0
        self._void_examples: list[str] = []
        self._confidence_sum = 0.0
        self._start = time.monotonic()

    def add(self, key: str, record: dict[str, Any]) -> None:
        """Count an image. `record` is the result of `LabelledImage.record`."""
        self.images += 1
        self.skipped += not record["teacher"]
        self.pixels += record["pixels"]
        self.asked += record["asked"]
        self.void += record["void"]
        self.unknown += record["unknown"]
        self._confidence_sum += record["confidence"] * record["asked"]
        if record["void"] == record["pixels"]:
            self.all_void += 1
            if self.all_void <= 3:  # there may be hundreds of thousands
                self._void_examples.append(key)

    @property
    def _seconds(self) -> float:
        return max(1e-9, time.monotonic() - self._start)

    @property
    def confidence(self) -> float:
        """The mean over the pixels for which the teacher was asked."""
        return self._confidence_sum / self.asked if self.asked else 1.0

    def note(self) -> str:
        """A line for the progress bar."""
        pixels = max(1, self.pixels)
        skipped = f", {self.skipped / self.images:.0%} without teacher" if self.skipped else ""
        return (
            f"{self.images / self._seconds:.2f} img/s, {self.asked / pixels:.0%} of pixels asked,"
            f" confidence {self.confidence:.2f}, {self.void / pixels:.1%} void{skipped}"
        )

    def summary(self) -> dict[str, Any]:
        """The statistics as plain values. Shares are fractions of the pixels of the images labelled in this run."""
        pixels = max(1, self.pixels)
        return {
            "images": self.images,
            "skipped_teacher": self.skipped,
            "windows": self.teacher.windows,
            "skipped_windows": self.teacher.skipped,
            "out_of_memory": self.teacher.out_of_memory,
            "asked_share": self.asked / pixels,
            "void_share": self.void / pixels,
            "unknown_pixels": self.unknown,
            "confidence": self.confidence,
            "void_images": self.all_void,
            "seconds": self._seconds,
            "images_per_second": self.images / self._seconds,
        }

    def findings(self) -> list[str]:
        """Sentences about what the user should look at."""
        findings = []
        if self.unknown:
            findings.append(f"{self.unknown} pixels have raw values that the taxonomy does not list: they are void")
        if self.all_void:
            some = ", ".join(self._void_examples) + (" …" if self.all_void > 3 else "")
            findings.append(
                f"{self.all_void} of {self.images} labels are void everywhere ({some}): training passes over them"
            )
        if self.teacher.out_of_memory:
            findings.append(
                f"{self.teacher.out_of_memory} images did not fit into memory as planned and went through in smaller"
                " pieces; a smaller `memory` or a `window` plans for it"
            )
        return findings
