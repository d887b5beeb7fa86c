"""Label file → rows of d, for every encoding: the only entry point."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsu_onto import MAX_PIXELS, ROW_UNKNOWN, ROW_VOID, Constraint, Layout, Palettes
from lsu_seg.label_files.drawn import Drawing
from lsu_seg.label_files.errors import LabelFileError, refuse
from lsu_seg.label_files.panoptic import load_segments, segments_of
from lsu_seg.label_files.polygons import draw_polygons
from lsu_seg.label_files.raw import parse_encoding, read_raw_and_raster
from lsu_seg.label_files.rle import draw_masks, load_sheets
from lsu_seg.label_files.rows import PALETTES, RowTable, UnknownValue, other_colour, unknown_values, unlisted


class LabelRows(NamedTuple):
    """The content of a label file.

    Attributes:
        rows: int16 `[H, W]`: a row of d, `ROW_VOID`, or `ROW_UNKNOWN` with `unknown="keep"`.
        unknown: the number of pixels with an unlisted value.
    """

    rows: NDArray[np.int16]
    unknown: int


class Inspection(NamedTuple):
    """The content of a label file, with details of unlisted values.

    Attributes:
        rows: int16 `[H, W]`: a row of d, `ROW_VOID` or `ROW_UNKNOWN`.
        unknown: the unlisted values, most frequent first.
        colours: value → 0xrrggbb of the values that occur in a palette file, as far as its palette tells; empty if the
            taxonomy says that palettes do not count.
        raw: `[H, W]`, the raw values; None if labels are drawn, or numbers of segments.
    """

    rows: NDArray[np.int16]
    unknown: list[UnknownValue]
    colours: dict[int, int]
    raw: NDArray[Any] | None = None


def segments_path(root: Path, layout: Layout, split: str) -> Path:
    """The file or folder of `segments:`: the first alternative that exists.

    Raises:
        LabelFileError: none of several alternatives exists. (A single one is returned anyway: reading it gives the
            better error.)
    """
    paths = [root / p for p in layout.alternatives("segments", split)]
    existing = [p for p in paths if p.exists()]
    if not existing and len(paths) > 1:
        expected = " or ".join(f"`{p.relative_to(root)}`" for p in paths)
        raise refuse(root, "none of the tables of `segments:`", expected, "check `data_root` and the split")
    return (existing or paths)[0]


@dataclass
class LabelReader:
    """Reads the label files of one dataset into rows of d. Picklable and cheap to construct.

    Args:
        constraint: has the encoding, the raw values, and the location of side files.
        unknown: the treatment of unlisted values: `"error"` refuses them; `"void"` turns them into `ROW_VOID` and
            counts them; `"keep"` leaves `ROW_UNKNOWN`.
        max_pixels: refuse larger images.
        root, split: the location of the dataset; needed if side files explain the labels (`segments:`).
        examples: some label files of the dataset, whose palettes are the first that others must agree with. Without
            them, what is refused depends on which files a process reads.

    Raises:
        LabelFileError: an unknown value of `unknown`, or no `root` although the encoding needs side files.

    >>> import lsu_onto, tempfile
    >>> from PIL import Image
    >>> file = Path(tempfile.mkdtemp()) / "a.png"
    >>> Image.fromarray(np.array([[1, 255, 77]], np.uint8)).save(file)
    >>> LabelReader(lsu_onto.load("demo_town", source="demo"), unknown="void").read(file)
    LabelRows(rows=array([[ 0, -1, -1]], dtype=int16), unknown=1)
    """

    constraint: Constraint
    unknown: str = "error"
    max_pixels: int = MAX_PIXELS
    root: str | None = None
    split: str = ""
    examples: tuple[str, ...] = ()
    _table: RowTable = field(init=False, repr=False)
    _palettes: Palettes = field(default_factory=Palettes, init=False, repr=False, compare=False)
    _palette_seen: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        self._kind = parse_encoding(self.constraint.encoding)[0]
        if self.unknown not in ("error", "void", "keep"):
            raise LabelFileError(f"unknown is {self.unknown!r}; it must be 'error', 'void' or 'keep'")
        if self._kind in ("panoptic-rgb", "rle") and self.root is None:
            raise LabelFileError(f"`encoding: {self._kind}` needs `root` and `split`, to find its `segments:`")
        self._table = RowTable.of(self.constraint)
        self._names = dict(zip(self.constraint.raw_names, self.constraint.raw_row.tolist(), strict=False))

    @property
    def segments(self) -> Path | None:
        """The file or folder that explains the labels of this split, if the encoding has one."""
        if self._kind not in ("panoptic-rgb", "rle") or self.root is None:
            return None
        return segments_path(Path(self.root), self.constraint.layout, self.split)

    def tables(self) -> list[Path]:
        """The files behind `segments`, if the encoding has any."""
        segments = self.segments
        if segments is None:
            return []
        return sorted(segments.glob("*.json")) if segments.is_dir() else [segments]

    def prepare(self) -> None:
        """Read side files now, so that their errors come early and workers that are forked later share them."""
        if self.segments:
            (load_segments if self._kind == "panoptic-rgb" else load_sheets)(self.segments)

    def read(self, path: str | os.PathLike[str]) -> LabelRows:
        """The rows of a label file, int16 `[H, W]`, and the number of unknown pixels.

        Args:
            path: the label file, or under `rle` the image whose masks are in the tables.

        Raises:
            LabelFileError: the file is unreadable, has a palette that contradicts a file read before, or has unlisted
                values and `unknown` is `"error"`.
        """
        rows, values, colours, _ = self.inspect(path)
        self._check_palette(Path(path), colours)
        if values and self.unknown == "error":
            raise unlisted(path, values, self.constraint)
        if values and self.unknown == "void":
            rows = np.where(rows == ROW_UNKNOWN, np.int16(ROW_VOID), rows)
        return LabelRows(rows, sum(u.count for u in values))

    def rows(self, path: str | os.PathLike[str]) -> NDArray[np.int16]:
        """The rows alone, int16 `[H, W]` (see `read`)."""
        return self.read(path).rows

    def inspect(self, path: str | os.PathLike[str]) -> Inspection:
        """Rows and unlisted values, independent of `unknown`. Raises `LabelFileError` only for unreadable files."""
        path = Path(path)
        if self._kind == "polygons":
            return self._drawn(draw_polygons(path, self._names, self.max_pixels))
        if self._kind == "rle" and self.segments and self.root:
            image = path.relative_to(self.root).as_posix()
            return self._drawn(draw_masks(self.segments, image, self._names))
        raw, raster = read_raw_and_raster(path, self.constraint.encoding, self.max_pixels)
        if self._kind == "panoptic-rgb" and self.segments:
            return self._panoptic(raw, *segments_of(self.segments, path))
        colours = raster.colours if self._kind == "id" and not self.constraint.layout.palettes else {}
        del raster  # its memory is taken for the rows: new memory costs a fault for each of its pages
        rows = self._table.rows(raw)
        return Inspection(rows, unknown_values(raw, rows), colours, raw)

    def _drawn(self, drawing: Drawing) -> Inspection:
        known = [self._names.get(label, ROW_UNKNOWN) for label in drawing.labels]
        rows = np.array([self.constraint.background, *known], np.int16)[drawing.codes]
        return Inspection(rows, unknown_values(drawing.codes, rows, lambda code: drawing.labels[code - 1]), {})

    def _panoptic(self, raw: NDArray[Any], ids: NDArray[np.uint32], category: NDArray[np.uint32]) -> Inspection:
        """Segment numbers → rows, through a table of this file. Number 0 is background unless the JSON lists it."""
        listed = dict(zip(self.constraint.raw.tolist(), self.constraint.raw_row.tolist(), strict=True))
        category_of = dict(zip(ids.tolist(), category.tolist(), strict=True))
        row = {0: self.constraint.background, **{i: listed.get(c, ROW_UNKNOWN) for i, c in category_of.items()}}
        table = RowTable(np.array(list(row), np.uint32), np.array(list(row.values()), np.int16), "panoptic-rgb")
        rows = table.rows(raw)
        unknown = unknown_values(raw, rows, lambda i: category_of.get(i, f"segment {i}, not in the JSON"))
        return Inspection(rows, unknown, {})

    def _check_palette(self, path: Path, colours: dict[int, int]) -> None:
        if not colours:
            return
        if not self._palette_seen:
            for example in map(Path, self.examples):
                try:
                    known = self.inspect(example).colours
                except LabelFileError:
                    continue  # it is refused when it is read for its own sake
                if clash := self._palettes.add(example, known):
                    raise refuse(example, clash, "one meaning of a value in all files", PALETTES)
        if clash := self._palettes.add(path, colours):
            raise refuse(path, clash, "one meaning of a value in all files", PALETTES)
        if not self._palette_seen:
            self._palette_seen = True  # palettes agree with one another, so the first file is enough
            if difference := other_colour(path, colours, self.constraint):
                warnings.warn(difference, stacklevel=3)
