"""Thresholds by class, from how sure the pseudo-labels of a dataset are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.registry import init_default_scope

from helpers.tiny import ALLOWED, LOAD, VOID, read, save, write_park, write_tax
from lsu_seg.data.datasets import TaxDataset
from lsu_seg.label_files import LabelFileError
from lsu_seg.label_files.annotation import Annotation
from lsu_seg.layout.pairs import DatasetError
from lsu_seg.targets.class_thresholds import class_thresholds, count_confidence

GRASS, TREE, CAR = 1, 2, 4
STEMS = {"a": [0, 1, 3], "b": [1, 5], "c": [1, 2, 3]}


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 255), st.integers(1, 5)), min_size=1, max_size=40),
    st.floats(0, 1),
)
def test_each_class_gives_up_the_share_and_no_more(pixels: list[tuple[int, int, int]], unsure: float) -> None:
    counts = np.zeros((3, 256), np.int64)
    for label, confidence, number in pixels:
        counts[label, confidence] += number
    for of_class, found in zip(counts, class_thresholds(counts, unsure), strict=True):
        level = round(found * 255)
        assert of_class[:level].sum() <= unsure * of_class.sum()
        if of_class.sum() and level < 255:  # and as much of it as it may
            assert of_class[: level + 1].sum() > unsure * of_class.sum()


@pytest.fixture
def park(tmp_path: Path) -> dict[str, np.ndarray]:
    """Images, and pseudo-labels that are sure of grass and not of trees and cars."""
    init_default_scope("mmseg")
    drawn = write_park(tmp_path / "park", STEMS)
    write_labels(tmp_path / "pseudo", drawn, 0)
    return drawn


def write_labels(folder: Path, drawn: dict[str, np.ndarray], seed: int, sure: int = 200) -> None:
    rng = np.random.default_rng(seed)
    spread = {GRASS: (sure, 256), TREE: (90, 200), CAR: (60, 256)}
    for stem, rows in drawn.items():
        labels, confidence = np.full(rows.shape, VOID, np.uint8), np.full(rows.shape, 255, np.uint8)
        for row, allowed in enumerate(ALLOWED):
            here = rows == row
            labels[here] = rng.choice(sorted(allowed - {0} or allowed), here.sum())
        for label, (low, high) in spread.items():
            here = (labels == label) & np.isin(rows, (1, 3, 5))
            confidence[here] = rng.integers(low, high, here.sum())
        save(folder / f"labels/train/{stem}.png", labels)
        save(folder / f"confidence/labels/train/{stem}.png", confidence)


def dataset(root: Path, labels: str | None = "pseudo", **options: Any) -> TaxDataset:
    folder = str(root / labels) if labels else None
    return TaxDataset(write_tax(root / "tax"), str(root / "park"), "train", pipeline=LOAD, labels=folder, **options)


def shares(root: Path, made: TaxDataset, labels: str = "pseudo") -> dict[int, float]:
    """Of each class's pixels in the row `green`, how many are the set of the row."""
    sets, pixels = np.zeros(5), np.zeros(5)
    for sample in (item["data_samples"] for item in made):
        label = read(root / labels / f"labels/train/{Path(sample.img_path).stem}.png")
        green = sample.gt_rows.data[0].numpy() == 1
        target = sample.gt_sem_seg.data[0].numpy()
        assert np.array_equal(target[green & (target < VOID)], label[green & (target < VOID)])
        pixels += np.bincount(label[green], minlength=5)
        sets += np.bincount(label[green & (target > VOID)], minlength=5)
    return {c: sets[c] / pixels[c] for c in (GRASS, TREE)}


def test_a_class_that_teachers_are_sure_of_gives_up_as_many_as_the_others(
    tmp_path: Path, park: dict[str, np.ndarray]
) -> None:
    one = shares(tmp_path, dataset(tmp_path, threshold=0.6))
    assert one[GRASS] == 0
    assert one[TREE] > 0.4
    for unsure in (0.1, 0.3):
        found = shares(tmp_path, dataset(tmp_path, unsure=unsure))
        assert found == pytest.approx({GRASS: unsure, TREE: unsure}, abs=0.04)


def test_one_for_all_and_by_class_differ_in_the_threshold_alone(tmp_path: Path, park: dict[str, np.ndarray]) -> None:
    by_class, one = dataset(tmp_path, unsure=1.0), dataset(tmp_path, threshold=1.0)
    assert by_class.coder.by_row.tolist() == one.coder.by_row.tolist()
    assert by_class.coder.dtype == one.coder.dtype


def test_counts_are_kept_with_the_labels(tmp_path: Path, park: dict[str, np.ndarray]) -> None:
    kept = tmp_path / "pseudo/confidence.json"
    first = dataset(tmp_path, unsure=0.1).coder.sure.tolist()
    found = json.loads(kept.read_text())
    found["counts"][GRASS] = [0] * 10 + [7] + [0] * 245  # so that one sees whether they are read
    kept.write_text(json.dumps(found))
    assert dataset(tmp_path, unsure=0.1).coder.sure[GRASS] == 10
    write_labels(tmp_path / "pseudo", park, 1)  # labels made anew
    again = dataset(tmp_path, unsure=0.1).coder.sure.tolist()
    assert again[GRASS] > 200
    assert again != first
    for damage in ("", "[]", '{"of": 1}', json.dumps({**json.loads(kept.read_text()), "counts": [[1]]})):
        kept.write_text(damage)
        assert dataset(tmp_path, unsure=0.1).coder.sure.tolist() == again
    made = dataset(tmp_path, unsure=0.1)
    items, own = [made.get_data_info(i) for i in range(3)], made.reader.own
    for constraint in (own.constraint, replace(own.constraint, background=2)):  # which decides what is annotated
        found = {**json.loads(kept.read_text()), "counts": np.zeros((5, 256)).tolist()}
        kept.write_text(json.dumps(found))
        counts = count_confidence(items, made.annotation, Annotation(constraint), tmp_path / "pseudo", "")
        assert counts.any() == (constraint.background == 2)
    kept.unlink()
    kept.mkdir()  # nothing can be written there
    assert dataset(tmp_path, unsure=0.1).coder.sure.tolist() == again


def test_other_labels_have_other_thresholds(tmp_path: Path, park: dict[str, np.ndarray]) -> None:
    made = dataset(tmp_path, unsure=0.1)
    before, table = made.coder.sure[GRASS], made.table
    write_labels(tmp_path / "refreshed", park, 2, sure=30)
    made.use_labels(tmp_path / "refreshed")
    assert made.coder.sure[GRASS] < 80 < before
    assert made.table == made.coder.table == table  # what the loss has
    assert shares(tmp_path, made, "refreshed") == pytest.approx({GRASS: 0.1, TREE: 0.1}, abs=0.04)


def test_own_labels_have_no_confidence(tmp_path: Path, park: dict[str, np.ndarray]) -> None:
    own = dataset(tmp_path, None, unsure=0.1)
    with_threshold = dataset(tmp_path, None, threshold=0.5)
    for a, b in zip(own, with_threshold, strict=True):
        target = a["data_samples"].gt_sem_seg.data
        assert (target > VOID).any()
        assert (target == b["data_samples"].gt_sem_seg.data).all()


def test_what_is_refused(tmp_path: Path, park: dict[str, np.ndarray]) -> None:
    with pytest.raises(DatasetError, match=r"is 0\.1, and `threshold` 0\.5; expected a share .* and no `thr"):
        dataset(tmp_path, unsure=0.1, threshold=0.5)
    with pytest.raises(DatasetError, match="is 6; expected a share of the pixels, 0 to 1"):
        dataset(tmp_path, unsure=6)
    file = tmp_path / "pseudo/confidence/labels/train/b.png"
    file.unlink()
    with pytest.raises(DatasetError, match=r"1 of 3 images of confidence are missing.*`unsure` needs them"):
        dataset(tmp_path, unsure=0.1)
    save(file, np.zeros((3, 4), np.uint8))
    with pytest.raises(LabelFileError, match="4x3 of uint8; expected the confidence of a pseudo-label"):
        dataset(tmp_path, unsure=0.1)
    for folder in ("", "confidence/"):
        save(tmp_path / f"pseudo/{folder}labels/train/b.png", np.zeros((3, 4), np.uint8))
    with pytest.raises(LabelFileError, match=r"the pseudo-label is 4x3, and the label .*b\.png 40x24"):
        dataset(tmp_path, unsure=0.1)
