"""What goes wrong with an output folder."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from lsu_seg.errors import UserError


class OutputError(UserError):
    """The output folder cannot be used as it is. The message says why and what to do."""


_FULL = (errno.ENOSPC, errno.EDQUOT)


def refused(path: Path, error: OSError) -> OutputError:
    """The disk's refusal to write `path`, in words that say what to do."""
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
    """The disk's refusal of a folder to write into, before anything is written."""
    if error.errno in _FULL:
        return refused(root, error)
    return OutputError(f"{root}: cannot write there ({error.strerror or error}); choose another output folder")


def check_output(path: str | Path, others: Mapping[str, str | Path]) -> None:
    """Refuse an output folder that cannot be one, before any time is spent. Leaves it made.

    Args:
        others: folders that it must have nothing to do with, by what they are.

    Raises:
        OutputError: it is a file, or cannot be written to; it is one of `others`, inside one, or around one.
    """
    path = Path(path)
    for what, folder in others.items():
        mine, its = path.resolve(), Path(folder).resolve()
        if mine.is_relative_to(its):
            raise OutputError(f"{path} is {what} {folder} or inside it; write labels elsewhere")
        if its.is_relative_to(mine):
            raise OutputError(f"{path} holds {what} {folder}; write labels elsewhere")
    trial = path / f".{os.getpid():x}-{os.urandom(4).hex()}.tmp"
    try:
        path.mkdir(parents=True, exist_ok=True)
        trial.touch()
        trial.unlink(missing_ok=True)
    except OSError as e:
        raise unusable(path, e) from e
