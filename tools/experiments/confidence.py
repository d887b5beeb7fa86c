"""Is a Cityscapes teacher's confidence what it says, there and on other streets, and does a temperature help?

    PYTHONPATH=tools/experiments python -m confidence --data-root DATA --teacher net.py:build --checkpoint WEIGHTS

DATA: as for `streets`. Prints the figures of docs/results-streets.md, "Confidence on other streets".
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from audit_table.teachers import CAMVID, CITYSCAPES, TO_CAMVID
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor

import lsu_onto
from lsu_seg.decode.points import evidence_at
from lsu_seg.label_files import LabelReader
from lsu_seg.layout.pairs import find_pairs
from lsu_seg.pseudo.calibrate import known_classes
from lsu_seg.teachers import SegmentorTeacher, Views
from lsu_seg.teachers.reliability import calibration_error, count_bins
from lsu_seg.teachers.temperature import fit, loss, p_of

PIXELS, COVERAGE, THRESHOLD = 8000, 0.75, 0.9
SETS = {
    "Cityscapes": ("cityscapes", "real/cityscapes", "train", 0.5, 8),
    "BDD100K": ("bdd100k", "real/bdd100k", "train", 1, 16),
    "CamVid val": ("camvid_segnet", "camvid", "val", 4 / 3, 30),
}
"""Taxonomy, folder, split, scale of the images, number of images."""


@dataclass
class Seen:
    """evidence `[V, P, 19]`; classes that are known, or -1; rows of the dataset; image numbers. All of P pixels."""

    evidence: Tensor
    known: Tensor
    rows: Tensor
    image: Tensor

    def of(self, some: Tensor) -> Seen:
        return Seen(self.evidence[:, some], self.known[some], self.rows[some], self.image[some])

    @property
    def temperature(self) -> float:
        some = self.known >= 0
        return fit(self.evidence[:, some], self.known[some], torch.ones(int(some.sum())))


def look(model: object, root: Path, taxonomy: str, folder: str, split: str, scale: float, images: int) -> Seen:
    constraint = lsu_onto.load(taxonomy, "cityscapes")
    pairs = find_pairs(str(root / folder), constraint.layout, split)
    pairs = pairs[:: max(1, len(pairs) // images)][:images]
    reader = LabelReader(constraint, root=str(root / folder), split=split)
    teacher = SegmentorTeacher(model, constraint.source_classes, Views(scales=(scale,), memory=None))
    parts: list[tuple[Tensor, ...]] = []
    for i, pair in enumerate(pairs):
        image = torch.from_numpy(cv2.imread(str(pair.image)).transpose(2, 0, 1).copy())
        rows = reader.rows(pair.label)
        places = np.flatnonzero(rows.reshape(-1) >= 0)
        places = np.random.default_rng(i).choice(places, min(PIXELS, len(places)), replace=False)
        y, x = np.divmod(places, rows.shape[1])
        ((_, band),) = teacher.evidence([image], None, [rows.shape])
        own = rows.reshape(-1)[places].astype(np.int64)
        number = torch.full((len(places),), i)
        evidence = evidence_at(band.views, y, x, rows.shape)
        parts.append((evidence, torch.from_numpy(known_classes(constraint)[own]), torch.from_numpy(own), number))
        print(f"\r{taxonomy} {i + 1}/{len(pairs)}", end="", flush=True)
    print()
    rest = (torch.cat([part[i] for part in parts]) for i in (1, 2, 3))
    return Seen(torch.cat([part[0] for part in parts], 1), *rest)


def judged(name: str, seen: Seen, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """Confidence, prediction, and whether it is right; on CamVid in its eleven classes, elsewhere in Cityscapes'."""
    p = p_of(seen.evidence, temperature)
    target = seen.known
    if name.startswith("CamVid"):
        parts = torch.zeros(len(CAMVID), len(CITYSCAPES))
        for i, one in enumerate(CITYSCAPES):
            parts[CAMVID.index(TO_CAMVID[one]), i] = 1
        p = p @ parts.T
        classes = lsu_onto.load("camvid_segnet", "cityscapes").classes
        target = torch.tensor([CAMVID.index(c) if c in CAMVID else -1 for c in classes])[seen.rows]
    some = target >= 0
    confidence, label = p[some].max(1)
    return confidence, label, (label == target[some]).double()


def error(parts: list[tuple[Tensor, Tensor, Tensor]]) -> str:
    confidence, hit = (torch.cat([part[i] for part in parts]) for i in (0, 2))
    return f"{100 * calibration_error(count_bins(confidence, hit, torch.ones(len(hit)))):.1f}"


def kept(confidence: Tensor, label: Tensor, hit: Tensor) -> str:
    """Percent that is wrong of the surest 75 %: of all pixels, and of each class."""
    best = confidence.argsort(descending=True)[: int(COVERAGE * len(hit))]
    by_class = []
    for c in label.unique():
        own = (label == c).nonzero()[:, 0]
        by_class.append(own[confidence[own].argsort(descending=True)[: int(np.ceil(COVERAGE * len(own)))]])
    wrong = [100 * (1 - float(hit[some].mean())) for some in (best, torch.cat(by_class), confidence >= THRESHOLD)]
    share = 100 * float((confidence >= THRESHOLD).double().mean())
    return (
        f"wrong of the surest {COVERAGE:.0%}: {wrong[0]:.2f} %, by class {wrong[1]:.2f} %; from {THRESHOLD} on:"
        f" {share:.1f} % of the pixels, {wrong[2]:.1f} % of them wrong"
    )


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for option in ("--data-root", "--teacher", "--checkpoint"):
        parser.add_argument(option, required=True)
    options = parser.parse_args()
    init_default_scope("mmseg")
    config = dict(type="TorchSegmentor", factory=options.teacher, checkpoint=options.checkpoint)
    model = MODELS.build(dict(config, drop_channels=[19], size_divisor=16)).eval()
    every = {name: look(model, Path(options.data_root), *one) for name, one in SETS.items()}
    source = every["Cityscapes"].temperature
    for name, seen in every.items():
        own = seen.temperature
        halves = [seen.of(seen.image % 2 == half) for half in (0, 1)]
        fitted = [halves[1].temperature, halves[0].temperature]
        crossed = [judged(name, half, t) for half, t in zip(halves, fitted, strict=True)]
        _, _, hit = plain = judged(name, seen, 1.0)
        print(f"{name}: {100 * hit.mean():.1f} % right; {100 * (seen.known >= 0).double().mean():.0f} % of known class")
        print(f"  ECE: T = 1 {error([plain])}, T of Cityscapes ({source:.2f}) {error([judged(name, seen, source)])}")
        print(f"  T of the other half ({fitted[0]:.2f}, {fitted[1]:.2f}): {error(crossed)}")
        print(f"  T of the same frames ({own:.2f}): {error([judged(name, seen, own)])}")
        some = seen.known >= 0
        known = seen.of(some)
        nll = [loss(known.evidence, known.known, torch.ones(int(some.sum())), t) for t in (1.0, own)]
        print(f"  pixels of known class: negative log-likelihood {nll[0]:.3f}, and {nll[1]:.3f} with the last")
        right = [judged(name, seen.of(part), 1.0)[2].mean() for part in (some, ~some) if part.any()]
        print(f"  right of those of known class, and of the others: {', '.join(f'{100 * r:.1f} %' for r in right)}")
        for t in (1.0, own):
            print(f"  T = {t:.2f}: {kept(*judged(name, seen, t))}")
        changed = p_of(seen.evidence, 1.0).argmax(1) != p_of(seen.evidence, own).argmax(1)
        print(f"  labels changed by the last: {100 * changed.double().mean():.2f} %")


if __name__ == "__main__":
    main()
