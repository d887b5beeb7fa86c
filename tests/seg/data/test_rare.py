"""Rare-class sampling: which pixels count, which images and crops are drawn, and what stays as it is."""

from __future__ import annotations

import itertools
import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mmengine.registry import init_default_scope

from helpers.tiny import LOAD, draw, encode, save, write_tax
from lsu_seg.data.compound import CompoundDataset
from lsu_seg.data.rare import MIN_CROP, find_rare_classes
from lsu_seg.data.samplers import CompoundSampler
from lsu_seg.data.transforms import RareClassCrop
from lsu_seg.layout.pairs import DatasetError
from lsu_seg.targets import class_pixels
from lsu_seg.training.checks import check_sampling
from lsu_seg.training.ontology import log_rare

WAY, GREEN, SKY, ANIMAL = 0, 1, 2, 4
ROAD_CHANNEL, SKY_CHANNEL = 0, 3


@pytest.fixture(autouse=True)
def scope() -> None:
    init_default_scope("mmseg")


def write(root: Path, images: dict[str, int]) -> None:
    """Images of road with green around it and an animal; in each, so many pixels of sky, three wide."""
    for seed, (stem, sky) in enumerate(images.items()):
        pixels, _ = draw(seed, [0], (40, 60))
        rows = np.full((40, 60), WAY)
        rows[20:] = GREEN
        rows[39, 40:] = ANIMAL
        rows[10 : 10 + sky // 3, 20:23] = SKY
        save(root / f"images/train/{stem}.png", pixels)
        save(root / f"labels/train/{stem}.png", encode(rows, "id"))


def member(root: Path, name: str, **options: Any) -> dict[str, Any]:
    taxonomy = write_tax(root / "tax")
    return dict(type="TaxDataset", taxonomy=taxonomy, data_root=str(root / name), split="train", **options)


@pytest.fixture
def members(tmp_path: Path) -> list[dict[str, Any]]:
    """Two datasets: one has sky in one of its six images, the other in none but for three pixels."""
    write(tmp_path / "one", dict.fromkeys("abcde", 0) | {"f": 12})
    write(tmp_path / "two", {"g": 0, "h": 3})
    return [member(tmp_path, "one", threshold=1.0), member(tmp_path, "two", weight=2.0, loss_weight=0.5)]


@pytest.fixture
def compound(members: list[dict[str, Any]]) -> CompoundDataset:
    return CompoundDataset(members, pipeline=LOAD, rare_classes=0.01)


def drawn(compound: CompoundDataset, n: int, seed: int = 0, **options: Any) -> list[int]:
    return list(itertools.islice(CompoundSampler(compound, seed=seed, **options), n))


def test_what_counts(compound: CompoundDataset) -> None:
    """A class alone, whatever its weight in the loss; of a set, none of its classes."""
    one, two = (dataset.class_counts() for dataset in compound.datasets)
    assert one[5].tolist() == [1188, 0, 0, 12, 0, 1180, 20]  # road, sky; green as a set; the animal is void
    assert two[1].tolist() == [1197, 0, 0, 3, 0, 0, 1200]
    assert compound.rare is not None
    shares = [0.6 * 7188 / 14280 + 0.4 * 2397 / 2400, 0.6 * 12 / 14280 + 0.4 * 3 / 2400]
    assert compound.rare.shares[[ROAD_CHANNEL, SKY_CHANNEL]] == pytest.approx(shares)
    assert compound.rare.odds[SKY_CHANNEL] == pytest.approx(1)
    assert [len(images[SKY_CHANNEL]) for images in compound.rare.images] == [1, 0]  # three pixels are too few


def test_images_of_rare_classes_are_drawn_and_the_shares_stay(compound: CompoundDataset) -> None:
    stream = drawn(compound, 200, batch_size=5)
    assert sum(index < 6 for index in stream) == 120  # 6 images of weight 1, 2 of weight 2
    assert {index for index in stream if index < 6} == {5}, "the one with sky"
    assert {index for index in stream if index >= 6} == {6, 7}, "road is all that they have enough of"
    assert stream == drawn(compound, 200, batch_size=5) != drawn(compound, 200, seed=1, batch_size=5)

    compound.rare_classes = compound.rare = None
    assert {*drawn(compound, 200)} == {*range(8)}


def test_the_log_says_what_is_drawn(compound: CompoundDataset, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        log_rare(SimpleNamespace(logger=logging.getLogger("of a test")), compound)
    assert caplog.messages == [
        "images are drawn by their classes: sky 100.0%",
        "in no image are enough pixels of `grass`, `tree` or `car`, so none is drawn for these",
    ]


def test_odds_by_temperature() -> None:
    """As in DAFormer, of the class that has 90 % of the pixels and of those that have 9 and 1 %."""
    counts = np.array([[90, 9, 1, 50, 7]])
    for temperature in (0.01, 0.1, 1.0):
        odds = np.exp((1 - np.array([0.6, 0.06, 1 / 150])) / temperature)
        assert find_rare_classes([counts], [3.0], temperature).odds == pytest.approx(odds / odds.sum())
    nothing = find_rare_classes([np.array([[0, 0, 4, 4]])], [1.0], 0.01)
    assert nothing.odds.tolist() == [0, 0] and nothing.draw(0, (1, 2)) is None


def test_a_crop_shows_a_rare_class(compound: CompoundDataset, members: list[dict[str, Any]]) -> None:
    np.random.seed(0)
    loaded = compound[5]["data_samples"].gt_sem_seg.data[0].numpy()
    odds, reader = compound.datasets[0].class_odds, compound.datasets[0].reader
    results = {"img": np.zeros((40, 60, 3)), "gt_seg_map": loaded, "seg_fields": ["gt_seg_map"], "reader": reader}
    crop = RareClassCrop((12, 15))

    def shown(**more: Any) -> float:
        maps = [crop.transform({**results, **more})["gt_seg_map"] for _ in range(100)]
        return np.mean([(found == SKY_CHANNEL).sum() >= MIN_CROP * 12 * 15 for found in maps])

    assert shown() < 0.35 and shown(class_odds=None) < 0.35
    assert shown(class_odds=odds) > 0.65
    pipeline = [*LOAD[:2], dict(type="RareClassCrop", crop_size=(12, 15)), LOAD[2]]
    made = CompoundDataset(members, pipeline=pipeline, rare_classes=0.01)
    samples = [made[5]["data_samples"].gt_sem_seg.data for _ in range(60)]
    assert np.mean([(found == SKY_CHANNEL).sum() >= MIN_CROP * 12 * 15 for found in samples]) > 0.65

    only_road = np.zeros_like(odds)
    only_road[ROAD_CHANNEL] = 1
    assert shown(class_odds=only_road) < 0.35


def test_counts_are_kept_beside_pseudo_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "park", {"a": 12, "b": 0})
    for stem, value in (("a", ROAD_CHANNEL), ("b", SKY_CHANNEL)):
        save(tmp_path / f"pseudo/labels/train/{stem}.png", np.full((40, 60), value, np.uint8))

    def rare() -> list[int]:
        made = CompoundDataset(
            [member(tmp_path, "park", labels=str(tmp_path / "pseudo"))], pipeline=LOAD, rare_classes=0.01
        )
        return made.datasets[0].class_counts()[:, SKY_CHANNEL].tolist()

    assert rare() == [0, 2400]
    kept = tmp_path / "pseudo/classes.json"
    before = json.loads(kept.read_text())
    with monkeypatch.context() as patch:
        patch.setattr(class_pixels, "class_counts", lambda *_: pytest.fail("counted again"))
        assert rare() == [0, 2400]
    save(tmp_path / "pseudo/labels/train/b.png", np.full((40, 60), ROAD_CHANNEL, np.uint8))
    assert rare() == [0, 0]
    assert json.loads(kept.read_text())["of"] != before["of"]
    kept.write_text("[")
    assert rare() == [0, 0]


def test_new_labels_are_counted_when_they_are_used(tmp_path: Path) -> None:
    write(tmp_path / "park", {"a": 0, "b": 0})
    for folder, of_b in (("first", ROAD_CHANNEL), ("second", SKY_CHANNEL)):
        for stem, value in (("a", ROAD_CHANNEL), ("b", of_b)):
            save(tmp_path / folder / f"labels/train/{stem}.png", np.full((40, 60), value, np.uint8))
    park = member(tmp_path, "park", labels=str(tmp_path / "first"))
    made = CompoundDataset([park], pipeline=LOAD, rare_classes=0.01)
    assert {*drawn(made, 50)} == {0, 1}
    made.datasets[0].use_labels(tmp_path / "second")
    made.find_rare()
    assert made.rare is not None and made.rare.odds[[ROAD_CHANNEL, SKY_CHANNEL]].tolist() == [0.5, 0.5]


def test_what_is_refused(compound: CompoundDataset) -> None:
    for value in (0, -1, "0.01", True, float("nan")):
        with pytest.raises(DatasetError, match=r"`rare_classes` of a CompoundDataset is .*; expected a temperature"):
            CompoundDataset([], rare_classes=value)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"`shuffle=False` draws images in their order"):
        CompoundSampler(compound, shuffle=False)
    loop = SimpleNamespace(dataloader=SimpleNamespace(sampler=object(), batch_size=2))
    findings = list(check_sampling(loop, compound))
    assert "has `rare_classes`, and object draws images whatever classes they have" in findings[0]
