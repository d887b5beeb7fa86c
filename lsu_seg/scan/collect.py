"""Inspect an image-label pair, or many pairs on all cores, in order."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from lsu_onto import open_to_read, png_chunks, read_rest
from lsu_seg.errors import MissingPackageError
from lsu_seg.label_files import MAX_PIXELS, LabelFileError, LabelReader, container, count_rows, is_bgr, read_bytes
from lsu_seg.layout.images import (
    ALIKE,
    any_size,
    check_format,
    check_tiff,
    damaged_image,
    opencv_image,
    plain_png,
    png_depth,
    stored_bits,
)
from lsu_seg.layout.pairs import Pair
from lsu_seg.scan.borders import SMOOTH, step_share
from lsu_seg.scan.workers import in_order

Record = dict[str, Any]
"""The facts about a pair, as stored in the state file:

label: why the label file was refused, or absent. size: width and height of the label. rows: [row, pixels] of each row
of d in it; void: pixels that `void:` lists. unknown: [value, pixels, x, y] of its most frequent unlisted values;
more: the number of further values, and their pixels. bgr: whether all its colours are listed once red and blue are
exchanged. colours: [value, 0xrrggbb] of the values in a palette file. smooth: the share of steps at its borders, if
that is large (see `borders.py`).
image: why the image cannot be read; image_size; turned: its EXIF orientation, if it has one. decoded: whether its
pixels were looked at; bits: the bits that its largest value needs, if it stores 16 and does not say how many it uses.
again: why a file cannot be read is not in the file, so the next scan reads it again.
"""

MAX_VALUES = 64
"""Number of unlisted values kept per file: a smoothed label has thousands."""

_TEXTS = (b"Raw profile type exif", b"XML:com.adobe.xmp")
"""Texts of a PNG that may hold an orientation."""

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Colour type of a PNG → values per pixel."""

_BATCH = 4
_TOO_LARGE = "too large for the memory of this machine; cut it into tiles, or use fewer --jobs"


class Task(NamedTuple):
    """What to do for a pair: whether to decode its image, and what is known of its label from an earlier scan."""

    pair: Pair
    decode: bool = False
    known: Record | None = None


@dataclass
class Inspector:
    """Inspects the pairs of one split. Picklable."""

    reader: LabelReader

    def __call__(self, tasks: Sequence[Task]) -> list[Record]:
        return [self._record(task) for task in tasks]

    def _record(self, task: Task) -> Record:
        label = self.label(task.pair.label) if task.known is None else task.known
        return {**label, **look_at_image(task.pair.image, task.decode, self.reader.max_pixels)}

    def label(self, path: Path) -> Record:
        try:
            rows, unknown, colours, raw = self.reader.inspect(path)
        except LabelFileError as error:
            return {"label": str(error), **_of_today(error)}
        except MemoryError as error:
            return {"label": f"{path}: {_TOO_LARGE}", **_of_today(error)}
        counts = count_rows(rows, len(self.reader.constraint.classes))
        present, pixels = np.flatnonzero(counts), sum(u.count for u in unknown)
        out: Record = {
            "size": [rows.shape[1], rows.shape[0]],
            "rows": [[int(i), int(counts[i])] for i in present],
            "void": int(rows.size - counts.sum() - pixels),
        }
        if unknown:
            kept, rest = unknown[:MAX_VALUES], unknown[MAX_VALUES:]
            out["unknown"] = [list(u) for u in kept]
            if rest:
                out["more"] = [len(rest), sum(u.count for u in rest)]
            if raw is not None and self.reader.constraint.encoding == "rgb" and is_bgr(raw, self.reader.constraint):
                out["bgr"] = True
        if raw is not None and (share := step_share(raw)) >= SMOOTH:
            out["smooth"] = round(share, 2)
        if colours:
            out["colours"] = [list(c) for c in colours.items()]
        return out


def look_at_image(path: Path, decode: bool = False, max_pixels: int = MAX_PIXELS) -> Record:
    """Size and EXIF orientation from the header, and with `decode` whether all of it can be decoded."""
    data = b""
    try:
        if decode or container(path) != path:
            data = read_bytes(path)
        with io.BytesIO(data) if data else open_to_read(path) as file, Image.open(file) as image:
            check_format(path, image)
            out: Record = {"image_size": list(image.size)}
            if image.format == "PNG" and not data:
                place = file.tell()
                file.seek(0)
                data = read_rest(file)
                file.seek(place)
            turned = _exif(image, data).get(ExifTags.Base.Orientation, 1)
            whole = False
            if decode and image.width * image.height <= max_pixels:
                whole = plain_png(path, data) is not None
                if not whole:
                    # A JPEG at an eighth of its size: all of the file is decoded, but not each of its pixels.
                    image.draft(image.mode, (1, 1))
                    image.load()
                out |= {"decoded": True, **({} if whole else _bits(data, image))}
        if out.get("decoded") and image.format == "PNG" and not whole:
            _verify(data)
        if out.get("decoded") and image.format not in ALIKE and find_spec("cv2"):
            opencv_image(path, data)
    except LabelFileError as error:
        return {"image": str(error), **_of_today(error)}
    except MemoryError as error:
        return {"image": f"{path}: {_TOO_LARGE}", **_of_today(error)}
    except ImportError as error:  # no fault of the file's
        said = f"a package that reads images is installed and cannot be imported ({error})"
        raise MissingPackageError(f"{path}: {said}; see `lsu-onto doctor`") from error
    except Exception as error:  # Pillow raises arbitrary exceptions for damaged files
        return {"image": _no_image(path, error), **_of_today(error)}
    if turned not in (0, 1):
        out["turned"] = turned if isinstance(turned, int) else str(turned)  # damaged: text, no number
    return out


def _verify(png: bytes) -> None:
    """Look at the checksums of the pixels, and whether all rows and a palette are there, which `load` does not."""
    with Image.open(io.BytesIO(png)) as image:
        image.verify()
    width, height, bits, colour, *_, interlaced = struct.unpack_from(">IIBBBBB", png, 16)
    chunks = list(png_chunks(png))
    if colour == 3 and not any(name == b"PLTE" for name, _, _ in chunks):
        raise ValueError("it has no palette")
    inflate = zlib.decompressobj()
    stored = sum(len(inflate.decompress(png[start:end])) for name, start, end in chunks if name == b"IDAT")
    if not interlaced and stored < height * (1 + (width * _CHANNELS[colour] * bits + 7) // 8):
        raise ValueError("it holds fewer rows than it says")


def _exif(image: Image.Image, data: bytes) -> Image.Exif:
    """The EXIF of an image.

    Pillow decodes a PNG to look behind its pixels. Where the file is whole, and nothing is there, that is left out.

    Raises:
        Exception: a PNG that was cut off or has a wrong checksum, in the words that decoding it gets.
    """
    if image.format != "PNG":
        return image.getexif()
    try:
        parts = list(png_chunks(data))
    except ValueError:
        image.load()
        _verify(data)  # Pillow may decode it all the same, and OpenCV does not
        raise
    pixels = max((end for name, _, end in parts if name == b"IDAT"), default=0)
    behind = (name == b"eXIf" or data.startswith(_TEXTS, start) for name, start, _ in parts if start > pixels)
    return image.getexif() if any(behind) or not pixels else Image.Image.getexif(image)


def _of_today(error: BaseException) -> Record:
    """The mark of a record whose reason is not in the file: rights, memory, a disk that was not there."""
    reasons = (error, error.__cause__)
    passing = any(isinstance(e, MemoryError) or (isinstance(e, OSError) and e.errno) for e in reasons)
    return {"again": True} if passing else {}


def _bits(data: bytes, image: Image.Image) -> Record:
    """The bits that the largest value of a 16-bit image needs. Pillow has only the upper byte of 16-bit colours."""
    if stored_bits(image, data) != 16 or png_depth(data).significant:
        return {}
    ends: Any = image.getextrema()
    if image.mode.startswith("I"):
        return {"bits": int(ends[1]).bit_length()}
    high = max(high for _, high in ends[:3])
    return {"bits": 8 + high.bit_length()}


def _no_image(path: Path, error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{path}: found no readable file ({error.strerror}); expected an image; check path and rights"
    try:
        with open_to_read(path) as file:
            head = file.read(512)
            if head[:2] in (b"II", b"MM"):
                head += read_rest(file)
                check_tiff(path, head)
    except LabelFileError as unread:
        return str(unread)
    except OSError:
        head = b"?"
    why = "" if isinstance(error, UnidentifiedImageError) else str(error)  # which only repeats the name
    return str(damaged_image(path, head, why))


# --- many --------------------------------------------------------------------------------------------------


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def inspect_all(inspector: Inspector, tasks: Iterable[Task], jobs: int) -> Generator[tuple[Pair, Record]]:
    """The record of each pair, in order; only a few batches are in memory at a time.

    Raises:
        WorkerError: a process was killed from outside.
    """
    todo = iter(tasks)
    if jobs == 1:
        with any_size():
            for task in todo:
                yield task.pair, inspector([task])[0]
        return
    batches = iter(lambda: list(islice(todo, _BATCH)), [])
    with closing(in_order(partial(_inspect, inspector), batches, jobs, lambda batch: batch[0].pair.label)) as results:
        for batch, records in results:
            yield from zip((task.pair for task in batch), records, strict=True)


def _inspect(inspector: Inspector, tasks: list[Task]) -> list[Record]:
    with any_size():
        return inspector(tasks)
