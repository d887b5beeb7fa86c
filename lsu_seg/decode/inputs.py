"""Views and sets → the input of the CPU decoder's loops, `kernels.records.Job`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsu_seg.decode.checks import check_finite, check_part
from lsu_seg.decode.kernels.records import VIEW, Job, Rule, Sets, Steps
from lsu_seg.decode.views import QueryView, View, bilinear, shares_of_sets


class Arrays(NamedTuple):
    """The arrays of a view. The loops read them by address, so they must be kept alive until decoding ends.

    `shares` are those of each map in the elements of S(d), and `log_shares` their logarithms. A view of masks has one
    table for all sets; a view with a map (`View.to`) has one for each.
    """

    maps: NDArray[np.float32]
    flip: bool
    mass: NDArray[np.float32] | None = None
    log_shares: NDArray[np.float64] | None = None  # [1 or U, K+1, maps]
    shares: NDArray[np.float32] | None = None
    align_corners: bool = False
    weight: float = 1.0
    softmax: bool = False  # of the maps, instead of sigmoids

    @classmethod
    def of(cls, view: View | QueryView, sets: Sets, weight: float) -> Arrays:
        """weight: the share of the view in the evidence."""
        if isinstance(view, QueryView):
            logits = _float32(view.classes).astype(np.float64)
            with np.errstate(invalid="ignore"):  # Inf and NaN become NaN, which is refused
                logits = logits - logits.max(1, keepdims=True)
                log_p = np.ascontiguousarray((logits - np.log(np.exp(logits).sum(1, keepdims=True))).T)[None]
            if view.to is not None:
                log_p = _mapped_classes(log_p[0], np.asarray(view.to), sets)
            shares = np.exp(log_p).astype(np.float32)
            return cls(_float32(view.masks), view.flip, None, log_p, shares, view.align_corners, weight)
        void = None if view.void is None else _float32(view.void)
        plain = cls(_float32(view.logits), view.flip, void, None, None, view.align_corners, weight)
        if view.to is None:
            return plain
        to = np.asarray(view.to)
        log_shares, shares = _mapped_channels(to.tobytes(), len(to), sets.members.tobytes(), void is not None)
        return plain._replace(log_shares=log_shares, shares=shares, softmax=True)

    def check_small(self, i: int, view: View | QueryView, image_name: str) -> None:
        """Raise `DecodeError` if a value other than the maps is not finite. The loops check the maps as they go."""
        if self.log_shares is not None and np.isnan(self.log_shares).any():
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
        record["weight"], record["softmax"] = self.weight, self.softmax
        for name in ("mass", "shares", "log_shares"):
            array = getattr(self, name)
            record[name] = 0 if array is None else array.ctypes.data
        if self.shares is not None and len(self.shares) > 1:
            record["per_set"] = self.shares[0].size
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
    by_logits = len(arrays) == 1 and first.shares is None
    stride = _columns(first.maps.shape[2], width, first.align_corners).stride
    return Rule(
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
    sets: Sets,
    image_name: str,
) -> Job:
    """The `Job` for labels of this size.

    Args:
        arrays: the arrays of the views.

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
    sets = sets._replace(silent=_silent(arrays, sets))
    return Job(rule, sets, steps, np.array([array.record(width) for array in arrays]))


def _silent(arrays: Sequence[Arrays], sets: Sets) -> NDArray[np.bool_]:
    """The sets without evidence, whatever the maps hold: no channel of any view may be one of their elements."""
    silent = np.ones(len(sets.members), bool)
    for array in arrays:
        if array.log_shares is None or len(array.log_shares) < len(silent):  # without a map
            return np.zeros(len(silent), bool)
        has_some = np.asarray((array.log_shares > -np.inf).any(2))
        has_some[:, -1] |= array.mass is not None
        silent &= ~(has_some & sets.members).any(1)
    return silent


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
def _mapped_channels(
    to: bytes, channels: int, members: bytes, has_mass: bool
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """`log_shares` and `shares` of a view of logits with a map. Without a no-object mass, what S(d) rules out counts as
    void."""
    table = np.frombuffer(to, bool).reshape(channels, -1)
    sets = np.frombuffer(members, bool).reshape(-1, table.shape[1])
    shares = shares_of_sets(table, sets)
    if not has_mass:
        shares[..., -1] += shares.sum(2) == 0
    shares = np.ascontiguousarray(shares.transpose(0, 2, 1))
    with np.errstate(divide="ignore"):
        return np.log(shares), shares.astype(np.float32)


def _mapped_classes(log_p: NDArray[np.float64], to: NDArray[np.bool_], sets: Sets) -> NDArray[np.float64]:
    """The classes [C+1, Q] of masks as `log_shares` by a map, [U, K+1, Q]."""
    shares = shares_of_sets(to, sets.members)
    out = np.full((len(shares), shares.shape[2], log_p.shape[1]), -np.inf)
    for u, c, element in zip(*np.nonzero(shares), strict=True):
        out[u, element] = np.logaddexp(out[u, element], log_p[c] + np.log(shares[u, c, element]))
    out[:, -1] = np.logaddexp(out[:, -1], log_p[-1])
    return out


def sets_of(allowed: NDArray[np.bool_], void: int) -> Sets:
    """The sets of `Constraint.allowed` [D, K+1]."""
    return _sets(allowed.tobytes(), allowed.shape[1], void)


@lru_cache(16)
def _sets(allowed: bytes, columns: int, void: int) -> Sets:
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
        members=distinct,
        silent=np.zeros(len(distinct), bool),
    )
