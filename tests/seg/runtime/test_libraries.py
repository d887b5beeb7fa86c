"""Where the C++ of torch or OpenCV would end the process, we say why before."""

import subprocess
import sys

import pytest

from lsu_seg.errors import UserError
from lsu_seg.runtime.libraries import check_variables


def printed(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_variable_that_opencv_cannot_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCV_IO_MAX_IMAGE_PIXELS", "1000000000")
    check_variables()
    monkeypatch.setenv("OPENCV_FOR_THREADS_NUM", "two")
    with pytest.raises(UserError, match="with OPENCV_FOR_THREADS_NUM=two in the environment"):
        check_variables()


IMPORTED = """
import os, resource, signal, sys
import lsu_seg
{before}
try:
    import {name}
except (ValueError, KeyboardInterrupt) as end:
    print(type(end).__name__, end, "torch.nn" in sys.modules)
"""
PRESSED = """
class Press:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "torch._C":
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Press)
"""
LITTLE = "this shell allows 0.3 GB of memory, with which torch cannot be loaded: see `ulimit -v`"


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such limits")
@pytest.mark.parametrize(
    ("name", "before", "said"),
    [
        ("torch", "resource.setrlimit(resource.RLIMIT_AS, (300 << 20, -1))", f"UserError {LITTLE} False"),
        ("torch", PRESSED, "KeyboardInterrupt  True"),
        (
            "cv2",
            "os.environ['OPENCV_IO_MAX_IMAGE_PIXELS'] = 'x'",
            "UserError OpenCV cannot be loaded with OPENCV_IO_MAX_IMAGE_PIXELS=x in the environment: unset it, or mend"
            " its value False",
        ),
    ],
)
def test_what_would_abort_while_it_is_imported(name: str, before: str, said: str) -> None:
    assert printed(IMPORTED.format(name=name, before=before)) == f"{said}\n"
