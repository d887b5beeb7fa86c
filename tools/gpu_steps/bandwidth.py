"""How near decoding comes to the memory's own speed, and how far it leaves torch's own operations behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import lsu_onto
from gpu_steps.rows import Add, Row, Size, device_ms, wall_ms
from lsu_seg.decode import View, cuda
from lsu_seg.demo.scenes import CLASSES, STYLES, draw_scene

SCALES = (0.5, 1.0, 1.5, 2.0)
BYTES_BEYOND_L2 = 256 << 20
"""Inputs of successive calls come from so much memory that no cache holds them."""


def street(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Rows of ApolloScape's classes on a drawn street, int16 `[H, W]`, and `allowed` of its map to Vistas (63 classes).

    Its runs are about as long as a real scene's; half of the pixels are ambiguous.
    """
    constraint = lsu_onto.load("apolloscape", source="vistas")
    names = {"lane_marking": "road", "grass": "vegetation", "tree": "vegetation"}
    row_of = np.full(256, -1, np.int16)
    for i, name in enumerate(CLASSES):
        row_of[i] = constraint.classes.index(names.get(name, name))
    labels = draw_scene(np.random.default_rng(0), STYLES["town"], height, width)[1]
    return torch.from_numpy(row_of[labels]), torch.from_numpy(constraint.allowed)


def problem(size: Size, scales: Sequence[float], flips: Sequence[bool]) -> tuple[list[list[View]], Tensor, Tensor]:
    """Views of a street at 1024 x 2048, stride 4, several times over, rows and `allowed`; all on the device."""
    height, width = size.of((1024, 2048), (8, 16))
    rows, allowed = street(height, width)
    k = allowed.shape[1] - 1
    torch.manual_seed(0)

    def views() -> list[View]:
        shapes = [(round(height * s / 4), round(width * s / 4)) for s in scales]
        return [View(3 * torch.randn(k, *shape, device=size.device), flip) for shape in shapes for flip in flips]

    several = [views()]
    while size.full and _bytes(several[0]) * len(several) < BYTES_BEYOND_L2:
        several.append(views())
    return several, rows.to(size.device), allowed.to(size.device)


def run(size: Size, add: Add) -> None:
    for name, scales, flips in (("one view", (1.0,), (False,)), ("8 views", SCALES, (False, True))):
        views, rows, allowed = problem(size, scales, flips)
        moved = _bytes(views[0]) + rows.nbytes + 5 * rows.numel()
        half = torch.empty(max(moved // 2, size.of(BYTES_BEYOND_L2, 0)), dtype=torch.uint8, device=size.device)
        other = torch.empty_like(half)
        copy = (
            device_ms(lambda half=half, other=other: other.copy_(half), size.of(20, 2)).busy * moved / (2 * len(half))
        )
        decode = over(views, lambda v, r=rows, a=allowed: cuda.decode(v, r, a))
        repeats = size.of(20, 1)
        ours = device_ms(decode, repeats).busy
        words = f"decode, {name}, device time"
        add(Row(words, ours, "ms", "a device copy of as many bytes", copy, copy / ours, "≥ 0.6"))
        whole = wall_ms(decode, repeats)
        add(Row(f"decode, {name}, from call to result", whole, "ms", "its device time", ours, whole / ours))
        theirs = device_ms(over(views, lambda v, r=rows, a=allowed: plain_torch(v, r, a)), size.of(3, 1)).busy
        add(Row(words, ours, "ms", "upsample, mask, argmax in torch", theirs, theirs / ours, "≥ 50"))
        del views, half, other


def over(views: list[list[View]], run: Callable[[list[View]], object]) -> Callable[[], object]:
    """Each call takes the next of several equal problems."""
    turns: Iterator[list[View]] = cycle(views)
    return lambda: run(next(turns))


def plain_torch(views: list[View], rows: Tensor, allowed: Tensor) -> Tensor:
    """What one writes without this project: everything at label resolution."""
    mask = ~allowed[:, :-1][rows.long()].permute(2, 0, 1)
    total: Tensor | None = None
    for view in views:
        logits = F.interpolate(view.logits[None], tuple(rows.shape), mode="bilinear", align_corners=False)[0]
        if view.flip:
            logits = logits.flip(2)
        if len(views) > 1:
            logits = logits.softmax(0)
        total = logits if total is None else total.add_(logits)
    assert total is not None
    return total.masked_fill_(mask, -torch.inf).argmax(0)


def _bytes(views: list[View]) -> int:
    return sum(v.logits.nbytes for v in views)
