"""What a teacher hands over and what becomes of it: the types that the reference and the fast paths share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class DecodeError(ValueError):
    """Teacher output or rows that cannot be decoded. The message names the image."""


@dataclass
class View:
    """One teacher view of a whole image, at any resolution.

    Attributes:
        logits: float `[K, h, w]`.
        flip: it was computed on the mirrored image (left and right exchanged) and is mirrored back.
        void: float `[h, w]`, the teacher's no-object probability, of models that have one.
    """

    logits: Tensor
    flip: bool = False
    void: Tensor | None = None


@dataclass
class QueryView:
    """One view of a teacher that predicts masks with a class each, as Mask2Former does.

    The evidence for class c is Σ over queries of softmax(classes)[q, c] · sigmoid(masks)[q]; that for no object the
    same with the last column. Together they are made to sum to 1 in every pixel.

    Attributes:
        classes: float `[Q, K+1]`, class logits, the last column no-object.
        masks: float `[Q, h, w]`, mask logits.
        flip: as in `View`.
    """

    classes: Tensor
    masks: Tensor
    flip: bool = False


class Decoded(NamedTuple):
    """What became of an image, as tensors or as arrays.

    Attributes:
        labels: `[H, W]`, channels and void: uint8 with void = 255, or with K > 255 void = 65535 (int32 as a tensor,
            uint16 as an array).
        confidence: float32 `[H, W]` in 0..1.
    """

    labels: Any
    confidence: Any
