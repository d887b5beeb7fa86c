"""What is wrong with a config of `unify`, found before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config

import lsu_onto
from lsu_seg.data.datasets import TaxDataset, check_member
from lsu_seg.errors import ConfigError
from lsu_seg.evaluation.run import check_set, evaluator
from lsu_seg.layout.pairs import DatasetError
from lsu_seg.openmmlab.config import is_type
from lsu_seg.training.checks import DisagreementError
from lsu_seg.training.refresh import TeacherRefreshHook
from lsu_seg.unify.students import check_students


def check_extra(cfg: Config) -> None:
    """Refuse a config that does not say which datasets have coarser labels."""
    if "unify" not in cfg:
        raise ConfigError("the config has no `unify` section")
    if "extra" not in cfg.unify:
        raise ConfigError("the config's `unify` section has no `extra`")
    for name, extra in cfg.unify.extra.items():
        if not extra.get("dataset"):
            raise ConfigError(f"extra set `{name}` has no `dataset`")
        if not is_type(extra.dataset, "TaxDataset"):
            raise ConfigError(
                f"the dataset of extra set `{name}` is a {extra.dataset.get('type')}; expected"
                " `dict(type='TaxDataset', …)`, whose images are labelled: write it without a wrapper, or an extra set"
                " for each of several"
            )


def check_section(cfg: Config) -> None:
    check_extra(cfg)
    if "evaluate" not in cfg.unify:
        raise ConfigError("the config's `unify` section has no `evaluate`")
    if not is_type((cfg.get("train_dataloader") or {}).get("dataset"), "CompoundDataset"):
        raise ConfigError(
            "`train_dataloader.dataset` must be a CompoundDataset without wrappers, for the student to extend:"
            " `dict(type='CompoundDataset', datasets=[…])`"
        )
    if not cfg.train_dataloader.dataset.get("datasets"):
        raise ConfigError("`train_dataloader.dataset` is a CompoundDataset without `datasets`")
    for member in cfg.train_dataloader.dataset.datasets:
        check_member(member)


def check_labelling(cfg: Config) -> None:
    """Refuse a config that does not say which datasets to label, or how to load their images."""
    check_extra(cfg)
    if not ((cfg.get("val_dataloader") or {}).get("dataset") or {}).get("pipeline"):
        raise ConfigError("`val_dataloader.dataset` needs a pipeline: labelling and evaluation use it")


def check(cfg: Config) -> None:
    """Find now what would otherwise come to light after hours of training."""
    check_section(cfg)
    check_labelling(cfg)
    if cfg.unify.get("student_init") not in (None, "teacher"):
        raise ConfigError(f"`student_init` is `{cfg.unify.student_init}`; it can be 'teacher' or None")
    check_students(cfg)
    if "refresh" in cfg.unify:
        try:
            TeacherRefreshHook(**refresh_options(cfg))
        except (TypeError, DisagreementError) as e:
            raise ConfigError(f"`unify.refresh`: {e}") from e
    evaluator(cfg)
    sets = {f"extra set `{n}`": e.dataset for n, e in cfg.unify.extra.items()}
    sets |= {f"evaluation set `{n}`": d for n, d in cfg.unify.evaluate.items()}
    for name, dataset in cfg.unify.evaluate.items():
        check_set(name, dataset)
    for name, dataset in sets.items():
        if not dataset:
            raise ConfigError(f"{name} has no `dataset`")
        if is_type(dataset, "TaxDataset"):
            try:
                dataset_of(dataset, lazy_init=True).load_data_list()
            except (DatasetError, lsu_onto.TaxonomyError) as e:
                raise ConfigError(f"{name}: {e}") from e
    for name, extra in cfg.unify.extra.items():
        if "truth" in extra:
            _check_truth(f"the truth of extra set `{name}`", extra.truth, dataset_of(extra.dataset, lazy_init=True))


def _check_truth(name: str, truth: Any, dataset: TaxDataset) -> None:
    """The truth is one label image per image, which scoring reads by the image's stem."""
    for key in ("taxonomy", "folder"):
        if key not in truth:
            raise ConfigError(f"{name} has no `{key}`; expected `dict(taxonomy='…', folder='…')`")
    try:
        constraint = lsu_onto.load(truth.taxonomy, dataset.constraint.source)
    except lsu_onto.TaxonomyError as e:
        raise ConfigError(f"{name}: {e}") from e
    if constraint.encoding in ("panoptic-rgb", "polygons", "rle"):
        raise ConfigError(
            f"{name}: the label files of `{truth.taxonomy}` are `encoding: {constraint.encoding}`; expected a folder of"
            " `STEM.png` whose pixels are raw values, such as `id` or `rgb`: convert them, or leave `truth` out"
        )
    if not Path(truth.folder).is_dir():
        raise ConfigError(f"{name}: {truth.folder}: no such folder; expected one with `STEM.png` per image")


def refresh_options(cfg: Config) -> dict[str, Any]:
    """Of `TeacherRefreshHook`, where the config wants one."""
    return {"views": cfg.unify.get("views", {}), **cfg.unify.refresh}


def dataset_of(config: Any, **options: Any) -> TaxDataset:
    """The dataset of a config without its pipeline."""
    return TaxDataset(**{**{k: v for k, v in config.items() if k not in ("type", "pipeline")}, **options})
