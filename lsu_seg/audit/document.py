"""An audit as JSON: everything that it says, versioned."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsu_onto import ClassPlaces
from lsu_seg.audit import words
from lsu_seg.audit.findings import Finding, Report

ENVELOPE = 1
"""Version of the format. It rises when a field changes its meaning or is removed."""


def as_json(report: Report, places: Mapping[str, ClassPlaces] | None = None) -> str:
    """`version`, `counts`, `findings`, and per class what it may be, what the teacher sees, and what is undecidable.

    Shares are 0..1; what is not known is null. A cell of `decidable` is null where no share would have been found.
    """
    names = [*report.source_classes, "void"]
    classes = [
        {
            "name": name,
            "allowed": [names[c] for c in np.flatnonzero(report.allowed[row])],
            "sampled_pixels": int(report.pixels[row]),
            "not_judged": report.unseen.get(row),
            "place": _place((places or {}).get(name)),
        }
        for row, name in enumerate(report.classes)
    ]
    document = {
        "version": ENVELOPE,
        "dataset": report.dataset,
        "source": report.source,
        "counts": {"contradictions": len(report.contradictions), "notes": len(report.notes)},
        "images": report.images,
        "sampled_images": report.sampled,
        "findings": [_finding(report, f, places or {}) for f in report.findings],
        "classes": classes,
        "source_classes": list(report.source_classes),
        "cells": {name: _numbers(getattr(report.cells, name)) for name in ("share", "score", "decidable")},
        "remarks": list(report.remarks),
        "settings": report.settings,
    }
    return json.dumps(document, indent=2, allow_nan=False)


def _finding(report: Report, f: Finding, places: Mapping[str, ClassPlaces]) -> dict[str, Any]:
    return {
        "kind": f.kind,
        "list": "contradictions" if f.contradiction else "notes",
        "title": words.title(f),
        "message": words.sentence(report, f),
        "advice": words.WORDS[f.kind].advice,
        "classes": [words.row_name(report, d) for d in f.rows],
        "source_classes": [words.channel_name(report, c) for c in f.channels],
        "keys": list(f.keys),
        "share": _number(f.share),
        "images": f.images,
        "score": _number(f.score),
        "expected_false_alarms": _number(f.expected),
        "figures": {name: _number(value) for name, value in f.figures.items()},
        "regions": [{"key": r.key, "box": list(r.box), "share": _number(r.share)} for r in f.regions],
        "changes": [
            {"class": words.row_name(report, d), "allowed": [words.channel_name(report, c) for c in channels]}
            for d, channels in sorted(f.changes.items())
        ],
        "confirmed": f.confirmed,
        "places": [_place(places[n]) for n in (words.row_name(report, d) for d in f.rows) if n in places],
    }


def _place(place: ClassPlaces | None) -> dict[str, Any] | None:
    return {"file": place.row.file, "line": place.row.line, "column": place.row.column} if place else None


def _number(value: float | None) -> float | None:
    return round(float(value), 6) if value is not None and np.isfinite(value) else None


def _numbers(cells: NDArray[np.float32]) -> list[list[float | None]]:
    return [[_number(value) for value in row] for row in cells]
