"""Label files → raw values → rows of d, and back to files: the one loader of label files. No torch.

A label file is trusted for what it refuses: everything that would silently give other numbers than the
annotators stored (lossy compression, scaled grey levels, dropped bits, half-read files, unlisted values)
raises `LabelFileError` with the file, what was found, what was expected and what to do.
"""

from __future__ import annotations

import io
import os
import re
import struct
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, TiffImagePlugin

from lsu_onto import ROW_UNKNOWN, ROW_VOID, VOID, Constraint

MAX_PIXELS = 1 << 29
"""Largest label file that is read unless told otherwise (`max_pixels=`): 537 megapixels."""

VOID16 = 65535
"""The void index of 16-bit label files, where there are too many classes for 8 bits."""


class LabelFileError(ValueError):
    """A label file that must not be used. The message names file, finding, expectation and remedy."""


class UnknownValue(NamedTuple):
    """A raw value that the taxonomy does not list: how many pixels have it, and where the first is."""

    value: int
    count: int
    x: int
    y: int


class LabelRows(NamedTuple):
    """rows: int16 `[H, W]`, a row of d, `ROW_VOID`, or with `unknown="keep"` `ROW_UNKNOWN`. unknown: pixels."""

    rows: NDArray[np.int16]
    unknown: int


def void_index(num_classes: int) -> int:
    """The void value in label files with this many classes: 255, or 65535 where 255 may be a class.

    >>> void_index(19), void_index(255), void_index(256)
    (255, 255, 65535)
    """
    if not 0 < num_classes <= VOID16:
        raise ValueError(f"num_classes is {num_classes}; label files hold 1 to {VOID16} classes")
    return VOID if num_classes <= VOID else VOID16


def parse_encoding(encoding: str) -> tuple[str, int]:
    """Split an encoding into (`"id"` | `"id16"` | `"rgb"`, divisor).

    >>> parse_encoding("rgb"), parse_encoding("id16/1000")
    (('rgb', 1), ('id16', 1000))
    """
    if encoding in ("id", "id16", "rgb"):
        return encoding, 1
    match = re.fullmatch(r"id16/([1-9][0-9]*)", encoding)
    if match is None:
        raise ValueError(f"unknown encoding `{encoding}`; known are `id`, `id16`, `id16/N` and `rgb`")
    return "id16", int(match[1])


# --- file -> raw -------------------------------------------------------------------------------------------


def read_raw(path: str | os.PathLike[str], encoding: str, *, max_pixels: int = MAX_PIXELS) -> NDArray[Any]:
    """Read the raw values of a label file, exactly as they are stored.

    Args:
        path: a PNG or lossless TIFF.
        encoding: `id` (8-bit values or palette indices), `id16` (16-bit), `id16/N` (16-bit, raw = stored // N)
            or `rgb` (raw = R<<16 | G<<8 | B).
        max_pixels: refuse larger images before they are decoded.

    Returns:
        `[H, W]` uint8 for `id`, uint16 for `id16` and `id16/N`, uint32 for `rgb`.

    Raises:
        LabelFileError: not exactly readable under this encoding. ValueError: no such encoding.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "a.png"
    >>> Image.fromarray(np.array([[7, 26003]], np.uint16)).save(file)
    >>> read_raw(file, "id16/1000").tolist()
    [[0, 26]]
    """
    return _read(Path(path), encoding, max_pixels)[0]


class _Pixels(NamedTuple):
    """What a file holds. kind: palette, grey8, grey16, grey32, rgb; palette: uint8 `[<=256, 3]` or None."""

    array: NDArray[Any]
    kind: str
    found: str
    palette: NDArray[np.uint8] | None = None


def _refuse(path: Path, found: str, expected: str, advice: str) -> LabelFileError:
    return LabelFileError(f"{path}: found {found}; expected {expected}; {advice}")


def _read(path: Path, encoding: str, max_pixels: int) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
    """The raw values and, for a file of indices, its palette."""
    kind, divisor = parse_encoding(encoding)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _refuse(
            path, f"no readable file ({error.strerror})", "a label file", "check path and rights"
        ) from error
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        pixels = _read_png(path, data, max_pixels)
    elif data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        pixels = _read_tiff(path, data, max_pixels)
    else:
        raise _not_a_label_file(path, data)
    if kind == "rgb":
        return _raw_rgb(path, pixels), None
    return _raw_id(path, pixels, kind, encoding, divisor), pixels.palette


def _raw_rgb(path: Path, pixels: _Pixels) -> NDArray[np.uint32]:
    array = pixels.array
    if pixels.kind == "palette" and pixels.palette is not None:
        if array.max(initial=0) >= len(pixels.palette):
            raise _refuse(
                path, "an index beyond its palette", "a colour for each index", "write the file again"
            )
        array = pixels.palette[array]  # a palette stores exact colours, so nothing is lost
    elif pixels.kind != "rgb":
        raise _refuse(
            path, pixels.found, "RGB colours", "declare `encoding: id` or `id16` if it stores numbers"
        )
    red, green, blue = (array[..., i].astype(np.uint32) for i in range(3))
    return red << 16 | green << 8 | blue


def _raw_id(path: Path, pixels: _Pixels, kind: str, encoding: str, divisor: int) -> NDArray[Any]:
    bits, expected = (8, "8-bit values or palette indices") if kind == "id" else (16, "16-bit grey values")
    expected = f"{expected} (`encoding: {encoding}`)"
    array, dtype = pixels.array, np.uint8 if bits == 8 else np.uint16
    if pixels.kind == "rgb":
        if (array == array[..., :1]).all():
            found = pixels.found + " with R = G = B: grey values stored three times"
            advice = (
                "save one channel as 8-bit grey PNG, or declare `encoding: rgb` and list the greys as colours"
            )
            raise _refuse(path, found, expected, advice)
        raise _refuse(path, pixels.found, expected, "declare `encoding: rgb` if colours tell the classes")
    if pixels.kind == "grey32":
        if not (np.isfinite(array).all() and (array == np.floor(array)).all()):
            raise _refuse(path, pixels.found + " with fractions, NaN or Inf", expected, "write integers")
        low, high = array.min(initial=0), array.max(initial=0)
        if low < 0 or high >= 1 << bits:
            raise _refuse(
                path, f"{pixels.found} from {low} to {high}", expected, "write each value into the range"
            )
    elif (pixels.kind == "grey16") != (bits == 16):
        other = "id" if bits == 16 else "id16"
        advice = f"declare `encoding: {other}` if that is how the files store values"
        raise _refuse(path, pixels.found, expected, advice)
    return array.astype(dtype) // dtype(divisor) if divisor < 1 << bits else np.zeros_like(array, dtype)


# PNG is read with its header in hand, because Pillow scales 2- and 4-bit grey (1 -> 85, 17), drops the low
# bits of 16-bit colours without a word, skips the checksums of the pixel data and reads missing rows as 0.
_PNG_COLOUR = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha (LA)", 6: "RGBA"}

_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
"""Passes of an interlaced PNG: first x, first y, step x, step y."""


def _read_png(path: Path, data: bytes, max_pixels: int) -> _Pixels:
    width, height, bits, colour, interlaced, parts = _check_png(path, data)
    _check_size(path, width, height, max_pixels)
    try:
        inflate = zlib.decompressobj()
        size = sum(len(inflate.decompress(part)) for part in parts)
        if not inflate.eof or size < _png_bytes(width, height, bits * _PNG_CHANNELS[colour], interlaced):
            raise ValueError("it holds fewer rows than it says")
        # The plugin's class, not `Image.open`: the latter has a process-wide size limit of its own.
        image: Any = PngImagePlugin.PngImageFile(io.BytesIO(data))
        image.load()
    except Exception as error:  # Pillow raises whatever the damage leads to
        raise _refuse(path, f"a damaged PNG ({error})", "a whole PNG", "get the file again") from error
    if getattr(image, "n_frames", 1) != 1:
        raise _refuse(path, "an animated PNG", "one image", "write one frame")
    found = f"{bits}-bit {_PNG_COLOUR.get(colour, 'image of unknown colour type')} PNG"
    array = np.asarray(image)
    if colour == 3:
        palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        return _Pixels(array, "palette", found, palette)
    if colour == 0 and bits < 16:  # undo Pillow's exact scaling; 1-bit values are 0 and 1
        return _Pixels(array.astype(np.uint8) // {1: 1, 2: 85, 4: 17, 8: 1}[bits], "grey8", found)
    if colour == 0:
        return _Pixels(array, "grey16", found)
    if bits == 16:
        raise _refuse(path, found, "8 bits per channel", "write 8-bit colours, or 16-bit grey values")
    return _without_alpha(path, array, found)


def _check_png(path: Path, data: bytes) -> tuple[int, int, int, int, int, list[memoryview]]:
    """Walk the chunks, all checksums included, up to IEND.

    Returns width, height, bit depth, colour type, interlace method, and the parts of the compressed pixels.
    """
    advice = "get or write the file again"
    header, position, parts, view = b"", 8, [], memoryview(data)
    while True:
        if position + 12 > len(data):
            raise _refuse(path, f"a truncated PNG ({len(data)} bytes)", "a whole PNG", advice)
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 8 + length
        name = data[position + 4 : position + 8]
        if end + 4 > len(data):
            raise _refuse(path, f"a truncated PNG ({len(data)} bytes)", "a whole PNG", advice)
        if zlib.crc32(view[position + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            raise _refuse(path, f"a damaged PNG (wrong checksum at byte {position})", "a whole PNG", advice)
        if position == 8:
            if name != b"IHDR" or length != 13:
                raise _refuse(path, "a PNG without header", "a whole PNG", advice)
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


def _read_tiff(path: Path, data: bytes, max_pixels: int) -> _Pixels:
    try:
        image: Any = TiffImagePlugin.TiffImageFile(io.BytesIO(data))
        _check_size(path, *image.size, max_pixels)
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
        raise _refuse(
            path, f"a TIFF that Pillow holds for too large ({error})", "a smaller one", advice
        ) from error
    except Exception as error:
        raise _refuse(path, f"a damaged TIFF ({error})", "a whole TIFF", "get the file again") from error
    found = f"{bits}-bit {image.mode} TIFF"
    if frames != 1 or any(word in compression for word in ("jpeg", "webp", "jp2")):
        found = f"{found} with {frames} frame(s) and {compression} compression"
        raise _refuse(path, found, "one lossless image", "go back to the original annotation and save as PNG")
    scaled = photometric == 0 or (photometric == 1 and bits in (2, 4))
    signed8 = sample == 2 and bits == 8
    if scaled or signed8 or (bits > 8 and image.mode not in ("I;16", "I;16B", "I;16L", "I", "F")):
        raise _refuse(
            path, f"{found} whose values cannot be read exactly", "plain grey or RGB", "save it as PNG"
        )
    array = np.asarray(image)
    if image.mode in ("1", "L"):
        return _Pixels(array.astype(np.uint8), "grey8", found)
    if image.mode == "P":
        return _Pixels(array, "palette", found, np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3))
    if image.mode.startswith("I;16"):
        return _Pixels(array.astype(np.uint16), "grey16", found)
    if image.mode in ("I", "F"):
        return _Pixels(array, "grey32", found)
    if image.mode in ("RGB", "RGBA", "LA"):
        return _without_alpha(path, array, found)
    raise _refuse(path, found, "grey values, palette indices or RGB colours", "save it as PNG")


def _without_alpha(path: Path, array: NDArray[Any], found: str) -> _Pixels:
    """RGB, RGBA or LA -> rgb or grey8. Alpha that says something would be lost, so it must say nothing."""
    if array.shape[2] in (2, 4):
        alpha, array = array[..., -1], array[..., :-1]
        if (alpha != 255).any():
            found = f"{found} with transparent pixels"
            raise _refuse(path, found, "opaque pixels", "find out what the alpha means, then save without it")
    if array.shape[2] == 1:
        return _Pixels(array[..., 0], "grey8", found)
    return _Pixels(array, "rgb", found)


def _check_size(path: Path, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        found, expected = f"{width} x {height} pixels", f"at most {max_pixels}"
        raise _refuse(path, found, expected, "cut it into tiles, or raise `max_pixels`")


_LOSSY = "go back to the original annotation and save as PNG: its pixels are not the annotated values"
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"\xff\xd8\xff", "a JPEG, which changes values into other valid ones", _LOSSY),
    (b"GIF8", "a GIF, which permutes palette indices", _LOSSY),
    (b"\0\0\0\x0cjP", "a JPEG 2000 image", _LOSSY),
    (b"BM", "a BMP image", "save it as PNG"),
    (b"version https://git-lfs", "a git-LFS pointer, not the image", "run `git lfs pull`"),
    (b"/annex/objects/", "a git-annex pointer, not the image", "run `git annex get`"),
    (b"PK\x03\x04", "a ZIP archive", "unpack it"),
    (b"\x1f\x8b", "a gzip archive", "unpack it"),
    (b"\x93NUMPY", "a NumPy array", "save it as PNG"),
)


def _not_a_label_file(path: Path, data: bytes) -> LabelFileError:
    """Say what the file is, by content: suffixes lie."""
    expected = "a PNG or lossless TIFF"
    if not data:
        return _refuse(path, "an empty file (0 bytes)", expected, "get the file again")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _refuse(path, "a WebP image, which may be lossy", expected, _LOSSY)
    if data[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return _refuse(
            path, "an HTML or XML page", expected, "get the file again: the download was answered by a page"
        )
    for magic, found, advice in _MAGIC:
        if data.startswith(magic):
            return _refuse(path, found, expected, advice)
    return _refuse(path, f"no known image (it starts with {data[:8]!r})", expected, "save it as PNG")


# --- raw -> rows of d --------------------------------------------------------------------------------------


@dataclass
class RowTable:
    """Raw values → rows of d through one dense table: exact, and no replacement can hit a replaced value.

    The table is built at first use and left behind when pickled, so that it costs a worker nothing.

    >>> table = RowTable(np.array([7, 255], np.uint32), np.array([0, ROW_VOID], np.int16), "id")
    >>> table.rows(np.array([[7, 255, 8]], np.uint8)).tolist() == [[0, ROW_VOID, ROW_UNKNOWN]]
    True
    """

    raw: NDArray[np.uint32]
    raw_row: NDArray[np.int16]
    encoding: str
    _table: NDArray[np.int16] | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, constraint: Constraint) -> RowTable:
        """The table of a dataset's taxonomy."""
        return cls(constraint.raw, constraint.raw_row, constraint.encoding)

    def rows(self, raw: NDArray[Any]) -> NDArray[np.int16]:
        """int16 `[H, W]`: the row of each raw value, `ROW_VOID` or `ROW_UNKNOWN`."""
        if self._table is None:
            self._table = self._build()
        return np.take(self._table, raw) + np.int16(ROW_UNKNOWN)

    def _build(self) -> NDArray[np.int16]:
        size = {"id": 1 << 8, "id16": 1 << 16, "rgb": 1 << 24}[parse_encoding(self.encoding)[0]]
        if len(self.raw) and int(self.raw.max()) >= size:
            raise ValueError(f"raw value {self.raw.max()} cannot occur under `encoding: {self.encoding}`")
        # Rows are stored shifted so that "unknown" is 0: zeroed pages cost no memory until they are read.
        table = np.zeros(size, np.int16)
        table[self.raw] = self.raw_row - np.int16(ROW_UNKNOWN)
        return table

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_table": None}


def unknown_values(raw: NDArray[Any], rows: NDArray[np.int16]) -> list[UnknownValue]:
    """The raw values of the pixels whose row is `ROW_UNKNOWN`, most frequent first.

    >>> unknown_values(np.array([[1, 9, 9]]), np.array([[0, ROW_UNKNOWN, ROW_UNKNOWN]], np.int16))
    [UnknownValue(value=9, count=2, x=1, y=0)]
    """
    where = np.flatnonzero(rows == ROW_UNKNOWN)
    values, first, counts = np.unique(raw.ravel()[where], return_index=True, return_counts=True)
    width = raw.shape[1]
    found = [
        UnknownValue(int(v), int(n), int(where[i] % width), int(where[i] // width))
        for v, i, n in zip(values, first, counts, strict=True)
    ]
    return sorted(found, key=lambda u: (-u.count, u.value))


def check_known(
    path: str | os.PathLike[str],
    raw: NDArray[Any],
    rows: NDArray[np.int16],
    constraint: Constraint,
    unknown: str = "error",
) -> LabelRows:
    """Refuse raw values that the taxonomy does not list, or count them.

    Args:
        path: named in the error. raw, rows: `[H, W]`, as `read_raw` and `RowTable.rows` give them.
        unknown: `"error"`; `"void"` turns them into `ROW_VOID`; `"keep"` leaves `ROW_UNKNOWN` (for counting).

    Returns:
        The rows and the number of unknown pixels.

    Raises:
        LabelFileError: unlisted values under `"error"`: value, count, first pixel, a hint.
    """
    if unknown not in ("error", "void", "keep"):
        raise ValueError(f"unknown is {unknown!r}; it must be 'error', 'void' or 'keep'")
    missing = rows == ROW_UNKNOWN
    count = int(np.count_nonzero(missing))
    if count == 0 or unknown == "keep":
        return LabelRows(rows, count)
    if unknown == "void":
        return LabelRows(np.where(missing, np.int16(ROW_VOID), rows), count)
    values = unknown_values(raw, rows)
    shown = ", ".join(
        f"{_show(u.value, constraint)} in {u.count} pixel(s), first at x={u.x} y={u.y}" for u in values[:5]
    )
    more = f" and {len(values) - 5} more value(s)" if len(values) > 5 else ""
    advice = (
        _hint(values, constraint) or "add it to the taxonomy, or pass `--unknown void` to count it as void"
    )
    found = f"{count} pixel(s) with unlisted values: {shown}{more}"
    taxonomy = f"`{constraint.dataset} {constraint.dataset_version}`"
    raise _refuse(Path(path), found, f"only values that {taxonomy} lists", advice)


def _show(value: int, constraint: Constraint) -> str:
    return f"#{value:06x}" if constraint.encoding == "rgb" else str(value)


def _hint(values: Sequence[UnknownValue], constraint: Constraint) -> str:
    """Guess what went wrong with the most frequent unknown values; empty when nothing suggests itself."""
    known = constraint.raw.astype(np.int64)
    if not len(known):
        return ""
    missing = np.array([u.value for u in values], np.int64)
    if constraint.encoding != "rgb":
        if constraint.encoding == "id16":
            for divisor in (1000, 256, 100):
                if np.isin(missing // divisor, known).all():
                    return f"the values look packed: declare `encoding: id16/{divisor}`"
        return ""
    swapped = (missing & 0xFF) << 16 | missing & 0xFF00 | missing >> 16
    if np.isin(swapped, known).all():
        return (
            "red and blue look swapped (BGR): read with red and blue exchanged, all these colours are listed"
        )

    def channels(colour: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.stack([colour >> 16, colour >> 8 & 0xFF, colour & 0xFF], -1)

    distance = np.linalg.norm(channels(known) - channels(missing[:1]), axis=-1)
    nearest = int(distance.argmin())
    row = int(constraint.raw_row[nearest])
    name = constraint.classes[row] if row >= 0 else "void"
    text = (
        f"the nearest listed colour is #{known[nearest]:06x} (`{name}`) at distance {distance[nearest]:.1f}"
    )
    if distance[nearest] <= 32:
        text += ": lossy compression or smoothing? Go back to the original annotation"
    return text


@dataclass
class LabelReader:
    """Reads the label files of one dataset into rows of d. Picklable and cheap to construct.

    Args:
        constraint: gives encoding and raw values.
        unknown: what becomes of unlisted values, see `check_known`.

    >>> import lsu_onto, tempfile
    >>> file = Path(tempfile.mkdtemp()) / "a.png"
    >>> Image.fromarray(np.array([[1, 255, 77]], np.uint8)).save(file)
    >>> LabelReader(lsu_onto.load("demo_town", source="demo"), unknown="void").read(file)
    LabelRows(rows=array([[ 0, -1, -1]], dtype=int16), unknown=1)
    """

    constraint: Constraint
    unknown: str = "error"
    max_pixels: int = MAX_PIXELS
    _table: RowTable = field(init=False, repr=False)
    _palette_seen: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        parse_encoding(self.constraint.encoding)
        self._table = RowTable.of(self.constraint)

    def read(self, path: str | os.PathLike[str]) -> LabelRows:
        """int16 rows `[H, W]` and the number of unknown pixels. Raises `LabelFileError`."""
        raw, palette = _read(Path(path), self.constraint.encoding, self.max_pixels)
        if palette is not None and not self._palette_seen:
            self._palette_seen = True  # one look per reader: a dataset has one palette
            self._compare_palette(Path(path), raw, palette)
        return check_known(path, raw, self._table.rows(raw), self.constraint, self.unknown)

    def rows(self, path: str | os.PathLike[str]) -> NDArray[np.int16]:
        """int16 `[H, W]`: a row of d, or `ROW_VOID`. Raises `LabelFileError`."""
        return self.read(path).rows

    def _compare_palette(self, path: Path, raw: NDArray[Any], palette: NDArray[np.uint8]) -> None:
        if (palette == palette[:, :1]).all():
            return  # a grey ramp says nothing about colours
        listed = (self.constraint.raw_row >= 0) & np.isin(self.constraint.raw, raw)
        values, rows = self.constraint.raw[listed], self.constraint.raw_row[listed]
        for value, row in zip(values.tolist(), rows.tolist(), strict=True):
            declared = self.constraint.palette[row]
            if value < len(palette) and (palette[value] != declared).any():
                name, found = self.constraint.classes[row], palette[value].tobytes().hex()
                text = f"{path}: the file's palette has #{found} for value {value}, the taxonomy "
                text += f"#{declared.tobytes().hex()} (`{name}`); the values are used, not the colours"
                warnings.warn(text, stacklevel=3)
                return


# --- labels -> file ----------------------------------------------------------------------------------------


def write_labels(path: str | os.PathLike[str], labels: NDArray[Any], palette: NDArray[np.uint8]) -> None:
    """Write source-taxonomy labels: an 8-bit palette PNG, or 16-bit grey where K classes do not fit.

    Args:
        path: the final name; the folder must exist. Never holds half a file (see `write_atomic`).
        labels: integer `[H, W]`, channels 0..K-1 or `void_index(K)`.
        palette: uint8 `[K, 3]` RGB; void is black.

    Raises:
        ValueError: a label that is neither a channel nor void. OSError: the disk's word.
    """
    num_classes = len(palette)
    void = void_index(num_classes)
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.dtype.kind not in "iu":
        raise ValueError(f"{path}: labels must be integer [H, W], not {labels.dtype} {list(labels.shape)}")
    wrong = (labels != void) & ((labels < 0) | (labels >= num_classes))
    if wrong.any():
        raise ValueError(
            f"{path}: label {labels[wrong][0]} is neither void ({void}) nor one of {num_classes} classes"
        )
    if void == VOID:
        image = Image.fromarray(labels.astype(np.uint8))
        colours = np.zeros((256, 3), np.uint8)
        colours[:num_classes] = palette
        image.putpalette(colours.tobytes())
    else:
        image = Image.fromarray(labels.astype(np.uint16))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    write_atomic(path, buffer.getvalue())


def write_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file whole or not at all: temporary file in the same folder, fsync, rename.

    The temporary name is short (long names stay writable) and starts with a dot (scans pass over it).
    """
    path = Path(path)
    temporary = path.parent / f".{os.getpid():x}-{os.urandom(4).hex()}.tmp"
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105 - the atomic one, by its documented name
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
