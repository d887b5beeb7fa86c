"""Progress of anything that takes longer than two seconds: a bar with ETA on a terminal, else a line every 10 s."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from lsu_onto import Bars
from lsu_seg.runtime.streams import complete_streams

_Item = TypeVar("_Item")
_AFTER_S, _INTERVAL_S = 2.0, 10.0
_RELAY_INTERVAL_S = 0.2


class Advance(Protocol):
    def __call__(self, n: int = 1, note: str = "") -> None: ...


_COLUMNS = (
    TextColumn("{task.description:34}", markup=False),  # names of users' are in it, in which `[/b]` is no markup
    BarColumn(bar_width=28),
    MofNCompleteColumn(),
    TimeElapsedColumn(),
    TextColumn("ETA"),
    TimeRemainingColumn(),
    TextColumn("{task.fields[note]}", style="dim", markup=False),
)


@contextmanager
def progress(title: str, total: int) -> Iterator[Advance]:
    """`with progress("labels", 100) as advance: … advance(1, "3 img/s")`. Writes to stderr, on rank 0 only."""
    complete_streams()
    if not _is_main_process():
        yield lambda n=1, note="": None
    elif _relay is not None:
        with _relayed(_relay, title, total) as advance:
            yield advance
    elif sys.stderr.isatty():
        with Bars(*_COLUMNS) as bar:
            task = bar.add_task(title, total=total, note="")
            yield lambda n=1, note="": bar.update(task, advance=n, note=note)
    else:
        yield _lines(title, total)


@contextmanager
def busy(message: str) -> Iterator[None]:
    """Say on stderr, on rank 0 only, what is done in one step, if it takes longer than two seconds."""
    timer = threading.Timer(_AFTER_S, lambda: print(message, file=sys.stderr, flush=True))
    timer.daemon = True
    if _is_main_process():
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def counting(what: str) -> Iterator[Callable[[int], None]]:
    """`with counting("files") as found: … found(1)`: how many there are so far, on stderr, on rank 0 only.

    For what takes long and has no end that is known. Says nothing in the first two seconds.
    """
    start = time.monotonic()
    due, count = start + _AFTER_S, 0
    is_shown = _is_main_process()

    def found(n: int) -> None:
        nonlocal due, count
        count += n
        now = time.monotonic()
        if is_shown and now >= due:
            due = now + _INTERVAL_S
            print(f"{what}: {count} so far, {now - start:.0f} s", file=sys.stderr, flush=True)

    yield found


# --- several processes -------------------------------------------------------------------------------------

Send = Callable[[str, int, int, str], None]
_relay: Send | None = None


def relay(send: Send) -> None:
    """Send progress to the `Board` of another process from now on, by `send(title, total, n, note)`."""
    global _relay
    _relay = send


@contextmanager
def _relayed(send: Send, title: str, total: int) -> Iterator[Advance]:
    pending, last_note, last_sent = 0, "", -_RELAY_INTERVAL_S

    def advance(n: int = 1, note: str = "") -> None:
        nonlocal pending, last_note, last_sent
        pending, last_note, now = pending + n, note, time.monotonic()
        if now - last_sent >= _RELAY_INTERVAL_S:
            send(title, total, pending, note)
            pending, last_sent = 0, now

    yield advance
    if pending:
        send(title, total, pending, last_note)


class Board:
    """Shows the progress of several processes: bars below one another on a terminal, interleaved lines elsewhere."""

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._tasks: dict[str, dict[str, TaskID]] = {}  # on a terminal, by process and title
        self._lines: dict[tuple[str, str], Advance] = {}  # elsewhere, by process and title

    def show(self, process: str, title: str, total: int, n: int, note: str) -> None:
        """Show that `n` more of `total` are done."""
        if not sys.stderr.isatty():
            self._lines.setdefault((process, title), _lines(title, total))(n, note)
            return
        if self._bars is None:
            self._bars = Bars(*_COLUMNS)
            self._bars.start()
        tasks = self._tasks.setdefault(process, {})
        if title not in tasks:
            tasks[title] = self._bars.add_task(title, total=total, note="")
        self._bars.update(tasks[title], advance=n, note=note)

    def ended(self, process: str) -> None:
        """Replace the bars of a process that has ended by lines above the other bars."""
        for title, number in self._tasks.pop(process, {}).items():
            assert self._bars is not None
            task = next(task for task in self._bars.tasks if task.id == number)
            done = f"{title:34} {task.completed:.0f}/{task.total:.0f}  {task.elapsed or 0:.0f} s  {task.fields['note']}"
            self._bars.remove_task(number)
            self.print(done)

    def print(self, line: str) -> None:
        """Print a line above the bars."""
        print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._bars is not None:
            self._bars.stop()


def _is_main_process() -> bool:
    if "torch" not in sys.modules:  # then there are no ranks
        return True
    from torch import distributed

    return not (distributed.is_available() and distributed.is_initialized()) or distributed.get_rank() == 0


def _lines(title: str, total: int) -> Advance:
    start = last = time.monotonic()
    done = 0

    def advance(n: int = 1, note: str = "") -> None:
        nonlocal done, last
        done += n
        now = time.monotonic()
        if now - last >= _INTERVAL_S or done == total:
            last = now
            elapsed = max(now - start, 0)  # in a container that was moved, clocks have gone backwards
            eta = elapsed / max(done, 1) * max(total - done, 0)
            print(
                f"{title:34} {done}/{total}  {elapsed:.0f} s, ETA {eta:.0f} s  {note}",
                file=sys.stderr,
                flush=True,
            )

    return advance


def track(items: Iterable[_Item], title: str, total: int) -> Iterator[_Item]:
    """Iterate over the items and show progress."""
    with progress(title, total) as advance:
        for item in items:
            yield item
            advance()
