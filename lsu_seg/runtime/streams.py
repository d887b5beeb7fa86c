"""Streams that a user's code puts in the place of the standard ones, to write what is printed to a log as well."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from lsu_onto import leave_out_tracebacks

_T = TypeVar("_T")


def complete_streams(before: tuple[Any, Any] | None = None) -> None:
    """Give such streams what they lack, for click, rich and mmengine call it, hours later.

    Args:
        before: standard output and error before the code ran; one that it has set does as its predecessor did.
    """
    if before and sys.stderr is not before[1]:
        with contextlib.suppress(AttributeError, TypeError, ValueError):  # it takes none, or is closed
            leave_out_tracebacks(sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        if stream is None or isinstance(stream, io.TextIOBase) or getattr(stream, "_is_complete", False):
            continue
        with contextlib.suppress(AttributeError, TypeError):
            for name, result in (("flush", None), ("isatty", False)):
                if not hasattr(stream, name):
                    object.__setattr__(stream, name, partial(_return, result))
            object.__setattr__(stream, "write", partial(_write_text, stream.write))
            object.__setattr__(stream, "_is_complete", True)


def _return(result: _T) -> _T:
    return result


def _write_text(write: Callable[[str], Any], text: str) -> Any:
    if not isinstance(text, str):  # by which click finds out what kind of stream it is
        raise TypeError(f"write() takes a text, not {type(text).__name__}")
    return write(text)
