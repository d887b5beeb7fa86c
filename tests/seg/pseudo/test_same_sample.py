"""What a run keeps for an audit is the same however it went: in parts, in windows, after changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from helpers.tiny import label_config, read, save_checkpoint, write_park, write_tax
from lsu_onto import ROW_VOID
from lsu_seg.audit.sample import UNSEEN, Sample
from lsu_seg.pseudo.run import pseudo_label
from lsu_seg.pseudo.sample import read_sample

ROWS = [0, 1, 2, 3, 4, 5, ROW_VOID]
SIZES = [(48, 80), (48, 80), (80, 48), (160, 288)]
IMAGES = 16


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    write_tax(root / "tax")
    for i in range(IMAGES):
        write_park(root / "park", {f"{i:02}": ROWS}, size=SIZES[i % len(SIZES)])
    write_park(root / "park", {f"v{i}": ROWS for i in range(3)}, split="val")
    save_checkpoint(root / "teacher.pth")
    return root


def config(world: Path, work: Path, split: str = "train", **options: Any) -> Config:
    dataset = dict(taxonomy=str(world / "tax/park.tax"), data_root=str(world / "park"), split=split)
    return label_config(dataset, work, **{"batch_size": 2, "scales": (1.0, 1.5), **options})


def run(world: Path, work: Path, **options: Any) -> Sample:
    pseudo_label(config(world, work, **options), world / "teacher.pth", quiet=True)
    return read_sample(work / "labels")


def data(sample: Sample, folder: Path) -> bytes:
    sample.save(folder / "sample.npz")
    return (folder / "sample.npz").read_bytes()


def test_a_run_in_parts_keeps_the_sample_of_one_run(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where not all images fit into the sample: a kill has cut off the records, and the pieces within a line."""
    for module in ("draw", "pieces"):
        monkeypatch.setattr(f"lsu_seg.audit.{module}.IMAGES", 3)
        monkeypatch.setattr(f"lsu_seg.audit.{module}.GRIDS", 5)
    whole = run(world, tmp_path / "one")
    assert len(whole.grid_image) == 5
    assert max(len(set(whole.image[whole.row == row].tolist())) for row in set(whole.row.tolist())) == 3

    records, pieces = (tmp_path / f"one/labels/{name}-0.jsonl" for name in ("records", "audit"))
    kept = records.read_bytes().splitlines(True)[:7]
    keys = {json.loads(line)["key"] for line in kept}
    lines = pieces.read_bytes().splitlines(True)
    first = [line for line in lines if json.loads(line).get("key") in {None, *keys}]
    records.write_bytes(b"".join(kept))
    pieces.write_bytes(b"".join(first) + lines[len(first)][:99])
    assert read_sample(tmp_path / "one/labels").images == 7
    assert data(run(world, tmp_path / "one"), tmp_path) == data(whole, tmp_path)


def test_bands_and_windows_keep_the_same_points(world: Path, tmp_path: Path) -> None:
    """Nothing is drawn in windows that were skipped; where all are kept, all is seen."""
    options = {"window": (32, 32), "overlap": 0.25, "scales": (1.0,)}
    every = run(world, tmp_path / "every", keep_windows=True, **options)
    some = run(world, tmp_path / "some", **options)
    assert not (every.grid_top == UNSEEN).any()
    seen = some.grid_top != UNSEEN
    assert seen.any()
    assert np.array_equal(some.grid_row, every.grid_row)
    np.testing.assert_array_equal(some.grid_top[seen], every.grid_top[seen])
    p = {(int(i), *map(int, at)): v for i, at, v in zip(every.image, every.place, every.p, strict=True)}
    shared = [
        (i, v) for i, at in enumerate(some.place) if (v := p.get((int(some.image[i]), *map(int, at)))) is not None
    ]
    assert len(shared) > 100
    assert all(np.abs(some.p[i].astype(int) - v).max() <= 1 for i, v in shared)


def test_an_image_that_changed_replaces_its_piece(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world, tmp_path / "w")
    before = run(tmp_path / "w", tmp_path / "work")
    file = tmp_path / "w/park/labels/train/03.png"
    raw = read(file).copy()
    raw[:] = raw[0, 0]
    Image.fromarray(raw).save(file)
    after = run(tmp_path / "w", tmp_path / "work")
    assert after.images == IMAGES
    at = after.keys.index("labels/train/03")
    assert np.count_nonzero(after.pixels[at]) == 1 < np.count_nonzero(before.pixels[at])
    assert data(after, tmp_path) == data(run(tmp_path / "w", tmp_path / "fresh"), tmp_path)


def test_splits_of_a_folder_are_one_sample(world: Path, tmp_path: Path) -> None:
    run(world, tmp_path)
    both = run(world, tmp_path, split="val")
    assert both.images == IMAGES + 3
    assert {key.split("/")[1] for key in both.keys} == {"train", "val"}
