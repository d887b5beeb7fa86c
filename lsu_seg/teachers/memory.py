"""Estimate the memory that an image's evidence takes, and plan whole images or windows within the budget."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lsu_seg.errors import TeacherError
from lsu_seg.teachers.windows import Views, scaled_size, starts

_LARGEST, _SMALLEST, _STEP = 1024, 64, 64
"""Sizes of the windows chosen for a budget, in pixels: models are trained on crops of a few hundred pixels."""

_SLACK = 96 << 20
"""Bytes for everything not counted individually: the allocator, masks of needed pixels, the decoder."""

_BAND_SHARE = 8
"""A band is a copy of its rows in all views; it takes at most one part in this many of the budget."""


@dataclass(frozen=True)
class Probe:
    """What one small forward pass reveals about a model.

    Attributes:
        stride: pixels per value, in height and width; not always a whole number.
        channels: number of maps for a whole image: classes and possibly a no-object mass, or queries.
        by_class: number of maps for a window.
    """

    stride: tuple[float, float]
    channels: int
    by_class: int


@dataclass(frozen=True)
class Plan:
    """How images of one size are processed. Depends only on settings, sizes and model, so it is the same everywhere.

    Attributes:
        window: (height, width), or None: whole images.
        together: number of whole images whose evidence may be in memory at once.
        band_rows: number of label rows handed out at once.
        bytes: memory for evidence and scaled images beside the model; 0: not estimated.
        words: the same, for the log.
    """

    window: tuple[int, int] | None = None
    together: int = 1 << 30
    band_rows: int = 1 << 30
    bytes: int = 0
    words: str = ""


def make_plan(views: Views, probe: Probe, image: tuple[int, int], label: tuple[int, int]) -> Plan:
    """Plan whole images if they fit the budget; windows if they do not, or if the settings ask for them.

    Raises:
        TeacherError: even small windows do not fit.
    """
    budget = None if views.memory is None else int(views.memory * 2**30)
    whole = _whole(views, probe, image)
    count, what = len(views.scales) * len(views.flips), f"images of {image[0]} x {image[1]} pixels"
    words = f"{what}: {count} views of whole images take {_gib(whole)} beside the model"
    if views.window is None and (budget is None or whole <= budget):
        together = 1 << 30 if budget is None else max(1, budget // whole)
        return Plan(together=together, bytes=whole, words=words)
    windows = [views.window] if views.window else [(n, n) for n in range(_LARGEST, _SMALLEST - 1, -_STEP)]
    for window in windows:
        rows, needs = _windowed(views, probe, image, label, window, budget)
        if views.window or budget is None or needs <= budget:
            size = f"windows of {window[0]} x {window[1]} pixels, {views.overlap:.0%} overlap"
            words += f"; in {size}, {_gib(needs)}"
            if budget is not None and needs > budget:
                words += f", more than the {_gib(budget)} that `memory` allows"
            return Plan(window, 1, rows, needs, words)
    raise TeacherError(
        f"{what}: their {count} views do not fit memory={views.memory:g} GiB even in windows of"
        f" {_SMALLEST} x {_SMALLEST};"
        f" set memory={math.ceil(needs / 2**30 * 10) / 10:g}, or take fewer or smaller scales"
    )


def _whole(views: Views, probe: Probe, image: tuple[int, int]) -> int:
    maps = sum(math.prod(_map_size(probe, scaled_size(image, s))) for s in views.scales) * len(views.flips)
    largest = max(math.prod(scaled_size(image, s)) for s in views.scales)
    return 4 * probe.channels * maps + _input(image) + 12 * largest * 2 + _SLACK


def _windowed(
    views: Views,
    probe: Probe,
    image: tuple[int, int],
    label: tuple[int, int],
    window: tuple[int, int],
    budget: int | None,
) -> tuple[int, int]:
    """The label rows of a band, and the bytes needed."""
    strips = per_row = scratch = 0
    for scale in views.scales:
        height, width = scaled_size(image, scale)
        several = len(starts(height, window[0], 0)) > 1 or len(starts(width, window[1], 0)) > 1
        channels = probe.by_class if several else probe.channels
        map_height, map_width = _map_size(probe, (height, width))
        rows = min(map_height, math.ceil(min(window[0], height) / probe.stride[0]) + 2)
        strip = 4 * channels * rows * map_width
        strips += strip * len(views.flips)
        per_row += math.ceil(4 * channels * map_width * map_height / label[0]) * len(views.flips)
        # When a strip starts, its overlap with the previous strip exists twice. The strip's pixels exist three times:
        # scaled, mirrored and cut.
        scratch = max(scratch, int(strip * max(views.overlap, 0.1)) + 12 * min(window[0], height) * width * 3)
    band = (strips if budget is None else budget) // _BAND_SHARE
    rows = max(32, band // per_row)
    return rows, strips + scratch + min(rows + 2, label[0]) * per_row + _input(image) + _SLACK


def _map_size(probe: Probe, size: tuple[int, int]) -> tuple[int, int]:
    return math.ceil(size[0] / probe.stride[0]), math.ceil(size[1] / probe.stride[1])


def _input(image: tuple[int, int]) -> int:
    """The normalised image, and a copy during normalisation."""
    return 2 * 12 * math.prod(image)


def _gib(size: int) -> str:
    return f"{size / 2**30:.2g} GiB"
