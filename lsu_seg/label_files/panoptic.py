"""The JSON beside panoptic PNGs (COCO, WildDash 2), which gives the category of each segment of an image."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsu_seg.label_files.drawn import read_json, wrong_json
from lsu_seg.label_files.errors import LabelFileError, refuse
from lsu_seg.label_files.members import size_and_time

_EXPECTED = "a panoptic JSON: `annotations`, each with `file_name` and `segments_info` of `id` and `category_id`"


class Segments(NamedTuple):
    """The segments of all images, one after another: an image has `ids[a:b]` and `category[a:b]`; `spans` has a, b."""

    spans: dict[str, tuple[int, int]]
    ids: NDArray[np.uint32]
    category: NDArray[np.uint32]


def segments_of(table: Path, label: Path) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Segment numbers and categories of one label file. Raises `LabelFileError` if the JSON has no entry for it."""
    segments = load_segments(table)
    if label.name not in segments.spans:
        known = next(iter(segments.spans), "nothing")
        advice = "take the JSON that belongs to these labels"
        raise refuse(label, f"no entry in {table}", f"one of its file names, such as `{known}`", advice)
    a, b = segments.spans[label.name]
    return segments.ids[a:b], segments.category[a:b]


def load_segments(table: Path) -> Segments:
    """Read the JSON, once per process (COCO's has 0.4 GB; forked workers share the parent's copy)."""
    try:
        state = size_and_time(table)
    except OSError as error:
        raise refuse(table, f"no readable file ({error.strerror})", _EXPECTED, "check `segments:`") from error
    return _load(table, state)


@lru_cache(maxsize=4)
def _load(table: Path, _state: tuple[int, int]) -> Segments:
    content = read_json(table, _EXPECTED)
    spans: dict[str, tuple[int, int]] = {}
    ids: list[int] = []
    category: list[int] = []
    try:
        for annotation in content["annotations"]:
            name, start = Path(annotation["file_name"]).name, len(ids)
            ids += [s["id"] for s in annotation["segments_info"]]
            category += [s["category_id"] for s in annotation["segments_info"]]
            if name in spans:
                raise refuse(table, f"`{name}` twice", "one entry per label file", "remove one of the two")
            if len(set(ids[start:])) < len(ids) - start:
                found = f"a segment number twice in `{name}`"
                raise refuse(table, found, "one category per segment", "get the file again")
            spans[name] = start, len(ids)
        numbers = np.array(ids, np.int64), np.array(category, np.int64)
        for values, kind, limit in zip(numbers, ("segment", "category"), (1 << 24, 1 << 32), strict=True):
            if values.min(initial=0) < 0 or values.max(initial=0) >= limit:
                found = f"{kind} numbers from {values.min()} to {values.max()}"
                raise refuse(table, found, f"0 to {limit - 1}", "get the file again")
    except LabelFileError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise wrong_json(table, error, _EXPECTED) from error
    return Segments(spans, numbers[0].astype(np.uint32), numbers[1].astype(np.uint32))
