"""Ctrl-C where Python can't raise it, and at the very end; errors of another process, without their tracebacks."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

import lsu_onto
from lsu_onto.endings import Ending


def test_ctrl_c_waits_for_what_calls_back_from_c() -> None:
    done = False
    with pytest.raises(KeyboardInterrupt), lsu_onto.uninterrupted():
        signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL, "a second one ends the process"
        done = True
    assert done and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_who_ignores_ctrl_c_goes_on_doing_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with lsu_onto.uninterrupted():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("program", ["lsu_onto", "lsu_seg"])
def test_a_second_ctrl_c_after_the_message_says_nothing(program: str) -> None:
    code = f"""
import signal, sys
import {program}.cli
def interrupted(**_): raise KeyboardInterrupt
{program}.cli.main = interrupted
class Err:
    def write(self, text): signal.raise_signal(signal.SIGINT)
sys.stderr = Err()
from {program}.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


WORKER = "Caught {} in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
FRAMES = '  File "a.py", line 3, in f\n    raise it\n    ^^^^^^^^\n'


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"`x` fails: {WORKER.format('KeyError')}{FRAMES}KeyError: 'x'\n", "`x` fails: KeyError: 'x'"),
        (
            f"<urlopen error {WORKER.format('URLError')}{FRAMES}urllib.error.URLError: <urlopen error no answer>\n>",
            "<urlopen error urllib.error.URLError: <urlopen error no answer> >",
        ),
        (
            f"{WORKER.format('OSError')}{FRAMES}ValueError: a\nb\n\nDuring handling of the above exception, another"
            f" exception occurred:\n\nTraceback (most recent call last):\n{FRAMES}OSError: c\nd",
            "OSError: c d",
        ),
        (
            "it fails.\nTraceback of TorchScript, serialized code (most recent call last):\n"
            f"{FRAMES}\nTraceback of TorchScript, original code (most recent call last):\n{FRAMES}RuntimeError: sizes",
            "it fails. RuntimeError: sizes",
        ),
        (
            "The following operation failed in the TorchScript interpreter.\nTraceback of TorchScript (most recent call"
            f" last):\n{FRAMES}def f(x):\n    return x + 1\n           ~~~~~ <--- HERE\nRuntimeError: sizes\n",
            "RuntimeError: sizes",
        ),
        ("a line\n  and another, which is indented\n", "a line\n  and another, which is indented\n"),
    ],
    ids=["first step", "inside", "chain", "TorchScript", "TorchScript's code", "none"],
)
def test_what_another_process_sends_is_told_without_its_traceback(text: str, left: str) -> None:
    assert lsu_onto.without_traceback(text) == left
    assert "Traceback" not in Ending(f"error: {text}", 1).message
