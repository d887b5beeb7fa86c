"""What a student of `unify` is trained with: which labels, which of them as sets, which loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config

import lsu_onto
from lsu_seg.errors import ConfigError
from lsu_seg.models.hf_models import QUERY_MODELS, SET_QUERY_MODELS, model_of
from lsu_seg.models.known_masks import NO_SETS
from lsu_seg.openmmlab.config import is_type

STUDENTS = ("raw", "constrained", "set")
"""`set` has the constrained labels where the teacher is sure, and elsewhere the sets that the ground truth allows."""

_MASKFORMER = "MaskFormerHead"
_DOUBT = ("unsure", "threshold")
_SET_HEADS = ("Mask2FormerHead", "SetMask2FormerHead")


def students(cfg: Config) -> tuple[str, ...]:
    """The students that a config asks for.

    Raises:
        ConfigError: they are no list of students that there are.
    """
    wanted = cfg.unify.get("students", STUDENTS[:2])
    if isinstance(wanted, str):
        raise ConfigError(f"`unify.students` is {wanted!r}; expected a list: `['{wanted}']`")
    if not isinstance(wanted, (list, tuple)) or not wanted or any(student not in STUDENTS for student in wanted):
        raise ConfigError(f"`unify.students` is {wanted!r}; expected a list of some of {', '.join(STUDENTS)}")
    return tuple(wanted)


def models(cfg: Config) -> dict[str, str]:
    """The models that are judged, each with the kind of its config: `teacher`, or that of a student."""
    out = {"teacher": "teacher"} | {f"student_{kind}": kind for kind in students(cfg)}
    if cfg.unify.get("average_with_teacher") is not None:
        out |= {f"student_{kind}_averaged": kind for kind in students(cfg)}
    return out


def label_kinds(cfg: Config) -> tuple[str, ...]:
    """The kinds of pseudo-labels that they need."""
    return ("raw", "constrained") if "raw" in students(cfg) else ("constrained",)


def source_of(cfg: Config) -> str:
    """The source taxonomy of the training datasets."""
    compound = cfg.train_dataloader.dataset
    if compound.get("source"):
        return str(compound.source)
    first = compound.datasets[0]
    return lsu_onto.load(first.taxonomy, first.get("source"), first.get("paths", ())).source


def labels_of(kind: str, work: Path, name: str) -> str:
    """The folder of the labels that a student has of an extra dataset."""
    return str(work / "pseudo" / name / ("raw" if kind == "raw" else "constrained"))


def check_students(cfg: Config) -> None:
    """Refuse students that cannot be trained.

    Raises:
        ConfigError: what to write.
    """
    wanted = students(cfg)
    if "set" in wanted:
        found = {key: value for key in _DOUBT if (value := cfg.unify.get(key)) is not None}
        if len(found) != 1 or not all(isinstance(v, (int, float)) and 0 <= v <= 1 for v in found.values()):
            text = " and ".join(f"`unify.{key}` is {value}" for key, value in found.items())
            raise ConfigError(
                f"{text or 'there is neither `unify.unsure` nor `unify.threshold`'}; the student `set` needs one of the"
                " two: `unsure`, the share, 0 to 1, of each class's labels that are least sure, or `threshold`, the"
                " confidence, 0 to 1, from which on a pseudo-label is a hard target"
            )
        take_sets(Config(cfg.to_dict()))
    datasets = [
        *cfg.train_dataloader.dataset.datasets,
        *(e.get("dataset") or {} for e in cfg.unify.extra.values()),
    ]
    weighted = [d.taxonomy for d in datasets if d.get("loss_weight", 1) != 1]
    # Now: the OntologyHook would say so after the teacher and its labels.
    if weighted and _predicts_masks(cfg.model):
        raise ConfigError(
            f"the `loss_weight` of {', '.join(f'`{name}`' for name in weighted)} has no effect on a model that is"
            " trained on masks: leave it out; `weight` says how often a dataset's images are drawn"
        )


def _predicts_masks(model: Any) -> bool:
    if is_type(model, "HFSegmentor"):
        return model_of(model.hf) in QUERY_MODELS
    head = model.get("decode_head") or {}
    return is_type(head, *_SET_HEADS, _MASKFORMER)


def take_doubt(dataset: Any, cfg: Config) -> None:
    """Tell the config of a dataset of the student `set` which pseudo-labels are no hard targets, unless it says so."""
    if not any(key in dataset for key in _DOUBT):
        dataset.update({key: cfg.unify[key] for key in _DOUBT if cfg.unify.get(key) is not None})


def take_sets(cfg: Config) -> None:
    """Make a config's model and datasets those of the student `set`: its losses know sets, its datasets say where."""
    source = source_of(cfg)
    for dataset in cfg.train_dataloader.dataset.datasets:
        take_doubt(dataset, cfg)
    model = cfg.model
    if is_type(model, "TorchSegmentor"):
        _set_loss("model", model, source)
        return
    if is_type(model, "HFSegmentor"):
        kind = model_of(model.hf)
        if kind in SET_QUERY_MODELS:
            model.source = source
        elif kind in QUERY_MODELS:
            raise ConfigError(_no_sets("model", kind))
        else:
            _set_loss("model", model, source)
        return
    for name in ("decode_head", "auxiliary_head"):
        heads = model.get(name) or []
        for head in heads if isinstance(heads, (list, tuple)) else [heads]:
            if is_type(head, *_SET_HEADS):
                head.type, head.source = "SetMask2FormerHead", source
            elif is_type(head, _MASKFORMER):
                raise ConfigError(_no_sets(f"model.{name}", "MaskFormerHead"))
            else:
                _set_loss(f"model.{name}", head, source)


def _no_sets(name: str, kind: str) -> str:
    return f"{name} is a {kind}, which {NO_SETS}, or leave `set` out of `unify.students`"


def _set_loss(name: str, head: Any, source: str) -> None:
    losses = head.get("loss_decode") or dict(type="CrossEntropyLoss")
    several = isinstance(losses, (list, tuple))
    new = [_set_nll(name, dict(loss), source) for loss in (losses if several else [losses])]
    head.loss_decode = new if several else new[0]


def _set_nll(name: str, loss: dict[str, Any], source: str) -> dict[str, Any]:
    if is_type(loss, "SetNLLLoss", "CategoryLoss"):
        return loss
    weights = loss.get("class_weight")
    if not is_type(loss, "CrossEntropyLoss") or (
        loss.get("use_sigmoid") or loss.get("use_mask") or isinstance(weights, str)
    ):
        raise ConfigError(
            f"{name}.loss_decode is {loss}, which cannot be trained on sets; write"
            f" `loss_decode=dict(type='SetNLLLoss', source='{source}')`, or leave `set` out of `unify.students`"
        )
    kept: dict[str, Any] = {key: loss[key] for key in ("class_weight", "loss_weight", "reduction") if key in loss}
    return dict(type="SetNLLLoss", source=source, **kept)
