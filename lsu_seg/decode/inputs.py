"""Views and sets → the input of the CPU decoder's loops, `kernels.records.Job`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsu_seg.decode.checks import check_finite, check_part
from lsu_seg.decode.kernels.records import VIEW, Job, Rule, Sets, Steps
from lsu_seg.decode.views import QueryView, View, bilinear


class Arrays(NamedTuple):
    """The arrays of a view. The loops read them by address, so they must be kept alive until decoding ends."""

    maps: NDArray[np.float32]
    flip: bool
    mass: NDArray[np.float32] | None = None
    log_class: NDArray[np.float64] | None = None  # [K+1, Q]
    p_class: NDArray[np.float32] | None = None
    align_corners: bool = False

    @classmethod
    def of(cls, view: View | QueryView) -> Arrays:
        if isinstance(view, QueryView):
            logits = _float32(view.classes).astype(np.float64)
            with np.errstate(invalid="ignore"):  # Inf and NaN become NaN, which is refused
                logits = logits - logits.max(1, keepdims=True)
                log_p = np.ascontiguousarray((logits - np.log(np.exp(logits).sum(1, keepdims=True))).T)
            p_class = np.exp(log_p).astype(np.float32)
            return cls(_float32(view.masks), view.flip, None, log_p, p_class, view.align_corners)
        void = None if view.void is None else _float32(view.void)
        return cls(_float32(view.logits), view.flip, void, align_corners=view.align_corners)

    def check_small(self, i: int, view: View | QueryView, image_name: str) -> None:
        """Raise `DecodeError` if a value other than the maps is not finite. The loops check the maps as they go."""
        if self.log_class is not None and not np.isfinite(self.log_class).all():
            check_finite(i, view, image_name)
        if self.mass is not None and not (self.mass.min() >= 0 and self.mass.max() < np.inf):
            check_finite(i, view, image_name)

    def record(self, width: int) -> NDArray[np.void]:
        """The `VIEW` for labels of this width."""
        count, h, w = self.maps.shape
        columns = _columns(w, width, self.align_corners)
        record = np.zeros((), VIEW)
        record["maps"], record["count"], record["height"], record["width"] = self.maps.ctypes.data, count, h, w
        record["flip"], record["stride"], record["half"] = self.flip, columns.stride, columns.stride // 2
        for name in ("mass", "p_class", "log_class"):
            array = getattr(self, name)
            record[name] = 0 if array is None else array.ctypes.data
        return record


def _float32(maps: Any) -> NDArray[np.float32]:
    """Maps (an array, or a tensor of any float type) as contiguous float32, copied only if necessary."""
    if hasattr(maps, "detach"):
        maps = maps.detach().resolve_neg().float().cpu().numpy()
    with np.errstate(over="ignore"):  # overflow becomes Inf, which is refused
        return np.ascontiguousarray(maps, np.float32)


def rule_of(arrays: Sequence[Arrays], width: int, void: int, threshold: float | None) -> Rule:
    """The `Rule` for these views and labels of this width."""
    first = arrays[0]
    by_logits = len(arrays) == 1 and first.log_class is None
    stride = _columns(first.maps.shape[2], width, first.align_corners).stride
    return Rule(
        has_mass=first.mass is not None or first.log_class is not None,
        by_logits=by_logits,
        woven=by_logits and stride == 4 and not first.flip,
        low=np.float32(-1 if threshold is None else threshold),
        void=np.int32(void),
    )


def make_job(
    views: Sequence[View | QueryView],
    arrays: Sequence[Arrays],
    size: tuple[int, int],
    rule: Rule,
    allowed: NDArray[np.bool_],
    image_name: str,
) -> Job:
    """The `Job` for labels of this size.

    Args:
        arrays: the arrays of the views.
        allowed: bool [D, K+1].

    Raises:
        DecodeError: a part of a view lacks map rows that the label rows read.
    """
    height, width = size
    rows, columns = [], []
    for i, (view, array) in enumerate(zip(views, arrays, strict=True)):
        h, w = array.maps.shape[1:]
        rows.append(_rows(i, view, h, height, image_name))
        columns.append(_columns(w, width, view.align_corners))
    steps = Steps(
        np.stack([upper for upper, _ in rows]),
        np.stack([down for _, down in rows]),
        np.stack([c.left for c in columns]),
        np.stack([c.right for c in columns]),
    )
    sets = _sets(allowed.tobytes(), allowed.shape[1], int(rule.void))
    return Job(rule, sets, steps, np.array([array.record(width) for array in arrays]))


@lru_cache(64)
def _between(n: int, size: int, align_corners: bool) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """`bilinear` in the loops' types."""
    first, weight = bilinear(n, size, align_corners)
    return first.astype(np.int32), weight.astype(np.float32)


def _rows(
    i: int, view: View | QueryView, h: int, height: int, image_name: str
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The upper map row of each label row, and the weight of the lower; a part has the weights of the whole view."""
    if view.part is None:
        return _between(h, height, view.align_corners)
    upper, down = _between(view.part.full_height, view.part.label_height, view.align_corners)
    check_part(i, view.part, upper, h, height, image_name)
    label_rows = slice(view.part.label_top, view.part.label_top + height)
    return upper[label_rows] - np.int32(view.part.top), down[label_rows]


class _Columns(NamedTuple):
    """The position of each pixel of a row in a padded line, which repeats its first and its last sample.

    At the strides that the loops know, every `stride` pixels share a pair of samples and the weights repeat. This also
    holds at the edges, where the two samples of the pair are equal.
    """

    left: NDArray[np.int32]
    right: NDArray[np.float32]  # the weight of the next sample
    stride: int  # 0: any other


@lru_cache(64)
def _columns(n: int, size: int, align_corners: bool) -> _Columns:
    stride = size // n if size % n == 0 else 0
    if stride in (4, 8) and not align_corners:
        place = (np.arange(size) + 0.5) * (n / size) - 0.5
        before = np.floor(place)
        return _Columns(before.astype(np.int32) + 1, (place - before).astype(np.float32), stride)
    first, weight = _between(n, size, align_corners)
    return _Columns(first + 1, weight, 1 if stride == 1 else 0)


@lru_cache(16)
def _sets(allowed: bytes, columns: int, void: int) -> Sets:
    """The sets of `Constraint.allowed` [D, columns]."""
    rows = np.frombuffer(allowed, bool).reshape(-1, columns)
    void_alone = np.arange(columns) == columns - 1
    distinct, of_row = np.unique(np.vstack([void_alone, rows]), axis=0, return_inverse=True)
    members, is_open = distinct[:, :-1], distinct[:, -1]
    label = np.where(is_open, void, distinct.argmax(1))
    return Sets(
        of_row=of_row.reshape(-1).astype(np.int32),
        only=np.where(distinct.sum(1) == 1, label, -1).astype(np.int32),
        size=members.sum(1).astype(np.int32),
        is_open=is_open.astype(np.int32),
        order=np.argsort(~members, axis=1, kind="stable").astype(np.int32),
    )
