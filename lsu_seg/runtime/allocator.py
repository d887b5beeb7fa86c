"""The C library's allocator, which takes half of a model's time on a CPU."""

from __future__ import annotations

import ctypes
import os
import platform
from functools import cache

import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
"""Parameters of `mallopt`, as glibc's malloc.h numbers them."""


def keep_freed_memory(keep: bool = True) -> bool:
    """Make glibc keep freed memory for the next layer or image instead of returning it to the system.

    By default, a layer's output of many megabytes is a separate mapping that is unmapped with the layer, and the system
    clears every page of the next one. For a SegFormer-B0 and 512 x 1024 pixels on two cores, this takes half of the
    time of the forward pass. The cost of keeping the memory: the process never shrinks, and because freed blocks of
    many sizes fit the next ones badly, its peak grows, by up to a half in measurements.

    Does nothing if models run on a GPU, with another C library, or if the user has set `MALLOC_…` variables or
    `GLIBC_TUNABLES`.

    Args:
        keep: whether to keep freed memory. False returns it to the system from now on.

    Returns:
        Whether the allocator accepted the settings.

    >>> keep_freed_memory() in (True, False)
    True
    """
    if not _applies():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    if keep:
        return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, -1))
    # glibc raises its thresholds to these values itself after large blocks were freed, until one of them is set.
    mib = 1 << 20
    return bool(mallopt(_MMAP_MAX, 65536) and mallopt(_MMAP_THRESHOLD, 32 * mib) and mallopt(_TRIM_THRESHOLD, 64 * mib))


@cache
def _applies() -> bool:
    """Whether the allocator is glibc's, not configured by the user, and there is no GPU."""
    set_by_user = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    return platform.libc_ver()[0] == "glibc" and not set_by_user and not torch.cuda.is_available()
