"""What experiment trackers get of a training and of an evaluation; TensorBoard and MLflow themselves read it."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.visualization import LocalVisBackend

from helpers.students import student_config
from helpers.tiny import LOAD, read, save_checkpoint, write_tax
from lsu_seg.errors import ConfigError
from lsu_seg.evaluation.run import measure
from lsu_seg.openmmlab.rehearsal import rehearse
from lsu_seg.training.panels import PanelHook
from lsu_seg.training.run import train

NAMES = ("park", "park-2")  # the second has pseudo-labels
WIDTH = 40
OF_OTHERS = pytest.mark.filterwarnings("default")  # trackers warn of their own dependencies


@pytest.fixture(autouse=True)
def scope() -> None:
    init_default_scope("mmseg")


def training(root: Path, *backends: dict[str, Any], panels: bool = True) -> Config:
    """Four iterations with a validation after the second, and panels at the same time."""
    cfg = student_config(root, iterations=4)
    cfg.train_cfg.val_interval = 2
    validated = dict(type="TaxDataset", taxonomy=write_tax(root / "tax"), data_root=str(root / "park"), split="train")
    cfg.val_dataloader = dict(
        batch_size=1, sampler=dict(type="DefaultSampler", shuffle=False), dataset=dict(**validated, pipeline=LOAD)
    )
    cfg.val_evaluator, cfg.val_cfg = (
        dict(type="OntologyIoU", source="tiny", views=("source", "set")),
        dict(type="ValLoop"),
    )
    if backends:
        cfg.visualizer = dict(type="SegLocalVisualizer", vis_backends=list(backends))
    if panels:
        cfg.custom_hooks = [dict(type="PanelHook", every=2, images=2, width=WIDTH)]
    return cfg


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(checkpoint, weights_only=False)["state_dict"]
    return state


def test_panels_show_images_and_do_not_change_the_training(tmp_path: Path) -> None:
    with_panels = train(training(tmp_path / "with"), quiet=True)
    without = train(training(tmp_path / "without", panels=False), quiet=True)
    assert all(torch.equal(a, b) for a, b in zip(weights(with_panels).values(), weights(without).values(), strict=True))

    pictures = {path.name: read(path) for path in (tmp_path / "with/work").rglob("vis_image/*.png")}
    assert set(pictures) == {f"panels_{name}_{step}.png" for name in NAMES for step in (2, 4)}
    for name, columns in zip(NAMES, (3, 4), strict=True):
        assert pictures[f"panels_{name}_2.png"].shape == (14 + 24 + 4 + 24, columns * 44 - 4, 3)
    line = pictures["panels_park-2_4.png"][14:38]  # the first image, `a`, at its own size of 40 x 24
    image, truth, pseudo, prediction = (line[:, at : at + WIDTH] for at in range(0, 4 * 44, 44))
    park = tmp_path / "with/park"
    assert np.array_equal(image, read(park / "images/train/a.png"))
    rows, labels = read(park / "labels/train/a.png"), read(tmp_path / "with/pseudo/labels/train/a.png")
    assert np.array_equal(truth[rows == 1], np.broadcast_to([0x80, 0x50, 0x80], (int((rows == 1).sum()), 3)))
    assert np.array_equal(pseudo[labels == 0], np.broadcast_to([0x80, 0x40, 0x80], (int((labels == 0).sum()), 3)))
    assert not truth[rows == 255].any()
    assert not pseudo[labels == 255].any()
    source = {(0x80, 0x40, 0x80), (0x98, 0xFB, 0x98), (0x6B, 0x8E, 0x23), (0x46, 0x82, 0xB4), (0x00, 0x00, 0x8E)}
    assert {tuple(colour) for colour in prediction.reshape(-1, 3).tolist()} <= source
    assert not np.array_equal(pictures["panels_park_2.png"], pictures["panels_park_4.png"])


def test_each_run_of_a_process_has_a_visualizer_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearly all configs call theirs `visualizer`, and mmengine would use the first one for all."""
    begun: list[str] = []
    add_config = LocalVisBackend.add_config

    def begin(backend: LocalVisBackend, *args: Any, **kwargs: Any) -> None:
        begun.append(backend._save_dir)
        add_config(backend, *args, **kwargs)

    monkeypatch.setattr(LocalVisBackend, "add_config", begin)
    for name in ("a", "b"):
        cfg = training(tmp_path / name, dict(type="LocalVisBackend"), panels=False)
        cfg.visualizer.name = "visualizer"
        rehearse(cfg)  # begins nothing
        train(cfg, quiet=True)
        (folder,) = (tmp_path / name / "work").glob("*/vis_data")
        assert (folder / "scalars.json").stat().st_size and begun.pop() == str(folder) and not begun


def test_parts_that_are_frozen_stay_so() -> None:
    model = torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.Dropout())
    model[0].eval()
    PanelHook(every=1).after_train_iter(SimpleNamespace(model=model, iter=0), 0)
    assert [part.training for part in (model, *model)] == [True, False, True]


@pytest.mark.parametrize("change", [dict(every=0), dict(images=1.5), dict(width="wide"), dict(width=8193)])
def test_arguments_of_the_panels_that_are_wrong(change: dict[str, Any]) -> None:
    expected = "8192 pixels or fewer" if change == {"width": 8193} else "a whole number, 1 or more"
    with pytest.raises(ConfigError, match=f"`{next(iter(change))}` of the PanelHook is .*expected {expected}"):
        PanelHook(**change)


@OF_OTHERS
def test_tensorboard_reads_figures_and_panels(tmp_path: Path) -> None:
    events = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="pip install tensorboard"
    )
    train(training(tmp_path, dict(type="TensorboardVisBackend")), quiet=True)
    (folder,) = (tmp_path / "work").glob("*/vis_data")
    found = events.EventAccumulator(str(folder)).Reload()
    assert {"loss", "loss_park", "loss_park#2", "acc_park", "ratio_park"} <= set(found.Tags()["scalars"])
    assert [event.step for event in found.Scalars("set/consistency")] == [2, 4]
    for name in NAMES:
        assert [event.step for event in found.Images(f"panels_{name}")] == [2, 4]


@OF_OTHERS
def test_mlflow_reads_figures_and_panels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="pip install mlflow")
    pytest.importorskip("sqlalchemy", reason="pip install mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    train(training(tmp_path, dict(type="MLflowBackend")), quiet=True)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/work/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("work").experiment_id])
    assert {"loss", "loss_park", "loss_park_2", "acc_park", "set/consistency"} <= set(run.data.metrics)
    assert [each.step for each in client.get_metric_history(run.info.run_id, "set/consistency")] == [2, 4]
    images = [file.path for file in client.list_artifacts(run.info.run_id, "images")]
    steps = [re.split(r"[%+]", file.removeprefix("images/"))[::2][:2] for file in images if file.endswith(".png")]
    assert sorted(steps) == [[f"panels_{name}", step] for name in NAMES for step in ("2", "4")]
    assert run.data.params["train_cfg.max_iters"] == "4"
    assert not (tmp_path / "mlruns").exists()
    mlflow.set_tracking_uri(None)


def test_a_tracker_that_is_not_installed_is_named(tmp_path: Path) -> None:
    missing = [name for name in ("wandb", "clearml", "mlflow") if find_spec(name) is None]
    if not missing:
        pytest.skip("all of them are installed")
    kind = {"wandb": "WandbVisBackend", "clearml": "ClearMLVisBackend", "mlflow": "MLflowBackend"}[missing[0]]
    with pytest.raises(ConfigError, match=f"`visualizer` .*pip install {missing[0]}"):
        train(training(tmp_path, dict(type=kind)), quiet=True)


def test_an_evaluation_gives_its_figures_by_the_name_of_the_dataset(tmp_path: Path) -> None:
    cfg = training(tmp_path)
    cfg.val_evaluator.views = ("source",)
    one = cfg.val_dataloader.dataset
    sets = {"town": one, "both": dict(type="CompoundDataset", datasets=[one, one])}
    measured = measure(cfg, save_checkpoint(tmp_path / "teacher.pth"), sets, quiet=True)
    (file,) = (tmp_path / "work").glob("*/vis_data/scalars.json")
    scalars = {key: value for line in file.read_text().splitlines() for key, value in json.loads(line).items()}
    mean = scalars["town/source/mIoU"]
    assert 0 < mean < 1
    assert scalars["town/set/consistency"] == measured["town"].figures()["set/consistency"]
    assert [scalars[f"both/{name}/mIoU"] for name in ("park", "park#2")] == [mean, mean]
    assert "town/park/mIoU" not in scalars


@OF_OTHERS
def test_wandb_offline_and_what_it_does_not_take(tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="pip install wandb")
    wrong = training(tmp_path / "wrong", dict(type="WandbVisBackend", init_kwargs=dict(mode="nowhere")))
    with pytest.raises(ConfigError, match=r"`visualizer` cannot be used as it is: .*mode"):
        train(wrong, quiet=True)
    train(training(tmp_path, dict(type="WandbVisBackend", init_kwargs=dict(mode="offline"))), quiet=True)
    (run,) = (tmp_path / "work").glob("*/vis_data/wandb/offline-run-*")
    names = sorted(path.name.split("_")[1] for path in run.glob("files/media/images/panels_*"))
    assert names == sorted(NAMES * 2)


@OF_OTHERS
def test_clearml_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clearml = pytest.importorskip("clearml", reason="pip install clearml")
    clearml.Task.set_offline(offline_mode=True)
    settings = dict(project_name="lsu", task_name="test", auto_connect_frameworks=False, auto_resource_monitoring=False)
    monkeypatch.setenv("CLEARML_CACHE_DIR", str(tmp_path / "clearml"))
    train(training(tmp_path, dict(type="ClearMLVisBackend", init_kwargs=settings)), quiet=True)
