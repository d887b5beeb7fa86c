"""Processes side by side: what they say, and how far they are. How they end is in `unify/test_stages.py`."""

from __future__ import annotations

import os
import sys

import pytest
import torch

from lsu_seg.runtime.processes import Processes, cores, default_jobs
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
