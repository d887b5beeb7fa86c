"""The rows of a first map from names alone, and the map of them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lsu_onto
from lsu_onto import NameOdds, by_name, suggest_map, suggest_rows
from lsu_onto.ontology.model import TaxClass
from lsu_onto.starter.by_name import PRIOR, PRIOR_VOID
from lsu_onto.starter.spelling import meaningful, spellings

SOURCE = ("road", "grass", "tree", "car", "sky")
ROWS = ("way", "green", "cars", "sky", "rest", "noise")

NEAR = """\
tax 1
source near v1
[ground]
0 road
1 high_grass
[vehicle]
2 truck
3 motorcycle
[object]
4 pole
5 trash_can
6 person
7 rider
"""


@pytest.fixture
def nameless() -> NameOdds:
    """Names that say nothing."""
    odds = np.full((len(ROWS), len(SOURCE) + 1), -3.0)
    return NameOdds("it v1", "that v1", ROWS, SOURCE, odds, tuple({} for _ in ROWS), np.full(len(ROWS), -1))


def relations(folder: Path, classes: str, others: str = "") -> dict[str, str]:
    """The suggested relations of a dataset's classes to `near`."""
    (folder / "near.tax").write_text(NEAR + others)
    lines = "\n".join(f"{i} {line}" if line[0] != "[" else line for i, line in enumerate(classes.split("\n")))
    (folder / "my.tax").write_text(f"tax 1\ndataset my v1\n{lines}\n")
    suggested = suggest_map(folder / "my.tax", "near", [folder])
    return dict(zip(suggested.names.classes, suggested.made.relations, strict=True))


def test_rows(nameless: NameOdds) -> None:
    odds = nameless.odds.copy()
    odds[0, 0] = 4
    odds[1, 1:3] = 2
    odds[2, 3] = 0.2  # too little to be sure
    odds[2, 4] = -2.5  # something speaks for it
    odds[2, 5] = -2.9
    odds[4, 5] = 3
    made = suggest_rows(replace(nameless, odds=odds))
    assert [s.op for s in made] == ["<", ">", "~", "->", "->", "->"]
    assert [s.channels for s in made[:3]] == [(0,), (1, 2), (3, 4, 5)]
    assert made[4].channels == (5,) and len(made[3].channels) == len(made[5].channels) == 6
    assert [s.state for s in made] == ["certain", "certain", "widened", "unknown", "certain", "unknown"]
    assert made[3].certainty == 0
    pictures = np.zeros_like(odds)
    pictures[3, 4] = 9
    assert suggest_rows(replace(nameless, odds=odds), pictures)[3].channels == (4,)


def test_names_and_groups(tmp_path: Path) -> None:
    made = relations(
        tmp_path,
        "lorry\nMotorbikes\ngrass_high\nmisc_poles\nrubbish_bin\npavement"
        '\na "construction--flat--road"\nirontruck\ntruck_motorcycle\ntruck_wash'
        "\n[vehicles.heavy]\nbulldozer\n[thing]\nthingy",
    )
    assert made == {
        "lorry": "< truck",
        "Motorbikes": "< motorcycle",
        "grass_high": "< high_grass",
        "misc_poles": "< pole",
        "rubbish_bin": "~ trash_can void",  # other maps say that bins are void
        "pavement": "-> any",
        "a": "< road",
        "irontruck": "~ truck void",
        "truck_motorcycle": "~ truck motorcycle void",
        "truck_wash": "-> any",  # which says what it is for
        "bulldozer": "~ truck motorcycle void",
        "thingy": "-> any",
    }


def test_names_without_latin_letters_are_not_alike(tmp_path: Path) -> None:
    others = 'dataset other v1 -> near v1\n1 class_1 "道路" < road\n2 class_2 "空" < truck\n'
    made = relations(tmp_path, 'class_2 "道路"\nclass_5 "木"\ntruck_1\ntruck_2', others)
    assert made["class_2"] == "< road"  # by its label; the name says nothing
    assert made["class_5"] == "-> any"
    assert made["truck_1"] == made["truck_2"] == "< truck"


def test_a_map_counts_less_where_it_has_another_row_for_the_class(tmp_path: Path) -> None:
    """Whether riders are persons depends on whether the dataset has riders."""
    with_riders = "dataset a v1 -> near v1\n0 person < person\n1 rider < rider\n"
    without = "".join(f"dataset b{i} v1 -> near v1\n0 person ~ person rider\n" for i in range(2))
    assert relations(tmp_path, "person", with_riders + without)["person"] == "~ person rider"
    assert relations(tmp_path, "person\nrider", with_riders + without)["person"] == "= person"


def test_a_map_to_another_source_says_something_of_this_one(tmp_path: Path) -> None:
    others = (
        "source far v1\n0 machine\n1 ground\n"
        "dataset far_dataset v1 -> near v1\n0 machine ~ truck motorcycle\n"
        "dataset a v1 -> far v1\n0 excavator < machine\n1 kiosk ! any\n"
    )
    made = relations(tmp_path, "excavator\nkiosk", others)
    assert set(made["excavator"].split()) >= {"truck", "motorcycle"} and len(made["excavator"].split()) < 5
    assert "truck" not in made["kiosk"] and "void" in made["kiosk"]


def test_a_map_to_another_source_of_the_same_name_is_by_way_of_that(tmp_path: Path) -> None:
    """Its rows are not about the channels of this one."""
    mine, others = tmp_path / "mine", tmp_path / "others"
    mine.mkdir()
    others.mkdir()
    other = "source near v1\n0 truck\n1 road\ndataset a v1 -> near v1\n0 digger < truck\n1 lane < road\n"
    (others / "near.tax").write_text(f"tax 1\n{other}")
    (mine / "near.tax").write_text(NEAR)
    (mine / "my.tax").write_text("tax 1\ndataset my v1\n0 digger\n1 lane\n")
    suggested = suggest_map(mine / "my.tax", "near", [mine, others])
    assert suggested.made.relations == ("< truck", "< road")


def test_void_in_another_source_is_weak_evidence(tmp_path: Path) -> None:
    """What has no class there may have one here, unless that class is in both."""
    far = "source far v1\n0 truck\n1 post\ndataset b v1 -> near v1\n0 post ~ pole trash_can\n"
    odds: dict[str, list[float]] = {}
    for name in ("far", "near"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "near.tax").write_text(f"{NEAR}{far}dataset a v1 -> {name} v1\n0 kiosk ! any\n")
        (folder / "my.tax").write_text("tax 1\ndataset my v1\n0 kiosk\n")
        odds[name] = by_name(folder / "my.tax", "near", [folder]).odds[0].tolist()
    truck, pole, void = 2, 4, 8
    assert 0 < odds["far"][void] - PRIOR_VOID < (odds["near"][void] - PRIOR_VOID) / 3
    assert odds["near"][truck] < odds["far"][truck] < odds["far"][pole] == PRIOR


def test_the_maps_of_the_demo_say_nothing_of_other_datasets(tmp_path: Path) -> None:
    (tmp_path / "my.tax").write_text("tax 1\ndataset my v1\n0 furniture\n1 vulnerable\n")  # as in the demo's town
    about = suggest_map(tmp_path / "my.tax", "cityscapes").suggestions
    assert [s.reasons for s in about] == [(), ()]
    assert "demo_town" in str([s.reasons for s in suggest_map(tmp_path / "my.tax", "demo").suggestions])


def test_the_file_and_what_is_said_of_it(tmp_path: Path) -> None:
    (tmp_path / "near.tax").write_text(NEAR)
    (tmp_path / "my.tax").write_text("tax 1\ndataset my v1\n0 road\n1 blob\n2 pole\n")
    suggested = suggest_map(tmp_path / "my.tax", "near", [tmp_path])
    file = tmp_path / suggested.made.file
    file.write_text(suggested.made.text)
    assert file.name == "my-near.tax"
    assert lsu_onto.load(file).allowed.sum(1).tolist() == [1, 9, 1]
    assert re.search(
        r"# conf: 0\.9\d; how: LexicalMatching; pole: the same name, as in the maps of", suggested.made.text
    )
    assert "blob  -> any  # TODO: too little is known" in suggested.made.text
    head, first, *_ = suggested.as_text().splitlines()
    assert head == "my v1 -> near v1: 2 rows certain, 0 widened, 1 unknown"
    assert first.split() == ["-", "blob", "->", "any", "nothing", "is", "known"]
    document = json.loads(suggested.as_json("x.tax", [{"images": i} for i in range(3)]))
    assert document["classes"][1] == {
        "class": "blob",
        "relation": "-> any",
        "allowed": ["road", "high_grass", "truck", "motorcycle", "pole", "trash_can", "person", "rider", "void"],
        "certainty": 0.0,
        "state": "unknown",
        "reasons": [],
        "images": 1,
    }
    assert suggested.made.next_step("my map.tax", "my") == "lsu-onto validate 'my map.tax'"


def test_words() -> None:
    assert [meaningful(n) for n in ("Parked-Cars", "bushes", "grass", "others", "道路")] == [
        ["parked", "car"],
        ["bush"],
        ["grass"],
        ["other"],
        [],
    ]
    c = TaxClass(
        name="x",
        official="nature--sky",
        ids=(),
        colours=(),
        aliases=("Blue Sky",),
        group="",
        note="",
        span=None,
        end=0,  # type: ignore[arg-type]
    )
    assert list(spellings(c)) == ["x", "naturesky", "bluesky", "sky", "blue sky"]
