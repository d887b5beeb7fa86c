"""What the compiled loops read and write, by name: records in arrays, and groups of arrays.

Numba takes named tuples and structured arrays apart when it compiles, so that a name costs nothing. The functions that
run once per label row take whole groups. Those that run once per tile take the few arrays they need: where one of them is
not inlined, every array of a group would be an argument of its own seven times over.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

VIEW = np.dtype(
    [
        ("maps", np.int64),  # address of float32 [count, height, width]: logits, or masks
        ("count", np.int64),
        ("height", np.int64),
        ("width", np.int64),
        ("flip", np.int64),
        ("stride", np.int64),  # pixels per column where that is 1, 4 or 8; 0 otherwise
        ("half", np.int64),  # pixels before the first column's centre, at stride 4 and 8
        ("mass", np.int64),  # address of float32 [height, width], the no-object mass, or 0
        ("p_class", np.int64),  # of masks: address of float32 [K+1, count], each mask's share per class; else 0
        ("log_class", np.int64),  # and of its logarithm, float64
    ]
)
"""A view of the teacher."""

TILE = np.dtype([("begin", np.int32), ("end", np.int32), ("set", np.int32), ("collected", np.int32)])
"""Pixels that are decoded together: `begin` .. `end` of the label row or, where they are collected from short runs, of
`RowSpace.places`."""

RUN = np.dtype([("begin", np.int32), ("end", np.int32), ("set", np.int32)])
"""A short run, to be collected."""


class Sets(NamedTuple):
    """The distinct S(d). Rows with one S(d) share a set."""

    of_row: NDArray[np.int32]  # [D+1]: row d's set at d+1; at 0 {void}, for pixels without annotation
    only: NDArray[np.int32]  # [U]: the label, where the set has one element; else -1
    size: NDArray[np.int32]  # [U]: classes in the set
    is_open: NDArray[np.int32]  # [U]: 1 where void is in it, too
    order: NDArray[np.int32]  # [U, K]: the set's classes, ascending, then all others


class Steps(NamedTuple):
    """Between which samples of each view the pixels lie."""

    upper: NDArray[np.int32]  # [V, H]: the upper of two map rows
    down: NDArray[np.float32]  # [V, H]: the weight of the lower
    left: NDArray[np.int32]  # [V, W]: the left of two columns of the padded line
    right: NDArray[np.float32]  # [V, W]: the weight of the right


class Rule(NamedTuple):
    """What holds for every pixel of an image."""

    has_mass: bool  # void's evidence is a no-object mass, not the residual
    by_logits: bool  # one view of logits: these alone decide closed sets
    woven: bool  # and it has stride 4 and is not mirrored: tiles interpolate the samples they need
    low: np.float32  # below this confidence the output is void
    void: np.int32  # its label


class Job(NamedTuple):
    """What is known of an image before its first row."""

    rule: Rule
    sets: Sets
    steps: Steps
    views: NDArray[np.void]  # VIEW [V]


class Image(NamedTuple):
    """What is read and written row by row."""

    rows: NDArray[np.int16]  # [H, W]
    labels: NDArray[np.uint8]  # [H, W], or uint16
    confidence: NDArray[np.float32]  # [H, W]


class RowSpace(NamedTuple):
    """A thread's working space for a label row."""

    lines: NDArray[np.float32]  # [channels, columns]: the row of the map, its first and last sample twice
    sums: NDArray[np.float32]  # evidence summed over the views, tile after tile
    tiles: NDArray[np.void]  # TILE [W]
    short_runs: NDArray[np.void]  # RUN [W]
    short_pixels: NDArray[np.int32]  # [U]: pixels of short runs; 0 between rows
    places: NDArray[np.int32]  # [W]: columns of these pixels, set by set
    set_begin: NDArray[np.int32]  # [U]: where in the row the set occurs first
    set_end: NDArray[np.int32]  # [U]: and where it ends; 0: nowhere
    begin: NDArray[np.int32]  # [channels]: the same of what each channel is needed for
    end: NDArray[np.int32]


class TileSpace(NamedTuple):
    """A thread's working space for a tile."""

    samples: NDArray[np.float32]  # [members, samples]: at stride 4, before they are spread
    powers: NDArray[np.float32]  # [members, samples]: eighth roots of shares
    scores: NDArray[np.float32]  # [channels, pixels]
    columns: NDArray[np.int32]  # [pixels]: of `Steps.left`, where they are collected
    weights: NDArray[np.float32]  # and of `Steps.right`
    label: NDArray[np.int32]  # [pixels]
    narrow_label: NDArray[np.uint8]  # [pixels], of the output's type
    sure: NDArray[np.float32]  # [pixels]
    value: NDArray[np.float32]  # [pixels]: the evidence of the choice
    log_p: NDArray[np.float64]  # [K+1], of a pixel in float64
    log_view: NDArray[np.float64]  # [K+1], what one view adds to it


class Space(NamedTuple):
    """A thread's working space."""

    row: RowSpace
    tile: TileSpace


class Asked(NamedTuple):
    """The set that a tile's pixels choose from."""

    order: NDArray[np.int32]  # its classes, then all others
    size: int  # how many are its own
    is_open: int


class Pixels(NamedTuple):
    """Where a tile's pixels lie in the lines of a view."""

    columns: NDArray[np.int32]
    weights: NDArray[np.float32]
    stride: int  # as in VIEW; 0 where they are collected
    offset: int  # pixels between those of the first sample and the tile's first, at stride 4 and 8
