"""Triton's interpreter, without half of its time: import this where kernels run in it, after TRITON_INTERPRET is set.

For each call of a function from a kernel, `tl.sum` among them, it looks through `triton.language` for what it has
replaced already, and for each value it makes the table of all types anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any


def spare() -> None:
    import triton.language as tl
    from triton.runtime import interpreter

    replace_language, type_of = interpreter._patch_lang, interpreter._get_np_dtype
    pointer, of_scalars = type_of(tl.pointer_type(tl.float32)), lru_cache(None)(type_of)

    def replaced_once(fn: Callable[..., Any]) -> Any:
        languages = [value for value in fn.__globals__.values() if value is tl or value is tl.core]
        if any(tl.core.is_builtin(language.load) for language in languages):
            return replace_language(fn)
        return interpreter._LangPatchScope()

    def numpy_type(type_: Any) -> Any:
        scalar = type_.scalar
        return pointer if scalar.is_ptr() else of_scalars(scalar)

    interpreter._patch_lang, interpreter._get_np_dtype = replaced_once, numpy_type


if os.environ.get("TRITON_INTERPRET") == "1":  # pytest looks for doctests here, before anybody has decided
    spare()
