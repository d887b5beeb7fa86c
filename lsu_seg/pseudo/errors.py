"""Errors of an output folder."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lsu_seg.errors import ConfigError, UserError


class OutputError(UserError):
    """The output folder cannot be used as it is. The message says why and what to do."""


_FULL = (errno.ENOSPC, errno.EDQUOT)


def refused(path: Path, error: OSError) -> OutputError:
    """The error for a write to `path` that the disk refused; the message says what to do."""
    if error.errno in _FULL:
        try:
            free = f" ({shutil.disk_usage(path if path.is_dir() else path.parent).free / 1e6:.1f} MB are free)"
        except OSError:
            free = ""
        return OutputError(
            f"{path}: the disk is full{free}; labels written so far are whole: make room and run the same command"
            " again, it goes on from there"
        )
    return OutputError(
        f"{path}: cannot write there ({error.strerror or error}); labels written so far are whole, and the same"
        " command goes on from there"
    )


def unusable(root: Path, error: OSError) -> OutputError:
    """The error for an output folder that the disk refused before anything was written."""
    if error.errno in _FULL:
        return refused(root, error)
    return OutputError(f"{root}: cannot write there ({error.strerror or error}); choose another output folder")


def check_output(path: str | Path, others: Mapping[str, str | Path]) -> None:
    """Refuse an unusable output folder before any time is spent. Nothing is created that was not there.

    Args:
        path: the output folder.
        others: folders that must not overlap with it, by what they are: "the dataset's folder".

    Raises:
        OutputError: the path is a file or not writable; the folder is one of `others`, lies in one, or contains one.
    """
    path = Path(path)
    for what, folder in others.items():
        output, other = path.resolve(), Path(folder).resolve()
        if output.is_relative_to(other):
            raise OutputError(f"{path} is {what} {folder} or inside it; write labels elsewhere")
        if other.is_relative_to(output):
            raise OutputError(f"{path} holds {what} {folder}; write labels elsewhere")
    try:
        there = next(folder for folder in (path, *path.absolute().parents) if os.path.lexists(folder))
        trial = there / f".{os.getpid():x}-{os.urandom(4).hex()}.tmp"
        trial.touch()
        trial.unlink(missing_ok=True)
    except OSError as e:
        raise unusable(path, e) from e


def check_compared(precision: str | None) -> None:
    """Refuse to compare a precision with itself. None: none is named, and here that is fp32 on every device."""
    if precision in (None, "fp32"):
        raise ConfigError(
            f"{'none is named, so ' if precision is None else ''}the precision is fp32, which the labels are compared"
            " with: choose another one, `--precision bf16`, or in a config `test_cfg.precision`, of `unify`"
            " `unify.views.precision`"
        )


def check_output_settings(threshold: Any, soft: Any, calibration: Any = None) -> None:
    """Refuse a `threshold`, a `soft` or a `calibration` that a `PseudoLabelLoop` does not take."""
    if threshold is not None and not (_is_number(threshold) and 0 <= threshold <= 1):
        raise OutputError(f"threshold is {threshold!r}; expected 0..1, or None")
    if not isinstance(soft, int) or isinstance(soft, bool) or soft < 0:
        raise OutputError(f"soft is {soft!r}; expected how many classes of each pixel to keep, or 0")
    if (
        calibration is not None
        and calibration is not False
        and not (calibration and isinstance(calibration, (str, Path)))
    ):
        raise OutputError(f"calibration is {calibration!r}; expected the file of `lsu-seg calibrate`, False or None")


def check_forms(out_dir: Any, title: Any, confidence: Any, corrections: Any) -> None:
    """Refuse what a `PseudoLabelLoop` would stumble over after the first image, or take for true."""
    if not isinstance(out_dir, (str, Path)):
        raise OutputError(f"out_dir is {out_dir!r}; expected a folder")
    if not isinstance(title, str):
        raise OutputError(f"title is {title!r}; expected a text")
    if not isinstance(confidence, bool):
        raise OutputError(f"confidence is {confidence!r}; expected True or False")
    if corrections is not None and not isinstance(corrections, (str, Path)):
        raise OutputError(f"corrections is {corrections!r}; expected a folder, or None")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
