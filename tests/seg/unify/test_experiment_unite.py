"""`tools/experiments/unite.py` from end to end, with a model of a few hundred weights and two steps."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from mmengine.config import Config

sys.path.insert(0, str(Path(__file__).parents[3] / "tools" / "experiments"))

import unite
from unite_scenes.judge import Spaces
from unite_scenes.scenes import ATOMS, DATASETS, TAXONOMIES, find_taxonomy

import lsu_onto
from helpers.tiny import LOAD, model_config
from lsu_onto.cli import main
from lsu_seg.openmmlab.config import load_config

WAYS = ("atoms", "teachers")


def config() -> Config:
    cfg = load_config(unite.CONFIG)
    cfg.model = model_config(15)
    cfg.optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-2))
    cfg.param_scheduler = []
    cfg.train_cfg.max_iters = 4
    cfg.train_dataloader.dataset.pipeline = LOAD
    cfg.unify.views = {}
    return cfg


def test_from_scenes_to_the_table(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = tmp_path / "work", [3], WAYS
    results = unite.experiment(config(), *arguments, images=2, judged=1)
    for place in ("seen", "unseen"):
        for way in WAYS:
            found = results["seeds"]["3"][place][way]
            sizes = {space: len(one["per_class"]) for space, one in found.items()}
            assert sizes == {"fine": 15, "uses": 7, "looks": 8, "unnamed": 12}
            assert all(0 <= one["miou"] <= 1 for one in found.values())
    lines = unite.table(results).splitlines()
    assert len(lines) == 2 + len(WAYS)
    assert [line.split("|")[2] for line in lines[2:]] == [" 1 ", " 2 "], "networks"

    student = Config.fromfile(tmp_path / "work/seed3/uses_student/uses_student.py")
    own, other = student.train_dataloader.dataset.datasets
    assert own.taxonomy == own.source == other.source == "uses" and other.taxonomy == "looks"
    assert "labels" not in own and list(Path(other.labels).rglob("*.png"))
    assert student.load_from.endswith("seed3/uses_teacher/iter_1.pth")
    capsys.readouterr()
    assert json.dumps(unite.experiment(config(), *arguments, images=2, judged=1)) == json.dumps(results)
    assert capsys.readouterr().out.count("reused") == 2 + 5 + 2, "data, judgement, networks, labels"


def test_fine_labels_are_the_same_in_every_label_space() -> None:
    """Somebody who knows the fine class of each pixel makes no mistake in any of them, whichever way it is asked."""
    spaces = Spaces()
    fine = torch.arange(15)[None]
    sure = torch.eye(15)[:, None]  # [15, 1, 15]
    two = [
        torch.nn.functional.one_hot(spaces.truth(fine, d), len(spaces.names[d])).permute(2, 0, 1)
        for d in ("uses", "looks")
    ]
    for own in spaces.predict([sure]), spaces.predict([t.float() for t in two]):
        for space in spaces.names:
            assert own[space].tolist() == spaces.truth(fine, space).tolist()
    assert {*spaces.names["fine"]} - {*spaces.unnamed} == {"person", "tree", "sky"}
    truck = spaces.names["fine"].index("truck")
    assert [spaces.names[d][spaces.truth(fine, d)[0, truck]] for d in ("uses", "looks")] == ["vehicle", "bulk"]


def test_the_atoms_are_those_that_unite_makes_of_the_datasets(tmp_path: Path) -> None:
    through = [word for d in DATASETS for word in ("--through", d)]
    folder, out = str(TAXONOMIES / "datasets"), str(tmp_path / "universal.tax")
    done = CliRunner().invoke(main, ["unite", *DATASETS, *through, "--path", folder, "-o", out])
    assert done.exit_code == 0, done.output
    for name in DATASETS:
        made, shipped = lsu_onto.load(name, ATOMS, [tmp_path, folder]), find_taxonomy(name, ATOMS)
        assert {c: set(made.names(c)) for c in made.classes} == {c: set(shipped.names(c)) for c in shipped.classes}
