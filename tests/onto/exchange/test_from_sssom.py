"""Mapping sets in SSSOM as maps: our own, sssom-py's, and those of others."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

import lsu_onto
from lsu_onto.exchange import ExchangeError, Options, export, import_
from lsu_onto.library.library import Library

SOURCE = """\
tax 1
source mini v1
0 road
1 grass
2 traffic_light "traffic light"
3 car
4 truck
"""
DATASET = "dataset town v1\n1 way\n2 green\n3 lights\n4 vehicle\n5 cow\n6 blur\n"
MAP = """\
map town v1 -> mini v1
way      = road    # by: Ada, orcid:0000-0001-2345-6789; conf: 0.75; with its kerbs
green    ~ grass truck void  # how: LexicalMatching
lights   < "traffic light"
vehicle  > car ~ truck void  # parked or not; "quoted"
cow      ! any  # conf: 1
blur     -> any ! car
"""
HEAD = "#curie_map:\n#  a: http://a.org/\n#  b: http://b.org/x#\n#license: https://x.org\n#comment: wrapped\n#  text\n"
COLUMNS = "subject_id\tsubject_label\tpredicate_id\tobject_id\tobject_label\tmapping_justification"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mini.tax").write_text(SOURCE)
    (tmp_path / "town.tax").write_text(f"tax 1\n{DATASET}")
    return tmp_path


def imported(folder: Path, text: str, **options: str) -> tuple[str, list[str]]:
    """The text and what was found."""
    file = folder / "set.sssom.tsv"
    file.write_text(text)
    given = {"source": "mini", **options}
    result = import_("sssom", [str(file)], Options(search=(str(folder),), **given))  # type: ignore[arg-type]
    assert not Library([folder]).check(folder / "made.tax", result.text).errors
    return result.text, [f.message for f in result.findings]


def table(*rows: str) -> str:
    return "\n".join([HEAD + COLUMNS, *(row.replace("|", "\t") for row in rows)]) + "\n"


def exported(folder: Path, text: str = MAP) -> str:
    (folder / "map.tax").write_text(f"tax 1\n{text}")
    out = export(Library([folder]).ontology("town", "mini"), "sssom")
    (folder / "map.tax").unlink()
    return out


def test_the_columns_say_who_how_sure_and_how(folder: Path) -> None:
    text = exported(folder)
    assert '#   orcid: "https://orcid.org/"' in text and '# other: "decisions: blur -> any ! car"' in text
    body = "".join(line + "\n" for line in text.splitlines() if line[0] != "#")
    rows = [*csv.DictReader(io.StringIO(body), delimiter="\t")]
    by_class = {row["subject_id"].partition(":")[2]: row for row in rows}
    way, green, cow = (by_class[name] for name in ("way", "green", "cow"))
    assert (way["author_id"], way["author_label"], way["confidence"]) == ("orcid:0000-0001-2345-6789", "Ada", "0.75")
    assert (way["comment"], way["mapping_justification"]) == ("with its kerbs", "semapv:ManualMappingCuration")
    assert (green["mapping_justification"], green["other"]) == ("semapv:LexicalMatching", "void: ~")
    assert (cow["confidence"], cow["comment"]) == ("1", "")


def test_out_and_in_again(folder: Path) -> None:
    text, findings = imported(folder, exported(folder), source="")
    assert findings == []
    assert text == (
        "tax 1\n"
        "map town v1 -> mini v1\n\n"
        "way      = road              # by: orcid:0000-0001-2345-6789, Ada; conf: 0.75; with its kerbs\n"
        "green    ~ grass truck void  # how: LexicalMatching\n"
        "lights   < traffic_light\n"
        "vehicle  > car\n"
        '         ~ truck void        # parked or not; "quoted"\n'
        "cow      ! any               # conf: 1\n"
        "blur     -> any ! car\n"
    )


SHIPPED = [e for e in Library().entries() if e.source]


@pytest.mark.parametrize("entry", SHIPPED[:: max(1, len(SHIPPED) // 9)], ids=lambda e: f"{e.name}-{e.source}")
def test_a_shipped_map_comes_back(entry: lsu_onto.Entry, tmp_path: Path) -> None:
    comes_back(entry, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("entry", SHIPPED, ids=lambda e: f"{e.name}-{e.version}-{e.source}")
def test_every_shipped_map_comes_back(entry: lsu_onto.Entry, tmp_path: Path) -> None:
    comes_back(entry, tmp_path)


def comes_back(entry: lsu_onto.Entry, tmp_path: Path) -> None:
    name = f"{entry.name} {entry.version}"
    file = tmp_path / "set.tsv"
    file.write_text(export(Library().ontology(name, entry.source), "sssom"))
    text = import_("sssom", [str(file)]).text
    (tmp_path / "map.tax").write_text(text)
    before, after = lsu_onto.load(name, entry.source), lsu_onto.load(tmp_path / "map.tax", entry.source)
    assert replace(after, sha256=before.sha256) == before


def test_both_ways_round(folder: Path) -> None:
    """The source may be the subject; then what is broad is narrow."""
    rows = ("a:way|way|{0}|b:road|road|x", "a:vehicle||{1}|b:car||x", "a:vehicle||{1}|b:truck||x")
    forth = table(*(r.format("skos:broadMatch", "skos:narrowMatch") for r in rows))
    back = [r.format("skos:narrowMatch", "skos:broadMatch").split("|") for r in rows]
    back_text = table(*("|".join([*r[3:5], r[2], *r[:2], r[5]]) for r in back))
    one, other = (imported(folder, text)[0] for text in (forth, back_text))
    assert one == other and "way      < road" in one and "vehicle  > car truck" in one


def test_a_class_with_and_without_a_match_is_warned_of(folder: Path) -> None:
    none = "a:way||skos:exactMatch|sssom:NoTermFound||"
    text, findings = imported(folder, table(none, "a:way||skos:broadMatch|b:xroad|road|"), name="other")
    assert "way  < road" in text and any("nothing matches `way`, and others say what does" in f for f in findings)
    text, findings = imported(folder, table(none, "a:lawn||skos:broadMatch|b:xgrass|grass|"), name="other")
    assert "! any" in text and not any("nothing matches" in f for f in findings)


def test_a_small_confidence_is_written_as_a_note_has_it(folder: Path) -> None:
    row = "a:way\t\tskos:exactMatch\tb:xroad\troad\tsemapv:ManualMappingCuration\t2e-05"
    text, findings = imported(folder, f"{HEAD}{COLUMNS}\tconfidence\n{row}\n", name="other")
    assert "# conf: 0.00002" in text and not any("confidence" in f for f in findings)


def test_others_files(folder: Path) -> None:
    """Labels without ids, whole addresses, commas, several files' worth of authors, and a dataset that nobody has."""
    text, findings = imported(
        folder,
        "subject_label,predicate_id,object_id,mapping_justification,confidence,author_label,predicate_modifier\n"
        "My Street,http://www.w3.org/2004/02/skos/core#broadMatch,http://x.org/onto#road,semapv:MappingReview,0.9,Ada|Bob,\n"
        "My Street,skos:broadMatch,x:car,semapv:MappingReview,0.5,Ada,\n"
        "Tree,skos:exactMatch,sssom:NoTermFound,guess,1.5,,\n"
        "Tree,skos:exactMatch,x:grass,,,,Not\n",
        name="mytown",
    )
    assert "dataset mytown v1 -> mini v1" in text
    assert '-  my_street "My Street"  ~ road car  # by: Ada, Bob; conf: 0.5; how: MappingReview' in text
    assert "-  Tree                   ! any       # how: UnspecifiedMatching" in text
    assert any("cannot be `< road`, `< car` at once" in f for f in findings)
    assert any("`1.5` is no confidence of `Tree`" in f for f in findings)
    assert any("`guess` is no term" in f for f in findings)
    assert any("`Not skos:exactMatch` leaves open" in f for f in findings)
    assert any("the raw values are not in a mapping set" in f for f in findings)


def test_what_is_not_mentioned_is_said(folder: Path) -> None:
    text, findings = imported(
        folder,
        table("town:way||skos:exactMatch|x:road||", "town:cow||skos:exactMatch|sssom:NoTermFound||"),
    )
    assert "green    -> any  # TODO: the mapping set does not mention it" in text and "cow      ! any" in text
    assert findings[0] == "no mapping is of `green`"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["way|closeMatch|road"], r":8:11: `skos:closeMatch` does not say how pixels relate; .*decide which"),
        (["way|isCool|road"], "`skos:isCool` does not say .*; expected one of skos:exactMatch, skos:broadMatch"),
        (["way|exactMatch|rod"], "neither `way` nor `rod`, nor any other of its classes, is one of `mini v1`"),
        (
            ["way|exactMatch|road", "green|exactMatch|gras"],
            ":9:.*`gras` is not a class of `mini v1`; did you mean `grass`",
        ),
        (["wya|exactMatch|road"], "`wya` is not a class of `town v1`; did you mean `way`"),
        (["way|exactMatch|road", "way|broadMatch|road"], "relates `way` and `road` by `=`, this one by `<`"),
        (["|exactMatch|road"], "the mapping has no subject"),
    ],
)
def test_what_is_refused(rows: list[str], message: str, folder: Path) -> None:
    cells = [row.split("|") for row in rows]
    with pytest.raises(ExchangeError, match=message):
        imported(folder, table(*(f"{s and 'town:'}{s}||skos:{p}|x:{o}||" for s, p, o in cells)))


def test_a_column_that_is_there_twice(folder: Path) -> None:
    text = table("a:way|way|skos:exactMatch|b:road|road|semapv:MappingReview").replace("\tobject_id", "\tsubject_id")
    with pytest.raises(ExchangeError, match=r":7:39: there are two columns `subject_id`; take one out"):
        imported(folder, text)


def test_what_is_no_mapping_set(folder: Path) -> None:
    for text, message in [
        ("id\tname\n1\troad\n", "is a table, which `lsu-onto import --from csv"),
        ("subject_id\tpredicate_id\n", "no column `object_id`"),
        ("subject_id\tpredicate_id\tobject_id\n", "there are no mappings"),
        ("# curie_map: x\nsubject_id\tpredicate_id\tobject_id\n", "`curie_map` is `x`; expected prefixes below it"),
        ("# a: [\n# b\nsubject_id\tpredicate_id\tobject_id\n", ":2:1: the header is not YAML"),
        ("# just words\nsubject_id\tpredicate_id\tobject_id\n", "the header is not a list of keys"),
        (table("town:way||skos:exactMatch|x:road||"), "name it with --source"),
    ]:
        with pytest.raises(ExchangeError, match=message):
            imported(folder, text, source="")
    (folder / "m.tsv").write_text(table("town:way||skos:exactMatch|x:road||"))
    with pytest.raises(ExchangeError, match="is a mapping set in SSSOM, which `lsu-onto import --from sssom"):
        import_("json", [str(folder / "m.tsv")])


def test_a_title_is_one_line_without_a_note(folder: Path) -> None:
    text = '#mapping_set_title: "a\\nencoding: rgb # b\\0c"\n' + table("a:way||skos:exactMatch|mini:road||")
    made, _ = imported(folder, text, name="yard")
    assert "\ntitle: a encoding: rgb b c\n" in made


@pytest.mark.parametrize(
    "written",
    ["mapping_date: 2024-02-30", "x: !!bool foo", "x: !!timestamp q", "x: " + "[" * 5000, "x: " + "1:" * 200 + "1.5"],
)
def test_values_of_the_header_that_yaml_cannot_read(written: str, tmp_path: Path) -> None:
    file = tmp_path / "d.tsv"
    file.write_text(f"# {written}\nsubject_id\tpredicate_id\tobject_id\nrugd:tree\tskos:exactMatch\toffroad:tree\n")
    with pytest.raises(ExchangeError, match=r"d\.tsv:1:1: the header has a value that YAML cannot read"):
        import_("sssom", [str(file)], Options(source="offroad"))
