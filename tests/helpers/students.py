"""A small student on set-valued targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from helpers.tiny import VOID, model_config, save, write_park, write_tax
from lsu_onto import ROW_VOID

ROWS = [0, 1, 2, 3, 4, 5, ROW_VOID]


def write_pseudo(root: Path, drawn: dict[str, np.ndarray], split: str = "train") -> str:
    """Pseudo-labels inside PARK's constraints, and confidences of 0.25 or 0.75 where there is a choice."""
    choice = np.array([[0, 0], [1, 2], [3, 3], [4, VOID], [VOID, VOID], [0, VOID], [VOID, VOID]])
    for seed, (stem, rows) in enumerate(drawn.items()):
        rng = np.random.default_rng(seed)
        labels = choice[rows, rng.integers(0, 2, rows.shape)]
        ambiguous = np.isin(rows, [1, 3, 5])
        confidence = np.where(ambiguous, rng.choice([64, 191], rows.shape), 255)
        save(root / f"labels/{split}/{stem}.png", labels.astype(np.uint8))
        save(root / f"confidence/labels/{split}/{stem}.png", confidence.astype(np.uint8))
    return str(root)


def student_config(root: Path, *, iterations: int = 3, loss: dict[str, Any] | None = None) -> Config:
    taxonomy = write_tax(root / "tax")
    drawn = write_park(root / "park", {"a": ROWS, "b": ROWS, "c": ROWS})
    pseudo = write_pseudo(root / "pseudo", drawn)
    pipeline = [
        dict(type="LoadTaxImage"),
        dict(type="LoadTaxAnnotations"),
        dict(type="RandomResize", scale=(40, 24), ratio_range=(0.8, 1.6), keep_ratio=True),
        dict(type="RandomCrop", crop_size=(20, 32)),
        dict(type="RandomFlip", prob=0.5),
        dict(type="RandomRotate", prob=0.5, degree=10, seg_pad_val=VOID),
        dict(type="Pad", size=(40, 32)),
        dict(type="PhotoMetricDistortion"),
        dict(type="PackTaxInputs"),
    ]
    one = dict(type="TaxDataset", taxonomy=taxonomy, data_root=str(root / "park"), split="train")
    model = model_config()
    model["decode_head"]["loss_decode"] = loss or dict(type="SetNLLLoss", source="tiny")
    return Config(
        dict(
            custom_imports=dict(imports=["lsu_seg"]),
            default_scope="mmseg",
            log_level="WARNING",
            work_dir=str(root / "work"),
            model=model,
            train_dataloader=dict(
                batch_size=2,
                num_workers=0,
                sampler=dict(type="CompoundSampler"),
                dataset=dict(
                    type="CompoundDataset",
                    source="tiny",
                    pipeline=pipeline,
                    datasets=[
                        dict(**one),
                        dict(**one, labels=pseudo, threshold=0.5, weight=2.0, loss_weight=0.5),
                    ],
                ),
            ),
            optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.05)),
            train_cfg=dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=1000),
            default_hooks=dict(
                checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=1000),
                logger=dict(type="LoggerHook", interval=1, log_metric_by_epoch=False),
            ),
            log_processor=dict(by_epoch=False),
            randomness=dict(seed=0),
        ),
        format_python_code=False,
    )
