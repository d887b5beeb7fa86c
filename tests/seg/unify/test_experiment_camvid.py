"""`tools/experiments/camvid.py` from end to end, on a few drawn frames in CamVid's layout."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config

from helpers.tiny import model_config, save
from lsu_seg.errors import ConfigError
from lsu_seg.openmmlab.config import load_config

SCRIPTS = Path(__file__).parents[3] / "tools/experiments"


def load(name: str) -> Any:
    """A script, by the name under which another imports it."""
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def camvid() -> Any:
    return load("camvid")


def draw(root: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in ("train", 6), ("val", 2):
        for i in range(count):
            label = np.kron(rng.integers(0, 12, (6, 8)), np.ones((8, 8), int)).astype(np.uint8)
            image = (label[..., None] * 20 + rng.integers(0, 20, (48, 64, 3))).astype(np.uint8)
            save(root / f"{split}/{i:04}.png", image)
            save(root / f"{split}annot/{i:04}.png", label)


def config(camvid: Any) -> Config:
    cfg = load_config(camvid.CONFIG)
    model = model_config(11)
    model["decode_head"]["loss_decode"] = dict(type="SetNLLLoss", source="camvid11")
    cfg.model = model
    cfg.optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-2))
    cfg.param_scheduler = []
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    pipeline = [dict(type=t) for t in ("LoadTaxImage", "LoadTaxAnnotations", "PackTaxInputs")]
    augmented = [dict(type="TaxRandomCrop", crop_size=(32, 32)), dict(type="RandomFlip", prob=0.5)]
    augmented.append(dict(type="TaxPhotoMetricDistortion"))
    cfg.train_dataloader.dataset.pipeline = [*pipeline[:2], *augmented, pipeline[2]]
    cfg.val_dataloader.dataset.pipeline = pipeline
    return cfg


@pytest.fixture(scope="module")
def finished(camvid: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("camvid")
    draw(folder / "camvid")
    return folder, camvid.experiment(config(camvid), folder / "camvid", folder / "work", seeds=[3], fine=2)


def test_results(camvid: Any, finished: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture) -> None:
    folder, results = finished
    assert set(results["seeds"]) == {"3"}
    found = results["seeds"]["3"]
    for model in camvid.MODELS:
        assert 0 <= found[model]["miou"] <= 1 and len(found[model]["per_class"]) == 11
        assert Path(found[model]["checkpoint"]).name == "iter_2.pth", "all are trained for as long"
        assert results["summary"][model] == {"mean": found[model]["miou"], "std": 0}
    labels = found["labels"]
    assert labels["constrained"]["miou"] > labels["raw"]["miou"], "the map rules most classes out"
    assert labels["constrained"]["labelled"] == 1 > labels["confident"]["labelled"] > 0

    again = camvid.experiment(config(camvid), folder / "camvid", folder / "work", seeds=[3], fine=2)
    assert json.dumps(again) == json.dumps(results)
    assert capsys.readouterr().out.count("reused") == 1 + len(camvid.MODELS) + 2


def test_students_differ_in_the_targets_of_the_coarse_frames_alone(
    camvid: Any, finished: tuple[Path, dict[str, Any]]
) -> None:
    work = finished[0] / "work/seed3"
    parts = {m: Config.fromfile(work / f"{m}/{m}.py").train_dataloader.dataset.datasets for m in camvid.MODELS}
    assert [len(p) for p in parts.values()] == [1, 2, 2, 2, 2, 2]
    assert len({json.dumps(p[0], sort_keys=True) for p in parts.values()}) == 1
    fine = set(parts["teacher"][0]["indices"])
    del parts["teacher"]
    assert {tuple(p[1]["indices"]) for p in parts.values()} == {tuple(sorted(set(range(6)) - fine))}
    labels = {name: Path(p[1].get("labels", "")).name for name, p in parts.items()}
    assert labels == {
        "raw": "raw",
        "constrained": "constrained",
        "confident": "confident",
        "set": "constrained",
        "oracle": "",
    }
    assert [p[1].get("unsure") for p in parts.values()] == [None, None, None, 0.25, None]
    assert parts["oracle"][1]["taxonomy"] == "camvid11"


def test_variants_of_the_set_valued_student(camvid: Any, finished: tuple[Path, dict[str, Any]]) -> None:
    folder, results = finished
    also = camvid.experiment(
        config(camvid), folder / "camvid", folder / "work", seeds=[3], fine=2, also=list(camvid.VARIANTS)
    )
    assert camvid.trained(also) == [*list(camvid.MODELS)[:-1], *camvid.VARIANTS, "oracle"]
    assert {k: v for k, v in also["seeds"]["3"].items() if k not in camvid.VARIANTS} == results["seeds"]["3"]
    work = folder / "work/seed3"
    single = Config.fromfile(work / "single/single.py").train_dataloader.dataset.datasets[1]
    assert (single.threshold, "unsure" in single) == (camvid.THRESHOLD, False)
    loss = Config.fromfile(work / "smoothed/smoothed.py").model.decode_head.loss_decode
    assert (loss.type, loss.label_smoothing) == ("SetNLLLoss", 0.5)
    assert sorted(p.name for p in (work / "refreshed/refresh").iterdir()) == ["1"]


def test_recipes(camvid: Any, finished: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture) -> None:
    """`camvid_recipes.py` goes on from the teacher, the labels and the student of the experiment."""
    folder, results = finished
    recipes, only = load("camvid_recipes"), ["set", "copy_paste", "category"]
    found = recipes.experiment(config(camvid), folder / "camvid", folder / "work", seeds=[3], fine=2, only=only)
    seed = found["seeds"]["3"]
    assert seed["set"] == results["seeds"]["3"]["set"] and list(seed) == ["teacher", *only]
    assert capsys.readouterr().out.count("reused") == 4, "also the coarse frames"
    lines = recipes.table(found).splitlines()
    assert lines[3].startswith(f"| *set* | {100 * seed['set']['miou']:.1f} (")
    gain = 100 * (seed["copy_paste"]["miou"] - seed["set"]["miou"])
    assert f"| {gain:+.1f} ({gain:+.1f}) |" in lines[4]
    assert len(recipes.class_table(found).splitlines()) == 2 + len(seed)
    trained = Config.fromfile(folder / "work/seed3/copy_paste/copy_paste.py").train_dataloader.dataset
    assert trained.copy_paste == 0.01 and trained.pipeline[4].type == "TaxCopyPaste"


def test_each_recipe_is_one_change(camvid: Any) -> None:
    recipes = load("camvid_recipes")
    changed = {name: load_config(camvid.CONFIG) for name in recipes.RECIPES}
    for name, cfg in changed.items():
        recipes.RECIPES[name](cfg)
    compounds = {name: cfg.train_dataloader.dataset for name, cfg in changed.items()}
    steps = {name: [step["type"] for step in compound.pipeline] for name, compound in compounds.items()}
    keys = ("rare_classes", "oversample_thr", "copy_paste")
    assert {name: [compound.get(key) for key in keys] for name, compound in compounds.items()} == {
        **dict.fromkeys(recipes.RECIPES, [None] * 3),
        "rare": [0.01, None, None],
        "oversampled": [None, 1.0, None],
        "copy_paste": [None, None, 0.01],
    }
    assert steps["set"][3:6] == ["TaxRandomCrop", "RandomFlip", "TaxPhotoMetricDistortion"]
    assert steps["rare"][3:6] == ["RareClassCrop", "RandomFlip", "TaxPhotoMetricDistortion"]
    assert steps["copy_paste"][3:7] == ["RareClassCrop", "RandomFlip", "TaxCopyPaste", "TaxPhotoMetricDistortion"]
    assert steps["colour"][3:6] == ["TaxRandomCrop", "RandomFlip", "RandAugmentColour"]
    losses = {name: cfg.model.decode_head.loss_decode for name, cfg in changed.items()}
    assert [loss["type"] for loss in losses.pop("category")] == ["SetNLLLoss", "CategoryLoss"]
    assert {loss.type for loss in losses.values()} == {"SetNLLLoss"}


def test_table_and_plot(camvid: Any, tmp_path: Path) -> None:
    def seed(shift: float) -> dict[str, Any]:
        models = {
            m: {"miou": 0.4 + 0.01 * i + shift, "per_class": {"sky": 0.9, "pole": shift}}
            for i, m in enumerate(camvid.MODELS)
        }
        return {**models, "labels": {k: {"miou": 0.5, "labelled": 1.0} for k in camvid.KINDS}}

    results = {"seeds": {"0": seed(0.0), "1": seed(0.02)}}
    lines = camvid.table(results).splitlines()
    assert lines[2] == "| teacher: fine frames alone | 41.0 ± 1.4 |  | 40.0 | 42.0 |"
    assert lines[3] == "| student, raw labels | 42.0 ± 1.4 | +1.0 ± 0.0 | 41.0 | 43.0 |"
    assert camvid.class_table(results).splitlines()[-1] == "| oracle | 90 | 1 |"
    assert camvid.label_table(results).splitlines()[-1] == "| confident | 50.0% | 100.0% |"
    camvid.plot(results, tmp_path / "plot.svg")
    assert "<svg" in (tmp_path / "plot.svg").read_text()


def test_refusals(camvid: Any, tmp_path: Path) -> None:
    draw(tmp_path)
    with pytest.raises(ConfigError, match="6 fine frames of 6"):
        camvid.experiment(config(camvid), tmp_path, tmp_path / "work", seeds=[0], fine=6)
