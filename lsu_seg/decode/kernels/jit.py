"""The compiler settings of the loops, and the validity of numba's cache."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import config, njit

from lsu_seg.errors import UserError

# `_nrt` is numba's reference counting, which costs two calls for every slice of an array, more than the work on a short
# tile. The loops do not need it, because they neither own nor allocate arrays. The only fastmath flag is contraction
# (fused multiply-add), which affects neither comparisons nor NaN.
_plain = {"nogil": True, "error_model": "numpy", "_nrt": False, "no_cfunc_wrapper": True}
_fused = {**_plain, "fastmath": {"contract"}}

# Only loops call these, never Python: they compile faster without the wrapper for calls from Python.
inline = njit(no_cpython_wrapper=True, **_fused)
"""A function that LLVM may inline."""

exact = njit(no_cpython_wrapper=True, **_plain)
"""The same, without contraction."""

inline_once = njit(inline="always", **_fused)
"""A function with one caller, into which numba inlines it. Otherwise it would be optimised alone and again in each of
its callers, and the many arrays in its arguments would be passed one by one."""


def entry(make: Callable[[int], Callable[..., Any]]) -> Callable[..., Any]:
    """Compile the function that Python calls, and let numba keep the result.

    Numba's cache key is the content of the function's own file and the values in its closure. It ignores the other
    files that are compiled into the function. Therefore `make` gets a hash of all these files, and returns a function
    whose closure holds it.
    """
    if config.DISABLE_JIT:
        raise UserError("NUMBA_DISABLE_JIT is set, and the decoder exists only as numba compiles it: unset it")
    function = make(_sources())
    try:
        compiled: Any = njit(cache=True, **_fused)(function)
    except RuntimeError:  # numba can write to no cache folder
        return njit(**_fused)(function)
    compiled._cache = _Cache(compiled._cache)
    return compiled


def why_not_kept(compiled: Any) -> str | None:
    """The reason why numba cannot keep what `entry` compiles, or None."""
    if compiled.stats.cache_path is None:
        return "neither the package's folder nor a folder for caches is writable"
    problem: Exception | None = compiled._cache.problem
    return f"{type(problem).__name__}: {problem}" if problem else None


class _Cache:
    """Numba's cache of a function. Where it is damaged, unreadable or on a full disk, the function is compiled anew.

    Attributes:
        problem: what went wrong last; None if it is of no consequence.
    """

    def __init__(self, cache: Any) -> None:
        self._cache = cache
        self.problem: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def load_overload(self, signature: Any, context: Any) -> Any:
        try:
            return self._cache.load_overload(signature, context)
        except Exception:  # of pickle, which may raise any, and OSError
            with contextlib.suppress(OSError):
                self._cache.flush()
            return None

    def save_overload(self, signature: Any, data: Any) -> None:
        try:
            self._cache.save_overload(signature, data)
        except Exception as error:
            self.problem = error


def _sources() -> int:
    """A hash of the files of this package, as a number that fits int64."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return int.from_bytes(digest.digest()[:7], "big")
