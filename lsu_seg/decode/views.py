"""What a teacher hands over and what becomes of it: the types that the reference and the fast paths share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lsu_seg.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


class DecodeError(UserError):
    """Teacher output or rows that cannot be decoded. The message names the image."""


class Part(NamedTuple):
    """Which rows of a view are there, and for which label rows, where an image is decoded band by band.

    Both count in the whole: a band decodes to the same labels whatever the bands around it.

    Attributes:
        top: the row of the whole map that the first row here is.
        full_height: rows of the whole map.
        label_top: the row of the whole label that the first row to decode is.
        label_height: rows of the whole label.
    """

    top: int
    full_height: int
    label_top: int
    label_height: int


@dataclass
class View:
    """One teacher view of an image, at any resolution.

    Attributes:
        logits: float `[K, h, w]`.
        flip: it was computed on the mirrored image (left and right exchanged) and is mirrored back.
        void: float `[h, w]`, the teacher's no-object probability, of models that have one.
        part: None: this is the whole view. Else these are some of its rows.
    """

    logits: Tensor
    flip: bool = False
    void: Tensor | None = None
    part: Part | None = None


@dataclass
class QueryView:
    """One view of a teacher that predicts masks with a class each, as Mask2Former does.

    The evidence for class c is Σ over queries of softmax(classes)[q, c] · sigmoid(masks)[q]; that for no object the
    same with the last column. Together they are made to sum to 1 in every pixel.

    Attributes:
        classes: float `[Q, K+1]`, class logits, the last column no-object.
        masks: float `[Q, h, w]`, mask logits.
        flip, part: as in `View`.
    """

    classes: Tensor
    masks: Tensor
    flip: bool = False
    part: Part | None = None


class Decoded(NamedTuple):
    """What became of an image, as tensors or as arrays.

    Attributes:
        labels: `[H, W]`, channels and void: uint8 with void = 255, or with K > 255 void = 65535 (int32 as a tensor,
            uint16 as an array).
        confidence: float32 `[H, W]` in 0..1.
    """

    labels: Any
    confidence: Any


@lru_cache(64)
def bilinear(n: int, size: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Where each of `size` label rows lies among the `n` rows of a map: bilinear, `align_corners=False`.

    Returns:
        int64 `[size]`, the upper row (the lower is the next, if there is one), and float64 `[size]`, the lower's
        weight.

    >>> bilinear(2, 4)
    (array([0, 0, 0, 1]), array([0.  , 0.25, 0.75, 0.25]))
    """
    place = np.maximum((np.arange(size) + 0.5) * (n / size) - 0.5, 0)
    first = np.minimum(place.astype(np.int64), n - 1)
    return first, place - first
