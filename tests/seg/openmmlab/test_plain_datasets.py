"""What is wrong with an image of one of MMSegmentation's own datasets, in any step, is named with its transform."""

from __future__ import annotations

import gc
import re
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config

from helpers.tiny import save
from helpers.tiny_run import config
from lsu_seg.errors import ConfigError
from lsu_seg.training.run import train

STEPS = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations"), dict(type="PackSegInputs")]


def plain(world: Path, root: Path, workers: int, **options: Any) -> Config:
    """A config that trains on `root`, in the order of the names, one image after another."""
    cfg = config(world, root / "work")
    prefix = dict(img_path="images", seg_map_path="labels")
    names = ("car", "lorry", "bus", "road", "grass")
    cfg.train_dataloader = dict(
        batch_size=1,
        num_workers=workers,
        sampler=dict(type="DefaultSampler", shuffle=False),
        dataset=dict(
            type="BaseSegDataset",
            data_root=str(root),
            data_prefix=prefix,
            img_suffix=".png",
            seg_map_suffix=".png",
            metainfo=dict(classes=names),
            pipeline=STEPS,
        ),
        **options,
    )
    return cfg


def drawn(root: Path, sides: str) -> Path:
    for name, side in zip("abcd", map(int, sides), strict=False):
        save(root / f"images/{name}.png", np.zeros((8 * side, 8 * side, 3), np.uint8))
        save(root / f"labels/{name}.png", np.zeros((8 * side, 8 * side), np.uint8))
    return root


@pytest.mark.parametrize(("workers", "step", "method"), [*product((0, 1), (0, 1), ("fork",)), (1, 1, "spawn")])
def test_an_empty_label_is_named(world: Path, tmp_path: Path, workers: int, step: int, method: str) -> None:
    root = drawn(tmp_path, "22")
    (root / f"labels/{'ab'[step]}.png").write_bytes(b"")
    with pytest.raises(ConfigError) as refusal:
        train(plain(world, root, workers, multiprocessing_context=method if workers else None), quiet=True)
    said = str(refusal.value)
    start = f"{root}/images/{'ab'[step]}.png: `pipeline.1` of `BaseSegDataset` cannot be used as it is: "
    assert said.startswith(start) and "(it is LoadAnnotations(" in said and "Traceback" not in said


@pytest.mark.parametrize("workers", [0, 1])
def test_images_of_several_sizes_in_a_later_batch_are_said(world: Path, tmp_path: Path, workers: int) -> None:
    cfg = plain(world, drawn(tmp_path, "2223"), workers, collate_fn=dict(type="default_collate"))
    cfg.train_dataloader.batch_size = 2
    said = "in iteration 2, the images of a batch have several sizes ("
    with pytest.raises(ConfigError, match=re.escape(said)) as refusal:
        train(cfg, quiet=True)
    assert "Traceback" not in str(refusal.value)


@pytest.mark.skipif(find_spec("lmdb") is not None, reason="where lmdb is missing")
def test_a_package_that_a_backend_of_files_lacks_is_named(world: Path, tmp_path: Path) -> None:
    cfg = plain(world, drawn(tmp_path, "22"), 0)
    step = dict(type="LoadImageFromFile", backend_args=dict(backend="lmdb", db_path=str(tmp_path)))
    cfg.train_dataloader.dataset.pipeline = [step, *STEPS[1:]]
    with pytest.raises(ConfigError, match="lmdb"):
        train(cfg, quiet=True)
    gc.collect()  # pytest fails where its destructor does
