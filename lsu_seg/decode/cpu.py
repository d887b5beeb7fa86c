"""The decode rule of `reference` on a CPU, at the speed of memory. The loops are in `kernels`."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from lsu_onto import uninterrupted
from lsu_seg.decode.checks import check_allowed, check_finite, check_rows, check_shapes
from lsu_seg.decode.inputs import Arrays, make_job, rule_of, sets_of
from lsu_seg.decode.kernels.entry import ROWS_PER_CHUNK, decode_rows
from lsu_seg.decode.kernels.jit import why_not_kept
from lsu_seg.decode.space import space_for
from lsu_seg.decode.views import Decoded, DecodeError, QueryView, View
from lsu_seg.label_files import void_index
from lsu_seg.runtime.progress import busy


def decode(
    views: Sequence[View | QueryView],
    rows: Any,
    allowed: Any,
    threshold: float | None = None,
    image_name: str = "",
    threads: int | None = None,
) -> Decoded:
    """`reference.decode` for views in main memory: the same arguments, rules and errors, with arrays for tensors.

    The result differs from the reference only in pixels whose two best scores are equal up to float32 rounding. It is
    inside S(d) in every pixel, and the bytes are the same with any number of threads.

    Args:
        views, rows, allowed, threshold, image_name: as for `reference.decode`, as arrays or CPU tensors. Logits that
            are not contiguous float32, and rows that are not contiguous, writable int16, are copied first.
        threads: the number of threads; by default OMP_NUM_THREADS, which torchrun sets, or else all cores.

    Returns:
        Arrays: labels uint8 or uint16 `[H, W]`, confidence float32 `[H, W]`.

    Raises:
        DecodeError: as for `reference.decode`.

    >>> allowed = np.array([[True, True, False, False]])  # one dataset class: channel 0 or 1 of 3
    >>> view = View(np.array([1, 2, 9], np.float32).reshape(3, 1, 1))
    >>> labels, confidence = decode([view], np.zeros((1, 2), np.int16), allowed)
    >>> labels.tolist(), [round(float(c), 4) for c in confidence[0]]
    ([[1, 1]], [0.7311, 0.7311])
    """
    num_classes = check_shapes(views, image_name)
    rows, allowed = np.asarray(rows), np.asarray(allowed)
    check_allowed(allowed, num_classes, threshold, image_name)
    if rows.dtype != np.int16:
        check_rows(rows, min(len(allowed), 1 << 15), image_name)
        rows = rows.astype(np.int16)
    elif rows.ndim != 2:
        check_rows(rows, len(allowed), image_name)
    # Numba would compile again for an array that is not aligned or not writable.
    rows = np.require(rows, requirements=("C", "A", "W"))
    height, width = rows.shape

    void = void_index(num_classes)
    labels = np.empty((height, width), np.uint8 if void < 256 else np.uint16)
    confidence = np.empty((height, width), np.float32)
    sets, total = sets_of(allowed, void), sum(view.weight for view in views)
    arrays = [Arrays.of(view, sets, float(np.float32(view.weight / total))) for view in views]
    for i, (view, array) in enumerate(zip(views, arrays, strict=True)):
        array.check_small(i, view, image_name)
    if not rows.size:
        for i, view in enumerate(views):
            check_finite(i, view, image_name)
        return Decoded(labels, confidence)

    rule = rule_of(arrays, width, void, threshold)
    job = make_job(views, arrays, (height, width), rule, sets, image_name)
    counter, status = np.zeros(1, np.int64), np.zeros(2, np.int64)

    def work() -> None:
        space = space_for(job, width, labels.dtype)
        decode_rows(
            (counter, status),
            (rows, labels, confidence),
            tuple(job.rule),
            tuple(job.sets),
            tuple(job.steps),
            job.views,
            tuple(space.row),
            tuple(space.tile),
        )

    chunks = -(-height // ROWS_PER_CHUNK)
    _announced(labels.dtype, lambda: _in_threads(work, min(threads or default_threads(), chunks)))
    if status[0]:
        for i, view in enumerate(views):
            check_finite(i, view, image_name)
    if status[1]:
        check_rows(rows, len(allowed), image_name)
    if status.any():
        raise DecodeError(f"{image_name or 'image'}: the arrays changed while they were decoded")
    return Decoded(labels, confidence)


def default_threads() -> int:
    """OMP_NUM_THREADS, which torchrun sets for each of its processes, or else all cores available to this process."""
    try:
        return max(1, int(os.environ["OMP_NUM_THREADS"]))
    except (KeyError, ValueError):
        cores = getattr(os, "sched_getaffinity", None)
        return len(cores(0)) if cores else os.cpu_count() or 1


_pool: ThreadPoolExecutor | None = None
_pool_lock = threading.Lock()


def _in_threads(work: Any, threads: int) -> None:
    """Call `work` in this thread and in `threads - 1` others."""
    global _pool
    if threads > 1:
        with _pool_lock:
            if _pool is None or _pool._max_workers < threads - 1:
                _pool = ThreadPoolExecutor(threads - 1, "lsu-decode")
            others = [_pool.submit(work) for _ in range(threads - 1)]
    else:
        others = []
    work()
    for other in others:
        # A call that has not started would find no work left.
        if not other.cancel():
            other.result()


def _forget_pool() -> None:
    """Drop the pool in a forked child, which has its parent's pool but not its threads."""
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)

_compiled: set[Any] = set()


def _announced(dtype: Any, run: Any) -> None:
    """Run, with a message if the first call takes long because it compiles. Later processes use numba's cache.

    Where there can be none, another message says how to have one.
    """
    if dtype in _compiled:
        run()
        return
    kept = "" if why_not_kept(decode_rows) else "; it is kept for the next time"
    with uninterrupted(), busy(f"compiling the CPU decoder for this machine{kept}"):
        run()
    _compiled.add(dtype)
    if problem := why_not_kept(decode_rows):
        print(
            f"the compiled CPU decoder cannot be kept for the next time ({problem}): set NUMBA_CACHE_DIR to a folder"
            " that is writable",
            file=sys.stderr,
            flush=True,
        )
