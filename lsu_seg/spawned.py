"""Imported first by processes that are spawned to load images: they tell of errors as the program does.

Before that they would only once they have read what they are to do, which may be seconds later.
"""

from __future__ import annotations

import sys
from types import TracebackType

from lsu_onto.streams import mend_streams
from lsu_onto.unraised import tell_without_traceback

mend_streams()
tell_without_traceback("lsu-seg")
_told = sys.excepthook


def _hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    # The first process has ended, says why it will, or says itself that somebody wants to stop
    if kind.__name__ not in ("EOFError", "UnpicklingError", "KeyboardInterrupt"):
        _told(kind, error, trace)


sys.excepthook = _hook
