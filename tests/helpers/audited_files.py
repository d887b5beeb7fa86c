"""An audited dataset on disk, with its sample and the folders of its labelling run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

import lsu_onto
from helpers.tiny import write_park
from helpers.tiny import write_tax as write_park_tax
from lsu_onto import ClassPlaces
from lsu_seg.audit.findings import KINDS, Cells, Finding, Region, Report
from lsu_seg.audit.pictures import Pictures
from lsu_seg.audit.sample import GRID, UNSEEN, Sample

SIZE = (72, 128)


def a_park(folder: Path, images: int = 4) -> tuple[Report, Sample, Pictures, dict[str, ClassPlaces]]:
    """Images of the park's rows 0 to 3; the teacher sees `car` (channel 4) where the annotation has row 1.

    The last image has no label of the run, and the first no grid.
    """
    tax, root = write_park_tax(folder / "tax"), folder / "data"
    drawn = write_park(root, {f"{i}": [0, 1, 2, 3, -1] for i in range(images)}, size=SIZE)
    constraint = lsu_onto.load(tax)
    for stem, rows in list(drawn.items())[:-1]:
        for kind, values in (("labels", np.array([0, 1, 3, 4, 255])[rows]), ("raw", np.array([0, 4, 3, 4, 2])[rows])):
            path = folder / f"run/{kind}/labels/train/{stem}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values.astype(np.uint8)).save(path)
    y, x = (np.arange(n) * side // n for n, side in zip(GRID, SIZE, strict=True))
    grid_row = np.stack([rows[np.ix_(y, x)] for rows in drawn.values()][1:]).astype(np.int16)
    top = np.array([0, 4, 3, UNSEEN, 2])[grid_row]
    keys = tuple(f"labels/train/{stem}" for stem in drawn)
    d, k, nothing = len(constraint.classes), constraint.num_classes, np.zeros(0)
    counted = [[(rows == row).sum() for row in [*range(d), -1]] for rows in drawn.values()]
    sample = Sample(
        classes=constraint.source_classes,
        rows_of=constraint.classes,
        p=np.zeros((0, k), np.uint8),
        void=None,
        row=nothing.astype(np.int16),
        agree=nothing.astype(bool),
        image=nothing.astype(np.int32),
        place=np.zeros((0, 2), np.uint16),
        weight=nothing.astype(np.float32),
        keys=keys,
        size=np.array([SIZE] * images, np.int32),
        pixels=np.array(counted, np.int64),
        grid_image=np.arange(1, images, dtype=np.int32),
        grid_row=grid_row,
        grid_top=np.stack([top, top], -1).astype(np.uint16),
        images=images,
        unasked=np.zeros(d + 1, np.int64),
    )
    share = np.full((d, k), np.nan, np.float32)
    share[:4] = np.eye(4, k) * 0.9
    share[1, 4] = 0.83
    limit = np.where(np.arange(k) % 2, 0.12, np.inf).astype(np.float32)
    regions = tuple(Region(key, (8, 8, 40, 60), 0.5) for key in keys[::-1])
    found = (
        Finding("mispaired", keys=keys[:2], score=7.0),
        Finding("exchanged", (0, 2), changes={0: (3,), 2: (0,)}, confirmed=True, score=6.0, regions=regions),
        Finding("insisted", (1,), (4,), share=0.83, images=3, score=4.0, figures={"lift": 7.31}, regions=regions),
        Finding("void-hides", (-1,), (2,), share=0.4, images=3, score=3.5, regions=regions[:1]),
        Finding("never-chosen", (3,), (4,), score=3.0, expected=0.4),
    )
    report = Report(
        dataset="park v1",
        source="tiny v1",
        classes=constraint.classes,
        source_classes=constraint.source_classes,
        allowed=constraint.allowed,
        images=images,
        sampled=images,
        pixels=np.full(d, 99, np.int64),
        unseen={4: "the teacher was asked in none of its pixels"},
        findings=tuple(sorted(found, key=lambda f: list(KINDS).index(f.kind))),
        cells=Cells(share, np.zeros_like(share), np.tile(limit, (d, 1))),
        remarks=("the teacher is weak on `tree`",),
    )
    pictures = Pictures.find(constraint, root, ["train"], folder / "run/labels", folder / "run/raw")
    return report, sample, pictures, lsu_onto.places(tax)
