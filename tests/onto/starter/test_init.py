"""`lsu-onto init`: what it writes is canonical, says what it guessed, and decides no relation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from helpers.init import ids, run, written
from lsu_onto.cli import main
from lsu_onto.library.library import Library
from lsu_onto.ontology.keys import ENCODINGS


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- from nothing, and from a list -------------------------------------------------------------------------


def test_the_starter_asks_for_what_is_open_and_validates_when_it_is_settled() -> None:
    result = run("mydata", "--source", "demo")
    assert "wrote mydata.tax" in result.stdout and "lsu-onto validate mydata.tax" in result.stdout
    text, keys, classes = written("mydata.tax")
    assert keys["encoding"][0] == "id" and len(classes) == 2 and "# labels: labels/{split}/{stem}.png" in text
    errors = Library().check("mydata.tax").errors
    assert [d.code for d in errors] == ["TAX301", "TAX301"]
    Path("mydata.tax").write_text(re.sub(r"# TODO.*", "< road", text))
    assert Library().check("mydata.tax").errors == []


@pytest.mark.parametrize("encoding", list(ENCODINGS))
def test_the_starter_without_a_source_is_valid_under_every_encoding(encoding: str) -> None:
    run("mydata", "--encoding", encoding)
    text = Path("mydata.tax").read_text()
    assert "-> NAME v1" in text and f"encoding: {encoding} " in text
    # Where the classes stand in a JSON, the file asks for it.
    asked = ["TAX012"] if encoding in ("panoptic-rgb", "rle") else []
    assert [d.code for d in Library().check("mydata.tax").diagnostics if d.severity != "info"] == asked
    Path("mydata.tax").write_text(re.sub(r"^# (segments: \S+) TODO:", r"\1  #", text, flags=re.M))
    assert Library().check("mydata.tax").errors == [], "settled where the file says TODO"


def test_nothing_is_overwritten() -> None:
    Path("x.tax").write_text("mine")
    result = run("x", code=1)
    assert "`x.tax` is there already" in result.stderr and Path("x.tax").read_text() == "mine"
    run("x", "--force")
    assert Path("x.tax").read_text().startswith("tax 1\n")


LIST = "id,name,color,void,note\n1,Road,#804080,,\n2,side walk,#f423e8,,paved\n3,quad,#112233,,\n300,outside,,1,\n"


def test_a_list_gets_suggestions_and_no_relations() -> None:
    Path("My List.csv").write_text(LIST)
    run("--from-csv", "My List.csv", "--source", "demo")
    _, keys, classes = written("my_list.tax")
    assert keys["encoding"] == ("id16", "TODO: is that how the label files store it?")
    assert {n: c.note for n, c in classes.items() if n != "outside"} == {
        "Road": "TODO: `= road` or `< road`? The same name, perhaps not the same pixels",
        "side_walk": "TODO: `< sidewalk`?; paved",
        "quad": "TODO: relate it",
    }
    assert classes["outside"].decision and not any(c.relations for c in classes.values())  # the list says `void`
    assert len(Library().check("my_list.tax").errors) == 3


def test_a_list_loses_no_column_without_a_word() -> None:
    Path("camvid.csv").write_text("name,r,g,b,pixels\nAnimal,64,128,64,9\nVoid,0,0,0,9\n")
    result = run("x", "--from-csv", "camvid.csv")
    assert ":1:12: info: not used: `pixels`" in result.stderr
    text, keys, classes = written()
    assert keys["encoding"] == (
        "rgb",
        "TODO: is that how the label files store it? It is a guess: the list has colours and no ids",
    )
    assert {n: c.colours[0].text for n, c in classes.items()} == {"Animal": "#408040", "Void": "#000000"}
    assert "# void: #000000 TODO" in text

    Path("names.csv").write_text("name\nroad\nsky\n")
    assert "warning: no `id` says the raw values" in run("x", "--from-csv", "names.csv", "--force").stderr
    assert written()[1]["encoding"][1].endswith("It is a guess: the list has no ids, and these count its rows")


def test_a_column_with_the_name_of_the_source_is_a_first_guess() -> None:
    Path("a.csv").write_text("Idx;label;demo\n7;asphalt;road\n8;verge;sidewalk, void\n9;cow;\n")
    assert run("x", "--from-csv", "a.csv", "--source", "demo").stderr == ""
    text, _, classes = written()
    assert ids(classes) == {"asphalt": [(7, 7)], "verge": [(8, 8)], "cow": [(9, 9)]}
    assert [[(r.op, [t.text for t in r.targets]) for r in c.relations] for c in classes.values()] == [
        [("<", ["road"])],
        [("~", ["sidewalk", "void"])],
        [],
    ]
    assert "# a guess: `demo` says `sidewalk, void`\n" in text and classes["cow"].note.startswith("TODO")
    assert "`--source demo` makes `demo` a first guess" in run("x", "--from-csv", "a.csv", "--force").stderr


def test_what_export_wrote_is_a_list_too() -> None:
    exported = CliRunner().invoke(main, ["export", "demo_town", "--to", "csv", "-o", "town.csv"])
    assert exported.exit_code == 0
    assert run("x", "--from-csv", "town.csv", "--source", "demo").stderr == ""
    assert all(c.relations for c in written()[2].values()) and Library().check("x.tax").errors == []


def test_relations_of_a_list_are_written_as_fmt_keeps_them() -> None:
    Path("a.csv").write_text('id,name,relation\n7,lamp,"lamp < ""traffic light"""\n')
    run("x", "--from-csv", "a.csv", "--source", "cityscapes")
    text, _, classes = written()
    assert "7  lamp  < traffic_light\n" in text and classes["lamp"].relations


def test_relations_to_the_classes_of_another_source_are_reported() -> None:
    Path("x.csv").write_text("id,name,relation\n1,track,< gravel\n2,quad,\n3,verge,< sidewalk\n")
    result = run("x", "--source", "demo", "--from-csv", "x.csv")
    assert re.search(r"x.tax:\d+:\d+: error\[TAX201\].* `gravel`", result.stderr), result.stderr
    assert "TAX301" not in result.stderr and "sidewalk" not in result.stderr


@pytest.mark.parametrize("more", [[], ["--from-csv", "a.csv"]])
def test_a_source_is_named_as_any_taxonomy(more: list[str]) -> None:
    Path("a.csv").write_text("id,name\n7,sky\n")
    Path("lib").mkdir()
    Path("lib/base.tax").write_text("tax 1\nsource base v1\n0 sky\nsource base v2\n0 sky\n1 road\n")
    result = run("x", "--source", "lib/base.tax v2", *more)
    assert "dataset x v1 -> base v2\n" in Path("x.tax").read_text()
    assert "lsu-onto validate x.tax --path lib " in result.stdout  # where that finds it
    run("y", "--source", "demo@v1", *more)
    assert "dataset y v1 -> demo v1\n" in Path("y.tax").read_text()


def test_a_list_without_a_source_is_valid_at_once() -> None:
    Path("a.csv").write_text(LIST)
    run("x", "--from-csv", "a.csv", "--encoding", "id16")
    _, keys, classes = written()
    assert keys["encoding"][0] == "id16" and classes["Road"].note == ""
    assert Library().check("x.tax").errors == []


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ([], 2, "needs a name"),
        (["my data.tax"], 2, "write `my_data`"),
        (["void"], 2, "`void` cannot be a name"),
        (["a", "--name", "b"], 2, "given twice"),
        (["a", "--encoding", "jpeg"], 2, "`jpeg` is no encoding"),
        (["a", "--encoding", "id16/N"], 2, "`id16/N` is no encoding"),
        (["a", "--source", "dmeo"], 1, "there is no source `dmeo`; did you mean `demo`?"),
        (["a", "--from-csv", "no.csv"], 1, "cannot read `no.csv`"),
        (["a", "--from-csv", "a", "--from-labels", "b"], 2, "exclude each other"),
        (["a", "--from-labels", "nowhere"], 1, "there is no such folder or file"),
        (["a", "-o", "/dev/null/a.tax"], 1, "/dev/null/a.tax: Not a directory"),
    ],
)
def test_mistakes(args: list[str], code: int, message: str, here: Path) -> None:
    assert message in run(*args, code=code).stderr
    assert list(here.iterdir()) == []
