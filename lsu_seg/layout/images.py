"""What image files say of themselves: the bits that their values use, and what a damaged one is. Imports no torch."""

from __future__ import annotations

import io
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

_READ_BY_ALL = ("JPEG", "MPO", "PNG", "TIFF", "WEBP", "BMP", "DIB", "PPM", "GIF", "JPEG2000", "AVIF")
"""Pillow's names of what OpenCV reads, too."""
_TURNED = 274

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


def check_format(path: str | os.PathLike[str], image: Image.Image) -> None:
    """Refuse what OpenCV, with which labelling and training read images, does not read, or reads as other pixels.

    OpenCV turns a TIFF as its orientation says, whatever it is told; images of other formats are read as they are
    stored.

    Args:
        image: opened by Pillow, not necessarily decoded.

    Raises:
        LabelFileError: it is such an image.
    """
    if image.format not in _READ_BY_ALL:
        raise LabelFileError.of(path, f"a {image.format} image", "one that OpenCV reads, too", "save it as PNG")
    if image.mode == "F" or (image.format == "TIFF" and image.mode == "I"):
        found, expected = f"a {image.format} image of 32-bit values", "values of 8 or 16 bits"
        raise LabelFileError.of(path, found, expected, "save it as PNG, scaled to 8 or 16 bits")
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(_TURNED, 1) != 1:
        found = f"a TIFF image with orientation {image.tag_v2[_TURNED]}, by which some programs turn it"
        advice = "save it as PNG, turned as its label is"
        raise LabelFileError.of(path, found, "pixels in the order of the picture", advice)


def check_tiff(path: str | os.PathLike[str], data: bytes) -> None:
    """`check_format` of a file, if it is a TIFF. One that Pillow cannot open, OpenCV may still decode."""
    if data[:2] not in (b"II", b"MM"):
        return
    try:
        image = TiffImagePlugin.TiffImageFile(io.BytesIO(data))  # not `Image.open`, which has a limit on sizes
    except Exception:  # Pillow raises whatever the damage leads to
        return
    check_format(path, image)


def not_decoded(path: str | os.PathLike[str], data: bytes) -> LabelFileError:
    """The refusal of an image file that OpenCV cannot decode, although Pillow may."""
    try:
        with any_size(), Image.open(io.BytesIO(data)) as image:
            check_format(path, image)
    except LabelFileError as error:
        return error
    except Exception:  # Pillow raises arbitrary exceptions for damaged files
        return damaged_image(path, data, "OpenCV cannot decode it")
    return damaged_image(path, data, "OpenCV cannot decode it")


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
