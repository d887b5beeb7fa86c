"""Processes side by side: what they say, and how far they are. How they end is in `unify/test_stages.py`."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

from lsu_seg.runtime.processes import Ended, ProcessError, Processes, cores, default_jobs
from lsu_seg.runtime.progress import progress


def act(title: str, n: int) -> int:
    print("said", title)
    print("warned", title, file=sys.stderr)
    with progress(title, n) as advance:
        for i in range(n):
            advance(1, f"note {i}")
    return n


@pytest.mark.skipif(sys.platform != "linux", reason="processes are not forked there")
def test_progress_and_words_of_all_are_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with Processes() as processes:
        for name, n in ("a", 1000), ("b", 20):
            processes.start(name, lambda name=name, n=n: act(f"task {name}", n))
        assert processes.names == ["a", "b"]
        ended = [processes.wait(), processes.wait()]
    assert {e.name: (e.result, e.error) for e in ended} == {"a": (1000, None), "b": (20, None)}
    out, err = capfd.readouterr()
    assert out == ""
    lines = err.splitlines()
    for name, n in ("a", 1000), ("b", 20):
        assert {f"said task {name}", f"warned task {name}"} <= set(lines)
        (last,) = [line for line in lines if line.startswith(f"task {name} ")]
        assert f" {n}/{n} " in last
        assert last.endswith(f"note {n - 1}")


@pytest.mark.skipif(sys.platform != "linux", reason="processes are not forked there")
def test_jobs_follow_from_cores_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    assert cores() == 8
    for threads, jobs in (1, 9), (3, 3), (8, 1), (16, 1):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert default_jobs() == jobs
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert default_jobs() == 1


def run(action: Callable[[], Any]) -> Ended:
    with Processes() as processes:
        processes.start("a", action)
        return processes.wait()


def fork(action: Callable[[], Any]) -> int:
    pid = os.fork()
    if not pid:
        action()
        os._exit(0)
    return pid


@pytest.mark.skipif(sys.platform != "linux", reason="processes are not forked there")
@pytest.mark.parametrize("closes", [True, False], ids=["pipe closed", "pipe held"])
def test_a_killed_process_is_noticed_while_its_worker_hangs(monkeypatch: pytest.MonkeyPatch, closes: bool) -> None:
    """Held: as by a worker that native code has forked, which Python's hooks do not see."""
    reading, writing = os.pipe()

    def action() -> None:
        os.write(writing, str(fork(lambda: time.sleep(600))).encode())
        os.kill(os.getpid(), signal.SIGKILL)

    if not closes:
        monkeypatch.setattr(os, "register_at_fork", lambda **_: None)
    begun = time.monotonic()
    ended = run(action)
    os.kill(int(os.read(reading, 32)), signal.SIGKILL)
    assert isinstance(ended.error, ProcessError)
    assert "SIGKILL" in str(ended.error)
    assert time.monotonic() - begun < 60
    for end in reading, writing:
        os.close(end)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are not forked there")
def test_what_workers_write_does_not_mix_with_messages(capfd: pytest.CaptureFixture[str]) -> None:
    def work(name: str) -> None:
        for i in range(300):
            print(f"{name} {i} " + "x" * 300)

    def action() -> str:
        workers = [fork(lambda n=n: work(f"worker {n}")) for n in range(3)]
        work("stage")
        for pid in workers:
            assert os.waitpid(pid, 0)[1] == 0
        return "result"

    assert run(action) == Ended("a", "result")
    text = capfd.readouterr().err
    for name in "stage", *(f"worker {n}" for n in range(3)):
        missing = [i for i in range(300) if f"{name} {i} " + "x" * 300 not in text]
        assert not missing, name


@pytest.mark.skipif(sys.platform != "linux", reason="processes are not forked there")
@pytest.mark.parametrize("fails", [False, True])
def test_every_line_is_shown(capfd: pytest.CaptureFixture[str], fails: bool) -> None:
    def action() -> None:
        for text in "one\r\ntwo\r", "\nthree\n", "10 %\r", "20 %\r30 %", "\n", "the last":
            sys.stderr.write(text)
        if fails:
            raise FileNotFoundError(2, "No such file", "a.png")

    error = run(action).error
    assert capfd.readouterr().err.splitlines() == ["one", "two", "three", "10 %", "20 %", "30 %", "the last"]
    assert bool(error) == fails
    assert all("in action" in note for note in error.__notes__) if error else True


@pytest.mark.skipif(sys.platform != "linux", reason="processes are not forked there")
def test_tracebacks_that_libraries_print_are_left_out(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LSU_TRACEBACK", raising=False)
    text = "Traceback (most recent call last):\n  File \"<eval>\", line 7, in forward\nKeyError: 'x'\n"
    run(lambda: print(text, "in an FX-traced module", file=sys.stderr))
    assert capfd.readouterr().err.splitlines() == ["KeyError: 'x'", " in an FX-traced module"]


def test_nothing_to_wait_for() -> None:
    with Processes() as processes, pytest.raises(ValueError, match="no process is running"):
        processes.wait()
