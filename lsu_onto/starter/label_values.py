"""What label files hold: the values or colours that occur, with pixels and files counted, for `lsu-onto init`.

Files are read as `lsu-seg scan` reads them, and what is refused there is refused here. Needs the extra [labels].
"""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lsu_onto.errors import UserError
from lsu_onto.files import walk
from lsu_onto.progress import progress
from lsu_onto.raster.errors import LabelFileError
from lsu_onto.raster.palettes import Palettes

SUFFIXES = (".png", ".tif", ".tiff")
MAX_COLOURS = 4096
"""A file with more colours is a picture, or has instances in its colours."""


class ScanError(UserError):
    """Label files that cannot be read as such. The message says which, what was found and what to do."""


@dataclass(frozen=True)
class Counted:
    """One file.

    Attributes:
        kind: palette, grey8, grey16, grey32 or rgb.
        counts: stored value or 0xrrggbb → pixels.
        colours: of a palette file, value → 0xrrggbb of the values that occur, as far as the palette tells.
    """

    kind: str
    counts: dict[int, int]
    colours: dict[int, int] = field(default_factory=dict)


@dataclass
class Scan:
    """All files together.

    Attributes:
        counts, in_files: stored value or 0xrrggbb → pixels and files.
        colours: of palette files, value → 0xrrggbb; of the first file with the value.
        clash: how a palette contradicts an earlier one, or "".
        as_colours: the same files read as colours, if all of them have a palette that tells.
        kinds: kind → the first file of it.
    """

    files: int = 0
    pixels: int = 0
    counts: Counter[int] = field(default_factory=Counter)
    in_files: Counter[int] = field(default_factory=Counter)
    colours: dict[int, int] = field(default_factory=dict)
    clash: str = ""
    as_colours: Scan | None = None
    kinds: dict[str, Path] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


def find(where: Sequence[str]) -> tuple[list[Path], int]:
    """The label files of folders, files and patterns, and how many other files lie in the folders.

    Raises:
        ScanError: one of them has none, or a folder cannot be read.
    """
    found: dict[Path, None] = {}
    others = 0
    for text in where:
        if Path(text).is_dir():
            closed: list[OSError] = []
            inside = walk(text, closed.append)
            below = sorted(Path(folder, name) for folder, _, names in inside for name in names)
            if closed:  # what lies in there would be missing without a word
                raise ScanError(
                    f"`{closed[0].filename}` cannot be read ({closed[0].strerror}), so that classes may be missing;"
                    " make it readable, or give the folders that are"
                )
            files = [f for f in below if _is_file(f) and not f.name.startswith(".")]
            hits = [f for f in files if f.suffix.lower() in SUFFIXES]
            others += len(files) - len(hits)
            if not hits:
                raise ScanError(
                    f"`{text}`: found {_suffixes(files)}; expected PNG or TIFF label files;"
                    " give the folder with the labels, or a pattern in quotes"
                )
        else:
            try:
                matched = sorted(glob.glob(text, recursive=True))  # noqa: PTH207 - absolute patterns, too
            except RecursionError:
                raise ScanError(f"`{text}`: folders lie too deep for `**`; give the folder instead") from None
            hits = [Path(f) for f in matched if _is_file(Path(f))]
            if not hits and matched == [text]:
                raise ScanError(f"`{text}` is a pipe or a device; expected a folder, a file or a pattern")
            if not hits:
                raise ScanError(
                    f"`{text}`: there is no such folder or file, and as a pattern it matches none;"
                    " `**` stands for any folders: 'data/**/*_labelIds.png'"
                )
        found.update(dict.fromkeys(hits))
    return list(found), others


def _is_file(path: Path) -> bool:
    """Whether it is a file, or a link to what is not there: a disk that is not mounted, whose values would be missing
    without a word. Reading it says so."""
    try:
        return path.is_file() or not path.exists()
    except (OSError, RuntimeError):  # a link to itself
        return True


def _suffixes(files: Sequence[Path]) -> str:
    kinds = Counter(f.suffix.lower() or "no suffix" for f in files).most_common(3)
    text = ", ".join(f"{n} x `{s}`" for s, n in kinds)
    lossy = any(s in (".jpg", ".jpeg", ".webp", ".gif") for s, _ in kinds)
    return (text or "no files") + (" (JPEG, WebP and GIF do not keep label values)" if lossy else "")


def scan(files: Sequence[Path]) -> Scan:
    """Count all files; what is refused is listed, and the rest goes on.

    Raises:
        ScanError: no file could be read. MissingPillowError: Pillow is not installed.
    """
    from lsu_onto.raster.reader import need_pillow

    need_pillow()  # once, and not for each file
    total, coloured, palettes = Scan(), Scan(), Palettes()
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))  # Pillow and numpy let other threads run
    try:
        with progress("label files", len(files)) as advance:
            for file, result in zip(files, pool.map(_count_or_say, files), strict=True):
                if isinstance(result, str):
                    total.refused.append(result)
                else:
                    _add(total, file, result)
                    if len(result.colours) == len(result.counts):
                        _add(coloured, file, _in_colours(result))
                    clash = palettes.add(file, result.colours)
                    total.clash = total.clash or (f"{file}: {clash}" if clash else "")
                advance()
    finally:
        pool.shutdown(cancel_futures=True)
    if not total.files:
        more = f"\n… and {len(files) - 1} more like it" if len(files) > 1 else ""
        raise ScanError(f"no file could be read as labels\n{total.refused[0]}{more}")
    if set(total.kinds) == {"palette"} and coloured.files == total.files:
        total.as_colours = coloured
    return total


def _add(total: Scan, file: Path, one: Counted) -> None:
    total.files += 1
    total.pixels += sum(one.counts.values())
    total.counts.update(one.counts)
    total.in_files.update(one.counts.keys())
    total.colours = one.colours | total.colours
    total.kinds.setdefault(one.kind, file)


def _in_colours(one: Counted) -> Counted:
    """A palette file, counted by colours: several values may have one."""
    counts: Counter[int] = Counter()
    for value, pixels in one.counts.items():
        counts[one.colours[value]] += pixels
    return Counted("rgb", dict(counts))


def _count_or_say(path: Path) -> Counted | str:
    try:
        return count(path)
    except LabelFileError as e:
        return str(e)


# --- one file ----------------------------------------------------------------------------------------------


def count(path: Path) -> Counted:
    """The stored values of one label file, exactly.

    Raises:
        LabelFileError: it is no PNG or lossless TIFF, is damaged, or holds no values of labels.
    """
    from PIL import Image

    from lsu_onto.raster.reader import read_raster

    raster = read_raster(path)
    array, kind, description, _ = raster
    if kind == "rgb":
        colours: Any = Image.fromarray(array).getcolors(MAX_COLOURS)
        if colours is None:
            raise LabelFileError.of(
                path,
                f"more than {MAX_COLOURS} colours",
                "labels",
                "is it a picture? Give the label files only;"
                " if its colours number segments (panoptic-rgb), write the classes into a CSV, for `--from-csv`",
            )
        return Counted("rgb", {r << 16 | g << 8 | b: n for n, (r, g, b) in colours})
    if kind == "grey32":
        low, high = array.min(), array.max()
        if low < 0 or high > 65535:
            found = f"{description} with values from {low:.0f} to {high:.0f}"
            raise LabelFileError.of(path, found, "class ids from 0 to 65535", "write 8- or 16-bit class ids")
        array = array.astype(np.uint16)
    # Pillow counts 8-bit values in a third of numpy's time.
    counts = Image.fromarray(array).histogram() if array.dtype == np.uint8 else np.bincount(array.ravel()).tolist()
    return Counted(kind, {value: n for value, n in enumerate(counts) if n}, raster.colours)
