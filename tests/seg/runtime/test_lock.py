"""The lock of a work folder, as another process sees it."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from helpers.processes import wait_until
from lsu_seg.runtime.lock import LockedError, locked

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")


def hold(folder: Path, fork: bool = False) -> int:
    """A process that holds the lock, or (fork) one that it has forked and that outlives it by seconds."""
    pid = os.fork()
    if not pid:
        with locked(folder):
            if fork and not os.fork():
                (folder / "held").touch()
                time.sleep(3)
                os._exit(0)
            if not fork:
                (folder / "held").touch()
            time.sleep(600)
    wait_until((folder / "held").exists)
    return pid


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


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


def test_what_a_killed_run_has_started_is_waited_for(tmp_path: Path) -> None:
    kill(hold(tmp_path, fork=True))
    begun = time.monotonic()
    with locked(tmp_path):
        assert time.monotonic() - begun > 0.2
