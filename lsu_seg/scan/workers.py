"""A function of many batches, in order, on all cores."""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from lsu_seg.errors import UserError
from lsu_seg.runtime.ctrl_c import held_back

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 4
"""So many batches for each process are in memory at a time."""
_PATIENCE_S = 5.0


class WorkerError(UserError):
    """A process was killed from outside, usually because memory ran out."""


def in_order(
    function: Callable[[T], R], batches: Iterable[T], processes: int, name: Callable[[T], object] = str
) -> Generator[tuple[T, R]]:
    """Each batch with what the function makes of it.

    This uses processes rather than threads, because JSON and much else holds the interpreter's lock. They are forked
    where that is safe, so that they share what the function has read. Nor does it use threads to speak with them, as
    the pools of the standard library do: where a shell allows no more threads, these leave their processes waiting for
    ever, and a Ctrl-C while they fork is lost.

    Args:
        function: in other processes; what it returns and raises must be picklable, and where processes are not forked
            it must be, too.
        name: what to call a batch in the message of a `WorkerError`.

    Raises:
        WorkerError: a process was killed from outside. OSError: it could not be started.
    """
    running: dict[Connection, BaseProcess] = {}
    todo, first, following = iter(batches), 0, 0
    given: dict[int, T] = {}
    made: dict[int, R] = {}
    busy: dict[Connection, int] = {}
    try:
        for _ in range(processes):
            _start(function, running)
        while True:
            for pipe in running.keys() - busy.keys():
                if len(given) < _AHEAD * processes and (batch := next(todo, None)) is not None:
                    given[following], busy[pipe] = batch, following
                    following += 1
                    _speaking(partial(pipe.send, batch), name, batch)
            if first in made:
                yield given.pop(first), made.pop(first)
                first += 1
            elif not given:
                return
            else:
                ready = wait(list(busy))
                for pipe in [pipe for pipe in busy if pipe in ready]:
                    number = busy.pop(pipe)
                    made[number] = _result(_speaking(pipe.recv, name, given[number]))
    finally:
        for pipe, process in running.items():
            process.terminate()
            pipe.close()
        for process in running.values():
            process.join(_PATIENCE_S)


def _start(function: Callable[[Any], Any], running: dict[Connection, BaseProcess]) -> None:
    method = "fork" if sys.platform == "linux" else "spawn"
    own_end, its_end = multiprocessing.Pipe()
    inherited = (*running, own_end) if method == "fork" else ()
    context: Any = multiprocessing.get_context(method)
    process: BaseProcess = context.Process(target=_serve, args=(function, its_end, inherited), daemon=True)
    try:
        held_back(process.start, lambda: method)
    except BaseException:
        own_end.close()
        raise
    finally:
        its_end.close()
    running[own_end] = process


def _speaking(act: Callable[[], Any], name: Callable[[Any], object], batch: Any) -> Any:
    try:
        return act()
    except (EOFError, ConnectionError) as error:
        raise WorkerError(
            f"a process was ended from outside while it read {name(batch)} or a file near it; out of memory? Run again"
            " with fewer `--jobs`: what was read is kept"
        ) from error


def _result(said: tuple[bool, Any]) -> Any:
    done, result = said
    if not done:
        raise result
    return result


def _serve(function: Callable[[Any], Any], pipe: Connection, inherited: Sequence[Connection]) -> None:
    """What a process does until the first one closes its end of the pipe, or is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process decides
    for other in inherited:  # else they would stay open as long as this process
        other.close()
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            batch = pipe.recv()
            try:
                said = True, function(batch)
            except Exception as error:
                said = False, _portable(error)
            pipe.send(said)


def _portable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
