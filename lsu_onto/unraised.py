"""What Python and its libraries print with a traceback: errors in destructors, threads, processes, warnings and logs.

Nobody can catch these errors. They are told as those that end a command; see `endings.py` and `faults.py`. Texts that
libraries make of an error lose their traceback here; those made otherwise, in `streams.py`, where they are written.
"""

from __future__ import annotations

import _thread
import contextlib
import copy
import logging
import re
import signal
import sys
import threading
import time
import traceback
import warnings
from types import FrameType, TracebackType
from typing import Any

from lsu_onto.endings import ending
from lsu_onto.start import HOOKS, damaged, in_its_place

_format_warning, _format_exc = warnings.formatwarning, getattr(traceback, "format_exc", None)
_format = logging.Handler.format
_print_exception: Any = getattr(traceback, "print_exception", None)  # None: the module is a file of the user's own
_BEFORE_FILE = 4
"""Arguments of that function before the file, which nearly all give by its name."""


def tell_without_traceback(program: str) -> None:
    """From now on tell without a traceback what would be printed with one, where `fault` does.

    Args:
        program: the name that it was called by.
    """
    warnings.formatwarning = _of_warning  # type: ignore[assignment]
    logging.Handler.format = _of_log  # type: ignore[method-assign, assignment]
    logging.raiseExceptions = False  # of a log on a full disk: the command itself ends with a message
    in_threads, anywhere, at_the_end = threading.excepthook, sys.unraisablehook, sys.excepthook
    if getattr(anywhere, "__module__", "") == __name__:  # called before, in this process
        return

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if not _tell(unraisable.exc_value, program, goes_on=True):
            anywhere(unraisable)

    def hook_in_threads(args: threading.ExceptHookArgs) -> None:
        if not _tell(args.exc_value, program, goes_on=False):
            in_threads(args)

    def hook_at_the_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, KeyboardInterrupt) or not _tell(error, program, goes_on=False):
            at_the_end(kind, error, trace)

    def print_exception(*args: Any, file: Any = None, **options: Any) -> None:
        error = next((arg for arg in (*args, options.get("value")) if isinstance(arg, BaseException)), None)
        to = args[_BEFORE_FILE] if len(args) > _BEFORE_FILE else file
        ours = to in (None, sys.stderr)
        if not ours or not (isinstance(error, KeyboardInterrupt) or _tell(error, program, goes_on=True)):
            _print_exception(*args, **({"file": file} if file else {}), **options)

    HOOKS[hook.__code__] = _interrupt_soon  # a second Ctrl-C, a moment after the one that it tells of
    sys.unraisablehook, threading.excepthook, sys.excepthook = hook, hook_in_threads, hook_at_the_end
    traceback.print_exception, traceback.format_exc = print_exception, _of_text


def _tell(error: BaseException | None, program: str, goes_on: bool) -> bool:
    """Whether it is told, or need not be."""
    if error is None or isinstance(error, SystemExit) or sys.stderr is None:
        return True
    if goes_on and isinstance(error, BrokenPipeError) and error.filename is None:  # of output that nobody reads
        return True
    if isinstance(error, KeyboardInterrupt):  # Python would print it, and forget that somebody wants to stop
        with contextlib.suppress(RuntimeError, ValueError):  # while Python ends, no thread starts; in a thread
            if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # what raised it lets a second end the process
                signal.signal(signal.SIGINT, _again)
            _interrupt_soon()
        return True
    if "_ARRAY_API not found" in str(error):  # compiled code's, after numpy's own words, which do not say whose
        sys.stderr.write(f"warning: `{_being_imported()}` was compiled for another version of numpy: upgrade it\n")
        return True
    end = None
    with contextlib.suppress(Exception):  # of a damaged installation
        if _is_shown(error):
            return False
        end = ending(error)
    if end:
        said: str | None = end.message.replace("error", "warning", 1) if goes_on else end.message
    else:
        said = said_of(error, program, goes_on)
    if said:
        with contextlib.suppress(OSError, ValueError):  # of a stream that is full, or closed
            sys.stderr.write(f"{said}\n")
    return bool(said)


def _being_imported() -> str:
    """The package whose import goes on; this one is imported by no other."""
    frame: FrameType | None = sys._getframe()
    while frame:
        name = str(frame.f_globals.get("__name__")).partition(".")[0]
        if frame.f_code.co_name == "<module>" and name not in (*sys.stdlib_module_names, "numpy"):
            return name
        frame = frame.f_back
    return "a package"


def _of_log(handler: logging.Handler, record: logging.LogRecord) -> str:
    """What a library logs, as torch does of a cache that is damaged; files keep its traceback."""
    error = record.exc_info[1] if record.exc_info else None
    file = getattr(handler, "baseFilename", "/dev/")  # of a handler that writes to no file, as for a terminal
    kept = not file.startswith(("/dev/", "/proc/")) or type(handler).__module__ == "logging.handlers"
    if error is not None and not kept and not _is_shown(error):
        record = copy.copy(record)
        why = str(error).partition("\n")[0]
        record.msg = f"{_before_traceback(record.getMessage())}: {type(error).__name__}: {why}"
        record.args = record.exc_info = record.exc_text = None
    return _format(handler, record)


def _is_shown(error: BaseException) -> bool:
    from lsu_onto.faults import is_shown

    return is_shown(error)


CODE = 70
"""The exit code of a fault, `EX_SOFTWARE` of sysexits.h: 1 would be a finding of `validate`."""


def said_of(error: BaseException, program: str, goes_on: bool = False) -> str | None:
    """What `fault` says of an error; and where that fails, too, the error itself."""
    try:
        from lsu_onto.faults import fault

        return fault(error, program, goes_on)
    except Exception as other:  # an installation that is damaged; or Python ends, and modules are no longer there
        advice = (
            in_its_place()
            or damaged(other)
            or f"it cannot be told well ({type(other).__name__}: {other}): install the toolkit again"
        )
        return f"error: {type(error).__name__}: {error}\n  help: {advice}"


def _interrupt_soon() -> None:
    _thread.start_new_thread(_interrupt, ())  # the start of one of `threading` is waited for, and can be interrupted


def _interrupt() -> None:
    time.sleep(0.01)  # the hook has returned by then: there, the next one would be lost as well
    _thread.interrupt_main()


def _again(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise KeyboardInterrupt


def _of_warning(message: Warning | str, category: type[Warning], file: str, number: int, *_: str | None) -> str:
    """What a library warns of, without its line of code, or the traceback that is in numba's."""
    return _format_warning(_printed(str(message)), category, file, number, "")


def _of_text(*args: Any, **options: Any) -> str:
    """What a library makes a text of, to print it wherever that goes, as torch.fx does."""
    return _printed(_format_exc(*args, **options)) if _format_exc else ""


def _printed(text: str) -> str:
    if "Traceback" not in text:
        return text
    from lsu_onto.faults import printed  # slow

    return printed(text)


def _before_traceback(text: str) -> str:
    """A text up to the traceback in it, and the line that announces that."""
    return re.sub(r"\n(.*\n)?Traceback \(most recent call last\):(?s:.*)", "", text)
