"""A run of `unify` that takes seconds: its config, and its taxonomies and scenes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from helpers.tiny import LOAD, model_config
from lsu_onto.library.searchpath import shipped
from lsu_seg.demo import data


def config(root: Path, iterations: int = 4) -> Config:
    """A teacher of a few hundred weights, two extra datasets, two sets to judge on."""

    def tax(taxonomy: str, folder: str, split: str) -> dict[str, Any]:
        return dict(
            type="TaxDataset",
            taxonomy=str(root / f"tax/{taxonomy}.tax"),
            source="demo",
            data_root=str(root / "data" / folder),
            split=split,
            serialize_data=False,  # which collects garbage every time
        )

    def extra(name: str) -> dict[str, Any]:
        truth = dict(taxonomy=str(root / "tax/demo.tax"), folder=str(root / f"data/{name}/truth/train"))
        return dict(dataset=tax(f"demo_{name}", name, "train"), truth=truth)

    return Config(
        dict(
            custom_imports=dict(imports=["lsu_seg"]),
            default_scope="mmseg",
            log_level="WARNING",
            # As in mmseg's default_runtime.py
            visualizer=dict(type="SegLocalVisualizer", name="visualizer", vis_backends=[dict(type="LocalVisBackend")]),
            model=model_config(15),
            train_dataloader=dict(
                batch_size=2,
                sampler=dict(type="CompoundSampler"),
                dataset=dict(
                    type="CompoundDataset", source="demo", pipeline=LOAD, datasets=[tax("demo", "source", "train")]
                ),
            ),
            val_dataloader=dict(
                batch_size=2,
                sampler=dict(type="DefaultSampler", shuffle=False),
                dataset=dict(**tax("demo", "source", "val"), pipeline=LOAD),
            ),
            val_evaluator=dict(type="OntologyIoU", source="demo"),
            val_cfg=dict(type="ValLoop"),
            optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-2)),
            train_cfg=dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=1000),
            default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=1000)),
            unify=dict(
                extra=dict(town=extra("town"), country=extra("country")),
                views=dict(scales=(1.0,), flips=(False,)),
                students=("raw", "constrained", "set"),
                unsure=0.1,
                evaluate=dict(source_val=tax("demo", "source", "val"), zero_shot=tax("demo", "zero_shot", "val")),
            ),
        ),
    )


def make_world(root: Path) -> None:
    """Taxonomies and drawn scenes, a handful of each part."""
    shutil.copytree(shipped() / "demo", root / "tax")
    with pytest.MonkeyPatch.context() as patch:
        parts = zip(data.PARTS, (4, 2, 3, 3, 2, 1), strict=True)
        patch.setattr(data, "PARTS", [data.Part(**{**vars(p), "images": n}) for p, n in parts])
        data.make_data(root / "data", seed=0)
