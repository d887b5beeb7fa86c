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
from tiny import model_config, read, save

from lsu_seg import engine

SCRIPT = Path(__file__).parents[2] / "tools/experiments/camvid.py"


@pytest.fixture(scope="module")
def camvid() -> Any:
    spec = importlib.util.spec_from_file_location("camvid_experiment", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def draw(root: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in ("train", 6), ("val", 2):
        for i in range(count):
            label = np.kron(rng.integers(0, 12, (6, 8)), np.ones((8, 8), int)).astype(np.uint8)
            image = (label[..., None] * 20 + rng.integers(0, 20, (48, 64, 3))).astype(np.uint8)
            save(root / f"{split}/{i:04}.png", image)
            save(root / f"{split}annot/{i:04}.png", label)


def config(camvid: Any) -> Config:
    cfg = engine.load_config(camvid.CONFIG)
    model = model_config(11)
    model["decode_head"]["loss_decode"] = dict(type="SetNLLLoss", source="camvid11")
    cfg.model = model
    cfg.optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-2))
    cfg.param_scheduler = []
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    pipeline = [dict(type=t) for t in ("LoadTaxImage", "LoadTaxAnnotations", "PackTaxInputs")]
    cfg.train_dataloader.dataset.pipeline = pipeline
    cfg.val_dataloader.dataset.pipeline = pipeline
    cfg.unify.threshold = 0.6
    return cfg


def test_all_models_of_two_seeds(camvid: Any, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    root, work = tmp_path / "camvid", tmp_path / "work"
    draw(root)
    results = camvid.experiment(config(camvid), root, work, seeds=[0, 1], fine=2)
    assert set(results["seeds"]) == {"0", "1"}
    for seed, found in results["seeds"].items():
        for model in camvid.MODELS:
            assert 0 <= found[model]["miou"] <= 1 and len(found[model]["per_class"]) == 11
            assert Path(found[model]["checkpoint"]).name == "iter_2.pth", "all are trained for as long"
        labels = found["labels"]
        assert labels["constrained"]["miou"] > labels["raw"]["miou"], "the map rules most classes out"
        assert labels["constrained"]["labelled"] == 1 > labels["confident"]["labelled"] > 0
        written = work / f"seed{seed}/pseudo"
        grey = read(written / "confidence" / "x.png") if (written / "confidence").is_dir() else None
        assert grey is None and len(list((written / "constrained/confidence").glob("*.png"))) == 4
    assert results["summary"]["oracle"]["mean"] == pytest.approx(
        np.mean([s["oracle"]["miou"] for s in results["seeds"].values()])
    )

    text = camvid.table(results) + camvid.class_table(results) + camvid.label_table(results)
    assert all(title in text for title in camvid.MODELS.values()) and "bicyclist" in text
    camvid.plot(results, tmp_path / "plot.svg")
    assert "<svg" in (tmp_path / "plot.svg").read_text()

    capsys.readouterr()
    again = camvid.experiment(config(camvid), root, work, seeds=[0, 1], fine=2)
    assert json.dumps(again) == json.dumps(results)
    assert capsys.readouterr().out.count("reused") == 1 + 2 * 7


def test_targets_are_all_that_differs(camvid: Any, tmp_path: Path) -> None:
    root, work = tmp_path / "camvid", tmp_path / "work"
    draw(root)
    camvid.experiment(config(camvid), root, work, seeds=[0], fine=2)
    last = {
        m: Config.fromfile(work / f"seed0/{m}/{m}.py").train_dataloader.dataset.datasets
        for m in camvid.MODELS
    }
    assert [len(d) for d in last.values()] == [1, 2, 2, 2, 2, 2]
    assert len({json.dumps(d[0]) for d in last.values()}) == 1, "the fine frames are the same"
    frames = {tuple(d[1]["indices"]) for d in last.values() if len(d) > 1}
    assert len(frames) == 1 and not frames.pop() & set() and len(last["set"][1]["indices"]) == 4
    assert last["set"][1]["threshold"] == 0.6 and "threshold" not in last["constrained"][1]
    assert last["oracle"][1]["taxonomy"] == "camvid11" and "labels" not in last["oracle"][1]


def test_refusals(camvid: Any, tmp_path: Path) -> None:
    draw(tmp_path)
    with pytest.raises(engine.ConfigError, match="6 fine frames of 6"):
        camvid.experiment(config(camvid), tmp_path, tmp_path / "work", seeds=[0], fine=6)
