"""Opens images and labels, and cuts out what shows a class."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from lsu_seg.gallery.candidates import Candidates, Sighting
from lsu_seg.gallery.crop import Box, box_around, cut, encode, outline, with_context
from lsu_seg.label_files import LabelFileError, read_bytes
from lsu_seg.layout.images import CAMERA_BITS, any_size, damaged_image, png_depth, stored_bits
from lsu_seg.runtime.progress import track

PER_CLASS = 6
"""So many crops show a class."""

BUDGET = 6_500_000
"""So many characters of pictures a page may have."""

_MOST = 24_000
_THREADS = 4

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


class Opened(NamedTuple):
    """An image as its pixels are stored, and its label as rows of d, int16 `[H, W]`."""

    image: Image.Image
    rows: NDArray[np.int16]


class Crop(NamedTuple):
    """A crop that shows a class.

    Attributes:
        path: of the image. key: of the pair. share: of the image that is of the class.
        size: width and height. picture: a WebP. outline: a PNG to lay on it.
    """

    path: Path
    key: str
    share: float
    size: tuple[int, int]
    picture: bytes
    outline: bytes


@dataclass
class Gallery:
    """What classes look like.

    Attributes:
        crops: row of d → crops that show it.
        problems: images and labels that could not be opened, each with the reason.
    """

    crops: dict[int, list[Crop]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def make_gallery(candidates: Candidates, per_class: int = PER_CLASS, budget: int = BUDGET) -> Gallery:
    """Open images until each row has as many crops as it can have. What cannot be opened is told and passed over."""
    waiting = {row: candidates.of(row, per_class) for row in candidates.rows}
    limit = min(_MOST, budget * 3 // 4 // max(1, per_class * len(waiting)))
    crops: dict[int, dict[str, Crop]] = {row: {} for row in waiting}
    problems: dict[str, str] = {}

    def show(task: tuple[Sighting, list[int]]) -> tuple[dict[int, Crop], str]:
        sighting, rows = task
        try:
            opened = open_pair(sighting)
        except LabelFileError as error:
            return {}, str(error)
        shown = ((row, crop_of(opened, sighting, row, limit)) for row in rows)
        return {row: crop for row, crop in shown if crop is not None}, ""

    while tasks := _next(waiting, {row: per_class - len(made) for row, made in crops.items()}, problems):
        made = in_threads(show, tasks)
        for (sighting, _), (shown, problem) in zip(tasks, track(made, "pictures", len(tasks)), strict=True):
            for row, crop in shown.items():
                crops[row][sighting.pair.key] = crop
            if problem:
                problems[sighting.pair.key] = problem
    return Gallery(
        {row: [made[key] for key in sorted(made)] for row, made in crops.items() if made}, [*problems.values()]
    )


def _next(
    waiting: dict[int, list[Sighting]], missing: dict[int, int], problems: dict[str, str]
) -> list[tuple[Sighting, list[int]]]:
    """What to open next, each image once, with the rows that it is opened for. Takes it off `waiting`."""
    tasks: dict[str, tuple[Sighting, list[int]]] = {}
    for row, sightings in waiting.items():
        sightings[:] = [s for s in sightings if s.pair.key not in problems]
        for sighting in sightings[: missing[row]]:
            tasks.setdefault(sighting.pair.key, (sighting, []))[1].append(row)
        del sightings[: missing[row]]
    return [tasks[key] for key in sorted(tasks)]


def in_threads(work: Callable[[_Item], _Made], items: Sequence[_Item] | Iterable[_Item]) -> Iterator[_Made]:
    """The results in order. Decoding files, which most of the time goes into, runs in several threads at a time."""
    pool = ThreadPoolExecutor(_THREADS)
    with any_size(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of what it finds strange in a file and reads nevertheless
        try:
            yield from pool.map(work, items)
        finally:
            pool.shutdown(cancel_futures=True)


def open_pair(sighting: Sighting) -> Opened:
    """Image and label of a pair.

    Raises:
        LabelFileError: one of them cannot be read, or their sizes differ.
    """
    pair, reader = sighting
    try:
        rows = reader.inspect(pair.label).rows
    except MemoryError:
        raise LabelFileError(f"{pair.label}: too large for the memory of this machine; cut it into tiles") from None
    image = read_image(pair.image, reader.constraint.layout.image_bits, reader.max_pixels)
    if image.size != rows.shape[::-1]:
        found = f"an image of {image.width}x{image.height} and a label of {rows.shape[1]}x{rows.shape[0]}"
        raise LabelFileError.of(pair.image, found, "one size", "get both files again")
    return Opened(image, rows)


def read_image(path: Path, bits: int = 0, max_pixels: int = 1 << 29) -> Image.Image:
    """An image in RGB, as its pixels are stored; values of 16 bits become as bright as can be.

    Args:
        bits: those that 16-bit values use, where that is known.

    Raises:
        LabelFileError: it cannot be read, or has more pixels than `max_pixels`.
    """
    data = read_bytes(path)
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > max_pixels:
                raise LabelFileError.of(path, f"{image.width}x{image.height} pixels", f"at most {max_pixels}", "cut it")
            image.load()
            if stored_bits(image, data) == 16:
                return _of_16_bits(image, bits or png_depth(data).significant)
            return image.convert("RGB")
    except LabelFileError:
        raise
    except MemoryError:
        raise LabelFileError(f"{path}: too large for the memory of this machine; cut it into tiles") from None
    except Exception as error:  # Pillow raises arbitrary exceptions for damaged files
        why = "" if isinstance(error, UnidentifiedImageError) else str(error)  # which names an object in memory
        raise damaged_image(path, data, why) from error


def _of_16_bits(image: Image.Image, bits: int) -> Image.Image:
    """Pillow has only the upper byte of 16-bit colours."""
    values: NDArray[Any] = np.asarray(image).astype(np.int64)
    if not image.mode.startswith("I"):
        values = values[..., :3] << 8
    bits = bits or next(b for b in (*CAMERA_BITS, 16) if b == 16 or not int(values.max(initial=0)) >> b)
    return Image.fromarray((values >> (bits - 8)).clip(0, 255).astype(np.uint8)).convert("RGB")


def crop_of(opened: Opened, sighting: Sighting, row: int, limit: int) -> Crop | None:
    """The crop around the largest part of a row's pixels; None if the label has none of them."""
    mask = opened.rows == row
    box: Box | None = box_around(mask)
    if box is None:
        return None
    box = with_context(box, mask.shape)
    line = outline(mask, box)
    picture = cut(opened.image, box)
    pair = sighting.pair
    return Crop(pair.image, pair.key, float(mask.mean()), picture.size, encode(picture, limit - len(line)), line)
