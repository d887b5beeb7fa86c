"""The decode rule on a CPU: what `reference` says, at the speed of memory. The loops are in `kernels`."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsu_seg.decode.checks import check_allowed, check_finite, check_part, check_rows, check_shapes
from lsu_seg.decode.kernels import rows as k
from lsu_seg.decode.views import Decoded, DecodeError, QueryView, View
from lsu_seg.encodings import void_index

_ROWS_PER_CHUNK = 8
"""Label rows that a thread takes at a time. At stride 4 the logits they need fit a core's second cache."""


def decode(
    views: Sequence[View | QueryView],
    rows: Any,
    allowed: Any,
    threshold: float | None = None,
    image_name: str = "",
    threads: int | None = None,
) -> Decoded:
    """`reference.decode` for views in main memory: the same arguments, rules and errors, arrays for tensors.

    Differs from the reference where the two best scores are equal but for the rounding of float32; is inside S(d) in
    every pixel; gives the same bytes with any number of threads.

    Args:
        views, rows, allowed, threshold, image_name: as for `reference.decode`, as arrays or CPU tensors. What is not
            float32 (logits) or int16 (rows), or not contiguous, is copied first.
        threads: default: OMP_NUM_THREADS, which torchrun sets, or else all cores.

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
    rows = np.ascontiguousarray(rows)
    height, width = rows.shape

    void = void_index(num_classes)
    labels = np.empty((height, width), np.uint8 if void < 256 else np.uint16)
    confidence = np.empty((height, width), np.float32)
    arrays = [_Arrays.of(view) for view in views]
    for i, (view, array) in enumerate(zip(views, arrays, strict=True)):
        # The kernel looks at the maps in passing; what is small is looked at here.
        if array.log_class is not None and not np.isfinite(array.log_class).all():
            check_finite(i, view, image_name)
        if array.mass is not None and not (array.mass.min() >= 0 and array.mass.max() < np.inf):
            check_finite(i, view, image_name)
    if not rows.size:
        for i, view in enumerate(views):
            check_finite(i, view, image_name)
        return Decoded(labels, confidence)

    sets = _Sets.of(allowed.tobytes(), allowed.shape[1], void)
    table = np.array([a.fields(width) for a in arrays], np.int64)
    columns = [_steps(a.maps.shape[2], width) for a in arrays]
    lines_ = [
        _lines(i, view, a.maps.shape[1], height, image_name)
        for i, (view, a) in enumerate(zip(views, arrays, strict=True))
    ]
    yi, ya = np.stack([first for first, _ in lines_]), np.stack([weight for _, weight in lines_])
    xi = np.stack([s.padded for s in columns])
    xa = np.stack([s.padded_weight for s in columns])

    counter, status = np.zeros(1, np.int64), np.zeros(2, np.int64)
    chunks = -(-height // _ROWS_PER_CHUNK)
    mass = arrays[0].mass is not None or arrays[0].log_class is not None
    low = np.float32(-1 if threshold is None else threshold)
    depth = max(num_classes, *(len(a.maps) for a in arrays)) + 2
    longest = max(a.maps.shape[2] for a in arrays) + 2

    def work() -> None:
        k.decode_rows(
            counter,
            chunks,
            status,
            rows,
            sets.of_row,
            sets.table,
            sets.order,
            table,
            yi,
            ya,
            xi,
            xa,
            mass,
            low,
            np.int32(void),
            labels,
            confidence,
            *_space(depth, longest, num_classes, width, len(sets.table), labels.dtype),
        )

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
    """OMP_NUM_THREADS, which torchrun sets for each of its processes, or else all cores that we may use."""
    try:
        return max(1, int(os.environ["OMP_NUM_THREADS"]))
    except (KeyError, ValueError):
        cores = getattr(os, "sched_getaffinity", None)
        return len(cores(0)) if cores else os.cpu_count() or 1


# --- what the kernel reads ---------------------------------------------------------------------------------


def _float32(maps: Any) -> NDArray[np.float32]:
    """Contiguous float32, without a copy where it is that already. Tensors too, of any float type."""
    if hasattr(maps, "detach"):
        maps = maps.detach().float().numpy()
    with np.errstate(over="ignore"):  # becomes Inf, and is refused as such
        return np.ascontiguousarray(maps, np.float32)


class _Arrays(NamedTuple):
    """A view as the kernel reads it. Keeps alive what the pointers in `fields` point to."""

    maps: NDArray[np.float32]
    flip: bool
    mass: NDArray[np.float32] | None = None
    log_class: NDArray[np.float64] | None = None  # [K+1, Q]
    p_class: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, view: View | QueryView) -> _Arrays:
        if isinstance(view, QueryView):
            logits = _float32(view.classes).astype(np.float64)
            with np.errstate(invalid="ignore"):  # Inf and NaN come out as NaN, and are refused
                logits = logits - logits.max(1, keepdims=True)
                log_p = np.ascontiguousarray((logits - np.log(np.exp(logits).sum(1, keepdims=True))).T)
            return cls(_float32(view.masks), view.flip, None, log_p, np.exp(log_p).astype(np.float32))
        return cls(_float32(view.logits), view.flip, None if view.void is None else _float32(view.void))

    def fields(self, width: int) -> list[int]:
        count, h, w = self.maps.shape
        steps = _steps(w, width)
        pointers = [0 if a is None else a.ctypes.data for a in (self.mass, self.p_class, self.log_class)]
        mass, p_class, log_class = pointers
        fields = [self.maps.ctypes.data, count, h, w, int(self.flip), mass, steps.stride, steps.half]
        return [*fields, p_class, log_class]


class _Steps(NamedTuple):
    """Where each of `size` pixels lies among `n` samples: bilinear, `align_corners=False`.

    `first` and `weight` (of the next) clamp at the edges. `padded` counts in a line whose first and last sample stand
    twice; with a whole-numbered stride that the kernel knows every `stride` pixels then have one pair of samples and
    the same weights, at the edges too, where the pair's two are equal.
    """

    first: NDArray[np.int32]
    weight: NDArray[np.float32]
    padded: NDArray[np.int32]
    padded_weight: NDArray[np.float32]
    stride: int
    half: int


@lru_cache(64)
def _steps(n: int, size: int) -> _Steps:
    place = (np.arange(size) + 0.5) * (n / size) - 0.5
    inside = np.maximum(place, 0)
    first = np.minimum(inside.astype(np.int32), n - 1)
    weight = (inside - first).astype(np.float32)
    stride = size // n if size % n == 0 else 0
    if stride in (4, 8):
        padded = np.floor(place)
        return _Steps(
            first,
            weight,
            padded.astype(np.int32) + 1,
            (place - padded).astype(np.float32),
            stride,
            stride // 2,
        )
    return _Steps(first, weight, first + 1, weight, stride if stride == 1 else 0, 0)


def _lines(
    i: int, view: View | QueryView, h: int, height: int, image_name: str
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Upper row, and weight of the lower, of each label row; of a part, as in the whole."""
    if view.part is None:
        steps = _steps(h, height)
        return steps.first, steps.weight
    steps = _steps(view.part.full_height, view.part.label_height)
    check_part(i, view.part, steps.first, h, height, image_name)
    here = slice(view.part.label_top, view.part.label_top + height)
    return steps.first[here] - np.int32(view.part.top), steps.weight[here]


class _Sets(NamedTuple):
    """The distinct S(d) of a constraint. Rows with one S(d) share a set; without annotation it is {void}."""

    of_row: NDArray[np.int32]
    table: NDArray[np.int32]
    order: NDArray[np.int32]

    @classmethod
    def of(cls, allowed: bytes, columns: int, void: int) -> _Sets:
        return _sets(allowed, columns, void)


@lru_cache(16)
def _sets(allowed: bytes, columns: int, void: int) -> _Sets:
    rows = np.frombuffer(allowed, bool).reshape(-1, columns)
    void_alone = np.arange(columns) == columns - 1
    distinct, of_row = np.unique(np.vstack([void_alone, rows]), axis=0, return_inverse=True)
    table = np.empty((len(distinct), 3), np.int32)
    members = distinct[:, :-1]
    table[:, k.MEMBERS], table[:, k.OPEN] = members.sum(1), distinct[:, -1]
    single = distinct.sum(1) == 1
    label = np.where(distinct[:, -1], void, distinct.argmax(1))
    table[:, k.ONLY] = np.where(single, label, -1)
    order = np.argsort(~members, axis=1, kind="stable")
    return _Sets(of_row.reshape(-1).astype(np.int32), table, order.astype(np.int32))


# --- threads and their working space -----------------------------------------------------------------------

_local = threading.local()
_pool: ThreadPoolExecutor | None = None
_pool_lock = threading.Lock()


def _space(
    depth: int, longest: int, num_classes: int, width: int, num_sets: int, dtype: Any
) -> tuple[NDArray[Any], ...]:
    """Buffers of this thread, kept for the next image of these sizes: some label rows' worth, whatever H."""
    key = (depth, longest, num_classes, width, num_sets, dtype)
    if getattr(_local, "key", None) != key:
        tile = k.TILE + k.PAD
        _local.space = (
            np.zeros((depth, longest + k.PAD), np.float32),
            np.zeros((depth, tile // 4), np.float32),
            np.zeros((depth, tile // 4), np.float32),
            np.zeros((depth, tile), np.float32),
            np.empty(tile, np.int32),
            np.empty(tile, np.float32),
            np.empty(tile, dtype),
            np.empty(tile, np.float32),
            np.empty(tile, np.float32),
            np.empty((num_classes + 1) * 2 * (width + num_sets * 8), np.float32),
            np.empty(num_classes + 1, np.float64),
            np.empty(num_classes + 1, np.float64),
            np.empty((width, 4), np.int32),
            np.empty((width, 3), np.int32),
            np.zeros(num_sets, np.int32),
            np.empty(width, np.int32),
            np.empty(k.TILE, np.int32),
            np.empty(k.TILE, np.float32),
            np.empty(num_sets + depth, np.int32),
            np.empty(num_sets + depth, np.int32),
            np.empty(num_sets, np.uint8),
        )
        _local.key = key
    space: tuple[NDArray[Any], ...] = _local.space
    return space


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
        # One that has not begun would find nothing left to do.
        if not other.cancel():
            other.result()


def _forget_pool() -> None:
    """A forked child has its parent's pool without the threads."""
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)

_compiled: set[Any] = set()


def _announced(dtype: Any, run: Any) -> None:
    """Say so where the first call takes long because it compiles; later processes find that in numba's cache."""
    if dtype in _compiled:
        run()
        return
    text = "compiling the CPU decoder for this machine; it is kept for the next time"
    timer = threading.Timer(2, lambda: print(text, file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        run()
    finally:
        timer.cancel()
    _compiled.add(dtype)
