"""Errors that nobody can catch, in processes of their own: pytest has hooks for them, too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def ended(package: str, code: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """How a program ends that does this before it prints its help."""
    code = f"""
import signal, sys, threading, time
import click
class Falls:
    def __init__(self, what):
        self.what = what
    def __del__(self):
        self.what()
def fail():
    raise ValueError("of a library")
shown = click.Group.format_help
def format_help(*args):
    {code}
    shown(*args)
click.Group.format_help = format_help
signal.signal(signal.SIGINT, signal.default_int_handler)
from {package}.__main__ import main
sys.argv = ["{package}", "--help"]
main()
"""
    kept = {name: value for name, value in os.environ.items() if name != "LSU_TRACEBACK"}
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**kept, "TMPDIR": str(folder), **variables},
    )


@pytest.mark.parametrize("package", ["lsu_onto", "lsu_seg"])
@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("Falls(fail)", "warning: ValueError: of a library"),
        ("t = threading.Thread(target=fail); t.start(); t.join()", "error: ValueError: of a library"),
    ],
    ids=["destructor", "thread"],
)
def test_an_error_that_nobody_can_catch_is_told_without_its_traceback(
    package: str, code: str, told: str, tmp_path: Path
) -> None:
    done = ended(package, code, tmp_path)
    assert done.returncode == 0 and done.stdout.startswith("Usage: ")
    first, second, *rest = done.stderr.splitlines()
    (file,) = tmp_path.iterdir()
    name = package.replace("_", "-")
    assert (first, rest) == (told, []) and second.startswith(f"  help: `{name}` does not expect this: it is a fault")
    assert str(file) in second and "Traceback (most recent call last):" in file.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")
@pytest.mark.parametrize(
    ("error", "told"),
    [
        ('RuntimeError("can\'t start new thread")', "warning: can't start new thread: no memory for it"),
        ("ValueError('of a library')", "warning: ValueError: of a library"),
        ("KeyboardInterrupt", ""),
    ],
)
def test_what_ends_another_process_is_told_without_its_traceback(error: str, told: str, tmp_path: Path) -> None:
    """As where images are loaded; Python prints the error, and there is nobody to hand it to."""
    code = f"""import multiprocessing
    def fail():
        raise {error}
    process = multiprocessing.get_context("fork").Process(target=fail, name="loads-images")
    process.start(); process.join()"""
    done = ended("lsu_seg", code, tmp_path)
    assert done.returncode == 0 and done.stderr.startswith(f"Process loads-images:\n{told}")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("printing", ["traceback.print_exc()", "print(traceback.format_exc(), file=sys.stderr)"])
def test_what_a_user_s_own_code_prints_stays_as_it_is(printing: str, tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(f"import sys, traceback\ntry:\n    open('{own}.missing')\nexcept OSError:\n    {printing}\n")
    done = ended("lsu_seg", f"import runpy; runpy.run_path({str(own)!r})", tmp_path)
    assert done.returncode == 0 and done.stderr.startswith("Traceback (most recent call last):\n")
    assert f'File "{own}", line 3' in done.stderr and "\nFileNotFoundError: " in done.stderr


def test_it_is_shown_to_those_who_look_for_faults(tmp_path: Path) -> None:
    for code in ("Falls(fail)", "t = threading.Thread(target=fail); t.start(); t.join()"):
        said = ended("lsu_onto", code, tmp_path, LSU_TRACEBACK="1").stderr
        assert "Traceback (most recent call last):" in said and said.endswith("ValueError: of a library\n")


def test_ctrl_c_in_a_destructor_is_not_forgotten(tmp_path: Path) -> None:
    done = ended("lsu_onto", "Falls(lambda: signal.raise_signal(signal.SIGINT)); time.sleep(9)", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_a_second_ctrl_c_while_the_first_is_told_of(tmp_path: Path) -> None:
    """As from a key that is held down."""
    code = """import _thread
    start = _thread.start_new_thread
    def once(*args):
        _thread.start_new_thread = start
        signal.raise_signal(signal.SIGINT)
    _thread.start_new_thread = once
    Falls(lambda: signal.raise_signal(signal.SIGINT)); time.sleep(9)"""
    done = ended("lsu_onto", code, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_ctrl_c_in_a_destructor_is_not_forgotten_where_a_second_ends_the_process(tmp_path: Path) -> None:
    code = """from lsu_seg.runtime.ctrl_c import second_ends_at_once
    with second_ends_at_once():
        Falls(lambda: signal.raise_signal(signal.SIGINT)); time.sleep(9)"""
    done = ended("lsu_seg", code, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


@pytest.mark.parametrize(
    ("printing", "told"),
    [
        (
            "warnings.warn('a variable.\\nThe parse failed with:\\n' + traceback.format_exc())",
            "UserWarning: a variable.\nThe parse failed with:\nValueError: of a library",
        ),
        (
            "print(traceback.format_exc(), 'an FX-traced Module:\\n  a + b\\n~~ <--- HERE\\n', file=sys.stderr)",
            "ValueError: of a library\n an FX-traced Module:\n  a + b\n~~ <--- HERE",
        ),
        (
            "sys.stderr.write('Of old.\\nTraceback (most recent call last):' + ''.join(traceback.format_stack()))",
            "Of old.\n",
        ),
    ],
    ids=["numba's, of a variable", "torch.fx's", "numpy's, of a package"],
)
def test_what_a_library_prints_of_an_error_has_no_traceback(printing: str, told: str, tmp_path: Path) -> None:
    code = f"import traceback, warnings\n    try: fail()\n    except ValueError: {printing}"
    done = ended("lsu_seg", code, tmp_path)
    assert done.returncode == 0 and told in done.stderr
    assert "Traceback" not in done.stderr and "File" not in done.stderr
    shown = ended("lsu_seg", code, tmp_path, LSU_TRACEBACK="1").stderr
    assert "Traceback (most recent call last):" in shown and told.splitlines()[-1] in shown


@pytest.mark.parametrize(
    "printing",
    [
        "print(traceback.format_exc(), file=sys.stderr)",
        "warnings.warn('at:\\n' + ''.join(traceback.format_exception(*sys.exc_info())))",
        "logging.basicConfig(filename='/dev/stderr'); logging.error('at', exc_info=True)",
    ],
)
def test_so_it_is_where_code_has_set_a_stream_of_its_own(printing: str, tmp_path: Path) -> None:
    code = "import codecs, logging, traceback, warnings\n    sys.stderr = codecs.getwriter('utf-8')(sys.stderr.buffer)"
    done = ended("lsu_seg", f"{code}\n    try: fail()\n    except ValueError: {printing}", tmp_path)
    assert done.returncode == 0 and "ValueError: of a library" in done.stderr
    assert "Traceback" not in done.stderr and "File" not in done.stderr


def test_a_traceback_that_a_file_quotes_is_shown(tmp_path: Path) -> None:
    said = 'the tool said: Traceback (most recent call last): File "label.py", line 3, in main'
    for stream in ("stdout", "stderr"):
        done = ended("lsu_onto", f"print({said!r}, 'and more\\n    of it', file=sys.{stream})", tmp_path)
        assert f"{said} and more\n    of it" in getattr(done, stream)


def test_a_package_for_another_numpy_is_named(tmp_path: Path) -> None:
    """numpy's own words do not say which it is. The error is printed by compiled code, as here."""
    (tmp_path / "of_old.py").write_text(
        "import sys\nsys.excepthook(AttributeError, AttributeError('_ARRAY_API not found'), None)\n"
    )
    done = ended("lsu_seg", f"sys.path.insert(0, {str(tmp_path)!r}); import of_old", tmp_path)
    assert done.stderr == "warning: `of_old` was compiled for another version of numpy: upgrade it\n"


def test_what_a_library_logs_has_no_traceback(tmp_path: Path) -> None:
    """torch's, of its own cache. A log file keeps it."""
    code = "import logging; logging.basicConfig(handlers=[logging.StreamHandler(), logging.FileHandler('a.log')])"
    code += "\n    try: fail()\n    except ValueError:"
    code += " logging.getLogger('torch').warning('no cache\\nat all', exc_info=True)"
    done = ended("lsu_onto", code.replace("'a.log'", repr(str(tmp_path / "a.log"))), tmp_path)
    assert (done.returncode, done.stderr) == (0, "WARNING:torch:no cache\nat all: ValueError: of a library\n")
    assert "Traceback (most recent call last)" in (tmp_path / "a.log").read_text()


def test_a_warning_shows_no_line_of_code(tmp_path: Path) -> None:
    code = f"import warnings; warnings.warn_explicit('odd', UserWarning, {json.__file__!r}, 1)"
    assert ended("lsu_seg", code, tmp_path).stderr == f"{json.__file__}:1: UserWarning: odd\n"


def test_a_second_ctrl_c_at_the_very_start_of_the_hook(tmp_path: Path) -> None:
    """Before any of its own code could catch it."""
    code = """hook = sys.unraisablehook
    def at_its_start(frame, event, _):
        if event == "call" and frame.f_code is hook.__code__:
            sys.setprofile(None)
            signal.raise_signal(signal.SIGINT)
    def fall():
        sys.setprofile(at_its_start)
        signal.raise_signal(signal.SIGINT)
    Falls(fall); time.sleep(9)"""
    done = ended("lsu_onto", code, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")
