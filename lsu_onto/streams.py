"""The standard streams of both programs: there, able to take any text, not turned round by names of files; and standard
error without the tracebacks that libraries print."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from lsu_onto.errors import seen

_Taken = TypeVar("_Taken")

_PLAIN = {"→": "->", "…": "...", "✓": "+", "·": "-", "✗": "!", "█": "#", "“": '"', "”": '"', "„": '"'}
"""Our own signs, for streams that do not have them."""


def _spell(error: UnicodeError) -> tuple[str | bytes, int]:
    """An error handler of codecs: a character that a stream does not have is spelt out, so that nothing is lost."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    if "\udc80" <= character <= "\udcff":  # a byte of a file's name that is no text
        byte = character.encode("utf-8", "surrogateescape")
        whole = "x".encode(error.encoding) == b"x"  # a stream of bytes takes it as it is; UTF-16 does not
        return byte if whole else f"\\x{byte.hex()}", error.start + 1
    plain = _PLAIN.get(character) or character.encode("ascii", "backslashreplace").decode()
    return plain, error.start + 1


codecs.register_error("lsu_onto.spell", _spell)


_STRICT = ("strict", "surrogateescape", "backslashreplace")
"""What Python has chosen; anything else is the user's choice (`PYTHONIOENCODING=cp1252:replace`)."""


def mend_streams() -> None:
    """Standard streams that take any text, and are there.

    After `>&-` Python has no `sys.stdout`, and the next file that is opened gets the number 1: what a library prints
    would end up in it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            _open_nothing()  # gets the lowest number that is free, which is this one
        stream = getattr(sys, name)
        if stream is None:
            stream = os.fdopen(number, "w" if number else "r", closefd=False)
            setattr(sys, name, stream)
        if number and isinstance(stream, io.TextIOWrapper):
            own = getattr(sys, f"__{name}__")  # not what somebody has put in its place, and takes away again
            if stream is own and isinstance(stream.buffer, io.RawIOBase):
                stream = _whole(stream)
                setattr(sys, name, stream)
                setattr(sys, f"__{name}__", stream)
            if stream.errors in _STRICT or not _is_handler(stream.errors):
                stream.reconfigure(errors="lsu_onto.spell")
            try:
                "error: →\n".encode(stream.encoding, stream.errors or "strict")
            except UnicodeError:  # `idna`, `undefined`: no text of more than a word
                stream.reconfigure(encoding="utf-8", errors="lsu_onto.spell")
            vars(stream)["close"] = stream.flush  # code of users' may close it, and we have more to say
            write: Callable[[str], int] = partial(type(stream).write, stream)
            if number == 2 or stream.isatty():  # for people: what programs read is left as it is
                write = _writer(write)
            vars(stream)["write"] = write
            if number == 2:
                flush = partial(type(stream).flush, stream)
                vars(stream).update(write=_unless_full(write, 0), flush=_unless_full(flush, None))
                leave_out_tracebacks(stream)
    for name in ("COLUMNS", "LINES"):  # rich takes `²` for a number, which Python does not read
        value = os.environ.get(name, "")
        if value.isdigit() and not (value.isdecimal() and len(value) < 6):
            del os.environ[name]


def _open_nothing() -> int:
    try:
        return os.open(os.devnull, os.O_RDWR)
    except OSError:  # a sandbox without devices
        if sys.platform != "linux":
            raise
        return os.memfd_create("nothing")


def _is_handler(name: str | None) -> bool:
    try:
        codecs.lookup_error(name or "strict")
    except LookupError:  # PYTHONIOENCODING=utf-8:replcae, of which Python says nothing
        return False
    return True


def _whole(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """A stream without a buffer, as `PYTHONUNBUFFERED` makes it in containers, with one that each line's end flushes.

    Without one, Python says nothing of what a full disk does not take of a write.
    """
    encoding, errors = stream.encoding, stream.errors
    raw: Any = stream.detach()
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=True)


def _writer(write: Callable[[str], int]) -> Callable[[str], int]:
    """How text is written where names from any file must not turn the order of what people read."""
    return lambda text: write(seen(text))


def leave_out_tracebacks(stream: Any) -> None:
    """Have a stream write nothing of the tracebacks that libraries print as a text of their own, as torch.fx does, and
    numba in a warning. Those of a user's own code, and all with `LSU_TRACEBACK=1`, are written.

    Args:
        stream: a text stream whose `write` can be set. One that stands in its place, as that of a progress bar, needs
            it as well: it takes texts to pieces.

    >>> import io, lsu_onto
    >>> class Kept(io.StringIO): ...
    >>> stream = Kept()
    >>> lsu_onto.leave_out_tracebacks(stream)
    >>> from unittest.mock import patch
    >>> with patch.dict("os.environ", LSU_TRACEBACK=""):
    ...     _ = stream.write('at 3:\\nTraceback (most recent call last):\\n  File "<f>", line 1, in f\\nKeyError: 3\\n')
    >>> stream.getvalue()
    'at 3:\\nKeyError: 3\\n'
    """
    write = stream.write
    if getattr(write, "__name__", "") == "print_text":  # it does already
        return

    def print_text(text: str) -> Any:
        if isinstance(text, str) and "Traceback" in text:
            with contextlib.suppress(Exception):  # of a damaged installation
                from lsu_onto.faults import printed  # slow

                text = printed(text)
        return write(text)

    object.__setattr__(stream, "write", print_text)  # of itself, where it hands all on to another


def _unless_full(function: Callable[..., _Taken], nothing: _Taken) -> Callable[..., _Taken]:
    """What is said beside the result: a log on a full disk, or a terminal that is gone, does not end hours of work."""

    def take(*args: Any) -> _Taken:
        try:
            return function(*args)
        except BrokenPipeError:  # whoever read it has ended, and us with it, as `| head` does
            raise
        except OSError:
            return nothing

    return take


def give_up_full_streams() -> None:
    """Let go of what no stream takes, and which has been said: Python would say it again at its end, with code 120."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if not isinstance(stream, io.TextIOWrapper):  # somebody's own, in the place of the real one
            continue
        try:
            type(stream).flush(stream)
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(_open_nothing(), stream.fileno())
