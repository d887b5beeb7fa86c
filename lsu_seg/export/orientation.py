"""Images whose EXIF orientation is to be ignored: their labels belong to the pixels as they are stored."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

from PIL import Image

from lsu_seg.export.labelled import ExportError
from lsu_seg.layout.images import any_size

_TAG = 0x0112


def as_stored(path: Path, data: bytes) -> bytes:
    """An image file that every reader shows as it is stored: the orientation that it states, if any, becomes 1.

    Programs that turn images, as `datasets` does, would turn one away from its label. No other byte changes, but for
    the checksum of a PNG's chunk.

    Raises:
        ExportError: its orientation cannot be changed.
    """
    if _orientation(data) not in range(2, 9):
        return data
    with any_size(), Image.open(io.BytesIO(data)) as image:
        exif = image.info.get("exif", b"")
    block = exif.removeprefix(b"Exif\0\0") or data  # a TIFF states it among its own tags
    start = data.find(block)
    at = _place(block)
    if start >= 0 and at is not None:
        order = "<" if block[:2] == b"II" else ">"
        whole = start + at
        data = data[:whole] + struct.pack(f"{order}H", 1) + data[whole + 2 :]
        if data.startswith(b"\x89PNG"):
            chunk = data[start - 4 : start + len(block)]
            data = data[: start + len(block)] + struct.pack(">I", zlib.crc32(chunk)) + data[start + len(block) + 4 :]
        if _orientation(data) == 1:
            return data
    raise ExportError(
        f"{path}: its EXIF orientation would turn it away from its label; save it without one, as its pixels are stored"
    )


def _orientation(data: bytes) -> int:
    """What a file states; 1 if it states nothing, or is no image: its readers will say so."""
    try:
        with any_size(), Image.open(io.BytesIO(data)) as image:
            return int(image.getexif().get(_TAG, 1))
    except MemoryError:
        raise
    except Exception:  # Pillow raises arbitrary exceptions for damaged files
        return 1


def _place(block: bytes) -> int | None:
    """Where the value of the orientation stands in a block of TIFF tags."""
    try:
        order = "<" if block[:2] == b"II" else ">"
        (offset,) = struct.unpack_from(f"{order}I", block, 4)
        (count,) = struct.unpack_from(f"{order}H", block, offset)
        for at in range(offset + 2, offset + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", block, at)
            if tag == _TAG and kind == 3:
                return at + 8
    except struct.error:
        pass
    return None
