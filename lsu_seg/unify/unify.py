"""The whole method from one config: teacher → pseudo-labels → students → evaluation.

The config is an ordinary MMSeg config of the teacher with one more section:

    unify = dict(
        extra=dict(town=dict(dataset=dict(type='TaxDataset', taxonomy='demo_town', …),   # to pseudo-label
                             truth=dict(taxonomy='demo', folder='…'))),                  # only to score labels
        views=dict(scales=(1.0, 1.5), flips=(False, True)),
        students=('raw', 'constrained', 'set'),   # by default without 'set', see `students.py`
        unsure=0.25,                              # of 'set': the share of each class's labels that are sets instead
        student_init='teacher',   # optional: students start from the teacher's weights
        refresh=dict(every=5),    # optional: their average labels anew, see `TeacherRefreshHook`; not for 'raw'
        evaluate=dict(source_val=dict(type='TaxDataset', …), zero_shot=dict(…)),
    )

Each stage is a config derived from it, saved beside the stage's results as a file that `tools/*.py` can run.
A stage whose config and inputs have not changed is reused.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

import lsu_onto
from lsu_seg.data.datasets import TaxDataset
from lsu_seg.errors import ConfigError
from lsu_seg.evaluation.counts import confusion, iou_summary
from lsu_seg.evaluation.document import document
from lsu_seg.evaluation.metrics import VIEWS
from lsu_seg.evaluation.run import evaluator, measure
from lsu_seg.label_files import void_index, write_atomic
from lsu_seg.label_files.annotation import Annotation, channel_constraint
from lsu_seg.layout.pairs import DatasetError
from lsu_seg.openmmlab.config import renamed
from lsu_seg.pseudo.output import file_sha256
from lsu_seg.pseudo.records import finished
from lsu_seg.pseudo.run import pseudo_label
from lsu_seg.runtime.progress import track
from lsu_seg.training.checks import DisagreementError
from lsu_seg.training.refresh import TeacherRefreshHook
from lsu_seg.training.run import train
from lsu_seg.unify.stages import Stages, aside, before
from lsu_seg.unify.students import STUDENTS, check_students, label_kinds, labels_of, students, take_sets

# --- configs of the stages ---------------------------------------------------------------------------------


def teacher_config(cfg: Config, work: Path, seed: int) -> Config:
    """The config as it is, with a folder, a seed and a progress bar."""
    cfg = stage_config(cfg, work / "teacher", seed, "teacher")
    cfg.custom_hooks = [*cfg.get("custom_hooks", []), dict(type="TrainProgressHook", title="teacher")]
    return cfg


def pseudo_config(cfg: Config, work: Path, seed: int, name: str) -> Config:
    """The teacher's config with one extra dataset to label, constrained and, where a student wants it, raw."""
    extra = cfg.unify.extra[name]
    loader = copy.deepcopy(cfg.val_dataloader)
    pipeline = loader.dataset.pipeline
    loader.dataset = copy.deepcopy(extra.dataset)
    loader.dataset.pipeline = pipeline
    out = stage_config(cfg, work / "pseudo", seed, name)
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
        *cfg.get("custom_hooks", []),
        dict(type="TrainProgressHook", title=f"student on {'set-valued' if kind == 'set' else kind} labels"),
    ]
    if kind != "raw" and "refresh" in cfg.unify:  # which labels inside the constraints
        out.custom_hooks.append(dict(type="TeacherRefreshHook", **_refresh(cfg)))
    return out


def _refresh(cfg: Config) -> dict[str, Any]:
    return {"views": cfg.unify.get("views", {}), **cfg.unify.refresh}


def one_student(cfg: Config, kind: str) -> Config:
    """The config of a student on labels that are in `work_dir/pseudo` already, for a training of its own.

    Raises:
        ConfigError: no such student, or no `unify` section.
    """
    _check_section(cfg)
    if kind not in students(cfg):
        raise ConfigError(f"there is no student `{kind}`; the config's `unify.students` are {', '.join(students(cfg))}")
    check_students(cfg)
    seed = cfg.get("randomness", {}).get("seed") or 0
    return student_config(cfg, Path(cfg.work_dir), seed, kind)


def stage_config(cfg: Config, folder: Path, seed: int, name: str) -> Config:
    out = renamed(cfg, name)  # the file that mmengine writes can be run by `tools/*.py`
    out.work_dir = str(folder)
    out.randomness = dict(seed=seed)
    return out


# --- running -----------------------------------------------------------------------------------------------


def clear(work: Path) -> None:
    """Remove what `unify` left in a work folder, and nothing else."""
    if (work / "stages").is_dir():  # or else it is not ours
        for name in ("teacher", "pseudo", *(f"student_{k}" for k in STUDENTS), "report", "stages"):
            for path in (work / name, before(work / name), *aside(work / name)):
                shutil.rmtree(path, ignore_errors=True)


def unify(cfg: Config, work: Path, seed: int = 0, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Run the whole method; returns what `results.json` holds.

    Args:
        cfg: a config with a `unify` section.
        work: folder of all results.
        seed: of every training.
        say: gets a line per stage.
    """
    _check(cfg)
    stages = Stages(work, say)
    source = cfg.train_dataloader.dataset.get("source")
    extra = {name: inputs(e.dataset, source) for name, e in cfg.unify.extra.items()}
    key = [lsu_onto.__version__, [inputs(d, source) for d in cfg.train_dataloader.dataset.datasets]]

    teacher_cfg = teacher_config(cfg, work, seed)
    checkpoint = Path(
        stages.run(
            "teacher",
            [*key, text(teacher_cfg)],
            lambda: str(_train(teacher_cfg)),
            _is_file,
            [work / "teacher"],
            resumes=True,
        )
    )
    models = {"teacher": (teacher_cfg, checkpoint)}

    key.append(file_sha256(checkpoint))
    label_keys = []
    for name in cfg.unify.extra:
        one = pseudo_config(cfg, work, seed, name)
        folders = [Path(labels_of(kind, work, name)) for kind in label_kinds(cfg)]
        label_keys.append([*key, extra[name], text(one)])
        stages.run(
            f"pseudo-{name}",
            label_keys[-1],
            lambda c=one: _label(c, checkpoint),
            lambda _, n=extra[name][-1], f=folders: all(len(finished(x)) == n for x in f),
            folders,
            resumes=True,
        )
    scores = _score_labels(cfg, work)

    for kind in students(cfg):
        student_cfg = student_config(cfg, work, seed, kind, checkpoint)
        folder = work / f"student_{kind}"
        path = stages.run(
            f"student-{kind}",
            [*key, label_keys, text(student_cfg)],
            lambda c=student_cfg: str(_train(c)),
            _is_file,
            [folder],
            resumes=True,
        )
        models[f"student_{kind}"] = (student_cfg, Path(path))

    results: dict[str, Any] = {}
    for model, (model_cfg, path) in models.items():
        # The training's config decides nothing here, so a changed schedule without new weights costs no evaluation.
        wanted = [
            lsu_onto.__version__,
            file_sha256(path),
            [inputs(d, source) for d in cfg.unify.evaluate.values()],
            [cfg[k] for k in ("model", *_JUDGES) if k in cfg],
            cfg.unify.evaluate.to_dict(),
            VIEWS,
        ]
        results[model] = stages.run(
            f"evaluate-{model}", wanted, lambda c=model_cfg, p=path: _evaluate(c, p), lambda _: True, []
        )
    results["pseudo_labels"] = scores
    results["settings"] = {
        "seed": seed,
        "version": lsu_onto.__version__,
        "config": Path(str(cfg.filename)).name,
    }
    write_atomic(work / "results.json", json.dumps(results, indent=2).encode())
    return results


_JUDGES = ("val_dataloader", "val_evaluator", "test_dataloader", "test_evaluator")


def _check_section(cfg: Config) -> None:
    if "unify" not in cfg:
        raise ConfigError("the config has no `unify` section")
    for key in ("extra", "evaluate"):
        if key not in cfg.unify:
            raise ConfigError(f"the config's `unify` section has no `{key}`")
    if cfg.get("train_dataloader", {}).get("dataset", {}).get("type") != "CompoundDataset":
        raise ConfigError("`train_dataloader.dataset` must be a CompoundDataset, for the student to extend")


def _check(cfg: Config) -> None:
    """Find now what would otherwise come to light after hours of training."""
    _check_section(cfg)
    if not cfg.get("val_dataloader", {}).get("dataset", {}).get("pipeline"):
        raise ConfigError("`val_dataloader.dataset` needs a pipeline: labelling and evaluation use it")
    if cfg.unify.get("student_init") not in (None, "teacher"):
        raise ConfigError(f"`student_init` is `{cfg.unify.student_init}`; it can be 'teacher' or None")
    check_students(cfg)
    if "refresh" in cfg.unify:
        try:
            TeacherRefreshHook(**_refresh(cfg))
        except (TypeError, DisagreementError) as e:
            raise ConfigError(f"`unify.refresh`: {e}") from e
    evaluator(cfg)
    sets = {f"extra set `{n}`": e.get("dataset") for n, e in cfg.unify.extra.items()}
    sets |= {f"evaluation set `{n}`": d for n, d in cfg.unify.evaluate.items()}
    for name, dataset in sets.items():
        if not dataset:
            raise ConfigError(f"{name} has no `dataset`")
        if dataset.get("type") == "TaxDataset":
            try:
                _dataset(dataset, lazy_init=True).load_data_list()
            except (DatasetError, lsu_onto.TaxonomyError, TypeError) as e:
                raise ConfigError(f"{name}: {e}") from e
    for name, extra in cfg.unify.extra.items():
        if "truth" in extra:
            _check_truth(f"the truth of extra set `{name}`", extra.truth, _dataset(extra.dataset, lazy_init=True))


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


def _dataset(config: Any, **options: Any) -> TaxDataset:
    return TaxDataset(**{**{k: v for k, v in config.items() if k not in ("type", "pipeline")}, **options})


def inputs(config: Any, source: str | None) -> list[Any]:
    """What a dataset's stages depend on: its ontology and files; and how many images it has."""
    if config.get("type") != "TaxDataset":
        return ["", "", 0]
    dataset = _dataset({"source": source, **config})
    return [dataset.constraint.sha256, dataset.fingerprint(times=True), len(dataset)]


def _is_file(path: str) -> bool:
    return Path(path).is_file()


def text(cfg: Config) -> str:
    """The config without the section `unify`: what a stage takes from there is in its own config."""
    return json.dumps({k: v for k, v in cfg.to_dict().items() if k != "unify"}, sort_keys=True, default=str)


def _train(cfg: Config) -> Path:
    return train(cfg, quiet=True, resume=True)


def _label(cfg: Config, checkpoint: Path) -> dict[str, float]:
    return pseudo_label(cfg, checkpoint, quiet=True)


def _evaluate(cfg: Config, checkpoint: Path) -> dict[str, Any]:
    measured = measure(cfg, checkpoint, quiet=True)
    sets = document(measured)["sets"]
    out = {}
    for name, m in measured.items():
        figures = m.figures()
        interval = [float(x) for x in sets[name]["views"]["source"]["interval"]]
        out[name] = {"miou": figures["source/mIoU"], "interval": interval, **figures}
    return out


# --- scoring pseudo-labels ---------------------------------------------------------------------------------


def _score_labels(cfg: Config, work: Path) -> dict[str, Any]:
    """mIoU of the pseudo-labels themselves, where a fine truth is at hand that the training never saw."""
    kinds = label_kinds(cfg)
    scores: dict[str, Any] = {kind: {} for kind in kinds}
    for name, extra in cfg.unify.extra.items():
        if "truth" not in extra:
            continue
        dataset = _dataset(extra.dataset)
        c = dataset.constraint
        truth = Annotation(lsu_onto.load(extra.truth.taxonomy, c.source))
        labels = Annotation(channel_constraint(c))
        k, void = c.num_classes, void_index(c.num_classes)
        matrices = {kind: torch.zeros(k + 1, k + 1, dtype=torch.int64) for kind in kinds}
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
        for info in track(infos, f"scoring labels of {name}", len(infos)):
            true = _tensor(truth, Path(extra.truth.folder) / f"{Path(info['img_path']).stem}.png")
            for kind in kinds:
                found = _tensor(labels, Path(labels_of(kind, work, name)) / f"{info['key']}.png")
                matrices[kind] += confusion(found, true, k, ignore=void)
        for kind in kinds:
            scores[kind][name] = {"miou": iou_summary(matrices[kind])["miou"], "images": len(infos)}
    return scores


def _tensor(annotation: Annotation, path: Path) -> torch.Tensor:
    return torch.from_numpy(annotation.load(str(path))[0].astype("int64"))
