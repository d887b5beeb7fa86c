"""The decode rule of `reference` on a GPU, as one Triton kernel. It never builds a tensor of size K x H x W.

Every program decides a piece of a label row. It looks up the S(d) of its pixels, and is done if each has one element.
Otherwise it interpolates a tile of channels x pixels per view in registers, and sums the probabilities there. With one
view and closed sets, it reads only the allowed channels. A matrix product combines the masks of queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl
from numpy.typing import NDArray
from torch import Tensor

from lsu_seg.decode import reference
from lsu_seg.decode.checks import check_allowed, check_finite, check_part, check_rows, check_shapes
from lsu_seg.decode.views import Decoded, Part, QueryView, View, bilinear
from lsu_seg.label_files import void_index

_TINY = tl.constexpr(1e-30)
"""Pixels whose sum of probabilities is below this are decided in float64, by the reference."""
_TILE, _TILE_ONE_VIEW = 2048, 4096
"""Elements of a tile, channels x pixels: the most that fit into the registers of 128 threads (compiled for sm_90a)."""


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
        views, rows, allowed, threshold, image_name: as for `reference.decode`. Logits that are not contiguous float32
            are copied first. Rows and `allowed` are moved to the views' device.

    Returns:
        Tensors on the views' device: labels uint8 (int32 with K > 255) `[H, W]`, confidence float32 `[H, W]`.

    Raises:
        DecodeError: as for `reference.decode`.
    """
    num_classes = check_shapes(views, image_name)
    check_allowed(allowed.cpu().numpy(), num_classes, threshold, image_name)
    check_rows(rows, len(allowed), image_name)
    maps = [_float32(v.masks if isinstance(v, QueryView) else v.logits) for v in views]
    _check_finite(views, maps, image_name)
    device, (height, width) = maps[0].device, rows.shape
    void = void_index(num_classes)
    labels = torch.empty(height, width, dtype=torch.uint8 if void < 256 else torch.int32, device=device)
    confidence = torch.empty(height, width, device=device)
    if not labels.numel():
        return Decoded(labels, confidence)

    # Two lists that keep tensors alive while the kernel reads them by address.
    class_shares = [_classes(v) if isinstance(v, QueryView) else None for v in views]
    masses = [None if isinstance(v, QueryView) or v.void is None else _float32(v.void) for v in views]
    table = torch.tensor(
        [
            [_pointer(m), len(m), m.shape[1], m.shape[2], _pointer(p), _pointer(w)]
            for m, p, w in zip(maps, class_shares, masses, strict=True)
        ],
        device=device,
    )
    y0, y1, ya = _upload(
        [_lines(i, v, m.shape[1], height, image_name) for i, (v, m) in enumerate(zip(views, maps, strict=True))],
        device,
    )
    x0, x1, xa = _upload([_columns(v, m.shape[2], width) for v, m in zip(views, maps, strict=True)], device)

    # The last set, void alone, is that of pixels without annotation, whose row is -1.
    sets = torch.cat([allowed.to(device), torch.arange(num_classes + 1, device=device)[None] == num_classes])
    single = torch.where(sets[:, -1], void, sets.int().argmax(1))
    only = torch.where(sets.sum(1) == 1, single, -1).int()

    plain = len(views) == 1 and isinstance(views[0], View)
    channels = max(16, triton.next_power_of_2(num_classes + 1))
    block = max(16, min(256, (_TILE_ONE_VIEW if plain else _TILE) // channels))
    _decide[(triton.cdiv(width, block), height)](
        rows.to(device, torch.int16).contiguous(),
        sets.to(torch.uint8),
        only,
        table,
        y0,
        y1,
        ya,
        x0,
        x1,
        xa,
        labels,
        confidence,
        width,
        height,
        len(sets),
        -1.0 if threshold is None else threshold,
        void,
        views=len(views),
        form=_form(views),
        plain=plain,
        has_mass=isinstance(views[0], QueryView) or views[0].void is not None,
        num_classes=num_classes,
        channels=channels,
        block=block,
    )
    if (undecided := (confidence < 0).nonzero()).numel():
        y, x = undecided.unbind(1)
        steps = (y0[:, y], y1[:, y], ya[:, y], x0[:, x], x1[:, x], xa[:, x])
        single_pixels = [_sampled(v, *(s[i] for s in steps)) for i, v in enumerate(views)]
        exact = reference.decode(single_pixels, rows.to(device)[y, x][None], allowed, None, image_name)
        below = exact.confidence[0] < (-1.0 if threshold is None else threshold)
        labels[y, x] = torch.where(below, void, exact.labels[0]).to(labels.dtype)
        confidence[y, x] = exact.confidence[0]
    return Decoded(labels, confidence)


def _form(views: Sequence[View | QueryView]) -> int:
    """The form of the views, for which the kernel is compiled: 0 logits, 1 queries, 2 both."""
    queries = sum(isinstance(v, QueryView) for v in views)
    return 0 if not queries else 1 if queries == len(views) else 2


def _float32(maps: Tensor) -> Tensor:
    return maps.detach().float().contiguous()


def _pointer(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _classes(view: QueryView) -> Tensor:
    """The softmax of the class logits, float32 `[K+1, Q]`."""
    return view.classes.detach().double().softmax(1).float().T.contiguous()


def _check_finite(views: Sequence[View | QueryView], maps: Sequence[Tensor], image_name: str) -> None:
    """`check_finite` for all views, which waits for the device only once."""
    valid = [torch.isfinite(m).all() for m in maps]
    for view in views:
        if isinstance(view, QueryView):
            valid.append(torch.isfinite(view.classes.float()).all())
        elif view.void is not None:
            valid.append((torch.isfinite(view.void.float()) & (view.void >= 0)).all())
    if not torch.stack(valid).all():
        for i, view in enumerate(views):
            check_finite(i, view, image_name)


_Steps = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
"""The first and second sample of each pixel, and the weight of the second. Float64, because the position of a pixel in
a large image would have a larger error in float32 than the logits have."""


def _lines(i: int, view: View | QueryView, h: int, height: int, image_name: str) -> _Steps:
    """The steps of each label row, in the `h` rows that the view holds."""
    part = view.part or Part(0, h, 0, height)
    first, weight = bilinear(part.full_height, part.label_height, view.align_corners)
    check_part(i, part, first, h, height, image_name)
    label_rows = slice(part.label_top, part.label_top + height)
    upper = first[label_rows] - part.top
    return upper, np.minimum(upper + 1, h - 1), weight[label_rows]


def _columns(view: View | QueryView, w: int, width: int) -> _Steps:
    first, weight = bilinear(w, width, view.align_corners)
    second = np.minimum(first + 1, w - 1)
    return (w - 1 - first, w - 1 - second, weight) if view.flip else (first, second, weight)


def _upload(steps: Sequence[_Steps], device: Any) -> tuple[Tensor, Tensor, Tensor]:
    """The steps of all views as tensors: int32, int32 and float32 `[V, size]`."""
    first, second, weight = (np.stack(a) for a in zip(*steps, strict=True))
    return (
        torch.from_numpy(first.astype(np.int32)).to(device),
        torch.from_numpy(second.astype(np.int32)).to(device),
        torch.from_numpy(weight.astype(np.float32)).to(device),
    )


def _sampled(view: View | QueryView, *steps: Tensor) -> View | QueryView:
    """The view at single pixels, as a view with one row, in float64."""

    def at(maps: Tensor) -> Tensor:
        y0, y1, ya, x0, x1, xa = steps
        maps = maps.detach().double()
        upper = torch.lerp(maps[:, y0, x0], maps[:, y0, x1], xa.double())
        lower = torch.lerp(maps[:, y1, x0], maps[:, y1, x1], xa.double())
        return torch.lerp(upper, lower, ya.double())[:, None]

    if isinstance(view, QueryView):
        return QueryView(view.classes, at(view.masks))
    return View(at(view.logits), False, None if view.void is None else at(view.void[None])[0])


# --- the kernel --------------------------------------------------------------------------------------------


@triton.jit
def _interpolated(maps, index, mask, h, w, y0, y1, ya, x0, x1, xa):  # type: ignore[no-untyped-def]
    """The maps `index` [channels, 1] of `maps` [n, h, w] at the pixels of a row: [channels, block]."""
    upper, lower = maps + index * h * w + y0 * w, maps + index * h * w + y1 * w
    a = tl.load(upper + x0[None, :], mask=mask, other=0.0)
    b = tl.load(lower + x0[None, :], mask=mask, other=0.0)
    left = a + (b - a) * ya
    a = tl.load(upper + x1[None, :], mask=mask, other=0.0)
    b = tl.load(lower + x1[None, :], mask=mask, other=0.0)
    right = a + (b - a) * ya
    return left + (right - left) * xa[None, :]


@triton.jit
def _joined(  # type: ignore[no-untyped-def]
    maps,
    classes,
    count,
    c,
    asked,
    h,
    w,
    y0,
    y1,
    ya,
    x0,
    x1,
    xa,
    num_classes: tl.constexpr,
    channels: tl.constexpr,
    block: tl.constexpr,
):
    """p [channels, block] of masks and their classes, no-object last; and the sum [block] before normalisation."""
    p_class = classes.to(tl.pointer_type(tl.float32))
    joined = tl.zeros([channels, block], tl.float32)
    for first in range(0, count, 16):
        q = first + tl.arange(0, 16)
        masks = _interpolated(maps, q[:, None], (q < count)[:, None] & asked[None, :], h, w, y0, y1, ya, x0, x1, xa)
        share = tl.load(p_class + c * count + q[None, :], mask=(c <= num_classes) & (q < count)[None, :], other=0.0)
        joined += tl.dot(share, tl.sigmoid(masks), input_precision="ieee")
    total = tl.sum(joined, 0)
    return joined / tl.maximum(total, _TINY)[None, :], total


@triton.jit
def _decide(  # type: ignore[no-untyped-def]
    rows,
    sets,
    only,
    table,
    y0s,
    y1s,
    yas,
    x0s,
    x1s,
    xas,
    labels,
    confidence,
    width,
    height,
    num_sets,
    low,
    void,
    views: tl.constexpr,
    form: tl.constexpr,
    plain: tl.constexpr,
    has_mass: tl.constexpr,
    num_classes: tl.constexpr,
    channels: tl.constexpr,
    block: tl.constexpr,
):
    y = tl.program_id(1)
    x = tl.program_id(0) * block + tl.arange(0, block)
    inside = x < width
    place = y.to(tl.int64) * width + x
    row = tl.load(rows + place, mask=inside, other=-1).to(tl.int32)
    which = tl.where(row < 0, num_sets - 1, row)
    label = tl.load(only + which)
    asked = inside & (label < 0)
    sure = tl.full([block], 1.0, tl.float32)

    if tl.max(asked.to(tl.int32), 0) > 0:
        c = tl.arange(0, channels)[:, None]
        member = tl.load(
            sets + which[None, :] * (num_classes + 1) + c, mask=(c <= num_classes) & asked[None, :], other=0
        )
        may_void = tl.sum(tl.where(c == num_classes, member, 0), 0) > 0
        member = (member > 0) & (c < num_classes)
        real = (c < num_classes) & asked[None, :]
        needed = real
        if plain:  # with one view, a closed set needs only its own channels
            needed = real & (member | may_void[None, :])

        p = tl.zeros([channels, block], tl.float32)
        mass = tl.zeros([block], tl.float32)
        score = tl.zeros([channels, block], tl.float32)
        weak = tl.zeros([block], tl.int32)
        for v in range(views):
            maps = tl.load(table + v * 6).to(tl.pointer_type(tl.float32))
            count = tl.load(table + v * 6 + 1).to(tl.int32)
            h = tl.load(table + v * 6 + 2)
            w = tl.load(table + v * 6 + 3)
            classes = tl.load(table + v * 6 + 4)
            y0, y1 = tl.load(y0s + v * height + y), tl.load(y1s + v * height + y)
            ya = tl.load(yas + v * height + y)
            x0 = tl.load(x0s + v * width + x, mask=inside, other=0)
            x1 = tl.load(x1s + v * width + x, mask=inside, other=0)
            xa = tl.load(xas + v * width + x, mask=inside, other=0.0)
            is_query = form == 1
            if form == 2:
                is_query = classes != 0
            if is_query:
                joined, total = _joined(
                    maps, classes, count, c, asked, h, w, y0, y1, ya, x0, x1, xa, num_classes, channels, block
                )
                weak = tl.where(total < _TINY, 1, weak)
                mass += tl.sum(tl.where(c == num_classes, joined, 0.0), 0)
                p += tl.where(c < num_classes, joined, 0.0)
            else:
                score = _interpolated(maps, c, needed, h, w, y0, y1, ya, x0, x1, xa)
                top = tl.max(tl.where(needed, score, float("-inf")), 0)
                e = tl.where(needed, tl.exp(score - top[None, :]), 0.0)
                p += e / tl.maximum(tl.sum(e, 0), 1.0)[None, :]  # the sum is at least 1, or 0 if no channel is needed
                if has_mass:
                    mass_map = tl.load(table + v * 6 + 5).to(tl.pointer_type(tl.float32))
                    one = tl.zeros([1, 1], tl.int32)
                    here = _interpolated(mass_map, one, asked[None, :], h, w, y0, y1, ya, x0, x1, xa)
                    mass += tl.sum(here, 0)

        inner = tl.where(member, p, 0.0)
        evidence = mass
        if not has_mass:
            evidence = tl.sum(tl.where(member, 0.0, p), 0)
        evidence = tl.where(may_void, evidence, 0.0)
        by = p
        if plain:  # the logits decide, without rounding
            by = score
        best = tl.argmax(tl.where(member, by, float("-inf")), 0, tie_break_left=True)
        largest = tl.max(inner, 0)
        if plain:
            largest = tl.sum(tl.where(c == best[None, :], inner, 0.0), 0)
        wins = may_void & (evidence > largest)
        value = tl.where(wins, evidence, largest)
        weak = tl.where((largest < _TINY) & (evidence < _TINY), 1, weak)
        chosen = tl.where(wins, void, best)
        whole = tl.sum(inner, 0) + evidence
        certainty = tl.minimum(value / tl.where(whole > 0, whole, 1.0), 1.0)  # 0/0 where nothing is asked
        chosen = tl.where(certainty < low, void, chosen)
        certainty = tl.where(weak > 0, -1.0, certainty)
        label = tl.where(asked, chosen, label)
        sure = tl.where(asked, certainty, sure)

    tl.store(labels + place, label.to(labels.dtype.element_ty), mask=inside)
    tl.store(confidence + place, sure, mask=inside)
