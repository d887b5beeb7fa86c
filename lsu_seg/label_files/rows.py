"""Raw values → rows of d through one table, and messages about values that the taxonomy does not list."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsu_onto import ROW_SKIPPED, ROW_UNKNOWN, ROW_VOID, Constraint, LabelValueError, compiled_loops
from lsu_seg.label_files.errors import LabelFileError, refuse
from lsu_seg.label_files.raw import parse_encoding

_SIZE = {"id": 1 << 8, "id16": 1 << 16, "instance-ids": 1 << 16, "rgb": 1 << 24, "panoptic-rgb": 1 << 24}


def count_rows(rows: NDArray[np.int16], classes: int) -> NDArray[np.int64]:
    """int64 `[D]`: pixels per row of d; negative codes are not counted.

    >>> count_rows(np.array([[0, 2, 2, -1]], np.int16), 3).tolist()
    [1, 0, 2]
    """
    if loops := compiled_loops(rows.nbytes):
        return loops.count(rows.view(np.uint16))[:classes]
    from PIL import Image  # not needed to read arrays

    if classes <= (1 << 8) + ROW_SKIPPED:  # negative codes become the last three of 8 bits; thrice as fast as numpy
        return np.array(Image.fromarray(rows.astype(np.uint8)).histogram()[:classes], np.int64)
    return np.bincount(np.ascontiguousarray(rows).view(np.uint16).ravel(), minlength=classes)[:classes]


class UnknownValue(NamedTuple):
    """A raw value that the taxonomy does not list, the number of its pixels, and the first of them.

    `value` is a number (a colour is R<<16 | G<<8 | B; or a category id), or the name of a polygon or mask.
    """

    value: int | str
    count: int  # type: ignore[assignment]  # hides tuple.count, which nothing here needs
    x: int
    y: int


@dataclass
class RowTable:
    """Raw values → rows of d through one dense table. It is exact: no value is replaced twice.

    The table is built at first use and not pickled, so sending it to a worker costs nothing.

    >>> from lsu_onto import ROW_VOID
    >>> table = RowTable(np.array([7, 255], np.uint32), np.array([0, ROW_VOID], np.int16), "id")
    >>> table.rows(np.array([[7, 255, 8]], np.uint8)).tolist() == [[0, ROW_VOID, ROW_UNKNOWN]]
    True
    """

    raw: NDArray[np.uint32]
    raw_row: NDArray[np.int16]
    encoding: str
    _table: NDArray[np.int16] | None = field(default=None, init=False, repr=False, compare=False)
    _pairs: NDArray[np.uint32] | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, constraint: Constraint) -> RowTable:
        """The table of a dataset's taxonomy."""
        return cls(constraint.raw, constraint.raw_row, constraint.encoding)

    def rows(self, raw: NDArray[Any]) -> NDArray[np.int16]:
        """int16 `[H, W]`: the row of each raw value, `ROW_VOID` or `ROW_UNKNOWN`."""
        if self._table is None:
            self._table = self._build()
        if raw.dtype == np.uint8 and len(self._table) == 1 << 8:
            return self._two_at_a_time(raw, self._table)
        if raw.dtype.kind == "u" and (loops := compiled_loops(raw.nbytes)):
            return loops.look_up(self._table, raw, ROW_UNKNOWN)
        rows = np.take(self._table, raw)
        rows += np.int16(ROW_UNKNOWN)
        return rows

    def _two_at_a_time(self, raw: NDArray[np.uint8], table: NDArray[np.int16]) -> NDArray[np.int16]:
        """Two pixels of 8 bits are one index of 16, and their rows one number of 32: half the time."""
        if self._pairs is None:
            both = np.arange(1 << 16, dtype=np.uint16).view(np.uint8).reshape(-1, 2)
            self._pairs = (table + np.int16(ROW_UNKNOWN))[both].view(np.uint32).ravel()
        flat = raw.ravel()
        even = np.append(flat, flat[-1:]) if flat.size % 2 else flat
        pairs = even.view(np.uint16)
        loops = compiled_loops(raw.nbytes)
        rows = loops.look_up(self._pairs, pairs) if loops else np.take(self._pairs, pairs)
        return rows.view(np.int16)[: flat.size].reshape(raw.shape)

    def _build(self) -> NDArray[np.int16]:
        size = _SIZE[parse_encoding(self.encoding)[0]]
        if len(self.raw) and int(self.raw.max()) >= size:
            raise LabelFileError(f"raw value {self.raw.max()} cannot occur under `encoding: {self.encoding}`")
        # Rows are stored shifted, so that "unknown" is 0: zeroed pages take no memory until they are read.
        table = np.zeros(size, np.int16)
        table[self.raw] = self.raw_row - np.int16(ROW_UNKNOWN)
        return table

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_table": None, "_pairs": None}


def of_each_row(table: NDArray[Any], rows: NDArray[np.int16]) -> NDArray[Any]:
    """`table[rows]`, for rows of d and `ROW_VOID`, whose value is the last of the table.

    Raises:
        LabelValueError: other rows, such as `ROW_UNKNOWN`: as an index it would be that of another class.

    >>> of_each_row(np.array([7, 8, 255], np.uint8), np.array([[0, 1, -1]], np.int16)).tolist()
    [[7, 8, 255]]
    """
    low, high = int(rows.min(initial=ROW_VOID)), int(rows.max(initial=ROW_VOID))
    if low < ROW_VOID or high >= len(table) - 1:
        raise LabelValueError(
            f"found rows from {low} to {high}; expected {ROW_VOID}, which is void, to {len(table) - 2}: see to values"
            f" that the taxonomy does not list, `ROW_UNKNOWN` ({ROW_UNKNOWN}), before"
        )
    if f"{table.dtype.kind}{table.dtype.itemsize}" in ("u1", "u2") and (loops := compiled_loops(rows.nbytes)):
        full = np.full(1 << 16, table[-1])
        full[: len(table)] = table
        return loops.look_up(full, rows.view(np.uint16))
    values: NDArray[Any] = table[rows]
    return values


def unknown_values(
    raw: NDArray[Any], rows: NDArray[np.int16], name: Callable[[int], int | str] = int
) -> list[UnknownValue]:
    """The raw values of the pixels whose row is `ROW_UNKNOWN`, most frequent first.

    Args:
        raw, rows: `[H, W]`.
        name: raw value → its name; values of the same name are counted together.

    >>> unknown_values(np.array([[1, 9, 9]]), np.array([[0, ROW_UNKNOWN, ROW_UNKNOWN]], np.int16))
    [UnknownValue(value=9, count=2, x=1, y=0)]
    """
    if rows.min(initial=0) > ROW_UNKNOWN:
        return []
    unknown = np.flatnonzero(rows == ROW_UNKNOWN)
    values, first, counts = np.unique(raw.ravel()[unknown], return_index=True, return_counts=True)
    by_name: dict[int | str, tuple[int, int]] = {}  # pixels, and the index of the first
    for value, index, count in zip(values.tolist(), unknown[first].tolist(), counts.tolist(), strict=True):
        previous_count, previous_index = by_name.get(name(value), (0, index))
        by_name[name(value)] = previous_count + count, min(index, previous_index)
    width = raw.shape[1]
    out = [UnknownValue(v, n, index % width, index // width) for v, (n, index) in by_name.items()]
    return sorted(out, key=lambda u: (-u.count, str(u.value) if isinstance(u.value, str) else f"{u.value:09d}"))


_ADVICE = "add it to the taxonomy (to ignore it, in `void:`), or pass `--unknown void` where the command takes it"


def unlisted(path: str | os.PathLike[str], values: Sequence[UnknownValue], constraint: Constraint) -> Exception:
    """The error for a file with values that the taxonomy does not list: value, count, first pixel, a hint."""
    shown = ", ".join(
        f"{show_value(u.value, constraint)} in {u.count} pixel(s), first at x={u.x} y={u.y}" for u in values[:5]
    )
    more = f" and {len(values) - 5} more value(s)" if len(values) > 5 else ""
    advice = hint(values, constraint) or _ADVICE
    found = f"{sum(u.count for u in values)} pixel(s) with unlisted values: {shown}{more}"
    taxonomy = f"`{constraint.dataset} {constraint.dataset_version}`"
    return refuse(Path(path), found, f"only values that {taxonomy} lists", advice)


def show_value(value: int | str, constraint: Constraint) -> str:
    """A raw value as a taxonomy writes it.

    >>> import lsu_onto
    >>> show_value(7, lsu_onto.load("demo_town", source="demo"))
    '7'
    """
    if isinstance(value, str):
        return f"`{value}`"
    return f"#{value:06x}" if constraint.encoding == "rgb" else str(value)


def hint(values: Sequence[UnknownValue], constraint: Constraint) -> str:
    """The likely cause of the unknown values, given most frequent first; empty if there is no guess."""
    known = constraint.raw.astype(np.int64)
    first = values[0].value
    if isinstance(first, str):
        close = difflib.get_close_matches(first, constraint.raw_names, 1)
        return f"did you mean `{close[0]}`? Else {_ADVICE}" if close else ""
    if not len(known):
        return ""
    missing = np.array([u.value for u in values if isinstance(u.value, int)], np.int64)
    if constraint.encoding != "rgb":
        if constraint.encoding == "id16":
            for divisor in (1000, 256, 100):
                if np.isin(missing // divisor, known).all():
                    return f"the values look packed: declare `encoding: id16/{divisor}`"
        return ""
    if np.isin(_bgr(missing), known).all():
        return f"{SWAPPED}: read with red and blue exchanged, all these colours are listed"

    colour, name, distance = nearest_colour(first, constraint)
    text = f"the nearest listed colour is #{colour:06x} (`{name}`) at distance {distance:.1f}"
    if distance <= 32:
        text += ": lossy compression or smoothing? Go back to the original annotation"
    return text


SWAPPED = "red and blue look swapped (BGR)"


def is_bgr(raw: NDArray[Any], constraint: Constraint) -> bool:
    """Whether (nearly) all pixels of a file have listed colours once red and blue are exchanged, and not before."""
    colours, counts = np.unique(raw, return_counts=True)
    as_is, swapped = (counts[np.isin(c, constraint.raw)].sum() for c in (colours, _bgr(colours)))
    return bool(swapped > as_is and swapped >= 0.9 * raw.size)


def _bgr(colours: NDArray[Any]) -> NDArray[Any]:
    return (colours & 0xFF) << 16 | colours & 0xFF00 | colours >> 16


PALETTES = (
    "write `encoding: rgb` into the taxonomy if the colours tell the classes, `palettes: ignored` if the values do"
)
"""What to do if the palettes of a dataset's files contradict each other."""


def other_colour(path: Path, colours: Mapping[int, int], constraint: Constraint) -> str:
    """The first value whose colour in a file's palette is not that of its class, or "". `colours`: value → 0xrrggbb."""
    if all(c >> 16 == c >> 8 & 255 == c & 255 for c in colours.values()):
        return ""  # a grey ramp does not describe the classes' colours
    for value, row in zip(constraint.raw.tolist(), constraint.raw_row.tolist(), strict=True):
        if row < 0 or value not in colours:
            continue
        declared = int.from_bytes(constraint.palette[row].tobytes(), "big")
        if colours[value] != declared:
            return (
                f"{path}: the file's palette has #{colours[value]:06x} for value {value}, the taxonomy"
                f" shows `{constraint.classes[row]}` as #{declared:06x}; the values are used, not the colours"
            )
    return ""


def nearest_colour(value: int, constraint: Constraint) -> tuple[int, str, float]:
    """The listed colour nearest to an unlisted one, the name of its class, and the distance in RGB."""
    known = constraint.raw.astype(np.int64)

    def channels(colour: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.stack([colour >> 16, colour >> 8 & 0xFF, colour & 0xFF], -1)

    distance = np.linalg.norm(channels(known) - channels(np.array([value], np.int64)), axis=-1)
    nearest = int(distance.argmin())
    row = int(constraint.raw_row[nearest])
    name = constraint.classes[row] if row >= 0 else "void"
    return int(known[nearest]), name, float(distance[nearest])
