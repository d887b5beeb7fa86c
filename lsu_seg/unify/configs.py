"""The config of each stage, derived from the one that a user gives."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

import lsu_onto
from lsu_seg.errors import ConfigError
from lsu_seg.openmmlab.config import renamed
from lsu_seg.runtime.canonical import canonical_json
from lsu_seg.unify.checks import check_config, refresh_options
from lsu_seg.unify.students import label_kinds, labels_of, students, take_sets


def teacher_config(cfg: Config, work: Path, seed: int) -> Config:
    """The config as it is, with a folder, a seed and a progress bar."""
    cfg = stage_config(cfg, work / "teacher", seed, "teacher")
    cfg.custom_hooks = [*(cfg.get("custom_hooks") or ()), dict(type="TrainProgressHook", title="teacher")]
    return cfg


def pseudo_config(cfg: Config, work: Path, seed: int, name: str) -> Config:
    """The teacher's config with one extra dataset to label, constrained and, where a student wants it, raw."""
    extra = cfg.unify.extra[name]
    loader = copy.deepcopy(cfg.val_dataloader)
    pipeline = loader.dataset.pipeline
    loader.dataset = copy.deepcopy(extra.dataset)
    loader.dataset.pipeline = pipeline
    out = stage_config(cfg, work / "pseudo" / name, seed, name)
    out.test_dataloader = loader
    out.test_cfg = dict(
        type="PseudoLabelLoop",
        out_dir=labels_of("constrained", work, name),
        raw_dir=labels_of("raw", work, name) if "raw" in label_kinds(cfg) else None,
        confidence="set" in students(cfg),
        title=f"pseudo-labels of {name}",
        **cfg.unify.get("views", {}),
    )
    return out


def student_config(cfg: Config, work: Path, seed: int, kind: str, teacher: Path | None = None) -> Config:
    """The teacher's config, trained on the union of the source dataset and the pseudo-labelled ones.

    Args:
        kind: one of `students.STUDENTS`.
        teacher: its checkpoint, where the config says `student_init='teacher'`.
    """
    out = stage_config(cfg, work / f"student_{kind}", seed, f"student_{kind}")
    if cfg.unify.get("student_init") == "teacher":
        if teacher is None and not cfg.get("load_from"):
            raise ConfigError("students begin with the teacher's weights here: give `--set load_from=CHECKPOINT`")
        out.load_from = str(teacher or cfg.load_from)
    compound = out.train_dataloader.dataset
    for name, extra in cfg.unify.extra.items():
        dataset = copy.deepcopy(extra.dataset)
        dataset.labels = labels_of(kind, work, name)
        compound.datasets.append(dataset)
    if kind == "set":
        take_sets(out)
    out.custom_hooks = [
        *(cfg.get("custom_hooks") or ()),
        dict(type="TrainProgressHook", title=f"student on {'set-valued' if kind == 'set' else kind} labels"),
    ]
    if kind != "raw" and "refresh" in cfg.unify:  # which labels inside the constraints
        out.custom_hooks.append(dict(type="TeacherRefreshHook", **refresh_options(cfg)))
    return out


def one_student(cfg: Config, kind: str) -> Config:
    """The config of a student on labels that are in `work_dir/pseudo` already, for a training of its own.

    Raises:
        ConfigError: no such student, or no `unify` section.
    """
    check_config(cfg)
    if kind not in students(cfg):
        raise ConfigError(f"there is no student `{kind}`; the config's `unify.students` are {', '.join(students(cfg))}")
    seed = cfg.get("randomness", {}).get("seed") or 0
    return student_config(cfg, Path(cfg.work_dir), seed, kind)


def stage_config(cfg: Config, folder: Path, seed: int, name: str) -> Config:
    out = renamed(cfg, name)  # the file that mmengine writes can be run by `tools/*.py`
    out.work_dir = str(folder)
    out.randomness = dict(seed=seed)
    return out


def text(cfg: Config) -> str:
    """The config without the section `unify`: what a stage takes from there is in its own config."""
    settings = by_content({k: v for k, v in cfg.to_dict().items() if k != "unify"})
    return canonical_json(settings)


def by_content(value: Any, source: str | None = None) -> Any:
    """A part of a config, with what its taxonomies say in place of the folders that are searched for them.

    Args:
        source: of the taxonomies in it, where it names none.
    """
    read = functools.cache(_content_sha256)  # the datasets of a config share taxonomies; between stages, files change

    def of(value: Any, source: str | None) -> Any:
        if isinstance(value, Mapping):
            source = value.get("source", source)
            out = {k: of(v, source) for k, v in value.items()}
            if isinstance(taxonomy := value.get("taxonomy"), str):
                digest = read(taxonomy, source, tuple(out.pop("paths", None) or ()))
                out |= {"taxonomy_sha256": digest} if digest else {}
            return out
        return [of(v, source) for v in value] if isinstance(value, (list, tuple)) else value

    return of(value, source)


def _content_sha256(taxonomy: str, source: str | None, paths: tuple[str, ...]) -> str | None:
    """None: there is no such map; whoever uses it says what is wrong."""
    try:
        return lsu_onto.load(taxonomy, source, paths).content_sha256()
    except lsu_onto.TaxonomyError:
        return None
