"""The file beside a checkpoint that has its temperature, and says what that was fitted on."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lsu_onto import open_to_read, write_atomic
from lsu_seg.errors import TeacherError
from lsu_seg.runtime.home import at_home
from lsu_seg.runtime.telling import tell
from lsu_seg.teachers.temperature import LARGEST

FORMAT = 1
SUFFIX = ".calibration.json"
_VIEWS = ("scales", "flips")

_Finite = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Bins = Annotated[list[tuple[_Finite, _Finite, _Finite]], Field(min_length=15, max_length=15)]


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True)


class Fit(_Kept):
    """How well p fits the ground truth, with some temperature.

    Attributes:
        nll: mean negative log-likelihood in nats. ece: expected calibration error, 0..1.
        bins: of each of 15 bins: pixels, those that are right, the sum of their confidence.
    """

    nll: _Finite
    ece: Annotated[float, Field(ge=0, le=1)]
    bins: _Bins


class Calibration(_Kept):
    """A temperature and its origin.

    Attributes:
        temperature: what logits are divided by.
        weights_sha256: of the checkpoint, as manifests of labels have it.
        source, dataset, split: taxonomies with their versions, and the split that it was fitted on.
        data_sha256: over the names of the images, and the pixels that were drawn with their ground truth.
        images, pixels: how many were drawn. missing: the source classes that none of these pixels has.
        views, computing: how the teacher looked at the images, as manifests have it.
        before, after: with temperature 1; and with a temperature that was fitted on the other half of the images.
    """

    format: Literal[FORMAT]  # type: ignore[valid-type]  # the number that this version writes
    toolkit: str
    temperature: Annotated[float, Field(ge=1 / LARGEST - 1e-9, le=LARGEST + 1e-9)]
    weights_sha256: str
    source: str
    dataset: str
    split: str
    data_sha256: str
    images: int
    pixels: int
    missing: tuple[str, ...]
    views: dict[str, Any]
    computing: dict[str, Any]
    before: Fit
    after: Fit

    def write(self, path: Path) -> None:
        text = re.sub(r"\[[\d\s.,eE+-]*\]", lambda m: re.sub(r"\s+", " ", m[0]), self.model_dump_json(indent=1))
        write_atomic(path, f"{text}\n".encode("utf-8", "backslashreplace"))

    @classmethod
    def read(cls, path: Path) -> Self:
        """What a file says.

        Raises:
            TeacherError: it is no calibration, or cannot be read.
        """
        try:
            with open_to_read(path) as file:
                text = file.read()
        except OSError as e:
            raise TeacherError(f"{path}: {e.strerror or e}; expected the file of `lsu-seg calibrate`") from e
        try:
            return cls.model_validate_json(text, strict=True)
        except ValidationError as e:
            first = e.errors()[0]
            where = f"`{'.'.join(map(str, first['loc']))}`: " if first["loc"] else ""
            what = f"{where}{first['msg'][:1].lower()}{first['msg'][1:]}"
        # Where the file's name was chosen, it may be anything, such as the checkpoint itself: do not say to remove it.
        advice = (
            "remove it, or calibrate the teacher again" if path.name.endswith(SUFFIX) else "name the file that it wrote"
        )
        raise TeacherError(f"{path}: not what `lsu-seg calibrate` writes ({what}); {advice}")


def check_target(path: Path) -> None:
    """Refuse a file to be written, before any time is spent, that is something else.

    Raises:
        TeacherError: it is no file; or a file that lies there under a name of its own is no calibration.
    """
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "a pipe or a device"
        raise TeacherError(f"{path} is {what}; name another file with `-o FILE.json`")
    if path.is_file() and not path.name.endswith(SUFFIX):
        try:
            Calibration.read(path)
        except TeacherError:
            raise TeacherError(
                f"{path} is there, and not what `lsu-seg calibrate` writes, so it is not replaced; choose another name"
            ) from None


def beside(weights: str | Path) -> Path:
    """The file beside a checkpoint or a folder of weights.

    >>> str(beside("work/teacher/iter_700.pth"))
    'work/teacher/iter_700.pth.calibration.json'
    """
    path = at_home(weights)
    return path.with_name(path.name + SUFFIX)


def calibration_file(weights: str | Path | None, given: Any = None) -> Path | None:
    """The file with the temperature of a teacher, if there is one.

    Args:
        weights: where its weights lie, see `beside`; None: nowhere.
        given: the file, if it is named; None: the one beside the weights; False: none.
    """
    if given is False:
        return None
    if given is not None:
        return at_home(str(given))
    # What cannot be read there, such as a link to nothing, is refused when it is read.
    return beside(weights) if weights is not None and os.path.lexists(beside(weights)) else None


def calibration_of(path: Path | None, weights_sha256: str, is_named: bool = False) -> Calibration | None:
    """The calibration of a teacher, or None.

    Args:
        path: the file, or None: there is none.
        weights_sha256: of the teacher's weights.
        is_named: the user named this file. Otherwise it lies beside the weights, and one that was fitted on other
            weights is ignored with a warning.

    Raises:
        TeacherError: the file is no calibration, or cannot be read; a file that is named is of other weights.
    """
    if path is None:
        return None
    calibration = Calibration.read(path)
    if calibration.weights_sha256 == weights_sha256:
        return calibration
    what = (
        f"{path}: fitted on other weights than these (their sha256 begins with {calibration.weights_sha256[:12]}, and"
        f" that of these with {weights_sha256[:12]})"
    )
    if is_named:
        raise TeacherError(f"{what}; calibrate this teacher, or leave the file out")
    tell(f"warning: {what}, so it is not used; calibrate the teacher again, or remove the file")
    return None


def temperature_of(calibration: Calibration | None, views: dict[str, Any]) -> float:
    """What logits are divided by. views: of the labels, with whose manifest they are compared."""
    if calibration is None:
        return 1.0
    warn_of_other_views(calibration, views)
    return calibration.temperature


def warn_of_other_views(calibration: Calibration, views: dict[str, Any]) -> None:
    """Say so where a temperature was fitted on other views: the mean of more views is less confident."""
    there = {key: calibration.views.get(key) for key in _VIEWS}
    now = {key: views.get(key) for key in _VIEWS}
    if there != now:
        words = " and ".join(f"{key} {there[key]} instead of {now[key]}" for key in _VIEWS if there[key] != now[key])
        tell(f"warning: the temperature {calibration.temperature:.3g} was fitted on other views: {words}")
