"""Raw values of label files that store a number or a colour per pixel."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsu_onto import MAX_PIXELS, Raster, read_raster
from lsu_seg.label_files.errors import LabelFileError, refuse
from lsu_seg.label_files.members import container, read_bytes, read_member

KINDS = ("id", "id16", "instance-ids", "rgb", "panoptic-rgb", "polygons", "rle")


def parse_encoding(encoding: str) -> tuple[str, int]:
    """Split an encoding into one of `KINDS` and a divisor. Raises `LabelFileError` for unknown encodings.

    >>> parse_encoding("rgb"), parse_encoding("id16/1000")
    (('rgb', 1), ('id16', 1000))
    """
    if encoding in KINDS:
        return encoding, 1
    match = re.fullmatch(r"id16/([1-9][0-9]*)", encoding)
    if match is None:
        raise LabelFileError(f"unknown encoding `{encoding}`; known are {', '.join(KINDS)} and `id16/N`")
    return "id16", int(match[1])


def own_pixels(path: str | os.PathLike[str], data: bytes) -> NDArray[Any]:
    """The pixels of a PNG that labelling or a review has written, `[H, W]`: whatever its size, which was accepted then.

    Args:
        path: for messages.

    Raises:
        LabelFileError: it is damaged.
    """
    return read_raster(path, data, max_pixels=sys.maxsize).array


def read_raw(path: str | os.PathLike[str], encoding: str, *, max_pixels: int = MAX_PIXELS) -> NDArray[Any]:
    """Read the raw values of a label file, exactly as they are stored.

    Args:
        path: a PNG or lossless TIFF.
        encoding: `id` (8-bit values or palette indices), `id16` (16-bit), `id16/N` (16-bit, raw = stored // N),
            `instance-ids` (16-bit, raw = stored below 1000, else stored // 1000), `rgb` (raw = R<<16 | G<<8 | B),
            or `panoptic-rgb` (raw = R | G<<8 | B<<16, the number of a segment).
        max_pixels: refuse larger images, before decoding them.

    Returns:
        `[H, W]` uint8 for `id`, uint16 for 16-bit files, uint32 for colours.

    Raises:
        LabelFileError: the file cannot be read exactly under this encoding, the encoding is unknown, or it has no raw
            values in an image.

    >>> import tempfile
    >>> from PIL import Image
    >>> file = Path(tempfile.mkdtemp()) / "a.png"
    >>> Image.fromarray(np.array([[7, 26003]], np.uint16)).save(file)
    >>> read_raw(file, "id16/1000").tolist()
    [[0, 26]]
    """
    return read_raw_and_raster(Path(path), encoding, max_pixels)[0]


def read_raw_and_raster(path: Path, encoding: str, max_pixels: int) -> tuple[NDArray[Any], Raster]:
    """The raw values, and what the file stores."""
    kind, divisor = parse_encoding(encoding)
    if kind in ("polygons", "rle"):
        raise LabelFileError(f"`encoding: {encoding}` has no raw values in an image")
    if container(path) == path:
        data = read_bytes(path)
    else:
        data, own_divisor = read_member(path)
        if own_divisor not in (None, divisor):
            advice = f"declare `encoding: id16/{own_divisor}`"
            raise refuse(path, f"labels with divisor {own_divisor}", f"`encoding: {encoding}`", advice)
    raster = read_raster(path, data, max_pixels=max_pixels)
    if kind in ("rgb", "panoptic-rgb"):
        return raw_colours(path, raster, red_first=kind == "rgb"), raster
    return _raw_id(path, raster, kind, encoding, divisor), raster


def raw_colours(path: Path, raster: Raster, red_first: bool) -> NDArray[np.uint32]:
    """Stored pixels → uint32 `[H, W]`, one number for each colour: 0xrrggbb if `red_first`, else 0xbbggrr."""
    array = raster.array
    if raster.kind == "palette" and raster.palette is not None:
        if array.max(initial=0) >= len(raster.palette):
            raise refuse(path, "an index beyond its palette", "a colour for each index", "write the file again")
        array = raster.palette[array]  # a palette stores exact colours, so this loses nothing
    elif raster.kind != "rgb":
        raise refuse(path, raster.description, "RGB colours", "declare `encoding: id` or `id16` if it stores numbers")
    # Read four bytes at each pixel but the last: this takes one pass, shifting and adding the channels would take six.
    flat = np.ascontiguousarray(array).reshape(-1)
    out = np.empty(array.shape[:2], np.uint32)
    numbers = np.ndarray((out.size - 1,), ">u4" if red_first else "<u4", flat.data, 0, (3,))
    if red_first:
        np.right_shift(numbers, np.uint32(8), out=out.reshape(-1)[:-1])
    else:
        np.bitwise_and(numbers, np.uint32(0xFFFFFF), out=out.reshape(-1)[:-1])
    out[-1, -1] = int.from_bytes(flat[-3:].tobytes(), "big" if red_first else "little")
    return out


def _raw_id(path: Path, raster: Raster, kind: str, encoding: str, divisor: int) -> NDArray[Any]:
    bits, expected = (8, "8-bit values or palette indices") if kind == "id" else (16, "16-bit grey values")
    expected = f"{expected} (`encoding: {encoding}`)"
    array, dtype = raster.array, np.uint8 if bits == 8 else np.uint16
    if raster.kind == "rgb":
        if (array == array[..., :1]).all():
            found = raster.description + " with R = G = B: grey values stored three times"
            advice = "save one channel as 8-bit grey PNG, or declare `encoding: rgb` and list the greys as colours"
            raise refuse(path, found, expected, advice)
        raise refuse(path, raster.description, expected, "declare `encoding: rgb` if colours tell the classes")
    if raster.kind == "grey32":
        low, high = array.min(initial=0), array.max(initial=0)
        if low < 0 or high >= 1 << bits:
            raise refuse(
                path, f"{raster.description} from {low} to {high}", expected, "write each value into the range"
            )
    elif (raster.kind == "grey16") != (bits == 16):
        other = "id" if bits == 16 else "id16"
        advice = f"declare `encoding: {other}` if that is how the files store values"
        raise refuse(path, raster.description, expected, advice)
    values: NDArray[Any] = array.astype(dtype, copy=False)
    if kind == "instance-ids":
        return np.where(values < 1000, values, values // dtype(1000))
    if divisor == 1:
        return values
    return values // dtype(divisor) if divisor < 1 << bits else np.zeros_like(values)
