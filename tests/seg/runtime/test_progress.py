"""Progress where nobody sees a bar: lines, whatever the clock and the counts are; and what is printed above bars."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time

import pytest

import lsu_onto.progress
from helpers.processes import wait_until
from lsu_seg.runtime.progress import Board, busy, counting, progress, track


def test_a_clock_that_jumps_and_counts_that_are_wrong_end_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jumps, real = random.Random(0), time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: jumps.choice([real(), real() - 1e5, real() + 1e5, 0.0, -5.0]))
    for total in (0, 1, 5):
        with progress("labels", total) as advance:
            for n in (0, 1, 1, 0, 3):
                advance(n, "note")
        with lsu_onto.progress.progress("files", total) as step:
            for _ in range(7):
                step()
    board = Board()
    for n in (0, 1, 1):
        board.show("teacher", "labels", 5, n, "note")
    board.ended("teacher")
    board.close()
    assert list(track(range(3), "scoring", 3)) == [0, 1, 2]
    printed = capsys.readouterr().err
    assert "labels" in printed and "files" in printed and not re.search(r"-\d+ s", printed), printed


def test_a_step_that_takes_long_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with busy("quick"):
        pass
    monkeypatch.setattr("lsu_seg.runtime.progress._AFTER_S", 0.0)
    with busy("slow"):
        wait_until(lambda: "slow" in capsys.readouterr().err)
    assert capsys.readouterr().err == ""


def test_what_has_no_known_end_is_counted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with counting("files") as found:
        found(3)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("lsu_seg.runtime.progress._AFTER_S", 0.0)
    with counting("files") as found:
        for n in (3, 4):  # one line, and the next in ten seconds
            found(n)
    assert capsys.readouterr().err == "files: 3 so far, 0 s\n"


BARS = {
    "lsu_onto": "onto.AFTER_S = -1\nwith onto.progress({name!r}, 3) as advance:\n    advance()",
    "lsu_seg": "with progress({name!r}, 3) as advance:\n    advance(1, '[/c]')",
    "lsu_seg, of several processes": "board = Board(); board.show('p', {name!r}, 3, 1, '[/c]')",
}
PRINTED = 'Traceback (most recent call last):\n  File "<f>", line 1, in f\nKeyError: 3\n'


@pytest.mark.skipif(sys.platform == "win32", reason="no such terminals there")
@pytest.mark.parametrize("bars", BARS)
def test_above_a_bar_no_traceback_is_printed_and_names_are_no_markup(bars: str) -> None:
    name = "a[/b] {0} [bold]"
    code = f"""
import sys
import lsu_onto.progress as onto
from lsu_seg.runtime.progress import Board, progress
{BARS[bars].format(name=name)}
    print({PRINTED!r}, file=sys.stderr)
""".replace("\n    print", "\n    print" if "with" in BARS[bars] else "\nprint")
    text = re.sub(r"\x1b\[[\d;?]*\w", "", _shown(code))
    assert name in text and "KeyError: 3" in text and "Traceback" not in text and "File" not in text


@pytest.mark.skipif(sys.platform == "win32", reason="no such terminals there")
@pytest.mark.parametrize("bars", list(BARS)[:2])
@pytest.mark.parametrize("shows", [False, True])
def test_ctrl_c_while_a_bar_begins_or_ends_leaves_the_terminal_as_it_was(bars: str, shows: bool) -> None:
    """It would hide the cursor for good, and swallow what is said of it."""
    code = f"""
import signal, sys
import lsu_onto.progress as onto
from lsu_seg.runtime.progress import progress
from rich.console import Console
cursor = Console.show_cursor
def show_cursor(self, show=True):
    cursor(self, show)
    if show is {shows}:
        Console.show_cursor = cursor
        signal.raise_signal(signal.SIGINT)
Console.show_cursor = show_cursor
signal.signal(signal.SIGINT, signal.default_int_handler)
before = sys.stderr
try:
    {BARS[bars].format(name="labels").replace(chr(10), chr(10) + "    ")}
except KeyboardInterrupt:
    print("interrupted", sys.stderr is before, signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    sys.stderr.write("interrupted")
"""
    shown = _shown(code, stdout=True)
    assert shown.rindex("\x1b[?25l") < shown.rindex("\x1b[?25h") < shown.rindex("interrupted")
    assert "interrupted True True" in shown


def _shown(code: str, stdout: bool = False) -> str:
    """What Python shows on a terminal: standard error, and standard output if that is asked for."""
    import pty

    reads, writes = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    environment.pop("LSU_TRACEBACK", None)
    done = subprocess.Popen(
        [sys.executable, "-c", code], stdout=writes if stdout else None, stderr=writes, env=environment
    )
    os.close(writes)
    shown = b""
    while part := _read(reads):
        shown += part
    assert done.wait() == 0, shown.decode()
    return shown.decode()


def _read(end: int) -> bytes:
    try:
        return os.read(end, 4096)
    except OSError:  # so does Linux end a terminal
        return b""
