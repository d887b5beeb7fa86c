"""`lsu-onto compose`: which maps lead from one name to the next, and what is said where none does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import lsu_onto
from lsu_onto.algebra.agree import disagreements
from lsu_onto.algebra.network import network
from lsu_onto.algebra.ways import WayError, way
from lsu_onto.cli import main
from lsu_onto.library.library import Library

FIELD = """tax 1
source fine v1
0 car
1 truck
2 road
3 grass
4 pole
source coarse v1
[things]
0 vehicle
1 post
[ground]
2 surface
3 other_ground
dataset fine v2
0 car
1 truck
2 road
3 grass
4 pole
5 unlabelled
map fine v2 -> fine v1
car = car
truck = truck
road = road
grass = grass
pole = pole
unlabelled -> void
map fine v2 -> coarse v1
car < vehicle
truck < vehicle
road = surface
grass ~ other_ground void
pole -> void
unlabelled -> any
dataset farm v1 -> fine v1
0 machine > car truck
1 way = road
2 post < pole
3 verge ~ grass pole
4 rest -> any ! car truck
5 sky ! any
6 blurred -> void
7 path ~ grass void
"""

COMPOSED = """
machine  < vehicle         # through fine: car truck
way      = surface         # through fine: road
post     -> void           # through fine: pole (-> void)
verge    -> any ! surface  # through fine: grass pole (-> void)
rest     -> any            # decided in the map to fine
sky      -> any ! surface  # through fine: unlabelled (-> any) void
blurred  -> void           # decided in the map to fine
path     -> any ! surface  # through fine: grass unlabelled (-> any) void
"""


@pytest.fixture
def farm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("farm.tax").write_text(FIELD)
    return tmp_path


def run(*args: str) -> Result:
    return CliRunner().invoke(main, ["compose", *args])


def test_rows_say_what_follows_and_through_which_classes(farm: Path) -> None:
    done = run("farm", "fine", "coarse", "-o", "out.tax")
    assert (done.exit_code, done.output) == (0, "out.tax\n")
    text = Path("out.tax").read_text()
    assert "map farm v1 -> coarse v1\n" in text and text.partition("\n\n")[2].strip() == COMPOSED.strip()
    assert lsu_onto.load("out.tax").names("machine") == ("vehicle",)


def test_a_way_may_lead_through_a_dataset_that_is_named(farm: Path) -> None:
    named = run("farm.tax farm", "fine@v1", "fine@v2", "coarse").output
    assert named.splitlines()[3:] == run("farm", "fine", "coarse").output.splitlines()[3:]


def test_names_of_files_will_do(farm: Path) -> None:
    Path("lone.tax").write_text("tax 1\nsource lone v1\n0 thing\n")
    Path("to_lone.tax").write_text(
        "tax 1\nmap fine v2 -> lone v1\n"
        + "".join(f"{name} < thing\n" for name in ("car", "truck", "road", "grass", "pole", "unlabelled"))
    )
    done = run("farm.tax farm", "fine", "lone.tax")
    assert done.exit_code == 0 and "machine  < thing " in done.output, done.output


def test_more_steps_than_two(farm: Path) -> None:
    Path("more.tax").write_text(
        "tax 1\nsource all v1\n0 thing\n1 place\n"
        "dataset coarse v1 -> coarse v1\n"
        "0 vehicle = vehicle\n1 post = post\n2 surface = surface\n3 other = other_ground\n"
        "map coarse v1 -> all v1\nvehicle < thing\npost < thing\nsurface < place\nother < place\n"
    )
    done = run("farm", "fine", "coarse", "all")
    assert "machine  < thing " in done.output and "through fine: car truck; through coarse: vehicle" in done.output


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("farm", "coarse"), "name a dataset, at least one source on the way"),
        (("farm", "fine", "corse"), "there is no source `corse`; did you mean `coarse`?"),
        (("farm", "fine", "farm"), "`farm` is a dataset, and the last name is that of the source"),
        (("frm", "fine", "coarse"), "there is no map from `frm` to `fine`; did you mean `farm`?"),
        (("farm", "coarse", "fine"), "there is no map from `farm` to `coarse`; there are maps to `fine`"),
        (("farm", "fine", "fine", "coarse"), "`fine` follows on itself"),
        (("farm", "fine", "demo"), "no dataset leads from the source `fine v1` to `demo v1`"),
        (("demo_town", "demo", "coarse"), "no dataset leads from the source `demo v1` to `coarse v1`"),
    ],
)
def test_what_does_not_lead_on_is_refused(farm: Path, names: tuple[str, ...], message: str) -> None:
    done = run(*names, "--path", ".")
    assert done.exit_code in (1, 2) and message in done.output, done.output


def test_of_several_datasets_between_one_is_named(farm: Path) -> None:
    more = FIELD[FIELD.index("dataset fine v2") : FIELD.index("dataset farm")].replace("fine v2", "fine v3")
    Path("farm.tax").write_text(FIELD + more)
    done = run("farm", "fine", "coarse")
    assert done.exit_code == 1 and "several datasets lead" in done.output and "`fine@v2`, `fine@v3`" in done.output
    assert run("farm", "fine", "fine@v3", "coarse").exit_code == 0


def test_an_output_replaces_no_input(farm: Path) -> None:
    done = run("farm", "fine", "coarse", "-o", "farm.tax")
    assert done.exit_code == 1 and "is an input too" in done.output and Path("farm.tax").read_text() == FIELD


def test_maps_that_no_pixel_can_keep_are_refused(farm: Path) -> None:
    full = (
        "car > vehicle post\ntruck < other_ground\nroad = surface\ngrass ~ other_ground void\n"
        "pole -> any ! void other_ground\nunlabelled -> void\n"
    )
    start, end = FIELD.index("car < vehicle"), FIELD.index("dataset farm")
    Path("farm.tax").write_text(FIELD[:start] + full + FIELD[end:])
    done = run("farm", "fine", "coarse")
    assert (
        done.exit_code == 1
        and "nothing follows from these maps, because `pole` of `fine` can be nothing" in done.output
    )


def test_the_shipped_chains_compose(tmp_path: Path) -> None:
    for names in (
        ("idd", "vistas", "cityscapes"),
        ("bdd100k", "cityscapes", "offroad"),
        ("goose", "vistas", "offroad"),
    ):
        file = tmp_path / f"{names[0]}.tax"
        done = run(*names, "-o", str(file))
        assert done.exit_code == 0, done.output
        assert lsu_onto.load(str(file)).source == names[-1]
        text = file.read_text()
        command = text.split("\n")[1].removeprefix("# lsu-onto compose ").split(" ")
        assert run(*command).output == text
    assert "sky                  = sky" in file.read_text()


def test_a_source_that_two_folders_declare_differently_is_no_step(tmp_path: Path) -> None:
    """Each file refers to what lies beside it."""
    files = {
        "a/s.tax": "source s v1\n0 x\n1 y\n",
        "b/s.tax": "source s v1\n0 y\n1 x\n2 z\n",
        "t.tax": "source t v1\n0 p\n1 q\n",
        "a/d.tax": "dataset d v1 -> s v1\n0 m = x\n1 n = y\nmap d v1 -> t v1\nm = p\nn = q\n",
        "b/e.tax": "dataset e v1 -> s v1\n0 y = y\n1 x = x\n2 z = z\nmap e v1 -> t v1\ny = p\nx = q\nz ! any\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"tax 1\n{text}")
    library = Library([tmp_path])
    with pytest.raises(WayError, match=r"`s v1` has other classes in `.*a/s.tax` than in `.*b/s.tax`; take one out"):
        way(library, ["d", "s", "e", "t"])
    (finding,) = disagreements(library, [str(tmp_path / name) for name in files])
    assert finding.code == "TAX110" and finding.span.file == str(tmp_path / "b/s.tax")
    assert way(library, ["d", str(tmp_path / "a/s.tax")])[0].end.span.file == str(tmp_path / "a/s.tax")
    differ = r"`s v1` has other classes in `.*/a/s.tax` than in `.*/b/s.tax`; take one out"
    with pytest.raises(WayError, match=differ):  # the map of d leads to the other one
        way(library, ["d", str(tmp_path / "b/s.tax")])
    with pytest.raises(WayError, match=differ):
        network(library, [library.alone(str(tmp_path / name)) for name in ("a/d.tax", "b/e.tax")])


def test_a_class_map_says_what_channels_of_a_source_may_be_in_another(tmp_path: Path) -> None:
    file = tmp_path / "field.tax"
    file.write_text(FIELD)
    found = lsu_onto.class_map("fine", "coarse", paths=[tmp_path])
    names = (*found.to_classes, "void")
    sets = {c: [names[i] for i in row.nonzero()[0]] for c, row in zip(found.classes, found.allowed, strict=True)}
    assert sets == {
        "car": ["vehicle"],
        "truck": ["vehicle"],
        "road": ["surface"],
        "grass": ["other_ground", "void"],
        "pole": ["void"],  # decided on the way
    }
    assert found.way == ("fine v1", "fine v2", "coarse v1")
    same = lsu_onto.class_map("coarse", f"{file} coarse", paths=[tmp_path])
    assert (same.allowed[:, :-1] == np.eye(4)).all()
    assert same.sha256 != found.sha256
    with pytest.raises(lsu_onto.UserError, match="no dataset leads from the source `coarse v1` to `fine v1`"):
        lsu_onto.class_map("coarse", "fine", paths=[tmp_path])
    with pytest.raises(lsu_onto.UserError, match="`through` is 'fine'; expected a list of the names of taxonomies"):
        lsu_onto.class_map("fine", "coarse", "fine", [tmp_path])
