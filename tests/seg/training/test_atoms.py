"""A student on a universal source: no dataset names its classes, no teacher labels anything, and it learns them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from mmengine.config import Config
from mmengine.registry import init_default_scope

from helpers.tiny import LAYOUT, model_config, save
from lsu_seg.cli import main
from lsu_seg.openmmlab.config import load_config
from lsu_seg.training.run import train

UNIVERSAL = f"""\
tax 1
source universal v1
{LAYOUT}void: 255

0  car    #000000
1  truck  #ff0000
2  kerb   #00ff00
3  house  #0000ff

dataset uses v1 -> universal v1
{LAYOUT}void: 255

1  vehicle  > car truck
2  ground   > kerb house

dataset looks v1 -> universal v1
{LAYOUT}void: 255

1  low   > car kerb
2  tall  > truck house

dataset some v1 -> universal v1
{LAYOUT}void: 255

1  rolling  ~ car truck
2  other    > kerb house ~ car truck

dataset narrow v1 -> universal v1
{LAYOUT}void: 255

1  vehicle  > car truck
2  kerb     = kerb
"""
COLOURS = np.array([[40, 40, 40], [200, 40, 40], [40, 200, 40], [40, 40, 200]])
RAW = {"uses": [1, 1, 2, 2], "looks": [1, 2, 1, 2], "some": [1, 1, 2, 2], "universal": [0, 1, 2, 3]}
"""The raw value of each atom's pixels in the label files."""


def draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """An image in which each atom has a colour, and its atoms."""
    rng = np.random.default_rng(seed)
    atoms = np.kron(rng.integers(0, 4, (4, 4)), np.ones((8, 8), int))
    return np.clip(COLOURS[atoms] + rng.integers(-20, 20, (32, 32, 3)), 0, 255).astype(np.uint8), atoms


def page_config(root: Path) -> Config:
    """The config of docs/map-algebra.md, for the folders of this world and its four atoms."""
    repository = Path(__file__).parents[3]
    page = (repository / "docs/map-algebra.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```python\n(_base_.*?)^```$", page, re.M | re.S)
    for old, new in ("lsu_seg/configs", repository / "lsu_seg/configs"), ("data/", f"{root}/"):
        assert f'"{old}' in text
        text = text.replace(f'"{old}', f'"{new}')
    (root / "page.py").write_text(text)
    return load_config(root / "page.py")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes of both datasets, and a student that `lsu-seg train` has trained on them: `model.pth`."""
    root = tmp_path_factory.mktemp("world")
    (root / "universal.tax").write_text(UNIVERSAL)
    for number, (name, raw) in enumerate(RAW.items()):
        for split, seeds in ("train", range(4)), ("val", range(4, 6)):
            for seed in seeds:
                image, atoms = draw(10 * number + seed)
                save(root / f"{name}/images/{split}/{seed}.png", image)
                save(root / f"{name}/labels/{split}/{seed}.png", np.array(raw, np.uint8)[atoms])
    cfg = page_config(root)
    model = model_config(4)
    model["decode_head"]["loss_decode"] = cfg.model.decode_head.loss_decode
    cfg.model = model
    cfg.optim_wrapper = dict(optimizer=dict(type="AdamW", lr=3e-2))
    cfg.param_scheduler, cfg.randomness, cfg.log_level = [], dict(seed=0), "WARNING"
    cfg.train_cfg.max_iters = cfg.train_cfg.val_interval = 40
    cfg.dump(root / "student.py")
    done = run("train", root / "student.py", "--work-dir", root / "run", "--path", root)
    Path(done.splitlines()[-1]).rename(root / "model.pth")
    return root


def run(*args: object) -> str:
    init_default_scope("mmseg")
    done = CliRunner().invoke(main, [str(a) for a in args])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def judged(world: Path) -> tuple[dict[str, Any], str]:
    """What `lsu-seg evaluate` writes of the student's evaluation on each dataset, and what it says."""
    datasets = [word for name in RAW for word in ("--dataset", name, world / name, "val")]
    model = world / "student.py", world / "model.pth"
    folders = "-o", world / "out", "--work-dir", world / "log"
    said = run("evaluate", *model, *datasets, "--source", "universal", "--path", world, *folders)
    return json.loads((world / "out/evaluation.json").read_text())["sets"], said


def test_it_tells_apart_what_no_dataset_names(judged: tuple[dict[str, Any], str]) -> None:
    classes = judged[0]["universal"]["views"]["source"]["classes"]
    assert [c["name"] for c in classes] == ["car", "truck", "kerb", "house"]
    assert min(c["iou"] for c in classes) > 0.9


def test_it_is_judged_in_the_classes_of_each_dataset(judged: tuple[dict[str, Any], str]) -> None:
    sets, said = judged
    implied = {}
    for name in ("uses", "looks"):
        view = sets[name]["views"]["projected"]
        implied |= {c["name"]: c["certain"] for c in view["classes"]}
        assert view["miou"] > 0.9 and view["miou"] == view["miou_upper"] and view["ambiguous"] == 0
        assert sets[name]["views"]["source"]["present"] == 0, "no label of a coarse dataset is an atom"
    assert implied == {
        "vehicle": ["car", "truck"],
        "ground": ["kerb", "house"],
        "low": ["car", "kerb"],
        "tall": ["truck", "house"],
    }
    lines = said.splitlines()
    assert not any("at most" in line for line in lines if line.split()[:1] in (["uses"], ["looks"]))


def test_where_an_atom_is_of_no_single_class_the_evaluation_says_so(judged: tuple[dict[str, Any], str]) -> None:
    """As with atoms that were merged although a dataset names them apart."""
    sets, said = judged
    view = sets["some"]["views"]["projected"]
    rolling, other = view["classes"]
    assert (rolling["certain"], rolling["possible"], rolling["scored"]) == ([], ["car", "truck"], False)
    assert (other["certain"], other["possible"]) == (["kerb", "house"], ["car", "truck"])
    counted = sum(row[-1] for row in view["matrix"][:-1])
    assert view["ambiguous"] == counted > 0
    assert view["miou"] == other["iou"] > 0.9 and rolling["iou"] == 0
    (line,) = (line for line in said.splitlines() if line.split()[:1] == ["some"])
    assert "; 1 of 2 classes" in line


def test_a_training_says_which_atoms_nothing_teaches(world: Path, tmp_path: Path) -> None:
    cfg = load_config(world / "student.py")
    datasets = cfg.train_dataloader.dataset.datasets
    del datasets[1:]
    datasets[0].update(taxonomy="narrow", paths=[str(world)])  # the files of `uses`, which know less
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.work_dir, cfg.train_cfg.max_iters = str(tmp_path), 1
    train(cfg, quiet=True)
    assert warnings(tmp_path) == [
        "no label of the training datasets may be `house`: nothing teaches the model what that is",
        "every label of the training datasets that may be one of `car` and `truck` may be each of them: nothing teaches"
        " the model to tell them apart",
    ]
    assert warnings(world / "run") == [], "`uses` and `looks` together teach all"


def warnings(folder: Path) -> list[str]:
    (log,) = folder.glob("*/*.log")
    return [line.partition("WARNING - ")[2] for line in log.read_text().splitlines() if "nothing teaches" in line]
