"""A training step with the set-valued loss against one with cross-entropy: time and memory."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

import lsu_seg
from gpu_steps.rows import Add, Row, Size, wall_ms
from lsu_seg.targets import TargetSet, TargetTable

K = 19
SHARE_OF_SETS = 0.3


def run(size: Size, add: Add) -> None:
    import lsu_seg.losses.mmseg  # noqa: F401 registers the loss

    init_default_scope("mmseg")
    sets = [tuple(sorted({i, (i + 5) % K, (i + 11) % K})) for i in range(6)]
    table = TargetTable("cityscapes", K, [TargetSet(s) for s in sets])
    batch, height, width = size.of((4, 512, 1024), (1, 64, 64))
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(batch, 3, height, width, generator=generator).to(size.device)
    hard = _patches(torch.randint(K, (batch, height // 8, width // 8), generator=generator))
    which = _patches(torch.randint(len(sets), (batch, height // 8, width // 8), generator=generator))
    is_set = _patches(torch.rand(batch, height // 8, width // 8, generator=generator) < SHARE_OF_SETS)
    targets = {"CrossEntropyLoss": hard, "SetNLLLoss": torch.where(is_set, table.first + which, hard)}
    losses: dict[str, dict[str, Any]] = {
        "CrossEntropyLoss": dict(type="CrossEntropyLoss", avg_non_ignore=True),
        "SetNLLLoss": dict(type="SetNLLLoss", source="cityscapes"),
    }
    for amp in (False, True) if size.full else (False,):
        figures = {name: _step(size, loss, targets[name], images, table, amp) for name, loss in losses.items()}
        ours, theirs = figures["SetNLLLoss"], figures["CrossEntropyLoss"]
        words = f"a step of SegFormer-B2 on {batch} x {height} x {width}, {'AMP' if amp else 'float32'}, SetNLLLoss"
        add(Row(words, ours[0], "ms", "CrossEntropyLoss", theirs[0], ours[0] / theirs[0], "≤ 1.05"))
        if size.full:
            add(Row(f"{words}, peak", ours[1], "GiB", "CrossEntropyLoss", theirs[1], ours[1] / theirs[1], "≤ 1.05"))


def segformer(layers: list[int], loss: dict[str, Any] | None = None, **backbone: Any) -> dict[str, Any]:
    """The config of MMSegmentation's SegFormer with K classes and random weights; `layers` tells B0 to B5 apart."""
    path = Path(lsu_seg.__file__).parent / "configs/_base_/models/segformer_b5.py"
    model: dict[str, Any] = Config.fromfile(path).model.to_dict()
    model["backbone"] |= dict(init_cfg=None, num_layers=layers, **backbone)
    model["decode_head"] |= dict(num_classes=K, **({"loss_decode": loss} if loss else {}))
    return model


def _patches(values: Tensor) -> Tensor:
    return values.repeat_interleave(8, 1).repeat_interleave(8, 2)


def _step(
    size: Size, loss: dict[str, Any], target: Tensor, images: Tensor, table: TargetTable, amp: bool
) -> tuple[float, float]:
    """Milliseconds, and peak GiB of model, optimizer and step."""
    gc.collect()  # the model before, which refers to itself
    start = torch.cuda.memory_allocated() if size.full else 0
    torch.manual_seed(0)
    config = segformer(size.of([3, 4, 6, 3], [1, 1, 1, 1]), loss)
    config["data_preprocessor"] = None
    model = MODELS.build(config).to(size.device).train()
    if hasattr(model.decode_head.loss_decode, "use_table"):
        model.decode_head.loss_decode.use_table(table)
    samples = [
        SegDataSample(metainfo=dict(img_shape=images.shape[2:]), gt_sem_seg=PixelData(data=t[None].to(size.device)))
        for t in target
    ]
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-5)
    wrapper = AmpOptimWrapper(optimizer=optimizer) if amp else OptimWrapper(optimizer=optimizer)

    def step() -> None:
        with wrapper.optim_context(model):
            parts = model(images, samples, mode="loss")
        total, _ = model.parse_losses(parts)
        wrapper.update_params(total)

    if size.full:
        torch.cuda.reset_peak_memory_stats()
    ms = wall_ms(step, size.of(10, 1))
    peak = (torch.cuda.max_memory_allocated() - start) / 2**30 if size.full else 0.0
    return ms, peak
