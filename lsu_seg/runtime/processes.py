"""Runs actions in parallel, each in its own process. None outlives this process, which shows the progress of all.

Processes are forked, so they start fast, with everything that is imported here. This process must not compute with
torch before, because the forked processes would lack torch's threads.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import multiprocessing
import os
import pickle
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from lsu_onto import interruption, leave_out_tracebacks
from lsu_seg.errors import UserError
from lsu_seg.runtime.progress import Board, relay

_PATIENCE_S = 20.0
"""The time that a process may take to stop before it is killed."""
_LOOK_S = 1.0
"""How often to look whether a process has ended without closing its pipe."""
_PR_SET_PDEATHSIG = 1


class ProcessError(UserError):
    """A process cannot be started here, or ended without a result, for example because the system killed it."""


def can_fork() -> bool:
    """Whether processes can be forked: on macOS, they crash in Apple's libraries, and Windows has no fork."""
    return sys.platform == "linux"


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_jobs() -> int:
    """The number of actions to run in parallel: cores divided by torch's threads, and one more; on GPUs, one.

    With one more, three students on two cores take less time than two students in parallel and then the third.
    """
    import torch

    if not can_fork() or torch.cuda.device_count():
        return 1
    fit = cores() // torch.get_num_threads()
    return fit + 1 if fit > 1 else 1


@dataclass(frozen=True)
class Ended:
    """The result or the error of an action that has ended."""

    name: str
    result: Any = None
    error: Exception | None = None


class Processes:
    """`with Processes() as running: running.start(name, action) …; ended = running.wait()`. Stops the rest on exit."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[BaseProcess, Connection]] = {}
        self._board = Board()

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for process, _pipe in self._running.values():
            process.terminate()
        for process, pipe in self._running.values():
            pipe.close()  # otherwise a process may wait for its messages to be read
            _stop(process)
        self._board.close()

    def __len__(self) -> int:
        return len(self._running)

    @property
    def names(self) -> list[str]:
        return list(self._running)

    def start(self, name: str, action: Callable[[], Any]) -> None:
        """Run an action in parallel to those already running. Its result must be picklable."""
        if not can_fork():
            raise ProcessError("work side by side needs Linux; leave `--jobs` out")
        own_end, child_end = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(
            target=_run, args=(action, child_end, os.getpid()), name=name
        )
        # Python loses a KeyboardInterrupt that is raised inside a hook of `os.fork`, so Ctrl-C has to wait.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
            child_end.close()
            self._running[name] = process, own_end
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def wait(self) -> Ended:
        """Wait for the next action to end, and show progress until then."""
        if not self._running:
            raise ValueError("no process is running")
        while True:
            wait([pipe for _, pipe in self._running.values()], _LOOK_S)
            for name, (process, pipe) in list(self._running.items()):
                # A process that this one has started may outlive it and hold its end of the pipe open.
                code = process.exitcode
                if not pipe.poll():
                    if code is None:
                        continue
                    self._forget(name)
                    return Ended(name, error=ProcessError(_exit_message(name, code)))
                try:
                    kind, *message = pipe.recv()
                except (EOFError, OSError):
                    self._forget(name)
                    return Ended(name, error=ProcessError(_exit_message(name, process.exitcode or 0)))
                if kind == "progress":
                    self._board.show(name, *message)
                elif kind == "line":
                    self._board.print(*message)
                else:
                    self._forget(name)
                    return Ended(name, message[0]) if kind == "result" else Ended(name, error=message[0])

    def _forget(self, name: str) -> None:
        process, pipe = self._running.pop(name)
        _stop(process)
        pipe.close()
        self._board.ended(name)


def _stop(process: BaseProcess) -> None:
    """Wait until a process has ended; kill it if that takes too long."""
    deadline = time.monotonic() + _PATIENCE_S
    while process.exitcode is None:
        if time.monotonic() > deadline:
            process.kill()
        process.join(0.05)  # not for longer: what it waits for stays open while a process started by this one runs


def _exit_message(name: str, code: int) -> str:
    if code >= 0:
        return f"{name}: its process ended with exit code {code} and no result"
    message = f"{name}: its process was ended by {signal.Signals(-code).name}"
    if code == -signal.SIGKILL:
        message += ", as Linux does when memory runs out; give `--jobs 1` to run one stage at a time"
    return message


def _run(action: Callable[[], Any], pipe: Connection, parent: int) -> None:
    """What the new process does. SIGTERM, by which the parent stops it, is a KeyboardInterrupt at any moment."""
    try:
        _do(action, pipe, parent)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    except KeyboardInterrupt:
        os._exit(130)


def _do(action: Callable[[], Any], pipe: Connection, parent: int) -> None:
    """Run an action in the new process and send its result, its error, its progress and its output."""
    # Ctrl-C reaches all processes of a terminal. The parent decides, and stops this process by SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # blocked by `start`
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # also if the parent is killed
    if os.getppid() != parent:
        os._exit(1)
    # Only this process writes to the pipe, and only it holds the pipe open. Those that it forks, such as the workers of
    # a DataLoader, would mix their messages with its own, and inherit the lock as another thread may hold it.
    owner, lock, terminal = os.getpid(), threading.Lock(), sys.stderr
    os.register_at_fork(after_in_child=pipe.close)

    def send(*message: Any) -> None:
        if os.getpid() == owner:
            with lock:
                pipe.send(message)

    def send_line(line: str) -> None:
        if os.getpid() == owner:
            send("line", line)
        else:
            terminal.write(f"{line}\n")  # at once: others write to it too
            terminal.flush()

    relay(lambda *message: send("progress", *message))
    lines = sys.stdout = sys.stderr = _Lines(send_line)
    leave_out_tracebacks(lines)
    try:
        result = action()
        lines.end()
        send("result", result)
    except Exception as error:
        if isinstance(interruption(error), KeyboardInterrupt):
            os._exit(130)
        where = "".join(traceback.format_exception(error))
        lines.end()
        send("error", _portable(error, where))


def _portable(error: Exception, where: str) -> Exception:
    """The error in a form that can be sent, because some exceptions cannot be unpickled."""
    portable: Exception
    try:
        portable = pickle.loads(pickle.dumps(error))
        if type(portable) is not type(error) or str(portable) != str(error):
            raise TypeError
    except Exception:
        portable = (
            UserError(str(error)) if isinstance(error, UserError) else RuntimeError(f"{type(error).__name__}: {error}")
        )
    if not isinstance(portable, UserError):
        portable.add_note(where)  # commands show it for internal errors only
    return portable


class _Lines(io.TextIOBase):
    """A text stream that sends whole lines. A carriage return ends a line too, as progress bars write it."""

    def __init__(self, send: Callable[[str], None]) -> None:
        self._send, self._rest, self._returned = send, "", False

    def write(self, text: str) -> int:
        length = len(text)
        if self._returned:
            text = text.removeprefix("\n")  # of a line that ends in both
        self._returned = text.endswith("\r") if text else self._returned and not length
        *lines, self._rest = re.split(r"\r\n|\r|\n", self._rest + text)
        for line in lines:
            self._send(line)
        return length

    def end(self) -> None:
        """Send what does not end in a newline."""
        rest, self._rest = self._rest, ""
        if rest:
            self._send(rest)
