"""Guess what the files are if they do not match the taxonomy: another label space, a mask, or empty."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import lsu_onto
from lsu_onto import Constraint, Entry, TaxonomyError
from lsu_seg.label_files import parse_encoding
from lsu_seg.scan.totals import Totals

_CLOSE = 0.6
"""A taxonomy explains a set of values if it lists (nearly) all of them and this share of its values occurs."""

_NEARLY = 0.9
"""A few values outside every taxonomy, from damage or a tool, must not hide which taxonomy it is."""

_FEW = 5
"""Fewer values than this do not identify a taxonomy."""


def look(totals: Totals, paths: Sequence[str] = ()) -> None:
    """Add problems of the label space as a whole to the findings. The files may be those of a taxonomy in `paths`."""
    c = totals.constraint
    if not totals.read:
        return
    seen = seen_values(totals)
    if not totals.pixels.any() and not totals.unknown:
        totals.find(
            "space",
            "every pixel of every label is void; are these dummies, as for a test split? Scan another `--split`",
            severity="error",
        )
        return
    if c.num_classes and not totals.unknown and not c.allowed[totals.files > 0, : c.num_classes].any():
        totals.find(
            "space",
            f"every pixel that is annotated is void in `{c.source}`: these labels teach nothing;"
            " are they dummies, as for a test split? Scan another `--split`",
            severity="warning",
        )
    if seen is None:
        return
    listed = set(c.raw.tolist())
    unlisted = seen - listed
    if parse_encoding(c.encoding)[0] != "rgb" and seen <= {0, 255} and 255 in seen and len(listed) > 2:
        totals.find(
            "space",
            "the files have no values but 0 and 255: masks of one class, not class ids;"
            " give the folder with the labels of all classes",
            severity="error",
        )
        return
    message = _other(totals, seen, listed, paths)
    severity = "error" if unlisted else "warning"
    if message:
        totals.find("space", message, severity=severity)
    elif unlisted and parse_encoding(c.encoding)[0] != "rgb" and len(seen) >= _FEW:
        for step, word in ((1, "more"), (-1, "less")):
            moved = {v - step for v in seen if v not in (255, 65535)}
            if moved <= listed and len(moved) >= _CLOSE * len(listed):
                totals.find(
                    "space",
                    f"each value looks one {word} than the taxonomy's: were the ids shifted by a tool?"
                    f" Write the ids that the files store into the taxonomy, or undo the shift",
                    severity=severity,
                )
                break


def seen_values(totals: Totals) -> set[int] | None:
    """The raw values in the files, as far as rows reveal them; None if labels are names or segment ids."""
    c = totals.constraint
    if parse_encoding(c.encoding)[0] not in ("id", "id16", "instance-ids", "rgb"):
        return None
    of_row: dict[int, list[int]] = {}
    for value, row in zip(c.raw.tolist(), c.raw_row.tolist(), strict=True):
        of_row.setdefault(row, []).append(value)
    rows = [*np.flatnonzero(totals.files).tolist(), *([-1] if totals.void else [])]
    seen = {of_row[row][0] for row in rows if of_row.get(row)}  # the first value of a class with several
    return seen | {u for u in totals.unlisted if isinstance(u, int)}


def _other(totals: Totals, seen: set[int], listed: set[int], paths: Sequence[str]) -> str:
    """A message about the taxonomy that explains the values clearly better than the declared one, or ""."""
    c = totals.constraint
    own = _fit(seen, listed)
    if len(seen) < _FEW or (own >= _CLOSE and seen <= listed):
        return ""
    best: tuple[float, Constraint, Entry] | None = None
    for entry in lsu_onto.taxonomies(paths):
        try:
            other = lsu_onto.load_dataset(entry.path, paths)
        except TaxonomyError:
            continue
        if _same_values(other, c) or parse_encoding(other.encoding)[0] != parse_encoding(c.encoding)[0]:
            continue
        values = set(other.raw.tolist())
        fit = _fit(seen, values)
        if (
            len(seen & values) >= _NEARLY * len(seen)
            and fit >= _CLOSE
            and fit > own + 0.1
            and (best is None or fit > best[0])
        ):
            best = fit, other, entry
    if best is None:
        return ""
    _, other, entry = best
    what = "trainIds, the channels of that source" if entry.kind == "source" else "labels"
    number = len(seen & set(other.raw.tolist()))
    return (
        f"these look like `{other.dataset} {other.dataset_version}` {what}: it lists {number} of the {len(seen)}"
        f" values, `{c.dataset}` {len(seen & listed)}; use {_relative(entry.path)}"
    )


def _same_values(a: Constraint, b: Constraint) -> bool:
    return np.array_equal(a.raw, b.raw) and a.encoding == b.encoding


def _fit(seen: set[int], listed: set[int]) -> float:
    """The Jaccard index: 1 if exactly the listed values occur."""
    return len(seen & listed) / max(len(seen | listed), 1)


def _relative(path: Path) -> str:
    try:
        return os.fspath(path.relative_to(Path.cwd()))
    except ValueError:
        return os.fspath(path)
