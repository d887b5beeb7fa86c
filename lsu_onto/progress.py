"""The progress of a command that may take long, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lsu_onto.bars import Bars

AFTER_S = 2.0
"""What takes longer shows its progress."""

LINE_S = 10.0


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[], None]]:
    """Once it takes longer than `AFTER_S`: a bar with ETA on a terminal, a line now and then elsewhere.

    There is no ETA without a total.
    """
    start = time.monotonic()
    done, next_line = 0, AFTER_S
    bar = task = None

    def advance() -> None:
        nonlocal done, next_line, bar, task
        done += 1
        elapsed = max(time.monotonic() - start, 0)  # in a container that was moved, clocks have gone backwards
        if sys.stderr.isatty():
            if elapsed > AFTER_S and bar is None:
                bar = _bar()
                task = bar.add_task(what, total=total)
                bar.start()
            if bar is not None and task is not None:
                bar.update(task, completed=done)
        elif elapsed > next_line:
            next_line = elapsed + LINE_S
            of = "" if total is None else f"/{total}, ETA {elapsed / done * max(total - done, 0):.0f} s"
            print(f"{what} {done}{of}", file=sys.stderr, flush=True)

    try:
        yield advance
    finally:
        if bar is not None:
            bar.stop()


@contextmanager
def waiting(what: str) -> Iterator[Callable[[], None]]:
    """A line now and then while something goes on of which nothing is known, once it takes longer than `AFTER_S`.

    What is yielded is called again and again.
    """
    start = time.monotonic()
    next_line = AFTER_S

    def look() -> None:
        nonlocal next_line
        elapsed = time.monotonic() - start
        if elapsed > next_line:
            next_line = elapsed + LINE_S
            print(f"{what}, for {elapsed:.0f} s so far", file=sys.stderr, flush=True)

    yield look


def _bar() -> Bars:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    from lsu_onto.bars import Bars

    return Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        transient=True,
    )
