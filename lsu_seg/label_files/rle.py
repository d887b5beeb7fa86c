"""Tables of run-length masks (nuImages) → codes, drawn in the order that the dataset's own tools use."""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lsu_seg.label_files.drawn import Drawing, Palette, read_json, wrong_json
from lsu_seg.label_files.errors import refuse
from lsu_seg.label_files.members import size_and_time

_TABLES = ("category", "sample_data", "surface_ann", "object_ann")
_EXPECTED = "nuImages' tables `category`, `sample_data`, `surface_ann` and `object_ann` (.json)"


class Sheet(NamedTuple):
    """The annotation of one image: its size, and (category, compressed mask) in drawing order."""

    height: int
    width: int
    masks: list[tuple[str, dict[str, Any]]]


def draw_masks(folder: Path, image: str, known: dict[str, int]) -> Drawing:
    """Draw the masks of an image: surfaces, then objects in the order of their tokens.

    Args:
        folder: the folder of the tables.
        image: the image's `filename` in `sample_data`.
        known: label → row of d (see `Palette`).

    Raises:
        LabelFileError: the image is not in the tables, a mask is damaged, or pycocotools is not installed.
    """
    try:
        from pycocotools import mask as coco
    except ImportError as error:
        advice = 'python -m pip install "pycocotools>=2.0.8,<3"'
        raise refuse(folder, "compressed masks", f"pycocotools, to draw them ({error})", advice) from error
    sheets = load_sheets(folder)
    if image not in sheets:
        raise refuse(Path(image), f"no entry in {folder}", "a key frame of the split", "check `segments:`")
    sheet = sheets[image]
    codes = np.zeros((sheet.height, sheet.width), np.uint16, order="F")  # column by column, as masks are
    palette = Palette(known)
    for label, mask in sheet.masks:
        try:
            code = palette.code(label)
            size = mask["size"]
            if size != [sheet.height, sheet.width]:
                raise ValueError(f"it is {size[1]}x{size[0]}" if len(size) == 2 else f"its size is {size}")
            counts = base64.b64decode(mask["counts"], validate=True)
            _check_runs(counts, sheet.height * sheet.width)
            drawn = coco.decode({"size": [sheet.height, sheet.width], "counts": counts})
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            found = f"a damaged mask of `{label}` on `{image}` ({error})"
            expected = f"a compressed mask of {sheet.width}x{sheet.height}"
            raise refuse(folder, found, expected, "get the tables again") from error
        if code is not None:
            np.copyto(codes, code, where=drawn.view(bool))
    return Drawing(np.ascontiguousarray(codes), palette.labels)


def _check_runs(counts: bytes, pixels: int) -> None:
    """Check that the runs of a compressed mask end at its last pixel. pycocotools leaves what is behind them as the
    memory was, and writes into that of others where a size is too large for it.

    Raises:
        ValueError: they do not.
    """
    digits = np.frombuffer(counts, np.uint8).astype(np.int64) - 48  # of 5 bits, with a sixth where more follow
    follows = digits >> 5
    if not len(digits) or digits.min() < 0 or follows.max() > 1 or follows[-1]:
        raise ValueError("its run lengths are cut off, or none")
    first = np.flatnonzero(np.append(0, follows[:-1]) == 0)
    length = np.diff(np.append(first, len(digits)))
    if length.max() > 7:
        raise ValueError("a run length is too large")
    place = np.arange(len(digits)) - np.repeat(first, length)
    runs = np.add.reduceat((digits & 31) << 5 * place, first)
    runs -= (digits[first + length - 1] >> 4 & 1) << 5 * length  # the highest bit is the sign
    for start in (1, 2):  # from the fourth on, they are differences from that before the last
        runs[start::2] = np.cumsum(runs[start::2])
    if runs.min() < 0 or runs.max() > pixels or runs.sum() != pixels:
        raise ValueError(f"its runs have {runs.sum()} of {pixels} pixels")


def load_sheets(folder: Path) -> dict[str, Sheet]:
    """The annotation of every key frame, by its file name. The tables are read once per process.

    Raises:
        LabelFileError: a table is missing, or has another form.
    """
    paths = [folder / f"{name}.json" for name in _TABLES]
    for path in paths:
        if not path.is_file():
            raise refuse(path, "no such file", _EXPECTED, "check `segments:` and the split")
    return _load(folder, tuple(map(size_and_time, paths)))


@lru_cache(maxsize=4)
def _load(folder: Path, _state: tuple[tuple[int, int], ...]) -> dict[str, Sheet]:
    path = folder
    try:
        path = folder / "category.json"
        names = {c["token"]: _text(c["name"]) for c in read_json(path, _EXPECTED)}
        path = folder / "sample_data.json"
        frames = {
            s["token"]: (_text(s["filename"]), Sheet(_whole(s["height"]), _whole(s["width"]), []))
            for s in read_json(path, _EXPECTED)
            if s["is_key_frame"]
        }
        for table in ("surface_ann", "object_ann"):
            path = folder / f"{table}.json"
            annotations = read_json(path, _EXPECTED)
            if table == "object_ann":
                annotations.sort(key=lambda a: a["token"])
            for annotation in annotations:
                if annotation["mask"] is not None and annotation["sample_data_token"] in frames:
                    _, sheet = frames[annotation["sample_data_token"]]
                    sheet.masks.append((names[annotation["category_token"]], annotation["mask"]))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise wrong_json(path, error, _EXPECTED) from error
    return dict(frames.values())


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{str(value)[:40]} in the place of a name")
    return value


def _whole(pixels: Any) -> int:
    """A height or width, which are null where nothing is annotated."""
    number = int(pixels or 0)
    if number < 0 or number >= 1 << 20:
        raise ValueError(f"a size of {number} pixels")
    return number
