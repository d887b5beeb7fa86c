"""How the loops are compiled, and which of them numba's cache may still use."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit

# The loops own no array and allocate none, so that nothing needs counting: `_nrt` is numba's counting of references, which
# for every slice of an array costs two calls, more than the work on a short tile. There is no fastmath but contraction
# (fused multiply-add), which changes neither comparisons nor what is NaN.
_plain = {"nogil": True, "error_model": "numpy", "_nrt": False, "no_cfunc_wrapper": True}
_fused = {**_plain, "fastmath": {"contract"}}

# Only loops call these, never Python: without the wrapper for that, they compile in less time.
inline = njit(no_cpython_wrapper=True, **_fused)
"""A function that LLVM may inline."""

exact = njit(no_cpython_wrapper=True, **_plain)
"""The same, without contraction."""

inline_once = njit(inline="always", **_fused)
"""A function with one caller, of which it becomes a part. On its own it would be optimised alone and then once more in each
function above it; and its arguments, groups of many arrays, would all be passed one by one."""


def entry(make: Callable[[int], Callable[..., Any]]) -> Callable[..., Any]:
    """Compile the function that Python calls, and let numba keep the result.

    Numba finds a compiled function by the contents of its own file and the values in its closure, and takes no notice of
    the other files that are compiled into it. So `make` gets a number that stands for all of them, and returns a function
    that holds it.
    """
    function = make(_sources())
    try:
        return njit(cache=True, **_fused)(function)
    except RuntimeError:  # there is no folder that numba could write to
        return njit(**_fused)(function)


def _sources() -> int:
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return int.from_bytes(digest.digest()[:7], "big")
