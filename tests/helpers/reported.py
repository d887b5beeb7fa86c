"""A run of `unify` as its report finds it: evaluations of real counts, and logs as mmengine writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lsu_seg.evaluation.counts import image_sums
from lsu_seg.evaluation.document import document
from lsu_seg.evaluation.files import write_figures
from lsu_seg.evaluation.measured import Measured

HOSTILE = "</script><img src=x onerror=alert(1)>'\"&"


def judge(
    folder: Path, sets: Mapping[str, np.ndarray], names: Sequence[str], temperatures: Sequence[float] = ()
) -> dict[str, Any]:
    """Write an evaluation; returns what `results.json` has of it. sets: name → counts per image `[n, K+1, K+1]`."""
    measured = {}
    for name, counts in sets.items():
        images = [torch.from_numpy(one) for one in counts]
        total = torch.stack(images).sum(0)
        k, counts = len(names), {"source": total}
        if temperatures:  # every prediction is 80 % sure
            sure = torch.zeros(len(temperatures), k, 15, 3, dtype=torch.int64)
            predicted = total[:k, :k].sum(0)
            sure[:, :, 11] = torch.stack([predicted, total.diagonal()[:k], (predicted << 24) * 4 // 5], 1)
            counts["confidence"] = sure
        measured[name] = Measured(
            source="demo",
            classes=tuple(names),
            views=("source",),
            counts=counts,
            temperatures=tuple(temperatures),
            keys=tuple(f"{i:03}" for i in range(len(images))),
            sums={"source": np.stack([image_sums(image) for image in images])},
        )
    judged = document(measured)
    write_figures(folder, judged, measured)
    return {
        name: {"miou": m.figures()["source/mIoU"], "interval": judged["sets"][name]["views"]["source"]["interval"]}
        for name, m in measured.items()
    }


def counts(images: int, classes: int, right: float, present: int | None = None) -> np.ndarray:
    """Of each present class 1000 pixels an image: the share `right` is recognised, the rest taken for the next one."""
    out = np.zeros((images, classes + 1, classes + 1), np.int64)
    for i in range(images):
        for c in range(classes if present is None else present):
            hits = round(1000 * right) + i
            out[i, c, c], out[i, c, (c + 1) % classes] = hits, 1000 - hits
    return out


def log(folder: Path, run: str, lines: Sequence[Mapping[str, Any] | str]) -> None:
    """A training's log, as mmengine's LocalVisBackend writes it; text goes in as it is."""
    file = folder / run / "vis_data/scalars.json"
    file.parent.mkdir(parents=True)
    file.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))


def step(iteration: int, loss: float, lr: float = 0.01, **more: Any) -> dict[str, Any]:
    return {"lr": lr, "data_time": 0.1, "loss": loss, "iter": iteration, "step": iteration, **more}


def validation(at: int, miou: float) -> dict[str, Any]:
    return {"source/mIoU": miou, "source/aAcc": 0.9, "time": 0.1, "step": at}
