"""`tools/experiments/streets/offroad.py`: a tiny model, and a few drawn frames in the folders of YCOR and RUGD."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import lsu_onto
from helpers.tiny import model_config, save
from lsu_seg.openmmlab.config import load_config
from lsu_seg.unify.stages import run_stages

EXPERIMENTS = Path(__file__).parents[3] / "tools/experiments"
COLOURS = np.array(
    [0x00FF00, 0x0000FF, 0x404040, 0xFF0000, 0x006600, 0xFF8000]
)  # tree sky asphalt building grass gravel
FRAMES = 24
STUDENTS = ["raw", "set", "set_mean"]


@pytest.fixture(scope="module")
def streets() -> Any:
    sys.path.insert(0, str(EXPERIMENTS))
    try:
        from streets import offroad, report
    finally:
        sys.path.remove(str(EXPERIMENTS))
    return SimpleNamespace(offroad=offroad, report=report)


def draw(root: Path) -> None:
    """Frames of 48 x 64 pixels; labels in blocks of 8."""
    rng = np.random.default_rng(0)

    def frame(image: str, label: str, values: np.ndarray) -> None:
        cells = np.kron(rng.integers(0, len(values), (6, 8)), np.ones((8, 8), int))
        save(root / image, (cells[..., None] * 25 + rng.integers(0, 30, (48, 64, 3))).astype(np.uint8))
        raw = values[cells]
        save(root / label, (raw[..., None] >> [16, 8, 0] if raw.max() > 255 else raw).astype(np.uint8))

    for split, count in ("train", FRAMES), ("valid", 2):
        for i in range(count):
            folder = f"real/ycor/{split}/iid{i:06}"
            frame(f"{folder}/rgb.jpg", f"{folder}/labels.png", np.arange(9))
    for seq in "trail", "creek":
        names = (f"real/rugd/RUGD_{kind}/{seq}/{seq}_00001.png" for kind in ("frames-with-annotations", "annotations"))
        frame(*names, COLOURS)


@pytest.fixture(scope="module")
def ready(streets: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A folder with data, and the experiment there."""
    folder = tmp_path_factory.mktemp("offroad")
    draw(folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streets.offroad, "FINE", 4)
        yield SimpleNamespace(folder=folder, experiment=experiment(streets, folder))


def experiment(streets: Any, folder: Path) -> Any:
    cfg = load_config(EXPERIMENTS / "streets/offroad_config.py")
    loss = cfg.model.decode_head.loss_decode
    cfg.model = model_config(8)
    cfg.model.decode_head.loss_decode = loss
    load = [dict(type="LoadTaxImage"), dict(type="LoadTaxAnnotations"), dict(type="PackTaxInputs")]
    cfg.train_dataloader.dataset.pipeline = cfg.val_dataloader.dataset.pipeline = load
    cfg.train_dataloader.batch_size = cfg.train_dataloader.sampler.batch_size = 2
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    return streets.offroad.Offroad(cfg, folder / "data", folder / "work", [5], STUDENTS)


def test_every_train_frame_has_one_use(streets: Any, ready: Any) -> None:
    """The teacher's frames, those that it labels, and those that are held back; other frames teach for another seed."""
    held = streets.offroad.held_back(FRAMES)
    chosen = [streets.offroad.fine_frames(seed, FRAMES) for seed in range(3)]
    for seed, fine in enumerate(chosen):
        others = ready.experiment.others(seed)
        assert len(fine) == 4 and sorted([*held, *fine, *others]) == list(range(FRAMES))
    assert len({i for fine in chosen for i in fine}) == 12
    assert len(streets.offroad.held_back(233)) == 33


def test_too_few_frames(streets: Any, ready: Any) -> None:
    with pytest.raises(lsu_onto.UserError, match="YCOR's train split has 6 frames; expected more than 7"):
        streets.offroad.fine_frames(0, 6)


def test_what_students_differ_in(streets: Any, ready: Any) -> None:
    offroad = streets.offroad
    made = {n: ready.experiment._trained(n, 5)[0] for n in ("teacher", *offroad.STUDENTS)}
    inputs = {n: [i.split(",")[0] for i in stage.inputs] for n, stage in made.items()}
    labelled = ["teacher", "labels"]
    few = dict(teacher=[], longer=["teacher"], oracle=["teacher"])
    assert inputs == {"raw": labelled, "constrained": labelled, "set": labelled, **few}
    datasets = {n: ready.experiment._datasets(n, 5) for n in made}
    assert len({tuple(ds[0]["indices"]) for ds in datasets.values()}) == 1
    assert {n: len(ds) for n, ds in datasets.items()} == {n: 1 if n in ("teacher", "longer") else 2 for n in made}
    rest = {n: ds[1] for n, ds in datasets.items() if len(ds) == 2}
    assert {tuple(d["indices"]) for d in rest.values()} == {tuple(ready.experiment.others(5))}
    kinds = {n: Path(d["labels"]).name for n, d in rest.items() if "labels" in d}
    assert kinds == {"raw": "raw", "constrained": "constrained", "set": "constrained"}
    assert rest["oracle"]["taxonomy"] == "ycor" and rest["raw"]["taxonomy"].endswith("ycor_robot.tax")
    assert {n: d["unsure"] for n, d in rest.items() if "unsure" in d} == {"set": 0.25}
    assert [d["weight"] * len(d["indices"]) for d in datasets["set"]] == pytest.approx([0.25, 0.75])


def test_each_stage_comes_after_its_inputs_and_only_what_is_wanted(ready: Any) -> None:
    stages = ready.experiment.stages()
    names = [stage.name for stage in stages]
    assert all(names.index(i) < names.index(stage.name) for stage in stages for i in stage.inputs)
    assert names[:2] == ["coarse frames", "teacher, seed 5"] and names[3:5] == [
        "labels, seed 5",
        "labels, seed 5, scored",
    ]
    assert names[5:] == [f"{n}, seed 5{judged}" for n in STUDENTS for judged in ("", ", judged")]


def test_what_the_labels_of_the_judge_decide() -> None:
    """Pixels of these classes count in the mean; the others only where a prediction may lie outside of S(d)."""
    rugd = lsu_onto.load(EXPERIMENTS / "streets/rugd_sample.tax", "ycor")
    decided = {}
    for name, channel in zip(rugd.classes, rugd.relabel, strict=True):
        if 0 <= channel < rugd.num_classes:
            decided.setdefault(rugd.source_classes[channel], []).append(name)
    assert set(decided) == {"smooth_trail", "obstacle", "high_vegetation", "sky"}
    assert decided["smooth_trail"] == ["asphalt", "concrete"] and decided["high_vegetation"] == ["tree"]
    assert "traversable_grass" in rugd.names("mulch")


def test_the_models_have_the_classes_of_the_source() -> None:
    cfg = load_config(EXPERIMENTS / "streets/offroad_config.py")
    classes = lsu_onto.load("ycor", "ycor").source_classes
    head = cfg.model.decode_head
    assert head.num_classes == len(head.loss_decode.class_weight) == len(classes)
    assert cfg.train_dataloader.sampler.batch_size == cfg.train_dataloader.batch_size
    assert cfg.val_evaluator.source == cfg.train_dataloader.dataset.source == head.loss_decode.source == "ycor"


def test_a_folder_that_is_not_there(
    streets: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", f"offroad.py --data-root {tmp_path} -o {tmp_path}/w".split())
    assert streets.offroad.main() == 1
    assert f"error: {tmp_path}/real/ycor: " in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("option", ["--iters 0", "--jobs 0", "--seeds -1", "--seeds 1 x"])
def test_numbers_that_mean_nothing(
    streets: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setattr(sys, "argv", f"offroad.py --data-root {tmp_path} -o {tmp_path}/w {option}".split())
    with pytest.raises(SystemExit):
        streets.offroad.main()
    assert f"argument {option.split()[0]}: '{option.split()[-1]}'; expected a whole number" in capsys.readouterr().err


def test_a_seed_counts_once(
    streets: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", f"offroad.py --data-root {tmp_path} -o {tmp_path}/w --seeds 0 1 0".split())
    with pytest.raises(SystemExit):
        streets.offroad.main()
    assert "argument --seeds: a seed is named twice, and would count twice" in capsys.readouterr().err


@pytest.mark.slow
def test_the_whole_experiment(streets: Any, ready: Any) -> None:
    """Results, the page, and that a second run computes nothing."""
    work, lines = ready.folder / "work", []
    done = run_stages(ready.experiment.stages(), work, lines.append)
    assert not any("reused" in line for line in lines)
    again: list[str] = []
    run_stages(experiment(streets, ready.folder).stages(), work, again.append)
    assert len(again) == 5 + 2 * len(STUDENTS) and all("reused" in line for line in again)
    labels = done["labels, seed 5, scored"].result
    assert labels["constrained"]["correct"] > labels["raw"]["correct"], "the map rules most classes out"
    table = streets.offroad.label_table({"5": labels}).splitlines()
    assert table[2] == "| raw | {miou:.1f} ({miou:.1f}) | {correct:.1f} ({correct:.1f}) |".format(
        **{key: 100 * value for key, value in labels["raw"].items()}
    )
    models = ["teacher", *STUDENTS]
    results = streets.report.results(work, [5], models, streets.offroad.VIEWS, streets.offroad.AGAINST)
    assert list(results["models"]) == models
    rugd = results["models"]["set"]["5"]["rugd"]
    assert set(rugd["pixels"]) == {"smooth_trail", "obstacle", "high_vegetation", "sky"}
    assert sum(rugd["pixels"].values()) < 2 * 48 * 64 and 0 <= rugd["consistency"] <= 1
    assert {k for k in rugd if k.startswith("against")} == {"against_teacher", "against_raw"}
    page = streets.report.page(results)
    assert "| teacher | set_mean |" in page and "| raw | set |" in page and "IoU on ycor_held" in page
    teacher, student = (
        torch.load(work / f"seed5/{n}/training/iter_2.pth", weights_only=False)["state_dict"]
        for n in ("teacher", "set")
    )
    mean = torch.load(work / "seed5/set_mean/weights/mean.pth", weights_only=False)["state_dict"]
    key = "decode_head.conv_seg.weight"
    assert torch.allclose(mean[key], (teacher[key] + student[key]) / 2) and not torch.equal(teacher[key], student[key])
