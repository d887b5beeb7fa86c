"""Read ahead and write behind in threads, so that the teacher never waits for files."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

from lsu_onto import uninterrupted

_Item = TypeVar("_Item")


def ahead(items: Iterable[_Item], depth: int = 2, patience_s: float | None = None) -> Generator[_Item]:
    """Yield the same items, produced in a thread up to `depth` items ahead.

    An exception is raised in place of its item. When the consumer stops, the thread stops after its current item.

    Args:
        patience_s: how long that is waited for; None: until it is there. A thread that only waits for others, such as
            processes that have yet to import torch, need not end; one that computes does, or Python aborts at its end.

    >>> list(ahead(range(3)))
    [0, 1, 2]
    """
    # Outside the thread, because a loader forks its workers at this point.
    iterator = iter(items)
    ready: queue.Queue[tuple[str, Any]] = queue.Queue(depth)
    stop = threading.Event()

    def put(kind: str, value: Any) -> None:
        while not stop.is_set():
            try:
                return ready.put((kind, value), timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in iterator:
                put("item", item)
                if stop.is_set():
                    return
            put("end", None)
        except BaseException as e:
            put("error", e)

    thread = threading.Thread(target=work, name="read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = ready.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        stop.set()
        thread.join(patience_s)


def one_behind(items: Iterable[_Item]) -> Iterator[_Item]:
    """Yield the same items, each when the next one has been produced: a GPU then always has work.

    If producing an item fails, the one before it is yielded first.

    >>> list(one_behind(range(3)))
    [0, 1, 2]
    """
    waiting: list[_Item] = []
    try:
        for item in items:
            waiting.append(item)
            if len(waiting) == 2:
                yield waiting.pop(0)
    except Exception:
        yield from waiting
        raise
    yield from waiting


class Behind:
    """Makes calls in one thread, in order, with at most `depth` of them waiting.

    The first exception is raised by the next call of `do`, or when the block ends; the calls that waited behind it are
    not made. If the block ends with an exception of its own, the waiting calls are still made.

    >>> done = []
    >>> with Behind() as behind:
    ...     behind.do(done.append, 1)
    >>> done
    [1]
    """

    def __init__(self, depth: int = 4) -> None:
        self._depth = depth
        self._waiting: list[Future[Any]] = []
        self._pool = ThreadPoolExecutor(1, "write-behind")
        self._failed = False

    def do(self, call: Callable[..., Any], *args: Any) -> None:
        """Queue `call(*args)`. Blocks while `depth` calls are waiting."""
        while self._waiting and (len(self._waiting) >= self._depth or self._waiting[0].done()):
            self._waiting.pop(0).result()
        self._waiting.append(self._pool.submit(self._unless_failed, call, *args))

    def _unless_failed(self, call: Callable[..., Any], *args: Any) -> None:
        if self._failed:
            return
        try:
            call(*args)
        except BaseException:
            self._failed = True
            raise

    def __enter__(self) -> Behind:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Python takes a thread for ended whose `join` Ctrl-C interrupts, and would end in the middle of a file.
        with uninterrupted():
            self._pool.shutdown(wait=True)
        if error is None:
            for future in self._waiting:
                future.result()
