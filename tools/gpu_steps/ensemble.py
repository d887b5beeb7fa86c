"""Several teachers: decoding by weights and maps, and two networks in one pass against each by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from gpu_steps.rows import Add, Row, Size, wall_ms
from gpu_steps.training import K, segformer
from lsu_seg.decode import QueryView, View, decoder, reference
from lsu_seg.teachers import EnsembleTeacher, SegmentorTeacher, Views


def run(size: Size, add: Add) -> None:
    _decoding(size, add)
    _networks(size, add)


def _decoding(size: Size, add: Add) -> None:
    """Labels of a plain and a mapped view, equal to the reference's, and their time beside that of two plain views."""
    k, c, height, width = size.of((63, 19, 1024, 2048), (7, 4, 16, 32))
    generator = torch.Generator().manual_seed(0)
    fine, coarse = (3 * torch.randn(n, height // 4, width // 4, generator=generator) for n in (k, c))
    rng = np.random.default_rng(0)
    allowed = rng.random((20, k + 1)) < 0.15
    allowed[np.arange(20), rng.integers(0, k + 1, 20)] = True
    rows = rng.integers(-1, 20, (height // 8, width // 8)).repeat(8, 0).repeat(8, 1).astype(np.int16)
    to = rng.random((c, k + 1)) < 3 / k
    to[np.arange(c), rng.integers(0, k, c)] = True
    masks = QueryView(3 * torch.randn(40, c + 1, generator=generator), coarse.repeat(40, 1, 1)[:40])
    forms: dict[str, list[Any]] = {
        "two views of one source": [View(fine), View(fine.roll(1, 0))],
        "the second of another source": [View(fine), View(coarse, weight=2, to=to)],
        "the second of another source, with masks": [View(fine), replace(masks, weight=2, to=to)],
    }
    path, first = decoder(size.device), 0.0
    for words, views in forms.items():
        seen = [_on(view, size.device) for view in views]
        ms = wall_ms(lambda seen=seen: path.decode(seen, rows, allowed), size.of(10, 1))  # type: ignore[misc]
        first = first or ms
        add(Row(f"decoding {height} x {width}, {words}", ms, "ms", "two views of one source", first, ms / first))
        some = np.s_[: min(height, 64)]
        parts = [replace(view, part=_top(view, height)) for view in views]
        wanted = reference.decode(parts, torch.from_numpy(rows[some]), torch.from_numpy(allowed))
        found = path.decode([_on(view, size.device) for view in parts], rows[some], allowed)
        differs = int((found.labels != wanted.labels.numpy()).sum())
        add(
            Row(
                f"labels differ from the reference's, {words}",
                differs,
                "pixels",
                equal=differs <= rows[some].size // 10_000,
            )
        )


def _top(view: View | QueryView, height: int) -> Any:
    from lsu_seg.decode import Part

    return Part(0, view.maps.shape[1], 0, height)


def _on(view: View | QueryView, device: str) -> View | QueryView:
    if isinstance(view, QueryView):
        return replace(view, classes=view.classes.to(device), masks=view.masks.to(device))
    return replace(view, logits=view.logits.to(device))


def _networks(size: Size, add: Add) -> None:
    init_default_scope("mmseg")
    side = size.of((1024, 2048), (64, 64))
    classes = [f"c{i}" for i in range(K)]
    teachers = {}
    for name, layers in (("B2", size.of([3, 4, 6, 3], [1, 1, 1, 1])), ("B0", size.of([2, 2, 2, 2], [1, 1, 1, 1]))):
        torch.manual_seed(0)
        model = MODELS.build(segformer(layers)).to(size.device).eval()
        teachers[name] = SegmentorTeacher(model, classes, Views(memory=None))
    picture = torch.randint(0, 256, (3, *side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))

    def ask(teacher: Any) -> None:
        for _ in teacher.evidence([picture], None, [side]):
            pass

    alone = sum(wall_ms(lambda t=t: ask(t), size.of(10, 1)) for t in teachers.values())  # type: ignore[misc]
    ensemble = EnsembleTeacher({name: (t, list) for name, t in teachers.items()})
    ms = wall_ms(lambda: ask(ensemble), size.of(10, 1))
    words = f"SegFormer-B2 and B0 on {side[0]} x {side[1]}, both flips, as one ensemble"
    add(Row(words, ms, "ms", "each by itself, added", alone, ms / alone, "≤ 1.05"))
    seconds = ensemble.seconds()
    add(Row("share of the larger one, by the GPU's clock", seconds["B2"] / sum(seconds.values())))
