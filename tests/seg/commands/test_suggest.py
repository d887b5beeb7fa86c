"""`lsu-seg suggest`, from names, from a teacher, and from a labelling run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import lsu_onto
from helpers.coloured import SHOWN, SOURCE, TOWN, write_painted
from lsu_onto.cli import main as onto
from lsu_seg.cli import main

ARROW = " -> colours v1"
NAMELESS = "".join(
    line.partition("=")[0].partition(">")[0].partition("~")[0].rstrip() + "\n"
    for line in TOWN.replace(ARROW, "").splitlines()
)
"""The coloured dataset without a map."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("painted")
    write_painted(root, images=12)
    (root / "tax/painted.tax").write_text(NAMELESS)
    return root


def call(*args: object) -> Result:
    return CliRunner().invoke(main, ["suggest", *map(str, args)])


def ask(world: Path, work: Path, *args: object) -> Result:
    teacher = "--teacher", world / "teacher.py", "--checkpoint", world / "teacher.pth", "--data-root", world / "data"
    name = world / "tax/painted.tax", "--source", "colours", "--path", world / "tax"
    return call(*name, *teacher, "--work-dir", work, *args)


def test_the_file(world: Path, tmp_path: Path) -> None:
    """Nothing but what the teacher sees gives these classes away."""
    file, again = tmp_path / "new.tax", tmp_path / "again.tax"
    result = ask(world, tmp_path / "work", "-o", file)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("painted v1 -> colours v1: ")
    assert f"wrote {file}: a draft" in result.stderr
    made = lsu_onto.load(file, paths=[world / "tax"])
    for raw, names in SHOWN.items():
        assert set(made.names(int(made.raw_row[made.raw == raw][0]))) >= set(names), raw
    assert np.mean(made.allowed.sum(1)) < 5  # of eleven
    text = file.read_text()
    assert "the teacher sees road" in text and "how: CompositeMatching; " in text
    second = ask(world, tmp_path / "work", "-o", again)
    assert second.stdout == result.stdout and again.read_text() == text
    assert "asking" in result.stderr and "asking" not in second.stderr  # it was asked once


def test_the_audit_of_the_file_reads_the_same_sample(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whatever name: the file's own, another one, or the dataset's, with the work folder on the search path."""
    monkeypatch.chdir(tmp_path)
    assert ask(world, tmp_path / "work").exit_code == 0
    teacher = "--teacher", world / "teacher.py", "--checkpoint", world / "teacher.pth", "--data-root", world / "data"
    path = "--path", world / "tax", "--work-dir", "work"
    for name in (["painted-colours.tax"], ["painted", "--path", "."], ["renamed.tax"]):
        if name == ["renamed.tax"]:
            Path("painted-colours.tax").rename("renamed.tax")
        result = CliRunner().invoke(main, list(map(str, ["audit", *name, *path, *teacher])))
        assert result.exit_code == 0, result.output
        assert "asking" not in result.stderr


def test_json_and_standard_output(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    named = world / "tax/painted.tax", "--source", "colours", "--path", world / "tax"
    result = call(*named, "-o", "-")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("tax 1\n") and "names alone" in result.stdout
    assert result.stderr.startswith("painted v1 -> colours v1: ")
    assert not list(tmp_path.iterdir())
    document = json.loads(call(*named, "--format", "json").stdout)
    assert document["file"] == "painted-colours.tax" and len(document["classes"]) == 8
    assert "share" not in document["classes"][0]
    assert (tmp_path / "painted-colours.tax").read_text() == result.stdout
    language_alone = CliRunner().invoke(onto, ["suggest", *map(str, named), "-o", "-"])
    assert (language_alone.stdout, language_alone.stderr) == (result.stdout, result.stderr)


def test_a_labelling_run(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labelled under a map elsewhere that leaves everything open; the dataset itself has none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "open.tax").write_text(
        NAMELESS.replace("painted v1", "painted v1 -> colours v1").replace("\n\n", "\n", 1)
    )
    lines = (tmp_path / "open.tax").read_text().splitlines()
    (tmp_path / "open.tax").write_text("".join(f"{x} -> any\n" if x[:1].isdigit() else f"{x}\n" for x in lines))
    teacher = "--teacher", world / "teacher.py", "--checkpoint", world / "teacher.pth", "--data-root", world / "data"
    label = ["pseudo-label", *teacher, "open.tax", "--path", world / "tax", "-o", "out", "--work-dir", "log"]
    result = CliRunner().invoke(main, list(map(str, label)))
    assert result.exit_code == 0, result.output
    (tmp_path / "open.tax").unlink()
    (tmp_path / "painted.tax").write_text(NAMELESS)
    (tmp_path / "colours.tax").write_text(SOURCE)
    result = call("out", "--path", world / "tax", "-o", "map.tax")
    assert result.exit_code == 0, result.output
    assert "the teacher sees" in result.stdout
    assert "sidewalk" in lsu_onto.load(tmp_path / "map.tax").names("walk")


def test_what_is_refused(world: Path, tmp_path: Path) -> None:
    file = tmp_path / "there.tax"
    file.write_text("mine")
    for args, message in [
        ((world / "tax/painted.tax",), "--source is missing"),
        ((world / "tax/painted.tax", "--source", "colors", "--path", world / "tax"), "there is no source `colors`"),
        (("camvid11", "--source", "cityscapes"), "`camvid11` is a source, and maps are of datasets"),
        (("idd", "--source", "cityscapes"), "`idd v1` already has a map to `cityscapes`"),
        (("idd", "--source", "cityscapes", "--images", 3), "`--images` belongs to a teacher"),
        (("idd", "--source", "offroad", "--set", "test_cfg.scales=[1]"), "`--set` belongs to a teacher"),
        (("idd", "--source", "cityscapes", "--teacher", world / "teacher.py"), "--data-root is missing"),
        (("idd", "--source", "offroad", "-o", file), f"`{file}` is there already, and nothing is overwritten"),
        (("idd", "--source", "offroad", "-o", "-", "--format", "json"), "name a file for -o"),
        ((tmp_path, "--source", "offroad"), "no folder of pseudo-labels"),
    ]:
        result = call(*args)
        assert result.exit_code in (1, 2) and result.stdout == "", args
        assert message in result.stderr, result.stderr
    assert file.read_text() == "mine"
