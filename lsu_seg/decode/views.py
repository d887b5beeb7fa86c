"""The input and output types of the decoder, which the reference and the fast paths share."""

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
    """The rows of a view, and the label rows to decode from them, for images that are decoded band by band.

    Both are counted in the whole map and the whole label, so a band decodes to the same labels for any choice of bands.

    Attributes:
        top: the index in the whole map of this part's first row.
        full_height: the number of rows of the whole map.
        label_top: the index in the whole label of the first row to decode.
        label_height: the number of rows of the whole label.
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
        flip: whether it was computed on the mirrored image (left and right exchanged) and must be mirrored back.
        void: float `[h, w]`, the teacher's no-object probability, or None if the model has none.
        part: which rows of the view these are, or None for the whole view.
        align_corners: how the maps are resized, as in `torch.nn.functional.interpolate`: whether the centres of the
            corner samples lie on those of the corner pixels.
        weight: how much the view counts, above 0; the weights of all views are divided by their sum.
        to: bool `[C, K+1]`, the map of a teacher whose C channels are classes of another source: which classes each
            may be, the last column void. `logits` are then `[C, h, w]`. None: the channels are the source's classes.
    """

    logits: Tensor
    flip: bool = False
    void: Tensor | None = None
    part: Part | None = None
    align_corners: bool = False
    weight: float = 1.0
    to: NDArray[np.bool_] | None = None

    @property
    def maps(self) -> Tensor:
        return self.logits

    @property
    def num_classes(self) -> int:
        """K."""
        return int(self.logits.shape[0]) if self.to is None else self.to.shape[1] - 1


@dataclass
class QueryView:
    """One view of a teacher that predicts masks with classes, such as Mask2Former.

    The evidence for class c is Σ over queries of softmax(classes)[q, c] · sigmoid(masks)[q]; the evidence for no-object
    is the same with the last column. Both are normalised to sum to 1 in every pixel.

    Attributes:
        classes: float `[Q, K+1]`, class logits, the last column no-object.
        masks: float `[Q, h, w]`, mask logits.
        flip, part, align_corners, weight, to: as in `View`. With `to`, `classes` are `[Q, C+1]`.
    """

    classes: Tensor
    masks: Tensor
    flip: bool = False
    part: Part | None = None
    align_corners: bool = False
    weight: float = 1.0
    to: NDArray[np.bool_] | None = None

    @property
    def maps(self) -> Tensor:
        return self.masks

    @property
    def num_classes(self) -> int:
        """K."""
        return int(self.classes.shape[1]) - 1 if self.to is None else self.to.shape[1] - 1


class Decoded(NamedTuple):
    """The labels of an image, as tensors or as arrays.

    Attributes:
        labels: `[H, W]`, channels and void: uint8 with void = 255; for K > 255, int32 (tensors) or uint16 (arrays) with
            void = 65535.
        confidence: float32 `[H, W]` in 0..1.
    """

    labels: Any
    confidence: Any


def shares_of_sets(to: NDArray[np.bool_], allowed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How the probability of each channel of another source divides over each S(d), float64 `[D, C, K+1]`.

    It is divided evenly over the elements of S(d) that the channel may be, void included. Where there is none, the
    annotation rules the channel out, and all of its shares are 0.

    Args:
        to: bool `[C, K+1]`, as in `View`. allowed: bool `[D, K+1]`, rows of S(d).

    >>> road_or_verge = np.array([[True, True, False, False]])
    >>> shares_of_sets(np.array([[True, True, True, False], [False, True, False, True]]), road_or_verge)[0].tolist()
    [[0.5, 0.5, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]
    """
    both = to[None] & allowed[:, None]
    shares: NDArray[np.float64] = both / np.maximum(1, both.sum(2, keepdims=True))
    return shares


def arrays(decoded: Decoded) -> Decoded:
    """Tensors on any device as arrays of the types that `Decoded` names."""
    labels, confidence = decoded.labels.cpu().numpy(), decoded.confidence.cpu().numpy()
    return Decoded(labels if labels.dtype == np.uint8 else labels.astype(np.uint16), confidence)


@lru_cache(64)
def bilinear(n: int, size: int, align_corners: bool = False) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The position of each of `size` label rows among the `n` rows of a map, as torch's bilinear interpolation has it.

    Returns:
        The upper map row, int64 `[size]` (the lower is the next one, if it exists), and the weight of the lower row,
        float64 `[size]`.

    >>> bilinear(2, 4)
    (array([0, 0, 0, 1]), array([0.  , 0.25, 0.75, 0.25]))
    >>> bilinear(2, 5, align_corners=True)
    (array([0, 0, 0, 0, 1]), array([0.  , 0.25, 0.5 , 0.75, 0.  ]))
    """
    if align_corners:
        place = np.arange(size) * (n - 1) / max(1, size - 1)
    else:
        place = np.maximum((np.arange(size) + 0.5) * (n / size) - 0.5, 0)
    first = np.minimum(place.astype(np.int64), n - 1)
    return first, place - first
