"""A large image in many views: the peak of memory; and what happens when memory runs out."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gpu_steps.rows import Add, Row, Size
from lsu_seg.decode import decoder
from lsu_seg.errors import TeacherError
from lsu_seg.teachers import SegmentorTeacher, Views

K = 124
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
BUDGET = 2.0


class _AsTheyAre:
    """Images without normalisation, on a device."""

    test_cfg: Any = None

    def __init__(self, device: str) -> None:
        self.device = device

    def __call__(self, batch: dict[str, Any], training: bool) -> dict[str, Any]:
        return {"inputs": torch.stack(batch["inputs"]).to(self.device).float()}


class ExactTeacher(nn.Module):
    """A segmentor at stride 4 whose sums are exact in float32, in whatever order and pieces they are computed.

    Inputs and weights are whole numbers, and a value sees 4 x 4 pixels only. So a run that ran out of memory and saw
    the image in pieces must give the very same labels.
    """

    out_channels = K

    def __init__(self, device: str) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        weights = torch.randint(-2, 3, (K, 48), generator=generator).float()
        self.register_buffer("weights", weights[:, :, None, None])
        self.data_preprocessor = _AsTheyAre(device)

    def forward(self, inputs: Tensor, mode: str) -> Tensor:
        return torch.conv2d(nn.functional.pixel_unshuffle(inputs.round(), 4), self.weights) / 1024


def run(size: Size, add: Add) -> None:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        _run(size, add)
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def _run(size: Size, add: Add) -> None:
    height, width = size.of((3000, 4000), (96, 128))
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.integers(0, 256, (3, height, width), np.uint8))
    allowed = rng.random((30, K + 1)) < 0.1
    allowed[np.arange(30), rng.integers(0, K, 30)] = True
    rows = np.kron(rng.integers(-1, 30, (height // 8, width // 8)), np.ones((8, 8), int)).astype(np.int16)
    scales = size.of(SCALES, (1.0,))
    views = Views(scales=scales, flips=(False, True), memory=BUDGET)
    _, peak, ran_out = _label(size, image, rows, allowed, views)
    words = f"{width} x {height} pixels, {K} classes, {2 * len(scales)} views"
    if size.full:
        add(Row(f"{words}: peak beside the model", peak, "GiB", "`memory`", BUDGET, peak / BUDGET, "≤ 1"))
    add(Row(f"{words}: ran out of memory", str(ran_out), equal=not ran_out))
    if not size.full:
        return
    # Whole images at once under a cap that cannot hold them.
    some = slice(0, 1000), slice(0, 2000)
    image, rows = image[(slice(None), *some)].contiguous(), np.ascontiguousarray(rows[some])
    views = Views(scales=(2.0,), flips=(False, True), memory=None)
    whole, peak, ran_out = _label(size, image, rows, allowed, views)
    add(Row("2000 x 1000 pixels, 2 views, whole: ran out of memory", str(ran_out), equal=not ran_out))
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    capped, ran_out, share = whole, False, 1.0
    for share in (0.97, 0.94, 0.9, 0.8, 0.7):  # of the peak: which of them is too little for one piece is not known
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_allocated() + share * peak * 2**30) / total)
        try:
            capped, _, ran_out = _label(size, image, rows, allowed, views)
        except TeacherError as error:
            add(Row(f"under a cap of {share:.0%} of the peak", str(error)))
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        if ran_out:
            break
    same = bool(ran_out and np.array_equal(capped, whole))
    words = f"the same under a cap of {share:.0%} of its peak: ran out of memory ({ran_out}), and gives the same labels"
    add(Row(words, int((capped != whole).sum()), "pixels differ", equal=same))


def _label(
    size: Size, image: Tensor, rows: np.ndarray, allowed: np.ndarray, views: Views
) -> tuple[np.ndarray, float, bool]:
    """Labels, the peak in GiB beside the model, and whether memory ran out."""
    teacher = SegmentorTeacher(
        ExactTeacher(size.device).to(size.device).eval(), [f"class_{i}" for i in range(K)], views
    )
    start = 0
    if size.full:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        start = torch.cuda.memory_allocated()
    decode = decoder(size.device).decode
    labels = np.full(rows.shape, 255, np.uint8)
    for _, band in teacher.evidence([image], [rows >= 0], [(rows.shape[0], rows.shape[1])]):
        here = slice(band.top, band.bottom)
        labels[here] = decode(band.views, rows[here], allowed, None, "large.png").labels
    peak = (torch.cuda.max_memory_allocated() - start) / 2**30 if size.full else 0.0
    return labels, peak, bool(teacher.counts.out_of_memory)
