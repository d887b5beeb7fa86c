"""What is wrong with a config of `unify`, found before anything is trained."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

import lsu_onto
from lsu_seg.data.compound import check_member
from lsu_seg.data.datasets import TaxDataset
from lsu_seg.errors import ConfigError, did_you_mean
from lsu_seg.evaluation.run import check_set, evaluator, ontology_iou
from lsu_seg.layout.pairs import DatasetError
from lsu_seg.openmmlab.config import is_type
from lsu_seg.openmmlab.failures import check_types, parameters_of
from lsu_seg.openmmlab.parts import check_parts
from lsu_seg.openmmlab.sharding import check_sharding
from lsu_seg.pseudo.settings import check_views
from lsu_seg.training.average import is_share
from lsu_seg.training.checks import DisagreementError
from lsu_seg.training.precision import check_precision
from lsu_seg.training.refresh import TeacherRefreshHook
from lsu_seg.unify.students import check_students, students


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
            found = f"a {extra.dataset.get('type')}" if isinstance(extra.dataset, Mapping) else repr(extra.dataset)
            raise ConfigError(
                f"the dataset of extra set `{name}` is {found}; expected"
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
    members = cfg.train_dataloader.dataset.datasets
    if not isinstance(members, (list, tuple)):
        raise ConfigError(f"`train_dataloader.dataset.datasets` is {members!r}; expected a list: `[dict(type=…), …]`")
    for number, member in enumerate(members):
        if not isinstance(member, Mapping):
            path = f"train_dataloader.dataset.datasets.{number}"
            raise ConfigError(f"`{path}` is {member!r}; expected `dict(type='TaxDataset', …)`")
        check_member(member)


def check_labelling(cfg: Config) -> None:
    """Refuse a config that does not say which datasets to label, or how to load their images: all of the datasets,
    before the first of them is labelled."""
    check_parts(cfg)
    check_extra(cfg)
    if not ((cfg.get("val_dataloader") or {}).get("dataset") or {}).get("pipeline"):
        raise ConfigError("`val_dataloader.dataset` needs a pipeline: labelling and evaluation use it")
    check_views("unify.views", cfg.unify.get("views", {}))
    students(cfg)
    for name, extra in cfg.unify.extra.items():
        _check_keys(f"unify.extra.{name}", extra, ("dataset", "truth"))
        _check_dataset(f"unify.extra.{name}.dataset", extra.dataset, f"extra set `{name}`")


def check_folders(sets: Mapping[str, Any]) -> None:
    """Refuse datasets whose folders are not as their taxonomies say; `sets` has what they are called."""
    for name, dataset in sets.items():
        if is_type(dataset, "TaxDataset"):
            try:
                dataset_of(dataset, lazy_init=True).load_data_list()
            except (DatasetError, lsu_onto.TaxonomyError) as e:
                raise ConfigError(f"{name}: {e}") from e


def extra_sets(cfg: Config) -> dict[str, Any]:
    return {f"extra set `{n}`": e.dataset for n, e in cfg.unify.extra.items()}


def check_files(cfg: Config) -> None:
    """Find in the datasets' folders what would otherwise come to light after hours of training."""
    check_folders(extra_sets(cfg) | {f"evaluation set `{n}`": d for n, d in cfg.unify.evaluate.items()})
    for name, extra in cfg.unify.extra.items():
        if "truth" in extra and not Path(extra.truth.folder).is_dir():
            raise ConfigError(
                f"the truth of extra set `{name}`: {extra.truth.folder}: no such folder; expected one with `STEM.png`"
                " per image"
            )


def check_config(cfg: Config) -> None:
    """Find what is wrong with the config itself, whatever the datasets' folders hold."""
    check_labelling(cfg)
    check_section(cfg)
    check_precision(cfg)
    check_sharding(cfg)
    if cfg.unify.get("student_init") not in (None, "teacher"):
        raise ConfigError(f"`student_init` is `{cfg.unify.student_init}`; it can be 'teacher' or None")
    _check_average(cfg)
    compound = cfg.train_dataloader.dataset
    for number, dataset in enumerate(compound.datasets):
        _check_dataset(f"train_dataloader.dataset.datasets.{number}", {"source": compound.get("source"), **dataset})
    for name, extra in cfg.unify.extra.items():
        if "truth" in extra:
            dataset = extra.dataset
            constraint = lsu_onto.load(dataset.taxonomy, dataset.get("source"), dataset.get("paths", ()))
            _check_truth(name, extra.truth, constraint.source)
    for name, dataset in cfg.unify.evaluate.items():
        if not dataset:
            raise ConfigError(f"evaluation set `{name}` has no `dataset`")
        check_set(name, dataset)
        _check_dataset(f"unify.evaluate.{name}", dataset, f"evaluation set `{name}`")
    check_students(cfg)
    check_types(cfg)
    if "refresh" in cfg.unify:
        if not isinstance(cfg.unify.refresh, Mapping) or "every" not in cfg.unify.refresh:
            raise ConfigError(f"`unify.refresh` is {cfg.unify.refresh!r}; expected `dict(every=…)`, in epochs")
        try:
            TeacherRefreshHook(**refresh_options(cfg))
        except (TypeError, DisagreementError, ConfigError) as e:
            raise ConfigError(f"`unify.refresh`: {e}") from e
    _check_evaluator(cfg)


def _check_keys(path: str, part: Any, known: Collection[str]) -> None:
    """Refuse a key that nothing reads."""
    if not isinstance(part, Mapping):
        raise ConfigError(f"`{path}` is {part!r}; expected `dict({', '.join(f'{key}=…' for key in known)})`")
    for key in part:
        if key not in known:
            hint = did_you_mean(key, known) or f"; it has {', '.join(known)}"
            raise ConfigError(f"nothing reads the key `{path}.{key}`{hint}")


def _check_dataset(path: str, dataset: Any, name: str = "") -> None:
    """Check the config of a TaxDataset as far as its taxonomy says what can be in it.

    Args:
        name: what the dataset is, if there is a better name for it than its path.
    """
    if not is_type(dataset, "TaxDataset"):
        return
    needed = ("taxonomy", "data_root", "split")
    known = parameters_of(TaxDataset)
    for key in dataset:
        if key not in known and key != "type":
            raise ConfigError(f"nothing reads `{path}.{key}`: `TaxDataset` has no `{key}`{did_you_mean(key, known)}")
    for key in needed:
        if not isinstance(dataset.get(key), (str, Path)):
            raise ConfigError(f"`{path}.{key}` is {dataset.get(key)!r}; expected a text: TaxDataset needs it")
    for key in ("weight", "loss_weight", "threshold", "unsure"):
        if not isinstance(dataset.get(key, 0), (int, float, type(None))):
            raise ConfigError(f"`{path}.{key}` is {dataset[key]!r}; expected a number")
    try:
        splits = lsu_onto.load(dataset["taxonomy"], dataset.get("source"), dataset.get("paths", ())).layout.splits
    except lsu_onto.TaxonomyError as e:
        raise ConfigError(f"{name or f'`{path}`'}: {e}") from e
    if splits and dataset["split"] not in splits:
        raise ConfigError(
            f"{name or f'`{path}`'}: there is no split `{dataset['split']}`; `{dataset['taxonomy']}` has"
            f" {', '.join(splits)}"
        )


def _check_truth(name: str, truth: Any, source: str) -> None:
    """The truth is one label image per image, which scoring reads by the image's stem."""
    _check_keys(f"unify.extra.{name}.truth", truth, ("taxonomy", "folder", "paths"))
    for key in ("taxonomy", "folder"):
        if not isinstance(truth.get(key), (str, Path)):
            raise ConfigError(
                f"the truth of extra set `{name}` has no `{key}`; expected `dict(taxonomy='…', folder='…')`"
            )
    try:
        constraint = lsu_onto.load(truth.taxonomy, source, truth.get("paths", ()))
    except lsu_onto.TaxonomyError as e:
        raise ConfigError(f"the truth of extra set `{name}`: {e}") from e
    if constraint.encoding in ("panoptic-rgb", "polygons", "rle"):
        raise ConfigError(
            f"the truth of extra set `{name}`: the label files of `{truth.taxonomy}` are `encoding:"
            f" {constraint.encoding}`; expected a folder of `STEM.png` whose pixels are raw values, such as `id` or"
            " `rgb`: convert them, or leave `truth` out"
        )


def _check_average(cfg: Config) -> None:
    share = cfg.unify.get("average_with_teacher")
    if share is None:
        return
    if not is_share(share):
        raise ConfigError(
            f"`unify.average_with_teacher` is {share!r}; expected the teacher's share of the mean, above 0 and below 1"
        )
    if cfg.unify.get("student_init") != "teacher":
        raise ConfigError(
            "`unify.average_with_teacher` needs students that begin with the teacher's weights, because the mean of two"
            " trainings with beginnings of their own is no model: write `student_init='teacher'`, or leave it out"
        )


def _check_evaluator(cfg: Config) -> None:
    """Check that the evaluator measures in the source of the training datasets."""
    evaluator(cfg)
    metric = ontology_iou(cfg.get("test_evaluator") or cfg.get("val_evaluator"))
    compound = cfg.train_dataloader.dataset
    first = next((d for d in compound.datasets if is_type(d, "TaxDataset")), None)
    if first is not None:
        source = lsu_onto.load(
            first.taxonomy, first.get("source", compound.get("source")), first.get("paths", ())
        ).source
        if metric.get("source") != source:
            raise ConfigError(
                f"the evaluator has source={metric.get('source')!r}, and the training datasets `{source}`: write"
                f" `val_evaluator = dict(type='OntologyIoU', source='{source}')`"
            )


def refresh_options(cfg: Config) -> dict[str, Any]:
    """Of `TeacherRefreshHook`, where the config wants one."""
    return {"views": cfg.unify.get("views", {}), **cfg.unify.refresh}


def dataset_of(config: Any, **options: Any) -> TaxDataset:
    """The dataset of a config without its pipeline."""
    return TaxDataset(**{**{k: v for k, v in config.items() if k not in ("type", "pipeline")}, **options})
