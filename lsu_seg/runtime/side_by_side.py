"""A function over many items, in forked processes where that pays."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

from lsu_seg.runtime.ctrl_c import expect_their_end
from lsu_seg.runtime.processes import ProcessError, can_fork, cores

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_FEWEST = 64
"""So many items for each process; for fewer, starting it does not pay."""
_MOST = 16
"""Processes: more would wait for the disk."""


def side_by_side(
    function: Callable[[_Item], _Result], items: Sequence[_Item], processes: int | None = None
) -> Iterator[_Result]:
    """`map(function, items)`, in order, by torch's DataLoader, whose workers end with this process.

    The ranks of a training on one machine share its cores. Neither torch's random numbers nor the results depend on how
    many processes there are.

    Args:
        function: its results must be picklable; what it raises is raised here.
        processes: None: as many as there are cores, but fewer for few items, and none where processes cannot be forked
            (a worker of a DataLoader has none of its own) or torch is not installed.

    Raises:
        ProcessError: a process ended without a result.
    """
    if processes is None:
        stated = os.environ.get("LOCAL_WORLD_SIZE", "")
        ranks = max(1, int(stated)) if stated.isdecimal() else 1
        forks = can_fork() and not multiprocessing.current_process().daemon
        processes = min(cores() // ranks, len(items) // _FEWEST, _MOST) if forks else 1
    if processes > 1:
        try:
            import torch
        except ImportError:
            processes = 1
    if processes < 2:
        yield from map(function, items)
        return
    loader: Any = torch.utils.data.DataLoader(
        _Mapped(function, items),  # type: ignore[arg-type]
        batch_size=None,
        num_workers=processes,
        collate_fn=_as_it_is,
        multiprocessing_context="fork",
        generator=torch.Generator(),
    )
    for item, (done, result) in zip(items, _results(loader), strict=True):
        # What failed is done once more here: not every error can be sent between processes.
        yield result if done else function(item)


def _results(loader: Any) -> Iterator[tuple[bool, Any]]:
    # Ctrl-C reaches all processes of a terminal, and only this one decides; while it forks, Python would lose it.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        workers: Any = iter(loader)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    # The traceback of an error may keep this generator until Python ends. There torch waits for each process, which has
    # not been told to end, five seconds; what is registered last comes first.
    end = partial(_end, workers)
    atexit.register(end)
    try:
        yield from workers
    except RuntimeError as error:  # errors of the function are results
        raise ProcessError(
            "one of several processes that share the work ended without a result, as when memory runs out and Linux"
            " ends it; to use one process, start the command with `taskset -c 0`"
        ) from error
    finally:
        atexit.unregister(end)
        end()


def _end(workers: Any) -> None:
    """End the processes of work whose results nobody takes, at once: one may be compiling, or importing what does."""
    expect_their_end(workers)  # one may have ended before it was set up
    for process in workers._workers:
        process.terminate()
    workers._shutdown_workers()


class _Mapped:
    def __init__(self, function: Callable[[Any], Any], items: Sequence[Any]) -> None:
        self.function, self.items = function, items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[bool, Any]:
        try:
            return True, self.function(self.items[index])
        except Exception:
            return False, None


def _as_it_is(sample: Any) -> Any:
    return sample
