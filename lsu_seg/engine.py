"""Train, pseudo-label, evaluate: what `tools/*.py` and `lsu-seg` share. Each runs one mmengine `Runner`."""

from __future__ import annotations

import contextlib
import copy
import io
import itertools
import logging
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.model import MMDistributedDataParallel, is_model_wrapper
from mmengine.runner import Runner

import lsu_onto
from lsu_seg.evaluation.measured import Measured
from lsu_seg.evaluation.metrics import VIEWS, OntologyIoU
from lsu_seg.openmmlab.compat import UntrustedCheckpointError
from lsu_seg.pseudo.errors import OutputError, check_output
from lsu_seg.pseudo.output import MANIFEST
from lsu_seg.runtime.allocator import keep_freed_memory
from lsu_seg.runtime.launch import join_ranks
from lsu_seg.teachers import TeacherError
from lsu_seg.teachers.classes import class_mismatch

with contextlib.redirect_stdout(io.StringIO()):  # the forks print a line about an optional package
    import mmseg.datasets  # noqa: F401


class ConfigError(ValueError):
    """A config that cannot be run. The message names what is missing."""


def load_config(path: str | Path, data_root: str | None = None, options: Mapping[str, Any] | None = None) -> Config:
    """An MMSeg config, with `data_root` moved and options merged.

    Args:
        data_root: put in place of the config's own top-level `data_root`, wherever that is the beginning of a
            string.
        options: dotted keys, as mmengine's `--cfg-options` takes them.
    """
    if not Path(path).is_file():
        raise ConfigError(f"there is no config `{path}`")
    try:
        cfg = Config.fromfile(path)
    except Exception as e:  # a config is a program, and fails like one
        raise ConfigError(f"{path} cannot be read: {type(e).__name__}: {e}") from e
    if data_root is not None:
        old = cfg.get("data_root")
        if not old:
            raise ConfigError(f"{path} has no top-level `data_root`, so `--data-root` has nothing to replace")
        cfg = Config(_rebase(cfg.to_dict(), old.rstrip("/"), str(data_root).rstrip("/")), filename=cfg.filename)
    merge(cfg, options or {})
    return cfg


def merge(cfg: Config, options: Mapping[str, Any]) -> None:
    """Change keys of a config; `options` has dotted keys."""
    try:
        cfg.merge_from_dict(dict(options))
    except (KeyError, TypeError, IndexError) as e:
        raise ConfigError(f"the options {dict(options)} do not fit {cfg.filename}: {e}") from e


def _rebase(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {k: _rebase(v, old, new) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_rebase(v, old, new) for v in value)
    if isinstance(value, str) and (value == old or value.startswith(old + "/")):
        return new + value[len(old) :]
    return value


class RankedRunner(Runner):
    """A Runner that also works with several ranks on CPUs, which mmengine's own wrapping of the model does not.

    A model that is not trained is not wrapped: its ranks need not talk to each other.
    """

    def wrap_model(self, model_wrapper_cfg: Any, model: Any) -> Any:
        if self._train_loop is None:
            return model.to(get_device())
        plain = model_wrapper_cfg is None and not is_model_wrapper(model)
        if self.distributed and plain and not torch.cuda.is_available():
            return MMDistributedDataParallel(module=model, broadcast_buffers=False)
        return super().wrap_model(model_wrapper_cfg, model)

    def load_checkpoint(self, filename: str, *args: Any, **kwargs: Any) -> Any:
        checkpoint = super().load_checkpoint(filename, *args, **kwargs)
        # mmengine would begin the optimizer and the learning rate's schedule anew, in the middle of the training.
        states = {"optimizer": True, "param_schedulers": bool(self.param_schedulers)}
        missing = [key for key, used in states.items() if used and key not in checkpoint]
        if self._resume and missing and checkpoint.get("meta", {}).get("iter", 0) < self.max_iters:
            raise ConfigError(
                f"{filename} has no state of {' and '.join(f'`{key}`' for key in missing)}, so the training cannot go on"
                f" from it: remove {Path(self.work_dir) / 'last_checkpoint'} to train from the beginning, and write"
                " `default_hooks = dict(checkpoint=dict(save_optimizer=True, save_param_scheduler=True))`"
            )
        return checkpoint


class QuietRunner(RankedRunner):
    """A Runner whose log goes to its file in the work folder, and only errors to the terminal."""

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.setLevel(logging.ERROR)
        return logger

    def load_checkpoint(self, *args: Any, **kwargs: Any) -> Any:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints a line past every logger
            return super().load_checkpoint(*args, **kwargs)


def renamed(cfg: Config, name: str) -> Config:
    """A copy named `<name>.py`: under its name mmengine writes a config into the work folder, over one of that name."""
    return Config(copy.deepcopy(cfg.to_dict()), cfg_text="#", filename=f"{name}.py")


def build_runner(cfg: Config, quiet: bool = False) -> Runner:
    """A Runner of a name of its own, so that several can be built in one process."""
    cfg = copy.deepcopy(cfg)
    try:
        Path(cfg.work_dir).mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise ConfigError(
            f"{cfg.work_dir}: cannot be the work folder ({e.strerror}); choose another with `--work-dir`"
        ) from e
    join_ranks(cfg.get("launcher", "none"))
    keep_freed_memory()
    cfg.experiment_name = f"{Path(cfg.work_dir).name}-{next(_NUMBER)}"
    from lsu_seg.models.mask_heads import check_mmdet  # imports all models of MMSegmentation

    try:
        check_mmdet(cfg.get("model"))
        return (QuietRunner if quiet else RankedRunner).from_cfg(cfg)
    except (TypeError, KeyError, AttributeError, AssertionError) as e:
        # What mmengine's registries raise for a name or option that does not exist.
        raise ConfigError(f"a part of the config cannot be built: {e}") from e
    except ImportError as e:
        raise ConfigError(f"a part of the config needs what is not installed: {e}") from e


_NUMBER = itertools.count()


def train(cfg: Config, quiet: bool = False, resume: bool = False) -> Path:
    """Train a model; returns the path of the last checkpoint.

    Args:
        resume: go on from the last checkpoint in the work folder, if it has one.

    Raises:
        DisagreementError: the config disagrees with the ontology of its datasets (`OntologyHook`).
        ConfigError: the checkpoint to go on from is not where the work folder says, or lacks the optimizer's state; or
            none was saved.
    """
    cfg = copy.deepcopy(cfg)
    for key in ("test_dataloader", "test_cfg", "test_evaluator"):
        cfg.pop(key, None)
    last = _last_checkpoint(Path(cfg.work_dir)) if resume else None
    cfg.resume = last is not None
    if last is not None:
        # Or else mmengine resumes what `load_from` names: the teacher, where students begin with its weights.
        cfg.load_from = str(last)
    hooks = cfg.get("custom_hooks") or []
    if not any(hook.get("type") in ("OntologyHook", "lsu_seg.OntologyHook") for hook in hooks):
        cfg.custom_hooks = [*hooks, dict(type="OntologyHook")]
    build_runner(cfg, quiet).train()
    last = _last_checkpoint(Path(cfg.work_dir))
    if last is None:
        raise ConfigError(
            f"the training has saved no checkpoint in {cfg.work_dir}: write `default_hooks = dict(checkpoint=dict("
            "type='CheckpointHook', save_last=True, …))`"
        )
    return last


def _last_checkpoint(folder: Path) -> Path | None:
    try:
        named = Path((folder / "last_checkpoint").read_text(encoding="utf-8").strip())
    except FileNotFoundError:
        return None
    for path in (named, folder / named.name):  # the folder may have been moved
        if path.is_file():
            return path
    raise ConfigError(
        f"{folder / 'last_checkpoint'} names {named}, which is not there; write another checkpoint's path into it, or"
        " remove it to train from the beginning"
    )


def pseudo_label(
    cfg: Config, checkpoint: str | Path | None, quiet: bool = False, resume: bool = True
) -> dict[str, float]:
    """Run the config's `PseudoLabelLoop` with a trained teacher.

    Args:
        checkpoint: None where the config's model brings its weights: an `HFSegmentor` with `hf=dict(pretrained=…)`.
        resume: go on in a folder that an earlier run left; else such a folder is refused.

    Raises:
        ConfigError: `test_cfg` is no PseudoLabelLoop. TeacherError: the checkpoint does not fit the model, or
            the model not the source taxonomy.
    """
    if cfg.get("test_cfg", {}).get("type") not in ("PseudoLabelLoop", "lsu_seg.PseudoLabelLoop"):
        raise ConfigError("the config has no `test_cfg = dict(type='PseudoLabelLoop', …)` and no `unify` section")
    cfg = copy.deepcopy(cfg)
    cfg.test_evaluator = []
    _check_labelling(cfg, resume)
    # Nothing is exchanged but a few numbers at the start. NCCL, which configs ask for, would watch over its peers and end
    # processes whose peers are gone.
    cfg.merge_from_dict({"env_cfg.dist_cfg.backend": "gloo"})
    runner = _with_checkpoint(cfg, checkpoint, quiet)
    return runner.test()


def _check_labelling(cfg: Config, resume: bool) -> None:
    """Find, before the model is built, what would end the run."""
    dataset, loop = cfg.test_dataloader.dataset, cfg.test_cfg
    others = {"the dataset's folder": dataset.data_root} if dataset.get("data_root") else {}
    for key, what in (("out_dir", "the folder of the constrained labels"), ("raw_dir", "")):
        if loop.get(key):
            check_output(loop[key], others)
            if not resume and (Path(loop[key]) / MANIFEST).exists():
                raise OutputError(
                    f"{loop[key]} holds labels of an earlier run; remove it, choose another folder, or go on with `--resume`"
                )
            others[what] = loop[key]
    if dataset.get("type") in ("TaxDataset", "lsu_seg.TaxDataset"):
        c = lsu_onto.load(dataset.taxonomy, dataset.get("source"))
        if not c.allowed[:, :-1].any():
            raise OutputError(
                f"no class of `{c.dataset}` may be any class of `{c.source}`: every label would be void; relate its"
                " classes in the map first"
            )


def evaluate(
    cfg: Config, checkpoint: str | Path | None, datasets: Mapping[str, Any] | None = None, quiet: bool = False
) -> dict[str, dict[str, Any]]:
    """`measure`, as flat figures: name → `source/mIoU`, …"""
    return {name: m.figures() for name, m in measure(cfg, checkpoint, datasets, quiet).items()}


def measure(
    cfg: Config, checkpoint: str | Path | None, datasets: Mapping[str, Any] | None = None, quiet: bool = False
) -> dict[str, Measured]:
    """Evaluate a model on datasets, in all views that their labels allow.

    Args:
        checkpoint: None where the config's model brings its weights: an `HFSegmentor` with `hf=dict(pretrained=…)`.
        datasets: name → dataset config; by default the config's own `unify.evaluate` or `test_dataloader`.

    Returns:
        name → what `OntologyIoU` counted; the same on every rank.

    Raises:
        ConfigError: the config lacks what evaluation needs. TeacherError: the checkpoint does not fit the model, or the
            model not the source taxonomy. EvaluationError: an image's labels do not fit.
    """
    cfg = copy.deepcopy(cfg)
    sets = dict(datasets or cfg.get("unify", {}).get("evaluate", {}))
    if not sets:
        if cfg.get("test_dataloader") is None:
            raise ConfigError("the config has neither `unify.evaluate` nor `test_dataloader`: nothing to evaluate on")
        sets = {"test": cfg.test_dataloader.dataset}
    return {name: _measure(cfg, checkpoint, name, dataset, quiet) for name, dataset in sets.items()}


def _measure(cfg: Config, checkpoint: str | Path | None, name: str, dataset: Any, quiet: bool) -> Measured:
    """`measure` on one dataset."""
    one = renamed(cfg, f"evaluate_{name}")
    loader = one.get("test_dataloader") or one.get("val_dataloader")
    if loader is None:
        raise ConfigError("the config has no `val_dataloader` or `test_dataloader` that says how to load images")
    pipeline = loader.dataset.get("pipeline")
    loader.dataset = copy.deepcopy(dataset)
    loader.dataset.setdefault("pipeline", pipeline)
    if not loader.dataset.get("pipeline"):
        raise ConfigError(f"the evaluation set `{name}` has no pipeline")
    if loader.dataset.get("type") in ("CompoundDataset", "lsu_seg.CompoundDataset"):
        loader.dataset.setdefault("test_mode", True)  # every image counts, void ones too
    # Each image alone and once, whatever the config says: how images are batched shows in the last bits of logits, MMSeg
    # takes no batches of several sizes, and by default samplers repeat images so that all ranks have equally many.
    loader.batch_size = 1
    loader.sampler = dict(type="DefaultSampler", shuffle=False, round_up=False)
    loader.pop("batch_sampler", None)
    one.test_dataloader = loader
    one.test_cfg = dict(type="TestLoop")
    one.test_evaluator = copy.deepcopy(evaluator(cfg))
    metric = _ontology_iou(one.test_evaluator)
    if loader.dataset.get("type") in ("TaxDataset", "lsu_seg.TaxDataset"):
        metric["views"] = VIEWS
        loader.dataset.setdefault("source", metric["source"])
    title = f"evaluating on {name}"
    one.custom_hooks = [*one.get("custom_hooks", []), dict(type="TestProgressHook", title=title)]
    runner = _with_checkpoint(one, checkpoint, quiet)
    classes = (getattr(runner.test_dataloader.dataset, "metainfo", None) or {}).get("classes")
    problem = class_mismatch(getattr(runner.model, "module", runner.model), classes) if classes else None
    if problem:
        raise TeacherError(f"evaluation set `{name}`: {problem}")
    runner.test()
    return next(m.measured for m in runner.test_evaluator.metrics if isinstance(m, OntologyIoU))


def evaluator(cfg: Config) -> Any:
    """The config's evaluator, which must be one that measures mIoU in the source taxonomy."""
    found = cfg.get("test_evaluator") or cfg.get("val_evaluator")
    one = _ontology_iou(found)
    if one and "source" in one.get("views", ("source",)):
        return found
    raise ConfigError("write `val_evaluator = dict(type='OntologyIoU', source=…)`: its figures are the ones reported")


def _ontology_iou(evaluators: Any) -> Any:
    """The config of OntologyIoU among evaluators, or None."""
    several = evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]
    return next((e for e in several if e and e.get("type") in ("OntologyIoU", "lsu_seg.OntologyIoU")), None)


def _with_checkpoint(cfg: Config, checkpoint: str | Path | None, quiet: bool) -> Runner:
    """A Runner for testing, its weights loaded completely or not at all."""
    pretrained = (cfg.model.get("hf") or {}).get("pretrained")
    if checkpoint is None and not pretrained:
        raise ConfigError("the config's model has random weights: give the CHECKPOINT of a trained one")
    for key in (
        "train_dataloader",
        "train_cfg",
        "optim_wrapper",
        "val_dataloader",
        "val_cfg",
        "val_evaluator",
    ):
        cfg.pop(key, None)
    cfg.pop("param_scheduler", None)
    if checkpoint is None:
        cfg.load_from = None
        runner = build_runner(cfg, quiet)
        if runner.model.new_head:
            raise ConfigError(
                f"{pretrained} has another number of classes than the config's `num_classes`, so the model's head has random"
                " weights: give the CHECKPOINT of a trained one"
            )
        return runner
    if not Path(checkpoint).is_file():
        raise ConfigError(f"there is no checkpoint `{checkpoint}`")
    cfg.load_from = str(checkpoint)
    runner = build_runner(cfg, quiet)
    try:
        loaded = runner.load_checkpoint(str(checkpoint), strict=True)
    except UntrustedCheckpointError:
        raise
    except (EOFError, KeyError, IndexError, ValueError, AttributeError, struct.error) as e:
        raise TeacherError(f"`{checkpoint}` is not a checkpoint, or is cut off; get the file again") from e
    except RuntimeError as e:
        what = "cannot be read" if "PytorchStreamReader" in str(e) else "does not fit the config's model"
        raise TeacherError(f"`{checkpoint}` {what}: {e}") from e
    model = getattr(runner.model, "module", runner.model)
    model.dataset_meta = loaded.get("meta", {}).get("dataset_meta")
    return runner
