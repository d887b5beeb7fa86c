"""An array of what label files store → rows: `Constraint.rows`, for arrays that other code has read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsu_onto.constraint.arrays import ROW_UNKNOWN, ROW_VOID
from lsu_onto.errors import UserError

if TYPE_CHECKING:
    from lsu_onto.constraint.arrays import Constraint

_DENSE = 1 << 24
"""Largest table. Colours fit; larger category ids are searched for."""


class LabelValueError(UserError):
    """An array that is not what the label files of a dataset store, or has values that its taxonomy does not list."""

    __module__ = "lsu_onto"  # where users import it from, and what a traceback shows


class RowTable:
    """Raw values → rows, exactly: a value that is not listed is `ROW_UNKNOWN`."""

    def __init__(self, raw: NDArray[np.uint32], raw_row: NDArray[np.int16]) -> None:
        self.raw = raw
        self.raw_row = raw_row
        self.end = int(raw.max(initial=0)) + 1
        """Nothing is listed from here on."""
        self.dense: NDArray[np.int16] | None = None
        if self.end <= _DENSE:
            # Rows are stored shifted, so that "unknown" is 0: zeroed pages take no memory until they are read.
            self.dense = np.zeros(max(self.end + 1, 256), np.int16)
            self.dense[raw] = raw_row - np.int16(ROW_UNKNOWN)

    def look_up(self, values: NDArray[Any]) -> NDArray[np.int16]:
        """int16, the shape of the values: a row, `ROW_VOID` or `ROW_UNKNOWN`. Values are unsigned."""
        if self.dense is None:
            place = np.minimum(np.searchsorted(self.raw, values), len(self.raw) - 1)
            return np.where(self.raw[place] == values, self.raw_row[place], np.int16(ROW_UNKNOWN))
        if np.iinfo(values.dtype).max >= len(self.dense):
            values = np.minimum(values, values.dtype.type(self.end)).astype(np.intp)
        rows: NDArray[np.int16] = np.take(self.dense, values)
        rows += np.int16(ROW_UNKNOWN)
        return rows


def rows_of(constraint: Constraint, table: RowTable, values: ArrayLike, unknown: str) -> NDArray[np.int16]:
    """See `Constraint.rows`."""
    if unknown not in ("error", "void", "keep"):
        raise LabelValueError(f"unknown is {unknown!r}; it must be 'error', 'void' or 'keep'")
    if np.ma.is_masked(values):
        raise LabelValueError(
            "found a masked array, whose mask says nothing to labels; give its pixels a value of `void:` first:"
            " `labels.filled(255)`"
        )
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise LabelValueError(f"found rows of several lengths, which are no image ({error}); expected [H, W]") from None
    raw = _raw(constraint.encoding, array)
    rows = np.asarray(table.look_up(raw))  # of one value, a number
    if unknown == "keep" or rows.min(initial=0) > ROW_UNKNOWN:
        return rows
    mask = rows == ROW_UNKNOWN
    if unknown == "error":
        raise LabelValueError(_unlisted(constraint, table, array, raw, mask))
    rows[mask] = ROW_VOID
    return rows


def _raw(encoding: str, array: NDArray[Any]) -> NDArray[Any]:
    """Stored values → raw values, unsigned."""
    if encoding in ("polygons", "rle"):
        raise LabelValueError(
            f"the labels of `encoding: {encoding}` are names, not an array; `raw_names` and `raw_row` say which row"
            " each name has"
        )
    if array.dtype.kind not in "uib":
        raise LabelValueError(f"found an array of {array.dtype}; expected whole numbers, as label files store them")
    channels = array.shape[-1] if array.ndim >= 3 else 0
    if encoding == "rgb":
        return _colours(array, channels)
    if channels in (3, 4) and array.ndim == 3:
        advice = (
            "look up which category each segment has in its JSON, and give the array of category ids"
            if encoding == "panoptic-rgb"
            else "take one channel if the file stores greys three times, or declare `encoding: rgb`"
        )
        raise LabelValueError(
            f"found an array of shape {array.shape}, a colour image; expected [H, W] under `encoding: {encoding}`;"
            f" {advice}"
        )
    stored = _unsigned(array)
    largest = np.iinfo(stored.dtype).max
    if encoding == "instance-ids":
        return np.where(stored < 1000, stored, stored // stored.dtype.type(1000)) if largest >= 1000 else stored
    divisor = int(encoding.partition("/")[2] or 1)
    return stored // stored.dtype.type(divisor) if largest >= divisor else np.zeros_like(stored)


def _unsigned(array: NDArray[Any]) -> NDArray[Any]:
    """The same numbers without a sign; a negative one becomes larger than any that is listed, also when divided."""
    if array.dtype.kind == "u":
        return array
    return array.astype(np.uint8) if array.dtype.kind == "b" else array.astype(np.int64).view(np.uint64)


def _colours(array: NDArray[Any], channels: int) -> NDArray[np.uint32]:
    """`[..., H, W, 3]` → one number a pixel, 0xrrggbb."""
    if channels != 3:
        advice = ""
        if channels == 4:
            advice = "; leave the alpha channel out: `array[..., :3]`"
        elif array.ndim == 3 and array.shape[0] == 3:
            advice = "; put the channels last: `array.transpose(1, 2, 0)`"
        elif array.ndim == 2:
            advice = "; the indices of a palette image stand for the colours of its palette: `palette[array]`"
        raise LabelValueError(
            f"found an array of shape {array.shape}; expected [H, W, 3], R first, under `encoding: rgb`{advice}"
        )
    if array.dtype != np.uint8:
        low, high = int(array.min(initial=0)), int(array.max(initial=0))
        if low < 0 or high > 255:
            raise LabelValueError(f"found colours from {low} to {high}; expected 0 to 255 in each channel")
        array = array.astype(np.uint8)
    out = np.empty((*array.shape[:-1], 4), np.uint8)
    out[..., 0] = 0
    out[..., 1:] = array
    return out.view(">u4")[..., 0].astype(np.uint32)


def _unlisted(
    constraint: Constraint, table: RowTable, array: NDArray[Any], raw: NDArray[Any], mask: NDArray[np.bool_]
) -> str:
    """What is said of the values that are not listed, the most frequent first."""
    is_rgb = constraint.encoding == "rgb"
    places = np.flatnonzero(mask)
    # A negative number stands as it was given.
    source = raw if is_rgb or array.dtype.kind != "i" else np.where(array < 0, array, raw.astype(array.dtype))
    values, first, counts = np.unique(source.reshape(-1)[places], return_index=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")

    def shown(i: int) -> str:
        at = [int(n) for n in np.unravel_index(int(places[first[i]]), mask.shape)]
        value = f"#{int(values[i]):06x}" if is_rgb else str(values[i])
        return f"{value} in {counts[i]} of them, first at {at}"

    text = "; ".join(shown(int(i)) for i in order[:5])
    more = f"; and {len(order) - 5} more values" if len(order) > 5 else ""
    advice = 'add them to the taxonomy, or pass unknown="void" or "keep"'
    if is_rgb and (table.look_up(_exchanged(values)) != ROW_UNKNOWN).all():
        advice = "red and blue are exchanged, as OpenCV reads them (BGR): give `array[..., ::-1]`"
    name = f"`{constraint.dataset} {constraint.dataset_version}`"
    pixels = f"{len(places)} pixel{'s' * (len(places) != 1)}"
    return f"found {pixels} with values that {name} does not list: {text}{more}; {advice}"


def _exchanged(colours: NDArray[np.uint32]) -> NDArray[np.uint32]:
    low, middle = np.uint32(0xFF), np.uint32(0xFF00)
    exchanged: NDArray[np.uint32] = (colours & low) << np.uint32(16) | colours & middle | colours >> np.uint32(16)
    return exchanged
