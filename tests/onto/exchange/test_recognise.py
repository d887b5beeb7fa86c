"""A file in another format than was said: the refusal names the command that reads it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from helpers.class_lists import COCO, CVAT, CVAT_XML, LABEL_STUDIO, LABELMAP, MAPILLARY, SUPERVISELY
from helpers.exchange import LABELS, MASTER, MODULE, MSEG, errors, run
from lsu_onto.exchange import IMPORTS

FILES = {
    "meta.json": ("json", json.dumps(SUPERVISELY)),
    "config.json": ("json", json.dumps(MAPILLARY)),
    "labels.json": ("json", json.dumps(CVAT)),
    "panoptic.json": ("json", json.dumps(COCO)),
    "category.json": ("json", '[{"token": "1f", "name": "animal", "description": ""}]'),
    "metainfo.json": ("mmseg", '{"classes": ["road"], "palette": [[0, 0, 0]]}'),
    "town.py": ("mmseg", MODULE.split("class Other")[0]),
    "config.xml": ("xml", LABEL_STUDIO),
    "annotations.xml": ("xml", CVAT_XML),
    "labelmap.txt": ("labelmap", LABELMAP),
    "label_colors.txt": ("labelmap", "64 128 64\tAnimal\n"),
    "_classes.csv": ("csv", "Pixel Value, Class\n0, background\n1, road\n"),
    "objectInfo150.txt": ("csv", "Idx\tRatio\tTrain\tVal\tName\n1\t0.1\t11\t9\twall\n22 \t0.1\t2\t3\twater \n"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("tried", [f for f in IMPORTS if f not in ("data-priors", "mseg")])
def test_a_file_is_read_or_refused_with_the_command_that_reads_it(tmp_path: Path, name: str, tried: str) -> None:
    format_, text = FILES[name]
    file = tmp_path / name
    file.write_text(text)
    out = tmp_path / "out.tax"
    result = run("import", "--from", tried, file, "-o", out)
    if format_ != tried:
        assert result.exit_code == 1 and not out.exists()
        command = result.stderr.split("which `lsu-onto ")[1].split("` reads")[0]
        result = run(*shlex.split(command), "-o", out)
    assert result.exit_code == 0, result.stderr
    assert errors(out.read_text()) == []


def test_a_taxonomy_is_no_list_to_import(tmp_path: Path) -> None:
    file = tmp_path / "mini.tax"
    file.write_text("# ours\ntax 1\nsource mini v1\n0 road\n")
    for words in (("import", "--from", "csv", file), ("init", "mini", "--from-csv", file)):
        result = run(*words, "-o", tmp_path / "out.tax")
        assert result.exit_code == 1 and "is a `.tax` file already: `lsu-onto validate" in result.stderr, words


def test_many_empty_lines_are_no_reason_to_think_for_ever(tmp_path: Path) -> None:
    (tmp_path / "empty.json").write_text("\n" * 2000 + "x")
    assert "empty.json:2001:1: not JSON" in run("import", "--from", "json", tmp_path / "empty.json").stderr
    (tmp_path / "mini.tax").write_text(" \n\t\n# ours\n\n" * 100 + "tax 1 # ours\n")
    assert "is a `.tax` file already" in run("import", "--from", "json", tmp_path / "mini.tax").stderr


def test_init_names_the_command_too(tmp_path: Path) -> None:
    file = tmp_path / "meta.json"
    file.write_text(json.dumps(SUPERVISELY))
    result = run("init", "x", "--from-csv", file, "-o", tmp_path / "x.tax")
    assert result.exit_code == 1
    assert f"`{file}` is JSON, which `lsu-onto import --from json {file}` reads" in result.stderr


def test_published_mappings_and_mseg_are_recognised(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(LABELS)
    (tmp_path / "master_labels_city.csv").write_text(MASTER)
    (tmp_path / "m.tsv").write_text(MSEG)
    assert "`lsu-onto import --from data-priors" in run("import", "--from", "csv", tmp_path).stderr
    assert "`lsu-onto import --from mseg" in run("import", "--from", "csv", tmp_path / "m.tsv").stderr
    (tmp_path / "town.py").write_text(MODULE)
    dataset = f"{tmp_path / 'town.py'}:TownDataset"
    assert f"`lsu-onto import --from mmseg {dataset}` reads" in run("import", "--from", "json", dataset).stderr
    assert "cannot read" in run("import", "--from", "json", tmp_path / "nothing.json").stderr


def test_only_a_command_that_works_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('{"classes": ["road"],')
    assert ":1:22: not JSON" in run("import", "--from", "mmseg", tmp_path / "m.json").stderr
    (tmp_path / "x.xml").write_text("<html></html>")
    assert "no column `name`" in run("import", "--from", "csv", tmp_path / "x.xml").stderr
    spaced = tmp_path / "my list.json"
    spaced.write_text('["road"]')
    assert f"--from json '{spaced}'` reads" in run("import", "--from", "csv", spaced).stderr


@pytest.mark.parametrize(
    ("format_", "option", "formats"),
    [
        ("csv", "--column", "mseg"),
        ("sssom", "--source-from", "data-priors"),
        ("sssom", "--encoding", "csv, data-priors, mseg, mmseg, json, xml, labelmap"),
        ("sssom", "--void", "csv, data-priors, mseg, mmseg, json, xml, labelmap"),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(format_: str, option: str, formats: str) -> None:
    result = run("import", "--from", format_, "file", option, "255")
    assert result.exit_code == 2
    assert f"`{option}` changes nothing with `--from {format_}`: it belongs to {formats}; leave it out" in result.stderr
