"""How the C library's allocator treats large blocks of memory, which decides half of a model's time on a CPU."""

from __future__ import annotations

import ctypes
import os
import platform
from functools import cache

import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
"""Of `mallopt`, as glibc's malloc.h numbers them."""


def keep_freed_memory(keep: bool = True) -> bool:
    """Have glibc keep what is freed for the next layer or image, instead of giving it back to the system.

    By default a layer's output of many megabytes is a mapping of its own, gone with the layer, and the system clears
    every page of the next one anew. For a SegFormer-B0 and 512 x 1024 pixels on two cores that is half of the forward's
    time. The price: the process keeps what it once had, and because freed blocks of many sizes fit the next ones
    badly, its peak grows, by up to a half where that was measured.

    Does nothing where models run on a GPU, with another C library, or under somebody's own `MALLOC_…` variables or
    `GLIBC_TUNABLES`.

    Args:
        keep: False: give back what is freed from now on.

    Returns:
        Whether the allocator could be told.

    >>> keep_freed_memory() in (True, False)
    True
    """
    if not _ours():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    if keep:
        return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, -1))
    # What glibc's thresholds become by themselves once large blocks were freed; setting one stops that.
    mib = 1 << 20
    return bool(mallopt(_MMAP_MAX, 65536) and mallopt(_MMAP_THRESHOLD, 32 * mib) and mallopt(_TRIM_THRESHOLD, 64 * mib))


@cache
def _ours() -> bool:
    set_by_user = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    return platform.libc_ver()[0] == "glibc" and not set_by_user and not torch.cuda.is_available()
