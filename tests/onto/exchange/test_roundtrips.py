"""Out and in again: what a format can hold comes back; what it cannot is said."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lsu_onto
from helpers.examples import examples
from lsu_onto.exchange import Options, export, import_
from lsu_onto.library.formatting import format_file
from lsu_onto.library.library import Library
from lsu_onto.ontology import model
from lsu_onto.ontology.words import notes, relation_text

SOURCE = """\
tax 1
source demo v1
[flat]
0 road #804080
1 sidewalk "side walk, paved" #f423e8
[vehicle]
2 car #00008e
[vehicle.large]
3 truck #000046
"""
RELATIONS = (
    "< road",
    '~ "side walk, paved" road',
    "~ @vehicle void",
    "~ @vehicle void ! car",
    "! any",
    "-> void",
    "-> any",
    "-> any ! @vehicle.large",
    "< car # it's a note; with | and , and #hash",
    "~ road\n  ~ car # second\n  ~ void",
)

label = st.text(st.sampled_from("abyz ,;:|#&'()-=/éß@[]"), min_size=1, max_size=6).filter(str.strip)
ids = st.sampled_from(["{0}", "{0},{1}", "{0}..{1}", "-"])


@st.composite
def datasets(draw: st.DrawFn) -> str:
    """A dataset with every field that a class can have, mapped to SOURCE."""
    count = draw(st.integers(1, 5))
    others = draw(st.lists(label, min_size=2 * count, max_size=2 * count, unique=True))
    lines = ["dataset field v2 -> demo v1", f"void: {draw(st.sampled_from(['255', '0,200..255']))}"]
    group = False
    for i in range(count):
        group = group or draw(st.booleans())
        if group:
            lines.append(f"[g.{'ab'[draw(st.integers(0, 1))]}]")
        official = f' "{others[2 * i]}"' if draw(st.booleans()) else ""
        colour = draw(st.sampled_from(["", f" #0102{i:02x}", f" #0102{i:02x},#0103{i:02x}"]))
        aka = f' aka alias_{i} "{others[2 * i + 1]}"' if draw(st.booleans()) else ""
        lines.append(
            draw(ids).format(10 * i + 1, 10 * i + 4)
            + f" class_{i}{official}{colour}{aka} {draw(st.sampled_from(RELATIONS))}"
        )
    return SOURCE + "\n".join(lines) + "\n"


def ontology(folder: Path, name: str, text: str) -> model.Ontology:
    (folder / name).write_text(text, encoding="utf-8")
    library = Library([folder])
    assert [str(d) for d in library.check(folder / name).errors] == []
    return library.ontology(folder / name)


def without(c: model.TaxClass, *places: str) -> dict[str, object]:
    return {f.name: getattr(c, f.name) for f in fields(c) if f.name not in places}


def facts(o: model.Ontology) -> list[object]:
    """Everything that a class says, apart from where it says it."""
    rows = {r.cls: r for r in o.rows}
    return [
        (without(c, "span", "end", "note"), relation_text(rows[i]), "; ".join(notes(o, rows[i])))
        for i, c in enumerate(o.dataset.classes)
    ]


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(datasets())
def test_csv_keeps_every_field_of_a_class(tmp_path: Path, text: str) -> None:
    first = ontology(tmp_path, "field.tax", format_file(Library(), "field.tax", text))  # references are names
    table = tmp_path / "field.csv"
    table.write_text(export(first, "csv"), encoding="utf-8")
    void = first.dataset.meta["void"]
    options = Options(name="field", version="v2", source="demo", void=void, encoding="id", search=(str(tmp_path),))
    (tmp_path / "demo.tax").write_text(SOURCE)
    imported = import_("csv", [table], options).text
    assert format_file(Library([tmp_path]), "again.tax", imported) == imported
    again = ontology(tmp_path, "again.tax", imported)
    assert facts(again) == facts(first)
    assert again.dataset.void == first.dataset.void
    assert export(again, "csv") == export(first, "csv")


def test_csv_has_the_datasets_order_and_says_what_it_does_not_hold(tmp_path: Path) -> None:
    text = SOURCE + "dataset field v1\nencoding: id16\nvoid: 0\n1 a\n2 b\nmap field v1 -> demo v1\nb < road\na < car\n"
    table = tmp_path / "field.csv"
    table.write_text(export(ontology(tmp_path, "field.tax", text), "csv"))
    (tmp_path / "demo.tax").write_text(SOURCE)
    imported = import_("csv", [table], Options(source="demo", search=(str(tmp_path),)))
    assert [line.split()[1] for line in table.read_text().replace(",", " ").splitlines()[1:]] == ["a", "b"]
    (finding,) = imported.findings
    assert (
        "does not say `encoding:` and `void:`" in finding.message
        and finding.help == "`--encoding` and `--void` add them"
    )


@settings(max_examples=examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(datasets())
def test_json_holds_every_field_of_the_model(tmp_path: Path, text: str) -> None:
    o = ontology(tmp_path, "field.tax", text)
    found = json.loads(export(o, "json"))
    for side, t in (("dataset", o.dataset), ("source", o.source)):
        assert {k: found[side][k] for k in ("name", "version", "encoding", "meta")} == {
            k: getattr(t, k) for k in ("name", "version", "encoding", "meta")
        }
        assert found[side]["void"] == list(t.void)
        for told, c in zip(found[side]["classes"], t.classes, strict=True):
            assert set(told) == {f.name for f in fields(model.TaxClass)} - {"span", "end"}
            assert told["colours"] == [f"#{x:06x}" for x in c.colours] and told["ids"] == [list(r) for r in c.ids]
            assert (told["official"], told["aliases"], told["group"]) == (
                c.official,
                list(c.aliases),
                c.group,
            )
    for told, row in zip(found["map"], o.rows, strict=True):
        assert told["text"] == relation_text(row)
        said = [[t["text"] for t in r["targets"]] for r in told["relations"]]
        assert said == [[t.text for t in r.targets] for r in row.relations]
        assert [r["note"] for r in told["relations"]] == [r.note for r in row.relations]
        assert bool(told["decision"]) == bool(row.decision)


SOURCES = {e.name: e.path for e in Library().entries() if e.kind == "source"}
"""Their files: by name, a source that is also a dataset is the dataset."""


@pytest.mark.parametrize("name", SOURCES)
def test_mmseg_metainfo_out_and_in(tmp_path: Path, name: str) -> None:
    file = tmp_path / "meta.py"
    first = Library().ontology(SOURCES[name]).source
    file.write_text(export(Library().ontology(SOURCES[name]), "mmseg"), encoding="utf-8")
    imported = import_("mmseg", [file], Options(kind="source", name="again"))
    assert imported.findings == ()
    (tmp_path / "again.tax").write_text(imported.text, encoding="utf-8")
    again = lsu_onto.load("again", paths=[tmp_path])
    assert again.source_classes == tuple(c.name for c in first.classes)
    assert [tuple(c) for c in again.source_palette.tolist()] == [c.rgb for c in first.classes]


@pytest.mark.parametrize("name", SOURCES)
def test_a_sources_csv_out_and_in(tmp_path: Path, name: str) -> None:
    first = Library().ontology(SOURCES[name]).source
    table = tmp_path / "x.csv"
    table.write_text(export(Library().ontology(SOURCES[name]), "csv"), encoding="utf-8")
    text = import_("csv", [table], Options(kind="source", name="again")).text
    (tmp_path / "again.tax").write_text(text, encoding="utf-8")
    again = Library([tmp_path]).ontology("again").source
    assert [without(c, "span", "end") for c in again.classes] == [without(c, "span", "end") for c in first.classes]
