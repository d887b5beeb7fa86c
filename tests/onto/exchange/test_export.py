"""Out: what goes out holds every fact."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from pathlib import Path

import pytest

import lsu_onto
from helpers.exchange import exported, run
from lsu_onto.exchange import EXPORTS, export
from lsu_onto.library.library import Library


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


@pytest.mark.parametrize("encoding", ["polygons", "rle"])
def test_mmseg_has_names_for_keys_where_labels_are_names(rich: Path, encoding: str) -> None:
    segments = "segments: tables\n" if encoding == "rle" else ""
    rich.write_text(
        f"tax 1\ndataset field v2 -> demo v1\nencoding: {encoding}\n{segments}background: rest\n"
        '7 path "foot path" aka way < sidewalk\n3 skys "sky\'s" = sky\n1 rest ~ road void\n- tram < road\n'
    )
    text = exported(rich, "mmseg")
    space: dict[str, object] = {}
    exec(text, space)
    assert "label_map" not in space
    assert space["name_map"] == {"foot path": 1, "path": 1, "way": 1, "sky's": 4, "skys": 4}
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert "# Pixels on which nothing is drawn are of the class `rest`." in comments
    assert comments[comments.index("# Not drawn, as in the dataset's own tools.") + 1] == "#   'tram'"
    assert comments[-1] == "#   'rest': rest: road, void"


@pytest.mark.parametrize(
    ("encoding", "key", "comment"),
    [
        ("id", 7, "raw values"),
        ("id16", 7, "raw values"),
        ("id16/256", 7, "stored values // 256"),
        ("instance-ids", 7, "stored values, or stored values // 1000 from 1000"),
        ("rgb", 0x010203, "colours, R<<16 | G<<8 | B"),
    ],
)
def test_mmseg_has_a_label_map_only_where_it_fits_the_stored_values(
    rich: Path, encoding: str, key: int, comment: str
) -> None:
    rich.write_text(f"tax 1\ndataset field v2 -> demo v1\nencoding: {encoding}\n7 path #010203 < sidewalk\n")
    text = exported(rich, "mmseg")
    space: dict[str, object] = {}
    exec(text, space)
    fits = encoding == "id"
    assert space["label_map" if fits else "raw_map"] == {key: 1} and ("label_map" in space) == fits
    assert f"# Keys are {comment}. Only" in text


@pytest.mark.parametrize("name", ["nuimages", "idd"])
def test_mmseg_of_a_shipped_dataset_has_the_names_that_its_files_hold(name: str) -> None:
    ontology = Library().ontology(name, "cityscapes")
    space: dict[str, dict[str, int]] = {}
    exec(export(ontology, "mmseg"), space)
    labels = {n for c in ontology.dataset.classes for n in (c.name, c.official, *c.aliases)}
    constraint = lsu_onto.load(name, source="cityscapes")
    assert space["name_map"] and set(space["name_map"]) <= labels
    for label, index in space["name_map"].items():
        row = int(constraint.raw_row[constraint.raw_names.index(label)])
        assert constraint.names(row) == ("void" if index == 255 else constraint.source_classes[index],)


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
    inside = run("export", rich, "--to", "csv", "-o", rich / "x.csv")
    assert inside.exit_code == 1 and "Not a directory" in inside.stderr
    before = rich.read_text()
    itself = run("export", rich, "--to", "md", "-o", rich)
    assert itself.exit_code == 2 and "is the name of a taxonomy" in itself.stderr
    assert rich.read_text() == before
