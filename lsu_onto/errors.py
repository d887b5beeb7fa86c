"""The base of every refusal, here and in `lsu_seg`."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class UserError(ValueError):
    """A mistake of the user: the message says where, what was found, what was expected, and what to do.

    Commands print it and exit with 1; any other exception that reaches them is a fault of the toolkit.
    """

    __module__ = "lsu_onto"  # where users import it from, and what a traceback shows


_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
"""Characters without a sign: some turn the order of what follows, and two names with and without them look the same.
Joiners and variation selectors, which scripts and emojis need, are not among them."""


def visible(message: str) -> str:
    r"""A message in which control characters, which are commands to a terminal, and those of `seen` are spelt out.

    Names in it may be from any file.

    >>> visible("`\x1b[31mred` is not a class\n  of `s`")
    '`\\x1b[31mred` is not a class\n  of `s`'
    """
    return seen(_CONTROLS.sub(lambda c: f"\\x{ord(c[0]):02x}", message))


def seen(text: str) -> str:
    r"""A text in which characters that show nothing, or turn the order of others, are spelt out.

    >>> seen("gnp.\u202elebal")
    'gnp.\\u202elebal'
    """
    return _UNSEEN.sub(lambda c: c[0].encode("ascii", "backslashreplace").decode(), text)


_NO_MEMORY = (
    "annot allocate memory",  # the system
    "can't allocate memory",  # torch's CPU allocator
    "failed to map segment",  # a library that is loaded
    "out of memory",  # CUDA's, in several sentences
    "(-4:Insufficient memory)",  # OpenCV's, of an error class that it calls `error`
    "ALLOC_FAILED",  # cuDNN, cuBLAS
    "unable to find an engine",  # cuDNN, without memory for any of its plans
    "could not create a primitive",  # oneDNN, without memory for its own buffers
    "could not create a memory",
    "std::bad_alloc",
)


TRACEBACK = re.compile(
    r"(?:Caught \w+ in DataLoader worker process \d+\.\s+"
    r"|The following operation failed in the TorchScript interpreter\.\s+)?"
    r"(?:Original )?Traceback[^\n]*\(most recent call last\):"
    r"(?:(?s:.*)Traceback[^\n]*\(most recent call last\):)?"  # the last one of a chain
    r"(?:[ \t]+File [^\n]*)?\n"  # numpy's begins in the same line
    r"(?:(?s:(?:(?!FX-traced).)*)<--- HERE\n)?"  # TorchScript's code, which may begin at the margin
    r"(?:(?:[ \t].*)?\n)*"
)


def without_traceback(text: str) -> str:
    """A text without the traceback in it: of another process, whose error is sent as one, or of TorchScript. It is one
    line then.

    >>> without_traceback("it fails: Original Traceback (most recent call last):\\n  File …\\n    f()\\nKeyError: 'x'")
    "it fails: KeyError: 'x'"
    """
    told = TRACEBACK.sub("", text)
    return text if told == text else " ".join(told.split())


def ran_out(error: BaseException | None) -> bool:
    """Whether memory has run out, under any of the names that torch, its libraries and the loader of libraries use.

    >>> ran_out(MemoryError()), ran_out(RuntimeError("CUDA out of memory. Tried …")), ran_out(RuntimeError("no"))
    (True, True, False)
    """
    while error is not None:
        kind = isinstance(error, (RuntimeError, ImportError)) or type(error).__module__ == "cv2"
        said = kind and any(text in str(error) for text in _NO_MEMORY)
        if said or isinstance(error, MemoryError):
            return True
        error = error.__cause__
    return False


def interruption(error: BaseException) -> KeyboardInterrupt | SystemExit | None:
    """The Ctrl-C or the exit that an error was made of: a library that catches everything, as mmengine does around
    yapf, raises something else in its place.

    >>> try:
    ...     try:
    ...         raise KeyboardInterrupt
    ...     except:
    ...         raise SyntaxError("check the syntax")
    ... except SyntaxError as error:
    ...     interruption(error)
    KeyboardInterrupt()
    """
    todo, seen = [error], set[int]()
    while todo:
        one = todo.pop()
        if isinstance(one, (KeyboardInterrupt, SystemExit)):
            return one
        seen.add(id(one))
        todo += [e for e in (one.__cause__, one.__context__) if e is not None and id(e) not in seen]
    return None


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put Ctrl-C off until the end: for what calls Python back from C, as LLVM does while it compiles for seconds.

    There Python prints a KeyboardInterrupt, and goes on. A second Ctrl-C ends the process at once.

    Raises:
        KeyboardInterrupt: at the end, if there was one.

    >>> with uninterrupted():
    ...     pass
    """
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return
    interrupted: list[FrameType | None] = []

    def keep(number: int, frame: FrameType | None) -> None:
        interrupted.append(frame)
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    signal.signal(signal.SIGINT, keep)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if interrupted:
            before(signal.SIGINT, interrupted[0])
