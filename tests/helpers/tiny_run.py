"""The smallest config that trains, labels and evaluates, for tests of what is wrong with a config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config

from helpers.tiny import LOAD, model_config

MEMBER = "train_dataloader.dataset.datasets.0"
"""The key of its one dataset."""


def config(world: Path, work: Path) -> Config:
    dataset = dict(
        type="TaxDataset", taxonomy=str(world / "tax/tiny.tax"), data_root=str(world / "fine"), pipeline=LOAD
    )
    return Config(
        dict(
            custom_imports=dict(imports=["lsu_seg"]),
            default_scope="mmseg",
            log_level="ERROR",
            work_dir=str(work),
            model=model_config(),
            train_dataloader=dict(
                batch_size=1,
                sampler=dict(type="CompoundSampler"),
                dataset=dict(type="CompoundDataset", datasets=[dict(dataset, split="train")]),
            ),
            test_dataloader=dict(batch_size=1, dataset=dict(dataset, split="val")),
            test_evaluator=dict(type="OntologyIoU", source="tiny"),
            optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01)),
            param_scheduler=[dict(type="PolyLR", power=0.9, begin=0, end=2, by_epoch=False)],
            train_cfg=dict(type="IterBasedTrainLoop", max_iters=2),
            default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=2)),
        ),
        cfg_text="#",
        filename="config.py",
        format_python_code=False,
    )


def changed(world: Path, work: Path, options: dict[str, Any]) -> Config:
    """The config with keys changed; a value of None takes the key away."""
    cfg = config(world, work)
    for key, value in options.items():
        if value is None:
            folder, _, last = key.rpartition(".")
            part: Any = cfg
            for name in folder.split(".") if folder else ():
                part = part[int(name) if isinstance(part, list) else name]
            part.pop(last)
        else:
            cfg.merge_from_dict({key: value})
    return cfg
