"""Ctrl-C before a command runs: while its program is imported, and while the help is printed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("package", ["lsu_onto", "lsu_seg"])
def test_ctrl_c_while_the_program_itself_is_imported(package: str) -> None:
    """The installed programs call what `python -m` calls."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    called = {"lsu_onto": "lsu_onto.__main__:main", "lsu_seg": "lsu_onto.start:lsu_seg"}[package]
    assert settings["project"]["scripts"][package.replace("_", "-")] == called
    code = f"""
import os, runpy, signal, sys
class Stop:
    def find_spec(self, name, *_):
        if name == "{package}.cli":
            os.kill(os.getpid(), signal.SIGINT)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Stop())
runpy.run_module("{package}", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_ctrl_c_in_code_that_a_package_makes_of_text(tmp_path: Path) -> None:
    """As dataclasses do: there `python -m` would end by the signal, and not with the exit code."""
    (tmp_path / "click.py").write_text("exec('raise KeyboardInterrupt')\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-P", "-m", "lsu_onto", "list"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_ctrl_c_in_a_callback_while_the_program_is_imported() -> None:
    """As of the import system's own locks: Python would print it, and go on."""
    code = """
import os, runpy, signal, sys
class Falls:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
class Stop:
    def find_spec(self, name, *_):
        if name == "lsu_onto.cli":
            Falls()
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Stop())
sys.argv = ["lsu-onto", "--version"]
runpy.run_module("lsu_onto", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


@pytest.mark.parametrize("package", ["lsu_onto", "lsu_seg"])
def test_ctrl_c_while_the_help_is_printed(package: str) -> None:
    code = f"""
import signal, sys
import click
def format_help(*_):
    signal.raise_signal(signal.SIGINT)
click.Group.format_help = format_help
signal.signal(signal.SIGINT, signal.default_int_handler)
from {package}.__main__ import main
sys.argv = ["{package}", "--help"]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


@pytest.mark.parametrize("package", ["lsu_onto", "lsu_seg"])
def test_a_second_ctrl_c_while_the_program_ends(package: str) -> None:
    """Python itself would print a traceback of what it was about to clean up."""
    code = f"""
import atexit, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
atexit.register(signal.raise_signal, signal.SIGINT)
from {package}.__main__ import main
sys.argv = ["{package}", "--version"]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGINT and done.stderr == ""


def test_a_second_ctrl_c_at_the_moment_that_the_program_ends() -> None:
    """As programs do that pass Ctrl-C on to what they have started, which has heard of it already."""
    code = """
import signal, sys, types, _signal
import lsu_onto.start
def getsignal(number):
    signal.raise_signal(number)
    return _signal.getsignal(number)
lsu_onto.start._signal = types.SimpleNamespace(**vars(_signal) | {"getsignal": getsignal})
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["lsu-onto", "--version"]
lsu_onto.start.start("lsu_onto")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGINT and done.stderr == ""
