"""Interchange: what goes out holds every fact, what comes in is sound and loses nothing without a word."""

from __future__ import annotations

import csv
import dataclasses
import json
import random
import re
import sys
from collections import Counter
from itertools import accumulate
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import lsu_onto
from helpers.tax import SOURCE
from lsu_onto.cli import main
from lsu_onto.exchange import EXPORTS, ExchangeError, Options, export, import_
from lsu_onto.exchange.tables import read_table
from lsu_onto.library.library import Library

RICH = """\
tax 1
dataset field v2 -> demo v1
title: Field, a "set" | of all
void: 255
[g.a]
0,7..9 path #010203,#010204 aka way "foot way" = sidewalk # commas, | pipes; and #hash
1 mixed "mixed: 'it'" ~ road void
2 beast "the beast" ! any # known
[g.b]
3 rock -> void
4 stuff -> any ! @vehicle
5 vehicle > truck
          ~ car void   # pick-ups
- tram < road
"""


@pytest.fixture
def rich(tmp_path: Path) -> Path:
    (tmp_path / "demo.tax").write_text(SOURCE)
    file = tmp_path / "field.tax"
    file.write_text(RICH)
    return file


def exported(file: Path, format_: str) -> str:
    return export(Library().ontology(file), format_)


def run(*args: str | Path) -> Result:
    result = CliRunner().invoke(main, list(map(str, args)))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def errors(text: str, beside: Path | None = None) -> list[str]:
    found = Library([beside] if beside else []).check("imported.tax", text).diagnostics
    return [f"{d.code} {d.message}" for d in found if d.severity != "info"]


# --- export ------------------------------------------------------------------------------------------------


def test_json_holds_everything(rich: Path) -> None:
    found = json.loads(exported(rich, "json"))
    assert (found["version"], found["dataset"]["name"], found["source"]["version"]) == (1, "field", "v1")
    path, *_ = found["dataset"]["classes"]
    assert path == {
        "name": "path",
        "official": "path",
        "ids": [[0, 0], [7, 9]],
        "colours": ["#010203", "#010204"],
        "aliases": ["way", "foot way"],
        "group": "g.a",
        "note": "",
    }
    rows = {r["class"]: r for r in found["map"]}
    assert rows["stuff"]["allowed"] == ["road", "sidewalk", "sky", "void"]
    assert rows["stuff"]["decision"]["minus"][0]["classes"] == ["car", "truck"]
    assert [r["op"] for r in rows["vehicle"]["relations"]] == [">", "~"]
    assert rows["beast"]["novel"] and rows["path"]["relations"][0]["note"].startswith("commas")
    assert found["dataset"]["groups"] == ["g", "g.a", "g.b"] and found["dataset"]["void"] == [255]


def test_csv_round_trip(rich: Path) -> None:
    text = exported(rich, "csv")
    assert not re.search(r"(^|,)\"?[=+@]", text, re.MULTILINE)  # a spreadsheet would take it for a formula
    table = rich.with_name("field.csv")
    table.write_text(text)
    out = rich.with_name("again.tax")
    options = ["--name", "field", "--taxonomy-version", "v2", "--source", "demo", "--void", "255"]
    result = run("import", "--from", "csv", table, *options, "--path", rich.parent, "-o", out)
    assert result.exit_code == 0, result.output
    first, again = lsu_onto.load(rich), lsu_onto.load(out)
    assert dataclasses.replace(again, sha256="") == dataclasses.replace(first, sha256="")
    assert exported(out, "csv") == text
    names = ("official", "aliases", "group", "ids", "colours")
    old, new = (Library().ontology(f).dataset.classes for f in (rich, out))
    assert [[getattr(c, n) for n in names] for c in new] == [[getattr(c, n) for n in names] for c in old]


SSSOM_PREDICATES = {"skos:exactMatch", "skos:broadMatch", "skos:narrowMatch", "skos:relatedMatch"}


def test_sssom_states_the_facts_and_no_decisions(rich: Path) -> None:
    lines = exported(rich, "sssom").splitlines()
    header = [line for line in lines if line.startswith("#")]
    columns, *rows = [line.split("\t") for line in lines[len(header) :]]
    required = {"subject_id", "predicate_id", "object_id", "mapping_justification"}
    assert required <= set(columns)
    assert any(h.startswith("# mapping_set_id:") for h in header)
    assert any(h.startswith("# license:") for h in header)
    cells = [dict(zip(columns, r, strict=True)) for r in rows]
    assert {c["predicate_id"] for c in cells} <= SSSOM_PREDICATES
    assert {c["mapping_justification"] for c in cells} == {"semapv:ManualMappingCuration"}
    said = {(c["subject_id"], c["predicate_id"], c["object_id"]) for c in cells}
    assert said == {
        ("field:path", "skos:exactMatch", "demo:sidewalk"),
        ("field:mixed", "skos:relatedMatch", "demo:road"),
        ("field:beast", "skos:exactMatch", "sssom:NoTermFound"),
        ("field:vehicle", "skos:narrowMatch", "demo:truck"),
        ("field:vehicle", "skos:relatedMatch", "demo:car"),
        ("field:tram", "skos:broadMatch", "demo:road"),
    }
    assert "rock -> void" in "\n".join(header)


SHIPPED = sorted({(e.name, e.source or e.name) for e in Library().entries() if e.source or e.kind == "source"})


@pytest.mark.parametrize(("name", "source"), [("field", "demo"), *SHIPPED])
def test_sssom_validates_with_sssom_py(rich: Path, name: str, source: str, caplog: pytest.LogCaptureFixture) -> None:
    parsers = pytest.importorskip("sssom.parsers", reason="pip install -e '.[sssom]'")
    from sssom.validators import validate

    text = exported(rich, "sssom") if name == "field" else export(Library().ontology(name, source), "sssom")
    file = rich.with_name("x.sssom.tsv")
    file.write_text(text)
    mappings = parsers.parse_sssom_table(str(file))
    # It leaves out what is not well-formed, and only logs that.
    assert len(mappings.df) == sum(not line.startswith("#") for line in text.splitlines()) - 1
    assert [r.message for r in caplog.records if r.levelname != "INFO"] == []
    reports = validate(mappings, fail_on_error=False)
    assert reports
    assert [r for report in reports.values() for r in report.results] == []


def test_sssom_leaves_the_fixed_prefixes_alone(tmp_path: Path) -> None:
    (tmp_path / "x.tax").write_text("tax 1\nsource rdf v1\n0 road\ndataset skos v1 -> rdf v1\n0 way < road\n")
    header, row = exported(tmp_path / "x.tax", "sssom").split("subject_id")
    assert row.splitlines()[1].startswith("skos_labels:way\tway\tskos:broadMatch\trdf_source:road\t")
    assert '#   skos: "http://www.w3.org/2004/02/skos/core#"' in header and "#   rdf:" not in header


def test_skos_is_two_schemes_and_the_relations_between(rich: Path) -> None:
    rdflib = pytest.importorskip("rdflib")
    skos = rdflib.SKOS
    graph = rdflib.Graph().parse(data=exported(rich, "skos"), format="turtle")
    assert len(set(graph.subjects(rdflib.RDF.type, skos.ConceptScheme))) == 2
    assert len(set(graph.subjects(rdflib.RDF.type, skos.Concept))) == 7 + 5
    path, beast = (rdflib.URIRef(f"urn:lsu:dataset:field:v2:{n}") for n in ("path", "beast"))
    assert graph.value(path, skos.exactMatch) == rdflib.URIRef("urn:lsu:source:demo:v1:sidewalk")
    assert {str(x) for x in graph.objects(path, skos.altLabel)} == {"way", "foot way"}
    assert str(graph.value(path, skos.notation)) == "0,7..9"
    assert str(graph.value(beast, skos.prefLabel)) == "the beast"
    relations = [skos.exactMatch, skos.broadMatch, skos.narrowMatch, skos.relatedMatch]
    assert sum(len(list(graph.subject_objects(r))) for r in relations) == 5


def test_skos_without_rdflib_says_what_to_install(rich: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rdflib", None)
    result = run("export", rich, "--to", "skos")
    assert result.exit_code == 1 and "pip install '.[skos]'" in result.stderr


def test_mmseg_runs_as_python(rich: Path) -> None:
    space: dict[str, object] = {}
    exec(exported(rich, "mmseg"), space)
    assert space["num_classes"] == 5
    assert space["METAINFO"]["classes"] == ("road", "sidewalk", "car", "truck", "sky")  # type: ignore[index]
    assert space["METAINFO"]["palette"][0] == [128, 64, 128]  # type: ignore[index]
    assert space["label_map"] == {0: 1, 7: 1, 8: 1, 9: 1, 2: 255, 3: 255, 255: 255}


def test_md_is_one_table_that_pipes_do_not_break(rich: Path) -> None:
    text = exported(rich, "md")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 7
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {8}
    assert "`mixed` (mixed: 'it')" in text and "`#010203`" in text


@pytest.mark.parametrize("format_", EXPORTS)
def test_export_command(rich: Path, format_: str) -> None:
    if format_ == "skos":
        pytest.importorskip("rdflib")
    out = rich.with_name("out")
    assert run("export", rich, "--to", format_, "-o", out).exit_code == 0
    assert out.read_text() == run("export", rich, "--to", format_).stdout == exported(rich, format_)
    assert sorted(p.name for p in rich.parent.iterdir()) == ["demo.tax", "field.tax", "out"]


def test_export_errors(rich: Path) -> None:
    assert run("export", "demo_town", "--to", "xml").exit_code == 2
    wrong = run("export", "demo_twon", "--to", "csv")
    assert wrong.exit_code == 1 and "did you mean `demo_town`" in wrong.stderr
    nowhere = run("export", rich, "--to", "csv", "-o", rich.parent / "no" / "x.csv")
    assert nowhere.exit_code == 1 and "No such file or directory" in nowhere.stderr
    before = rich.read_text()
    itself = run("export", rich, "--to", "md", "-o", rich)
    assert itself.exit_code == 1 and "write to another file" in itself.stderr
    assert rich.read_text() == before


# --- tables ------------------------------------------------------------------------------------------------


def test_cells_know_their_place(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes(b'\xef\xbb\xbfa,b\r\n"x ""y"", z",2\r\n\r\n"two\r\nlines",end,\r\n')
    rows = [[(c.text, *c.place[1:]) for c in r] for r in read_table(str(file)).rows]
    assert rows == [
        [('x "y", z', 2, 1), ("2", 2, 14)],
        [("two\nlines", 4, 1), ("end", 5, 8), ("", 5, 12)],
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\n,,\n", "is empty"),
        (b"id,nam\n0,road\n", "no column `name`; found `id`, `nam`; did you mean"),
        (b"id,name\n0,caf\xe9\n", ":2:6: not UTF-8 text: found byte 0xe9"),
        (b"id,name\0\n", "binary"),
        (b'id,name\n0,"road\n', ":2:3: the quote is not closed"),
        (b"id,name\n", "no classes below the header"),
        (b"id,name\nx,road\n", ":2:1: `x` is not an id"),
        (b"id,name\n0,\n", ":2:1: this row has no name"),
        (b"id,name,color\n0,road,red\n", ":2:8: `red` is not a colour"),
        (b"id;name\n0;road\n", "are separated by `;`"),
        (b"id\tname\n0\troad\n", "are separated by tabs"),
        (b"id,name,color\n0,road,128,64,128\n", ":2:12: this row has 5 cells, the header 3; put quotes"),
        (b"name,official\nbig car,x\n", ":2:1: `big car` cannot be a name; write `big_car`"),
        (b"name,official\na,x\na,y\n", ":3:1: `a` is already a class, at line 2"),
        (b"name,relation\nroad,< street\n", "add `--source NAME`"),
        (b"name,relation\nroad,#NAME?\n", ":2:6: `#NAME?` is not a relation of `road`"),
    ],
)
def test_csv_errors_say_where_and_what(tmp_path: Path, data: bytes, message: str) -> None:
    file = tmp_path / "x.csv"
    file.write_bytes(data)
    result = run("import", "--from", "csv", file, "-o", tmp_path / "x.tax")
    assert result.exit_code == 1 and message in result.stderr, result.stderr
    assert not (tmp_path / "x.tax").exists()


def test_csv_reads_colours_as_numbers_and_is_silent_without_warnings(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text('name,color\nroad,"(128, 64, 128)"\nsky,70 130 180\ncar,#00008E #00008f\n')
    result = run("import", "--from", "csv", file)
    assert [re.findall("#[0-9a-f]{6}", line) for line in result.stdout.splitlines()[-3:]] == [
        ["#804080"],
        ["#4682b4"],
        ["#00008e", "#00008f"],
    ]
    assert "warning" not in result.stderr
    folder = run("import", "--from", "csv", tmp_path)
    assert "Is a directory" in folder.stderr and "did you mean" not in folder.stderr


# --- csv ---------------------------------------------------------------------------------------------------

LIST = """\
id,name,color,train_id,void,instances,supercategory,note
0,unlabeled,#000000,255,1,0,void,
1,road way,#804080,0,0,0,flat,"the drivable part, all of it"
2,Void,#111111,255,0,0,,
-1,licence-plate,#00008e,255,0,1,vehicle,
7,car,#00008e,1,0,1,vehicle,
"""


def test_reference_list_becomes_a_dataset_and_a_source(tmp_path: Path) -> None:
    file = tmp_path / "town.csv"
    file.write_text(LIST)
    dataset = import_("csv", [file])
    assert dataset.findings == () and errors(dataset.text) == []
    assert '1  road_way "road way"' in dataset.text and "# the drivable part, all of it" in dataset.text
    assert '-  licence_plate "licence-plate"' in dataset.text and "[ungrouped]\n2  Void" in dataset.text
    source = import_("csv", [file], Options(kind="source"))
    assert errors(source.text) == []
    lines = [line.split()[:2] for line in source.text.splitlines() if line[:1].isdigit()]
    assert lines == [["0", "road_way"], ["1", "car"]]
    assert [f.kind for f in source.findings] == ["source"] * 3


def test_a_label_listed_twice_is_two_classes_that_say_so(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,name\n3,car\n4,car\n")
    imported = import_("csv", [tmp_path / "x.csv"])
    assert errors(imported.text) == [] and '4  car_2  # officially "car"' in imported.text
    assert [f.kind for f in imported.findings] == ["duplicate"]


def test_a_source_makes_proposals_that_can_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "demo.tax").write_text(SOURCE)
    (tmp_path / "town.csv").write_text(LIST)
    out = tmp_path / "town.tax"
    assert (
        run(
            "import",
            "--from",
            "csv",
            tmp_path / "town.csv",
            "--source",
            "demo",
            "-o",
            out,
            "--path",
            tmp_path,
        ).exit_code
        == 0
    )
    c = lsu_onto.load(out)
    assert c.names("car") == ("car",) and c.names("unlabeled") == ("void",)
    assert len(c.names("road_way")) == c.num_classes + 1 and "to do: relate it" in out.read_text()
    wrong = run("import", "--from", "csv", tmp_path / "town.csv", "--source", "dmo", "--path", tmp_path)
    assert wrong.exit_code == 1 and "there is no source `dmo`; did you mean `demo`?" in wrong.stderr


def test_an_import_that_is_not_sound_is_written_and_reported(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,name\n3,road\n3,car\n")
    result = run("import", "--from", "csv", tmp_path / "x.csv", "-o", tmp_path / "x.tax")
    assert result.exit_code == 1 and "TAX103" in result.stderr and (tmp_path / "x.tax").exists()


# --- data-priors -------------------------------------------------------------------------------------------

LABELS = """\
0,name,id,trainId,category,categoryId,hasInstances,ignoreInEval,color
0,void,0,0,,,,,
1,road ,1,1,,,,,#804080
2,tree-merged,2,2,,,,,
3,grass,3,3,,,,,
4,car,4,4,,,,,
5,car,5,5,,,,,
6,"a ""big"" thing, odd",6,6,,,,,
7,puddle,-1,7,,,,,
8,anything,8,8,,,,,
9,kerb,8,9,,,,,blue
"""
MASTER = """\
id,name,,,,
0,street,road,anything,,
1,traffic light,tree-mergedvoid,anything,
2,green,tree-merged,grass,anything,grass
3,car,car,anything,gras,
255,void,void,grass,anything,  ,
"""


@pytest.fixture
def priors(tmp_path: Path) -> Path:
    folder = tmp_path / "Town Set"
    folder.mkdir()
    (folder / "labels.csv").write_text(LABELS)
    (folder / "master_labels_city.csv").write_text(MASTER)
    return folder


def test_data_priors_relations_are_the_weakest_with_that_set(priors: Path) -> None:
    imported = import_("data-priors", [priors])
    assert errors(imported.text) == []
    rows = dict(
        re.findall(r"^(\w+) +((?:[<~]|->) [^#\n]*?) *(?:#.*)?$", imported.text.split("\nmap ")[1], re.MULTILINE)
    )
    assert rows == {
        "void_class": "-> void",
        "road": "< street",
        "tree_merged": "< green",
        "grass": "~ green void",
        "car": "< car",
        "a_big_thing_odd": "-> void",
        "puddle": "-> void",
        "anything": "-> any",
        "kerb": "-> void",
    }
    assert "dataset Town_Set v1" not in imported.text and "dataset town_set v1" in imported.text
    assert '1  traffic_light "traffic light"' in imported.text
    assert "4,5  car " in imported.text and "-    puddle" in imported.text
    assert "\"a 'big' thing, odd\"" in imported.text


def test_data_priors_reports_every_label_that_goes_astray(priors: Path) -> None:
    imported = import_("data-priors", [priors])
    said = {(Path(f.place[0]).name, *f.place[1:], f.kind) for f in imported.findings}
    labels, master = "labels.csv", "master_labels_city.csv"
    assert said == {
        (labels, 3, 3, "blank"),
        (labels, 7, 3, "duplicate"),
        (labels, 8, 3, "unmentioned"),
        (labels, 9, 10, "value"),
        (labels, 9, 3, "unmentioned"),
        (labels, 11, 8, "duplicate"),
        (labels, 11, 16, "value"),
        (labels, 11, 3, "unmentioned"),
        (master, 1, 1, "source"),
        (master, 2, 10, "blank"),
        (master, 3, 17, "dangling"),
        (master, 4, 36, "duplicate"),
        (master, 5, 20, "dangling"),
    }
    texts = "\n".join(map(str, imported.findings))
    assert (
        "`tree-mergedvoid` is no class of labels.csv: its edge to `traffic_light` is lost; are `tree-merged` and"
        in texts
    )
    assert "`gras` is no class of labels.csv: its edge to `car` is lost; did you mean `grass`?" in texts
    for kept in (
        "tree-mergedvoid",
        "`gras`",
        "listed twice, with ids 4, 5",
        "in no row of master_labels_city.csv",
        "twice in the row of `green`",
    ):
        assert re.search(rf"# .*{re.escape(kept)}", imported.text), kept


def test_data_priors_sources(priors: Path) -> None:
    master = priors / "master_labels_city.csv"
    written = import_("data-priors", [master], Options(source_from=(str(master),), version="v3"))
    assert "source city v3" in written.text and "-> city v3" in written.text
    assert "source" not in {f.kind for f in written.findings}
    (priors / "town.tax").write_text("tax 1\nsource town v2\n0 street\n1 Traffic_Light\n2 greens\n3 car\n")
    named = import_("data-priors", [master], Options(source="town", search=(str(priors),)))
    assert errors(named.text, priors) == [] and "-> town v2" in named.text and "\nsource" not in named.text
    lost = next(f for f in named.findings if "`green` is no class of `town v2`" in f.message)
    assert lost.place[1:] == (4, 3) and lost.help == "did you mean `greens`?"
    assert "`green` is no class of `town v2`" in named.text
    with pytest.raises(ExchangeError, match="there is no source `twon`; did you mean `town`"):
        import_("data-priors", [master], Options(source="twon", search=(str(priors),)))


def test_data_priors_several_mappings_and_none(priors: Path) -> None:
    (priors / "master_labels.csv").write_text("trainId,name,\n0,a,road\n1,b,car\n255,void,void\n")
    (priors / "master_labels_town_set.csv").write_text(",name,\n0,road,road\n255,void,void\n")
    several = import_("data-priors", [priors])
    assert errors(several.text) == []
    assert re.findall(r"^map .*", several.text, re.MULTILINE) == [
        f"map town_set_labels v1 -> {s} v1" for s in ("master", "city", "town_set")
    ]
    with pytest.raises(ExchangeError, match="there are 3 mappings"):
        import_("data-priors", [priors], Options(source="city"))
    only = import_("data-priors", [priors / "labels.csv"])
    assert errors(only.text) == [] and "\nmap" not in only.text


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("master_labels_x.csv", "foo,bar\n0,a\n", "expected an id column and `name`"),
        ("master_labels_x.csv", "id,name\nx,road\n", ":2:1: expected a source id"),
        ("master_labels_x.csv", "id,name\n255,void\n", "no source class"),
        ("labels.csv", "0,nam,id\n", "no column `name`"),
    ],
)
def test_data_priors_errors(priors: Path, name: str, text: str, message: str) -> None:
    (priors / name).write_text(text)
    result = run("import", "--from", "data-priors", priors, "-o", priors / "x.tax")
    assert result.exit_code == 1 and message in result.stderr
    assert not (priors / "x.tax").exists()
    assert "has no `labels.csv`" in run("import", "--from", "data-priors", priors.parent).stderr


def test_import_command_prints_findings_and_the_file_validates(priors: Path) -> None:
    out = priors / "town.tax"
    result = run("import", "--from", "data-priors", priors, "-o", out)
    assert result.exit_code == 0 and f"{priors / 'labels.csv'}:8:3: warning: " in result.stderr
    assert "warnings in what was imported" in result.stderr and result.stdout == ""
    assert run("validate", "--strict", out).exit_code == 0
    assert run("import", "--from", "data-priors", priors, "--name", "4x").exit_code == 2
    assert run("import", "--from", "data-priors", priors, "--taxonomy-version", "2").exit_code == 2


_REFERENCE = ("shared", "reference", "data-priors")
PUBLISHED = next(
    (p.joinpath(*_REFERENCE) for p in Path(__file__).parents if p.joinpath(*_REFERENCE).is_dir()),
    Path("absent"),
)


def cells(path: Path) -> list[tuple[tuple[int, int], int, str]]:
    """Place, index and text of every cell below the header, by the `csv` module; these files have no quotes."""
    out = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        next(reader)
        for row in reader:
            starts = accumulate((len(c) + 1 for c in row), initial=1)
            out += [((reader.line_num, at), i, c) for i, (at, c) in enumerate(zip(starts, row, strict=False))]
    return out


def astray(path: Path) -> Counter[tuple[str, int, int, str]]:
    """What a mapping loses, and where: (file, line, column, kind), counted without our importer."""
    labels = path.with_name("labels.csv")
    names = [(place, text) for place, i, text in cells(labels) if i == 1 and text.strip()]
    exact, loose = {n for _, n in names}, {n.strip() for _, n in names}
    out: Counter[tuple[str, int, int, str]] = Counter()
    mentioned: set[str] = set()
    row: tuple[int, set[str]] = (0, set())
    for (line, column), i, text in cells(path):
        if i < 2 or not text.strip():
            continue
        if line != row[0]:
            row = line, set()
        if text.strip() not in loose:
            out["master", line, column, "dangling"] += 1
            continue
        out["master", line, column, "blank"] += text not in exact
        out["master", line, column, "duplicate"] += text.strip() in row[1]
        row[1].add(text.strip())
        mentioned.add(text.strip())
    seen: set[str] = set()
    for (line, column), name in names:
        if name.strip() in seen:
            out["labels", line, column, "duplicate"] += 1
        elif name.strip() not in mentioned:
            out["labels", line, column, "unmentioned"] += 1
        seen.add(name.strip())
    return +out


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published files are not here")
def test_all_published_mappings_import() -> None:
    files = sorted(PUBLISHED.glob("*/master_labels*.csv"))
    assert len(files) == 49
    kinds: Counter[str] = Counter()
    for file in files:
        imported = import_("data-priors", [file], Options(source_from=(str(file),)))
        assert errors(imported.text) == [], file
        said: Counter[tuple[str, int, int, str]] = Counter()
        for f in imported.findings:
            here = "master" if Path(f.place[0]) == file else "labels"
            # Blanks in labels.csv, raw values and colours are not what a mapping loses.
            if f.kind in ("dangling", "unmentioned") or here == "master" or "become one class" in f.message:
                said[here, *f.place[1:], f.kind] += 1
        assert said == astray(file), file
        kinds.update(k for *_, k in said.elements())
    # 209 classes in no row, and 13 labels that match nothing: 6 differ in blanks only, which are mended.
    assert (kinds["unmentioned"], kinds["blank"], kinds["dangling"]) == (209, 6, 7)


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published files are not here")
def test_all_published_datasets_import_with_all_their_mappings() -> None:
    for labels in sorted(PUBLISHED.glob("*/labels.csv")):
        assert errors(import_("data-priors", [labels.parent]).text) == [], labels


# --- MSeg --------------------------------------------------------------------------------------------------

MSEG = (
    "Parent Category\ttown-4\tother-2\tuniversal\twordnet\n"
    "flat\t{road, lane}\t\troad\tx\n"
    "flat\tpavement\tpath\tsidewalk-pavement\tx\n"
    "animal\t\tpath\tbird\tx\n"
    "\t\t\tsign\tx\n"
    "void\tego vehicle\t\tunlabeled\tx\n"
)


def test_mseg(tmp_path: Path) -> None:
    table, names = tmp_path / "MSeg_master.tsv", tmp_path / "town-4_names.txt"
    table.write_text(MSEG)
    names.write_text("lane\nroad\ntunnel\nego vehicle\npavment\n")
    alone = import_("mseg", [table], Options(kind="source"))
    assert errors(alone.text) == [] and "[flat]\n0  road" in alone.text and "unlabeled" not in alone.text
    plain = import_("mseg", [table], Options(column="other-2"))
    assert errors(plain.text) == []
    assert re.search(r"^path +~ sidewalk_pavement bird$", plain.text, re.MULTILINE)
    assert "no raw values" in plain.findings[-1].message and re.search(r"^-  path$", plain.text, re.MULTILINE)
    full = import_("mseg", [table, names], Options(column="town-4"))
    assert errors(full.text) == []
    assert re.search(r"^0  lane$", full.text, re.MULTILINE) and re.search(r"^road +< road$", full.text, re.MULTILINE)
    assert re.search(r"^ego_vehicle +-> void$", full.text, re.MULTILINE)
    said = {(Path(f.place[0]).name, *f.place[1:], f.kind, f.help) for f in full.findings}
    assert ("MSeg_master.tsv", 3, 6, "dangling", "did you mean `pavment`?") in said
    assert {s[:4] for s in said} >= {
        ("town-4_names.txt", 3, 1, "unmentioned"),
        ("town-4_names.txt", 5, 1, "unmentioned"),
    }
    assert "`pavement` is no class of town-4_names.txt" in full.text


def test_mseg_errors(tmp_path: Path) -> None:
    table = tmp_path / "m.tsv"
    table.write_text(MSEG)
    for options, message in (
        ([], "which dataset? add `--column` with one of `town-4`, `other-2`"),
        (["--column", "twon-4"], "no column `twon-4`; did you mean `town-4`?"),
    ):
        result = run("import", "--from", "mseg", table, *options)
        assert result.exit_code == 1 and message in result.stderr
    table.write_text(MSEG.replace("{road, lane}", "{road, lane"))
    assert ":2:6: `{road, lane` has one brace" in run("import", "--from", "mseg", table, "--column", "town-4").stderr


# --- mmseg -------------------------------------------------------------------------------------------------

MODULE = """\
import torch_that_is_not_there
class TownDataset(Base):
    METAINFO = dict(classes=('road', 'big car'), palette=[[128, 64, 128], [0, 0, 142]])
    def __init__(self, suffix='.png', reduce_zero_label=True, **kwargs): ...
class Other:
    METAINFO = {'classes': names(), 'palette': []}
"""


def test_mmseg_reads_the_source_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "townpack" / "sets"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "town.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    by_module = import_("mmseg", ["townpack.sets.town:TownDataset"])
    assert by_module.text == import_("mmseg", [f"{package / 'town.py'}:TownDataset"]).text
    assert errors(by_module.text) == [] and by_module.text.startswith("tax 1\ndataset town v1\n")
    assert '2  big_car "big car"  #00008e' in by_module.text and "void:     0" in by_module.text
    assert "plus 1" in by_module.findings[0].message
    source = import_("mmseg", ["townpack.sets.town:TownDataset"], Options(kind="source"))
    assert errors(source.text) == [] and "\n0  road" in source.text
    for given, message in (
        ("townpack.sets.town:TownDatset", "did you mean `TownDataset`"),
        ("townpack.sets.town:Other", ":6:28: `classes` is computed"),
        ("townpack.sets.town", "which class?"),
        ("townpack.twon:X", "`townpack` has no module"),
        ("no_such_pack.x:X", "no module `no_such_pack`"),
        (f"{tmp_path}/twon.py:X", "cannot read"),
    ):
        result = run("import", "--from", "mmseg", given)
        assert result.exit_code == 1 and message in result.stderr, result.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"classes": ["road"],', ":1:22: not JSON"),
        ("[]", "no `classes` here"),
        ('{"classes": []}', "not a list of names"),
        ('{"classes": ["a"], "palette": [[0, 0, 300]]}', "not a list of `[r, g, b]`"),
        ('{"classes": ["a"], "palette": [[0, 0, 0], [1, 1, 1]]}', "1 classes and 2 colours"),
    ],
)
def test_mmseg_json_errors(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "m.json").write_text(text)
    result = run("import", "--from", "mmseg", tmp_path / "m.json")
    assert result.exit_code == 1 and message in result.stderr


def test_mmseg_json_round_trip(tmp_path: Path) -> None:
    o = Library().ontology("demo")
    classes = [c.name for c in o.source.classes]
    (tmp_path / "m.json").write_text(json.dumps({"classes": classes, "palette": [c.rgb for c in o.source.classes]}))
    imported = import_("mmseg", [tmp_path / "m.json"], Options(kind="source", name="again"))
    (tmp_path / "m.tax").write_text(imported.text)
    again = lsu_onto.load("again", paths=[tmp_path])
    assert again.source_classes == tuple(classes)
    assert (again.source_palette == lsu_onto.load("demo").source_palette).all()


# --- anything ----------------------------------------------------------------------------------------------

BITS = [
    '"',
    ",",
    "\n",
    "\r",
    "\t",
    "{",
    "}",
    "²",
    "-1",
    "255",
    "void",
    "any",
    "#",
    "# ",
    "allow: TAX301",
    "=",
    "é",
    "\0",
    "  ",
    "\u2028",
    "\x0b",
    "[",
    "]",
    "99999999999",
    "tax",
    "v1",
    "\\",
    ";",
    "..",
]


@pytest.mark.parametrize("seed", range(5))
def test_mutated_files_are_imported_or_refused(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)

    def mutate(text: str, name: str) -> Path:
        for _ in range(chance.randint(1, 6)):
            i = chance.randrange(len(text) + 1)
            if chance.random() < 0.6:
                text = text[:i] + chance.choice(BITS) + text[i:]
            else:
                text = text[:i] + text[i + chance.randint(1, 9) :]
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    made = 0
    for _ in range(40):
        for format_, options, given in (
            ("csv", Options(), [(LIST, "a.csv")]),
            ("csv", Options(kind="source"), [(LIST, "a.csv")]),
            (
                "data-priors",
                Options(name="town"),
                [(LABELS, "labels.csv"), (MASTER, "master_labels_city.csv")],
            ),
            ("mseg", Options(column="town-4"), [(MSEG, "m.tsv")]),
            ("mmseg", Options(), [(MODULE, "m.py")]),
        ):
            files: list[str | Path] = [mutate(text, name) for text, name in given]
            try:
                imported = import_(format_, files if format_ != "mmseg" else [f"{files[0]}:TownDataset"], options)
            except ExchangeError:
                continue
            made += 1
            # What comes out can be read; ids and colours may be wrong, as the file said them.
            assert not [e for e in errors(imported.text) if not e.startswith(("TAX103", "TAX107"))], imported.text
    assert made > 50
