"""Ctrl-C where Python can't raise it, and at the very end."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

import lsu_onto


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
