"""`check-maps`: maps that are true of pixels agree, and maps that no pixels keep are found."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.chains import FOLDER, Row, forbidden, library, mapped, tight
from helpers.examples import examples
from lsu_onto.algebra.agree import Known, between
from lsu_onto.cli import main
from lsu_onto.diagnostics import Diagnostic

Rows = dict[tuple[str, str], list[Row]]


def text(sizes: dict[str, int], maps: Rows) -> str:
    """Datasets `u` and `v`, sources `p` and `q`, and the four maps between them."""
    lines = ["tax 1"]
    for name, size in sizes.items():
        lines += [f"{'source' if name in 'pq' else 'dataset'} {name} v1", *(f"{i} {name}{i}" for i in range(size))]
    for (dataset, source), rows in maps.items():
        lines += [f"map {dataset} v1 -> {source} v1"]
        lines += [f"{dataset}{i} {row.text(source)}" for i, row in enumerate(rows)]
    return "\n".join(lines) + "\n"


def found(sizes: dict[str, int], maps: Rows) -> list[Diagnostic]:
    analysis = library(text(sizes, maps)).check(file := f"{FOLDER}/0.tax")
    assert not analysis.errors, text(sizes, maps)
    return between(map(Known, analysis.resolved.ontologies), {file})


PAIRS = [("u", "p"), ("u", "q"), ("v", "p"), ("v", "q")]


@settings(max_examples=examples(120), deadline=None)
@given(st.data())
def test_true_maps_agree(data: st.DataObject) -> None:
    sizes = {name: data.draw(st.integers(1, 4)) for name in "uvpq"}
    pixel = st.fixed_dictionaries({name: st.integers(0, n) for name, n in sizes.items()})
    pixels = data.draw(st.lists(pixel, min_size=1, max_size=20))
    pixels += [{**data.draw(pixel), name: i} for name in "uv" for i in range(sizes[name])]
    rng = random.Random(data.draw(st.integers(0, 1 << 30)))
    exact = {(a, b): [tight(i, sizes[b], {(x[a], x[b]) for x in pixels}) for i in range(sizes[a])] for a, b in PAIRS}
    assert not found(sizes, exact)
    loose = {(a, b): mapped(sizes[a], sizes[b], {(x[a], x[b]) for x in pixels}, rng) for a, b in PAIRS}
    assert not [d for d in found(sizes, loose) if d.code == "TAX401"]


def test_maps_that_no_pixels_keep_contradict_each_other() -> None:
    """Against all pixels that the four maps leave: each class of a dataset, and each that one claims, needs one."""
    counts = {True: 0, False: 0}
    for seed in range(150):
        rng = random.Random(seed)
        sizes = {name: rng.randint(1, 3) for name in "uvpq"}
        worlds = []
        for _ in range(2):
            start = {name: rng.randrange(n) for name, n in sizes.items()}
            world = [{name: (start[name] + i) % n for name, n in sizes.items()} for i in range(max(sizes.values()))]
            worlds.append([*world, {name: rng.randint(0, n) for name, n in sizes.items()}])
        maps: Rows = {}
        for i, (a, b) in enumerate(PAIRS):  # one of the maps is true of other pixels
            pairs = {(x[a], x[b]) for x in worlds[i == seed % 4]}
            maps[a, b] = [tight(x, sizes[b], pairs) for x in range(sizes[a])]
        left = np.ones([n + 1 for n in sizes.values()], bool)
        axes = {name: axis for axis, name in enumerate(sizes)}
        for (a, b), rows in maps.items():
            for x, y in forbidden(rows, sizes[b]):
                left[tuple(x if n == a else y if n == b else slice(None) for n in axes)] = False
        claimed = {(b, c) for (_, b), rows in maps.items() for row in rows for c, op in row.ops.items() if op in "=>"}
        needed = claimed | {(name, i) for name in "uv" for i in range(sizes[name])}
        empty = [c for c in needed if not left.take(c[1], axis=axes[c[0]]).any()]
        contradicted = any(d.code == "TAX401" for d in found(sizes, maps))
        assert contradicted == bool(empty), (text(sizes, maps), empty)
        counts[contradicted] += 1
    assert min(counts.values()) > 20, counts


TOWN = """tax 1
source fine v1
0 car
1 van
2 road
3 lane
source coarse v1
0 car
1 truck
2 road
dataset fine v2
0 car
1 van
2 road
3 lane
map fine v2 -> fine v1
car = car
van = van
road = road
lane = lane
map fine v2 -> coarse v1
car < car
van < truck  # officially
road < road
lane < road
dataset town v1
0 vehicle
1 street
map town v1 -> fine v1
vehicle > car ~ van  # all that drives
street > road lane
map town v1 -> coarse v1
vehicle < car  # by its train id
street = road
"""


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("town.tax").write_text(TOWN)
    return tmp_path


def run(*args: str) -> Result:
    return CliRunner().invoke(main, ["check-maps", *args])


EXCLUSION = """\
warning[TAX402]: `vehicle` of `town v1` overlaps `van`, and by way of `coarse v1` it cannot
  --> town.tax:30:17
  30 | vehicle > car ~ van  # all that drives
     |                 ^^^
  --> town.tax:33:1
  33 | vehicle < car  # by its train id
     | ------- in coarse: car
  --> town.tax:23:1
  23 | van < truck  # officially
     | --- `van` in coarse: truck
     = help: mend the row that is wrong, or say in its note how they differ, with `allow: TAX402`

1 warning; `lsu-onto explain TAX402` says more
"""


def test_a_finding_shows_the_rows_of_both_ways(town: Path) -> None:
    done = run("town.tax")
    assert (done.exit_code, done.output) == (0, EXCLUSION)
    assert run("--strict").exit_code == 1
    item = json.loads(run("--format", "json").output)["diagnostics"][0]
    assert [r["range"]["line"] for r in item["related"]] == [33, 23]
    sarif = json.loads(run("--format", "sarif").output)["runs"][0]["results"][0]
    assert [r["id"] for r in sarif["relatedLocations"]] == [0, 1]


def test_a_note_answers_a_warning_and_no_contradiction(town: Path) -> None:
    Path("town.tax").write_text(TOWN.replace("drives", "drives; coarse calls a van a truck. allow: TAX402"))
    assert (run("--strict").exit_code, run("--strict").output) == (0, "")
    wrong = TOWN.replace("vehicle > car ~ van  # all that drives", "vehicle = van  # allow: TAX401")
    Path("town.tax").write_text(wrong)
    done = run()
    assert done.exit_code == 1
    assert "error[TAX401]: `vehicle = van` of `town v1` contradicts its map to `coarse v1`" in done.output
    assert done.output.endswith("1 error; `lsu-onto explain TAX401` says more\n")


def test_a_row_of_which_nothing_is_left_is_a_contradiction(town: Path) -> None:
    rows = TOWN.replace("2 road\ndataset fine", "2 road\n3 path\ndataset fine").replace("> car ~ van", "~ car van")
    Path("town.tax").write_text(rows.replace("vehicle < car", "vehicle ~ road path").replace("= road\n", "< road\n"))
    lines = run().output.splitlines()
    sources = "its maps to `fine v1` and `coarse v1` contradict each other"
    assert f"error[TAX401]: no pixel can be `vehicle` of `town v1`: {sources}" in lines


def test_only_circles_of_the_files_that_are_named_are_checked(town: Path) -> None:
    Path("other").mkdir()
    Path("other/lone.tax").write_text("tax 1\ndataset lone v1 -> fine v1\n0 a < car\n")
    assert run("other", "--path", ".", "--strict").output == ""
    assert "TAX402" in run("town.tax", "--path", "other").output


def test_what_is_inherited_is_shown_once_and_on_the_base(town: Path) -> None:
    Path("town.tax").write_text(TOWN + "dataset twin v1\nextends town v1\n2 tree\nmap twin v1 -> fine v1\ntree ! any\n")
    Path("more.tax").write_text("tax 1\ndataset copy v1\nextends town v1\n")
    assert run().output == EXCLUSION


def test_files_with_errors_are_shown_and_not_compared(town: Path) -> None:
    Path("town.tax").write_text(TOWN.replace("vehicle < car", "vehicle < crr"))
    done = run()
    assert done.exit_code == 1 and "TAX201" in done.output and "TAX402" not in done.output


def test_what_two_files_declare_differently_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, row in {"a": "1 car < road", "b": "1 car < sidewalk", "c": "1 car < road"}.items():
        Path(f"{name}.tax").write_text(f"tax 1\ndataset g v1 -> demo v1\n{row}\n")
    done = run(".", "--format", "concise")
    assert done.output.startswith("b.tax:2:9: error[TAX110] `g v1` is declared in `a.tax`, too, differently; take one")
    assert done.output.count("\n") == 1
    assert done.exit_code == 1 and run("a.tax", "c.tax").exit_code == 0


def test_the_folder_must_have_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run()
    assert done.exit_code == 1 and "there are no `.tax` files in `.`" in done.output


def test_findings_are_in_the_order_of_the_files(tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.tax" for name in "abcdefgh"]
    for file in files:
        file.write_text(f"tax 1\ndataset {file.stem} v1 -> demo v1\n0 x = raod\n")
    said = [line for line in run(str(tmp_path)).stderr.splitlines() if " --> " in line]
    assert said == [f"  --> {file}:3:7" for file in files]
