"""Actions side by side, each in a process of its own. None outlives this process; progress of all is shown together.

Processes are forked, so that each starts at once with all that is imported here, and this process must not compute
anything with torch before: its threads would not be there in the others.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from lsu_seg.errors import UserError
from lsu_seg.runtime.progress import Board, relay

_PATIENCE_S = 20.0
"""How long a process that is told to stop may take."""
_PR_SET_PDEATHSIG = 1


class ProcessError(UserError):
    """A process cannot be started here, or ended without a word: the system has killed it."""


def can_fork() -> bool:
    """On macOS forked processes crash in Apple's own libraries; Windows has none."""
    return sys.platform == "linux"


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_jobs() -> int:
    """How many actions fit side by side: cores by the threads that torch takes for each, and one more; on GPUs one.

    One more: three students share two cores for less time than two of them take, and then the third alone.
    """
    import torch

    if not can_fork() or torch.cuda.device_count():
        return 1
    fit = cores() // torch.get_num_threads()
    return fit + 1 if fit > 1 else 1


@dataclass(frozen=True)
class Ended:
    """An action that has ended, with its result or its error."""

    name: str
    result: Any = None
    error: Exception | None = None


class Processes:
    """`with Processes() as running: running.start(name, action) …; ended = running.wait()`. Stops what still runs."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[BaseProcess, Connection]] = {}
        self._board = Board()

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for process, _pipe in self._running.values():
            process.terminate()
        for process, pipe in self._running.values():
            pipe.close()  # or it waits for somebody to read
            process.join(_PATIENCE_S)
            if process.is_alive():
                process.kill()
                process.join()
        self._board.close()

    def __len__(self) -> int:
        return len(self._running)

    @property
    def names(self) -> list[str]:
        return list(self._running)

    def start(self, name: str, action: Callable[[], Any]) -> None:
        """Run an action beside what runs already; its result must be picklable."""
        if not can_fork():
            raise ProcessError("work side by side needs Linux; leave `--jobs` out")
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(
            target=_run, args=(action, theirs, os.getpid()), name=name
        )
        process.start()
        theirs.close()
        self._running[name] = process, ours

    def wait(self) -> Ended:
        """The next action to end. Shows progress meanwhile."""
        while True:
            ready = wait([pipe for _, pipe in self._running.values()])
            for name, (process, pipe) in list(self._running.items()):
                if pipe not in ready:
                    continue
                try:
                    kind, *message = pipe.recv()
                except (EOFError, OSError):
                    self._forget(name)
                    return Ended(name, error=ProcessError(_last_words(name, process.exitcode or 0)))
                if kind == "progress":
                    self._board.show(name, *message)
                elif kind == "line":
                    self._board.print(*message)
                else:
                    self._forget(name)
                    return Ended(name, message[0]) if kind == "result" else Ended(name, error=message[0])

    def _forget(self, name: str) -> None:
        process, pipe = self._running.pop(name)
        process.join()
        pipe.close()
        self._board.ended(name)


def _last_words(name: str, code: int) -> str:
    if code >= 0:
        return f"{name}: its process ended with exit code {code} and no result"
    text = f"{name}: its process was ended by {signal.Signals(-code).name}"
    if code == -signal.SIGKILL:
        text += ", as Linux does when memory runs out; give `--jobs 1` to run one stage at a time"
    return text


def _run(action: Callable[[], Any], pipe: Connection, parent: int) -> None:
    """In the new process."""
    # Ctrl-C reaches all processes of a terminal. The first one decides, and says so by SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # also if the first one is killed
    if os.getppid() != parent:
        os._exit(1)
    lock = threading.Lock()

    def send(*message: Any) -> None:
        with lock:
            pipe.send(message)

    relay(lambda *message: send("progress", *message))
    sys.stdout = sys.stderr = _Lines(lambda line: send("line", line))
    try:
        send("result", action())
    except KeyboardInterrupt:
        os._exit(130)
    except Exception as error:
        send("error", _portable(error, traceback.format_exc()))


def _portable(error: Exception, where: str) -> Exception:
    """The error as it can be sent: some exceptions cannot be made again from what they were made of."""
    again: Exception
    try:
        again = pickle.loads(pickle.dumps(error))
        if type(again) is not type(error) or str(again) != str(error):
            raise TypeError
    except Exception:
        again = (
            UserError(str(error)) if isinstance(error, UserError) else RuntimeError(f"{type(error).__name__}: {error}")
        )
    if not isinstance(again, (UserError, OSError)):
        again.add_note(where)  # a fault of ours: say where
    return again


class _Lines(io.TextIOBase):
    """A text stream that hands on whole lines."""

    def __init__(self, send: Callable[[str], None]) -> None:
        self._send, self._rest = send, ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._send(line)
        return len(text)
