"""A five-class world on disk: taxonomies, image folders and a model of a few hundred weights.

For tests that want real files and real MMSeg parts, and neither the shipped taxonomies nor time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from PIL import Image

CLASSES = ["road", "grass", "tree", "sky", "car"]
VOID = 255

LAYOUT = """\
splits: train val
images: images/{split}/{stem}.png
labels: labels/{split}/{stem}.png
"""

SOURCE = f"""\
tax 1
source tiny v1
{LAYOUT}void: 255

0 road   #804080
1 grass  #98fb98
2 tree   #6b8e23
3 sky    #4682b4
4 car    #00008e
"""

PARK = """\
1 way     #805080  = road
2 green   #70a030  > grass tree
3 sky     #4080b0  = sky
4 thing   #202090  ~ car void
5 animal  #d02040  ! any
6 skip    #00ffff  -> any ! sky
"""
ALLOWED = [{0}, {1, 2}, {3}, {4, VOID}, {VOID}, {0, 1, 2, 4, VOID}]
"""S(d) of PARK's rows, as the values of label files."""

RAW = {
    "id": [1, 2, 3, 4, 5, 6, 255],
    "id16/1000": [1, 2, 3, 4, 5, 6, 60],
    "rgb": [0x805080, 0x70A030, 0x4080B0, 0x202090, 0xD02040, 0x00FFFF, 0],
}
"""Raw values of PARK's rows by encoding, void last."""


def write_tax(folder: Path, encoding: str = "id", rows: str = PARK) -> str:
    """`tiny.tax` and `park.tax`; returns the path of the second."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.tax").write_text(SOURCE)
    void = f"#{RAW[encoding][-1]:06x}" if encoding == "rgb" else RAW[encoding][-1]
    head = f"tax 1\ndataset park v1 -> tiny v1\nencoding: {encoding}\nvoid: {void}\n{LAYOUT}"
    (folder / "park.tax").write_text(f"{head}\n{rows}")
    return str(folder / "park.tax")


def draw(seed: int, rows: Sequence[int], size: tuple[int, int] = (24, 40)) -> tuple[np.ndarray, np.ndarray]:
    """A noisy image, uint8 `[H, W, 3]`, and `[H, W]` blocks of eight pixels with one of `rows` each."""
    rng = np.random.default_rng(seed)
    blocks = rng.choice(rows, [-(-s // 8) for s in size])
    drawn = np.kron(blocks, np.ones((8, 8), int))[: size[0], : size[1]]
    return rng.integers(0, 256, (*size, 3), np.uint8), drawn


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def encode(rows: np.ndarray, encoding: str) -> np.ndarray:
    """Rows of PARK as an annotation tool stores them; with `id16/1000` every pixel has instance number 7."""
    raw = np.array(RAW[encoding])[rows]  # ROW_VOID is -1: the last
    if encoding == "rgb":
        return np.stack([raw >> 16, raw >> 8 & 255, raw & 255], -1).astype(np.uint8)
    return (raw * 1000 + 7).astype(np.uint16) if encoding == "id16/1000" else raw.astype(np.uint8)


def write_park(
    root: Path,
    images: dict[str, Sequence[int]],
    encoding: str = "id",
    split: str = "train",
    size: tuple[int, int] = (24, 40),
) -> dict[str, np.ndarray]:
    """Images of the given rows, by stem; returns the rows that were drawn."""
    drawn = {}
    for seed, (stem, rows) in enumerate(images.items()):
        image, drawn[stem] = draw(seed, rows, size)
        save(root / "images" / split / f"{stem}.png", image)
        save(root / "labels" / split / f"{stem}.png", encode(drawn[stem], encoding))
    return drawn


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


# --- model -------------------------------------------------------------------------------------------------

LOAD = [dict(type="LoadImageFromFile"), dict(type="LoadTaxAnnotations"), dict(type="PackTaxInputs")]


def model_config(num_classes: int = 5) -> dict[str, Any]:
    """A UNet of two stages."""
    return dict(
        type="EncoderDecoder",
        data_preprocessor=dict(
            type="SegDataPreProcessor",
            mean=[128.0] * 3,
            std=[64.0] * 3,
            bgr_to_rgb=True,
            pad_val=0,
            seg_pad_val=255,
            size_divisor=32,
            test_cfg=dict(size_divisor=32),
        ),
        backbone=dict(
            type="UNet",
            base_channels=4,
            num_stages=2,
            strides=(1, 1),
            enc_num_convs=(1, 1),
            dec_num_convs=(1,),
            downsamples=(True,),
            enc_dilations=(1, 1),
            dec_dilations=(1,),
            norm_cfg=dict(type="BN"),
        ),
        decode_head=dict(
            type="FCNHead",
            in_channels=4,
            in_index=1,
            channels=8,
            num_convs=1,
            concat_input=False,
            dropout_ratio=0.0,
            num_classes=num_classes,
            norm_cfg=dict(type="BN"),
            align_corners=False,
            loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True),
        ),
        test_cfg=dict(mode="whole"),
    )


def label_config(dataset: dict[str, Any], work: Path, batch_size: int = 2, **loop: Any) -> Config:
    """An MMSeg config whose test run pseudo-labels `dataset` into `work / "labels"`."""
    return Config(
        dict(
            custom_imports=dict(imports=["lsu_seg"]),
            default_scope="mmseg",
            log_level="WARNING",
            work_dir=str(work / "log"),
            model=model_config(),
            test_dataloader=dict(
                batch_size=batch_size,
                sampler=dict(type="DefaultSampler", shuffle=False),
                dataset=dict(type="TaxDataset", pipeline=LOAD, **dataset),
            ),
            test_cfg=dict(type="PseudoLabelLoop", out_dir=str(work / "labels"), **loop),
        ),
        format_python_code=False,
    )


def save_checkpoint(path: Path, seed: int = 0, classes: Sequence[str] = CLASSES, drop: str = "") -> Path:
    """A checkpoint as mmengine writes them, of random weights that make lively maps. `drop`: a key to leave out."""
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    init_default_scope("mmseg")
    torch.manual_seed(seed)
    model = MODELS.build(model_config(len(classes)))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    weights = {k: v for k, v in model.state_dict().items() if k != drop}
    meta = {"dataset_meta": {"classes": list(classes), "palette": [[0, 0, 0]] * len(classes)}}
    torch.save({"state_dict": weights, "meta": meta}, path)
    return path
