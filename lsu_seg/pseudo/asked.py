"""Who is asked in a labelling run: the teacher, or the teachers of an ensemble, and what the manifest says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lsu_onto import Constraint
from lsu_seg.errors import ConfigError, TeacherError, UserError
from lsu_seg.models.ensemble import Ensemble, Teacher
from lsu_seg.pseudo.inputs import tensors_sha256
from lsu_seg.pseudo.output import file_sha256
from lsu_seg.runtime.telling import tell, telling_of
from lsu_seg.teachers import EnsembleTeacher, SegmentorTeacher, Views
from lsu_seg.teachers.calibration import calibration_file, calibration_of, temperature_of
from lsu_seg.teachers.computing import PRECISIONS, Computing, ComputingNetwork, precision_here
from lsu_seg.teachers.ensemble import Placed


@contextmanager
def asked(
    model: Any,
    constraint: Constraint,
    views: Views,
    computing: Computing,
    device: torch.device,
    checkpoint: Any,
    weights: str | None = None,
    calibration: Any = None,
    before: Mapping[str, str] | None = None,
) -> Iterator[tuple[SegmentorTeacher | EnsembleTeacher, dict[str, Any]]]:
    """The teacher of a run, as long as this context is open, and what its labels depend on.

    Args:
        model: the segmentor of the run, or an `Ensemble`.
        views, computing: of the run. A teacher of an ensemble may have settings of its own.
        checkpoint: the file that a segmentor's weights are from, where it does not bring them itself.
        weights: where a segmentor's weights lie.
        calibration: as for `PseudoLabelLoop`.
        before: what `precisions` says of the labels that the run goes on with.

    Raises:
        TeacherError: see `SegmentorTeacher` and `calibration_of`. ConfigError: the ensemble is for labels of another
            source, or has one temperature.
    """
    with ExitStack() as stack:
        if not isinstance(model, Ensemble):
            computing = _as_before(computing, (before or {}).get(""), device)
            network = stack.enter_context(ComputingNetwork(model, computing, device))
            sums = weights_sha256(model, checkpoint)
            temperature = _temperature(weights, sums, checkpoint, calibration, views)
            teacher = SegmentorTeacher(model, constraint.source_classes, views, network, temperature)
            origin = {"teacher": model.origin} if getattr(model, "origin", "") else {}
            computing = replace(network.settings, compile=network.compiled)
            yield (
                teacher,
                {
                    "checkpoint_sha256": sums,
                    **origin,
                    **views.manifest(),
                    **computing.manifest(),
                    "temperature": temperature,
                },
            )
            return
        if model.source_classes != constraint.source_classes:
            raise ConfigError(
                f"the ensemble's `model.source` has other classes than `{constraint.source}"
                f" {constraint.source_version}`, in which is labelled: name that one"
            )
        if isinstance(calibration, (str, Path)):
            raise ConfigError(
                "each teacher has a temperature of its own: name its file as `calibration` of the teacher"
            )
        teachers: dict[str, tuple[SegmentorTeacher, Placed]] = {}
        entries = []
        for one in model.teachers:
            looks = dict(one.looks)
            own = looks.pop("calibration", calibration)
            with _about(one):
                how = replace(computing, **{k: looks.pop(k) for k in ("precision", "compile") if k in looks})
                seen = replace(views, **looks)
                how = _as_before(how, (before or {}).get(one.name), device)
                how.check_window(seen.window)
                network = stack.enter_context(ComputingNetwork(one.model, how, device))
                sums = weights_sha256(one.model, one.checkpoint)
                temperature = _temperature(one.weights, sums, one.checkpoint, own, seen)
                teachers[one.name] = (SegmentorTeacher(one.model, one.classes, seen, network, temperature), one.placed)
            entries.append(_entry(one, sums, seen, replace(network.settings, compile=network.compiled), temperature))
        for line in silences(model.teachers, constraint):
            tell(line)
        sums = " ".join(entry["checkpoint_sha256"] for entry in entries)
        yield EnsembleTeacher(teachers), {"checkpoint_sha256": sums, "teachers": entries}


@contextmanager
def _about(teacher: Teacher) -> Iterator[None]:
    """Errors and messages in this context name the teacher, one of several, that they are about."""
    try:
        with telling_of(f"teacher `{teacher.name}`"):
            yield
    except UserError as e:
        kind = TeacherError if isinstance(e, TeacherError) else ConfigError
        raise kind(f"teacher `{teacher.name}`: {e}") from e


def _as_before(computing: Computing, before: str | None, device: torch.device) -> Computing:
    """Settings that go on with labels as they were begun, where nothing else is asked for."""
    if computing.precision is not None or before not in PRECISIONS or before == precision_here(device):
        return computing
    tell(f"the labels that are there were computed in {before}, and so are the others")
    return replace(computing, precision=before)


def _temperature(weights: str | None, sums: str, checkpoint: Any, calibration: Any, views: Views) -> float:
    """The temperature of a teacher. sums: of its weights, as `weights_sha256` has them."""
    file = calibration_file(weights, calibration)
    found = calibration_of(file, own_sha256(sums, checkpoint), is_named=calibration is not None)
    return temperature_of(found, views.manifest())


def _entry(teacher: Teacher, sums: str, views: Views, computing: Computing, temperature: float) -> dict[str, Any]:
    """What a manifest says of a teacher."""
    mapped = {} if len(teacher.way) < 2 else {"way": list(teacher.way), "map": _digest(teacher)}
    return {
        "name": teacher.name,
        "weight": teacher.weight,
        "checkpoint_sha256": sums,
        **({"teacher": teacher.model.origin} if getattr(teacher.model, "origin", "") else {}),
        **mapped,
        **views.manifest(),
        **computing.manifest(),
        "temperature": temperature,
    }


def _digest(teacher: Teacher) -> list[list[int]]:
    """What each channel may be, by the numbers of the source's classes; void comes after the last."""
    if teacher.to is None:
        inverse = {channel: c for c, channel in enumerate(teacher.order or range(len(teacher.classes)))}
        return [[inverse[channel]] for channel in range(len(teacher.classes))]
    return [np.flatnonzero(row).tolist() for row in teacher.to]


def weights_sha256(model: Any, checkpoint: Any) -> str:
    """sha256 of the checkpoint, and of the files that the model loads itself (`HFSegmentor`): with a checkpoint, only
    those that say what the model is and how images are normalised."""
    files: list[Any] = list(getattr(model, "weight_files", ()))
    if checkpoint:
        files = [checkpoint, *(f for f in files if Path(f).suffix == ".json")]
    return " ".join(file_sha256(f) for f in files) or f"none: {tensors_sha256(model)}"


def own_sha256(sums: str, checkpoint: Any) -> str:
    """Of what `weights_sha256` returns, that of the weights alone."""
    return sums.partition(" ")[0] if checkpoint else sums


def silences(teachers: Sequence[Teacher], constraint: Constraint) -> Iterator[str]:
    """A line for each teacher that has no evidence for some classes that the dataset's labels may get."""
    wanted = constraint.allowed[constraint.relabel < 0, :-1].any(0)
    for teacher in teachers:
        if teacher.to is None:
            continue
        silent = [constraint.source_classes[c] for c in np.flatnonzero(wanted & ~teacher.to[:, :-1].any(0))]
        if silent:
            some = ", ".join(silent[:6]) + (f" and {len(silent) - 6} more" if len(silent) > 6 else "")
            yield (
                f"teacher `{teacher.name}`: none of its classes may be {some}; where the annotation leaves these open,"
                " it counts against them"
            )


def device_of(model: Any) -> torch.device:
    """A frozen network has no parameters, and its segmentor has buffers."""
    device: torch.device = next(chain(model.parameters(), model.buffers())).device
    return device
