"""Whether OpenCV can be loaded with the variables of the environment that it reads.

It reads them in C++ while it is loaded, and ends the process with "terminate called" where one is not what it expects:
nothing in Python can catch that. So another process tries first, where there is any such variable.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

from lsu_seg.errors import UserError

_USE = """
import cv2, numpy
image = numpy.zeros((8, 8, 3), numpy.uint8)
cv2.GaussianBlur(cv2.resize(cv2.imdecode(cv2.imencode(".png", image)[1], 1), (4, 4)), (3, 3), 0)
"""
"""Some are read when they are needed first."""


def check_variables() -> None:
    """Check that OpenCV takes the variables `OPENCV_…`; this takes no time where there are none.

    Raises:
        UserError: it does not. The message has their names and values.
    """
    names = [name for name in os.environ if name.startswith("OPENCV_")]
    if not names or find_spec("cv2") is None or _works_with(names):
        return
    wrong = [name for name in names if not _works_with([name])]
    if wrong and _works_with([]):
        them = ", ".join(f"{name}={os.environ[name]}" for name in wrong)
        raise UserError(f"OpenCV cannot be loaded with {them} in the environment: unset it, or mend its value")


def _works_with(names: list[str]) -> bool:
    others = {n: value for n, value in os.environ.items() if n in names or not n.startswith("OPENCV_")}
    done = subprocess.run([sys.executable, "-P", "-c", _USE], env=others, capture_output=True, check=False)
    return done.returncode == 0
