"""Pseudo-labels made anew during training, by the student's moving average."""

from __future__ import annotations

import contextlib
import copy
import gc
import random
import shutil
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dist import is_distributed, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import MessageHub, MMLogger
from mmengine.model import MomentumAnnealingEMA
from mmengine.runner import EpochBasedTrainLoop

from lsu_seg.data.datasets import CompoundDataset, TaxDataset
from lsu_seg.openmmlab.registry import HOOKS, register
from lsu_seg.pseudo.run import pseudo_label
from lsu_seg.training.checks import DisagreementError
from lsu_seg.training.ontology import log_thresholds


@register(HOOKS)
class TeacherRefreshHook(Hook):
    """Every few epochs the student's moving average labels the pseudo-labelled datasets again (mean teacher).

    `custom_hooks = [dict(type='TeacherRefreshHook', every=5)]`, or `refresh=dict(every=5)` in a `unify` section. Labels
    stay inside the constraints. They go to `WORK_DIR/refresh/EPOCHS/DATASET`, beside the weights that made them
    (`teacher.pth`); what an earlier teacher made is kept. Training goes on as if it had not been interrupted: the same
    images, the same random numbers. A checkpoint holds the average, and a resumed training goes on with the labels that
    it had.

    Args:
        every: epochs from one labelling to the next, and to the first. Where training counts iterations, an epoch is as
            many batches as the sampler's length gives. None follow the last one.
        views: how the average looks at images: arguments of `PseudoLabelLoop`, such as `dict(scales=(1.0, 1.5))`.
        pipeline: of the images to label; by default that of `val_dataloader`.
        momentum: the share of the newest weights in the average, once 100 / momentum iterations are over; before, it is
            100 / (100 + iterations).

    Raises:
        DisagreementError: before training: nothing is pseudo-labelled, or it is not known how.
    """

    priority = "NORMAL"  # before the CheckpointHook, which saves what is in use

    def __init__(
        self,
        every: int,
        views: dict[str, Any] | None = None,
        pipeline: Sequence[dict[str, Any]] | None = None,
        momentum: float = 0.001,
    ) -> None:
        if every < 1:
            raise DisagreementError(f"`every` of the TeacherRefreshHook is {every}; expected epochs, 1 or more")
        if not 0 < momentum <= 1:
            raise DisagreementError(f"`momentum` of the TeacherRefreshHook is {momentum}; expected above 0, to 1")
        self.every, self.views, self.pipeline, self.momentum = every, dict(views or {}), pipeline, momentum
        self._in_use = 0
        self._saved: dict[str, Any] = {}
        self._ranks: Any = None

    # --- mmengine's hooks ----------------------------------------------------------------------------------

    def before_train(self, runner: Any) -> None:
        self._model = getattr(runner.model, "module", runner.model)
        self._average = MomentumAnnealingEMA(self._model, self.momentum, update_buffers=True)
        self._check(runner)
        if is_distributed():
            # One rank may wait for another's images for longer than a training's group of processes would let it.
            self._ranks = torch.distributed.new_group(backend="gloo", timeout=timedelta(days=7))
        if self._saved:
            self._average.load_state_dict(self._saved["average"])
            if epochs := self._saved["in_use"]:
                self._use(runner, epochs)
            self._saved = {}

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self._average.update_parameters(self._model)
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            return
        loop, done = runner.train_loop, runner.iter + 1
        period = self.every * len(loop.dataloader)
        if done % period == 0 and done < runner.max_iters:
            self._refresh(runner, done // len(loop.dataloader))
            # Workers that read ahead have the labels from before.
            loop.dataloader.sampler.skip(done * loop.dataloader.batch_size)
            loop.dataloader_iterator = type(loop.dataloader_iterator)(loop.dataloader)

    def after_train_epoch(self, runner: Any) -> None:
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            return
        done = runner.epoch + 1
        if done % self.every == 0 and done < runner.max_epochs:
            self._refresh(runner, done)
            runner.train_loop.dataloader._iterator = None  # of workers that outlive an epoch

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint["teacher_refresh"] = {"average": self._average.state_dict(), "in_use": self._in_use}

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        if runner._resume:
            self._saved = checkpoint.get("teacher_refresh", {})

    # --- labels --------------------------------------------------------------------------------------------

    def _check(self, runner: Any) -> None:
        found = []
        if not self._labelled(runner):
            found.append("no training dataset has pseudo-labels (`labels=…`): leave the hook out")
        if self._pipeline(runner) is None:
            found.append("there is no `val_dataloader` whose pipeline loads images: write `pipeline=[…]`")
        sampler = runner.train_loop.dataloader.sampler
        if not isinstance(runner.train_loop, EpochBasedTrainLoop) and not hasattr(sampler, "skip"):
            found.append(
                f"{type(sampler).__name__} cannot go on in the middle: write `sampler=dict(type='CompoundSampler')`"
            )
        if found:
            lines = "\n".join(f"  - {f}" for f in found)
            raise DisagreementError(f"the TeacherRefreshHook cannot work with this config:\n{lines}")

    def _labelled(self, runner: Any) -> list[tuple[TaxDataset, Any]]:
        """The pseudo-labelled datasets, and their configs."""
        dataset, cfg = runner.train_loop.dataloader.dataset, runner.cfg.train_dataloader.dataset
        members, configs = [dataset], [cfg]
        if isinstance(dataset, CompoundDataset):
            members, configs = dataset.datasets, cfg.datasets
        both = zip(members, configs, strict=True)
        return [(d, c) for d, c in both if isinstance(d, TaxDataset) and d.pseudo]

    def _pipeline(self, runner: Any) -> Any:
        if self.pipeline is not None:
            return self.pipeline
        return ((runner.cfg.get("val_dataloader") or {}).get("dataset") or {}).get("pipeline")

    def _refresh(self, runner: Any, epochs: int) -> None:
        folder = _folder(runner, epochs)
        teacher = folder / "teacher.pth"
        if is_main_process():
            # Left by a training that was stopped and goes on from an earlier checkpoint.
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            meta = {"dataset_meta": runner.train_loop.dataloader.dataset.metainfo}
            torch.save({"state_dict": self._average.module.state_dict(), "meta": meta}, teacher)
        self._wait()
        for dataset, config in self._labelled(runner):
            with _undisturbed(runner):
                found = pseudo_label(self._config(runner, dataset, config, folder), teacher, quiet=True)
            runner.logger.info(f"after {epochs} epochs, `{dataset.name}` labelled anew: {found}")
        self._wait()
        self._use(runner, epochs)

    def _config(self, runner: Any, dataset: TaxDataset, config: Any, folder: Path) -> Config:
        """Of a run that labels one dataset; as the teacher's, without what is about training."""
        cfg = Config(copy.deepcopy(runner.cfg.to_dict()), cfg_text="#", filename=f"{dataset.name}.py")
        cfg.work_dir, cfg.custom_hooks, cfg.resume = str(folder / "log"), [], False
        loader = copy.deepcopy(cfg.get("val_dataloader") or cfg.train_dataloader)
        loader.pop("batch_sampler", None)
        target = {"type": "TaxDataset", "source": dataset.constraint.source, **copy.deepcopy(config)}
        for key in ("labels", "threshold", "unsure", "weight", "loss_weight"):
            target.pop(key, None)
        cfg.test_dataloader = dict(
            batch_size=(cfg.get("val_dataloader") or {}).get("batch_size", 1),
            num_workers=loader.get("num_workers", 0),
            sampler=dict(type="DefaultSampler", shuffle=False),
            dataset={**target, "pipeline": copy.deepcopy(self._pipeline(runner))},
        )
        cfg.test_cfg = dict(
            type="PseudoLabelLoop",
            out_dir=str(folder / dataset.name),
            confidence=dataset.needs_confidence,
            title=f"new labels of {dataset.name}",
            **self.views,
        )
        return cfg

    def _use(self, runner: Any, epochs: int) -> None:
        members = [dataset for dataset, _ in self._labelled(runner)]
        for dataset in members:
            dataset.use_labels(_folder(runner, epochs) / dataset.name)
        log_thresholds(runner, members)
        self._in_use = epochs

    def _wait(self) -> None:
        if self._ranks is not None:
            torch.distributed.barrier(self._ranks)


def _folder(runner: Any, epochs: int) -> Path:
    return Path(runner.work_dir) / "refresh" / str(epochs)


@contextlib.contextmanager
def _undisturbed(runner: Any) -> Iterator[None]:
    """After another Runner ran, what mmengine keeps for the whole process is this training's again."""
    python, numpy = random.getstate(), np.random.get_state()
    current = {kind: dict(kind._instance_dict) for kind in (MMLogger, MessageHub)}
    training = runner.model.training
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            for name, logger in MMLogger._instance_dict.items():
                if name not in current[MMLogger]:
                    for handler in logger.handlers:
                        handler.close()  # or else the other Runner's log stays open
            for kind, instances in current.items():
                kind._instance_dict.clear()
                kind._instance_dict.update(instances)
            random.setstate(python)
            np.random.set_state(numpy)
            runner.model.train(training)
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
