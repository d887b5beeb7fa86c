"""The lock of a work folder, as another process sees it."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from helpers.processes import wait_until
from lsu_seg.runtime.lock import LockedError, lock, locked, unlock, wait_for_lock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")


def hold(folder: Path, fork: bool = False) -> int:
    """A process that holds the lock, or (fork) one that it has forked and that outlives it until `release` is there."""
    pid = os.fork()
    if not pid:
        with locked(folder):
            if fork and not os.fork():
                (folder / "held").touch()
                wait_until((folder / "release").exists)
                os._exit(0)
            if not fork:
                (folder / "held").touch()
            time.sleep(600)
    wait_until((folder / "held").exists)
    return pid


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def check_wait(
    enter: Callable[[], None], message: str, release: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever enters says once that it waits, and goes on when the lock is released."""
    said: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        entering = pool.submit(enter)

        def waits() -> bool:
            said.append(capsys.readouterr().err)
            return "".join(said) == message or entering.done()

        wait_until(waits)
        assert not entering.done()
        release()
        entering.result()
    assert "".join(said) + capsys.readouterr().err == message


def test_one_at_a_time(tmp_path: Path) -> None:
    pid = hold(tmp_path)
    with pytest.raises(LockedError, match=rf"^{tmp_path}: process {pid}, .* is working there; wait"), locked(tmp_path):
        pass
    kill(pid)
    with locked(tmp_path):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["held"]
    with locked(tmp_path):
        pass


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: '.*\.lsu-lock'"), locked(tmp_path):
            pass
        assert not list(tmp_path.iterdir())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_what_a_killed_run_has_started_is_waited_for_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kill(hold(tmp_path, fork=True))

    def enter() -> None:
        with locked(tmp_path):
            pass

    message = f"waiting for the processes that a run has left behind in {tmp_path}\n"
    check_wait(enter, message, (tmp_path / "release").touch, capsys)


def test_a_lock_is_shared_or_not(tmp_path: Path) -> None:
    files = [os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT) for _ in range(3)]
    a, b, c = files
    assert lock(a, shared=True) and lock(b, shared=True)
    assert not lock(c)
    unlock(b)
    assert lock(a) and not lock(c, shared=True)
    unlock(a)
    wait_for_lock(c, "nothing")
    assert not lock(a)
    for file in files:
        os.close(file)


def test_who_waits_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = (os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT) for _ in range(2))
    assert lock(a)
    check_wait(lambda: wait_for_lock(b, "a worker"), "waiting for a worker\n", lambda: unlock(a), capsys)
    assert not lock(a)
    os.close(a)
    os.close(b)
