"""Image files → the values that they store, to the bit: PNG and lossless TIFF, and refusals of all else.

A PNG is taken apart here, because Pillow scales 2- and 4-bit grey (1 -> 85, 17), drops the low bits of 16-bit colours
without a word, skips the checksums of the pixel data and reads missing rows as 0. Only the filters of rows are left to
Pillow, until enough files were read for compiled loops to pay (`loops.py`).
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import sys
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsu_onto.files import open_to_read, read_rest
from lsu_onto.raster.errors import LabelFileError, MissingPillowError
from lsu_onto.raster.loops import compiled_loops, fast_zlib
from lsu_onto.raster.palettes import value_colours

MAX_PIXELS = 1 << 29
"""Largest label file that is read unless told otherwise (`max_pixels=`): 537 megapixels."""

_HEAD = 512
"""Bytes that tell what a file is."""

_LARGEST_WINDOW = b"\x78"
"""The first byte of a zlib stream with a window of 32 KiB."""

_BAND, _PIECE = 1 << 18, 1 << 16
"""Bytes of rows that are decoded at a time, and of compressed data that zlib is given at a time."""


class Raster(NamedTuple):
    """What a label image stores.

    Attributes:
        array: `[H, W]`, or `[H, W, 3]` for `rgb`: uint8; uint16 for `grey16`; int32 or float32 for `grey32`.
        kind: `palette` (indices), `grey8` (up to 8 bits), `grey16`, `grey32` (TIFF only, whole numbers) or `rgb`.
        description: the file's format in words, for messages: "8-bit palette PNG".
        palette: uint8 `[<=256, 3]`, the colours of a `palette` file as the file lists them; else None.
    """

    array: NDArray[Any]
    kind: str
    description: str
    palette: NDArray[np.uint8] | None = None

    @property
    def colours(self) -> dict[int, int]:
        """Value → 0xrrggbb of each value that occurs, as far as the palette tells (see `value_colours`)."""
        return {} if self.palette is None else value_colours(self.array, self.palette)


def need_pillow() -> None:
    """Raise `MissingPillowError` where Pillow is missing. It is imported when a file is read, not before."""
    try:
        import PIL.Image  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingPillowError from error


def read_raster(path: str | os.PathLike[str], data: bytes | None = None, *, max_pixels: int = MAX_PIXELS) -> Raster:
    """Read a label image exactly as it is stored: no scaling, no palette look-up, no lost bits, no half-read files.

    Args:
        path: a PNG or lossless TIFF.
        data: its bytes, where they are at hand; `path` then only names the file in errors.
        max_pixels: refuse larger images before they are decoded.

    Raises:
        LabelFileError: not such a file, damaged, or its values cannot be read exactly. The message names the file,
            what was found, what was expected and what to do.
        MissingPillowError: Pillow is not installed.

    >>> import tempfile
    >>> from PIL import Image
    >>> file = Path(tempfile.mkdtemp()) / "a.png"
    >>> Image.fromarray(np.array([[7, 26003]], np.uint16)).save(file)
    >>> raster = read_raster(file)
    >>> raster.array.tolist(), raster.kind, raster.description
    ([[7, 26003]], 'grey16', '16-bit grey PNG')
    """
    need_pillow()
    if not isinstance(path, (str, os.PathLike)):
        raise LabelFileError(f"the path of a label file is a {type(path).__name__}; expected text or a `Path`")
    if data is None:
        data = _read(Path(path))
    if _is_png(data):
        return _read_png(path, data, max_pixels)
    if _is_tiff(data):
        return _read_tiff(path, data, max_pixels)
    raise LabelFileError.by_content(path, data, "a PNG or lossless TIFF", "save it as PNG")


def _read(path: Path) -> bytes:
    """The whole file if it may be a label image, else its head, so that no archive is read to be refused."""
    try:
        with open_to_read(path) as file:
            head = file.read(_HEAD)
            return head + read_rest(file) if _is_png(head) or _is_tiff(head) else head
    except OSError as error:
        found = f"no readable file ({error.strerror})"
        raise LabelFileError.of(path, found, "a label file", "check path and rights") from error


def _is_png(data: bytes) -> bool:
    return data.startswith(b"\x89PNG\r\n\x1a\n")


def _is_tiff(data: bytes) -> bool:
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


# --- PNG ---------------------------------------------------------------------------------------------------


class _Colour(NamedTuple):
    """A colour type of PNG: its name, Pillow's mode of 8 bits, values per pixel, bits per value that there are."""

    name: str
    mode: str
    channels: int
    bits: tuple[int, ...]


_COLOURS = {
    0: _Colour("grey", "L", 1, (1, 2, 4, 8, 16)),
    2: _Colour("RGB", "RGB", 3, (8, 16)),
    3: _Colour("palette", "P", 1, (1, 2, 4, 8)),
    4: _Colour("grey with alpha (LA)", "LA", 2, (8, 16)),
    6: _Colour("RGBA", "RGBA", 4, (8, 16)),
}
_ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
"""Passes of an interlaced PNG: first x, first y, step x, step y."""


class _Png(NamedTuple):
    """The chunks of a PNG that have to do with its pixels."""

    width: int
    height: int
    bits: int
    colour: _Colour
    interlaced: bool
    animated: bool
    palette: bytes
    compressed: list[memoryview]


def _read_png(path: str | os.PathLike[str], data: bytes, max_pixels: int) -> Raster:
    try:
        png = _take_apart(data)
    except ValueError as error:
        raise _damaged_png(path, error) from error
    if png.width * png.height > max_pixels:
        raise LabelFileError.too_large(path, png.width, png.height, max_pixels)
    if png.animated:
        raise LabelFileError.of(path, "an animated PNG", "one image", "write one frame")
    description = f"{png.bits}-bit {png.colour.name} PNG"
    if png.bits == 16 and png.colour.name != "grey":
        advice = "write 8-bit colours, or 16-bit grey values"
        raise LabelFileError.of(path, description, "8 bits per channel", advice)
    try:
        array = _pixels(png)
    except (ValueError, zlib.error) as error:
        raise _damaged_png(path, error) from error
    if png.colour.mode == "P":
        palette = np.frombuffer(png.palette, np.uint8).reshape(-1, 3)
        return Raster(array, "palette", description, palette)
    if png.colour.mode == "L":
        return Raster(array, "grey16" if png.bits == 16 else "grey8", description)
    return _without_alpha(path, array, description)


def _damaged_png(path: str | os.PathLike[str], error: Exception) -> LabelFileError:
    return LabelFileError.of(path, f"a damaged PNG ({error})", "a whole PNG", "get or write the file again")


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of each part of a PNG, up to and with `IEND`.

    Raises:
        ValueError: the file ends before that, or a checksum is wrong.
    """
    position, name, view = 8, b"", memoryview(data)
    while name != b"IEND":
        if position + 12 > len(data):
            raise ValueError(f"truncated after {len(data)} bytes")
        (length,) = struct.unpack_from(">I", data, position)
        name, start, end = data[position + 4 : position + 8], position + 8, position + 8 + length
        if end + 4 > len(data):
            raise ValueError(f"truncated after {len(data)} bytes")
        if fast_zlib.crc32(view[position + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            raise ValueError(f"wrong checksum at byte {position}")
        yield name, start, end
        position = end + 4


def _take_apart(data: bytes) -> _Png:
    """Go through the parts of a PNG. Raises ValueError for what the format does not allow."""
    header, palette, animated = b"", b"", False
    compressed: list[memoryview] = []
    before, view = b"", memoryview(data)
    for name, start, end in png_chunks(data):
        if (name == b"IHDR") != (start == 16):
            raise ValueError("no header at its start" if start == 16 else "two headers")
        if name == b"IHDR":
            header = data[start:end]
        elif name == b"PLTE":
            if palette or compressed:
                raise ValueError("two palettes, or one behind the pixels")
            palette = data[start:end]
        elif name == b"IDAT":
            if compressed and before != b"IDAT":
                raise ValueError("pixels in two places")
            compressed.append(view[start:end])
        elif name == b"acTL":
            animated = data[start : start + 4] != b"\0\0\0\1"
        elif name != b"IEND" and name[:1].isupper():  # a reader must not skip what it does not know
            raise ValueError(f"a part {name!r} that changes what the rest means")
        before = name
    if len(header) != 13:
        raise ValueError("a header of another size")
    width, height, bits, colour, packing, filters, interlaced = struct.unpack(">IIBBBBB", header)
    if colour not in _COLOURS or bits not in _COLOURS[colour].bits or packing or filters or interlaced > 1:
        raise ValueError(f"no such format: {bits} bits, colour type {colour}, methods {packing} {filters} {interlaced}")
    if not width or not height:
        raise ValueError(f"{width} x {height} pixels")
    if colour == 3 and (not palette or len(palette) % 3 or len(palette) > 3 * 256):
        raise ValueError(f"a palette of {len(palette)} bytes")
    return _Png(width, height, bits, _COLOURS[colour], bool(interlaced), animated, palette, compressed)


class _Rows:
    """The filtered rows of a PNG, each with the byte of its filter in front, inflated as they are asked for."""

    def __init__(self, compressed: list[memoryview], inflater: Any) -> None:
        self._inflate = inflater.decompressobj()
        self._pieces = (part[i : i + _PIECE] for part in compressed for i in range(0, len(part), _PIECE))

    def take(self, size: int) -> bytes:
        """The next bytes, exactly so many. Raises ValueError where there are fewer."""
        out = []
        while size:
            out.append(self._next(size))
            size -= len(out[-1])
        return b"".join(out)

    def finish(self) -> None:
        """Go on to the checksum at the end of the stream; what is too much is not kept."""
        while not self._inflate.eof:
            self._next(_BAND)

    def _next(self, most: int) -> bytes:
        data = self._inflate.unconsumed_tail or next(self._pieces, b"")
        out: bytes = self._inflate.decompress(data, most)
        if not data and not out:
            raise ValueError("it holds fewer rows than it says")
        return out


def _pixels(png: _Png) -> NDArray[Any]:
    """The values, `[H, W]` or `[H, W, channels]`."""
    if fast_zlib is not zlib and png.compressed and png.compressed[0][:1] == _LARGEST_WINDOW:
        # What the other inflater refuses, zlib explains, and always in the same words. Zlib alone looks whether streams
        # with smaller windows keep to them.
        with contextlib.suppress(ValueError, fast_zlib.error):
            return _pixels_by(png, _Rows(png.compressed, fast_zlib))
    return _pixels_by(png, _Rows(png.compressed, zlib))


def _pixels_by(png: _Png, rows: _Rows) -> NDArray[Any]:
    if png.interlaced:
        array = _unfiltered(png, png.height, rows.take(_size(png)))
        rows.finish()
        return array
    size = (png.width * png.colour.channels * png.bits + 7) // 8
    out = np.empty((1 + png.height, size), np.uint8)
    out[0] = 0  # the first row's filter looks at a row of zeros above it
    loops = compiled_loops(out.size)
    # Band by band, so that what lies in between stays in the cache.
    step = max(1, _BAND // (1 + size))
    for top in range(0, png.height, step):
        count = min(step, png.height - top)
        band, into = rows.take((1 + size) * count), out[top : top + count + 1]
        lines = np.frombuffer(band, np.uint8).reshape(count, 1 + size)
        if not lines[:, 0].any():  # no filter in any row: so are most palette files
            into[1:] = lines[:, 1:]
        elif loops is None or not loops.unfilter(lines, into, _step(png)):
            # Filters look at the row above, so the one above the band comes along, with no filter of its own.
            above = b"\0" + into[0].tobytes()
            into[1:] = _bytes_unfiltered(png, size, count + 1, above + band)[1:]
    rows.finish()
    return _values(png, out[1:])


def _step(png: _Png) -> int:
    """Bytes from a byte to that of the pixel to its right, as filters count."""
    return max(1, png.colour.channels * png.bits // 8)


def _values(png: _Png, stored: NDArray[np.uint8]) -> NDArray[Any]:
    """Rows of bytes → values."""
    if png.bits < 8:
        packed = np.take(_unpacking(png.bits), stored)
        return np.ascontiguousarray(packed.view(np.uint8)[:, : png.width])
    if png.bits == 16:
        big_endian = stored.view(">u2")
        return big_endian.byteswap(inplace=True).view(np.uint16) if sys.byteorder == "little" else big_endian
    channels = png.colour.channels
    return stored.reshape(png.height, png.width, channels) if channels > 1 else stored


@lru_cache(maxsize=3)
def _unpacking(bits: int) -> NDArray[Any]:
    """Byte → the values that it holds, one byte each, as one number."""
    shifts = np.arange(8 - bits, -1, -bits)
    values = (np.arange(256)[:, None] >> shifts & ((1 << bits) - 1)).astype(np.uint8)
    return values.view(f"u{8 // bits}").ravel()


def _size(png: _Png) -> int:
    """Bytes of all rows with their filters."""
    total = 0
    for x, y, dx, dy in _ADAM7 if png.interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-max(png.width - x, 0) // dx), -(-max(png.height - y, 0) // dy)
        total += rows * (1 + (columns * png.colour.channels * png.bits + 7) // 8) if columns else 0
    return total


def _unfiltered(png: _Png, height: int, rows: bytes) -> NDArray[Any]:
    """The values of filtered rows, by Pillow."""
    mode, stored = png.colour.mode, png.colour.mode
    if png.bits == 16:
        mode, stored = "I;16", "I;16B"
    elif png.bits < 8:
        mode, stored = "P", f"P;{png.bits}"  # as grey they would be scaled
    return _by_pillow(mode, (png.width, height), rows, stored, png.interlaced)


def _bytes_unfiltered(png: _Png, size: int, height: int, rows: bytes) -> NDArray[Any]:
    """The bytes of filtered rows, by Pillow, which needs to know the bytes of a pixel alone."""
    step = _step(png)
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[step]
    return _by_pillow(mode, (size // step, height), rows, mode, False).reshape(height, size)


def _by_pillow(mode: str, size: tuple[int, int], rows: bytes, stored: str, interlaced: bool) -> NDArray[Any]:
    from PIL import Image

    # Pillow takes filtered rows only when they are compressed. Level 0 stores them: to inflate again costs a copy.
    return np.asarray(Image.frombytes(mode, size, zlib.compress(rows, 0), "zip", stored, int(interlaced)))


# --- TIFF --------------------------------------------------------------------------------------------------


def _read_tiff(path: str | os.PathLike[str], data: bytes, max_pixels: int) -> Raster:
    from PIL import Image, TiffImagePlugin

    try:
        # The plugin's class, not `Image.open`: the latter looks for other formats, too.
        image: Any = TiffImagePlugin.TiffImageFile(io.BytesIO(data))
        tags = image.tag_v2
        width, height = tags.get(256), tags.get(257)
        if width * height > max_pixels:
            raise LabelFileError.too_large(path, width, height, max_pixels)
        bits, sample, photometric = max(tags.get(258, (1,))), max(tags.get(339, (1,))), tags.get(262)
        compression = str(image.info.get("compression", "raw"))
        turned = tags.get(274, 1) != 1
        frames = getattr(image, "n_frames", 1)
        image.seek(0)
        _check_strips(data, image, compression)
        image.load()
    except (LabelFileError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        advice = "save it as PNG, or raise `PIL.Image.MAX_IMAGE_PIXELS`"
        found = f"a TIFF that Pillow considers too large ({error})"
        raise LabelFileError.of(path, found, "a smaller one", advice) from error
    except Exception as error:  # Pillow raises whatever the damage leads to
        raise LabelFileError.of(path, f"a damaged TIFF ({error})", "a whole TIFF", "get the file again") from error
    description = f"{bits}-bit {image.mode} TIFF"
    if frames != 1:
        raise LabelFileError.of(path, f"a TIFF with {frames} images", "one image", "write one file for each")
    if any(word in compression for word in ("jpeg", "webp", "jp2")):
        found = f"{description} with {compression} compression, which may be lossy"
        advice = "go back to the original annotation and save as PNG"
        raise LabelFileError.of(path, found, "lossless compression", advice)
    if turned:
        found, advice = f"{description} with an orientation that turns it", "save it as PNG, turned as its image is"
        raise LabelFileError.of(path, found, "pixels in the order of the picture", advice)
    scaled = photometric == 0 or (photometric == 1 and bits in (2, 4))
    signed8 = sample == 2 and bits == 8
    if scaled or signed8 or (bits > 8 and image.mode not in ("I;16", "I;16B", "I;16L", "I", "F")):
        found = f"{description} whose values cannot be read exactly"
        raise LabelFileError.of(path, found, "plain grey or RGB", "save it as PNG")
    array = np.asarray(image)
    if image.mode in ("1", "L"):
        return Raster(array.astype(np.uint8), "grey8", description)
    if image.mode == "P":
        palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        return Raster(array, "palette", description, palette)
    if image.mode.startswith("I;16"):
        return Raster(array.astype(np.uint16), "grey16", description)
    if image.mode in ("I", "F"):
        if not (np.isfinite(array).all() and (array == np.floor(array)).all()):
            found = f"{description} with fractions, NaN or Inf"
            raise LabelFileError.of(path, found, "whole numbers", "write integers")
        return Raster(array, "grey32", description)
    if image.mode in ("RGB", "RGBA", "LA"):
        return _without_alpha(path, array, description)
    raise LabelFileError.of(path, description, "grey values, palette indices or RGB colours", "save it as PNG")


def _check_strips(data: bytes, image: Any, compression: str) -> None:
    """All strips or tiles lie in the file, and plain ones have all rows.

    Pillow looks after that itself unless some other package has set `ImageFile.LOAD_TRUNCATED_IMAGES`.
    """
    tags = image.tag_v2
    offsets, sizes = (tags.get(a, tags.get(b, ())) for a, b in ((273, 324), (279, 325)))
    if any(start + size > len(data) for start, size in zip(offsets, sizes, strict=True)):
        raise ValueError(f"truncated after {len(data)} bytes")
    row = (image.width * sum(tags.get(258, (1,))) + 7) // 8
    if compression == "raw" and sum(sizes) < row * image.height:
        raise ValueError("it holds fewer rows than it says")


# --- both --------------------------------------------------------------------------------------------------


def _without_alpha(path: str | os.PathLike[str], array: NDArray[Any], description: str) -> Raster:
    """RGB, RGBA or LA -> rgb or grey8. Alpha that says something would be lost, so it must say nothing."""
    if array.shape[2] in (2, 4):
        alpha, array = array[..., -1], array[..., :-1]
        if (alpha != 255).any():
            found = f"{description} with transparent pixels"
            advice = "find out what the alpha means, then save without it"
            raise LabelFileError.of(path, found, "opaque pixels", advice)
    if array.shape[2] == 1:
        return Raster(array[..., 0], "grey8", description)
    return Raster(array, "rgb", description)
