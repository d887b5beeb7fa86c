"""`lsu-onto suggest`: what it writes, prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import lsu_onto
from lsu_onto.cli import main

FARM = "tax 1\ndataset farm v1\n1 street\n2 lorry\n3 qwx\n"


def call(*args: object) -> Result:
    return CliRunner().invoke(main, ["suggest", *map(str, args)])


def test_a_file_beside_the_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("farm.tax").write_text(FARM)
    result = call("farm.tax", "--source", "cityscapes", "--format", "json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["classes"]
    assert [row["relation"] for row in rows] == ["< road", "< truck", "-> any"]
    assert [row["state"] for row in rows] == ["certain", "certain", "unknown"]
    assert CliRunner().invoke(main, ["validate", "--strict", "."]).output == ""
    assert lsu_onto.load("farm", "cityscapes", ["."]).names("lorry") == ("truck",)
    again = call("farm.tax", "--source", "cityscapes")
    assert again.exit_code == 1 and "`farm v1` already has a map to `cityscapes`" in again.stderr


def test_elsewhere_and_on_standard_output(tmp_path: Path) -> None:
    (tmp_path / "farm.tax").write_text(FARM)
    (tmp_path / "maps").mkdir()
    file = tmp_path / "maps/farm.tax"
    result = call(tmp_path / "farm.tax", "--source", "cityscapes", "-o", file)
    assert result.stdout.startswith("farm v1 -> cityscapes v1: 2 rows certain, 0 widened, 1 unknown\n")
    assert f"then `lsu-onto validate {file} --path {tmp_path}`" in result.stderr
    written = file.read_text()
    file.unlink()
    printed = call(tmp_path / "farm.tax", "--source", "cityscapes", "-o", "-")
    assert (printed.stdout, printed.stderr) == (written, result.stdout)


def test_what_is_refused(tmp_path: Path) -> None:
    (tmp_path / "farm.tax").write_text(FARM)
    (tmp_path / "there.tax").write_text("mine")
    farm = tmp_path / "farm.tax"
    for args, message in [
        ((farm,), "Missing option '--source'"),
        ((farm, "--source", "citiscapes"), "did you mean `cityscapes`?"),
        ((farm, "--source", "idd"), "there is no source `idd`, which is a dataset; "),
        ((farm, "--source", "cityscapes", "-o", tmp_path / "there.tax"), "nothing is overwritten"),
        ((farm, "--source", "cityscapes", "-o", tmp_path / "x.csv"), "must end in `.tax`"),
        ((farm, "--source", "cityscapes", "-o", "-", "--format", "json"), "name a file for -o"),
        (("camvid11", "--source", "cityscapes"), "maps are of datasets"),
    ]:
        result = call(*args)
        assert result.exit_code in (1, 2) and result.stdout == "", args
        assert message in result.stderr, result.stderr
    assert (tmp_path / "there.tax").read_text() == "mine"
