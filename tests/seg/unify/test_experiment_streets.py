"""`tools/experiments/streets`: a tiny network, and a few drawn frames in the folders of its datasets."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

import lsu_onto
from helpers.tiny import read, save
from lsu_seg.openmmlab.config import load_config
from lsu_seg.targets.table import TargetSet, TargetTable
from lsu_seg.unify.stages import Done, Stage, run_stages

EXPERIMENTS = Path(__file__).parents[3] / "tools/experiments"
NET = """\
from torch import nn

def build():
    return nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 20, 1))
"""
A2D2 = np.array([0xFF00FF, 0x87CEFF, 0x93FDC2, 0xFF0000])
STUDENTS = ["raw", "kept", "kept_mean"]


@pytest.fixture(scope="module")
def streets() -> Any:
    sys.path.insert(0, str(EXPERIMENTS))
    try:
        from streets import pictures, report, run, segmentor, stages
    finally:
        sys.path.remove(str(EXPERIMENTS))
    return SimpleNamespace(run=run, report=report, pictures=pictures, segmentor=segmentor, stages=stages)


def draw(root: Path) -> None:
    """Frames of 48 x 64 pixels; labels in blocks of 8, of values that occur in the dataset."""
    rng = np.random.default_rng(0)

    def frame(image: str, label: str, values: Any) -> None:
        cells = np.kron(rng.integers(0, len(values), (6, 8)), np.ones((8, 8), int))
        noise = rng.integers(0, 30, (48, 64, 3))
        save(root / image, (cells[..., None] * 25 % 220 + noise).astype(np.uint8))
        raw = np.asarray(values)[cells]
        coloured = raw.max() > 255
        save(root / label, (raw[..., None] >> [16, 8, 0] if coloured else raw).astype(np.uint8))

    for i in range(8):
        name = f"train/aachen/aachen_{i:06}_000019"
        city = "real/cityscapes"
        files = f"{city}/leftImg8bit/{name}_leftImg8bit.png", f"{city}/gtFine/{name}_gtFine_labelIds.png"
        frame(*files, [3, 7, 8, 11, 21, 23, 24, 26])
    for split, count in ("train", 3), ("val", 2):
        for i in range(count):
            frame(f"camvid/{split}/{i}.png", f"camvid/{split}annot/{i}.png", range(12))
    for i in range(3):
        idd = "real/idd_lite"
        frame(f"{idd}/leftImg8bit/train/0/{i}_image.jpg", f"{idd}/gtFine/train/0/{i}_label.png", [*range(7), 255])
    for i in range(2):
        bdd, a2d2 = "real/bdd100k", "real/a2d2/20180807_145028"
        frame(f"{bdd}/images/10k/train/{i}.jpg", f"{bdd}/labels/sem_seg/masks/train/{i}.png", [0, 2, 8, 10, 13, 255])
        position = f"cam_front_center/20180807145028_{{}}_frontcenter_00000000{i}.png"
        files = [f"{a2d2}/{kind}/{position.format(kind)}" for kind in ("camera", "label")]
        frame(*files, A2D2)


def config(streets: Any, folder: Path) -> Config:
    cfg = load_config(EXPERIMENTS / "streets/config.py")
    cfg.model.update(factory=f"{folder}/net.py:build", checkpoint=str(folder / "teacher.pth"))
    load = [dict(type="LoadTaxImage"), dict(type="LoadTaxAnnotations"), dict(type="PackTaxInputs")]
    cfg.val_dataloader.dataset.pipeline = load
    cfg.train_dataloader.dataset.pipeline = [*load[:2], dict(type="RandomCrop", crop_size=(48, 64)), load[2]]
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    return cfg


@pytest.fixture(scope="module")
def ready(streets: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A folder with data, network and weights, and the experiment there."""
    folder = tmp_path_factory.mktemp("streets")
    draw(folder / "data")
    (folder / "net.py").write_text(NET)
    scope: dict[str, Any] = {}
    exec(NET, scope)
    torch.manual_seed(0)
    torch.save(scope["build"]().state_dict(), folder / "teacher.pth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streets.run, "FRAMES", {"camvid": 3, "idd_lite": 3})
        yield SimpleNamespace(folder=folder, experiment=experiment(streets, folder))


def experiment(streets: Any, folder: Path) -> Any:
    cfg = config(streets, folder)
    return streets.run.Streets(cfg, folder / "data", folder / "teacher.pth", folder / "work", [5], STUDENTS)


def segmentor(streets: Any, folder: Path, **more: Any) -> Any:
    init_default_scope("mmseg")
    settings = {k: v for k, v in config(streets, folder).model.items() if k != "type"}
    return streets.segmentor.StreetsSegmentor(**settings, **more)


def test_what_students_differ_in(streets: Any, ready: Any) -> None:
    cfgs = {n: ready.experiment._student_config(n, 5, ready.folder) for n in streets.run.STUDENTS}
    datasets = {n: c.train_dataloader.dataset.datasets for n, c in cfgs.items()}
    kinds = {n: [Path(d.labels).name for d in ds[1:]] for n, ds in datasets.items()}
    assert kinds == {n: ["raw" if n.startswith("raw") else "constrained"] * 2 for n in kinds}
    unsure = {n: ds[1].get("unsure") for n, ds in datasets.items() if "unsure" in ds[1]}
    assert unsure == {"set": 0.25, "kept": 0.25, "soft": 1, "trained_norms": 0.25, "rare": 0.25}
    assert {tuple(ds[0].indices) for ds in datasets.values()} == {(0, 1, 2, 3, 4, 5)}
    assert {n for n, c in cfgs.items() if c.model.get("distil")} == {"kept", "soft"}
    assert {n for n, c in cfgs.items() if c.model.get("norms")} == {"trained_norms", "raw_trained_norms"}
    compounds = {n: c.train_dataloader.dataset for n, c in cfgs.items()}
    assert {n: c.rare_classes for n, c in compounds.items() if "rare_classes" in c} == {"rare": 0.01}
    crops = {n: [t.type for t in c.pipeline if "Crop" in t.type] for n, c in compounds.items()}
    assert crops == {n: ["RareClassCrop" if n == "rare" else "RandomCrop"] for n in crops}
    shares = {d.taxonomy: d.weight * len(d.indices) for d in datasets["kept"]}
    idd_lite = str(EXPERIMENTS / "streets/idd_lite_closed.tax")
    assert shares == pytest.approx({"cityscapes": 0.25, "camvid_segnet": 0.25, idd_lite: 0.5})


def test_each_stage_comes_after_its_inputs_and_only_what_is_wanted(ready: Any) -> None:
    stages = ready.experiment.stages()
    names = [stage.name for stage in stages]
    assert all(names.index(i) < names.index(stage.name) for stage in stages for i in stage.inputs)
    assert names[:3] == ["teacher, judged", "labels of camvid", "labels of idd_lite"]
    assert names[3:] == [f"{n}, seed 5{judged}" for n in STUDENTS for judged in ("", ", judged")]


def test_a_checkpoint_that_is_missing_is_named_before_anything_is_done(
    streets: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [
        "--data-root",
        tmp_path,
        "--teacher",
        "net.py:build",
        "--checkpoint",
        tmp_path / "no.pth",
        "-o",
        tmp_path / "w",
    ]
    monkeypatch.setattr(sys, "argv", ["run.py", *map(str, words)])
    with pytest.raises(SystemExit):
        streets.run.main()
    assert f"--checkpoint: there is no file {tmp_path}/no.pth; expected the weights of" in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


def test_how_long_the_rest_may_take(
    streets: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streets.stages.time, "monotonic", iter([0.0, 0.0, 60.0, 180.0]).__next__)
    stages = [Stage(name, None, key=lambda _: 0, action=lambda _: 0) for name in "abcd"]
    clock = streets.stages.Clock(stages)
    clock.say("a: reused")
    for stage in clock.stages[1:]:
        stage.action({})
    assert capsys.readouterr().out.splitlines() == [
        "a: reused",
        "[2/4] b; 0 min so far",
        "[3/4] c; 1 min so far, ETA 2 min",
        "[4/4] d; 3 min so far, ETA 2 min",
    ]


def test_norms(streets: Any, ready: Any) -> None:
    """They keep the teacher's statistics while the model is trained."""
    before = torch.load(ready.folder / "teacher.pth", weights_only=True)
    for norms in "kept", "trained":
        model = segmentor(streets, ready.folder, norms=norms).train()
        model.net(torch.rand(2, 3, 16, 16))
        same = torch.equal(model.state_dict()["net.1.running_mean"], before["1.running_mean"])
        assert same == (norms == "kept") and model.net[0].training


def test_a_mean_has_half_of_both_weights(ready: Any) -> None:
    """The teacher's file is one of its network alone, and the student's that of a segmentor around it."""
    before = torch.load(ready.folder / "teacher.pth", weights_only=True)
    student = {f"net.{key}": value + 1 for key, value in before.items()}
    torch.save({"state_dict": student, "meta": {}}, ready.folder / "student.pth")
    stages = {stage.name: stage for stage in ready.experiment.stages()}
    mean, trained = stages["kept_mean, seed 5"], {"checkpoint": str(ready.folder / "student.pth")}
    mean.folder.mkdir(parents=True)
    result = mean.action({"kept, seed 5": Done("", trained)})
    weights = torch.load(result["checkpoint"], weights_only=True)["state_dict"]
    shutil.rmtree(ready.folder / "work")
    for key, value in before.items():
        if value.is_floating_point():
            assert torch.equal(weights[f"net.{key}"], (value + student[f"net.{key}"]) / 2)


def test_evidence_inside_sets(streets: Any, ready: Any) -> None:
    """In the source's image against all of the evidence, in another only where the target is a set, inside it."""
    model = segmentor(streets, ready.folder, distil=1.0)
    table = TargetTable("cityscapes", 19, [TargetSet((13, 14), 1.0)])
    model.loss_decode.use_table(table)
    torch.manual_seed(1)
    taught, logits = torch.randn(2, 2, 19, 1, 2)
    entry = table.number([13, 14], 1.0)
    target = torch.tensor([[[0, model.void]], [[3, entry]]])
    loss = model._against(taught, logits, target, torch.tensor([True, False]))
    log = logits.log_softmax(1)
    first = -(taught.softmax(1) * log)[0, :, 0, 0].sum()
    second = -(taught[1, 13:15, 0, 1].softmax(0) * log[1, 13:15, 0, 1]).sum()
    assert float(loss) == pytest.approx(float((first + second) / 2), rel=1e-5)
    nothing = model._against(taught, logits, torch.full((2, 1, 2), 3), torch.tensor([False, False]))
    assert float(nothing) == 0


def test_label_maps_are_of_predictions_alone(streets: Any, ready: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streets.pictures, "_WIDTH", 64)
    experiment, path = ready.experiment, ready.folder / "maps.png"
    frames = experiment.judges()["bdd100k"] | {"indices": [1, 0]}
    streets.pictures.draw_maps(experiment.cfg, frames, {"teacher": ready.folder / "teacher.pth"}, path)
    with Image.open(path) as image:
        sheet = np.asarray(image.convert("RGB"))
    palette = {tuple(colour) for colour in lsu_onto.load("cityscapes", source="cityscapes").source_palette.tolist()}
    first, second = ({tuple(c) for c in sheet[y : y + 48, :64].reshape(-1, 3).tolist()} for y in (26, 80))
    assert first <= palette and second <= palette and len(first | second) > 1


def test_ensembles_are_held_against_their_members(
    ready: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    from streets import ensemble

    weights, student = ready.folder / "teacher.pth", tmp_path / "seed4/constrained"
    for file in (student / "training/iter_2.pth", tmp_path / "seed4/constrained_mean/weights/mean.pth"):
        file.parent.mkdir(parents=True)
        shutil.copyfile(weights, file)
    teacher = ["--teacher", f"{ready.folder}/net.py:build", "--checkpoint", str(weights)]
    ensemble.main([str(tmp_path), "--data-root", str(ready.folder / "data"), *teacher, "--seeds", "4"])
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    figures = {cells[1].strip(): [float(cell) for cell in cells[2:-1]] for cells in rows[1:]}
    assert list(figures)[:4] == ["teacher", "student 4", "mean 4", "teacher, student 4"]
    assert figures["teacher"] == figures["student 4"] == figures["teacher, student 4"]  # they are the same here
    assert figures["teacher, categories of student 4"][2:] == figures["teacher"][2:]
    free, pixels, inside, share = figures["teacher"]
    assert 0 <= free < inside <= 100 and 0 <= pixels < share <= 100  # its weights are random


def test_the_plot_is_the_same_for_the_same_results(streets: Any, tmp_path: Path) -> None:
    judged = {key: {"miou": 0.5} for key in streets.report.VIEWS}
    better = {key: {"miou": 0.625} for key in streets.report.VIEWS}
    models = {"teacher": {"": judged}, "set": {"0": better, "1": judged}, "set_mean": {"0": better, "1": better}}
    plots = []
    for name in "ab":
        streets.pictures.plot(models, tmp_path / f"{name}.svg")
        plots.append((tmp_path / f"{name}.svg").read_text())
    assert plots[0] == plots[1]
    assert all(f"<!-- {text} -->" in plots[0] for text in ("set_mean", "BDD100K (teacher: 50.0)"))
    models["teacher"] = {"0": judged, "1": better}  # a teacher for each seed
    streets.pictures.plot(models, tmp_path / "own.svg", {"bdd100k": "streets", "a2d2": "roads"})
    own = (tmp_path / "own.svg").read_text()
    assert (
        "<!-- streets (teacher: 56.2) -->" in own and "<!-- roads (teacher: 56.2) -->" in own and "BDD100K" not in own
    )


@pytest.mark.slow
def test_the_whole_experiment(streets: Any, ready: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results, the page, pictures, and that a second run computes nothing."""
    work, said = ready.folder / "work", []
    run_stages(ready.experiment.stages(), work, said.append)
    assert not any("reused" in line for line in said)
    again: list[str] = []
    run_stages(experiment(streets, ready.folder).stages(), work, again.append)
    assert len(again) == 3 + 2 * len(STUDENTS) and all("reused" in line for line in again)

    found = streets.report.results(work, [5], STUDENTS)["models"]
    assert list(found) == ["teacher", *STUDENTS]
    compared = {"teacher": set(), "raw": {"against_teacher"}}
    for name, seeds in found.items():
        for judge, figures in next(iter(seeds.values())).items():
            assert 0 <= figures["miou"] <= 1, (name, judge)
            against = {k for k in figures if k.startswith("against")}
            assert against == compared.get(name, {"against_teacher", "against_raw"})
    assert set(found["raw"]["5"]["camvid_val"]["classes"]) >= {"sky", "pavement", "bicyclist"}
    page = streets.report.page({"models": found})
    assert len([line for line in page.splitlines() if line.startswith("| kept ")]) == 1 + 4
    assert "| teacher | kept |" in page and "| raw | kept_mean |" in page
    student = torch.load(work / "seed5/kept/training/iter_2.pth", weights_only=False)["state_dict"]
    before = torch.load(ready.folder / "teacher.pth", weights_only=True)
    assert not torch.equal(student["net.0.weight"], before["0.weight"])
    assert torch.equal(student["net.1.running_mean"], before["1.running_mean"])

    monkeypatch.setattr(streets.run, "load_config", lambda _: config(streets, ready.folder))
    monkeypatch.setattr(streets.pictures, "FRAMES", (0, 1))
    paths = {"--data-root": "data", "--checkpoint": "teacher.pth", "-o": "work"}
    words = [word for key, name in paths.items() for word in (key, str(ready.folder / name))]
    options = ["--teacher", f"{ready.folder}/net.py:build", "--seeds", "5", "--only", *STUDENTS]
    monkeypatch.setattr(sys, "argv", ["run.py", *words, *options])
    assert streets.run.main() == 0
    assert (work / "results.md").read_text() == page
    assert read(work / "maps.png").shape[1] == 2 * 300 + 6  # teacher and raw
    assert "kept_mean" in (work / "plot.svg").read_text()
