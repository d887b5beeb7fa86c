"""Class lists of annotation tools and datasets as JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from helpers.class_lists import COCO, CVAT, MAPILLARY, SUPERVISELY
from helpers.exchange import errors, run
from lsu_onto.constraint.matrices import compile_alone
from lsu_onto.exchange import ExchangeError, Imported, Options, from_json, import_
from lsu_onto.library.library import Library


def imported(folder: Path, document: Any, **options: str) -> Imported:
    file = folder / "meta.json"
    file.write_text(json.dumps(document, indent=1), encoding="utf-8")
    found = import_("json", [file], Options(name="x", **options))  # type: ignore[arg-type]
    assert errors(found.text) == []
    return found


def classes(found: Imported) -> list[str]:
    return [" ".join(line.split()) for line in found.text.splitlines() if re.match(r"[\d-]|\[", line)]


def test_mapillary_counts_places(tmp_path: Path) -> None:
    found = imported(tmp_path, MAPILLARY)
    assert "encoding: id\n" in found.text
    assert classes(found) == [
        "[animal]",
        '0 bird "animal--bird" #a52a2a',
        "[object]",
        '1 object_front "object--front" #010203',
        "[sign]",
        '2 sign_front "sign--front" #040506',
        "[void_class]",
        '3 unlabeled "void--unlabeled" #000000',
    ]
    assert "not used: `instances`, `readable`, `evaluate`" in [f.message for f in found.findings]


def test_the_ids_of_tools_are_no_raw_values(tmp_path: Path) -> None:
    found = imported(tmp_path, SUPERVISELY)
    assert classes(found) == ["0 lemon #51c6aa", '1 big_kiwi "big kiwi" #ff0000']
    assert "encoding: rgb  # a guess: the list has colours and no ids" in found.text
    messages = [f.message for f in found.findings]
    assert "the `id` of a class is Supervisely's own number, and no raw value: not used" in messages
    assert messages[-1] == "not used: `shape`"

    found = imported(tmp_path, CVAT)
    assert classes(found) == ["0 road #804080", '1 traffic_light "traffic light" #faaa1e']
    messages = [f.message for f in found.findings]
    assert messages[:2] == [
        "the `id` of a class is CVAT's own number, and no raw value: not used",
        "in CVAT's masks, pixels without a label are black, which is not a class here",
    ]
    black = imported(tmp_path, CVAT, void="#000000")
    assert "void:     #000000\n" in black.text
    assert classes(imported(tmp_path, {"count": 2, "results": CVAT})) == classes(found)
    no_colours = imported(tmp_path, [{k: v for k, v in c.items() if k != "color"} for c in CVAT])
    assert "warning" in {f.severity for f in no_colours.findings}  # the raw values are a guess
    source = imported(tmp_path, CVAT, kind="source")
    assert classes(source) == classes(found) and "encoding" not in source.text


def test_coco_has_its_category_ids(tmp_path: Path) -> None:
    expected = ["[person]", "1 person #dc143c", "[outdoor]", '10 traffic_light "traffic light" #faaa1e']
    for document in (COCO, COCO["categories"]):
        panoptic = imported(tmp_path, document)
        assert classes(panoptic) == expected
        assert "encoding: panoptic-rgb\nsegments: annotations/panoptic_{split}2017.json  # a guess" in panoptic.text
    flat = imported(tmp_path, COCO, encoding="id")
    assert classes(flat) == expected and "segments" not in flat.text
    things = [{k: c[k] for k in ("supercategory", "id", "name")} for c in COCO["categories"]]
    plain = imported(tmp_path, things)
    assert "encoding: id\n" in plain.text and "`id` minus 1" not in plain.text
    assert [f.message for f in plain.findings] == ["raw values are COCO's category ids"]
    notes = {"categories": [{"id": 0, "name": "Car"}], "info": {"contributor": "Label Studio"}}
    assert classes(imported(tmp_path, notes)) == ["0 Car"]


def test_of_a_large_file_only_the_categories_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(from_json, "_LARGE", 100)
    expected = classes(imported(tmp_path, COCO))
    file = tmp_path / "meta.json"
    file.write_text(file.read_text().removesuffix("}") + ', "broken')  # what follows is not even looked at
    assert classes(import_("json", [file], Options(name="x"))) == expected


def test_nuscenes_has_names_or_indices(tmp_path: Path) -> None:
    tables = [
        {"token": "1f", "name": "human.pedestrian.adult", "description": "Adult subcategory."},
        {"token": "2f", "name": "animal", "description": ""},
    ]
    named = imported(tmp_path, tables)
    assert "encoding: rle\nsegments: v1.0-{split}  # a guess: the tables of nuImages" in named.text
    expected = ['adult "human.pedestrian.adult" # Adult subcategory.', "[ungrouped]", "animal"]
    assert classes(named) == ["[human.pedestrian]", f"0 {expected[0]}", expected[1], f"1 {expected[2]}"]
    lidar = imported(tmp_path, [{**t, "index": 3 - i} for i, t in enumerate(tables)])
    assert classes(lidar) == ["[human.pedestrian]", f"3 {expected[0]}", expected[1], f"2 {expected[2]}"]
    assert "encoding: id\n" in lidar.text
    (tmp_path / "x.tax").write_text(named.text)
    names = compile_alone(Library().alone(tmp_path / "x.tax")).raw_names
    assert set(names) == {"human.pedestrian.adult", "adult", "animal"}


def test_labels_that_no_file_can_hold_are_written_as_near_as_can_be(tmp_path: Path) -> None:
    (file := tmp_path / "a.json").write_text(json.dumps({"id2label": {"0": "a\0b", "1": 'say "c"'}}))
    text = import_("json", [str(file)], Options()).text
    assert '0  a_b "a b"\n1  say_c "say \'c\'"  # spelt `say "c"`\n' in text
    (made := tmp_path / "made.tax").write_text(text)
    assert not Library().check(made).errors


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ([{"png_index": 1, "class_name": "bed", "color": "#4df3ce", "class_type": "object"}], ["1 bed #4df3ce"]),
        ({"0": "wall", "12": "sky"}, ["0 wall", "12 sky"]),
        ({"model_type": "segformer", "id2label": {"0": "wall"}, "label2id": {"wall": 0}}, ["0 wall"]),
        ({"road": 7, "sky": 23}, ["7 road", "23 sky"]),
        ({"road": [128, 64, 128]}, ["0 road #804080"]),
        ({"#804080": "road", "#ff0000": "car 1"}, ["0 road #804080", '1 car_1 "car 1" #ff0000']),  # A2D2
        ({"labels": [{"name": "road", "id": 7, "trainId": 0}]}, ["7 road"]),
        (["road", "big car"], ["0 road", '1 big_car "big car"']),
    ],
)
def test_other_lists_are_tables(tmp_path: Path, document: Any, expected: list[str]) -> None:
    assert classes(imported(tmp_path, document)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"name": "a"},', ":1:16: not JSON"),
        ("[]", "no list of classes here; expected a list of objects with a `name`"),
        ('{"a": {"b": 1}}', "no list of classes here"),
        ("[{}]", "no list of classes here"),
        ('{"0": 1, "1": 2}', "no list of classes here"),  # a mapping of numbers
        ("[1, 2]", "no list of classes here"),
        ('["a", "b\\ud800"]', "`\\ud800` is half a character"),
        ("7", "no list of classes here"),
        ("[" * 9999, "nested too deeply"),
        ('{"classes":' * 1500 + '["a"]' + "}" * 1500, "nested too deeply"),  # which Python 3.12 and newer do parse
        ('[{"name": "a", "id": ' + "9" * 5000 + "}]", "not a class list"),
        ('{"' + "9" * 5000 + '": "road", "1": "car"}', "no list of classes here"),
        ('[{"nam": "road"}]', "no column `name`; found `nam`"),
        ('[{"id": 0, "name": "a"},\n {"id": "x", "name": "b"}]', ":2:22: `x` is not an id"),
        ('[{"id": 0, "name": ""}]', ":1:1: this row has no name"),
        ('{"format": "lsu-onto ontology", "dataset": {}}', "`export --to csv` writes what `import --from csv` reads"),
    ],
)
def test_mistakes_have_a_place(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "m.json").write_text(text)
    result = run("import", "--from", "json", tmp_path / "m.json")
    assert result.exit_code == 1 and message in result.stderr, result.stderr


def test_what_export_wrote_is_refused_with_the_way_back(tmp_path: Path) -> None:
    run("export", "demo_town", "--to", "json", "-o", tmp_path / "town.json")
    with pytest.raises(ExchangeError, match="`export --to csv` writes what"):
        import_("json", [tmp_path / "town.json"])
