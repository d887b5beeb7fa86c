"""Imported first by processes that are spawned to load images: they tell of errors as the program does.

Before that they would only once they have read what they are to do, which may be seconds later.
"""

from __future__ import annotations

import re
import sys
from types import TracebackType

from lsu_onto.streams import mend_streams
from lsu_onto.unraised import tell_without_traceback

mend_streams()
tell_without_traceback("lsu-seg")
_told = sys.excepthook
_OWN = re.compile(r"(\w+)_[0-9a-f]{12}")
"""What a user's file of a network is called as a module, which only the first process knows; see `own_code.py`."""


def _hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, ModuleNotFoundError) and (own := _OWN.fullmatch(error.name or "")):
        sys.stderr.write(
            f"error: a process that is spawned to load images cannot import `{own[1]}.py`, whose class a dataset uses:"
            " put that into a module of `custom_imports`, or set `env_cfg.mp_cfg.mp_start_method = 'fork'`\n"
        )
        return
    # The first process has ended, says why it will, or says itself that somebody wants to stop
    if kind.__name__ not in ("EOFError", "UnpicklingError", "KeyboardInterrupt"):
        _told(kind, error, trace)


sys.excepthook = _hook
