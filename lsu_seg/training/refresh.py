"""Make pseudo-labels again during training, with the student's moving average as the teacher."""

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

from lsu_onto import make_folder, ran_out
from lsu_seg.data.compound import compound_of
from lsu_seg.data.datasets import TaxDataset
from lsu_seg.openmmlab.registry import HOOKS, register
from lsu_seg.pseudo.corrections import corrections_of
from lsu_seg.pseudo.run import pseudo_label
from lsu_seg.pseudo.settings import check_views
from lsu_seg.training.checks import DisagreementError
from lsu_seg.training.ontology import log_thresholds


@register(HOOKS)
class TeacherRefreshHook(Hook):
    """Let the student's moving average relabel the pseudo-labelled datasets every few epochs (mean teacher).

    Write `custom_hooks = [dict(type='TeacherRefreshHook', every=5)]`, or `refresh=dict(every=5)` in a `unify` section.
    Labels stay within the constraints. They are written to `WORK_DIR/refresh/EPOCHS/DATASET`, beside the weights that
    made them (`teacher.pth`); labels of earlier teachers are kept. Training then continues as if it had not been
    interrupted, with the same images and the same random numbers. A checkpoint includes the average, and a resumed
    training continues with the labels that were in use.

    Args:
        every: number of epochs before the first labelling, and between labellings. If training counts iterations, an
            epoch is the number of batches that results from the sampler's length. There is no labelling after the last
            epoch.
        views: how the average looks at images: arguments of `PseudoLabelLoop`, such as `dict(scales=(1.0, 1.5))`.
        pipeline: the pipeline of the images to label; by default that of `val_dataloader`.
        momentum: the weight of the newest parameters in the average. While 100 / (100 + iterations) is larger, that is
            the weight instead.

    Raises:
        ConfigError: `views` has what a `PseudoLabelLoop` does not take.
        DisagreementError: `every` or `momentum` is out of range; before training: no dataset has pseudo-labels, there
            is no pipeline, or the sampler cannot skip samples.
    """

    priority = "NORMAL"  # before the CheckpointHook, which saves which labels are in use

    def __init__(
        self,
        every: int,
        views: dict[str, Any] | None = None,
        pipeline: Sequence[dict[str, Any]] | None = None,
        momentum: float = 0.001,
    ) -> None:
        if not isinstance(every, int) or every < 1:
            raise DisagreementError(f"`every` of the TeacherRefreshHook is {every}; expected epochs, 1 or more")
        if not 0 < momentum <= 1:
            raise DisagreementError(f"`momentum` of the TeacherRefreshHook is {momentum}; expected above 0, to 1")
        check_views("views", views or {})
        self.every, self.views, self.pipeline, self.momentum = every, dict(views or {}), pipeline, momentum
        self._in_use = 0
        self._saved: dict[str, Any] = {}
        self._ranks: Any = None

    # --- mmengine's hooks ----------------------------------------------------------------------------------

    def before_train(self, runner: Any) -> None:
        self._model = getattr(runner.model, "module", runner.model)
        try:
            self._average = MomentumAnnealingEMA(self._model, self.momentum, update_buffers=True)
        except RuntimeError as error:  # so of one of TorchScript
            if ran_out(error):
                raise
            said = f"the TeacherRefreshHook labels with a mean of the weights: the model cannot be copied ({error})"
            raise DisagreementError(said) from error
        self._check(runner)
        if is_distributed():
            # One rank may have to wait for another's images longer than the timeout of training's process group.
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
            # Workers that read ahead still have the old labels.
            loop.dataloader.sampler.skip(done * loop.dataloader.batch_size)
            loop.dataloader_iterator = type(loop.dataloader_iterator)(loop.dataloader)

    def after_train_epoch(self, runner: Any) -> None:
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            return
        done = runner.epoch + 1
        if done % self.every == 0 and done < runner.max_epochs:
            self._refresh(runner, done)
            runner.train_loop.dataloader._iterator = None  # persistent workers still have the old labels

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint["teacher_refresh"] = {"average": self._average.state_dict(), "in_use": self._in_use}

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        if runner._resume:
            self._saved = checkpoint.get("teacher_refresh", {})

    # --- labels --------------------------------------------------------------------------------------------

    def _check(self, runner: Any) -> None:
        findings = []
        if not self._labelled(runner):
            findings.append("no training dataset has pseudo-labels (`labels=…`): leave the hook out")
        if self._pipeline(runner) is None:
            findings.append("there is no `val_dataloader` whose pipeline loads images: write `pipeline=[…]`")
        sampler = runner.train_loop.dataloader.sampler
        if not isinstance(runner.train_loop, EpochBasedTrainLoop) and not hasattr(sampler, "skip"):
            findings.append(
                f"{type(sampler).__name__} cannot go on in the middle: write `sampler=dict(type='CompoundSampler')`"
            )
        if findings:
            lines = "\n".join(f"  - {f}" for f in findings)
            raise DisagreementError(f"the TeacherRefreshHook cannot work with this config:\n{lines}")

    def _labelled(self, runner: Any) -> list[tuple[TaxDataset, Any]]:
        """The pseudo-labelled datasets, each with its config."""
        pairs = _with_configs(runner.train_loop.dataloader.dataset, runner.cfg.train_dataloader.dataset)
        return [(dataset, config) for dataset, config in pairs if dataset.pseudo]

    def _pipeline(self, runner: Any) -> Any:
        if self.pipeline is not None:
            return self.pipeline
        return ((runner.cfg.get("val_dataloader") or {}).get("dataset") or {}).get("pipeline")

    def _refresh(self, runner: Any, epochs: int) -> None:
        folder = _folder(runner, epochs)
        teacher = folder / "teacher.pth"
        if is_main_process():
            # Left by a training that was stopped and resumes from an earlier checkpoint.
            shutil.rmtree(folder, ignore_errors=True)
            make_folder(folder)
            meta = {"dataset_meta": runner.train_loop.dataloader.dataset.metainfo}
            # As mmengine's own checkpoints: to be read on machines without a GPU.
            weights = {key: value.cpu() for key, value in self._average.module.state_dict().items()}
            torch.save({"state_dict": weights, "meta": meta}, teacher)
        self._wait()
        for dataset, config in self._labelled(runner):
            with _undisturbed(runner):
                result = pseudo_label(self._config(runner, dataset, config, folder), teacher, quiet=True)
            runner.logger.info(f"after {epochs} epochs, `{dataset.name}` labelled anew: {result}")
        self._wait()
        self._use(runner, epochs)

    def _config(self, runner: Any, dataset: TaxDataset, config: Any, folder: Path) -> Config:
        """The config of a run that labels one dataset: the training's config without what only concerns training."""
        cfg = Config(copy.deepcopy(runner.cfg.to_dict()), cfg_text="#", filename=f"{dataset.name}.py")
        cfg.work_dir, cfg.custom_hooks, cfg.resume = str(folder / "log"), [], False
        cfg.pop("visualizer", None)  # it has no figures, and a service would end the training's run for it
        loader = copy.deepcopy(cfg.get("val_dataloader") or cfg.train_dataloader)
        loader.pop("batch_sampler", None)
        to_label = {"type": "TaxDataset", "source": dataset.constraint.source, **copy.deepcopy(config)}
        for key in ("labels", "threshold", "unsure", "weight", "loss_weight"):
            to_label.pop(key, None)
        cfg.test_dataloader = dict(
            batch_size=(cfg.get("val_dataloader") or {}).get("batch_size", 1),
            num_workers=loader.get("num_workers", 0),
            sampler=dict(type="DefaultSampler", shuffle=False),
            dataset={**to_label, "pipeline": copy.deepcopy(self._pipeline(runner))},
        )
        cfg.test_cfg = dict(
            type="PseudoLabelLoop",
            out_dir=str(folder / dataset.name),
            corrections=str(corrections_of(config["labels"])),
            confidence=dataset.needs_confidence,
            title=f"new labels of {dataset.name}",
            **self.views,
        )
        return cfg

    def _use(self, runner: Any, epochs: int) -> None:
        members = [dataset for dataset, _ in self._labelled(runner)]
        for dataset in members:
            dataset.use_labels(_folder(runner, epochs) / dataset.name)
        if (compound := compound_of(runner.train_loop.dataloader.dataset)) is not None:
            compound.find_rare()
        log_thresholds(runner, members)
        self._in_use = epochs

    def _wait(self) -> None:
        if self._ranks is not None:
            torch.distributed.barrier(self._ranks)


def _with_configs(dataset: Any, config: Any) -> Iterator[tuple[TaxDataset, Any]]:
    """The TaxDatasets inside a dataset, each with its part of the config."""
    if isinstance(dataset, TaxDataset):
        yield dataset, config
    elif "datasets" in config:
        for member, part in zip(dataset.datasets, config["datasets"], strict=True):
            yield from _with_configs(member, part)
    elif "dataset" in config:
        yield from _with_configs(dataset.dataset, config["dataset"])


def _folder(runner: Any, epochs: int) -> Path:
    return Path(runner.work_dir) / "refresh" / str(epochs)


@contextlib.contextmanager
def _undisturbed(runner: Any) -> Iterator[None]:
    """Restore the random state, and what mmengine keeps per process, after another Runner ran in the block."""
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
                        handler.close()  # or a file would stay open for every labelling
            for kind, instances in current.items():
                kind._instance_dict.clear()
                kind._instance_dict.update(instances)
            random.setstate(python)
            np.random.set_state(numpy)
            runner.model.train(training)
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
