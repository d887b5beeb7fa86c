"""How a command of either program ends with an error: what the user or the machine has done, in a line."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import traceback
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from lsu_onto.errors import UserError, interruption, ran_out, visible, without_traceback
from lsu_onto.packages import EXTRAS, REQUIRED, installed_as, modules
from lsu_onto.start import damaged


class Ending(click.ClickException):
    """The message and the exit code that a command ends with."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(visible(without_traceback(message)))
        self.exit_code = code  # type: ignore[misc]  # as click's own UsageError does

    def show(self, file: Any = None) -> None:
        stream = file or sys.stderr  # without click's own look at it, which a stream of the user's may not stand
        try:
            stream.write(f"{self.message}\n")
            stream.flush()
        except (OSError, ValueError, AttributeError):  # it is full, and all that is left is the exit code; or closed
            with contextlib.suppress(OSError):
                os.write(2, f"{self.message}\n".encode("utf-8", "backslashreplace"))


def ending(error: BaseException, command: click.Command | None = None) -> Ending | None:
    """How a command ends with an error that is the user's or the machine's; None: it is a fault of ours."""
    if isinstance(interruption(error), KeyboardInterrupt):
        kept = getattr(command, "interrupted", "")
        return Ending(f"interrupted; {kept}" if kept else "interrupted", 130)
    message: object = None
    if isinstance(error, UserError):
        message = error
    elif ran_out(error):
        said = " ".join(str(error).split())
        what = f"out of memory{said and ': '}{said[:300]}"
        message = f"{what}; end other programs, or see `ulimit -v` for what this shell allows"
    elif damage := damaged(error) or _damaged_metadata(error):
        message = damage
    elif "can't start new thread" in str(error):
        message = f"{error}: no memory for it, or more than this shell allows: see `ulimit -v` and `ulimit -u`"
    elif broken := _broken(error):
        message = _cannot(broken, error)
    elif isinstance(error, ImportError):
        message = _missing(error)
    elif isinstance(error, OSError) and (error.filename is not None or not isinstance(error, ConnectionError)):
        named = error.filename is not None and error.strerror
        message = f"{error.filename}: {error.strerror}" if named else error.strerror or error
        if not named and _current_folder_is_gone():  # removed while the command ran
            message = _GONE
        if error.errno == errno.EMFILE:
            message = f"{message}; this shell allows no more: see `ulimit -n`"
    elif isinstance(error, RuntimeError) and str(error).startswith("Symlink loop"):  # pathlib, before Python 3.13
        message = error
    elif isinstance(error, RuntimeError) and str(error).startswith("Could not determine home"):  # of `~name`
        message = "a path begins with `~` and a name, and there is no such user: write the whole path"
    return Ending(f"error: {message}", getattr(command, "refused", 1)) if message else None


def _missing(error: ImportError) -> str | None:
    """What brings what could not be imported; None where it is a module of ours, or one that we do not know."""
    from lsu_onto import INSTALL, INSTALL_MMDET

    module = (error.name or "").partition(".")[0]
    extra = next((extra for extra, modules in {**EXTRAS, "": REQUIRED}.items() if module in modules), None)
    if extra is None:
        return None
    if sys.modules.get(module) is None and (module in sys.modules or find_spec(module) is None):
        how = INSTALL_MMDET if module == "mmdet" else INSTALL.format(extra).replace("[]", "")
        return f"this needs `{module}`, which is not installed: {how}"
    return _cannot(module, error)


def _cannot(module: str, error: BaseException) -> str:
    from lsu_onto.faults import cannot_import  # slow

    return cannot_import(module, error)


def _broken(error: BaseException) -> str | None:
    """The package that we need and that fails while it is imported, whatever it raises: an AssertionError about
    versions, or an AttributeError of an older numpy. None where it works, or where what is missing has a command of
    its own to install it."""
    packages = modules()
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in packages:
        return None
    left = getattr(error, "obj", None)  # of an AttributeError
    if isinstance(left, ModuleType) and left.__name__ in packages and not getattr(left, "__file__", None):
        return left.__name__  # a folder, as a half-done `pip uninstall` leaves it
    if isinstance(error, SyntaxError):  # its last frame is the import
        file = error.filename or ""
        if not file and (name := _imported_in_last_line(error)) in packages:  # a file of NULs, as a power cut leaves it
            return name
        if package := installed_as(file) or next((name for name in packages if _lies_in(file, name)), None):
            return package
    for frame, _ in traceback.walk_tb(error.__traceback__):
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        installed = package in packages or installed_as(frame.f_code.co_filename)
        if frame.f_code.co_name == "<module>" and installed and package not in ("lsu_onto", "lsu_seg", "__main__"):
            return package
    return None


def _imported_in_last_line(error: BaseException) -> str:
    """The package that the line of code imports at which an error was raised; "" if it imports none."""
    lines = [frame.line for frame in traceback.extract_tb(error.__traceback__)]
    found = re.match(r"(?:from|import)\s+(\w+)", lines[-1] or "") if lines else None
    return found[1] if found else ""


def _damaged_metadata(error: BaseException) -> str:
    """What to do about a damaged file about an installed package, which pydantic and networkx read of every one."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        reads = frame.f_globals.get("__name__") == "importlib.metadata" and frame.f_code.co_name == "entry_points"
        if reads and (folder := getattr(frame.f_locals.get("self"), "_path", None)):
            return f"`{folder / 'entry_points.txt'}` is damaged ({error}): install that package again"
    return ""


def _lies_in(filename: str, package: str) -> bool:
    """Whether a file is one of a package that is imported, wherever that lies."""
    own = Path(getattr(sys.modules.get(package), "__file__", None) or "")
    return own.name.startswith("__init__.") and Path(filename).is_relative_to(own.parent)


def need_current_folder() -> None:
    """Refuse to work in a folder that has been removed: what asks for it gets an error without a name, and MKL aborts.

    Raises:
        UserError: it has.
    """
    if _current_folder_is_gone():
        raise UserError(_GONE)


_GONE = "the current folder has been removed, or is on a disk that is gone: `cd` to another"


def _current_folder_is_gone() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    except OSError:  # its path is too long for the system, and a folder above it is closed
        return False
    return False
