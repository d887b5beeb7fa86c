"""`lsu-seg calibrate`, and the labels and figures that are made with its temperature."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from helpers.hf import inside
from helpers.nets import save_net, write_net
from helpers.tiny import PARK, read
from lsu_seg.cli import main
from lsu_seg.pseudo.calibrate import draw
from lsu_seg.pseudo.output import file_sha256


def call(*args: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in args])


@pytest.fixture(scope="module")
def teacher(park: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    """`--teacher …`: a network that is far too sure, and calibrated on `park`."""
    root = tmp_path_factory.mktemp("teacher")
    factory = write_net(root / "net")
    given = ("--teacher", factory, "--checkpoint", save_net(root / "net.pth", factory))
    done = call(
        "calibrate", park / "tax/park.tax", "--data-root", park / "park", "--split", "train", *given, "--no-flip"
    )
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == str(root / "net.pth.calibration.json")
    assert "images of park v1, train\n" in done.stdout
    assert (
        "warning: fitted without 3 classes of the source, of which there was no pixel: grass, tree, car" in done.stderr
    )
    return given


def label(park: Path, work: Path, *more: object) -> Result:
    where = ("--data-root", park / "park", "-o", work / "out", "--work-dir", work / "log", "--no-flip", "--confidence")
    return call("pseudo-label", park / "tax/park.tax", *where, *more)


def test_the_file_says_what_the_temperature_is_of(park: Path, teacher: tuple[object, ...]) -> None:
    weights = Path(str(teacher[3]))
    said = json.loads(Path(f"{weights}.calibration.json").read_text())
    labels = [read(path) for path in sorted((park / "park/labels/train").glob("*.png"))]
    assert said["weights_sha256"] == file_sha256(weights)
    known = [np.isin(image, [1, 3]).sum() for image in labels]  # way and sky, which are one class each
    assert (said["images"], said["pixels"]) == (3, sum(known))
    assert 1 < said["temperature"] <= 10
    before, after = said["before"], said["after"]
    assert after["nll"] < before["nll"]
    assert after["ece"] < before["ece"]
    assert sum(pixels for pixels, *_ in before["bins"]) == pytest.approx(sum(known))


def test_labels_of_one_view_stay_and_their_confidence_does_not(
    park: Path, teacher: tuple[object, ...], tmp_path: Path
) -> None:
    assert label(park, tmp_path / "with", *teacher).exit_code == 0
    assert label(park, tmp_path / "without", *teacher, "--no-calibration").exit_code == 0
    temperature = json.loads(Path(f"{teacher[3]}.calibration.json").read_text())["temperature"]
    made = [json.loads((tmp_path / name / "out/manifest.json").read_text()) for name in ("with", "without")]
    assert [m.pop("temperature") for m in made] == [temperature, 1.0]
    assert made[0] == made[1]
    assert inside(park, tmp_path / "with/out")
    for stem in "abc":
        one, other = (read(tmp_path / name / f"out/labels/train/{stem}.png") for name in ("with", "without"))
        green = read(park / f"park/labels/train/{stem}.png") == 2  # closed: grass or tree
        np.testing.assert_array_equal(one[green], other[green])
        sure, surer = (
            read(tmp_path / name / f"out/confidence/labels/train/{stem}.png") for name in ("with", "without")
        )
        assert not green.any() or sure[green].mean() < surer[green].mean() - 5
    refused = label(park, tmp_path / "with", *teacher, "--no-calibration")
    assert refused.exit_code == 1
    assert f"temperature: there {temperature}, now 1.0" in refused.output


def test_weights_that_have_changed_are_not_calibrated(park: Path, teacher: tuple[object, ...], tmp_path: Path) -> None:
    other = save_net(tmp_path / "other.pth", str(teacher[1]), seed=1)
    file = Path(f"{teacher[3]}.calibration.json")
    (tmp_path / "other.pth.calibration.json").write_bytes(file.read_bytes())
    passed = label(park, tmp_path, *teacher[:3], other)
    assert passed.exit_code == 0, passed.output
    assert "other.pth.calibration.json: fitted on other weights than these" in passed.stderr
    assert json.loads((tmp_path / "out/manifest.json").read_text())["temperature"] == 1.0
    named = label(park, tmp_path, *teacher[:3], other, "--calibration", file)
    assert named.exit_code == 1
    assert "fitted on other weights than these" in named.output
    both = label(park, tmp_path, *teacher, "--calibration", file, "--no-calibration")
    assert (both.exit_code, "leave one out" in both.output) == (2, True)


def test_an_evaluation_judges_confidence_without_and_with_it(
    park: Path, teacher: tuple[object, ...], tmp_path: Path
) -> None:
    (tmp_path / "net.py").write_text(f"model = dict(type='TorchSegmentor', factory={teacher[1]!r})\n")
    named = ("--dataset", park / "tax/park.tax", park / "park", "train")
    done = call("evaluate", tmp_path / "net.py", teacher[3], *named, "-o", tmp_path / "out", "--work-dir", tmp_path)
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "out/evaluation.json").read_text())["sets"]["park"]["views"]["source"]
    said = json.loads(Path(f"{teacher[3]}.calibration.json").read_text())
    assert found["reliability"]["temperature"] == said["temperature"]
    assert found["reliability"]["before"]["ece"] == pytest.approx(said["before"]["ece"], abs=1e-3)
    assert found["reliability"]["after"]["ece"] < said["before"]["ece"]
    assert found["reliability"]["before"]["accuracy"] == pytest.approx(found["accuracy"])
    assert re.search(rf"calibration error.*with the temperature.*\({said['temperature']:.2f}\)", done.stdout, re.DOTALL)
    assert (tmp_path / "out/reliability_park.svg").read_text().count("temperature") == 2


@pytest.mark.parametrize(
    ("rows", "more", "message"),
    [
        (None, ("--split", "val"), "1 images of `tiny`.* at least 2 are needed"),
        ("1 way #805080 ~ road grass\n", ("--split", "train"), "no class of `park` is exactly one of `tiny`"),
        (None, ("--split", "evening"), "has no split `evening`"),
        (None, ("--split", "train", "--set", "test_cfg=3"), "`test_cfg` is no PseudoLabelLoop"),
        (PARK, ("--split", "train", "--set", "test_dataloader.dataset.pipeline=[]"), "must have LoadTaxAnnotations"),
    ],
)
def test_mistakes_end_in_a_line(
    park: Path, teacher: tuple[object, ...], tmp_path: Path, rows: str | None, more: tuple[str, ...], message: str
) -> None:
    taxonomy, root = park / "tax/tiny.tax", park / "fine"
    if rows:
        head = (park / "tax/park.tax").read_text().partition("\n1 ")[0]
        (tmp_path / "tiny.tax").write_bytes((park / "tax/tiny.tax").read_bytes())
        taxonomy, root = tmp_path / "park.tax", park / "park"
        taxonomy.write_text(f"{head}\n{rows}")
    done = call("calibrate", taxonomy, "--data-root", root, *teacher, *more, "-o", tmp_path / "c.json")
    assert done.exit_code == 1
    assert re.search(message, done.output), done.output
    assert not (tmp_path / "c.json").exists()


def test_weights_of_code_need_a_name_for_the_file(park: Path, teacher: tuple[object, ...], tmp_path: Path) -> None:
    seeded = ("--teacher", str(teacher[1]).replace("build", "seeded"))
    where = (park / "tax/park.tax", "--data-root", park / "park", "--split", "train", "--no-flip")
    refused = call("calibrate", *where, *seeded)
    assert (refused.exit_code, "name one with `-o FILE.json`" in refused.output) == (1, True)
    assert call("calibrate", *where, *seeded, "-o", tmp_path / "c.json").exit_code == 0
    done = label(park, tmp_path, *seeded, "--calibration", tmp_path / "c.json")
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "out/manifest.json").read_text())["temperature"] != 1.0


def test_each_teacher_of_several_has_its_own(park: Path, teacher: tuple[object, ...], tmp_path: Path) -> None:
    other = save_net(tmp_path / "other.pth", str(teacher[1]), seed=1)
    lines = [f"- {{teacher: '{teacher[1]}', checkpoint: '{weights}'}}" for weights in (teacher[3], other)]
    file = tmp_path / "two.yaml"
    file.write_text("\n".join(["teachers:", *lines]))
    done = label(park, tmp_path / "own", "--teacher", file, "--path", park / "tax")
    assert done.exit_code == 0, done.output
    entries = json.loads((tmp_path / "own/out/manifest.json").read_text())["teachers"]
    temperature = json.loads(Path(f"{teacher[3]}.calibration.json").read_text())["temperature"]
    assert [entry["temperature"] for entry in entries] == [temperature, 1.0]
    file.write_text(file.read_text().replace("}", ", calibration: false}", 1))
    assert label(park, tmp_path / "none", "--teacher", file, "--path", park / "tax").exit_code == 0
    entries = json.loads((tmp_path / "none/out/manifest.json").read_text())["teachers"]
    assert [entry["temperature"] for entry in entries] == [1.0, 1.0]
    one_for_all = label(
        park,
        tmp_path / "all",
        "--teacher",
        file,
        "--path",
        park / "tax",
        "--calibration",
        f"{teacher[3]}.calibration.json",
    )
    assert (one_for_all.exit_code, "each teacher has a temperature of its own" in one_for_all.output) == (1, True)
    where = ("--data-root", park / "park", "--split", "train")
    together = call(
        "calibrate", park / "tax/park.tax", *where, "--teacher", file, "--path", park / "tax", "-o", tmp_path / "c.json"
    )
    assert (together.exit_code, "calibrate them one by one" in together.output) == (1, True)


def test_each_class_of_an_image_is_drawn_and_stands_for_its_pixels() -> None:
    truth = np.zeros((20, 30), np.int64)
    truth[0, :3], truth[1], truth[2:4] = 1, 2, -1
    places, weight = draw("key", truth, 100)
    drawn = truth.reshape(-1)[places]
    assert np.bincount(drawn).tolist() == [67, 3, 30]
    assert [weight[drawn == c].sum() for c in range(3)] == pytest.approx([507, 3, 30])
    assert len(set(places.tolist())) == 100
    assert draw("key", truth, 100)[0].tolist() == places.tolist() != draw("other", truth, 100)[0].tolist()
    assert len(draw("key", np.full((2, 2), -1), 100)[0]) == 0
