"""One evaluation: a config and a checkpoint in, what was counted out."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

import lsu_onto
from lsu_seg.errors import ConfigError, TeacherError
from lsu_seg.evaluation.measured import Measured
from lsu_seg.evaluation.metrics import VIEWS, OntologyIoU
from lsu_seg.openmmlab.config import LOAD, is_type, renamed
from lsu_seg.openmmlab.leftovers import nothing_left
from lsu_seg.openmmlab.parts import check_parts
from lsu_seg.openmmlab.runner import RankedRunner, runner_with_checkpoint
from lsu_seg.teachers.classes import class_mismatch, warn_of_assumed
from lsu_seg.teachers.computing import Computing, ComputingNetwork
from lsu_seg.teachers.forward import has_mask_head


def evaluate(
    cfg: Config, checkpoint: str | Path | None, datasets: Mapping[str, Any] | None = None, quiet: bool = False
) -> dict[str, dict[str, Any]]:
    """`measure`, as flat figures: name → `source/mIoU`, …"""
    return {name: m.figures() for name, m in measure(cfg, checkpoint, datasets, quiet).items()}


def measure(
    cfg: Config,
    checkpoint: str | Path | None,
    datasets: Mapping[str, Any] | None = None,
    quiet: bool = False,
    title: str = "evaluating",
    computing: Computing | None = None,
    temperature: float | None = None,
) -> dict[str, Measured]:
    """Evaluate a model on datasets, in all views that their labels allow. The model is built once.

    Args:
        checkpoint: None where the config's model brings its weights: an `HFSegmentor` with `hf=dict(pretrained=…)`, a
            `TorchSegmentor` with `checkpoint=…`.
        datasets: name → dataset config; by default the config's own `unify.evaluate` or `test_dataloader`. With them,
            a config needs no more than a model: where it does not say how a `TaxDataset` is loaded and judged, images
            and labels are loaded as they are stored, and judged in the dataset's source.
        title: progress bars say it, `on`, and the dataset's name.
        computing: how the model's network computes, if not in float32. It is compiled for images of the size of each
            dataset's first one, or for the model's own windows.
        temperature: of the model's calibration; how sure it is of its predictions is counted without and with it.

    Returns:
        name → what `OntologyIoU` counted; the same on every rank.

    Raises:
        ConfigError: the config lacks what evaluation needs. TeacherError: the checkpoint does not fit the model, or the
            model not the source taxonomy. EvaluationError: an image's labels do not fit.
    """
    cfg = copy.deepcopy(cfg)
    check_parts(cfg)
    sets = dict(datasets or cfg.get("unify", {}).get("evaluate", {}))
    if not sets:
        if cfg.get("test_dataloader") is None:
            raise ConfigError(
                "the config has neither `unify.evaluate` nor `test_dataloader`: nothing to evaluate on; name a dataset"
                " with `--dataset TAXONOMY DIR SPLIT`"
            )
        sets = {"test": cfg.test_dataloader.dataset}
    cfg.setdefault("default_scope", "mmseg")
    parts = {name: _judged_on(_completed(cfg, d) if datasets else cfg, name, d) for name, d in sets.items()}
    one = renamed(cfg, "evaluate")
    one.test_dataloader, one.test_evaluator = next(iter(parts.values()))
    one.test_cfg = dict(type="TestLoop")
    one.custom_hooks = [
        *(one.get("custom_hooks") or ()),
        dict(type="FiguresHook"),
        dict(type="TestProgressHook", title=title),
    ]
    out: dict[str, Measured] = {}
    runner: RankedRunner | None = None
    with nothing_left(one, lambda: bool(out or (runner and runner.started))):
        runner = runner_with_checkpoint(one, checkpoint, quiet)
        model: Any = getattr(runner.model, "module", runner.model)
        for _, evaluators in parts.values():
            ontology_iou(evaluators).update(
                temperatures=[1.0] if temperature is None else [1.0, temperature],
                logits_are_shares=has_mask_head(model),
            )
        _measure(runner, parts, computing or Computing(), out)
    return out


def _measure(
    runner: RankedRunner, parts: Mapping[str, tuple[Any, Any]], computing: Computing, out: dict[str, Measured]
) -> None:
    """Add what is counted on each dataset. parts: name → its dataloader and evaluators."""
    model: Any = getattr(runner.model, "module", runner.model)
    assumed: list[str] = []
    device = next(chain(model.parameters(), model.buffers())).device
    with ComputingNetwork(model, computing, device) as network:
        for name, (loader, evaluators) in parts.items():
            runner.take_test(name, loader, evaluators, last=len(out) == len(parts) - 1)
            classes = list((getattr(runner.test_dataloader.dataset, "metainfo", None) or {}).get("classes") or ())
            if classes and (problem := class_mismatch(model, classes)):
                raise TeacherError(f"evaluation set `{name}`: {problem}")
            if classes and classes != assumed:
                warn_of_assumed(model, classes)
                assumed = classes
            if network.settings.compile:
                network.compile_for(partial(_predict, model, runner.test_dataloader))
            runner.test()
            measured = next(m.measured for m in runner.test_evaluator.metrics if isinstance(m, OntologyIoU))
            assert measured is not None  # by `test`
            out[name] = measured


@torch.no_grad()
def _predict(model: Any, loader: Any) -> None:
    """Have a model predict the first image of a dataset."""
    model.eval()
    model.test_step(loader.collate_fn([loader.dataset[0]]))


def _completed(cfg: Config, dataset: Any) -> Config:
    """A config with the dataloader and the evaluator of a TaxDataset, where it has none or MMSegmentation's."""
    if not is_type(dataset, "TaxDataset"):
        return cfg
    out = copy.copy(cfg)
    loader = cfg.get("test_dataloader") or cfg.get("val_dataloader") or {}
    steps = (loader.get("dataset") or {}).get("pipeline") or []
    if not _reads_labels(steps):
        parts = {**loader, "dataset": dict(type="TaxDataset", pipeline=[dict(type=step) for step in LOAD])}
        out.test_dataloader = {"num_workers": 0, **parts}
    if ontology_iou(cfg.get("test_evaluator") or cfg.get("val_evaluator")) is None:
        source = lsu_onto.load(dataset["taxonomy"], dataset.get("source"), dataset.get("paths", ())).source
        out.test_evaluator = dict(type="OntologyIoU", source=source)
    return out


def _reads_labels(steps: Any) -> bool:
    """Whether a pipeline reads labels by their taxonomy, at any depth of wrappers."""
    parts = steps.values() if isinstance(steps, Mapping) else steps if isinstance(steps, (list, tuple)) else ()
    return is_type(steps, "LoadTaxAnnotations") or any(_reads_labels(part) for part in parts)


def _judged_on(cfg: Config, name: str, dataset: Any) -> tuple[Any, Any]:
    """The configs of dataloader and evaluator for one dataset."""
    loader = copy.deepcopy(cfg.get("test_dataloader") or cfg.get("val_dataloader"))
    if loader is None:
        raise ConfigError("the config has no `val_dataloader` or `test_dataloader` that says how to load images")
    check_set(name, dataset)
    pipeline = loader.dataset.get("pipeline")
    loader.dataset = copy.deepcopy(dataset)
    loader.dataset.setdefault("pipeline", pipeline)
    if not loader.dataset.get("pipeline"):
        raise ConfigError(f"the evaluation set `{name}` has no pipeline")
    if is_type(loader.dataset, "CompoundDataset"):
        loader.dataset.setdefault("test_mode", True)  # every image counts, void ones too
    # Each image alone and once, whatever the config says: how images are batched shows in the last bits of logits,
    # MMSeg takes no batches of several sizes, and by default samplers repeat images so that all ranks have as many.
    loader.batch_size = 1
    loader.sampler = dict(type="DefaultSampler", shuffle=False, round_up=False)
    loader.pop("batch_sampler", None)
    evaluators = copy.deepcopy(evaluator(cfg))
    metric = ontology_iou(evaluators)
    if is_type(loader.dataset, "TaxDataset"):
        metric["views"] = VIEWS
        loader.dataset.setdefault("source", metric["source"])
    return loader, evaluators


def check_set(name: str, dataset: Any) -> None:
    """Refuse an evaluation set that is a wrapper of datasets."""
    if is_type(dataset, "ConcatDataset"):
        raise ConfigError(
            f"the evaluation set `{name}` is a ConcatDataset, whose parts have pipelines of their own: write"
            " `type='CompoundDataset'` with the same `datasets`"
        )
    if "dataset" in dataset:
        raise ConfigError(
            f"the evaluation set `{name}` is a {dataset.get('type')} around a dataset, and each image is judged once:"
            " write the dataset itself"
        )


def evaluator(cfg: Config) -> Any:
    """The config's evaluator, which must be one that measures mIoU in the source taxonomy."""
    evaluators = cfg.get("test_evaluator") or cfg.get("val_evaluator")
    one = ontology_iou(evaluators)
    if one and isinstance(one.get("source"), str) and "source" in one.get("views", ("source",)):
        return evaluators
    raise ConfigError("write `val_evaluator = dict(type='OntologyIoU', source=…)`: its figures are the ones reported")


def ontology_iou(evaluators: Any) -> Any:
    """The config of OntologyIoU among evaluators, or None."""
    several = evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]
    return next((e for e in several if is_type(e, "OntologyIoU")), None)
