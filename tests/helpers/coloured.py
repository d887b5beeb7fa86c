"""A dataset whose colours say what its pixels show, and a teacher that reads colours and therefore knows its classes.

The teacher is a model of MMSegmentation: a backbone that passes pixels on, and a head whose weights are the colours.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from mmengine.model import BaseModule
from mmengine.registry import init_default_scope
from torch import Tensor

from helpers.tiny import save
from lsu_seg.openmmlab.registry import MODELS, register

COLOURS = {
    "road": (70, 60, 70),
    "sidewalk": (200, 60, 190),
    "tree": (30, 110, 30),
    "grass": (150, 230, 90),
    "sky": (90, 150, 240),
    "car": (10, 10, 170),
    "truck": (60, 90, 120),
    "person": (220, 30, 50),
    "building": (130, 130, 120),
    "pole": (240, 200, 60),
}
SHOWN = {
    1: ["road"],
    2: ["sidewalk"],
    3: ["tree", "grass"],
    4: ["sky"],
    5: ["car", "truck"],
    6: ["person"],
    7: ["building"],
    8: ["pole", "building"],
}
"""What pixels of a raw value show."""

SOURCE = "tax 1\nsource colours v1\n" + "".join(
    f"{i} {name} #{bytes(c).hex()}\n" for i, (name, c) in enumerate(COLOURS.items())
)
TOWN = """\
tax 1
dataset painted v1 -> colours v1
splits: train val
images: images/{split}/{stem}.png
labels: labels/{split}/{stem}.png
void: 255

1 way     = road
2 walk    = sidewalk
3 green   > tree grass
4 above   = sky
5 cars    > car truck
6 people  = person
7 houses  ~ building
8 things  ~ pole building
"""
EXCHANGED = TOWN.replace("way     = road", "way     = person").replace("people  = person", "people  = road")


@register(MODELS)
class PassOn(BaseModule):
    """A backbone that does nothing."""

    def forward(self, image: Tensor) -> tuple[Tensor]:
        return (image,)


def write_painted(root: Path, images: int = 36, size: tuple[int, int] = (64, 96), split: str = "train") -> None:
    """`tax/` with `colours.tax` and `painted.tax`, `data/` with images, `teacher.py` and `teacher.pth`."""
    (root / "tax").mkdir(parents=True, exist_ok=True)
    (root / "tax/colours.tax").write_text(SOURCE)
    (root / "tax/painted.tax").write_text(TOWN)
    for i in range(images):
        rng = np.random.default_rng(i)
        shape = [side // 8 for side in size]
        raw = rng.choice(list(SHOWN), shape)
        classes = np.array([rng.choice(SHOWN[value]) for value in raw.flat])
        colours = np.array([COLOURS[c] for c in classes], float) + rng.normal(0, 12, (len(classes), 3))
        image = np.kron(colours.reshape(*shape, 3), np.ones((8, 8, 1))) + rng.normal(0, 6, (*size, 3))
        raw[rng.random(shape) < 0.05] = 255
        save(root / f"data/images/{split}/{i:03}.png", np.clip(image, 0, 255).astype(np.uint8))
        save(root / f"data/labels/{split}/{i:03}.png", np.kron(raw, np.ones((8, 8))).astype(np.uint8))
    _write_teacher(root)


def _write_teacher(root: Path) -> None:
    model = dict(
        type="EncoderDecoder",
        data_preprocessor=dict(
            type="SegDataPreProcessor", mean=[0.0] * 3, std=[1.0] * 3, bgr_to_rgb=True, pad_val=0, seg_pad_val=255
        ),
        backbone=dict(type="PassOn"),
        decode_head=dict(
            type="FCNHead",
            in_channels=3,
            in_index=0,
            channels=3,
            num_convs=0,
            concat_input=False,
            dropout_ratio=0.0,
            num_classes=len(COLOURS),
            align_corners=False,
            loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True),
        ),
        test_cfg=dict(mode="whole"),
    )
    (root / "teacher.py").write_text(f"model = {model!r}\n")
    init_default_scope("mmseg")
    weights = MODELS.build(model).state_dict()
    colours = torch.tensor(list(COLOURS.values()), dtype=torch.float32)
    # of Gaussian colours around those of the classes
    weights["decode_head.conv_seg.weight"] = (colours / 12**2)[..., None, None]
    weights["decode_head.conv_seg.bias"] = -(colours**2).sum(1) / 12**2 / 2
    torch.save({"state_dict": weights, "meta": {"dataset_meta": {"classes": list(COLOURS)}}}, root / "teacher.pth")
