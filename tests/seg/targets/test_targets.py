"""Pseudo-label, row of d and confidence → one target map, and its way through MMSeg's transforms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv.transforms import Compose
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS, TRANSFORMS

import lsu_onto
from helpers.examples import examples
from helpers.students import ROWS, write_pseudo
from helpers.tiny import ALLOWED, CLASSES, LOAD, VOID, encode, read, save, write_park, write_tax
from lsu_onto import ROW_VOID
from lsu_seg.data.compound import CompoundDataset
from lsu_seg.data.datasets import TaxDataset
from lsu_seg.label_files import LabelFileError
from lsu_seg.layout.pairs import DatasetError
from lsu_seg.targets import TargetCoder, TargetError, TargetSet, TargetTable, query_targets

K = len(CLASSES)


@pytest.fixture(autouse=True)
def scope() -> None:
    init_default_scope("mmseg")


@pytest.fixture
def park(tmp_path: Path) -> lsu_onto.Constraint:
    return lsu_onto.load(write_tax(tmp_path / "tax"))


def meaning(target: int, table: TargetTable) -> tuple[set[int], float]:
    """What a target says of a pixel: the classes it may be (none: nothing is said), and its weight."""
    if target < K:
        return {int(target)}, 1.0
    if target == VOID:
        return set(), 1.0
    i = int(target) - table.first
    return set(np.flatnonzero(table.sets[i]).tolist()), float(table.weights[i])


# --- the rule ----------------------------------------------------------------------------------------------


def wanted(row: int, label: int, confidence: int, threshold: float | list[float] | None) -> set[int]:
    """The rule, from S(d) as tiny.py has it."""
    allowed = ALLOWED[row] if row >= 0 else {VOID}
    if isinstance(threshold, list):  # of the label's class; void is never a hard target
        threshold = 2.0 if label == VOID else threshold[label]
    hard = set() if label == VOID else {label}
    if threshold is None or len(allowed) == 1 or confidence >= round(255 * threshold):
        return hard
    return set() if VOID in allowed else allowed


@pytest.mark.parametrize("threshold", [None, 0.0, 0.5, 1.0, 1.1, [0.0, 0.5, 0.997, 1.1, 0.6]])
@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_targets_of_pseudo_labels(
    park: lsu_onto.Constraint, threshold: float | list[float] | None, weight: float
) -> None:
    pixels = [
        (row, label, confidence)
        for row in ROWS
        for label in (ALLOWED[row] if row >= 0 else {VOID})
        for confidence in ((0, 127, 128, 254, 255) if row in (1, 3, 5) else (255,))
    ]
    rows, labels, confidence = (np.array([column]) for column in zip(*pixels, strict=True))
    coder = TargetCoder(park, threshold, weight)
    found = coder.pseudo(labels.astype(np.uint8), rows.astype(np.int16), confidence.astype(np.uint8))
    for pixel, target in zip(pixels, found[0], strict=True):
        classes, factor = meaning(target, coder.table)
        assert classes == wanted(*pixel, threshold), pixel
        assert factor == (weight if classes else 1.0)


@pytest.mark.parametrize("threshold", [None, 0.0, 0.9])
def test_targets_of_own_labels(park: lsu_onto.Constraint, threshold: float | None) -> None:
    """Without a threshold what they decide, with any threshold the sets of closed rows as well."""
    coder = TargetCoder(park, threshold)
    found = coder.own(np.array([ROWS], np.int16))[0]
    both = {1, 2} if threshold is not None else set()
    assert [meaning(t, coder.table)[0] for t in found] == [{0}, both, {3}, set(), set(), set(), set()]


def test_what_the_teacher_left_void_is_a_set_where_the_row_is_closed(park: lsu_onto.Constraint) -> None:
    """Labels that `PseudoLabelLoop(threshold=…)` made void: the set is known all the same."""
    rows, labels = np.array([[1, 0]], np.int16), np.full((1, 2), VOID, np.uint8)
    coder = TargetCoder(park, 0.0)
    found = coder.pseudo(labels, rows, np.full((1, 2), 255, np.uint8))
    assert [meaning(t, coder.table)[0] for t in found[0]] == [{1, 2}, set()]


def test_hard_targets_stay_what_they_were(park: lsu_onto.Constraint) -> None:
    """Bytes, as before, wherever no set is in use; and no other numbers for hard classes where one is."""
    rows = np.array([ROWS], np.int16)
    assert TargetCoder(park).own(rows).dtype == np.uint8
    assert not TargetCoder(park).uses_table
    with_sets = TargetCoder(park, 0.5)
    assert with_sets.uses_table
    assert with_sets.own(rows).dtype == np.uint16
    assert with_sets.own(rows)[0, [0, 2, 4]].tolist() == [0, 3, VOID]


def test_a_table() -> None:
    table = TargetTable("some", 3, [TargetSet(s) for s in ((0, 1), (1, 2), (0, 1))] + [TargetSet((0, 1), 0.5)])
    assert [table.number((0, 1)), table.number([1, 2]), table.number((0, 1), 0.5)] == [256, 257, 258]
    assert len(table) == 3
    assert table.sets.tolist() == [[True, True, False], [False, True, True], [True, True, False]]
    assert table.weights.tolist() == [1, 1, 0.5]
    for wrong in ((), (1, 0), (0, 0), (2, 3), (-1, 0)):
        with pytest.raises(TargetError, match=r"a set of the classes .*: expected 1 to 3 of 0 to 2, ascending"):
            TargetTable("some", 3, [TargetSet(wrong)])
    with pytest.raises(TargetError, match="`some` has 65280 sets in use, more than 16 bits can number"):
        TargetTable("some", 3, [TargetSet((0, 1), 1 / (i + 1)) for i in range(65280)])


def test_a_target_map_to_look_at() -> None:
    """Classes that have a weight are classes all the same."""
    table = TargetTable("some", 3, [TargetSet((0, 1)), TargetSet((2,), 0.5)])
    classes, of_set = table.classes(np.array([[0, 2, VOID, 256, 257]]))
    assert classes.tolist() == [[0, 2, VOID, VOID, 2]]
    assert of_set.tolist() == [[False, False, False, True, False]]


def test_more_than_255_classes(tmp_path: Path) -> None:
    (tmp_path / "big.tax").write_text(
        "tax 1\nsource big v1\nencoding: id16\n" + "".join(f"{i} c{i}\n" for i in range(300))
    )
    (tmp_path / "few.tax").write_text(
        "tax 1\ndataset few v1 -> big v1\nencoding: id\nvoid: 255\n1 a > c7 c299\n2 b = c255\n"
    )
    coder = TargetCoder(lsu_onto.load(tmp_path / "few.tax"), 0.5)
    found = coder.own(np.array([[0, 1, ROW_VOID]], np.int16))
    table = coder.table
    assert (found.dtype, found[0, 1], found[0, 2]) == (np.int32, 255, 65535)
    assert np.flatnonzero(table.sets[found[0, 0] - table.first]).tolist() == [7, 299]


def test_wrong_settings(park: lsu_onto.Constraint) -> None:
    with pytest.raises(TargetError, match="a loss weight of 0: expected more than 0"):
        TargetCoder(park, weight=0)
    with pytest.raises(TargetError, match=r"a threshold of -0\.5"):
        TargetCoder(park, -0.5)
    with pytest.raises(TargetError, match=r"thresholds of shape \(3,\): expected one, or one for each of 5"):
        TargetCoder(park, [0.1, 0.2, 0.3])
    labels, rows = np.zeros((2, 3), np.uint8), np.zeros((2, 3), np.int16)
    coder = TargetCoder(park, 0.5)
    with pytest.raises(TargetError, match="without rows of d"):
        coder.pseudo(labels)
    with pytest.raises(TargetError, match="without confidence"):
        coder.pseudo(labels, rows)
    with pytest.raises(TargetError, match="differ in size"):
        coder.pseudo(labels, rows, np.zeros((3, 2), np.uint8))


# --- from files, through transforms -------------------------------------------------------------------------


def dataset(root: Path, drawn: dict[str, np.ndarray], pipeline: list[Any] = LOAD, **options: Any) -> TaxDataset:
    if "labels" not in options:
        options["labels"] = write_pseudo(root / "pseudo", drawn)
    return TaxDataset(write_tax(root / "tax"), str(root / "park"), "train", pipeline=pipeline, **options)


def test_a_dataset_gives_target_maps(tmp_path: Path) -> None:
    drawn = write_park(tmp_path / "park", {"a": ROWS})
    made = dataset(tmp_path, drawn, threshold=0.5)
    sample = made[0]["data_samples"]
    assert np.array_equal(sample.gt_rows.data[0], drawn["a"])
    labels, confidence = (read(tmp_path / "pseudo" / p / "labels/train/a.png") for p in (".", "confidence"))
    target = sample.gt_sem_seg.data[0].numpy()
    for y, x in np.ndindex(target.shape):
        pixel = (int(drawn["a"][y, x]), int(labels[y, x]), int(confidence[y, x]))
        assert meaning(target[y, x], made.table)[0] == wanted(*pixel, 0.5)
    assert (target > VOID).any()
    classes, of_set = made.targets(0)
    assert np.array_equal(of_set, target > VOID)
    assert np.array_equal(classes, np.where(of_set, VOID, target))
    weighted = dataset(tmp_path, drawn, threshold=0.5, loss_weight=0.5)  # other numbers, which mean the same
    assert not np.array_equal(weighted[0]["data_samples"].gt_sem_seg.data[0].numpy(), target)
    assert all(np.array_equal(a, b) for a, b in zip(weighted.targets(0), (classes, of_set), strict=True))


def test_what_a_threshold_needs(tmp_path: Path) -> None:
    drawn = write_park(tmp_path / "park", {"a": ROWS, "b": ROWS})
    pseudo = tmp_path / "pseudo"
    made = dataset(tmp_path, drawn, threshold=0.5, lazy_init=True)
    file = pseudo / "confidence/labels/train/a.png"
    save(file, np.zeros((3, 4), np.uint8))
    with pytest.raises(LabelFileError, match="4x3 of uint8; expected the confidence of a pseudo-label of 40x24"):
        made[0]
    file.unlink()
    with pytest.raises(DatasetError, match=r"1 of 2 images of confidence are missing.*confidence=True") as refusal:
        dataset(tmp_path, drawn, labels=str(pseudo), threshold=0.5)
    assert str(file) in str(refusal.value)
    assert len(dataset(tmp_path, drawn, labels=str(pseudo))) == 2


PLACED = [
    dict(type="Resize", scale=(75, 51)),
    dict(type="Resize", scale=(30, 20), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(10, 16)),
    dict(type="RandomFlip", prob=1.0, direction="vertical"),
    dict(type="RandomFlip", prob=1.0),
    dict(type="RandomRotate", prob=1.0, degree=(20, 20), seg_pad_val=VOID),
    dict(type="Pad", size=(64, 64)),
    dict(type="RandomCutOut", prob=1.0, n_holes=2, cutout_shape=(5, 5), seg_fill_in=VOID),
]


@given(st.lists(st.sampled_from(range(len(PLACED))), max_size=4), st.integers(0, 99))
@settings(max_examples=examples(40))
def test_transforms_move_the_three_together(
    tmp_path_factory: pytest.TempPathFactory, which: list[int], seed: int
) -> None:
    """Merging and then transforming is transforming each of the three, filled with void, and then merging."""
    init_default_scope("mmseg")
    constraint = lsu_onto.load(write_tax(tmp_path_factory.getbasetemp() / "together"))
    coder = TargetCoder(constraint, 0.5)
    rng = np.random.default_rng(seed)
    rows = rng.choice(ROWS, (24, 40)).astype(np.int16)
    labels = rng.integers(0, K, rows.shape).astype(np.uint8)
    confidence = rng.choice([64, 191], rows.shape).astype(np.uint8)
    transforms = Compose([TRANSFORMS.build(PLACED[i]) for i in which])

    def moved(pixels: np.ndarray, fill: int) -> np.ndarray:
        # Each with void in its own number where the transforms fill with 255: moved with an offset that makes it so.
        np.random.seed(seed)
        shifted = pixels.astype(np.int32) - fill + VOID
        image = np.zeros((24, 40, 3), np.uint8)
        results = transforms(dict(img=image, img_shape=(24, 40), gt_seg_map=shifted, seg_fields=["gt_seg_map"]))
        return results["gt_seg_map"] - VOID + fill

    one_map = moved(coder.pseudo(labels, rows, confidence), VOID)
    parts = coder.pseudo(
        moved(labels, VOID).astype(np.uint8),
        moved(rows, ROW_VOID).astype(np.int16),
        moved(confidence, 0).astype(np.uint8),
    )
    assert np.array_equal(one_map, parts)


def test_batches_are_padded_with_void(tmp_path: Path) -> None:
    drawn = write_park(tmp_path / "park", {"a": ROWS, "b": ROWS})
    crop = dict(type="RandomCrop", crop_size=(20, 30))
    items = list(dataset(tmp_path, drawn, [*LOAD[:2], crop, LOAD[2]], threshold=0.5))
    before = [i["data_samples"].gt_sem_seg.data.clone() for i in items]
    preprocessor = MODELS.build(
        dict(type="SegDataPreProcessor", mean=[0.0] * 3, std=[1.0] * 3, size_divisor=32, seg_pad_val=VOID)
    )
    batch = preprocessor(
        dict(inputs=[i["inputs"] for i in items], data_samples=[i["data_samples"] for i in items]),
        training=True,
    )
    for sample, target in zip(batch["data_samples"], before, strict=True):
        padded = sample.gt_sem_seg.data
        assert padded.shape == (1, 32, 32)
        assert torch.equal(padded[:, :20, :30], target)
        assert (padded[:, 20:] == VOID).all()
        assert (padded[:, :, 30:] == VOID).all()


# --- images without any label -------------------------------------------------------------------------------


def compound(root: Path, stems: dict[str, list[int]], **options: Any) -> CompoundDataset:
    write_park(root / "park", stems)
    one = dict(type="TaxDataset", taxonomy=write_tax(root / "tax"), data_root=str(root / "park"), split="train")
    return CompoundDataset([one], pipeline=LOAD, **options)


def test_training_passes_over_void_images(tmp_path: Path) -> None:
    union = compound(tmp_path, {"a": [0], "b": [4], "c": [ROW_VOID], "d": [2]})
    messages = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lsu_seg.data.datasets.print_log", lambda text, *_: messages.append(text))
        samples = [union[i]["data_samples"] for i in (0, 1, 2, 3, 1)]
    assert [Path(s.img_path).stem for s in samples] == ["a", "d", "d", "d", "d"]
    assert [s.void_skipped for s in samples] == [0, 2, 1, 0, 2]
    assert {s.dataset for s in samples} == {"park"}
    assert len(messages) == 2  # once for each image
    assert str(tmp_path / "park/labels/train/b.png") in messages[0]
    assert "void everywhere" in messages[0]
    assert "(2 of `park` so far)" in messages[1]


def test_evaluation_does_not(tmp_path: Path) -> None:
    stems = {"a": [0], "b": [4]}
    union = compound(tmp_path, stems, test_mode=True)
    assert [Path(union[i]["data_samples"].img_path).stem for i in (0, 1)] == ["a", "b"]
    alone = TaxDataset(write_tax(tmp_path / "tax"), str(tmp_path / "park"), "train", pipeline=LOAD)
    assert [Path(s["data_samples"].img_path).stem for s in alone] == ["a", "b"]


def test_nothing_but_void(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="each of its 2 images is void everywhere"):
        compound(tmp_path, {"a": [4], "b": [3]})[0]


def test_twins_have_names_of_their_own(tmp_path: Path) -> None:
    write_park(tmp_path / "park", {"a": [0]})
    one = dict(
        type="TaxDataset",
        taxonomy=write_tax(tmp_path / "tax"),
        data_root=str(tmp_path / "park"),
        split="train",
    )
    union = CompoundDataset([one, one], pipeline=LOAD)
    assert [union[i]["data_samples"].dataset for i in (0, 1)] == ["park", "park#2"]


# --- masks with classes -------------------------------------------------------------------------------------


def test_query_targets() -> None:
    table = TargetTable("some", 4, [TargetSet((0, 1)), TargetSet((2,), 0.5)])
    either, one = table.number((0, 1)), table.number((2,), 0.5)
    target = np.array([[0, 0, either], [one, VOID, 3]])
    q = query_targets(target, table)
    assert q.class_labels.tolist() == [0, 2, 3]
    assert np.array_equal(q.mask_labels, [target == 0, target == one, target == 3])
    unknown = [
        (target == either) | (target == VOID),  # for class 0
        target == VOID,
        target == VOID,
    ]
    assert np.array_equal(q.known, ~np.array(unknown))
    nothing = query_targets(np.full((2, 2), VOID), table)
    assert nothing.mask_labels.shape == (0, 2, 2)
    for wrong in (4, 254, 258, -1):
        with pytest.raises(TargetError, match=f"target {wrong} is neither"):
            query_targets(np.array([[wrong]]), table)


def test_query_targets_of_hard_labels_are_their_classes() -> None:
    target = encode(np.random.default_rng(0).integers(-1, 4, (9, 9)), "id")
    target[target > 4] = VOID
    q = query_targets(target, TargetTable("some", 5))
    rebuilt = np.full(target.shape, VOID)
    for c, mask in zip(q.class_labels, q.mask_labels, strict=True):
        rebuilt[mask] = c
    assert np.array_equal(rebuilt, target)
    assert np.array_equal(q.known, np.broadcast_to(target != VOID, q.known.shape))
