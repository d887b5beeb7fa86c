"""Copy-paste: what is pasted where, which target it brings, and from which image."""

from __future__ import annotations

import copy
import logging
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, TRANSFORMS

from helpers.tiny import LOAD, VOID, encode, save, write_tax
from lsu_seg.data.compound import CompoundDataset
from lsu_seg.layout.pairs import DatasetError
from lsu_seg.training.checks import check_copy_paste
from lsu_seg.training.ontology import log_rare

WAY, GREEN, SKY, THING = 0, 1, 2, 3
ROAD, GRASS, SKY_CHANNEL, CAR = 0, 1, 3, 4


@pytest.fixture(autouse=True)
def scope() -> None:
    init_default_scope("mmseg")
    random.seed(0)
    np.random.seed(0)


def write(root: Path, stem: str, rows: np.ndarray, colour: int) -> None:
    """An image of one colour."""
    save(root / f"images/train/{stem}.png", np.full((*rows.shape, 3), colour, np.uint8))
    save(root / f"labels/train/{stem}.png", encode(rows, "id"))


def rows_of(size: tuple[int, int], *boxes: tuple[int, int, int, int, int]) -> np.ndarray:
    """Road, and in it boxes: top, left, height, width, row."""
    rows = np.full(size, WAY)
    for top, left, height, width, row in boxes:
        rows[top : top + height, left : left + width] = row
    return rows


def member(root: Path, name: str, **options: Any) -> dict[str, Any]:
    return dict(
        type="TaxDataset", taxonomy=write_tax(root / "tax"), data_root=str(root / name), split="train", **options
    )


STEPS = [*LOAD[:2], dict(type="TaxCopyPaste", prob=1.0)]


@pytest.fixture
def members(tmp_path: Path) -> list[dict[str, Any]]:
    """Roads without anything; and an image with a sky, beside which may be grass or trees. It is of half the weight."""
    write(tmp_path / "plain", "a", rows_of((20, 30)), 10)
    write(tmp_path / "plain", "b", rows_of((20, 30)), 20)
    write(tmp_path / "rich", "c", rows_of((20, 30), (4, 4, 6, 6, SKY), (4, 20, 3, 3, GREEN)), 200)
    return [member(tmp_path, "plain"), member(tmp_path, "rich", threshold=1.0, loss_weight=0.5)]


def build(members: list[dict[str, Any]], steps: Any = STEPS, **options: Any) -> Any:
    return CompoundDataset(members, pipeline=copy.deepcopy(steps), **{"copy_paste": 0.01, **options})


def test_a_segment_brings_its_pixels_and_their_targets(members: list[dict[str, Any]]) -> None:
    compound = build(members)
    sample, before = compound[0], build(members, STEPS[:2])[0]
    sky = compound.table.number([SKY_CHANNEL], 0.5)
    assert np.argwhere(sample["gt_seg_map"] == sky).tolist() == [[y, x] for y in range(4, 10) for x in range(4, 10)]
    changed = sample["gt_seg_map"] != before["gt_seg_map"]
    assert changed.sum() == 36, "the sky alone: it is the rarest class"
    assert (sample["img"][changed] == 200).all() and (sample["img"][~changed] == 10).all()
    assert sample["pasted"] == "park#2" and "gt_rows" not in sample


def test_a_segment_is_what_is_or_may_be_the_class(tmp_path: Path) -> None:
    """Pixels that may be grass come along where they touch pixels that are; others stay."""
    write(tmp_path / "plain", "a", rows_of((20, 30)), 10)
    green = rows_of((20, 30), (2, 2, 4, 8, GREEN), (12, 12, 4, 4, GREEN))
    write(tmp_path / "rich", "c", green, 200)
    pseudo = tmp_path / "pseudo"
    labels = np.where(green == GREEN, GRASS, ROAD).astype(np.uint8)
    save(pseudo / "labels/train/c.png", labels)
    confidence = np.where(rows_of((20, 30), (2, 2, 4, 5, SKY)) == SKY, 255, 10).astype(np.uint8)
    save(pseudo / "confidence/labels/train/c.png", confidence)
    compound = build(
        [member(tmp_path, "plain"), member(tmp_path, "rich", labels=str(pseudo), threshold=0.5)], copy_paste=1e-3
    )
    target = compound[0]["gt_seg_map"]
    maybe = compound.table.number([1, 2])
    assert [(target == value).sum() for value in (GRASS, maybe, ROAD)] == [20, 12, 600 - 32]
    assert (target[2:6, 7:10] == maybe).all(), "unsure pixels beside the sure ones; the other box has none"


def test_where_images_differ_in_size_a_window_shows_the_class(tmp_path: Path) -> None:
    write(tmp_path / "small", "a", rows_of((10, 12)), 10)
    write(tmp_path / "large", "c", rows_of((40, 60), (30, 50, 4, 4, SKY)), 200)
    compound = build([member(tmp_path, "small"), member(tmp_path, "large", weight=0.1)])
    places = set()
    for _ in range(20):
        sample = compound[0]
        shown = sample["gt_seg_map"] == SKY_CHANNEL
        assert 1 <= shown.sum() <= 16 and (sample["img"][shown] == 200).all()
        places.add(tuple(np.argwhere(shown)[0]))
    assert len(places) > 3
    large = compound[1]
    assert large["img"].shape == (40, 60, 3), "its own sky, or also one of another place"


def test_the_other_image_goes_through_its_own_transforms(members: list[dict[str, Any]]) -> None:
    """Up to the paste, so a RareClassCrop finds the class in it; the image that is drawn is cropped anywhere."""
    crop = [*STEPS[:2], dict(type="RareClassCrop", crop_size=(7, 7)), STEPS[2], LOAD[2]]
    compound = build(members, crop)
    sky = compound.table.number([SKY_CHANNEL], 0.5)
    samples = [compound[0]["data_samples"] for _ in range(40)]
    found = np.mean([bool((s.gt_sem_seg.data == sky).any()) for s in samples])
    plain = [*STEPS[:2], dict(type="RandomCrop", crop_size=(7, 7)), STEPS[2], LOAD[2]]
    compound = build(members, plain)
    anywhere = np.mean([bool((compound[0]["data_samples"].gt_sem_seg.data == sky).any()) for _ in range(40)])
    assert found == 1 and anywhere < 0.8
    nested = [*STEPS[:2], dict(type="RandomApply", transforms=[STEPS[2]], prob=1.0), LOAD[2]]
    assert (build(members, nested)[0]["data_samples"].gt_sem_seg.data == sky).any()


def test_a_dataset_that_nothing_is_pasted_into_gives_segments(members: list[dict[str, Any]]) -> None:
    """Its own pipeline has no paste, so its images go through all of it but the packing."""
    plain, rich = members
    compound = build([plain, rich | {"pipeline": copy.deepcopy(LOAD)}], [*STEPS, LOAD[2]])
    sky = compound.table.number([SKY_CHANNEL], 0.5)
    assert (compound[0]["data_samples"].gt_sem_seg.data == sky).any()
    assert compound[0]["data_samples"].pasted == "park#2"


def test_around_a_mosaic(members: list[dict[str, Any]]) -> None:
    """In the pipeline of a wrapper, which copies samples with all that they hold."""
    inner = dict(type="CompoundDataset", datasets=members, pipeline=STEPS[:2], copy_paste=0.01)
    steps = [dict(type="TaxMosaic", prob=1.0, img_scale=(30, 20)), STEPS[2], LOAD[2]]
    mixed = DATASETS.build(dict(type="MultiImageMixDataset", dataset=inner, pipeline=steps))
    samples = [mixed[0]["data_samples"] for _ in range(5)]
    assert all(len(s.parts) == 4 and s.pasted == "park#2" for s in samples)
    assert list(check_copy_paste(mixed)) == []


def test_the_log(members: list[dict[str, Any]], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        log_rare(SimpleNamespace(logger=logging.getLogger("of a test")), build(members))
    assert caplog.messages == [
        "segments to paste are drawn by their classes: sky 100.0%",
        "in no image are enough pixels of `grass`, `tree` or `car`, so none is drawn for these",
    ]


def test_prob_and_nothing_to_paste(members: list[dict[str, Any]], tmp_path: Path) -> None:
    steps = [*STEPS[:2], dict(type="TaxCopyPaste", prob=0.25)]
    compound = build(members, steps)
    assert 0.05 < np.mean(["pasted" in compound[0] for _ in range(100)]) < 0.5
    write(tmp_path / "void", "d", np.full((20, 30), 4), 9)  # an animal: void
    assert "pasted" not in build([member(tmp_path, "void")], test_mode=True)[0]


def test_pixels_that_are_stored_are_never_written_to(members: list[dict[str, Any]]) -> None:
    results = build(members, STEPS[:2])[0]
    image, target = results["img"].copy(), results["gt_seg_map"].copy()
    before = dict(results)
    after = TRANSFORMS.build(STEPS[2])(results | {"donors": build(members).donors})
    assert (before["img"] == image).all() and (before["gt_seg_map"] == target).all()
    assert (after["gt_seg_map"] != target).any() and after["gt_seg_map"].max() > VOID


def test_what_is_refused(members: list[dict[str, Any]]) -> None:
    for prob in (-0.1, 1.5, "0.5", True):
        with pytest.raises(DatasetError, match=r"`prob` of a TaxCopyPaste is .*; expected a share of the samples"):
            TRANSFORMS.build(dict(type="TaxCopyPaste", prob=prob))
    with pytest.raises(DatasetError, match=r"`copy_paste` of a CompoundDataset is 0; expected a temperature above 0"):
        build(members, copy_paste=0)
    (finding,) = check_copy_paste(build(members, copy_paste=None))
    assert finding == (
        "the pipeline of `park`, `park#2` has a TaxCopyPaste, and nothing says what it pastes: write"
        " `dict(type='CompoundDataset', copy_paste=0.01, …)`, or leave it out"
    )
    (finding,) = check_copy_paste(build(members, LOAD))
    assert "has `copy_paste`, and nothing is pasted: write `dict(type='TaxCopyPaste')`" in finding
    assert list(check_copy_paste(build(members))) == list(check_copy_paste([])) == []
