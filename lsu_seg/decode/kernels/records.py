"""The data types of the compiled loops: records in arrays, and groups of arrays.

Numba takes named tuples and structured arrays apart when it compiles, so names cost nothing. Functions that run once
per label row take whole groups. Functions that run once per tile take only the arrays they need: if one of them is not
inlined, every array of a group becomes seven arguments.
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
        ("mass", np.int64),  # address of float32 [height, width], the no-object mass; 0 if there is none
        ("shares", np.int64),  # address of float32 [K+1, count], the maps' shares in the elements of S(d); 0: logits
        ("log_shares", np.int64),  # address of their logarithms, float64
        ("per_set", np.int64),  # numbers from the shares of one set to those of the next; 0: they are the same
        ("softmax", np.int64),  # maps with shares are logits of channels, not of masks
        ("weight", np.float64),  # of the view; the weights of all views sum to 1
    ]
)
"""A view of the teacher."""

TILE = np.dtype([("begin", np.int32), ("end", np.int32), ("set", np.int32), ("collected", np.int32)])
"""Pixels that are decoded together: `begin` .. `end` of the label row, or of `RowSpace.places` if they are collected
from short runs."""

RUN = np.dtype([("begin", np.int32), ("end", np.int32), ("set", np.int32)])
"""A short run, which will be collected."""


class Sets(NamedTuple):
    """The distinct S(d). Rows with the same S(d) share a set."""

    of_row: NDArray[np.int32]  # [D+1]: the set of row d at d+1; {void} at 0, for pixels without annotation
    only: NDArray[np.int32]  # [U]: the label if the set has one element, else -1
    size: NDArray[np.int32]  # [U]: the number of classes in the set
    is_open: NDArray[np.int32]  # [U]: 1 if the set also contains void
    order: NDArray[np.int32]  # [U, K]: the set's classes, ascending, then all others
    members: NDArray[np.bool_]  # [U, K+1]
    silent: NDArray[np.bool_]  # [U]: no view can have evidence for any element of the set


class Steps(NamedTuple):
    """The samples of each view between which the pixels lie."""

    upper: NDArray[np.int32]  # [V, H]: the upper of two map rows
    down: NDArray[np.float32]  # [V, H]: the weight of the lower row
    left: NDArray[np.int32]  # [V, W]: the left of two columns of the padded line
    right: NDArray[np.float32]  # [V, W]: the weight of the right column


class Rule(NamedTuple):
    """The settings for all pixels of an image."""

    by_logits: bool  # there is one view of logits, which alone decide closed sets
    woven: bool  # in addition, it has stride 4 and is not mirrored: tiles interpolate the samples they need
    low: np.float32  # the output is void below this confidence
    void: np.int32  # the label of void


class Job(NamedTuple):
    """The input of all label rows of an image."""

    rule: Rule
    sets: Sets
    steps: Steps
    views: NDArray[np.void]  # VIEW [V]


class Image(NamedTuple):
    """The arrays that are read and written row by row."""

    rows: NDArray[np.int16]  # [H, W]
    labels: NDArray[np.uint8]  # [H, W], or uint16
    confidence: NDArray[np.float32]  # [H, W]


class RowSpace(NamedTuple):
    """A thread's buffers for a label row."""

    lines: NDArray[np.float32]  # [channels, columns]: the row of the map, with its first and last sample repeated
    sums: NDArray[np.float32]  # evidence summed over the views, tile after tile
    tiles: NDArray[np.void]  # TILE [W]
    short_runs: NDArray[np.void]  # RUN [W]
    short_pixels: NDArray[np.int32]  # [U]: the number of pixels in short runs; 0 between rows
    places: NDArray[np.int32]  # [W]: the columns of these pixels, set by set
    set_begin: NDArray[np.int32]  # [U]: the first pixel of the set in the row
    set_end: NDArray[np.int32]  # [U]: the end of its last run; 0 if the row does not contain the set
    begin: NDArray[np.int32]  # [channels]: the first pixel that needs the channel
    end: NDArray[np.int32]  # [channels]: the end of the pixels that need it


class TileSpace(NamedTuple):
    """A thread's buffers for a tile."""

    samples: NDArray[np.float32]  # [members, samples]: at stride 4, before they are spread
    powers: NDArray[np.float32]  # [members, samples]: eighth roots of shares
    scores: NDArray[np.float32]  # [channels, pixels]
    columns: NDArray[np.int32]  # [pixels]: `Steps.left` of collected pixels
    weights: NDArray[np.float32]  # [pixels]: `Steps.right` of collected pixels
    label: NDArray[np.int32]  # [pixels]
    narrow_label: NDArray[np.uint8]  # [pixels], of the output's type
    sure: NDArray[np.float32]  # [pixels]
    value: NDArray[np.float32]  # [pixels]: the evidence of the choice
    log_p: NDArray[np.float64]  # [K+1], for a pixel that is decoded in float64
    log_view: NDArray[np.float64]  # [K+1], the contribution of one view


class Space(NamedTuple):
    """A thread's buffers."""

    row: RowSpace
    tile: TileSpace


class Asked(NamedTuple):
    """The set that a tile's pixels choose from."""

    order: NDArray[np.int32]  # the set's classes, then all others
    size: int  # the number of the set's classes
    is_open: int
    set: int


class Pixels(NamedTuple):
    """The positions of a tile's pixels in the lines of a view."""

    columns: NDArray[np.int32]
    weights: NDArray[np.float32]
    stride: int  # as in VIEW; 0 for collected pixels
    offset: int  # at stride 4 and 8, the pixels from the first pixel of the first sample to that of the tile
