"""The mean of a teacher's weights and those of a student that began with them.

A student learns the new domains and forgets some of what only the source shows; the mean of both weights keeps much of
either (WiSE-FT, Wortsman et al., CVPR 2022; model soups, Wortsman et al., ICML 2022). It takes no training, and
predicts as fast as one model. It only works along a training: networks that began with different random weights have
their features in different channels, and the mean of these is no network.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lsu_onto import UserError, write_atomic
from lsu_seg.openmmlab.compat import load_checkpoint
from lsu_seg.openmmlab.stated_classes import stated_classes
from lsu_seg.openmmlab.weights import adopt, finite_weights, some
from lsu_seg.pseudo.output import file_sha256
from lsu_seg.teachers.classes import same_class


class AverageError(UserError):
    """Weights of which no mean can be taken. The message names both files and the first differences."""


def is_share(value: Any) -> bool:
    """Whether a value can be the teacher's share of a mean: of 0 or 1, the mean would be one of the two."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1


def average_weights(
    teacher: Mapping[str, Tensor],
    student: Mapping[str, Tensor],
    share: float = 0.5,
    names: tuple[str, str] = ("the teacher", "the student"),
) -> dict[str, Tensor]:
    """The mean of two state dicts of one network, in the student's order and types.

    Statistics of BatchNorm are averaged as weights are. Entries that are no floating-point numbers (counters, indices)
    are the student's.

    Args:
        share: the teacher's, above 0 and below 1. names: of both, for messages.

    Raises:
        AverageError: a share out of range, or names or shapes differ.
    """
    if not is_share(share):
        raise AverageError(f"the teacher's share of the mean is {share!r}; expected a number above 0 and below 1")
    if differences := list(_differences(teacher, student, names)):
        raise AverageError(
            f"{names[0]} and {names[1]} do not have the same weights: {'; '.join(differences)}; a mean needs two models"
            " of one architecture, of which the student's training began with the teacher's weights"
        )
    return {name: _mean(teacher[name], weight, share) for name, weight in student.items()}


def _mean(teacher: Tensor, student: Tensor, share: float) -> Tensor:
    if not student.is_floating_point():
        return student
    # Not `torch.promote_types`: float8 promotes to nothing, and cannot be computed with.
    wide = student.dtype if student.dtype.itemsize > 4 else torch.float32
    return (share * teacher.to(wide) + (1 - share) * student.to(wide)).to(student.dtype)


def _differences(teacher: Mapping[str, Tensor], student: Mapping[str, Tensor], names: tuple[str, str]) -> Iterator[str]:
    for name, own, other in ((names[0], teacher, student), (names[1], student, teacher)):
        if alone := [key for key in own if key not in other]:
            yield f"only {name} has {some(alone)}"
    shapes = {key: (teacher[key].shape, student[key].shape) for key in student if key in teacher}
    several = [f"`{key}` is {_size(a)} and {_size(b)}" for key, (a, b) in shapes.items() if a != b]
    if several:
        yield ", ".join(several[:2]) + (f", and {len(several) - 2} more differ in size" if len(several) > 2 else "")


def _size(shape: torch.Size) -> str:
    return "x".join(map(str, shape)) or "a number"


def average_checkpoints(teacher: str | Path, student: str | Path, out: str | Path, share: float = 0.5) -> None:
    """Write the checkpoint of the mean; it loads wherever the student's does.

    It has the student's classes and the rest of its `meta`, where `average` says the share and names both files with
    their sha256, but no state of the optimizer: no training goes on from it.

    Args:
        teacher: also a plain file of the weights of a `TorchSegmentor`'s network. student: a checkpoint of a training.
        share: the teacher's.

    Raises:
        AverageError: see `average_weights`; or classes differ. TeacherError: a file is no checkpoint, or its weights
            are missing or NaN.
    """
    first, second = load_checkpoint(teacher, "cpu"), load_checkpoint(student, "cpu")
    for path, loaded in ((teacher, first), (student, second)):
        _check_plain(str(path), loaded.get("state_dict", loaded) if isinstance(loaded, Mapping) else loaded)
    own = finite_weights(str(student), second)
    adopt(str(teacher), first, own)
    names = f"`{teacher}`", f"`{student}`"
    weights = average_weights(finite_weights(str(teacher), first), own, share, names)
    _check_classes(first, second, names)
    sources = {"teacher": teacher, "student": student}
    files = {role: {"file": Path(path).name, "sha256": file_sha256(path)} for role, path in sources.items()}
    meta = second.get("meta")
    meta = {**(meta if isinstance(meta, Mapping) else {}), "average": {"share": share, **files}}
    buffer = io.BytesIO()
    torch.save({"meta": meta, "state_dict": weights}, buffer)
    write_atomic(out, buffer.getvalue())


def _check_plain(path: str, weights: Any) -> None:
    """Refuse tensors that torch cannot compute a mean of."""
    for name, weight in weights.items() if isinstance(weights, Mapping) else ():
        if isinstance(weight, Tensor) and (
            weight.is_nested or weight.is_quantized or weight.is_meta or weight.layout is not torch.strided
        ):
            raise AverageError(
                f"{path}: `{name}` is quantized, sparse, nested or without values; expected plain weights"
            )


def _check_classes(teacher: Mapping[str, Any], student: Mapping[str, Any], names: tuple[str, str]) -> None:
    """Refuse channels of other classes; a file that names none, or those of channels that are dropped too, may pass."""
    first, second = ((next(iter(stated_classes(each).values()), [])) for each in (teacher, student))
    if len(first) != len(second):
        return
    for channel, (a, b) in enumerate(zip(first, second, strict=True)):
        if not same_class(a, b) and not same_class(b, a):
            raise AverageError(
                f"{names[0]} and {names[1]} have other classes from channel {channel} on: `{a}` and `{b}`; a mean needs"
                " a student of the teacher's classes, in their order"
            )
