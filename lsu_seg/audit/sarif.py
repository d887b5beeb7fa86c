"""An audit as SARIF 2.1.0, for code scanning: each finding at the row of the `.tax` file that it is about."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from lsu_onto import ClassPlaces, __version__
from lsu_seg.audit import words
from lsu_seg.audit.findings import KINDS, Finding, Report

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def as_sarif(report: Report, places: Mapping[str, ClassPlaces] | None = None) -> str:
    """The log. Contradictions are warnings, because the teacher may be wrong, and notes are notes.

    Args:
        places: where classes are written, as `lsu_onto.places` says it. A finding about files is at the first of them.
    """
    known = dict(places or {})
    kinds = [kind for kind in KINDS if any(f.kind == kind for f in report.findings)]
    rules = [
        {
            "id": f"audit/{kind}",
            "shortDescription": {"text": KINDS[kind].title},
            "fullDescription": {"text": words.WORDS[kind].meaning},
            "help": {"text": words.WORDS[kind].advice},
            "defaultConfiguration": {"level": _level(kind)},
        }
        for kind in kinds
    ]
    run = {
        "tool": {"driver": {"name": "lsu-seg", "version": __version__, "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(report, f, kinds.index(f.kind), known) for f in report.findings],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _level(kind: str) -> str:
    return "warning" if KINDS[kind].contradiction else "note"


def _result(report: Report, finding: Finding, rule: int, places: Mapping[str, ClassPlaces]) -> dict[str, Any]:
    names = [words.row_name(report, d) for d in finding.rows]
    at = [_location(places[name]) for name in names if name in places]
    if not at and places:
        at = [_location(next(iter(places.values())))]
    out: dict[str, Any] = {
        "ruleId": f"audit/{finding.kind}",
        "ruleIndex": rule,
        "level": _level(finding.kind),
        "message": {"text": f"{words.sentence(report, finding)}; {words.expected(finding)}"},
        "locations": at[:1],
    }
    if at[1:]:
        out["relatedLocations"] = [{"id": n, **location} for n, location in enumerate(at[1:])]
    return out


def _location(place: ClassPlaces) -> dict[str, Any]:
    path = PurePath(place.row.file)
    uri = path.as_uri() if path.is_absolute() else quote(os.fsencode(path.as_posix()))
    region = {"startLine": place.row.line, "startColumn": place.row.column}
    return {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}
