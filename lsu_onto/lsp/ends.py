"""How a session ends that the editor does not end.

Another thread waits for the editor's next message, and Python would wait for that thread: so the process ends at once.
A server has nothing to save.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import BinaryIO, NoReturn, cast


class Output:
    """Standard output, with whose end the session ends: pygls goes on, and says so of each message."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        try:
            self._stream.write(data)
            self._stream.flush()
        except (OSError, ValueError) as error:  # it is full, or closed
            _end(f"lsu-onto: the editor takes no more messages: {getattr(error, 'strerror', None) or error}", 1)

    def flush(self) -> None:
        """Nothing is left to be written."""

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.close()


def output() -> BinaryIO:
    return cast(BinaryIO, Output(sys.stdout.buffer))


@contextlib.contextmanager
def at_ctrl_c() -> Iterator[None]:
    """End with Ctrl-C, unless somebody has this process ignore it."""
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: _end("interrupted", 130))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _end(said: str, code: int) -> NoReturn:
    with contextlib.suppress(OSError, ValueError, AttributeError):  # standard error is full, closed, or not there
        sys.stderr.write(f"{said}\n")
        sys.stderr.flush()
    os._exit(code)
