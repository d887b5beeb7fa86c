"""Which table of sets a loss has: that of the datasets whose targets it sees, in every situation of a training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from helpers.students import student_config
from helpers.tiny import LOAD, VOID, write_tax
from lsu_seg.openmmlab.runner import build_runner
from lsu_seg.targets import TargetError, TargetSet, TargetTable
from lsu_seg.training.refresh import _undisturbed


@pytest.fixture(autouse=True)
def scope() -> None:
    init_default_scope("mmseg")


class Watch(Hook):
    """Looks at every batch and at the table that the loss has for it; once, does something else in between."""

    priority = "VERY_LOW"

    def __init__(self, between: Callable[[], object] = lambda: None) -> None:
        self.between, self.said, self.tables, self.losses = between, set(), [], []

    def look(self, runner: Any, data_batch: Any) -> None:
        table: TargetTable = runner.model.decode_head.loss_decode.table
        self.tables.append(table)
        targets = torch.cat([s.gt_sem_seg.data.unique() for s in data_batch["data_samples"]])
        self.said |= {table.entries[number - table.first] for number in targets.tolist() if number > VOID}

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if batch_idx == 1:
            with _undisturbed(runner):
                self.between()
        self.look(runner, data_batch)

    def before_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        self.look(runner, data_batch)
        batch = runner.model.data_preprocessor(data_batch)
        self.losses.append(runner.model(**batch, mode="loss")["decode.loss_set_nll"].item())


def watched(cfg: Config, watch: Watch, resume: bool = False) -> Any:
    cfg.custom_hooks, cfg.resume = [dict(type="OntologyHook")], resume
    runner = build_runner(cfg, quiet=True)
    runner.register_hook(watch)
    runner.train()
    return runner.model


def light(root: Path, **options: Any) -> Config:
    """A student whose sets have other numbers than those of `student_config`, and mean the same."""
    cfg = student_config(root, **options)
    cfg.train_dataloader.dataset.datasets[1].loss_weight = 0.25
    cfg.train_dataloader.dataset.datasets[0].threshold = 0.5
    return cfg


EITHER = TargetSet((1, 2))
CLASSES = 0, 1, 2, 3, 4


def test_two_trainings_in_one_process_have_tables_of_their_own(tmp_path: Path) -> None:
    """Of one source; one of them begins and ends while the other is under way. So with workers."""
    inner, outer = Watch(), Watch()
    outer.between = lambda: watched(light(tmp_path / "b"), inner)
    cfg = student_config(tmp_path / "a")
    cfg.train_dataloader.num_workers = 1
    model = watched(cfg, outer)
    assert len(set(outer.tables)) == len(set(inner.tables)) == 1
    assert outer.tables[0] != inner.tables[0]
    assert outer.said <= {TargetSet((c,), 0.5) for c in CLASSES} | {TargetSet((1, 2), 0.5)}
    assert inner.said <= {TargetSet((c,), 0.25) for c in CLASSES} | {TargetSet((1, 2), 0.25), EITHER}
    assert TargetSet((1, 2), 0.5) in outer.said
    assert TargetSet((1, 2), 0.25) in inner.said
    assert not any("loss" in key for key in model.state_dict()), "a table is no part of a checkpoint"
    assert model.decode_head.loss_decode.table is None, "the training is over"


def test_a_resumed_training_has_it(tmp_path: Path) -> None:
    whole, resumed = Watch(), Watch()
    watched(student_config(tmp_path, iterations=1), whole)
    (tmp_path / "work/last_checkpoint").write_text(str(tmp_path / "work/iter_1.pth"))
    cfg = student_config(tmp_path, iterations=3)
    cfg.load_from = str(tmp_path / "work/iter_1.pth")
    watched(cfg, resumed, resume=True)
    assert len(resumed.tables) == 2
    assert set(resumed.tables) == set(whole.tables)


def test_in_validation_it_is_that_of_the_validation_set(tmp_path: Path) -> None:
    cfg, watch = student_config(tmp_path, iterations=2), Watch()
    own = dict(type="TaxDataset", taxonomy=write_tax(tmp_path / "tax"), data_root=str(tmp_path / "park"))
    own.update(source="tiny", split="train", threshold=0.5, pipeline=LOAD)
    cfg.val_dataloader = dict(batch_size=1, sampler=dict(type="DefaultSampler", shuffle=False), dataset=own)
    cfg.val_cfg, cfg.val_evaluator = dict(type="ValLoop"), dict(type="OntologyIoU", source="tiny", views=("set",))
    cfg.train_cfg.val_interval = 1
    model = watched(cfg, watch)
    train_table, val_table = watch.tables[0], watch.tables[1]
    assert watch.tables == [train_table, *[val_table] * 3] * 2
    assert val_table.entries == (EITHER,)
    assert val_table.number(*EITHER) == train_table.first
    assert train_table.entries[0] == TargetSet((0,), 0.5)  # the same number, another meaning
    assert len(watch.losses) == 6
    assert model.decode_head.loss_decode.table is None


def test_without_the_hook_the_first_set_is_refused(tmp_path: Path) -> None:
    runner = Runner.from_cfg(student_config(tmp_path))
    with pytest.raises(TargetError, match=r"SetNLLLoss was given no table of sets: write `custom_hooks = \[dict\(type"):
        runner.train()
