"""A small segmentor, images for it, and what a decoder makes of its bands."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import nn
from torch.nn.functional import interpolate

from lsu_seg.decode import QueryView, cpu
from lsu_seg.teachers import Band, SegmentorTeacher, Views

CLASSES = ["road", "grass", "tree", "sky", "car"]
K = len(CLASSES)


class Net(nn.Module):
    """A segmentor at stride 4. `reach`: how many further cells on each side a cell's logits depend on."""

    def __init__(self, reach: int = 2, limit: int | None = None, queries: int = 0) -> None:
        super().__init__()
        init_default_scope("mmseg")
        self.data_preprocessor = MODELS.build(
            dict(type="SegDataPreProcessor", mean=[128.0] * 3, std=[64.0] * 3, size_divisor=32)
        )
        self.limit, self.largest = limit, 0
        torch.manual_seed(0)
        layers: list[nn.Module] = [nn.Conv2d(3, 8, 4, 4)]
        for _ in range(reach):
            layers += [nn.GELU(), nn.Conv2d(8, 8, 3, padding=1)]
        self.body = nn.Sequential(*layers, nn.GELU(), nn.Conv2d(8, queries or K, 1))
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.3)
        if queries:
            self.classes = nn.Parameter(torch.randn(queries, K + 1) * 2)
            self.evidence_of = lambda batch: [QueryView(self.classes, m) for m in self.forward(batch)]

    def forward(self, inputs: torch.Tensor, mode: str = "tensor") -> torch.Tensor:
        pixels = inputs[:, 0].numel()
        self.largest = max(self.largest, pixels)
        if self.limit is not None and pixels > self.limit:
            torch.empty(1 << 60, dtype=torch.uint8)  # what no machine has: a real error of a real allocator
        return self.body(inputs)


def image(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Smooth, so that views of several scales see much the same; uint8 [3, H, W]."""
    noise = torch.rand(1, 3, height // 32 + 2, width // 32 + 2, generator=torch.Generator().manual_seed(seed))
    return (interpolate(noise, (height, width), mode="bicubic")[0] * 255).clamp(0, 255).to(torch.uint8)


def bands(net: Net, picture: torch.Tensor, needed: Any = None, label: Any = None, **views: Any) -> list[Band]:
    teacher = SegmentorTeacher(net.eval(), CLASSES, Views(**views))
    label = label or (picture.shape[1], picture.shape[2])
    return [band for _, band in teacher.evidence([picture], [needed], [label])]


def decoded(found: list[Band], rows: np.ndarray, allowed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, sure = np.full(rows.shape, 254, np.uint8), np.zeros(rows.shape, np.float32)
    for top, bottom, views, *_ in found:
        labels[top:bottom], sure[top:bottom] = cpu.decode(views, rows[top:bottom], allowed)
    return labels, sure


ALL = np.ones((1, K + 1), bool)
"""One class of the dataset, that may be anything."""
FLIPPED = dict(scales=(0.5, 1.0, 1.75), flips=(False, True))
