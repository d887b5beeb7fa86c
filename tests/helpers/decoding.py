"""Problems for the decoders, and how far they may differ from the reference."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st

from lsu_seg.decode import Decoded, QueryView, View, reference


def tensor_view(view: View | QueryView) -> View | QueryView:
    if isinstance(view, QueryView):
        return replace(view, classes=torch.from_numpy(view.classes), masks=torch.from_numpy(view.masks))
    void = None if view.void is None else torch.from_numpy(view.void)
    return replace(view, logits=torch.from_numpy(view.logits), void=void)


def on_device(view: View | QueryView, device: str) -> View | QueryView:
    """`tensor_view`, on a device."""
    view = tensor_view(view)
    for name in ("logits", "void", "classes", "masks"):
        if getattr(view, name, None) is not None:
            setattr(view, name, getattr(view, name).to(device))
    return view


@st.composite
def problems(draw: st.DrawFn) -> tuple:
    """Views, rows and `allowed`: blocks and single pixels, every kind of row, ties, large logits, all forms."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    k = draw(st.sampled_from([1, 2, 3, 7, 19, 63, 200, 255, 256, 300]))
    d = draw(st.integers(1, 30))
    h, w = int(rng.integers(1, 9)), int(rng.integers(1, 40))
    strides = draw(st.sampled_from([1, 2, 3, 4, 4, 4, 8, 8, 0]))
    if draw(st.integers(0, 9)) == 0:
        h, w = 1, int(rng.integers(90, 200))  # runs longer than a tile
    if strides:
        height, width = h * strides, w * strides
    else:
        height, width = int(rng.integers(1, 30)), int(rng.integers(1, 90))
    scale = draw(st.sampled_from([0.0, 0.3, 3.0, 20.0, 300.0, 2000.0]))
    form = draw(st.sampled_from(["plain", "plain", "mass", "query", "mixed", "any"]))
    ensemble = draw(st.booleans())  # views of several teachers, some of them of other sources
    views: list[View | QueryView] = []
    for v in range(draw(st.sampled_from([1, 1, 1, 2, 4]))):
        size = (h, w) if v == 0 else tuple(rng.integers(1, 12, 2))
        rounded = draw(st.booleans())

        def maps(n: int, size: tuple = size, rounded: bool = rounded) -> np.ndarray:
            x = rng.uniform(-1, 1, (n, *size))
            return ((x * 2).round() / 2 if rounded else x).astype(np.float32) * np.float32(scale)

        flip, align_corners = bool(rng.integers(2)), bool(rng.integers(4) == 0)
        weight, to, channels = 1.0, None, k
        if ensemble:
            weight = float(rng.choice([0.25, 1.0, 3.0]))
            if rng.integers(2):
                channels = int(rng.integers(1, 12))
                to = rng.random((channels, k + 1)) < rng.choice([0.02, 0.3, 0.9], (channels, 1))
        if form == "query" or (form in ("mixed", "any") and rng.integers(2)):
            q = int(rng.integers(1, 12))
            classes = (rng.standard_normal((q, channels + 1)) * min(scale, 20)).astype(np.float32)
            views.append(QueryView(classes, maps(q), flip, None, align_corners, weight, to))
        else:
            has_mass = form != "plain" and (form != "any" or rng.integers(2))
            mass = rng.uniform(0, 1, size).astype(np.float32) if has_mass else None
            views.append(View(maps(channels), flip, mass, None, align_corners, weight, to))
    allowed = rng.random((d, k + 1)) < rng.choice([0.02, 0.3, 0.9, 1.0], (d, 1))
    allowed[np.arange(d), rng.integers(0, k + 1, d)] = True  # never empty
    grain = draw(st.sampled_from([1, 3, 8, 9, 16, 64, 1000]))
    rows = rng.integers(-1, d, (-(-height // grain), -(-width // grain)))
    rows = np.repeat(np.repeat(rows, grain, 0), grain, 1)[:height, :width].astype(np.int16)
    if draw(st.booleans()):  # short runs among long ones
        rows = np.where(rng.random(rows.shape) < 0.05, rng.integers(-1, d, rows.shape), rows).astype(np.int16)
    return views, rows, allowed


def gaps(views: list, rows: np.ndarray, allowed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per pixel, of the two best allowed outputs in the reference: the difference of log p, and what float32 leaves
    of it: the rounding of the logits themselves, which is relative to the largest of them."""
    k = allowed.shape[1] - 1
    seen = [tensor_view(v) for v in views]
    table = np.vstack([allowed, np.arange(k + 1) == k])
    inside = torch.from_numpy(table[rows]).permute(2, 0, 1)  # ROW_VOID is -1: the last
    _, log_p, evidence = reference._fuse(seen, inside)
    score = torch.cat([log_p, evidence.log()[None]]).masked_fill(~inside, -torch.inf)
    top = score.topk(min(2, k + 1), 0).values
    gap = (top[0] - top[-1]).numpy()
    size = max(float(np.abs(v.maps).max()) for v in views)
    return gap, np.full(gap.shape, 1e-5 * max(1.0, size))


class Differences(NamedTuple):
    """What tells a decoder's result from the reference's.

    Attributes:
        pixels: all of them. outside: those whose label is not in S(d), nor void because of the threshold.
        compared: pixels that are no ties up to float32 rounding. wrong: those of them with another label.
        confidence: the largest difference of a compared pixel's confidence, as a multiple of what rounding explains.
    """

    pixels: int
    outside: int
    compared: int
    wrong: int
    confidence: float


def compare(
    views: list, rows: np.ndarray, allowed: np.ndarray, threshold: float | None, decoded: Decoded
) -> Differences:
    """Compare a result, on any device, with `reference.decode` of the same arrays."""
    k = allowed.shape[1] - 1
    wanted = reference.decode(
        [tensor_view(v) for v in views], torch.from_numpy(rows), torch.from_numpy(allowed), threshold
    )
    assert decoded.labels.dtype == wanted.labels.dtype
    assert decoded.confidence.dtype == torch.float32
    found, sure = decoded.labels.cpu().numpy(), decoded.confidence.cpu().numpy()

    labels = np.where(found == (255 if k <= 255 else 65535), k, found.astype(np.int64))
    table = np.vstack([allowed, np.arange(k + 1) == k])
    inside = np.take_along_axis(table[rows], labels.clip(0, k)[..., None], 2)[..., 0] & (labels >= 0) & (labels <= k)
    inside |= (labels == k) & (sure < (threshold or 0))
    inside &= (sure >= 0) & (sure <= 1)

    gap, tolerance = gaps(views, rows, allowed)
    clear = gap > tolerance
    wanted_sure = wanted.confidence.numpy()
    confidence = float((np.abs(sure - wanted_sure) / (2 * tolerance))[clear].max(initial=0))
    if threshold is not None:
        clear &= np.abs(wanted_sure - threshold) > 2 * tolerance
    wrong = int((found != wanted.labels.numpy())[clear].sum())
    return Differences(rows.size, int((~inside).sum()), int(clear.sum()), wrong, confidence)
