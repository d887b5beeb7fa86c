"""Lines that the user should see at any log level."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from contextvars import ContextVar

from mmengine.dist import is_main_process
from mmengine.logging import print_log

_TOLD: ContextVar[set[str] | None] = ContextVar("told", default=None)
"""What was printed since `told_once` began; None: outside of it, nothing is remembered."""
_ABOUT: ContextVar[str] = ContextVar("about", default="")
"""What all lines begin with."""


def tell(text: str, everywhere: bool = False) -> None:
    """Log a line, and print it: at any log level, the user should see it.

    Args:
        everywhere: also on ranks other than the first.
    """
    text = _ABOUT.get() + text
    print_log(text, "current")
    told = _TOLD.get()
    if (is_main_process() or everywhere) and (told is None or text not in told):
        print(text, file=sys.stderr, flush=True)
        if told is not None:
            told.add(text)


@contextlib.contextmanager
def telling_of(what: str) -> Iterator[None]:
    """Lines begin with what they are about."""
    token = _ABOUT.set(f"{what}: ")
    try:
        yield
    finally:
        _ABOUT.reset(token)


@contextlib.contextmanager
def told_once() -> Iterator[None]:
    """Print each line once, where the same thing is done several times."""
    token = _TOLD.set(set())
    try:
        yield
    finally:
        _TOLD.reset(token)
