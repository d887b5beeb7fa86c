"""What the server says on standard error, where editors keep it: a line per message that it cannot use."""

from __future__ import annotations

import logging
import sys
import traceback

import cattrs
from pygls.exceptions import JsonRpcException

from lsu_onto.errors import UserError, ran_out
from lsu_onto.faults import fault


class Handler(logging.StreamHandler):  # type: ignore[type-arg]  # of whatever standard error is
    """Writes what pygls, and what it stands on, logs.

    An error that code of ours raised is a fault of ours, and told as one; once, since an editor goes on asking.
    """

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setLevel(logging.WARNING)
        self.addFilter(lambda record: not _is_said(record, sys.exc_info()[1]))
        self._told: set[str] = set()

    def format(self, record: logging.LogRecord) -> str:
        logged = record.exc_info[1] if record.exc_info else None
        error = logged or sys.exc_info()[1]  # pygls may have it in the message only, as text
        said = record.getMessage().partition("\n")[0]
        if error is None:
            return f"lsu-onto: {said}"
        if ran_out(error):
            return f"lsu-onto: {said[:200]}: out of memory; see `ulimit -v` for what this shell allows"
        if _is_ours(error):
            return f"lsu-onto: {said}\n{self._fault(error)}"
        return f"lsu-onto: {said[:200]}: {_reason(error)}"

    def _fault(self, error: BaseException) -> str:
        place = "".join(traceback.format_tb(error.__traceback__)[-1:])
        if place in self._told:
            return f"{_reason(error)}, as before"
        self._told.add(place)
        return fault(error, "lsu-onto") or "".join(traceback.format_exception(error)).rstrip()


def _is_said(record: logging.LogRecord, error: BaseException | None) -> bool:
    """Whether it is the second time: pygls raises what it has logged, and logs what it catches."""
    return record.getMessage() == "Unable to handle message" and isinstance(error, JsonRpcException)


def _is_ours(error: BaseException) -> bool:
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = any(str(frame.f_globals.get("__name__", "")).startswith("lsu_onto.") for frame in frames)
    return ours and not isinstance(error, (JsonRpcException, UserError))


def _reason(error: BaseException) -> str:
    if isinstance(error, cattrs.ClassValidationError):
        reasons = cattrs.transform_error(error)
        return f"{reasons[0]}{' …' if reasons[1:] else ''}"
    if isinstance(error, UserError):
        return str(error)[:300]
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
