"""Ctrl-C, or the end of the first process, while processes load images: one message, no traceback of any, no wait."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker, spawn, util
from multiprocessing.queues import Queue
from multiprocessing.synchronize import SemLock
from types import FrameType
from typing import Any, TypeVar

from lsu_onto.start import interrupted

T = TypeVar("T")


@contextlib.contextmanager
def second_ends_at_once() -> Iterator[None]:
    """Have a second Ctrl-C end this process: destructors may then be ending others, and Python only prints a traceback.

    The first is a KeyboardInterrupt, as always: once a call of a library returns, which may take minutes, or for ever
    where it waits for another rank. The second ends that, too.
    """
    before = signal.getsignal(signal.SIGINT)
    ours = before in (signal.default_int_handler, interrupted)
    if not ours or threading.current_thread() is not threading.main_thread():
        yield
        return

    def first(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, first)
    try:
        with _watched():
            yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _watched() -> Iterator[None]:
    """Have another thread hear of Ctrl-C, and end this process where two find the first thread in the same call."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    watcher = threading.Thread(target=_watch, args=(reads,), name="ctrl-c", daemon=True)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # or it would be given those that are held back
    try:
        watcher.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    before = signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.write(writes, b"\0")  # and not only closed: a forked process may have it open, too
        watcher.join()
        os.close(writes)
        os.close(reads)


def _watch(reads: int) -> None:
    """reads: has a byte for each signal, the moment that it comes, and 0 at the end."""
    first = threading.main_thread().ident
    heard, at = -_ONCE_S, None
    while number := ord(os.read(reads, 1)):
        if number != signal.SIGINT:
            continue
        frame = sys._current_frames().get(first or 0)
        here = frame and (frame, frame.f_lasti)
        if here and here == at and time.monotonic() - heard > _ONCE_S:
            os.write(2, b"interrupted\n")
            os._exit(130)
        if here != at:
            heard, at = time.monotonic(), here


_ONCE_S = 1.0
"""Signals that come sooner after one another are one Ctrl-C: the terminal's, and a launcher's."""


def held_back(start: Callable[[], T], method: Callable[[], str]) -> T:
    """Start processes with Ctrl-C held back until they are there: they never hear of it. Windows cannot.

    One that is spawned imports torch before anybody can tell it so, for seconds, and Ctrl-C would be its traceback.

    Args:
        method: says how they are started.
    """
    atexit.unregister(_end_all)
    atexit.register(_end_all)  # after Python's own, and so called before it
    if not hasattr(signal, "pthread_sigmask"):
        return start()
    if method() == "fork":
        return _blocked(start)
    util._args_from_interpreter_flags = _as_this_one  # type: ignore[attr-defined]
    resource_tracker.ensure_running()  # else it is started with them, and lets Ctrl-C through again
    spawn.get_command_line = _tells_of_errors
    multiprocessing.set_forkserver_preload(["__main__", _FIRST])
    util.spawnv_passfds = lambda *program: _blocked(lambda: _spawn(*program))
    SemLock._cleanup = _clean_up  # type: ignore[attr-defined]
    return start()  # not blocked: handing over what is to be done waits for ever for a process that has been killed


def _end_all() -> None:
    """End what is left of them. Python itself would only tell them to, and wait: for ever where one is stopped."""
    left = [process for process in multiprocessing.active_children() if process.daemon]
    for process in left:
        process.terminate()
    until = time.monotonic() + _END_S
    for process in left:
        process.join(max(0.0, until - time.monotonic()))
        process.kill()


_END_S = 2.0


def _blocked(start: Callable[[], T]) -> T:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_flags = util._args_from_interpreter_flags  # type: ignore[attr-defined]
_command_line = spawn.get_command_line
_spawn = util.spawnv_passfds
_unlink = SemLock._cleanup  # type: ignore[attr-defined]


def _as_this_one() -> list[str]:
    """Python's options for a process that is spawned: a file in the current folder may have the name of a module."""
    looks_there = {"", os.getcwd()} & set(sys.path)  # noqa: PTH109 - as Python writes it
    return list(_flags()) if looks_there else ["-P", *_flags()]


def _tells_of_errors(**options: Any) -> list[str]:
    """How Python starts a process that is to be spawned."""
    command = _command_line(**options)
    if "-c" in command:  # else the program was frozen
        at = command.index("-c") + 1
        command[at] = f"{_IMPORT}{command[at]}"
    return command


_FIRST = "lsu_seg.spawned"
_IMPORT = f"""try:
    import {_FIRST}
except ImportError:  # where only the first process knows a folder of it
    pass
"""


def _clean_up(name: str) -> None:
    try:
        _unlink(name)
    except FileNotFoundError:  # somebody else has removed it, as systemd does where a user logs out
        resource_tracker.unregister(name, "semaphore")


def expect_their_end(workers: Any) -> None:
    """Have torch raise nothing from now on where one of these processes ends.

    Its handler of that signal would interrupt whatever Python does, such as telling of another error, or ending.

    Args:
        workers: the iterator of a data loader.
    """
    from torch.utils.data._utils import signal_handling

    if workers._worker_pids_set:
        signal_handling._remove_worker_pids(id(workers))  # type: ignore[attr-defined]
        workers._worker_pids_set = False


def leave_to_first_process(given: Callable[[int], None] | None, number: int) -> None:
    """Have a process that loads images end when it is told to. given: what the config has it do when it starts.

    Ctrl-C reaches it as well. Without this it would wait until somebody has read what it has loaded, which nobody does:
    it is ended after five seconds, and a second Ctrl-C is a traceback. So is the end of the first process for the
    thread that hands over what was loaded.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    before = sys.excepthook
    sys.excepthook = lambda kind, *error: None if issubclass(kind, (OSError, EOFError)) else before(kind, *error)
    Queue._on_queue_feeder_error = staticmethod(_not_handed_over)  # type: ignore[attr-defined]
    first = multiprocessing.parent_process()
    if first and _FIRST in sys.modules:  # torch asks who has started it, which a fork server or a death changes
        threading.Thread(target=_end_with, args=(first,), daemon=True).start()
    if given:
        given(number)


def _end_with(first: Any) -> None:
    """End when the first process does, which tells nobody when it is killed."""
    first.join()
    os._exit(1)


def _not_handed_over(error: Exception, batch: object) -> None:
    """End, so that the first process says so: Python prints a traceback, drops the batch, and that one waits for it."""
    full = "; write fewer `num_workers`, or give a container more (`docker run --shm-size 8g`)"
    hint = full if "No space left on device" in str(error) else ""
    sys.stderr.write(f"a process that loads images cannot hand over what it has loaded: {error}{hint}\n")
    sys.stderr.flush()
    os._exit(1)
