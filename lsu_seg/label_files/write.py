"""Labels → files, in the format of pseudo-labels."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsu_onto import VOID, write_atomic

VOID16 = 65535
"""The void index of 16-bit label files, which are used if there are too many classes for 8 bits."""


_LEVEL = 3
"""The zlib level: label files are some 40 % larger than at its default, 6, and written in less than half the time."""


def void_index(num_classes: int) -> int:
    """The void value in label files with this many classes: 255, or 65535 if 255 may be a class.

    >>> void_index(19), void_index(255), void_index(256)
    (255, 255, 65535)
    """
    if not 0 < num_classes <= VOID16:
        raise ValueError(f"num_classes is {num_classes}; label files hold 1 to {VOID16} classes")
    return VOID if num_classes <= VOID else VOID16


def write_labels(path: str | os.PathLike[str], labels: NDArray[Any], palette: NDArray[np.uint8]) -> None:
    """Write source-taxonomy labels as a PNG (see `encode_labels`).

    Args:
        path: the file to write. It never holds half a file (see `lsu_onto.write_atomic`).
        labels, palette: as for `encode_labels`.

    Raises:
        ValueError: a label that is neither a channel nor void.
        OSError: the file cannot be written.
    """
    write_atomic(path, encode_labels(path, labels, palette))


def encode_labels(path: str | os.PathLike[str], labels: NDArray[Any], palette: NDArray[np.uint8]) -> bytes:
    """The PNG of source-taxonomy labels: 8 bits with a palette, or 16-bit grey if K classes do not fit.

    Args:
        path: for error messages.
        labels: integer `[H, W]`, channels 0..K-1 or `void_index(K)`.
        palette: uint8 `[K, 3]` RGB; void is black.

    Raises:
        ValueError: a label that is neither a channel nor void.
    """
    from PIL import Image

    num_classes = len(palette)
    void = void_index(num_classes)
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.dtype.kind not in "iu":
        raise ValueError(f"{path}: labels must be integer [H, W], not {labels.dtype} {list(labels.shape)}")
    invalid = (labels != void) & ((labels < 0) | (labels >= num_classes))
    if invalid.any():
        raise ValueError(
            f"{path}: label {labels[invalid][0]} is neither void ({void}) nor one of {num_classes} classes"
        )
    if void == VOID:
        image = Image.fromarray(labels.astype(np.uint8))
        colours = np.zeros((256, 3), np.uint8)
        colours[:num_classes] = palette
        image.putpalette(colours.tobytes())
    else:
        image = Image.fromarray(labels.astype(np.uint16))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=_LEVEL)
    return buffer.getvalue()


def encode_confidence(confidence: NDArray[np.float32]) -> bytes:
    """The PNG of a confidence `[H, W]`, 0..1: 8-bit grey, 255 = 1."""
    from PIL import Image

    grey = (confidence * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG", compress_level=_LEVEL)
    return buffer.getvalue()
