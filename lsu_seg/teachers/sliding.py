"""One view of an image, processed window by window from top to bottom."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsu_seg.decode import Part, QueryView, View
from lsu_seg.decode.views import bilinear
from lsu_seg.teachers.forward import Forward
from lsu_seg.teachers.maps import Maps
from lsu_seg.teachers.windows import decided, fades, readers, starts

_PIXELS = 1 << 20
"""Maximum number of pixels of the windows that go through the model together. Fixed, and independent of free memory,
because the number of windows can affect the last bits of the logits."""


def windows_together(window: tuple[int, int]) -> int:
    """The number of windows in a batch.

    >>> windows_together((512, 512)), windows_together((1024, 2048))
    (4, 1)
    """
    return max(1, _PIXELS // (window[0] * window[1]))


class SlidingView:
    """The maps of one scale and flip; only rows that have not been handed out yet are in memory.

    A strip is the row of windows that start at one height. Windows are averaged at the maps' own resolution, with
    weights that fall linearly towards their edges. Where windows do not overlap, the values are the model's output, to
    the bit.

    Args:
        pixels: `(size, top, bottom)` → float `[1, 3, bottom - top, width]`, rows of the image scaled to `size`.
        size: (height, width) of the scaled image. flip: mirror it.
        window, overlap: as in `Views`.
        stride: pixels per value of a map. blank: some `Maps`, which define the meaning of the channels.
        label: (height, width) of the label. needed: bool of that size, or None: all pixels.
    """

    def __init__(
        self,
        pixels: Callable[[tuple[int, int], int, int], Tensor],
        size: tuple[int, int],
        flip: bool,
        window: tuple[int, int],
        overlap: float,
        stride: int,
        blank: Maps,
        label: tuple[int, int],
        needed: NDArray[np.bool_] | None,
    ) -> None:
        self.pixels, self.size, self.flip, self.stride, self.label = pixels, size, flip, stride, label
        self.window = min(window[0], size[0]), min(window[1], size[1])
        tops, lefts = (starts(n, w, overlap) for n, w in zip(size, self.window, strict=True))
        self.tops, self.lefts = [t // stride for t in tops], [x // stride for x in lefts]
        self.height, self.width = size[0] // stride, size[1] // stride
        self.cells = self.window[0] // stride, self.window[1] // stride
        self.down = fades(self.tops, self.cells[0], self.height)
        self.across = fades(self.lefts, self.cells[1], self.width)
        # Label columns in the order of the mirrored view.
        self.needed = needed if needed is None or not flip else needed[:, ::-1]
        self.maps = blank.like(blank.values.new_empty(len(blank.values), 0, self.width))
        self.missing: NDArray[np.bool_] = np.zeros((0, self.width), bool)
        self.top = self.strip = 0
        self.windows = self.skipped = 0

    @property
    def ready(self) -> int:
        """The number of label rows, from the top, whose evidence is complete."""
        if self.strip == len(self.tops):
            return self.label[0]
        return decided(self.height, self.label[0], self.tops[self.strip], self.maps.align_corners)

    def advance(self, done: int, forward: Forward) -> None:
        """Process the next strip, and release the rows that only label rows above `done` read."""
        top = self.tops[self.strip]
        chosen = [i for i, left in enumerate(self.lefts) if self._is_needed(top, left)]
        self.windows += len(self.lefts)
        self.skipped += len(self.lefts) - len(chosen)

        if len(self.tops) == len(self.lefts) == 1:
            # A single window is the whole image: queries stay queries, and the maps need not lie on a grid.
            if chosen:
                self.maps = forward(self._pixels())[0]
                self.height = self.maps.values.shape[1]
            self.missing = np.full(self.maps.values.shape[1:], not chosen)
            self.strip = 1
            return
        first = min(top, int(bilinear(self.height, self.label[0], self.maps.align_corners)[0][done]))
        old = self.maps.values[:, first - self.top :]
        values = old.new_zeros(len(old), top + self.cells[0] - first, self.width)
        values[:, : old.shape[1]] = old
        missing: NDArray[np.bool_] = np.zeros(values.shape[1:], bool)
        missing[: old.shape[1]] = self.missing[first - self.top :]
        for i in set(range(len(self.lefts))).difference(chosen):
            missing[top - first :, self.lefts[i] : self.lefts[i] + self.cells[1]] = True
        self.maps, self.missing, self.top = self.maps.like(values), missing, first
        del old
        if chosen:
            self._add(values[:, top - first :], chosen, forward)
        self.strip += 1

    def _pixels(self) -> Tensor:
        """The strip's part of the scaled image, float `[1, 3, h, width]`."""
        top = self.tops[self.strip] * self.stride
        strip = self.pixels(self.size, top, top + self.window[0])
        return strip.flip(3) if self.flip else strip

    def _is_needed(self, top: int, left: int) -> bool:
        """Whether a needed pixel reads any value of this window."""
        if self.needed is None:
            return True
        aligned = self.maps.align_corners
        a, b = readers(self.height, self.label[0], top, top + self.cells[0], aligned)
        c, d = readers(self.width, self.label[1], left, left + self.cells[1], aligned)
        return bool(self.needed[a:b, c:d].any())

    def _add(self, values: Tensor, chosen: list[int], forward: Forward) -> None:
        """Add windows of this strip at their positions in `[C, h, width]`."""
        strip = self._pixels()
        down = torch.from_numpy(self.down[self.strip])[:, None]
        together = windows_together(self.window)
        for at in range(0, len(chosen), together):
            some = chosen[at : at + together]
            lefts = [self.lefts[i] * self.stride for i in some]
            batch = torch.cat([strip[..., x : x + self.window[1]] for x in lefts])
            for i, maps in zip(some, forward(batch, by_class=True), strict=True):
                forward.stride(batch, maps)
                weight = (down * torch.from_numpy(self.across[i])).to(values)
                left = self.lefts[i]
                values[:, :, left : left + self.cells[1]].addcmul_(maps.values, weight)

    def part(self, top: int, bottom: int) -> View | QueryView:
        """A copy of the values that label rows top..bottom-1 read."""
        rows = self._read(top, bottom)
        return self.maps.view(self.flip, rows, Part(rows.start + self.top, self.height, top, self.label[0]))

    def missing_part(self, top: int, bottom: int) -> NDArray[np.bool_]:
        """Which values of `part` lack a window that was skipped: bool `[h, width]`."""
        return self.missing[self._read(top, bottom)].copy()

    def _read(self, top: int, bottom: int) -> slice:
        """The rows in memory that label rows top..bottom-1 read."""
        first, _ = bilinear(self.height, self.label[0], self.maps.align_corners)
        return slice(int(first[top]) - self.top, min(int(first[bottom - 1]) + 2, self.height) - self.top)
