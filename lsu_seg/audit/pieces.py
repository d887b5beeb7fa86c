"""The part of a sample that one image is: a line of `audit-RANK.jsonl` in the output folder of a labelling run."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsu_onto import ROW_VOID, Constraint, open_to_read
from lsu_seg.audit.draw import GRIDS, IMAGES, lots
from lsu_seg.audit.sample import GRID, UNSEEN, Sample, SampleError
from lsu_seg.runtime.lines import read_line

_TYPES: dict[str, type] = {
    "p": np.uint8,
    "void": np.uint8,
    "agree": np.bool_,
    "place": np.uint16,
    "grid_row": np.int16,
    "grid_top": np.uint16,
}


@dataclass(frozen=True)
class Piece:
    """What is kept of an image.

    Attributes:
        key: of the image. size: (H, W) of its label. pixels: of each row, `ROW_VOID` last.
        drawn: row → number of its pixels in the arrays, one row after another; D stands for `ROW_VOID`.
        unasked: rows that the image has but of which the teacher saw nothing; complete only if there is a grid.
        arrays: p `[n, K]`, void `[n]`, agree `[n]`, place `[n, 2]`; grid_row and grid_top where there is a grid.
    """

    key: str
    size: tuple[int, int]
    pixels: Sequence[int]
    drawn: Mapping[int, int]
    unasked: Sequence[int]
    arrays: Mapping[str, NDArray[Any]]

    @property
    def grid(self) -> bool:
        return "grid_row" in self.arrays

    def line(self, label: str) -> bytes:
        """The line of the file. `label`: sha256 of the image's label, as in its record."""
        arrays = {
            name: base64.b64encode(zlib.compress(np.ascontiguousarray(a, _TYPES[name]).tobytes(), 6)).decode()
            for name, a in self.arrays.items()
        }
        values = {
            "key": self.key,
            "label": label,
            "size": self.size,
            "pixels": list(self.pixels),
            "drawn": list(self.drawn.items()),
            "unasked": list(self.unasked),
        }
        return json.dumps(values | arrays).encode()

    @classmethod
    def of(cls, line: Mapping[str, Any]) -> Piece:
        """From the values of a line. Raises what Python does if it is none."""
        arrays: dict[str, NDArray[Any]] = {
            name: np.frombuffer(zlib.decompress(base64.b64decode(line[name])), kind)
            for name, kind in _TYPES.items()
            if name in line
        }
        drawn = {int(row): int(n) for row, n in line["drawn"]}
        n = sum(drawn.values())
        shapes = {"p": (n, -1), "place": (n, 2), "grid_row": GRID, "grid_top": (*GRID, 2)}
        arrays = {name: a.reshape(shapes.get(name, (n,))) if n or "grid" in name else a for name, a in arrays.items()}
        height, width = line["size"]
        return cls(line["key"], (height, width), line["pixels"], drawn, line["unasked"], arrays)


def fits(piece: Piece, classes: int, rows: int) -> bool:
    """Whether a piece, which may come from a damaged line, is of an image of so many source classes and rows.

    Raises what Python does where a value is of another type.
    """
    n, arrays = sum(piece.drawn.values()), piece.arrays
    shapes = {"p": (n, classes), "void": (n,), "agree": (n,), "place": (n, 2)} if n else {}
    if piece.grid or "grid_top" in arrays:
        shapes |= {"grid_row": GRID, "grid_top": (*GRID, 2)}
    needed = set(shapes) - {"void"}
    if not needed <= arrays.keys() or any(arrays[name].shape != shapes[name] for name in shapes if name in arrays):
        return False
    row, top = arrays.get("grid_row", np.zeros(1)), arrays.get("grid_top", np.zeros(1))
    return bool(
        all(type(value) is int and 0 <= value < 2**31 for value in (*piece.size, *piece.pixels, *piece.unasked))
        and len(piece.pixels) == rows + 1
        and all(0 <= r <= rows and 0 <= n <= piece.pixels[r] for r, n in piece.drawn.items())
        and all(r <= rows for r in piece.unasked)
        and (not n or (arrays["place"] < piece.size).all())
        and ((row == ROW_VOID) | ((row >= 0) & (row < rows))).all()
        and ((top == UNSEEN) | (top < classes)).all()
    )


def head(constraint: Constraint) -> bytes:
    """The line before the pieces of a run: the names of source classes and of rows, and the raw values of rows."""
    names = {"classes": list(constraint.source_classes), "rows": list(constraint.classes)}
    return json.dumps(names | {"values": raw_values(constraint)}).encode()


def raw_values(constraint: Constraint) -> list[list[Any]]:
    """The raw values of each row: names, or runs of numbers as [first, last].

    >>> import lsu_onto
    >>> raw_values(lsu_onto.load("demo_town", "demo"))[:2]
    [[[1, 1]], [[2, 2]]]
    """
    out: list[list[Any]] = []
    for row in range(len(constraint.classes)):
        at = np.flatnonzero(constraint.raw_row == row)
        if constraint.raw_names:
            out.append(sorted(constraint.raw_names[i] for i in at))
        else:
            numbers = np.sort(constraint.raw[at]).astype(np.int64)
            runs = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
            out.append([[int(run[0]), int(run[-1])] for run in runs if len(run)])
    return out


def read_lines(root: Path) -> Iterator[dict[str, Any]]:
    """The lines of all workers' files, parsed: heads and pieces. Those that a kill cut off are skipped."""
    for path in sorted(root.glob("audit-*.jsonl")):
        with open_to_read(path) as file:
            for text in file:
                try:
                    line = read_line(text)
                except ValueError:
                    continue
                if _is_head(line) or _is_piece(line):
                    yield line


def _is_head(line: Any) -> bool:
    if (
        not isinstance(line, dict)
        or not isinstance(line.get("rows"), list)
        or not isinstance(line.get("classes"), list)
    ):
        return False
    values = line.get("values")  # which older versions did not write
    return all(isinstance(name, str) for name in (*line["classes"], *line["rows"])) and (
        not isinstance(values, list) or len(values) == len(line["rows"])
    )


def _is_piece(line: Any) -> bool:
    """Whether a line says of which label it is, and of which rows it has pixels."""
    if not isinstance(line, dict) or "rows" in line:
        return False
    if not all(isinstance(line.get(name), str) for name in ("key", "label")):
        return False
    drawn = line.get("drawn")
    return isinstance(drawn, list) and all(
        isinstance(d, list) and len(d) == 2 and all(isinstance(n, int) for n in d) for d in drawn
    )


def merge(classes: Sequence[str], rows: Sequence[str], pieces: Iterable[Piece], images: int) -> Sample:
    """The sample of a run.

    Args:
        classes: the source's, rows: the dataset's, both in the constraint's order.
        pieces: one for each key; those beyond the smallest lots are left out. images: number of images of the run.

    Raises:
        SampleError: there is no piece.
    """
    by_key = {piece.key: piece for piece in pieces}
    own_lots = {key: lots(key, len(rows)) for key in by_key}
    kept: dict[str, set[int]] = {key: set() for key in by_key}
    for row in range(len(rows) + 2):
        is_grid = row == len(rows) + 1
        has = [key for key, piece in by_key.items() if (piece.grid if is_grid else piece.drawn.get(row))]
        for key in sorted(has, key=lambda key: (own_lots[key][row], key))[: GRIDS if is_grid else IMAGES]:
            kept[key].add(row)
    keys = sorted(key for key, places in kept.items() if places)
    if not keys:
        raise SampleError("nothing of any image has been kept for an audit")
    parts: dict[str, list[Any]] = {name: [] for name in ("p", "void", "agree", "place", "row", "image", "weight")}
    grids: dict[str, list[Any]] = {"image": [], "row": [], "top": []}
    unasked = np.zeros(len(rows) + 1, np.int64)
    for index, key in enumerate(keys):
        piece, at = by_key[key], 0
        for row, n in piece.drawn.items():
            here = slice(at, at + n)
            at += n
            if row not in kept[key]:
                continue
            for name in ("p", "void", "agree", "place"):
                if name in piece.arrays:
                    parts[name].append(piece.arrays[name][here])
            parts["row"].append(np.full(n, ROW_VOID if row == len(rows) else row, np.int16))
            parts["image"].append(np.full(n, index, np.int32))
            parts["weight"].append(np.full(n, piece.pixels[row] / n, np.float32))
        if len(rows) + 1 in kept[key]:
            grids["image"].append(index)
            grids["row"].append(piece.arrays["grid_row"])
            grids["top"].append(piece.arrays["grid_top"])
            unasked[list(piece.unasked)] += 1
    if grids["image"]:
        unasked = np.rint(unasked * (images / len(grids["image"]))).astype(np.int64)
    k, n = len(classes), sum(map(len, parts["row"]))

    def joined(name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        return np.concatenate([np.zeros((0, *shape), dtype), *parts[name]])

    return Sample(
        classes=tuple(classes),
        rows_of=tuple(rows),
        p=joined("p", (k,), np.uint8),
        void=joined("void", (), np.uint8) if n and sum(map(len, parts["void"])) == n else None,
        row=joined("row", (), np.int16),
        agree=joined("agree", (), np.bool_),
        image=joined("image", (), np.int32),
        place=joined("place", (2,), np.uint16),
        weight=joined("weight", (), np.float32),
        keys=tuple(keys),
        size=np.array([by_key[key].size for key in keys], np.int32),
        pixels=np.array([by_key[key].pixels for key in keys], np.int64),
        grid_image=np.array(grids["image"], np.int32),
        grid_row=np.array(grids["row"], np.int16).reshape(-1, *GRID),
        grid_top=np.array(grids["top"], np.uint16).reshape(-1, *GRID, 2),
        images=images,
        unasked=unasked,
    )
