"""Real processes that run `lsu-seg …`, without each of them importing torch anew.

`python forkserver.py` imports what the command does, reads a request a line, and forks: the child is the command, with
its own process id, signals, exit code and output. `Server` is the other side.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Server:
    """Starts commands. Close it when done."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, **request: Any) -> int:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin and stdout
        print(json.dumps(request), file=stdin, flush=True)
        return int(stdout.readline())

    def start(self, log: Path, *arguments: object, unprivileged: bool = False) -> Command:
        """`lsu-seg ARGUMENTS`. unprivileged: permissions hold for it, even if it is root's."""
        log.write_text("")
        request = dict(log=str(log), arguments=[str(a) for a in arguments], unprivileged=unprivileged)
        return Command(self, self.ask(**request), log)

    def run(self, log: Path, *arguments: object, unprivileged: bool = False) -> tuple[int, str]:
        """Exit code and what was said."""
        command = self.start(log, *arguments, unprivileged=unprivileged)
        return command.wait(), command.said

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(60)


class Command:
    def __init__(self, server: Server, pid: int, log: Path) -> None:
        self._server, self.pid, self._log = server, pid, log

    @property
    def said(self) -> str:
        return self._log.read_text()

    def when(self, condition: Callable[[], bool], timeout: float = 120) -> None:
        """Wait for a condition, or for the command's end."""
        deadline = time.monotonic() + timeout
        while not condition() and not self._ended():
            assert time.monotonic() < deadline, self.said
            time.sleep(0.001)

    def _ended(self) -> bool:
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"

    def send(self, number: int) -> None:
        """Until `wait`, its number is not given to another process."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """The exit code, or minus the signal."""
        return self._server.ask(wait=self.pid)


def drop_privileges() -> None:
    """Root without the right to pass over permissions (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH)."""
    if os.geteuid():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    sets[0] &= ~0b110
    assert libc.capset(header, sets) == 0


def _serve() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
        else:
            answer = os.fork()
            if not answer:
                return _become(request)
        print(answer, flush=True)


def _become(request: dict[str, Any]) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if request["unprivileged"]:
        drop_privileges()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main(request["arguments"], prog_name="lsu-seg")


if __name__ == "__main__":
    import mmseg.models  # noqa: F401
    import numpy as np

    import lsu_seg.errors
    import lsu_seg.pseudo.loop  # noqa: F401 - what the command imports late, and a child would once more
    from lsu_seg.cli import main
    from lsu_seg.decode import View, cpu

    # Loads the compiled decoder. In this thread: a process that forks must have no other.
    cpu.decode([View(np.zeros((2, 1, 1), np.float32))] * 2, np.zeros((1, 1)), np.ones((1, 3), bool), threads=1)
    _serve()
