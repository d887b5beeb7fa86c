"""A teacher's network in each precision, with channels last, and compiled: how fast, and how many labels change.

The weights are random, so that most pixels are close to two classes at once: a trained network changes fewer labels.
`lsu-seg pseudo-label … --compare-precision N` measures those of a trained one.
"""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any
from unittest import mock

import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor, nn

from gpu_steps.rows import Add, Row, Size, wall_ms
from gpu_steps.training import K, segformer
from lsu_seg.teachers.computing import Computing, ComputingNetwork

NORMALISED = dict(type="SegDataPreProcessor", mean=[128.0] * 3, std=[64.0] * 3)
COMPILED = ("TorchSegmentor, a ConvNet", "EoMT-DINOv3-L")
"""Those that are compiled: it takes half a minute each."""


class ConvNet(nn.Module):
    """Residual blocks at strides 4 to 32, and their sum at stride 4: what channels last is good for."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        widths = [width * 2**i for i in range(4)]
        self.stem = nn.Conv2d(3, width, 4, 4)
        self.stages, self.down, self.out = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for i, channels in enumerate(widths):
            self.stages.append(nn.ModuleList(_block(channels) for _ in range(depth)))
            self.down.append(nn.Conv2d(channels, widths[min(i + 1, 3)], 2, 2) if i < 3 else nn.Identity())
            self.out.append(nn.Conv2d(channels, K, 1))

    def forward(self, images: Tensor) -> Tensor:
        x, maps = self.stem(images), []
        for stage, down, out in zip(self.stages, self.down, self.out, strict=True):
            for block in stage:  # type: ignore[attr-defined]
                x = torch.relu(x + block(x))
            maps.append(out(x))
            x = down(x)
        size = maps[0].shape[2:]
        return torch.stack([nn.functional.interpolate(m, size, mode="bilinear") for m in maps]).sum(0)


def _block(channels: int) -> nn.Module:
    layers = [nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)]
    more = [nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)]
    return nn.Sequential(*layers, nn.ReLU(), *more)


def convnet(width: int = 64, depth: int = 3) -> nn.Module:
    """The function of the TorchSegmentor."""
    return ConvNet(width, depth)


def run(size: Size, add: Add) -> None:
    import lsu_seg.models.huggingface
    import lsu_seg.models.torch_segmentor  # noqa: F401 registers it

    init_default_scope("mmseg")
    end = time.monotonic() + size.seconds
    side = size.of(1024, 64)
    images = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0)).to(size.device)
    for name, config in _models(size):
        try:
            torch.manual_seed(0)
            model = MODELS.build(config).to(size.device).eval()
            _measure(size, add, name, model, images, end)
            del model
        except Exception as error:  # one model is not worth the others
            traceback.print_exc()
            add(Row(name, f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}", equal=False))
        gc.collect()


def _models(size: Size) -> Iterator[tuple[str, dict[str, Any]]]:
    factory = dict(width=size.of(64, 8), depth=size.of(3, 1))
    yield (
        COMPILED[0],
        dict(type="TorchSegmentor", factory=f"{__name__}:convnet", args=factory, data_preprocessor=NORMALISED),
    )
    eomt: dict[str, Any] = dict(patch_size=16, num_queries=size.of(100, 8))
    if not size.full:
        eomt |= dict(hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32, num_blocks=2)
        eomt |= dict(image_size=64, train_num_points=64)
    hf = dict(model="EomtDinov3ForUniversalSegmentation", config=eomt)
    yield COMPILED[1], dict(type="HFSegmentor", hf=hf, num_classes=K, data_preprocessor=NORMALISED)
    yield "SegFormer-B5", segformer(size.of([3, 6, 40, 3], [1, 1, 1, 1])) | dict(data_preprocessor=None)


def _measure(size: Size, add: Add, name: str, model: Any, images: Tensor, end: float) -> None:
    """The first way is what the others are compared with."""
    ways: dict[str, tuple[Computing, bool]] = {
        "fp32": (Computing(), False),
        **({"tf32": (Computing("tf32"), False)} if size.full else {}),
        "fp16": (Computing("fp16"), False),
        "bf16": (Computing("bf16"), False),
        "bf16, channels last": (Computing("bf16"), True),
        **({"bf16, compiled": (Computing("bf16", True), False)} if name in COMPILED[: size.of(2, 1)] else {}),
    }
    exact: tuple[Tensor, float] | None = None
    for way, (computing, channels_last) in ways.items():
        words = f"{name}, {images.shape[3]} x {images.shape[2]}, {way}"
        if exact and time.monotonic() > end:
            add(Row(words, "not measured: the time was up"))
            continue
        layout = torch.channels_last if channels_last else torch.contiguous_format
        model.to(memory_format=layout)
        labels, ms, fine = _labels(size, model, computing, images.to(memory_format=layout))
        if exact is None:
            exact = labels, ms
        share = 100 * float((labels != exact[0]).float().mean())
        add(Row(words, ms, "ms", "fp32", exact[1], exact[1] / ms, equal=fine))
        if way != "fp32":
            add(Row(f"{words}: labels that are others than of fp32", share, "%"))
    model.to(memory_format=torch.contiguous_format)


@torch.no_grad()
def _labels(size: Size, model: Any, computing: Computing, images: Tensor) -> tuple[Tensor, float, bool]:
    """Labels at the resolution of the evidence, milliseconds, and whether it is float32, finite, and as was asked."""
    forward: Callable[[], Tensor] = partial(model, images, mode="tensor")
    with ExitStack() as stack:
        if computing.compile and not size.full:  # C++ compilers take longer than all of the rest
            stack.enter_context(mock.patch.object(torch, "compile", partial(torch.compile, backend="eager")))
        network = stack.enter_context(ComputingNetwork(model, computing, torch.device(size.device)))
        if computing.compile:
            network.compile_for(forward)
        logits = forward()
        ms = wall_ms(forward, size.of(10, 1))
        fine = logits.dtype == torch.float32 and bool(logits.isfinite().all()) and network.compiled == computing.compile
    return logits.argmax(1), ms, fine
