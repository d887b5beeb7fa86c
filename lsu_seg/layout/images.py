"""What image files say of themselves: the bits that their values use, and what a damaged one is. Imports no torch."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from lsu_onto import compiled_loops, read_raster
from lsu_seg.label_files import LabelFileError, not_what_was_expected

_FORMATS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG", "PNG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"GIF8", "GIF"),
    (b"\0\0\0\x0cjP", "JPEG 2000"),
    (b"BM", "BMP"),
)

CAMERA_BITS = (8, 10, 12, 14)
"""What cameras deliver in 16-bit files."""


class Depth(NamedTuple):
    """The bits of a value in a PNG as they are stored, and how many of them the file says are significant (else 0)."""

    stored: int
    significant: int


def png_depth(data: bytes) -> Depth:
    """The depth of a PNG, from the parts before its pixels; (0, 0) for anything else.

    >>> png_depth(b"GIF89a")
    Depth(stored=0, significant=0)
    """
    if not data.startswith(b"\x89PNG\r\n\x1a\n") or len(data) < 33:
        return Depth(0, 0)
    stored, colour = data[24], data[25]
    position = 8
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        if name == b"sBIT":
            channels = data[position + 8 : position + 8 + length][: 3 if colour in (2, 6) else 1]  # not of the alpha
            return Depth(stored, max(channels, default=0))
        if name in (b"IDAT", b"IEND"):
            break
        position += 12 + length
    return Depth(stored, 0)


def stored_bits(image: Image.Image, data: bytes) -> int:
    """The bits of a value in a PNG or TIFF, else 0. Pillow itself does not tell colours of 16 bits from those of 8.

    Args:
        image: opened by Pillow, not necessarily decoded.
        data: the file, at least its first 64 bytes.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(max(image.tag_v2.get(258, (0,))))
    return png_depth(data).stored


def damaged_image(path: str | os.PathLike[str], data: bytes, why: str = "") -> LabelFileError:
    """The refusal of an image file that cannot be decoded.

    Args:
        data: at least its first 512 bytes.
        why: what the decoder said, in a few words.
    """
    kind = "WebP" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else ""
    kind = kind or next((name for magic, name in _FORMATS if data.startswith(magic)), "")
    if kind:
        found = f"a damaged {kind} image{f' ({why})' if why else ''}"
        return LabelFileError.of(path, found, "a whole image", "get the file again")
    return not_what_was_expected(path, data, "an image", "get the file again")


@contextmanager
def any_size() -> Iterator[None]:
    """Lift Pillow's limit on image sizes, for those who look at the size before they decode."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def plain_png(path: str | os.PathLike[str], data: bytes) -> NDArray[np.uint8] | None:
    """The pixels of a whole PNG with 8-bit colours, RGB `[H, W, 3]`, by the reader of labels.

    None for other files, for damaged ones, and as long as its compiled loops, with which it takes half of the time of
    other readers, are not worth their import.
    """
    if not data.startswith(b"\x89PNG\r\n\x1a\n") or data[24:26] != b"\x08\x02" or data[28:29] != b"\0":
        return None
    width, height = struct.unpack_from(">II", data, 16)
    if compiled_loops(3 * width * height) is None:
        return None
    try:
        return read_raster(path, data).array
    except LabelFileError:
        return None
