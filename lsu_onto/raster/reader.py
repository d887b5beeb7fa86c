"""Image files → the values that they store, to the bit: PNG and lossless TIFF, and refusals of all else.

PNG is read with its header in hand, because Pillow scales 2- and 4-bit grey (1 -> 85, 17), drops the low bits of
16-bit colours without a word, skips the checksums of the pixel data and reads missing rows as 0.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, TiffImagePlugin

from lsu_seg.label_files.errors import LabelFileError, not_what_was_expected, refuse


class Pixels(NamedTuple):
    """What a file holds. kind: palette, grey8, grey16, grey32, rgb; palette: uint8 `[<=256, 3]` or None."""

    array: NDArray[Any]
    kind: str
    found: str
    palette: NDArray[np.uint8] | None = None


def read_pixels(path: Path, data: bytes, max_pixels: int) -> Pixels:
    """The stored values of an image file, given its bytes. Raises `LabelFileError`."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _read_png(path, data, max_pixels)
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _read_tiff(path, data, max_pixels)
    raise not_what_was_expected(path, data, "a PNG or lossless TIFF", "save it as PNG")


_PNG_COLOUR = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha (LA)", 6: "RGBA"}

_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
"""Passes of an interlaced PNG: first x, first y, step x, step y."""


def _read_png(path: Path, data: bytes, max_pixels: int) -> Pixels:
    width, height, bits, colour, interlaced, parts = _check_png(path, data)
    check_size(path, width, height, max_pixels)
    try:
        inflate = zlib.decompressobj()
        size = sum(len(inflate.decompress(part)) for part in parts)
        if not inflate.eof or size < _png_bytes(width, height, bits * _PNG_CHANNELS[colour], interlaced):
            raise ValueError("it holds fewer rows than it says")
        # The plugin's class, not `Image.open`: the latter has a process-wide size limit of its own.
        image: Any = PngImagePlugin.PngImageFile(io.BytesIO(data))
        image.load()
    except Exception as error:  # Pillow raises whatever the damage leads to
        raise refuse(path, f"a damaged PNG ({error})", "a whole PNG", "get the file again") from error
    if getattr(image, "n_frames", 1) != 1:
        raise refuse(path, "an animated PNG", "one image", "write one frame")
    found = f"{bits}-bit {_PNG_COLOUR.get(colour, 'image of unknown colour type')} PNG"
    array = np.asarray(image)
    if colour == 3:
        palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        return Pixels(array, "palette", found, palette)
    if colour == 0 and bits < 16:  # undo Pillow's exact scaling; 1-bit values are 0 and 1
        return Pixels(array.astype(np.uint8) // {1: 1, 2: 85, 4: 17, 8: 1}[bits], "grey8", found)
    if colour == 0:
        return Pixels(array, "grey16", found)
    if bits == 16:
        raise refuse(path, found, "8 bits per channel", "write 8-bit colours, or 16-bit grey values")
    return _without_alpha(path, array, found)


def _check_png(path: Path, data: bytes) -> tuple[int, int, int, int, int, list[memoryview]]:
    """Walk the chunks, all checksums included, up to IEND.

    Returns width, height, bit depth, colour type, interlace method, and the parts of the compressed pixels.
    """
    advice = "get or write the file again"
    header, position, parts, view = b"", 8, [], memoryview(data)
    while True:
        if position + 12 > len(data):
            raise refuse(path, f"a truncated PNG ({len(data)} bytes)", "a whole PNG", advice)
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 8 + length
        name = data[position + 4 : position + 8]
        if end + 4 > len(data):
            raise refuse(path, f"a truncated PNG ({len(data)} bytes)", "a whole PNG", advice)
        if zlib.crc32(view[position + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            raise refuse(path, f"a damaged PNG (wrong checksum at byte {position})", "a whole PNG", advice)
        if position == 8:
            if name != b"IHDR" or length != 13:
                raise refuse(path, "a PNG without header", "a whole PNG", advice)
            header = data[16:29]
        if name == b"IDAT":
            parts.append(view[position + 8 : end])
        if name == b"IEND":
            width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
            return width, height, bits, colour, interlaced, parts
        position = end + 4


def _png_bytes(width: int, height: int, bits: int, interlaced: int) -> int:
    """Bytes of all rows of a PNG before compression; each row starts with one byte for its filter."""
    total = 0
    for x, y, dx, dy in _ADAM7 if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-max(width - x, 0) // dx), -(-max(height - y, 0) // dy)
        total += rows * (1 + (columns * bits + 7) // 8) if columns else 0
    return total


def _read_tiff(path: Path, data: bytes, max_pixels: int) -> Pixels:
    try:
        image: Any = TiffImagePlugin.TiffImageFile(io.BytesIO(data))
        check_size(path, *image.size, max_pixels)
        tags = image.tag_v2
        bits, sample, photometric = max(tags.get(258, (1,))), max(tags.get(339, (1,))), tags.get(262)
        compression = str(image.info.get("compression", "raw"))
        frames = getattr(image, "n_frames", 1)
        image.seek(0)
        image.load()
    except LabelFileError:
        raise
    except Image.DecompressionBombError as error:
        advice = "save it as PNG, or raise `PIL.Image.MAX_IMAGE_PIXELS`"
        raise refuse(path, f"a TIFF that Pillow holds for too large ({error})", "a smaller one", advice) from error
    except Exception as error:
        raise refuse(path, f"a damaged TIFF ({error})", "a whole TIFF", "get the file again") from error
    found = f"{bits}-bit {image.mode} TIFF"
    if frames != 1 or any(word in compression for word in ("jpeg", "webp", "jp2")):
        found = f"{found} with {frames} frame(s) and {compression} compression"
        raise refuse(path, found, "one lossless image", "go back to the original annotation and save as PNG")
    scaled = photometric == 0 or (photometric == 1 and bits in (2, 4))
    signed8 = sample == 2 and bits == 8
    if scaled or signed8 or (bits > 8 and image.mode not in ("I;16", "I;16B", "I;16L", "I", "F")):
        raise refuse(path, f"{found} whose values cannot be read exactly", "plain grey or RGB", "save it as PNG")
    array = np.asarray(image)
    if image.mode in ("1", "L"):
        return Pixels(array.astype(np.uint8), "grey8", found)
    if image.mode == "P":
        return Pixels(array, "palette", found, np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3))
    if image.mode.startswith("I;16"):
        return Pixels(array.astype(np.uint16), "grey16", found)
    if image.mode in ("I", "F"):
        return Pixels(array, "grey32", found)
    if image.mode in ("RGB", "RGBA", "LA"):
        return _without_alpha(path, array, found)
    raise refuse(path, found, "grey values, palette indices or RGB colours", "save it as PNG")


def _without_alpha(path: Path, array: NDArray[Any], found: str) -> Pixels:
    """RGB, RGBA or LA -> rgb or grey8. Alpha that says something would be lost, so it must say nothing."""
    if array.shape[2] in (2, 4):
        alpha, array = array[..., -1], array[..., :-1]
        if (alpha != 255).any():
            found = f"{found} with transparent pixels"
            raise refuse(path, found, "opaque pixels", "find out what the alpha means, then save without it")
    if array.shape[2] == 1:
        return Pixels(array[..., 0], "grey8", found)
    return Pixels(array, "rgb", found)


def check_size(path: Path, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        found, expected = f"{width} x {height} pixels", f"at most {max_pixels}"
        raise refuse(path, found, expected, "cut it into tiles, or raise `max_pixels`")
