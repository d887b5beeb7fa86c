"""`lsu-seg audit` of a labelling run, from end to end."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import lsu_onto
from helpers.coloured import EXCHANGED, SOURCE, TOWN, write_painted
from lsu_seg.cli import main
from lsu_seg.pseudo.sample import read_sample

MAP = "tax/painted.tax"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The coloured dataset, labelled."""
    root = tmp_path_factory.mktemp("painted")
    write_painted(root)
    result = call("pseudo-label", *teacher(root), root / MAP, "-o", root / "out", "--work-dir", root / "log")
    assert result.exit_code == 0, result.output
    return root


def teacher(root: Path) -> list[object]:
    weights = ["--teacher", root / "teacher.py", "--checkpoint", root / "teacher.pth"]
    return ["--data-root", root / "data", *weights]


def call(*args: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in args])


def refused(*args: object) -> str:
    result = call("audit", *args)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    return result.stderr


def another_map(folder: Path, text: str) -> Path:
    """A file of the same name elsewhere, beside the source."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "painted.tax").write_text(text)
    return folder / "painted.tax"


def test_a_right_map(world: Path, tmp_path: Path) -> None:
    page, patch = tmp_path / "new/audit.html", tmp_path / "it.patch"
    outputs = "--html", page, "--propose", patch
    result = call("audit", world / "out", "--path", world / "tax", *outputs, "--data-root", world / "data")
    assert result.exit_code == 0, result.output
    first, second, *_ = result.stdout.splitlines()
    assert first.startswith("painted v1 -> colours v1: no contradictions")
    assert second.startswith("36 images and ")
    assert result.stdout.endswith(f"\n{page}\n")
    assert "4/4" in result.stderr and "4/4" not in result.stdout  # the steps of the audit
    assert "No `.tax` file changes" in patch.read_text() or "# audit:" in patch.read_text()
    html = page.read_text()
    assert html.count("data:image") > 8 and "shows no pictures" not in html
    without = call("audit", world / "out", "--path", world / "tax", "--html", page)
    assert without.stdout == result.stdout
    assert "shows no pictures: name the dataset&#x27;s folder with --data-root" in page.read_text()
    assert "data:image" not in page.read_text()


def test_exchanged_rows_come_first_and_the_proposal_exchanges_them(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run itself was made under the right map; it is held against a wrong one, and then against the proposed."""
    monkeypatch.chdir(tmp_path)
    wrong = another_map(Path("tax"), EXCHANGED)
    held = ["audit", world / "out", "--taxonomy", wrong, "--path", world / "tax"]
    result = call(*held, "--propose", "-")
    assert result.exit_code == 1, result.output
    assert "contradictions\n1. two rows exchanged: `way` and `people` look exchanged" in result.stderr
    assert "under this map, the finding is gone" in result.stderr
    assert "contradictions" not in result.stdout
    subprocess.run(["patch", "-p0"], input=result.stdout, text=True, check=True, capture_output=True)
    constraint, right = (lsu_onto.load(file, paths=[world / "tax"]) for file in (wrong, world / MAP))
    assert (constraint.allowed == right.allowed).all()
    assert call(*held).exit_code == 0


def test_json_and_sarif(world: Path, tmp_path: Path) -> None:
    wrong = another_map(tmp_path / "tax", EXCHANGED)
    held = ["audit", world / "out", "--taxonomy", wrong, "--path", world / "tax"]
    result = call(*held, "--format", "json", "--false-alarms", "0.5")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["findings"][0]["kind"] == "exchanged"
    assert document["settings"]["false_alarms"] == 0.5
    assert document["settings"] == {"false_alarms": 0.5, "notes": 0.6, "seed": 0}
    assert document["findings"][0]["places"][0]["file"].endswith("painted.tax")
    log = json.loads(call(*held, "--format", "sarif").stdout)
    first = log["runs"][0]["results"][0]
    assert first["ruleId"] == "audit/exchanged"
    at = first["locations"][0]["physicalLocation"]
    assert at["artifactLocation"]["uri"] == wrong.as_uri()
    line = at["region"]["startLine"]
    assert EXCHANGED.splitlines()[line - 1].startswith("1 way")


def test_a_folder_of_several_runs(world: Path, tmp_path: Path) -> None:
    """What `unify` leaves: the labels of each dataset, those of the teacher alone, and what a change has replaced."""
    for folder in ("pseudo/a/constrained", "pseudo/b/constrained", "before/a/constrained"):
        shutil.copytree(world / "out", tmp_path / folder)
    for file in (tmp_path / "pseudo/b/constrained").glob("audit-*.jsonl"):
        file.unlink()
    path = ["--path", world / "tax"]
    result = call("audit", tmp_path, *path)
    assert result.exit_code == 2  # one could not be looked at; the other was
    assert [line for line in result.stdout.splitlines() if line.startswith(str(tmp_path))] == [
        f"{tmp_path}/pseudo/{name}/constrained:" for name in "ab"
    ]
    assert "no contradictions" in result.stdout
    assert "were made before labelling runs kept a sample" in result.stderr
    assert "has labels of several runs" in refused(tmp_path, *path, "--format", "json")


def few(folder: Path) -> list[object]:
    """A map of the same classes to another source."""
    source = SOURCE.replace("colours v1", "few v1").rpartition("9 pole")[0]
    text = TOWN.replace("colours v1", "few v1").replace("pole ", "").removeprefix("tax 1\n")
    (folder / "few.tax").write_text(source + text)
    return ["--taxonomy", folder / "few.tax", "--source", "few"]


def test_raw_values_that_another_map_calls_otherwise(world: Path, tmp_path: Path) -> None:
    """A map with exchanged ids is wrong though classes and relations are right; with other names, it is not."""
    held = ["audit", world / "out", "--path", world / "tax", "--taxonomy"]
    ids = another_map(tmp_path / "ids", TOWN.replace("1 way   ", "6 way   ").replace("6 people", "1 people"))
    result = call(*held, ids)
    assert result.exit_code == 1
    assert "1. two rows exchanged: `way` and `people` look exchanged" in result.stdout
    lines = TOWN.replace("6 people", "6 folk").splitlines()
    names = another_map(tmp_path / "names", "\n".join([*lines[:-8], *lines[:-9:-1]]) + "\n")
    result = call(*held, names)
    assert result.exit_code == 0, result.output


def test_what_cannot_be_looked_at(world: Path, tmp_path: Path) -> None:
    path = ["--path", world / "tax"]
    assert "neither a folder of pseudo-labels" in refused(tmp_path)
    message = refused(world / "out")
    assert "labels of `painted v1` -> `colours v1`, whose map cannot be read" in message
    assert "--taxonomy FILE.tax" in message
    other = another_map(tmp_path / "other", TOWN.replace("2 walk    = sidewalk", "2 a = sidewalk\n9 b ! any"))
    message = refused(world / "out", *path, "--taxonomy", other)
    assert "other classes of the dataset than `painted`: they lack `a` `b`, they also have `walk`" in message
    other = another_map(tmp_path / "other", TOWN.replace("2 walk", "12 walk"))
    message = refused(world / "out", *path, "--taxonomy", other)
    assert "when `walk` had other raw values" in message
    assert "other source classes than `few`: they also have `pole`" in refused(world / "out", *path, *few(tmp_path))
    message = refused(world / "out", *path, "--data-root", tmp_path, "--html", tmp_path / "a.html")
    assert str(tmp_path) in message and not (tmp_path / "a.html").exists()
    message = refused(world / "out", *path, "--propose", "-", "--format", "json")
    assert "name a file for --propose" in message
    shutil.copytree(world / "out", tmp_path / "raw")
    manifest = json.loads((tmp_path / "raw/manifest.json").read_text())
    (tmp_path / "raw/manifest.json").write_text(json.dumps(manifest | {"constrained": False}))
    assert "labels of the teacher alone" in refused(tmp_path / "raw")


def test_a_damaged_line_is_as_good_as_none(world: Path, tmp_path: Path) -> None:
    """Whatever is in it: the other images are looked at."""
    shutil.copytree(world / "out", tmp_path / "out")
    kept = tmp_path / "out/audit-0.jsonl"
    head, *lines = kept.read_text().splitlines()
    wrong: list[object] = [
        None,
        "x",
        -1,
        1.5,
        10**400,
        2**40,
        [],
        {},
        [[0, -5]],
        [[0, 10**9]],
        [[99, 1]],
        [99],
        [-1, -1],
    ]
    piece = json.loads(lines[0])
    damaged = [piece | {key: value} for key in piece for value in wrong if key not in ("key", "label")]
    damaged += [{k: v for k, v in piece.items() if k != key} for key in piece]
    text = [json.dumps(line) for line in damaged]
    kept.write_text("\n".join([head, *text[:-2], *lines[1:]]))
    assert len(read_sample(tmp_path / "out").keys) == 35
    for line in text:  # each on its own: a later one of the same image counts
        kept.write_text("\n".join([head, line, *lines[1:3]]))
        assert len(read_sample(tmp_path / "out").keys) in (2, 3)
    for names in ({"rows": [1]}, {"classes": "x"}, {"rows": ["a"]}, {"values": [[]]}):
        kept.write_text("\n".join([json.dumps(json.loads(head) | names), *lines]))
        assert "; label into another folder" in refused(tmp_path / "out", "--path", world / "tax")


@pytest.mark.parametrize("option", ["--false-alarms", "--notes"])
@pytest.mark.parametrize("value", ["nan", "inf", "-1", "0"])
def test_a_budget_is_a_positive_number(option: str, value: str, tmp_path: Path) -> None:
    assert f"Invalid value for '{option}': {value}" in refused(tmp_path, option, value)


def test_a_diff_replaces_no_file_of_the_run(world: Path) -> None:
    for name in ("manifest.json", "records-0.jsonl"):
        file = world / "out" / name
        before = file.read_bytes()
        message = refused(world / "out", "--path", world / "tax", "--propose", file)
        assert f"the output must end in `.patch` or `.diff`, not `{file}`" in message
        assert file.read_bytes() == before


def test_a_missing_package_is_named(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    monkeypatch.setitem(sys.modules, "scipy", None)
    message = refused(world / "out", "--path", world / "tax")
    assert "this needs `scipy`, which is not installed: pip install '.[audit]'" in message


# --- of a dataset that is not labelled yet ---------------------------------------------------------------------------


def ask(world: Path, work: Path, *args: object, name: Path | None = None) -> Result:
    asked = [name or world / MAP, "--path", world / "tax", *teacher(world), "--images", 20, "--work-dir", work]
    return call("audit", *asked, "--false-alarms", 0.1, *args)


def test_a_teacher_is_asked_once(world: Path, tmp_path: Path) -> None:
    """Whatever the map says; and again only if the teacher or the images have changed."""
    first = ask(world, tmp_path)
    assert first.exit_code == 0, first.output
    assert "asking about painted" in first.stderr
    assert "20 of 36 images and " in first.stdout
    second = ask(world, tmp_path, "--html", tmp_path / "a.html")
    assert second.stdout == f"{first.stdout}{tmp_path / 'a.html'}\n"
    assert "asking" not in second.stderr
    assert "coarsely" not in (tmp_path / "a.html").read_text()  # the teacher's own labels are kept for the page
    assert "made under another one" not in (tmp_path / "a.html").read_text()
    third = ask(world, tmp_path, "--html", tmp_path / "a.html", name=another_map(tmp_path / "tax", EXCHANGED))
    assert "older than this map: they were made under another one" in (tmp_path / "a.html").read_text()
    assert third.exit_code == 1
    assert "two rows exchanged" in third.stdout and "asking" not in third.stderr
    shutil.copytree(world, tmp_path / "copy")
    assert "asking about painted" in ask(tmp_path / "copy", tmp_path).stderr


def test_a_stopped_sample_goes_on(world: Path, tmp_path: Path) -> None:
    ask(world, tmp_path)
    (sample,) = tmp_path.glob("*/sample.npz")
    whole = sample.read_bytes()
    sample.unlink()
    for records in tmp_path.glob("*/map-*/*/records-0.jsonl"):
        records.write_bytes(b"".join(records.read_bytes().splitlines(True)[:7]))
    assert "13/13" in ask(world, tmp_path).stderr
    assert sample.read_bytes() == whole
    assert not list(tmp_path.glob("*/manifest.json"))  # nothing there looks like a labelled dataset at first sight


def test_keys_of_the_config_and_the_only_split(world: Path, tmp_path: Path) -> None:
    """What is said with `--set` is another question to the teacher."""
    shutil.copytree(world, tmp_path / "copy")
    text = (world / MAP).read_text().replace("splits: train val\n", "splits: all\n")
    (tmp_path / "copy" / MAP).write_text(text)
    for kind in ("images", "labels"):
        (tmp_path / "copy/data" / kind / "train").rename(tmp_path / "copy/data" / kind / "all")
    result = ask(tmp_path / "copy", tmp_path / "w", "--set", "test_cfg.flips=[False]")
    assert result.exit_code == 0, result.output
    (manifest,) = tmp_path.glob("w/painted-colours-all-*/map-*/labels-of-the-sample/manifest.json")
    assert json.loads(manifest.read_text())["flips"] == [False]
    assert "asking about painted" in ask(tmp_path / "copy", tmp_path / "w").stderr


def test_what_cannot_be_asked(world: Path, tmp_path: Path) -> None:
    assert "--data-root is missing" in refused(world / MAP, "--teacher", world / "teacher.py")
    assert "give its weights, too: --checkpoint FILE" in refused(
        world / MAP, "--path", world / "tax", "--teacher", world / "teacher.py", "--data-root", world / "data"
    )
    assert "there is no folder `idd`; if it is a taxonomy, say who is asked" in refused("idd")
    assert f"`{world / MAP}` is a file, and expected is a folder of labels; if it is" in refused(world / MAP)
    assert "`--images` belongs to the form NAME --teacher" in refused(world / "out", "--images", 3)
    assert "`--set` belongs to the form NAME --teacher" in refused(world / "out", "--set", "test_cfg.scales=[1]")
    message = refused(world / MAP, *teacher(world), "--work-dir", tmp_path, "--split", "test")
    assert "`has no split `test`; it has train, val" in message.replace(f"`{world / MAP}` ", "`")
    message = refused(world / MAP, *teacher(world), "--taxonomy", world / MAP)
    assert "leave --taxonomy out" in message
    assert not list(tmp_path.iterdir())
