"""One training: an MMSeg config in, its last checkpoint out."""

from __future__ import annotations

import contextlib
import copy
import os
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log

from lsu_onto import open_to_read
from lsu_seg.errors import ConfigError
from lsu_seg.models.hub import pin
from lsu_seg.openmmlab.config import is_type
from lsu_seg.openmmlab.leftovers import log_has_traceback, nothing_left
from lsu_seg.openmmlab.parts import check_parts, check_work_dir
from lsu_seg.openmmlab.runner import RankedRunner, build_runner, make_work_dir
from lsu_seg.openmmlab.sharding import check_sharding
from lsu_seg.runtime.launch import is_first
from lsu_seg.runtime.lock import locked
from lsu_seg.training.precision import check_precision, computing
from lsu_seg.training.saving import check_saving


def train(cfg: Config, quiet: bool = False, resume: bool = False) -> Path:
    """Train a model; returns the path of the last checkpoint.

    Args:
        resume: go on from the last checkpoint in the work folder; if it has none, say so and begin anew.

    Raises:
        DisagreementError: the config disagrees with the ontology of its datasets (`OntologyHook`).
        ConfigError: the checkpoint to go on from is not where the work folder says, or lacks the optimizer's state; or
            none was saved. LockedError: another run is using the work folder. DivergedError: the weights are NaN;
            checkpoints stay as they are.
    """
    cfg = copy.deepcopy(cfg)
    for key in ("test_dataloader", "test_cfg", "test_evaluator"):
        cfg.pop(key, None)
    check_parts(cfg)
    check_precision(cfg)
    if not any(cfg.get(key) for key in ("train_dataloader", "train_cfg", "optim_wrapper")):
        raise ConfigError(
            "the config has no `train_dataloader`, `train_cfg` and `optim_wrapper`, so there is nothing to train: is it"
            " one for labelling or evaluation?"
        )
    check_sharding(cfg)
    check_saving(cfg)
    check_work_dir(cfg)
    pin(cfg.model)
    runners: list[RankedRunner] = []
    with nothing_left(cfg, lambda: log_has_traceback() or any(runner.trained for runner in runners)):
        work = make_work_dir(cfg)
        # Two runs would overwrite each other's checkpoints, and both end as if nothing was wrong.
        with locked(work) if is_first(cfg.get("launcher", "none")) else contextlib.nullcontext():
            return _train(cfg, work, quiet, resume, runners)


def _train(cfg: Config, work: Path, quiet: bool, resume: bool, runners: list[RankedRunner]) -> Path:
    """Train. runners: gets the Runner once it is built."""
    last = _last_checkpoint(work) if resume else None
    cfg.resume = last is not None
    if last is not None:
        # Or else mmengine resumes what `load_from` names: the teacher, where students begin with its weights.
        cfg.load_from = str(last)
        if is_type(cfg.model, "TorchSegmentor"):
            cfg.model.pop("checkpoint", None)  # what it began with may be gone
    elif resume and not quiet:
        print_log(f"there is no checkpoint in {cfg.work_dir} to go on from: the training begins anew", logger=None)
    hooks = list(cfg.get("custom_hooks") or [])
    for kind in ("OntologyHook", "DivergenceHook"):
        if not any(is_type(hook, kind) for hook in hooks):
            hooks.append(dict(type=kind))
    cfg.custom_hooks = hooks
    with computing(cfg, work, resumed=last is not None) as more:
        runner = build_runner(cfg, quiet)
        runners.append(runner)
        if why := getattr(getattr(runner.model, "module", runner.model), "untrainable", ""):
            raise ConfigError(why)
        for hook in more:
            runner.register_hook(hook)
        runner.train()
    last = _last_checkpoint(work)
    if last is None:
        raise ConfigError(
            f"the training has saved no checkpoint in {cfg.work_dir}: write `default_hooks = dict(checkpoint=dict("
            "type='CheckpointHook', save_last=True, …))`"
        )
    return last


def _last_checkpoint(folder: Path) -> Path | None:
    try:
        with open_to_read(folder / "last_checkpoint") as file:
            text = os.fsdecode(file.read().strip())
    except FileNotFoundError:
        return None
    named = Path(text)
    for path in (named, folder / named.name):  # the folder may have been moved
        if os.path.isfile(path):  # noqa: PTH113 (Path raises where a name is too long)
            return path
    what = f"names {text[:200]}, which is not there" if text else "is empty"
    raise ConfigError(
        f"{folder / 'last_checkpoint'} {what}; write another checkpoint's path into it, or"
        " remove it to train from the beginning"
    )
