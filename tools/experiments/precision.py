"""Are labels computed in 16 bits worse than those in float32, or only other ones? A Cityscapes teacher, on real frames.

    PYTHONPATH=tools/experiments python -m precision --data-root DATA --teacher net.py:build --checkpoint W -o FILE

DATA: as for `streets`. Each frame is looked at once, in each precision, and labelled twice: without constraints, and
inside categories, as if the frame were annotated with those alone. Both labels are held against the frame's own
classes. A GPU sums products of 16-bit numbers in float32, so this does, too: many CPUs compute them slowly, and each in
its own way. Frames in FILE are not labelled again: the command goes on where it was stopped, and prints the
figures of docs/pseudo-labels.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from audit_table.teachers import CAMVID, CITYSCAPES, TO_CAMVID
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from numpy.typing import NDArray
from torch import Tensor, nn

import lsu_onto
import lsu_seg.models.torch_segmentor  # noqa: F401 - registers it
from lsu_seg.decode import cpu
from lsu_seg.evaluation.bootstrap import interval, iou, mean, resample
from lsu_seg.evaluation.counts import confusion, image_sums
from lsu_seg.label_files import LabelReader
from lsu_seg.layout.pairs import find_pairs
from lsu_seg.runtime.telling import told_once
from lsu_seg.teachers import SegmentorTeacher, Views
from lsu_seg.teachers.computing import Computing, ComputingNetwork

PRECISIONS = ("fp32", "bf16", "fp16")
IDD_LITE = (0, 1, 5, 4, 4, 4, 4, 4, 5, 1, 6, 2, 2, 3, 3, 3, 3, 3, 3)
"""Its seven classes, for each of Cityscapes'."""
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Frames:
    """Frames with truth. judged: for each class of Cityscapes, the class that it counts as; coarse: of each of these,
    its category. scale: of the images, to about the 512 rows that the teacher was trained at."""

    taxonomy: str
    folder: str
    split: str
    scale: float
    images: int
    judged: tuple[int, ...]
    coarse: tuple[int, ...]


def sets() -> dict[str, Frames]:
    groups = [group.partition(".")[0] for group in lsu_onto.load("bdd100k", "cityscapes").source_groups]
    of_city = tuple(sorted(set(groups)).index(group) for group in groups)
    same = tuple(range(19))
    camvid = tuple(CAMVID.index(TO_CAMVID[name]) for name in CITYSCAPES)
    members = {"road": 0, "pavement": 0, "sky": 2, "tree": 3, "car": 4, "pedestrian": 5, "bicyclist": 5}
    of_camvid = tuple(members.get(name, 1) for name in CAMVID)  # 1: what people have built
    idd = str(HERE / "streets/idd_lite_closed.tax")
    return {
        "BDD100K": Frames("bdd100k", "real/bdd100k", "train", 0.75, 16, same, of_city),
        "CamVid val": Frames("camvid11", "camvid", "val", 4 / 3, 40, camvid, of_camvid),
        "Cityscapes": Frames("cityscapes", "real/cityscapes", "train", 0.5, 8, same, of_city),
        "IDD-Lite": Frames(idd, "real/idd_lite", "train", 2, 60, IDD_LITE, (0, 0, 1, 1, 2, 2, 2)),
    }


def count(views: list[Any], truth: NDArray[np.int64], frames: Frames) -> dict[str, tuple[NDArray[Any], Any]]:
    """Labels, as the classes that are judged, and their counts: without constraints and inside categories."""
    judged, coarse = np.array(frames.judged), np.array(frames.coarse)
    classes = len(coarse)
    known = np.append(coarse, -1)[truth]  # of -1, too
    inside = np.append(coarse[judged] == np.unique(coarse)[:, None], np.zeros((coarse.max() + 1, 1), bool), 1)
    anything = np.append(np.ones((1, 19), bool), [[False]], 1)
    out = {}
    for kind, rows, allowed in (("free", np.zeros_like(truth), anything), ("inside", known, inside)):
        labels = np.append(judged, classes)[np.minimum(cpu.decode(views, rows.astype(np.int16), allowed).labels, 19)]
        target = torch.from_numpy(np.where(truth < 0, 255, truth))
        out[kind] = labels, image_sums(confusion(torch.from_numpy(labels), target, classes))
    return out


@contextmanager
def as_a_gpu_does() -> Iterator[None]:
    """Convolutions that autocast computes in 16 bits round their inputs, sum in float32, and round what they return."""
    plain = nn.Conv2d._conv_forward

    def forward(self: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not torch.is_autocast_enabled("cpu"):
            return plain(self, x, weight, bias)
        half = torch.get_autocast_dtype("cpu")
        with torch.autocast("cpu", enabled=False):
            rounded = [None if t is None else t.to(half).float() for t in (x, weight, bias)]
            return plain(self, *rounded).to(half)

    nn.Conv2d._conv_forward = forward
    try:
        yield
    finally:
        nn.Conv2d._conv_forward = plain


def look(model: Any, root: Path, name: str, frames: Frames, file: Path) -> None:
    done = {(line["set"], line["key"]) for line in read(file)}
    constraint = lsu_onto.load(frames.taxonomy, None if frames.taxonomy == "camvid11" else "cityscapes")
    pairs = find_pairs(str(root / frames.folder), constraint.layout, frames.split)
    pairs = pairs[:: max(1, len(pairs) // frames.images)][: frames.images]
    reader = LabelReader(constraint, root=str(root / frames.folder), split=frames.split)
    own = truth_of(constraint, frames)
    for pair in pairs:
        if (name, pair.key) in done:
            continue
        image = torch.from_numpy(cv2.imread(str(pair.image)).transpose(2, 0, 1).copy())
        rows = reader.rows(pair.label)
        truth = np.append(own, -1)[np.maximum(rows, -1)].astype(np.int64)
        seen = {}
        for precision in PRECISIONS:
            with as_a_gpu_does(), ComputingNetwork(model, Computing(precision), torch.device("cpu")) as network:
                views = Views((frames.scale,), (False,), memory=None)
                teacher = SegmentorTeacher(model, CITYSCAPES, views, network)
                ((_, band),) = teacher.evidence([image], None, [rows.shape])
                seen[precision] = count(band.views, truth, frames)
        line: dict[str, Any] = {"set": name, "key": pair.key, "pixels": int((truth >= 0).sum())}
        for precision, kinds in seen.items():
            for kind, (labels, sums) in kinds.items():
                changed = int(((labels != seen["fp32"][kind][0]) & (truth >= 0)).sum())
                line[f"{precision} {kind}"] = {"changed": changed, "sums": sums.tolist()}
        with file.open("a") as out:
            out.write(json.dumps(line) + "\n")


def truth_of(constraint: lsu_onto.Constraint, frames: Frames) -> NDArray[np.int64]:
    """The judged class of each row of the dataset, or -1."""
    if frames.taxonomy == "camvid11":
        return np.arange(len(CAMVID))
    if len(constraint.classes) == len(frames.coarse):  # of IDD-Lite, whose classes are judged
        return np.arange(len(constraint.classes))
    one = constraint.allowed.sum(1) == 1
    return np.where(one & (constraint.relabel < 19) & (constraint.relabel >= 0), constraint.relabel, -1)


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for option in ("--data-root", "--teacher", "--checkpoint"):
        parser.add_argument(option, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=list(sets()))
    options = parser.parse_args()
    init_default_scope("mmseg")
    config = dict(type="TorchSegmentor", factory=options.teacher, checkpoint=options.checkpoint)
    model = MODELS.build(dict(config, drop_channels=[19], size_divisor=16)).eval()
    with told_once():
        for name in options.sets:
            look(model, Path(options.data_root), name, sets()[name], options.output)
    report(read(options.output))


def report(lines: list[dict[str, Any]]) -> None:
    print("| frames | labels | mIoU in fp32 | bf16: labels that change | mIoU | fp16: labels that change | mIoU |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for name in dict.fromkeys(line["set"] for line in lines):
        some = [line for line in lines if line["set"] == name]
        for kind, words in (("free", "without constraints"), ("inside", "inside categories")):
            sums = {p: np.array([line[f"{p} {kind}"]["sums"] for line in some]) for p in PRECISIONS}
            figures = {p: 100 * float(mean(iou(s.sum(0)))) for p, s in sums.items()}
            draws = {p: 100 * mean(iou(resample(s))) for p, s in sums.items()}
            cells = []
            for other in PRECISIONS[1:]:
                changed = sum(line[f"{other} {kind}"]["changed"] for line in some)
                low, high = interval(draws[other] - draws["fp32"], len(some))
                difference = f"{figures[other] - figures['fp32']:+.2f} [{low:+.2f}, {high:+.2f}]"
                share = f"{100 * changed / sum(line['pixels'] for line in some):.2f} %"
                cells += [share, difference.replace("-", "\N{MINUS SIGN}")]
            print(f"| {len(some)} of {name} | {words} | {figures['fp32']:.1f} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
