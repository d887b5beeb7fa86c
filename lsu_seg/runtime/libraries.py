"""torch and OpenCV are looked at before they are imported: nothing in Python can catch it when their C++ aborts."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ExtensionFileLoader, ModuleSpec, PathFinder
from types import ModuleType

from lsu_onto import uninterrupted
from lsu_seg.errors import UserError

_USE_OPENCV = """
import cv2, numpy
image = numpy.zeros((8, 8, 3), numpy.uint8)
cv2.GaussianBlur(cv2.resize(cv2.imdecode(cv2.imencode(".png", image)[1], 1), (4, 4)), (3, 3), 0)
"""
"""Some variables are read when they are needed first."""

_SMALL = 4 << 30
"""Bytes of addresses with less of which torch may not be loaded; it takes some 600 MB without CUDA."""


def check_variables() -> None:
    """Check that OpenCV takes the variables `OPENCV_…`, by another process; this takes no time where there are none.

    Raises:
        UserError: it does not. The message has their names and values.
    """
    names = [name for name in os.environ if name.startswith("OPENCV_")]
    if not names or _works_with(names):
        return
    wrong = [name for name in names if not _works_with([name])]
    if wrong and _works_with([]):
        them = ", ".join(f"{name}={os.environ[name]}" for name in wrong)
        raise UserError(f"OpenCV cannot be loaded with {them} in the environment: unset it, or mend its value")


def check_memory() -> None:
    """Check that torch can be loaded, where the shell allows little memory: by another process.

    Raises:
        UserError: it can't.
    """
    if sys.platform == "win32":
        return
    import resource

    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    if 0 <= allowed < _SMALL and not _works("import torch", dict(os.environ)):
        raise UserError(
            f"this shell allows {allowed / 1e9:.1f} GB of memory, with which torch cannot be loaded: see `ulimit -v`"
        )


def _works_with(names: list[str]) -> bool:
    return _works(_USE_OPENCV, {n: v for n, v in os.environ.items() if n in names or not n.startswith("OPENCV_")})


def _works(code: str, environment: dict[str, str]) -> bool:
    import subprocess  # slow, and hardly ever needed

    done = subprocess.run([sys.executable, "-P", "-c", code], env=environment, capture_output=True, check=False)
    return done.returncode == 0


_CHECKS: dict[str, Callable[[], None]] = {"torch": check_memory, "cv2": check_variables}


class Finder:
    """For `sys.meta_path`: finds both as anybody would, and checks them when they are imported.

    Ctrl-C waits for the end of it: torch's C++ calls Python back, and aborts where that raises a KeyboardInterrupt.
    """

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        check = _CHECKS.get(name)
        spec = PathFinder.find_spec(name, path) if check else None
        if check is None or spec is None or spec.loader is None:
            return None
        if isinstance(spec.loader, ExtensionFileLoader):  # the package `cv2` imports it under its own name
            return spec
        execute = spec.loader.exec_module

        def execute_checked(module: ModuleType) -> None:
            check()
            with uninterrupted():
                execute(module)

        spec.loader.exec_module = execute_checked  # type: ignore[method-assign]
        return spec
