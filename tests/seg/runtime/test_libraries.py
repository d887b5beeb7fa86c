"""Where libraries of C++ would end the process, we say why before."""

import subprocess
import sys

import pytest

from lsu_seg.errors import UserError
from lsu_seg.runtime.libraries import check_memory, check_variables


def test_a_variable_that_opencv_cannot_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCV_IO_MAX_IMAGE_PIXELS", "1000000000")
    check_variables()
    monkeypatch.setenv("OPENCV_FOR_THREADS_NUM", "two")
    with pytest.raises(UserError, match="with OPENCV_FOR_THREADS_NUM=two in the environment"):
        check_variables()


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such limits")
def test_memory_with_which_torch_cannot_be_loaded_is_said() -> None:
    check_memory()
    code = """
import resource, lsu_seg.runtime.libraries as libraries
resource.setrlimit(resource.RLIMIT_AS, (300 << 20, -1))
try:
    libraries.check_memory()
except ValueError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "this shell allows 0.3 GB of memory, with which torch cannot be loaded: see `ulimit -v`\n"


def test_ctrl_c_while_torch_is_imported_comes_after_it() -> None:
    """Else its C++ ends the process, where it calls Python back."""
    code = """
import signal, sys, lsu_seg
class Press:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "torch._C":
            sys.meta_path.remove(Press)
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Press)
try:
    import torch
except KeyboardInterrupt:
    print("torch" in sys.modules or "interrupted", Press in sys.meta_path)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "False"
