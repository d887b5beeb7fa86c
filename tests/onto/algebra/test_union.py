"""`lsu-onto unite` on the shipped maps and from the command line: names, numbers, what is lost, and refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import lsu_onto
from lsu_onto.algebra.naming import groups_of
from lsu_onto.algebra.union import Union, unite
from lsu_onto.cli import main
from lsu_onto.library.library import Library

TOWN = """tax 1
source things v1
[vehicle]
0 car
1 bus
2 bicycle
[ground]
3 road
4 grass
dataset wheels v1 -> things v1
encoding: id
[vehicle]
1 four_wheels #000001 > car bus
2 two_wheels  #000002 = bicycle
[ground]
3 ground      #000003 > road grass
dataset sizes v1 -> things v1
encoding: id
1 small   #000004 > car bicycle
2 large   #000005 = bus
3 ground  #000003 > road grass
4 animal  #000006 ! any
5 rest    #000000 -> void
source words v1
0 one
dataset apart v1 -> words v1
encoding: id
1 one = one
dataset wrong v1 -> things v1
encoding: id
1 wheel > car bus bicycle
map wrong v1 -> words v1
wheel ! any
map wheels v1 -> words v1
four_wheels = one
two_wheels ! any
ground ! any
"""


@pytest.fixture(scope="module")
def library() -> Library:
    return Library()


@pytest.fixture(scope="module")
def roads(library: Library) -> Union:
    return unite(library, [library.alone(n) for n in ("cityscapes", "vistas v1.2")], "roads")


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("town.tax").write_text(TOWN)
    return tmp_path


def call(*args: str) -> Result:
    return CliRunner().invoke(main, ["unite", *args])


def test_two_datasets_of_streets_leave_no_question(roads: Union) -> None:
    """Each class is of one class of either, as universal taxonomies of the literature are."""
    assert len(roads.names) == len({*roads.names}) == 86
    assert not roads.questions
    assert all(len(of) <= 1 for c in range(86) for of in roads.parents(c))
    assert {"road", "road_bike_lane", "sidewalk_bike_lane", "bench", "static", "truck_trailer"} <= {*roads.names}
    own = [c.name for c in roads.members[0].taxonomy.classes[4:-1] if c.name != "polegroup"]
    first = [{"rider": "bicyclist"}.get(name, name) for name in own]  # a third of it, so called by the other
    assert list(roads.names[: len(own)]) == first, "the first dataset gives numbers and names"


def test_groups_are_those_of_the_first_dataset_where_they_have_a_name_of_its(library: Library) -> None:
    """Vistas' `object` has manholes, which Cityscapes has as road: still, its benches are no ground."""
    roads = unite(library, [library.alone(n) for n in ("cityscapes", "vistas v2")], "roads")
    groups = dict(zip(roads.names, groups_of(roads.net, roads.patterns), strict=True))
    wanted = {"bench": "object", "mailbox": "object", "boat": "vehicle", "road_manhole": "flat", "mountain": "nature"}
    wanted |= {"fence_other_barrier": "construction", "ground_animal": "animal"}
    assert {name: groups[name] for name in wanted} == wanted


def test_another_dataset_renames_and_renumbers_little(library: Library, roads: Union) -> None:
    more = unite(library, [library.alone(n) for n in ("cityscapes", "vistas v1.2", "idd")], "roads")
    changed = [(a, b) for a, b in zip(roads.names, more.names, strict=False) if a != b]
    assert changed == [("road_parking", "sidewalk_drivable_fallback")], "what is parking in IDD is no road"
    assert len(more.names) == 108
    assert "autorickshaw" in more.names[86:]


def test_a_decision_doubts_what_other_rows_claim(library: Library) -> None:
    """WildDash's riders of unclear kind are some of those that other rows claim whole: no contradiction."""
    union = unite(library, [library.alone(n) for n in ("vistas v1.2", "wilddash2")], "roads")
    rider = union.members[1].taxonomy.by_name["rider"]
    assert {union.names[c] for c in union.may[1][rider, :-1].nonzero()[0]} == {
        "bicyclist",
        "motorcyclist",
        "other_rider",
    }


def test_datasets_that_extend_the_same_one_have_the_same_classes(library: Library) -> None:
    union = unite(library, [library.alone(n) for n in ("cityscapes", "kitti", "acdc")], "roads")
    assert not union.questions
    for c, name in enumerate(union.names):
        of = [
            [m.taxonomy.classes[d].name for d in found]
            for m, found in zip(union.members, union.parents(c), strict=True)
        ]
        assert of == [[name]] * 3


def test_classes_of_their_own_with_the_same_name_are_others(town: Path) -> None:
    """Both datasets add `damage` to the same base: one means holes by it, the other one cracks."""
    own = {"left": ("crack", "hole"), "right": ("hole", "crack")}
    Path("base.tax").write_text(
        "tax 1\nsource paths v1\n0 road\n1 hole\n2 crack\ndataset base v1\nencoding: id\n1 ground\n"
        + "".join(f"dataset {d} v1\nextends base v1\nencoding: id\n3 damage\n" for d in own)
        + "".join(f"map {d} v1 -> paths v1\nground > road {a}\ndamage = {b}\n" for d, (a, b) in own.items())
    )
    result = call("left", "right")
    assert "# left damage, right ground\n" in result.stdout, result.output
    assert "# left ground, right damage\n" in result.stdout


def test_maps_of_datasets_with_the_same_classes_contradict_each_other(town: Path) -> None:
    Path("base.tax").write_text(
        "tax 1\ndataset base v1 -> things v1\nencoding: id\n1 low = road\n2 high = bus\n"
        "dataset same v1\nextends base v1\nencoding: id\nmap same v1 -> things v1\nlow = bus\nhigh = road\n"
    )
    assert call("base", "same").stderr == (
        "error: no pixel can be `low` of `base v1`: its maps to `things v1` contradict those of `same v1` (datasets "
        "that extend the same one have the same classes); mend a row\n"
    )


def test_maps_that_leave_everything_open_are_refused(town: Path) -> None:
    names = [f"c{i}" for i in range(100)]
    sources = "".join(f"source s{k} v1\n" + "".join(f"{i} {n}\n" for i, n in enumerate(names)) for k in range(3))
    datasets = "".join(
        f"dataset {d} v1\nencoding: id\n1 x\n"
        + "".join(f"map {d} v1 -> s{k} v1\nx ~ {' '.join(names)} void\n" for k in range(3))
        for d in "de"
    )
    Path("loose.tax").write_text(f"tax 1\n{sources}{datasets}")
    assert "leave too many combinations of their classes" in call("d", "e").stderr
    assert call("d", "e", "--through", "s1").exit_code == 0


def test_what_neither_dataset_names_is_a_class_of_its_own(town: Path) -> None:
    result = call("wheels", "sizes", "--name", "town_atoms", "-o", "atoms.tax")
    assert result.exit_code == 0, result.output
    assert result.stdout == "5 classes, from 3 of wheels v1, 5 of sizes v1\n"
    small = lsu_onto.load("sizes", source="town_atoms")
    assert small.source_classes == ("four_wheels_small", "two_wheels", "ground", "large", "animal")
    assert small.allowed[:, :-1].astype(int).tolist()[:4] == [
        [1, 1, 0, 0, 0],
        [0, 0, 0, 1, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 0, 1],
    ]
    assert small.certain[:4].sum() == 5
    wheels = lsu_onto.load("wheels", source="town_atoms")
    assert not (wheels.allowed[0] & small.allowed[0]).sum() > 1
    validated = CliRunner().invoke(main, ["validate", "--strict", "atoms.tax"])
    assert (validated.exit_code, validated.output) == (0, "")


def test_what_was_united_before_is_no_fact(town: Path) -> None:
    """Else the classes that stand for an open question would be facts, and the next source would have others."""
    rows = {
        "d": "1 ground > road grass ~ kerb\n2 wall ~ kerb void",
        "e": "1 street > road ~ kerb\n2 green > grass ~ kerb",
    }
    datasets = "".join(f"dataset {d} v1 -> land v1\nencoding: id\n{text}\n" for d, text in rows.items())
    Path("land.tax").write_text(f"tax 1\nsource land v1\n0 road\n1 grass\n2 kerb\n{datasets}")
    assert call("d", "e", "--name", "once", "-o", "once.tax").exit_code == 0
    text = Path("once.tax").read_text()
    assert "d wall, e street? green?\n" in text
    assert call("d", "e", "--name", "again").stdout.replace("again", "once") == text
    assert "d wall, e green\n" in call("d", "e", "--name", "again", "--through", "once").stdout
    assert "d wall, once wall\n" in call("d", "once", "--name", "again").stdout


def test_what_was_composed_is_no_statement_of_its_own(town: Path) -> None:
    """A row of a composed map has `~` for all that may be, and no atoms are made of that."""
    maps = "map fine v1 -> tall v1\ngrass ~ low high\nroad < low\ncar ~ low high\n"
    Path("tall.tax").write_text(
        "tax 1\nsource fields v1\n0 grass\n1 road\n2 car\nsource tall v1\n0 low\n1 high\n"
        "dataset fine v1 -> fields v1\nencoding: id\n1 grass = grass\n2 road = road\n3 car = car\n"
        f"{maps}dataset f v1 -> fields v1\nencoding: id\n1 green ~ grass void\n2 other ~ road car grass\n"
        "dataset g v1 -> tall v1\nencoding: id\n1 flat < low\n2 up ~ high low\n"
    )
    before = call("f", "g")
    assert before.exit_code == 0, before.output
    composed = CliRunner().invoke(main, ["compose", "f", "fields", "tall", "-o", "composed.tax"])
    assert composed.exit_code == 0, composed.output
    assert call("f", "g").stdout == before.stdout
    assert call("f", "g", "--through", "tall").exit_code == 0


def test_two_versions_of_a_dataset_are_named_with_their_versions(town: Path) -> None:
    rows = "1 small > car bicycle\n2 large = bus\n3 paved ~ road grass\n"
    Path("new.tax").write_text(f"tax 1\ndataset sizes v2 -> things v1\nencoding: id\n{rows}")
    assert "# sizes@v1 small, sizes@v2 small" in call("sizes@v1", "sizes@v2").stdout
    merged = call("sizes@v1", "sizes@v2", "--merge", "sizes:small")
    assert "`sizes` stands for 2 of the united taxonomies" in merged.stderr


def test_a_merged_class_of_which_a_dataset_knows_only_a_part_is_a_loss(town: Path) -> None:
    """Wheels has no word for animals: what is merged with them implies none of its classes any more."""
    result = call("wheels", "sizes", "--merge", "two_wheels,animal")
    assert "two_wheels   < two_wheels" in result.stdout
    assert "  no longer tells apart in wheels v1: two_wheels void\n" in result.stderr
    assert "  no longer tells apart in sizes v1: small animal\n" in result.stderr


def test_the_map_of_a_shipped_dataset_in_this_folder_is_shown_the_way_to(town: Path) -> None:
    assert call("cityscapes", "kitti", "-o", "roads.tax", "--name", "roads").exit_code == 0
    shown = CliRunner().invoke(main, ["show", "cityscapes", "--source", "roads"])
    assert "`roads.tax` has one, and `--path .`" in shown.stderr
    assert CliRunner().invoke(main, ["show", "cityscapes", "--source", "roads", "--path", "."]).exit_code == 0


def test_json_has_parents_questions_and_losses(town: Path) -> None:
    result = call("wheels", "sizes", "--merge", "sizes:small", "-o", "atoms.tax", "--format", "json")
    data: dict[str, Any] = json.loads(result.stdout)
    assert data["classes"][0] == {
        "name": "small",
        "parents": {"wheels v1": ["four_wheels", "two_wheels"], "sizes v1": ["small"]},
    }
    assert data["merged"] == [
        {
            "name": "small",
            "of": ["four_wheels_small", "two_wheels"],
            "apart": {"wheels v1": ["four_wheels", "two_wheels"]},
        }
    ]
    assert (data["source"], data["dropped"], data["questions"]) == ("universal v1", [], [])


def test_open_relations_are_questions_and_no_classes(town: Path) -> None:
    """Six classes of one dataset and six of another, all of which may overlap: not 36 classes."""
    rows = {d: "".join(f"{i} {d}{i} ~ wide narrow\n" for i in range(1, 7)) for d in "de"}
    datasets = "".join(f"dataset {d} v1 -> all v1\nencoding: id\n{rows[d]}" for d in "de")
    Path("wide.tax").write_text(f"tax 1\nsource all v1\n0 wide\n1 narrow\n{datasets}")
    result = call("d", "e", "-o", "out.tax", "--format", "json")
    data = json.loads(result.stdout)
    assert len(data["classes"]) == 12
    assert len(data["questions"]) == 36
    assert data["questions"][0] == {
        "is": {"dataset": "d v1", "class": "d1"},
        "ever": {"dataset": "e v1", "class": "e1"},
        "through": ["all:wide", "all:narrow"],
        "classes": ["d1", "e1"],
    }


def scan(name: str, total: int, **pixels: int) -> str:
    classes = [{"name": n, "pixels": p} for n, p in pixels.items()]
    return json.dumps({"version": 1, "report": {"taxonomy": name, "pixels": total, "classes": classes}})


def test_what_is_rare_is_left_out(town: Path) -> None:
    Path("sizes.json").write_text(scan("sizes v1", 1000, small=500, large=3, ground=490, animal=0, rest=7))
    Path("wheels.json").write_text(scan("wheels v1", 1000, four_wheels=500, two_wheels=1, ground=400))
    result = call(
        "wheels", "sizes", "--drop-below", "0.005", "--scan", "sizes.json", "--scan", "wheels.json", "-o", "a.tax"
    )
    assert result.stdout.splitlines() == [
        "2 classes, from 3 of wheels v1, 5 of sizes v1",
        "",
        "dropped; their pixels are void:",
        "  two_wheels: 0.001 of wheels v1 is two_wheels",
        "  large: 0.003 of sizes v1 is large",
        "  animal: 0 of sizes v1 is animal",
    ]
    text = Path("a.tax").read_text()
    for row in (
        "four_wheels  > four_wheels_small\n             ~ void",
        "two_wheels   ! any",
        "small   > four_wheels_small\n        ~ void",
    ):
        assert row in text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("wheels", "name at least two datasets"),
        ("wheels wheels@v1", "`wheels@v1` is named twice"),
        ("wheels sises", "did you mean `sizes`?"),
        ("wheels apart --through things", "nothing relates `apart v1` to `wheels v1`"),
        ("wheels sizes --format json", "name a file for it with -o"),
        ("wheels sizes --name void", "cannot be a name"),
        ("wheels sizes --name things --path .", "there is a source `things v1` already"),
        ("wheels sizes --through nothing", "there is no source `nothing`"),
        ("wheels sizes -o town.tax", "town.tax: is an input too"),
        ("wheels sizes --merge animal,grond", "there is no class `grond` to merge; did you mean `ground`?"),
        ("wheels sizes --merge animal", "`--merge animal` names only `animal`; there is nothing to merge"),
        ("wheels sizes --merge sizes:larg", "`sizes` has no class `larg`; did you mean `large`?"),
        ("wheels sizes --merge size:large", "`size` is none of the united taxonomies; they are wheels@v1, sizes@v1"),
        ("wheels sizes --merge animal,large --merge large,ground", "`large`, which is merged already; name it once"),
        ("wheels sizes --drop-below 0.1", "--drop-below needs the shares of a dataset's classes"),
        ("wheels sizes --scan ok.json", "--scan is read for --drop-below"),
        ("wheels sizes --drop-below 0.1 --scan none.json", "cannot read `none.json`: No such file or directory"),
        ("wheels sizes --drop-below 0.1 --scan town.tax", "town.tax: is no report of a scan"),
        ("wheels sizes --drop-below 0.1 --scan other.json", "other.json: is a scan of `idd v1`, which is not united"),
        (
            "wheels sizes --drop-below 0.1 --scan old.json",
            "old.json: is a scan of other classes than `sizes v1` has now",
        ),
        ("wheels sizes --drop-below 0.1 --scan huge.json", "huge.json: is no report of a scan"),
        ("wheels sizes --drop-below 0.1 --scan ok.json --scan ok.json", "ok.json: is a second scan of `sizes v1`"),
        ("wheels sizes --drop-below nan --scan ok.json", "nan is not a finite number"),
        ("wheels sizes --drop-below 0.1 --scan deep.json", "deep.json: is no report of a scan"),
        ("wheels sizes --drop-below 0.1 --scan endless.json", "endless.json: is no report of a scan"),
        ("wheels sizes --drop-below 0.1 --scan less.json", "less.json: is no report of a scan"),
        ("wheels sizes --drop-below 0.1 --scan more.json", "more.json: is no report of a scan"),
        ("wheels sizes --drop-below 0.1 --scan empty.json", "empty.json: the scan has read no pixels"),
        (
            "wrong wheels",
            "no pixel can be `four_wheels` of `wheels v1`: its maps to `things v1` and `words v1` contradict those of "
            "`wrong v1`; mend a row, or listen to fewer maps: `--through things@v1`",
        ),
    ],
)
def test_what_cannot_be_united_is_refused(line: str, message: str, town: Path) -> None:
    Path("ok.json").write_text(scan("sizes v1", 1, small=1, large=0, ground=0, animal=0, rest=0))
    Path("huge.json").write_text(Path("ok.json").read_text().replace("1,", "Infinity,"))
    Path("other.json").write_text(scan("idd v1", 1, road=1))
    Path("old.json").write_text(scan("sizes v1", 1, small=1))
    Path("empty.json").write_text(scan("sizes v1", 0, small=0, large=0, ground=0, animal=0, rest=0))
    Path("deep.json").write_text("[" * 3000)
    Path("endless.json").write_text(Path("ok.json").read_text().replace("1", "Infinity"))
    Path("less.json").write_text(scan("sizes v1", 1, small=2, large=-1, ground=0, animal=0, rest=0))
    Path("more.json").write_text(scan("sizes v1", 1, small=10**400, large=0, ground=0, animal=0, rest=0))
    result = call(*line.split())
    assert result.exit_code in (1, 2)
    assert message in result.stderr
    assert "Traceback" not in result.output
