"""The decode rule of `reference` on a GPU, as Triton kernels (`cuda_kernels.py`).

What must be known before a result can be trusted (NaN and Inf, rows out of range, pixels that float32 cannot decide) is
computed on the device beside it, and read once, when the result is asked for. Until then, the host does not wait.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
import triton
from numpy.typing import NDArray
from torch import Tensor

from lsu_onto import ROW_VOID
from lsu_seg.decode import reference
from lsu_seg.decode.checks import check_allowed, check_finite, check_part, check_rows, check_shapes
from lsu_seg.decode.cuda_kernels import decide, decide_one_view
from lsu_seg.decode.knobs import knobs
from lsu_seg.decode.views import Decoded, DecodeError, Part, QueryView, View, arrays, bilinear, shares_of_sets
from lsu_seg.label_files import void_index
from lsu_seg.runtime.transfer import to_device, to_host

_MEMBER = 1 << 15
"""See `cuda_kernels.py`."""

_WEAK = 1 << 16
"""At most so many pixels are decided in float64 at a time: 100 channels of them are 50 MiB."""


def decode(
    views: Sequence[View | QueryView],
    rows: Tensor,
    allowed: Tensor,
    threshold: float | None = None,
    image_name: str = "",
) -> Decoded:
    """`reference.decode` for views on a GPU: the same arguments, rules, errors and tensors.

    The result differs from the reference only in pixels whose two best scores are equal up to float32 rounding. It is
    inside S(d) in every pixel.

    Args:
        views, rows, allowed, threshold, image_name: as for `reference.decode`. One view may have float32, float16 or
            bfloat16 logits; other maps are copied to float32 first. Rows are moved to the views' device.

    Returns:
        Tensors on the views' device: labels uint8 (int32 with K > 255) `[H, W]`, confidence float32 `[H, W]`.

    Raises:
        DecodeError: as for `reference.decode`.
    """
    return launch(views, rows, allowed, threshold, image_name).report()()


def start(
    views: Sequence[View | QueryView],
    rows: NDArray[Any],
    allowed: NDArray[Any],
    threshold: float | None = None,
    image_name: str = "",
) -> Callable[[], Decoded]:
    """`decode` with arrays, in two steps: the device works between this call and that of the function returned.

    Returns:
        A function to call once, which waits for the device and returns arrays: labels uint8 (uint16 with K > 255), and
        confidence float32, `[H, W]`. It raises DecodeError for what only the device can see.

    Raises:
        DecodeError: what can be seen without the device.
    """
    launched = launch(views, torch.as_tensor(rows), torch.as_tensor(allowed), threshold, image_name)
    copies = [to_host(launched.labels), to_host(launched.confidence)]
    report = launched.report()  # after the copies, so that it waits for them

    def result() -> Decoded:
        decoded = report()
        return arrays(decoded if launched.weak else Decoded(*copies))

    return result


@dataclass
class Launched:
    """A decode under way on the device.

    Attributes:
        labels, confidence: as `decode` returns them, once the device has got there.
        facts: float32 `[n]` on the device, see `_facts`; the last one is 1 if some pixel has a confidence of -1,
            because float32 cannot decide it.
        steps: see `_steps`. The other attributes are the arguments.
    """

    labels: Tensor
    confidence: Tensor
    facts: Tensor
    steps: tuple[Tensor, ...]
    views: Sequence[View | QueryView]
    rows: Tensor
    allowed: Tensor
    threshold: float | None
    image_name: str

    def report(self) -> Callable[[], Decoded]:
        """Ask the device to send the facts; the function returned waits for them alone, not for later work."""
        facts = to_host(self.facts)
        done = torch.cuda.Event() if self.facts.is_cuda else None
        if done is not None:
            done.record()

        def result() -> Decoded:
            if done is not None:
                done.synchronize()
            self._take(facts.tolist())
            return Decoded(self.labels, self.confidence)

        return result

    def _take(self, facts: list[float]) -> None:
        *of_views, low, high, weak = facts
        if not np.isfinite(of_views).all() or min(of_views[1::2], default=0) < 0:
            for i, view in enumerate(self.views):
                check_finite(i, view, self.image_name)  # sums of finite values may be infinite
        if low < ROW_VOID or high >= len(self.allowed):
            check_rows(self.rows, len(self.allowed), self.image_name)
        self.weak = bool(weak)
        if weak:
            self._decide_weak_pixels()

    weak = False
    """Whether pixels were decided anew, in float64. Known after the result of `report`."""

    def _decide_weak_pixels(self) -> None:
        y0, y1, ya, x0, x1, xa = self.steps
        void = void_index(self.allowed.shape[1] - 1)
        # A part at a time: if no channel of a map may be what the annotation allows, it may be every pixel.
        for some in (self.confidence < 0).nonzero().split(_WEAK):
            y, x = some.unbind(1)
            steps = (y0[:, y], y1[:, y], ya[:, y], x0[:, x], x1[:, x], xa[:, x])
            pixels = [_sampled(v, *(s[i] for s in steps)) for i, v in enumerate(self.views)]
            exact = reference.decode(pixels, self.rows[y, x][None], self.allowed, None, self.image_name)
            below = exact.confidence[0] < (-1.0 if self.threshold is None else self.threshold)
            self.labels[y, x] = torch.where(below, void, exact.labels[0]).to(self.labels.dtype)
            self.confidence[y, x] = exact.confidence[0]


def launch(
    views: Sequence[View | QueryView],
    rows: Tensor,
    allowed: Tensor,
    threshold: float | None = None,
    image_name: str = "",
) -> Launched:
    """`decode` without waiting for the device; what only it can see is checked by `Launched.report`."""
    num_classes = check_shapes(views, image_name)
    host_allowed = allowed.cpu().numpy()
    check_allowed(host_allowed, num_classes, threshold, image_name)
    if rows.ndim != 2 or rows.dtype != torch.int16:
        check_rows(rows, len(allowed), image_name)  # before other types are cut to 16 bits
    maps = [v.maps for v in views]
    device, (height, width) = maps[0].device, rows.shape
    rows = to_device(rows.to(torch.int16).contiguous(), device)
    void = void_index(num_classes)
    labels = torch.empty(height, width, dtype=torch.uint8 if void < 256 else torch.int32, device=device)
    confidence = torch.empty(height, width, device=device)
    geometry = tuple(
        (m.shape[1], m.shape[2], tuple(v.part) if v.part else None, v.flip, v.align_corners)
        for v, m in zip(views, maps, strict=True)
    )
    try:
        steps = _steps(geometry, height, width, device)
    except DecodeError:
        for i, (view, m) in enumerate(zip(views, maps, strict=True)):
            _lines(i, m.shape[1], view.part, view.align_corners, height, image_name)
        raise
    facts = _facts(views, maps, rows)
    launched = Launched(labels, confidence, facts, steps, views, rows, allowed, threshold, image_name)
    if not labels.numel():
        return launched
    sets = _sets(host_allowed.tobytes(), num_classes, device)
    if len(views) == 1 and isinstance(views[0], View) and views[0].to is None:
        _launch_one_view(launched, views[0], sets)
    else:
        _launch_several(launched, maps, sets)
    return launched


def _launch_one_view(launched: Launched, view: View, sets: _Sets) -> None:
    height, width = launched.labels.shape
    logits = view.logits.detach()
    logits = (logits if logits.dtype in _READABLE else logits.float()).contiguous()
    knob = knobs(_capability(logits.device)).one_view
    block = min(knob.size, max(32, triton.next_power_of_2(width)))
    decide_one_view[(triton.cdiv(width, block), height)](
        logits,
        logits if view.void is None else _float32(view.void),
        launched.rows,
        sets.only,
        sets.first_entry,
        sets.entries,
        *launched.steps,
        launched.labels,
        launched.confidence,
        launched.facts[-1:],
        width,
        logits.shape[1],
        logits.shape[2],
        len(sets.members),
        -1.0 if launched.threshold is None else launched.threshold,
        void_index(len(logits)),
        has_mass=view.void is not None,
        block=block,
        num_warps=knob.warps,
        num_stages=knob.stages,
    )


def _launch_several(launched: Launched, maps: Sequence[Tensor], sets: _Sets) -> None:
    views, (height, width) = launched.views, launched.labels.shape
    # Lists that keep tensors alive while the kernel, which reads them by address, is queued.
    maps = [_float32(m) for m in maps]
    shares = [_shares(v, sets) for v in views]
    masses = [None if isinstance(v, QueryView) or v.void is None else _float32(v.void) for v in views]
    lines = [
        [
            *(_pointer(m), len(m), m.shape[1], m.shape[2], _pointer(p), _pointer(w)),
            *(0 if p is None or p.ndim == 2 else p[0].numel(), isinstance(view, View)),
        ]
        for view, m, p, w in zip(views, maps, shares, masses, strict=True)
    ]
    table = to_device(torch.tensor(lines), maps[0].device)
    total = sum(view.weight for view in views)
    weights = to_device(torch.tensor([view.weight / total for view in views]), table.device)
    form, num_classes = _form(views), sets.members.shape[1] - 1
    settings = knobs(_capability(table.device))
    knob = settings.queries if form else settings.logits
    channels = max(16, triton.next_power_of_2(num_classes + 1))
    block = max(16, min(256, knob.size // channels))
    decide[(triton.cdiv(width, block), height)](
        launched.rows,
        sets.members,
        sets.only,
        table,
        weights,
        *launched.steps,
        launched.labels,
        launched.confidence,
        launched.facts[-1:],
        width,
        height,
        len(views),
        num_classes,
        len(sets.members),
        -1.0 if launched.threshold is None else launched.threshold,
        void_index(num_classes),
        form=form,
        mapped=any(view.to is not None for view in views),
        channels=channels,
        block=block,
        num_warps=knob.warps,
        num_stages=knob.stages,
    )


_READABLE = (torch.float32, torch.float16, torch.bfloat16)
"""Types of logits that the kernel for one view reads."""


def _capability(device: torch.device) -> tuple[int, int] | None:
    return torch.cuda.get_device_capability(device) if device.type == "cuda" else None


def _facts(views: Sequence[View | QueryView], maps: Sequence[Tensor], rows: Tensor) -> Tensor:
    """For each view a sum, which is finite if all values are, and the least mass; then the least and the largest row;
    and a 0 that the kernel may change."""
    facts = []
    for view, m in zip(views, maps, strict=True):
        total, least = m.sum(dtype=torch.float32), m.new_zeros((), dtype=torch.float32)
        if isinstance(view, QueryView):
            total = total + view.classes.sum(dtype=torch.float32)
        elif view.void is not None:
            total, least = total + view.void.sum(dtype=torch.float32), view.void.min().float()
        facts += [total, least]
    if rows.numel():
        facts += [bound.float() for bound in rows.aminmax()]
    else:
        facts += [m.new_zeros((), dtype=torch.float32)] * 2
    return torch.stack([*facts, m.new_zeros((), dtype=torch.float32)])


class _Sets(NamedTuple):
    """`allowed` as the kernels read it. The last set, void alone, is that of pixels without annotation (row -1).

    Attributes:
        members: uint8 `[D+1, K+1]`.
        only: int32 `[D+1]`, the one element of a set, as a label; -1: several classes, -2: and void.
        entries: int32 `[n]`: for each set the channels that its softmax needs, ascending, with `_MEMBER`
            for those in it. With one view a closed set needs only its own.
        first_entry: int32 `[D+2]`, where each set's entries begin.
        host: `members` as bytes.
    """

    members: Tensor
    only: Tensor
    entries: Tensor
    first_entry: Tensor
    host: bytes


@lru_cache(8)
def _sets(allowed: bytes, num_classes: int, device: torch.device) -> _Sets:
    members = np.frombuffer(allowed, bool).reshape(-1, num_classes + 1)
    members = np.vstack([members, np.arange(num_classes + 1) == num_classes])
    single = np.where(members[:, -1], void_index(num_classes), members.argmax(1))
    only = np.where(members.sum(1) == 1, single, np.where(members[:, -1], -2, -1))
    channels = np.arange(num_classes, dtype=np.int32)
    entries = [
        np.where(row[:-1], channels + _MEMBER, channels)[row[:-1] | (value == -2)]
        for row, value in zip(members, only, strict=True)
    ]
    first = np.cumsum([0, *map(len, entries)])
    tensors = (members.astype(np.uint8), only.astype(np.int32), np.concatenate(entries), first.astype(np.int32))
    a, b, c, d = (to_device(torch.from_numpy(array), device) for array in tensors)
    return _Sets(a, b, c, d, members.tobytes())


def _form(views: Sequence[View | QueryView]) -> int:
    """The form of the views without a map, for which the kernel is compiled: 0 logits, 1 queries, 2 both."""
    queries = {isinstance(v, QueryView) for v in views if v.to is None}
    return 2 if len(queries) > 1 else int(True in queries)


def _float32(maps: Tensor) -> Tensor:
    return maps.detach().float().contiguous()


def _pointer(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _shares(view: View | QueryView, sets: _Sets) -> Tensor | None:
    """The shares of a view's maps in the classes and void, float32 `[K+1, Q]`; with a map those of each set,
    `[D+1, K+1, C]`; None for logits of the source's classes."""
    classes = view.classes.detach().double().softmax(1) if isinstance(view, QueryView) else None
    if view.to is None:
        return None if classes is None else classes.float().T.contiguous()
    has_mass = isinstance(view, QueryView) or view.void is not None
    to = np.asarray(view.to)
    shares = _mapped(to.tobytes(), len(to), sets.host, has_mass, view.maps.device)
    if classes is None:
        return shares.float().contiguous()
    of_queries = torch.einsum("dkc,qc->dkq", shares, classes[:, :-1])
    of_queries[:, -1] += classes[:, -1]
    return of_queries.float().contiguous()


@lru_cache(8)
def _mapped(to: bytes, channels: int, members: bytes, has_mass: bool, device: torch.device) -> Tensor:
    """The shares of a map's channels in the elements of each set, float64 `[D+1, K+1, C]`. Without a no-object mass,
    what a set rules out counts as void."""
    table = np.frombuffer(to, bool).reshape(channels, -1)
    shares = shares_of_sets(table, np.frombuffer(members, bool).reshape(-1, table.shape[1]))
    if not has_mass:
        shares[..., -1] += shares.sum(2) == 0
    return to_device(torch.from_numpy(np.ascontiguousarray(shares.transpose(0, 2, 1))), device)


_Geometry = tuple[int, int, "tuple[int, int, int, int] | None", bool, bool]
"""Of a view: height and width of its maps, part, flip, align_corners."""

_Steps = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
"""The first and second sample of each pixel, and the weight of the second. Float64, because the position of a pixel in
a large image would have a larger error in float32 than the logits have."""


@lru_cache(64)
def _steps(geometry: tuple[_Geometry, ...], height: int, width: int, device: torch.device) -> tuple[Tensor, ...]:
    """Of all views: int32 `[V, H]` twice, float32 `[V, H]`, and the same `[V, W]`. Images of one size share them."""
    rows, columns = [], []
    for i, (h, w, part, flip, align_corners) in enumerate(geometry):
        rows.append(_lines(i, h, part, align_corners, height, ""))
        columns.append(_columns(w, flip, align_corners, width))
    return *_upload(rows, device), *_upload(columns, device)


def _lines(
    i: int, h: int, part: tuple[int, int, int, int] | None, align_corners: bool, height: int, image_name: str
) -> _Steps:
    """The steps of each label row, in the `h` rows that the view holds."""
    part = Part(*part) if part else Part(0, h, 0, height)
    first, weight = bilinear(part.full_height, part.label_height, align_corners)
    check_part(i, part, first, h, height, image_name)
    label_rows = slice(part.label_top, part.label_top + height)
    upper = first[label_rows] - part.top
    return upper, np.minimum(upper + 1, h - 1), weight[label_rows]


def _columns(w: int, flip: bool, align_corners: bool, width: int) -> _Steps:
    first, weight = bilinear(w, width, align_corners)
    second = np.minimum(first + 1, w - 1)
    return (w - 1 - first, w - 1 - second, weight) if flip else (first, second, weight)


def _upload(steps: Sequence[_Steps], device: Any) -> tuple[Tensor, Tensor, Tensor]:
    """The steps of all views as tensors: int32, int32 and float32 `[V, size]`."""
    first, second, weight = (np.stack(a) for a in zip(*steps, strict=True))
    return (
        to_device(torch.from_numpy(first.astype(np.int32)), device),
        to_device(torch.from_numpy(second.astype(np.int32)), device),
        to_device(torch.from_numpy(weight.astype(np.float32)), device),
    )


def _sampled(view: View | QueryView, *steps: Tensor) -> View | QueryView:
    """The view at single pixels, as a view with one row, in float64."""

    def at(maps: Tensor) -> Tensor:
        y0, y1, ya, x0, x1, xa = steps
        maps = maps.detach()
        upper = torch.lerp(maps[:, y0, x0].double(), maps[:, y0, x1].double(), xa.double())
        lower = torch.lerp(maps[:, y1, x0].double(), maps[:, y1, x1].double(), xa.double())
        return torch.lerp(upper, lower, ya.double())[:, None]

    if isinstance(view, QueryView):
        return replace(view, masks=at(view.masks), flip=False, part=None)
    void = None if view.void is None else at(view.void[None])[0]
    return replace(view, logits=at(view.logits), void=void, flip=False, part=None)
