"""Do several teachers label better than each of them? The teacher and the students of `run.py`, on BDD100K.

    PYTHONPATH=tools/experiments python -m streets.ensemble --data-root DATA --teacher net.py:build --checkpoint W WORK

Each network looks once at each frame. Then every ensemble labels the frames from the same evidence: without
constraints, and inside the seven categories of Cityscapes, as if those were all that the frames are annotated with.
Both are held against the benchmark's 19 classes. `categories of …` stands for a teacher of the seven categories alone,
which takes part through their map.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch

import numpy as np
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from numpy.typing import NDArray

import lsu_onto
import lsu_seg
import lsu_seg.models.torch_segmentor  # noqa: F401 - registers it
from lsu_seg.decode import View, cpu
from lsu_seg.label_files import LabelReader
from lsu_seg.layout.pairs import find_pairs
from lsu_seg.openmmlab.compat import load_checkpoint
from lsu_seg.openmmlab.weights import adopt, load_into
from lsu_seg.teachers import SegmentorTeacher, Views

SCALE = 0.75
"""1280 x 720 pixels become 960 x 544, near the 1024 x 512 of the teacher's training."""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="the work folder of streets.run")
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--teacher", required=True, help="the function that makes the network")
    parser.add_argument("--checkpoint", required=True, help="the teacher's weights")
    parser.add_argument("--student", default="constrained")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args(argv)
    weights = {"teacher": args.checkpoint}
    for seed in args.seeds:
        folder = args.work / f"seed{seed}"
        weights[f"student {seed}"] = str(next((folder / args.student / "training").glob("iter_*.pth")))
        weights[f"mean {seed}"] = str(folder / f"{args.student}_mean/weights/mean.pth")
    c = lsu_onto.load("bdd100k", source="cityscapes")
    teachers = {name: _network(args.teacher, args.checkpoint, file, c.source_classes) for name, file in weights.items()}
    counts: dict[tuple[str, str], NDArray[np.int64]] = {}
    for picture, gt in _frames(args.data_root / "real/bdd100k", c):
        views = {
            name: next(teacher.evidence([picture], None, [gt.shape]))[1].views for name, teacher in teachers.items()
        }
        for name, seen in ensembles(views, args.seeds, categories(c)):
            for kind, rows, allowed in tasks(gt, categories(c)):
                labels = cpu.decode(seen, rows, allowed).labels
                known = gt >= 0
                pairs = np.bincount(gt[known] * 20 + np.minimum(labels[known], 19), minlength=19 * 20)
                counts[name, kind] = counts.get((name, kind), 0) + pairs.reshape(19, 20)
        print(".", end="", flush=True)
    print("\n\n| | mIoU | pixels | inside categories: mIoU | pixels |\n|---|---:|---:|---:|---:|")
    for name in dict.fromkeys(name for name, _ in counts):
        cells = [figure for kind in ("free", "inside") for figure in figures(counts[name, kind])]
        print(f"| {name} | {' | '.join(f'{100 * cell:.1f}' for cell in cells)} |")


def _network(factory: str, first: str, checkpoint: str, classes: Sequence[str]) -> SegmentorTeacher:
    init_default_scope("mmseg")
    model = MODELS.build(
        dict(type="TorchSegmentor", factory=factory, checkpoint=first, drop_channels=[19], size_divisor=16)
    )
    if checkpoint != first:
        loaded = load_checkpoint(checkpoint, map_location="cpu")
        adopt(checkpoint, loaded, model.state_dict())
        load_into(model, loaded, checkpoint)
    return SegmentorTeacher(model.eval(), classes, Views(scales=(SCALE,), flips=(False,), memory=None))


def _frames(root: Path, c: lsu_onto.Constraint) -> Iterator[tuple[torch.Tensor, NDArray[np.int64]]]:
    """Images, BGR, and the channel of each pixel, -1 where none is annotated."""
    import cv2

    reader = LabelReader(c, root=str(root), split="train")
    channel = np.append(np.where(c.allowed.sum(1) == 1, c.relabel, -1), -1)
    channel[channel == c.num_classes] = -1
    for pair in find_pairs(str(root), c.layout, "train"):
        image = cv2.imread(str(pair.image))
        yield torch.from_numpy(image.transpose(2, 0, 1).copy()), channel[reader.rows(pair.label)].astype(np.int64)


def categories(c: lsu_onto.Constraint) -> NDArray[np.int64]:
    """The category of each channel."""
    outermost = [group.partition(".")[0] for group in c.source_groups]
    return np.unique(outermost, return_inverse=True)[1]


def tasks(
    gt: NDArray[np.int64], category: NDArray[np.int64]
) -> Iterator[tuple[str, NDArray[np.int16], NDArray[np.bool_]]]:
    """The rows and S(d) of both ways to label."""
    k = len(category)
    yield "free", np.zeros(gt.shape, np.int16), np.arange(k + 1)[None] < k
    yield "inside", np.where(gt >= 0, category[gt], -1).astype(np.int16), members(category)


def members(category: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool `[categories, K+1]`: the channels of each."""
    table = np.zeros((category.max() + 1, len(category) + 1), bool)
    table[category, np.arange(len(category))] = True
    return table


def ensembles(
    views: Mapping[str, list[Any]], seeds: Sequence[int], category: NDArray[np.int64]
) -> Iterator[tuple[str, list[Any]]]:
    """Every network by itself, and those that label together."""
    yield from views.items()
    students = [f"student {seed}" for seed in seeds]
    for name in students:
        yield f"teacher, {name}", [*views["teacher"], *views[name]]
    yield f"{len(seeds)} students", [view for name in students for view in views[name]]
    yield f"teacher, {len(seeds)} students", [view for name in ("teacher", *students) for view in views[name]]
    for name in students:
        yield f"teacher, categories of {name}", [*views["teacher"], *(_coarse(v, category) for v in views[name])]


def _coarse(view: View, category: NDArray[np.int64]) -> View:
    to = members(category)
    logits = [view.logits[torch.from_numpy(row[:-1])].logsumexp(0) for row in to]
    return replace(view, logits=torch.stack(logits), to=to)


def figures(counts: NDArray[np.int64]) -> tuple[float, float]:
    """mIoU over the classes that occur, and the share of pixels that are right. counts: `[K, K+1]`."""
    hits = counts.diagonal()
    union = counts.sum(1) + counts[:, :-1].sum(0) - hits
    occurs = counts.sum(1) > 0
    return float((hits / np.maximum(union, 1))[occurs].mean()), float(hits.sum() / counts.sum())


if __name__ == "__main__":
    main()
