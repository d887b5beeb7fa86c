"""Views and windows: their settings, positions and weights. Nothing here runs a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsu_seg.decode import QueryView, View
from lsu_seg.decode.views import bilinear
from lsu_seg.errors import TeacherError

MULTIPLE = 32
"""The sizes and positions of views and windows are multiples of this, so that no backbone pads or rounds: logits always
cover the image, and those of overlapping windows lie on one grid."""


class Band(NamedTuple):
    """The evidence of the teacher's views for some rows of an image's label.

    Attributes:
        top, bottom: label rows top..bottom-1.
        views: all views, ordered by scale and then by flip, each with the rows that these label rows read.
        out_of_memory: the image did not go through the model as planned, but in smaller batches or pieces.
        missing: of each view bool `[h, w]`, the samples of which a window was skipped; None: no window was.
    """

    top: int
    bottom: int
    views: list[View | QueryView]
    out_of_memory: bool = False
    missing: list[NDArray[np.bool_]] | None = None


@dataclass(frozen=True)
class Views:
    """How a teacher looks at an image. Labels depend on all of these settings, so all of them are in the manifest.

    Args:
        scales, flips: every scale of the image's size is combined with every flip (True: left and right exchanged).
        window: (height, width) of sliding windows on each scaled image, in pixels, multiples of 32. None: whole
            images if their evidence fits `memory`, else the largest square windows that fit.
        overlap: the share of a window that overlaps the next one, 0..0.9. Overlapping windows fade into each other.
        memory: GiB that the evidence may take beside the model. None: unlimited, so whole images.
        keep_windows: also compute windows in which no pixel is needed, and return rows without a needed pixel.

    Raises:
        TeacherError: the settings give no view or no window.

    >>> Views(scales=(0.5, 1), flips=(False,)).manifest()["scales"]
    [0.5, 1.0]
    """

    scales: tuple[float, ...] = (1.0,)
    flips: tuple[bool, ...] = (False, True)
    window: tuple[int, int] | None = None
    overlap: float = 0.25
    memory: float | None = 2.0
    keep_windows: bool = False

    def __post_init__(self) -> None:
        # Configs contain lists and integers.
        for name, expected in _EXPECTED.items():
            if not _is_setting(name, value := getattr(self, name)):
                verb = "are" if name in ("scales", "flips") else "is"
                raise TeacherError(f"{name} {verb} {value!r}; expected {expected}")
        scales, flips = tuple(float(s) for s in self.scales), tuple(bool(f) for f in self.flips)
        window = None if self.window is None else tuple(int(n) for n in self.window)
        overlap, memory = float(self.overlap), None if self.memory is None else float(self.memory)
        if not scales or not flips:
            raise TeacherError(f"scales {scales} and flips {flips} give no view; name at least one of each")
        if not all(_SMALLEST <= s <= _LARGEST for s in scales):
            raise TeacherError(f"scales are {scales}; expected {_EXPECTED['scales']}")
        if len(set(scales)) < len(scales) or len(set(flips)) < len(flips):
            raise TeacherError(f"scales {scales} and flips {flips} name a view twice; name each once")
        if window is not None and (
            len(window) != 2 or any(not MULTIPLE <= n <= _WIDEST or n % MULTIPLE for n in window)
        ):
            raise TeacherError(f"window is {window}; expected {_EXPECTED['window']}")
        if not 0 <= overlap <= 0.9:
            raise TeacherError(f"overlap is {overlap}; expected {_EXPECTED['overlap']}")
        if memory is not None and not 0 < memory <= 2.0**40:  # GiB; infinite bytes are no number of them
            raise TeacherError(f"memory is {memory}; expected {_EXPECTED['memory']}")
        values = scales, flips, window, overlap, memory
        for name, value in zip(("scales", "flips", "window", "overlap", "memory"), values, strict=True):
            object.__setattr__(self, name, value)

    def manifest(self) -> dict[str, Any]:
        """The settings as JSON values, for an output folder's manifest."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


_SMALLEST, _LARGEST = 0.01, 10.0
"""Of scales: with one in percent, such as 50, windows would not come to an end."""

_WIDEST = 1 << 20
"""Of windows: no image is larger, and images are filled up to a window."""

_EXPECTED = {
    "scales": "positive numbers in a list, such as [0.5, 1, 1.5], or [1]; each from 0.01 to 10",
    "flips": "a list of true and false: [false, true], or [false] for no mirrored view",
    "window": f"(height, width), multiples of {MULTIPLE}, such as (512, 512), none above {_WIDEST}; or None",
    "overlap": "0..0.9, the share of a window that the next sees too",
    "memory": "GiB for the views' evidence, such as 2, or None for no bound",
    "keep_windows": "true or false",
}


def _is_setting(name: str, value: Any) -> bool:
    """Whether a value is of the type of its setting. A string is none, though it has parts that are numbers."""
    if name in ("overlap", "memory"):
        return (value is None and name == "memory") or _is_number(value)
    if name == "keep_windows":
        return isinstance(value, bool)
    if name == "window" and value is None:
        return True
    if not isinstance(value, (list, tuple)):
        return False
    if name == "flips":
        return all(isinstance(part, (bool, np.bool_)) or (_is_number(part) and part in (0, 1)) for part in value)
    return all(_is_number(part) and (name == "scales" or part % 1 == 0) for part in value)


def _is_number(value: Any) -> bool:
    """Whether a value is a number of which there is a float."""
    if isinstance(value, int) and abs(value) > 1e300:
        return False
    return isinstance(value, Real) and not isinstance(value, bool)


def scaled_size(size: Sequence[int], scale: float) -> tuple[int, int]:
    """(height, width) of a scaled view of an image of `size`: the nearest multiples of 32.

    >>> scaled_size((600, 800), 0.5)
    (288, 384)
    """
    height, width = (max(MULTIPLE, round(s * scale / MULTIPLE) * MULTIPLE) for s in size)
    return height, width


def starts(size: int, window: int, overlap: float) -> list[int]:
    """Where windows start along a side of `size`; the last window ends with the side. All are multiples of 32.

    >>> starts(1024, 512, 0.25)
    [0, 384, 512]
    """
    if window >= size:
        return [0]
    step = max(MULTIPLE, int(window * (1 - overlap)) // MULTIPLE * MULTIPLE)
    return [*range(0, size - window, step), size - window]


def fades(begins: Sequence[int], window: int, size: int) -> list[NDArray[np.float64]]:
    """Weights `[window]` of each window along one side: triangles, normalised so that overlapping weights sum to 1.

    >>> [w.round(2).tolist() for w in fades([0, 2], 4, 6)]
    [[1.0, 1.0, 0.67, 0.33], [0.33, 0.67, 1.0, 1.0]]
    """
    triangle = np.minimum(np.arange(window) + 1.0, window - np.arange(window))
    total = np.zeros(size)
    for begin in begins:
        total[begin : begin + window] += triangle
    return [triangle / total[begin : begin + window] for begin in begins]


def readers(n: int, size: int, begin: int, end: int, align_corners: bool = False) -> tuple[int, int]:
    """The label rows (or columns), of `size`, that read any of begin..end-1 of a map's `n`, plus one on each side.

    >>> readers(4, 16, 0, 1)
    (0, 7)
    """
    first, _ = bilinear(n, size, align_corners)
    low, high = np.searchsorted(first, [begin - 1, end])
    return max(0, int(low) - 1), min(size, int(high) + 1)


def decided(n: int, size: int, end: int, align_corners: bool = False) -> int:
    """The number of label rows, from the top, that read only rows 0..end-1 of a map's `n` rows."""
    first, _ = bilinear(n, size, align_corners)
    return size if end >= n else int(np.searchsorted(first, end - 1))
