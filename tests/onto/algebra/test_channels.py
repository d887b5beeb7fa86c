"""`invert` and `restrict`: a source as a dataset of its own."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

import lsu_onto
from helpers.chains import forbidden, library, mapped, rows_of
from helpers.examples import examples
from lsu_onto.algebra.channels import inverted
from lsu_onto.cli import main


@settings(max_examples=examples(100), deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.data())
def test_an_inverted_map_is_true_of_the_same_pixels(n: int, k: int, data: st.DataObject) -> None:
    pixels = set(data.draw(st.lists(st.tuples(st.integers(0, n), st.integers(0, k)), min_size=1, max_size=12)))
    pixels |= {(d, data.draw(st.integers(0, k))) for d in range(n)}
    rows = mapped(n, k, pixels, random.Random(data.draw(st.integers(0, 1 << 30))))
    lines = ["tax 1", "source s v1", *(f"{i} s{i}" for i in range(k)), "dataset d v1", *(f"{i} d{i}" for i in range(n))]
    lines += ["map d v1 -> s v1", *(f"d{i} {row.text('s')}" for i, row in enumerate(rows))]
    lib = library("\n".join(lines) + "\n")
    text, unstated = inverted(lib, lib.ontology("d", "s"))
    both = library("\n".join(lines) + "\n", text)
    assert not [f for f in both.check("/world/1.tax").diagnostics if f.severity != "info"], text
    backwards = rows_of(both.ontology("s_channels", "d"))
    assert not {(s, d) for d, s in pixels} & set(forbidden(backwards, n)), text
    assert set(unstated) == {f"s{i}" for i in range(k)} - {f"s{c}" for row in rows for c in row.ops}


LAND = """tax 1
source land v1
[road]
0 asphalt #111111
1 gravel #222222 # loose
[nature.plant]
2 tree #333333
3 grass #444444
[nature.water]
4 lake #555555
5 sky #666666
dataset park v1 -> land v1
0 way > asphalt gravel
1 lawn < grass
2 green ~ tree grass
3 open -> any ! asphalt gravel
"""

INVERTED = """
asphalt  < way              # held by way
gravel   < way              # held by way
tree     ~ green open void  # held by green
grass    > lawn
         ~ green open void  # held by lawn green
lake     ~ open void        # no row states that it holds this class
sky      ~ open void        # no row states that it holds this class
"""


@pytest.fixture
def land(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("land.tax").write_text(LAND)
    return tmp_path


def run(*args: str) -> Result:
    return CliRunner().invoke(main, args)


def test_a_source_in_the_classes_of_a_dataset(land: Path) -> None:
    done = run("invert", "park", "-o", "out.tax")
    assert (done.exit_code, done.output) == (0, "out.tax\nno row holds 2 of 6 classes: lake sky\n")
    assert Path("out.tax").read_text().endswith("\n" + INVERTED)
    assert lsu_onto.load("out.tax", source="park").names("gravel") == ("way",)
    assert run("fmt", "--check", "out.tax").exit_code == run("validate", "--strict", "out.tax").exit_code == 0


def test_a_map_that_no_pixel_can_keep_has_no_inverse(land: Path) -> None:
    Path("land.tax").write_text(f"{LAND}4 odd -> any ! gravel @nature sky void\n")
    done = run("invert", "park")
    assert (
        done.exit_code == 1 and "nothing follows from this map, because `odd` of `park` can be nothing" in done.output
    )


@pytest.mark.parametrize("source", ["cityscapes", "offroad"])
def test_a_dataset_with_the_name_of_a_source(land: Path, source: str) -> None:
    done = run("invert", "cityscapes", "--source", source)
    assert "source cityscapes_labels v1\n" in done.output and done.exit_code == 0


@pytest.mark.parametrize("args", [("invert", "park"), ("restrict", "land", "tree")])
def test_an_output_on_the_search_path_is_written_again(land: Path, args: tuple[str, ...]) -> None:
    texts = []
    for _ in range(2):
        done = run(*args, "--path", ".", "-o", "out.tax")
        assert done.exit_code == 0, done.output
        texts.append(Path("out.tax").read_text())
    assert texts[0] == texts[1]


def test_some_classes_and_the_way_to_them(land: Path) -> None:
    done = run("restrict", "land", "asphalt", "@nature", "--name", "soft", "-o", "out.tax")
    assert (done.exit_code, done.output) == (0, "out.tax\n")
    c = lsu_onto.load("out.tax", source="soft")
    assert c.source_classes == ("asphalt", "tree", "grass", "lake", "sky") and c.dataset == "land_channels"
    assert c.names("gravel") == ("void",) and c.novel[c.classes.index("gravel")] and c.certain[0, 0]
    composed = run("compose", "park", "land", "soft").output
    assert "\nlawn   < grass " in composed and "\nway    > asphalt ~ void " in composed.replace("\n       ~", " ~")


def test_groups_as_classes(land: Path) -> None:
    assert run("restrict", "land", "--groups", "-o", "all.tax").exit_code == 0
    everything = lsu_onto.load("all.tax", source="land_groups")
    assert everything.source_classes == ("road", "nature")
    assert (
        run("restrict", "land", "@nature.water", "@nature.plant", "gravel", "--groups", "-o", "out.tax").exit_code == 0
    )
    c = lsu_onto.load("out.tax", source="land_groups")
    assert c.source_classes == ("nature_water", "nature_plant", "gravel")
    assert [c.names(x)[0] for x in c.classes] == [
        "void",
        "gravel",
        "nature_plant",
        "nature_plant",
        "nature_water",
        "nature_water",
    ]
    assert tuple(c.source_palette[0]) == (0x55, 0x55, 0x55)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("restrict", "land"), "name the classes and @groups to keep, or write --groups"),
        (("restrict", "lnd", "tree"), "there is no source `lnd`; did you mean `land`?"),
        (("restrict", "land", "tre"), "`land` has no class `tre`; did you mean `tree`?"),
        (("restrict", "land", "@natur"), "`land` has no group `@natur`; did you mean `@nature`?"),
        (("restrict", "land", "tree", "@nature"), "`@nature` has `tree`, which is in another choice already"),
        (("restrict", "land", "tree", "--name", "my trees"), "`my trees` cannot be a name; write `my_trees`"),
        (
            ("restrict", "land", "tree", "--name", "land"),
            "`land` is the full source; give the new one a name of its own",
        ),
        (("restrict", "land", "tree", "-o", "land.tax"), "is an input too"),
        (("restrict", "land", "tree", "--name", "vistas"), "there is a source `vistas v1` already; give the new"),
        (("invert", "park", "-o", "land.tax"), "is an input too"),
        (("invert", "prk"), "there is no map from `prk`; did you mean `park`?"),
    ],
)
def test_what_cannot_be_chosen_is_refused(land: Path, args: tuple[str, ...], message: str) -> None:
    done = run(*args, "--path", ".")
    assert done.exit_code in (1, 2) and message in done.output, done.output
    assert Path("land.tax").read_text() == LAND


def test_more_classes_than_a_byte_has(tmp_path: Path) -> None:
    """A dataset's classes become the channels of a source, which 16 bits then hold."""
    classes = "".join(f"{i} c{i} {'=' if i else '>'} c{i}\n" for i in range(300))
    source = "".join(f"{i} c{i}\n" for i in range(300))
    storage = "encoding: id16\nvoid: 65535\n"
    (tmp_path / "tax").mkdir()
    (tmp_path / "tax/wide.tax").write_text(
        f"tax 1\nsource wide v1\n{storage}{source}dataset d v1 -> wide v1\n{storage}{classes}"
    )
    for command in (["invert", "d"], ["restrict", "wide", *(f"c{i}" for i in range(280)), "--name", "less"]):
        made = tmp_path / f"{command[0]}.tax"
        done = CliRunner().invoke(main, [*command, "--path", str(tmp_path / "tax"), "-o", str(made)])
        assert done.exit_code == 0, done.output
        assert made.read_text().count("encoding: id16\nvoid:     65535\n") == 2
