"""`lsu-seg evaluate` on a trained model and drawn scenes: against a second, plain way, and on several ranks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from mmengine.config import Config
from mmengine.device import get_device
from sklearn.metrics import confusion_matrix, jaccard_score

import lsu_onto
from helpers.forkserver import Server
from helpers.hf import SEGFORMER, built, folder, model
from helpers.tiny import LOAD, model_config, read, save, save_checkpoint
from lsu_seg.cli import main
from lsu_seg.commands.demo import DEMO
from lsu_seg.demo.relabel import coarsen, encode
from lsu_seg.demo.scenes import CLASSES, STYLES, draw_scene
from lsu_seg.errors import ConfigError
from lsu_seg.evaluation.run import measure
from lsu_seg.openmmlab.config import load_config
from lsu_seg.pseudo.run import pseudo_label
from lsu_seg.training.run import train

SIZES = [(96, 192), (70, 130), (96, 192), (64, 100), (130, 70), (96, 192), (96, 192)]
"""Of the 7 scenes of `fine`; `town` has the first 2."""

TOWN = ["drivable", "pavement", "green", "structure", "sky", "furniture", "vehicle", "vulnerable"]
ROW = {
    "road": "drivable",
    "lane_marking": "drivable",
    "sidewalk": "pavement",
    "tree": "green",
    "building": "structure",
    "wall": "structure",
    "fence": "structure",
    "sky": "sky",
    "pole": "furniture",
    "traffic_sign": "furniture",
    "car": "vehicle",
    "truck": "vehicle",
    "person": "vulnerable",
    "bicycle": "vulnerable",
}
"""demo_town.tax, by hand: what a predicted class means there. Grass may be pavement or green."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes, a model that trained a little on some of them, and its config, `config.py`."""
    root = tmp_path_factory.mktemp("world")
    town = lsu_onto.load("demo_town", "demo")

    def scene(seed: int, style: str, place: str, size: tuple[int, int]) -> np.ndarray:
        image, labels = draw_scene(np.random.default_rng(seed), STYLES[style], *size)
        save(root / f"{place}/{seed}.png", image)
        return labels

    for seed in range(4):
        save(root / f"fine/labels/train/{seed}.png", scene(seed, "source", "fine/images/train", (96, 192)))
    for seed, size in enumerate(SIZES, 10):
        save(root / f"fine/labels/val/{seed}.png", scene(seed, "source", "fine/images/val", size))
    for seed, size in enumerate(SIZES[:2], 20):
        rows = coarsen(scene(seed, "town", "town/images/val", size), town, np.random.default_rng(seed))
        save(root / f"town/labels/val/{seed}.png", encode(rows, town))

    cfg = load_config(DEMO)
    cfg.work_dir, cfg.log_level, cfg.randomness = str(root / "run"), "WARNING", dict(seed=0)
    cfg.train_cfg.max_iters, cfg.train_cfg.val_interval = 60, 100
    for dataset in (cfg.train_dataloader.dataset.datasets[0], cfg.val_dataloader.dataset):
        dataset.data_root, dataset.split = str(root / "fine"), "train"
    fine = dict(type="TaxDataset", taxonomy="demo", data_root=str(root / "fine"), split="val")
    coarse = dict(type="TaxDataset", taxonomy="demo_town", data_root=str(root / "town"), split="val")
    cfg.unify = dict(evaluate=dict(fine=fine, town=coarse))
    cfg.dump(root / "config.py")
    stored = torch.load(train(cfg, quiet=True), weights_only=False)
    # Some grass, which in town may be two things, and which so short a training never predicts.
    stored["state_dict"]["decode_head.conv_seg.bias"][CLASSES.index("grass")] += 3
    torch.save(stored, root / "model.pth")
    return root


def arguments(world: Path, out: Path) -> list[str]:
    return [
        str(world / "config.py"),
        str(world / "model.pth"),
        "-o",
        str(out),
        "--work-dir",
        str(out / "log"),
    ]


@pytest.fixture(scope="module")
def alone(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command writes in one process."""
    out = tmp_path_factory.mktemp("alone")
    done = CliRunner().invoke(main, ["evaluate", *arguments(world, out)])
    assert done.exit_code == 0, done.output
    return out


@pytest.fixture(scope="module")
def predicted(world: Path) -> dict[str, np.ndarray]:
    """The labels that MMSegmentation's own inference gives, image by image: `fine/10` → `[H, W]`."""
    from mmseg.apis import inference_model, init_model

    cfg = Config.fromfile(world / "config.py")
    cfg.test_pipeline = [dict(type="LoadImageFromFile"), dict(type="PackSegInputs")]
    model = init_model(cfg, str(world / "model.pth"), device=get_device())
    files = sorted(world.glob("*/images/val/*.png"))
    found = {f"{f.parts[-4]}/{f.stem}": inference_model(model, str(f)) for f in files}
    return {key: sample.pred_sem_seg.data[0].cpu().numpy() for key, sample in found.items()}


def pixels(world: Path, predicted: dict[str, np.ndarray], dataset: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Raw values of the label files and predictions, image by image, flat."""
    for key, labels in predicted.items():
        if key.startswith(dataset):
            raw = read(world / dataset / f"labels/val/{key.partition('/')[2]}.png")
            assert raw.shape == labels.shape
            yield raw.ravel(), labels.ravel()


def view(out: Path, dataset: str, name: str) -> dict[str, Any]:
    part: dict[str, Any] = json.loads((out / "evaluation.json").read_text())["sets"][dataset]["views"][name]
    return part


def test_another_precision_is_stated(world: Path, alone: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["evaluate", *arguments(world, tmp_path), "--precision", "bf16"])
    assert done.exit_code == 0, done.output
    exact, other = (json.loads((out / "evaluation.json").read_text()) for out in (alone, tmp_path))
    assert (exact["model"]["precision"], other["model"]["precision"]) == ("fp32", "bf16")
    first, second = (np.array(one["sets"]["fine"]["views"]["source"]["matrix"]) for one in (exact, other))
    assert 0 < np.abs(first - second).sum() / 2 < 0.05 * first.sum()


@pytest.mark.slow
def test_a_network_is_compiled_for_the_first_image(world: Path, alone: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["evaluate", *arguments(world, tmp_path), "--compile"])
    assert done.exit_code == 0, done.output
    assert "cannot be compiled" not in done.stderr
    exact, other = (json.loads((out / "evaluation.json").read_text()) for out in (alone, tmp_path))
    first, second = (np.array(one["sets"]["fine"]["views"]["source"]["matrix"]) for one in (exact, other))
    assert np.abs(first - second).sum() / 2 < 1e-3 * first.sum()


def test_a_second_way_finds_the_same_in_the_source_view(
    world: Path, alone: Path, predicted: dict[str, np.ndarray]
) -> None:
    raw, labels = map(np.concatenate, zip(*pixels(world, predicted, "fine"), strict=True))
    assert len(np.unique(labels)) > 4  # the model has learnt something
    truth, guess = raw[raw != 255], labels[raw != 255]
    found = view(alone, "fine", "source")
    matrix = np.array(found["matrix"])
    assert np.array_equal(matrix[:-1, :-1], confusion_matrix(truth, guess, labels=range(15)))
    assert not matrix[:, -1].any()
    assert matrix[-1].sum() == found["void_truth"] == (raw == 255).sum() > 0
    assert np.array_equal(matrix[-1, :-1], np.bincount(labels[raw == 255], minlength=15))
    iou = jaccard_score(truth, guess, labels=range(15), average=None, zero_division=0)
    present = np.isin(np.arange(15), truth)
    assert [c["name"] for c in found["classes"]] == list(CLASSES)
    assert [c["iou"] for c in found["classes"]] == pytest.approx(
        [i if p else None for i, p in zip(iou, present, strict=True)]
    )
    assert found["miou"] == pytest.approx(iou[present].mean())
    assert 0.05 < found["miou"] < 0.95
    groups = lsu_onto.load("demo").groups
    assert [g["name"] for g in found["groups"]] == list(groups) and len(groups) > 2
    for group, channels in zip(found["groups"], groups.values(), strict=True):
        both = [np.isin(x, channels) for x in (truth, guess)]
        assert group["iou"] == (pytest.approx(jaccard_score(*both)) if both[0].any() else None)


def test_a_second_way_finds_the_same_in_the_towns_own_classes(
    world: Path, alone: Path, predicted: dict[str, np.ndarray]
) -> None:
    raw, labels = map(np.concatenate, zip(*pixels(world, predicted, "town"), strict=True))
    names = np.array([*TOWN, "none"])
    guess = np.array([ROW.get(name, "none") for name in CLASSES])[labels]
    known = (raw >= 1) & (raw <= 8)
    assert (raw[~known] == 255).all()
    truth, guess = names[raw[known] - 1], guess[known]
    grass = labels[known] == CLASSES.index("grass")
    found = view(alone, "town", "projected")
    matrix = np.array(found["matrix"])
    assert np.array_equal(matrix[:-1], confusion_matrix(truth, guess, labels=names)[:-1])
    assert found["ambiguous"] == grass.sum() > 0
    assert found["void_truth"] == (~known).sum()
    iou = jaccard_score(truth, guess, labels=TOWN, average=None)
    assert [c["iou"] for c in found["classes"]] == pytest.approx(iou)
    assert found["miou"] == pytest.approx(iou.mean())
    # At most: grass on pavement or green is a hit.
    open_ = grass & np.isin(truth, ["pavement", "green"])
    upper = jaccard_score(truth, np.where(open_, truth, guess), labels=TOWN, average=None)
    assert [c["iou_upper"] for c in found["classes"]] == pytest.approx(upper)
    # In S(d): the class that it implies, or grass where that may be.
    consistent = view(alone, "town", "set")
    assert consistent["consistency"] == pytest.approx(((truth == guess) | open_).mean())
    assert consistent["pixels"] == known.sum()


@pytest.mark.parametrize("ranks", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_ranks_write_the_bytes_of_one(server: Server, ranks: int, world: Path, alone: Path, tmp_path: Path) -> None:
    """7 and 2 images: no image twice so that all have equally many, and a rank without an image."""
    started = server.ranks(tmp_path, ranks, "evaluate", *arguments(world, tmp_path), "--launcher", "pytorch")
    assert [rank.wait() for rank in started] == [0] * ranks, [rank.said for rank in started]
    assert sum(rank.said.count("evaluation.json") for rank in started) == 1  # one of them speaks
    assert json.loads((tmp_path / "evaluation.json").read_text())["pooled"]["images"] == 9
    for name in ("evaluation.json", "classes.csv"):
        assert (tmp_path / name).read_bytes() == (alone / name).read_bytes()
    with np.load(alone / "evaluation.npz") as one, np.load(tmp_path / "evaluation.npz") as other:
        assert one.files == other.files
        assert all(np.array_equal(one[key], other[key]) for key in one.files)
    pictures = sorted(f.name for f in alone.glob("*.png"))
    assert pictures == sorted(f.name for f in tmp_path.glob("*.png"))
    assert all(np.array_equal(read(alone / f), read(tmp_path / f)) for f in pictures)


def test_a_model_compared_with_itself(alone: Path) -> None:
    file = str(alone / "evaluation.json")
    done = CliRunner().invoke(main, ["compare", file, file])
    assert done.exit_code == 0, done.output
    assert "fine, projected (7 images, paired): as in source\n" in done.output  # and not all of it twice
    assert "town, projected (2 images, paired)\n" in done.output
    assert "]  *" not in done.output


def test_batches_of_the_config_change_nothing(world: Path, alone: Path, tmp_path: Path) -> None:
    """Images have several sizes, which MMSegmentation takes one by one."""
    for size in (1, 4):
        cfg = Config.fromfile(world / "config.py")
        cfg.val_dataloader.batch_size = size
        cfg.work_dir = str(tmp_path)
        found = measure(cfg, world / "model.pth", quiet=True)
        assert found["fine"].matrix("source").tolist() == view(alone, "fine", "source")["matrix"]


def test_labels_in_another_size_are_refused(world: Path, tmp_path: Path) -> None:
    steps = [
        dict(type="LoadImageFromFile"),
        dict(type="LoadTaxAnnotations"),
        dict(type="Resize", scale=(96, 48)),
        dict(type="PackTaxInputs"),
    ]
    cfg = Config.fromfile(world / "config.py")
    cfg.val_dataloader.dataset.pipeline = steps
    cfg.dump(tmp_path / "config.py")
    done = CliRunner().invoke(main, ["evaluate", str(tmp_path / "config.py"), *arguments(world, tmp_path)[1:]])
    assert done.exit_code == 1
    assert "error: " in done.output
    assert "10.png: the prediction has shape (96, 192), the truth (48, 96)" in done.output
    assert "load labels after images were resized" in done.output


def test_a_model_of_other_classes_is_refused(world: Path, tmp_path: Path) -> None:
    stored = torch.load(world / "model.pth", weights_only=False)
    names = stored["meta"]["dataset_meta"]["classes"]
    stored["meta"]["dataset_meta"]["classes"] = [names[1], names[0], *names[2:]]
    torch.save(stored, tmp_path / "swapped.pth")
    done = CliRunner().invoke(
        main,
        ["evaluate", str(world / "config.py"), str(tmp_path / "swapped.pth"), "--work-dir", str(tmp_path)],
    )
    assert done.exit_code == 1
    assert (
        "evaluation set `fine`: the checkpoint's classes differ from the source taxonomy's from channel 0 on"
        in done.output
    )
    assert [path.name for path in tmp_path.iterdir()] == ["swapped.pth"]


# --- configs of a model alone ------------------------------------------------------------------------------


MMSEG = """
default_scope = 'mmseg'
crop = (64, 64)
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(32, 32), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
val_dataloader = dict(batch_size=4, num_workers=0, dataset=dict(
    type='CityscapesDataset', data_root='data/cityscapes', pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
"""


UNLABELLED = MMSEG.replace("    dict(type='LoadAnnotations'),\n", "")
"""As those have it that only predict."""


@pytest.mark.parametrize(
    "more", ["", MMSEG, UNLABELLED], ids=["model alone", "a config of MMSegmentation", "one that reads no labels"]
)
def test_a_teachers_config_is_evaluated_on_named_datasets(park: Path, tmp_path: Path, more: str) -> None:
    """What `pseudo-label --teacher` takes, `evaluate --dataset` takes: labels as they are stored, their source."""
    weights = save_checkpoint(tmp_path / "teacher.pth")
    (tmp_path / "teacher.py").write_text(f"model = {model_config()!r}\n{more}")
    named = ["--dataset", str(park / "tax/tiny.tax"), str(park / "fine"), "val", "--work-dir", str(tmp_path / "work")]
    more_named = ["--dataset", str(park / "tax/park.tax"), str(park / "park"), "train"]
    args = ["evaluate", str(tmp_path / "teacher.py"), str(weights), *named, *more_named]
    done = CliRunner().invoke(main, [*args, "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "out/evaluation.json").read_text())
    whole = Config.fromfile(evaluation(park, tmp_path, model_config()))
    expected = measure(whole, weights, quiet=True)["test"]
    assert report["sets"]["tiny"]["views"]["source"]["matrix"] == expected.matrix("source").tolist()
    assert {"source", "projected", "set"} <= set(report["sets"]["park"]["views"])


def test_a_source_is_said_where_there_are_several(park: Path, tmp_path: Path) -> None:
    (tmp_path / "teacher.py").write_text(f"model = {model_config()!r}\n")
    weights = save_checkpoint(tmp_path / "teacher.pth")
    args = ["evaluate", str(tmp_path / "teacher.py"), str(weights), "--work-dir", str(tmp_path / "work")]
    idd = ["--dataset", "idd", str(park / "park"), "val"]
    for more, code, said in (
        (idd, 1, "say which with `--source`"),
        ([*idd, "--source", "cityscapes"], 1, str(park / "park")),  # found, and the folder is none of its
        ([*idd, *idd], 2, "stands twice"),
        (["--source", "cityscapes"], 2, "`--source` belongs to `--dataset`"),
        ([], 1, "the config has neither `unify.evaluate` nor `test_dataloader`"),
    ):
        done = CliRunner().invoke(main, [*args, *more])
        assert (done.exit_code, said in done.output) == (code, True), done.output


# --- models that bring their weights ---------------------------------------------------------------------


def evaluation(park: Path, root: Path, segmentor: dict[str, Any]) -> Path:
    """A config that evaluates `segmentor` on the fine dataset."""
    dataset = dict(type="TaxDataset", taxonomy=str(park / "tax/tiny.tax"), data_root=str(park / "fine"), split="val")
    cfg = Config(
        dict(
            custom_imports=dict(imports=["lsu_seg"]),
            default_scope="mmseg",
            log_level="ERROR",
            model=segmentor,
            work_dir=str(root / "run"),
            test_evaluator=dict(type="OntologyIoU", source="tiny"),
            test_dataloader=dict(
                batch_size=1, dataset=dict(dataset, pipeline=LOAD), sampler=dict(type="DefaultSampler")
            ),
        ),
        format_python_code=False,
    )
    cfg.dump(root / "evaluate.py")
    return root / "evaluate.py"


def test_a_model_that_brings_its_weights_is_evaluated_without_a_checkpoint(park: Path, tmp_path: Path) -> None:
    path = folder(tmp_path / "f")
    cfg = evaluation(park, tmp_path, dict(type="HFSegmentor", hf=dict(pretrained=str(path))))
    done = CliRunner().invoke(main, ["evaluate", str(cfg), "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "out/evaluation.json").read_text())
    segmentor = built(dict(type="HFSegmentor", hf=dict(pretrained=str(path))))
    torch.save({"state_dict": segmentor.state_dict()}, tmp_path / "same.pth")
    again = measure(Config.fromfile(cfg), tmp_path / "same.pth", quiet=True)["test"]
    assert report["sets"]["test"]["views"]["source"]["matrix"] == again.matrix("source").tolist()
    files = ("config.json", "preprocessor_config.json", "model.safetensors")
    sums = [hashlib.sha256((path / f).read_bytes()).hexdigest() for f in files]
    weights = {"checkpoint": str(path), "sha256": " ".join(sums)}
    assert report["model"] == {"config": "evaluate.py", **weights, "precision": "fp32", "compile": False}


def test_random_weights_are_neither_evaluated_nor_label(park: Path, tmp_path: Path) -> None:
    cfg = evaluation(park, tmp_path, model(SEGFORMER))
    done = CliRunner().invoke(main, ["evaluate", str(cfg), "-o", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "random weights: give the CHECKPOINT of a trained one" in done.output
    path = folder(tmp_path / "f")
    headless = dict(type="HFSegmentor", hf=dict(pretrained=str(path)), num_classes=6)
    cfg = evaluation(park, tmp_path, headless)
    done = CliRunner().invoke(main, ["evaluate", str(cfg), "-o", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert f"{path} has another number of classes" in done.output
    assert "give the CHECKPOINT" in done.output
    label = Config.fromfile(cfg)
    label.test_dataloader.dataset.update(
        taxonomy=str(park / "tax/park.tax"), data_root=str(park / "park"), split="train"
    )
    label.test_cfg = dict(type="PseudoLabelLoop", out_dir=str(tmp_path / "labels"))
    with pytest.raises(ConfigError, match="the model's head has random weights"):
        pseudo_label(label, None, quiet=True)
