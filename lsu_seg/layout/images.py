"""What image files say of themselves: the bits that their values use, and what a damaged one is. Imports no torch."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from lsu_onto import compiled_loops, read_raster
from lsu_seg.label_files import LabelFileError, not_what_was_expected

_FORMATS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG", "PNG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"GIF8", "GIF"),
    (b"\0\0\0\x0cjP", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"BM", "BMP"),
    *((b"P%d%c" % (n, space), "PPM") for n in range(1, 7) for space in b"\n\r\t "),
)
_BRANDS = {b"ftypavif": "AVIF", b"ftypavis": "AVIF", b"ftypheic": "HEIC", b"ftypmif1": "HEIC"}
"""What is at byte 4 of some."""

_READ_BY_ALL = ("JPEG", "MPO", "PNG", "TIFF", "WEBP", "BMP", "DIB", "PPM", "GIF", "JPEG2000", "AVIF")
"""Pillow's names of what OpenCV reads, too."""
ALIKE = ("PNG", "JPEG", "MPO")
"""Those that Pillow and OpenCV read by libraries that agree. Of other formats, each reads what the other does not."""
_TURNED = 274
_TIFF_BY_OPENCV = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946)
"""Ways in which a TIFF's pixels are compressed that the OpenCV of PyPI can undo: none, CCITT, LZW, JPEG, deflate,
PackBits."""
_COMPRESSIONS = {34925: "lzma", 50000: "zstd", 50001: "webp", 34712: "JPEG 2000", 34887: "LERC", 50002: "JPEG XL"}

_COLOUR_SPACES = {12: "CMYK", 14: "CIELab", 18: "sYCC", 24: "e-sYCC"}
"""Of JPEG 2000. OpenCV takes the first two for RGB, and others for another YUV."""

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
    kind = kind or _BRANDS.get(data[4:12], "")
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
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _check_tags(path, image.tag_v2)
    if image.mode == "F" or (image.format == "TIFF" and image.mode == "I"):
        raise _too_many_bits(path, image.format, 32)
    bare = image.format == "JPEG2000" and getattr(image, "codec", "") == "j2k" and image.mode[:3] != "RGB"
    if bare or (image.format == "JPEG2000" and image.mode == "CMYK"):
        found = f"a JPEG 2000 image of mode {image.mode}{' that says nothing of its colours' * bare}"
        raise LabelFileError.of(path, found, "one that OpenCV reads, too", "save it as PNG")
    if image.format == "JPEG2000" and (space := _COLOUR_SPACES.get(_colour_space(image), "")):
        found = f"a JPEG 2000 image of {space} values"
        raise LabelFileError.of(path, found, "one that OpenCV reads as it is meant", "save it as PNG")


def _colour_space(image: Image.Image) -> int:
    """The number that a JPEG 2000 image has for its colours. Pillow converts some of them, and does not say so."""
    file: Any = getattr(image, "fp")  # noqa: B009 (Pillow declares it nowhere)
    place = file.tell()
    file.seek(0)
    head = file.read(1 << 12).partition(b"jp2c")[0]
    file.seek(place)
    at = head.find(b"colr\x01")
    return int.from_bytes(head[at + 7 : at + 11], "big") if at >= 0 else 0


def _too_many_bits(path: str | os.PathLike[str], name: str, bits: int) -> LabelFileError:
    found, expected = f"a {name} image of {bits}-bit values", "values of 8 or 16 bits"
    return LabelFileError.of(path, found, expected, "save it as PNG, scaled to 8 or 16 bits")


def _check_tags(path: str | os.PathLike[str], tags: TiffImagePlugin.ImageFileDirectory_v2) -> None:
    """Refuse a TIFF by what it says of itself, which it does even where Pillow knows no such form."""

    def numbers(tag: int, unless: int) -> tuple[int, ...]:
        try:
            value = tags.get(tag, unless)
            return tuple(map(int, value if isinstance(value, tuple) else (value,))) or (unless,)
        except MemoryError:
            raise
        except Exception as error:  # text in the place of a number, or whatever else damage leads Pillow to
            found = f"a damaged TIFF image (tag {tag} is no number)"
            raise LabelFileError.of(path, found, "a whole image", "get the file again") from error

    compression, photometric = numbers(259, 1)[0], numbers(262, 1)[0]
    bits, kind = max(numbers(258, 1), default=1), max(numbers(339, 1), default=1)
    by_plane, channels, turned = numbers(284, 1)[0] == 2, numbers(277, 1)[0], numbers(_TURNED, 1)[0]
    if bits > 16:
        raise _too_many_bits(path, "TIFF", bits)
    found = ""
    if compression not in _TIFF_BY_OPENCV:
        found = f"compressed in a way ({_COMPRESSIONS.get(compression, compression)}) that OpenCV cannot undo"
    elif kind in (2, 3):
        found = f"of {'signed' if kind == 2 else 'floating-point'} values"
    elif bits == 16 and channels > 1 and by_plane:
        found = "of 16-bit values, each channel by itself"
    elif bits == 16 and photometric == 0:
        found = "of 16-bit values, of which the largest is black"
    elif channels > 4:
        found = f"of {channels} channels"
    elif photometric in (8, 9, 10):
        found = "of L*a*b* values"
    if found:
        advice = "save it as PNG" if channels <= 4 else "save those of red, green and blue as PNG"
        raise LabelFileError.of(path, f"a TIFF image {found}", "one that OpenCV reads as it is meant", advice)
    if turned != 1:
        found = f"a TIFF image with orientation {turned}, by which some programs turn it"
        advice = "save it as PNG, turned as its label is"
        raise LabelFileError.of(path, found, "pixels in the order of the picture", advice)


def check_tiff(path: str | os.PathLike[str], data: bytes) -> None:
    """`check_format` of a file, if it is a TIFF. One that Pillow cannot open, OpenCV may still decode."""
    if data[:4] not in (b"II*\0", b"MM\0*", b"II+\0"):  # the last of more than 4 GiB
        return
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(data[: 16 if data[2:3] == b"+" else 8])
        file = io.BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
    except Exception:  # Pillow raises whatever the damage leads to
        return
    _check_tags(path, tags)


def not_decoded(path: str | os.PathLike[str], data: bytes) -> LabelFileError:
    """The refusal of an image file that OpenCV cannot decode, although Pillow may."""
    try:
        with any_size(), Image.open(io.BytesIO(data)) as image:
            check_format(path, image)
            if image.format not in ALIKE:
                image.load()
                found = f"a {image.format} image that Pillow decodes, and OpenCV does not"
                return LabelFileError.of(path, found, "one that OpenCV reads, too", "save it as PNG")
    except LabelFileError as error:
        return error
    except Exception:  # Pillow raises arbitrary exceptions for damaged files
        pass
    return damaged_image(path, data, "OpenCV cannot decode it")


def opencv_image(path: str | os.PathLike[str], data: bytes) -> NDArray[Any]:
    """The pixels of an image as they lie in the file, uint8 or uint16 `[H, W, 3]` BGR, by OpenCV.

    Raises:
        LabelFileError: OpenCV does not read it, or reads it as other pixels.
    """
    import cv2

    check_tiff(path, data)
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what it says of a file names no file
    try:
        image: Any = decoded_by_opencv(data, cv2.IMREAD_ANYDEPTH) if data else None
    except cv2.error as error:  # a header that claims more pixels than OpenCV reads
        limit = "; set OPENCV_IO_MAX_IMAGE_PIXELS if it is that large" if "CV_IO_MAX" in str(error) else ""
        raise damaged_image(path, data, f"OpenCV refuses its size{limit}" if limit else str(error.err)) from error
    finally:
        cv2.utils.logging.setLogLevel(level)
    if image is None or image.ndim != 3:
        raise not_decoded(path, data)
    if image.dtype not in (np.uint8, np.uint16):
        found = f"an image of {image.dtype} values"
        raise LabelFileError.of(path, found, "values of 8 or 16 bits", "save it as PNG, scaled to 8 or 16 bits")
    under_alpha = _checked_by_pillow(path, data)
    return np.asarray(image) if under_alpha is None or image.dtype != np.uint8 else under_alpha


def _checked_by_pillow(path: str | os.PathLike[str], data: bytes) -> NDArray[np.uint8] | None:
    """Refuse what OpenCV decodes, and is another picture, as `lsu-seg scan` does: images of other formats than `ALIKE`
    whose colours it takes for others, and damaged TIFFs, of which it keeps what it has.

    Returns:
        The colours of a TIFF with an alpha, `[H, W, 3]` BGR, which OpenCV multiplies with it, as with no other format.
    """
    if data.startswith((b"\xff\xd8\xff", b"\x89PNG")):
        return None
    try:
        with any_size(), Image.open(io.BytesIO(data)) as image:
            check_format(path, image)
            if image.format == "TIFF":
                image.load()
                if image.mode == "RGBA":
                    return np.asarray(image)[..., 2::-1]
    except (LabelFileError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        if data[:2] in (b"II", b"MM"):
            raise damaged_image(path, data) from error
    except Exception as error:  # Pillow raises arbitrary exceptions for damaged files
        raise damaged_image(path, data, str(error)) from error
    return None


def decoded_by_opencv(data: bytes, depth: int = 0) -> Any:
    """The pixels of an image as they lie in the file, or None; 8 bits unless `depth` is `IMREAD_ANYDEPTH`."""
    import cv2

    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION | depth)


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
