"""Labelling from JPEG files to PNG files, against the bare forward of the same views of the same images."""

from __future__ import annotations

import gc
import shutil
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from benchmark_engine import label_config, write_streets

from gpu_steps.rows import Add, Row, Size, device_ms, sync
from gpu_steps.training import K, segformer
from lsu_seg.openmmlab.runner import build_runner
from lsu_seg.pseudo.loop import PseudoLabelLoop
from lsu_seg.teachers.computing import Computing, ComputingNetwork
from lsu_seg.teachers.resample import scaled_rows
from lsu_seg.teachers.windows import scaled_size

VIEWS = {"1 view": ((1.0,), (False,)), "8 views": ((0.5, 1.0, 1.5, 2.0), (False, True))}
SECONDS_EACH = 2.5
"""Of each pass over the images, from which their number follows."""
STREETS = 8
"""Images that are drawn; the others are copies."""


def run(size: Size, add: Add) -> None:
    end = time.monotonic() + size.seconds
    height, width = size.of((1024, 2048), (64, 128))
    images = size.of(64, 2)
    models = {"SegFormer-B5": _segformer_b5(size), "Mask2Former Swin-L": _mask2former(size)}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_streets(root, min(images, STREETS), height, width)
        for i in range(STREETS, images):
            for kind, ending in (("images", "jpg"), ("labels", "png")):
                source = root / f"data/{kind}/train/{i % STREETS:05}.{ending}"
                shutil.copyfile(source, source.with_name(f"{i:05}.{ending}"))
        # What takes longest comes last, where the time may be up.
        for views in VIEWS if size.full else ("1 view",):
            for name, model in models.items():
                torch.manual_seed(0)
                cfg = label_config(root, model, "mixed")
                cfg.test_evaluator = []
                runner = build_runner(cfg, quiet=True)
                runner.model.eval()
                for precision in ("fp32", "tf32", "bf16") if size.full else ("fp32",):
                    words = f"{name}, {precision}, {views}"
                    try:
                        _measure(size, add, runner, root, words, *VIEWS[views], precision, images, end)
                    except Exception as error:  # one measurement is not worth the others
                        traceback.print_exc()
                        line = str(error).strip().partition("\n")[0]
                        add(Row(words, f"{type(error).__name__}: {line}", equal=False))
                del runner
                gc.collect()
                if size.full:
                    torch.cuda.empty_cache()


def _measure(
    size: Size,
    add: Add,
    runner: Any,
    root: Path,
    words: str,
    scales: tuple[float, ...],
    flips: tuple[bool, ...],
    precision: str,
    images: int,
    end: float,
) -> None:
    loop_cfg = dict(runner.cfg.test_cfg, scales=scales, flips=flips, precision=precision, memory=None, title=words)
    loop_cfg.pop("type")
    loader = runner.cfg.test_dataloader.to_dict()

    def label(n: int) -> float:
        """Seconds of the loop for n images: without the start of the run, with the first file and the last."""
        shutil.rmtree(root / "out", ignore_errors=True)
        loader["dataset"]["indices"] = n
        loop = PseudoLabelLoop(runner, loader, **loop_cfg)
        times: list[float] = []
        inner = loop._label

        def measured(*args: Any) -> Any:
            sync()
            began = time.perf_counter()
            result = inner(*args)
            times.append(time.perf_counter() - began)
            return result

        with mock.patch.object(loop, "_label", measured):
            loop.run()
        return times[0]

    batches = _batches(runner, loader, size.of(2, 1))

    @torch.no_grad()
    def bare(n: int) -> float:
        with ComputingNetwork(runner.model, Computing(precision), torch.device(size.device)):
            sync()
            began = time.perf_counter()
            for i in range(n):
                batch = batches[i % len(batches)]
                for scale in scales:
                    to = scaled_size(batch.shape[2:], scale)
                    scaled = scaled_rows(batch, to, 0, to[0])
                    for flip in flips:
                        _forward(runner.model, scaled.flip(3) if flip else scaled)
            sync()
            return time.perf_counter() - began

    if time.monotonic() > end:
        add(Row(words, "not measured: the time was up"))
        return
    bare(1)
    each = bare(1)
    n = max(min(images, int(SECONDS_EACH / each)), 2)
    profiled = min(n, 4)
    seconds = each * (1 + 2 * n + 2 * profiled)
    if size.full and time.monotonic() + seconds > end:
        add(Row(words, f"not measured: {each:.2g} s an image, and the time was up"))
        return
    label(1)  # allocates, and has the kernel compiled
    theirs, ours = bare(n) / n, label(n) / n
    add(Row(words, 1 / ours, "images/s", "the bare forward", 1 / theirs, ours / theirs, "≤ 1.05"))
    if size.full:
        busy = device_ms(lambda: label(profiled))
        words = f"{words}: the GPU's idle share, from start to end of a run of {profiled}"
        add(Row(words, 1 - busy.busy / busy.wall))


def _forward(model: Any, batch: torch.Tensor) -> object:
    return model.evidence_of(batch) if hasattr(model, "evidence_of") else model(batch, mode="tensor")


def _batches(runner: Any, loader: dict[str, Any], n: int) -> list[torch.Tensor]:
    """Normalised images, float `[1, 3, h, w]` on the device."""
    loader = dict(loader, dataset=dict(loader["dataset"], indices=n))
    with torch.no_grad():
        return [runner.model.data_preprocessor(b, False)["inputs"] for b in runner.build_dataloader(loader)]


def _segformer_b5(size: Size) -> dict[str, Any]:
    model = segformer(size.of([3, 6, 40, 3], [1, 1, 1, 1]))
    model["data_preprocessor"]["size"] = None
    return model


def _mask2former(size: Size) -> dict[str, Any]:
    """Mask2Former of `transformers` on Swin-L, the config of `configs/_base_/models/mask2former_swin_l.py`."""
    from mmengine.config import Config

    import lsu_seg

    path = Path(lsu_seg.__file__).parent / "configs/_base_/models/mask2former_swin_l.py"
    model: dict[str, Any] = Config.fromfile(path).model.to_dict()
    model |= dict(num_classes=K)
    model["hf"]["pretrained"] = None
    model["data_preprocessor"]["size"] = None
    if not size.full:
        model["hf"]["config"]["backbone_config"] |= dict(embed_dim=24, depths=[1, 1, 1, 1], num_heads=[1, 2, 3, 4])
        model["hf"]["config"] |= dict(hidden_dim=32, feature_size=32, mask_feature_size=32, num_attention_heads=2)
        model["hf"]["config"] |= dict(decoder_layers=2, encoder_layers=1, num_queries=8, encoder_feedforward_dim=32)
        model["hf"]["config"] |= dict(dim_feedforward=32)
    return model
