"""The drawn scenes of `unite.py`: their label spaces, and how they are annotated."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import lsu_onto
from lsu_seg.demo.relabel import coarsen, encode, write_png
from lsu_seg.demo.scenes import STYLES, draw_scene
from lsu_seg.runtime.progress import progress

TAXONOMIES = Path(__file__).parent
FINE, ATOMS, DATASETS = "demo", "universal", ("uses", "looks")
TRAIN = {"uses": "town", "looks": "country"}
"""The style of the scenes that each dataset annotates."""
JUDGED = {"seen": ("town", "country"), "unseen": ("zero_shot",)}
"""The styles of the scenes to be judged on."""


def find_taxonomy(name: str, source: str) -> lsu_onto.Constraint:
    return lsu_onto.load(name, source, [TAXONOMIES])


def draw(root: Path, seed: int, images: int, judged: int) -> None:
    """Draw the scenes, each dataset's with its own labels and with the fine ones, and those to be judged on."""
    plan = [(f"{d}/train", TRAIN[d], d, images) for d in DATASETS]
    plan += [(f"{name}/val", style, "", judged) for name, styles in JUDGED.items() for style in styles]
    with progress("drawing scenes", sum(count for *_, count in plan)) as advance:
        for number, (place, style, dataset, count) in enumerate(plan):
            folder, split = place.split("/")
            for i in range(count):
                rng = np.random.default_rng([seed, number, i])
                image, labels = draw_scene(rng, STYLES[style])
                kinds = {folder: labels}
                if dataset:
                    constraint = find_taxonomy(dataset, FINE)
                    kinds = {dataset: encode(coarsen(labels, constraint, rng), constraint), f"{dataset}_fine": labels}
                for name, stored in kinds.items():
                    write_png(root / name / f"images/{split}/{style}_{i:03}.png", image)
                    write_png(root / name / f"labels/{split}/{style}_{i:03}.png", stored)
                advance()
