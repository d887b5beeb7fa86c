"""Progress on anything longer than two seconds: a bar with ETA on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_Item = TypeVar("_Item")
_EVERY_S = 10.0


class Advance(Protocol):
    def __call__(self, n: int = 1, note: str = "") -> None: ...


@contextmanager
def progress(title: str, total: int) -> Iterator[Advance]:
    """`with progress("labels", 100) as advance: … advance(1, "3 img/s")`. Writes to stderr; rank 0 only."""
    if not _is_main_process():
        yield lambda n=1, note="": None
    elif sys.stderr.isatty():
        columns = (
            TextColumn(f"{title:34}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[note]}"),
        )
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(title, total=total, note="")
            yield lambda n=1, note="": bar.update(task, advance=n, note=note)
    else:
        yield _lines(title, total)


def _is_main_process() -> bool:
    if "torch" not in sys.modules:  # then there are no ranks, and asking mmengine would import it
        return True
    from mmengine.dist import is_main_process

    return bool(is_main_process())


def _lines(title: str, total: int) -> Advance:
    start = last = time.monotonic()
    done = 0

    def advance(n: int = 1, note: str = "") -> None:
        nonlocal done, last
        done += n
        now = time.monotonic()
        if now - last >= _EVERY_S or done == total:
            last = now
            eta = (now - start) / done * (total - done)
            print(
                f"{title:34} {done}/{total}  {now - start:.0f} s, ETA {eta:.0f} s  {note}",
                file=sys.stderr,
                flush=True,
            )

    return advance


def track(items: Iterable[_Item], title: str, total: int) -> Iterator[_Item]:
    """Iterate with progress."""
    with progress(title, total) as advance:
        for item in items:
            yield item
            advance()
