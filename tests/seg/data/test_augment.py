"""Quicker augmentations: the same pixels from the same random numbers as MMSegmentation's own."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmseg.datasets.transforms import PackSegInputs, PhotoMetricDistortion, RandomCrop
from PIL import Image

from helpers.examples import examples
from helpers.pngs import png
from lsu_onto.raster import loops
from lsu_seg.data import transforms
from lsu_seg.data.augment import TaxPhotoMetricDistortion, TaxRandomCrop
from lsu_seg.data.transforms import LoadTaxImage, PackTaxInputs
from lsu_seg.layout.pairs import DatasetError


def sample(rng: np.random.Generator, dtype: Any = np.uint8, mirrored: bool = False) -> dict[str, Any]:
    image = rng.integers(0, 256, (40, 60, 3), np.uint8)
    labels = rng.integers(0, rng.integers(1, 5), (5, 6)).repeat(8, 0).repeat(10, 1).astype(dtype)
    labels[rng.random(labels.shape) < 0.3] = 255
    if mirrored:
        image = np.flip(image, 1)  # as RandomFlip leaves it
    return {"img": image, "gt_seg_map": labels, "seg_fields": ["gt_seg_map"]}


def applied(transform: Any, results: dict[str, Any], seed: int) -> tuple[dict[str, Any], float]:
    """The result, and the next random number."""
    np.random.seed(seed)
    return transform(dict(results)), np.random.random()


@settings(max_examples=examples(60))
@given(
    st.integers(0, 999), st.sampled_from([np.uint8, np.uint16, np.int64]), st.sampled_from([0.5, 0.75, 1.0]), st.data()
)
def test_crops_are_those_of_mmsegmentation(seed: int, dtype: Any, ratio: float, data: st.DataObject) -> None:
    results, ignored = sample(np.random.default_rng(seed), dtype), data.draw(st.sampled_from([255, 0, -1]))
    size = (data.draw(st.integers(1, 45)), data.draw(st.integers(1, 65)))
    expected, after = applied(RandomCrop(size, ratio, ignored), results, seed)
    cropped, ours_after = applied(TaxRandomCrop(size, ratio, ignored), results, seed)
    assert np.array_equal(cropped["img"], expected["img"])
    assert np.array_equal(cropped["gt_seg_map"], expected["gt_seg_map"])
    assert ours_after == after


@settings(max_examples=examples(60))
@given(st.integers(0, 999), st.booleans())
def test_distorted_colours_are_those_of_mmsegmentation(seed: int, mirrored: bool) -> None:
    results = sample(np.random.default_rng(seed), mirrored=mirrored)
    before = results["img"].copy()
    expected, after = applied(PhotoMetricDistortion(), results, seed)
    distorted, ours_after = applied(TaxPhotoMetricDistortion(), results, seed)
    assert np.array_equal(distorted["img"], expected["img"])
    assert ours_after == after
    assert np.array_equal(results["img"], before)


NAN = math.nan


@pytest.mark.parametrize(
    ("kind", "key", "values"),
    [
        (
            "TaxRandomCrop",
            "crop_size",
            [0, (0, 0), (-3, 4), (32.5, 40), (32,), (1, 2, 3), "48x64", None, (NAN, 3), True],
        ),
        ("RareClassCrop", "cat_max_ratio", [NAN, -1, 75, "0.75", None, True]),
        ("TaxRandomCrop", "ignore_index", ["x", None, 2.5]),
        ("TaxPhotoMetricDistortion", "brightness_delta", [-5, "32", None, NAN, (1, 2)]),
        ("TaxPhotoMetricDistortion", "hue_delta", [-5, "18", None, NAN, 2.5, 1000]),
        ("TaxPhotoMetricDistortion", "contrast_range", [0.5, (1.5, 0.5), (-5, -2), (NAN, 1), ("a", "b"), (1,), None]),
        ("TaxPhotoMetricDistortion", "saturation_range", [(0.5, math.inf), "ab", (1, 2, 3)]),
        ("TaxMosaic", "prob", [2, NAN, "1", True]),
        ("TaxMosaic", "img_scale", [96, (96,), (0, 0), (40.5, 30), ("a", "b")]),
        ("TaxMosaic", "center_ratio_range", [(2, 1), (3, 5), "ab", 1]),
        ("TaxMosaic", "pad_val", [(1, 2), "0", -1, None]),
        ("TaxMosaic", "seg_pad_val", ["255", -1, 2.5]),
        ("PackTaxInputs", "meta_keys", ["img_path", 5, None, (1,)]),
    ],
)
def test_settings_that_would_fail_at_an_image_are_refused_when_they_are_read(
    kind: str, key: str, values: list[Any]
) -> None:
    needed = {"TaxMosaic": dict(prob=1.0)}.get(kind, dict(crop_size=8) if kind.endswith("Crop") else {})
    for value in values:
        with pytest.raises(DatasetError, match=re.escape(f"`{key}` of a {kind} is {value!r}; expected ")):
            getattr(transforms, kind, TaxPhotoMetricDistortion)(**needed | {key: value})


def test_a_hue_that_stays_and_a_size_as_json_has_it() -> None:
    results = sample(np.random.default_rng(0))
    settings = dict(brightness_delta=0, contrast_range=(1, 1), saturation_range=(1, 1), hue_delta=0)
    distort = TaxPhotoMetricDistortion(**settings)
    for seed in range(8):
        turned = applied(distort, results, seed)[0]["img"].astype(int) - results["img"]
        assert abs(turned).max() < 8  # there and back again through hue and saturation
    assert TaxRandomCrop([3, 4]).crop_size == (3, 4)
    assert transforms.TaxMosaic(1.0, [3, 4], pad_val=(1, 2, 3)).img_scale == (3, 4)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("cut", [slice(None), slice(3, 20)])
def test_packed_pixels_are_those_of_mmsegmentation(mirrored: bool, cut: slice) -> None:
    results = sample(np.random.default_rng(0), mirrored=mirrored)
    for image in (results["img"], results["img"][..., 0], results["img"].astype(np.float32)):
        given = results | {"img": image[cut]}
        ours, expected = PackTaxInputs()(dict(given))["inputs"], PackSegInputs(())(dict(given))["inputs"]
        assert ours.dtype == expected.dtype
        assert np.array_equal(ours.numpy(), expected.numpy())


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops._Work, "done", loops.WORTH)
    assert loops.compiled_loops(0) is not None


def test_png_images_are_read_as_opencv_reads_them(tmp_path: Path, compiled: None) -> None:
    rng, file, buffer = np.random.default_rng(0), tmp_path / "a.png", io.BytesIO()
    values = rng.integers(0, 256, (21, 34, 3), np.uint8)
    values[:, 9:] = values[:, 8:9] + (np.arange(25)[:, None] % 3).astype(np.uint8)
    Image.fromarray(values).save(buffer, "PNG", transparency=(1, 2, 3), gamma=0.5)
    for data in (
        png(values, 8, 2, (0, 1, 2, 3, 4)),
        png(values, 8, 2, (4,), interlaced=True),
        png(values[..., 0], 8, 0, (4,)),
        png(values[..., 0], 8, 3),
        png(rng.integers(0, 256, (9, 8, 4)), 8, 6, (1, 4)),
        buffer.getvalue(),
    ):
        file.write_bytes(data)
        loaded = LoadTaxImage()({"img_path": str(file)})
        assert np.array_equal(loaded["img"], cv2.imread(str(file)))
        assert loaded["img"].flags.c_contiguous


def test_a_damaged_png_image_gets_the_same_answer_however_much_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = png(np.random.default_rng(0).integers(0, 256, (40, 30, 3)), 8, 2, (4,))
    file, answers = tmp_path / "a.png", []
    for broken in (data[:200], data[:-30], data[:300] + b"\xff" + data[301:], data[:20]):
        file.write_bytes(broken)
        for done in (0, loops.WORTH):
            monkeypatch.setattr(loops._Work, "done", done)
            try:
                answers.append(LoadTaxImage()({"img_path": str(file)})["img"].tolist())
            except Exception as error:
                answers.append(f"{type(error).__name__}: {error}")
    assert answers[::2] == answers[1::2]
    assert any(isinstance(answer, str) for answer in answers)


def test_an_image_that_would_vanish_in_a_mosaic_is_named() -> None:
    mosaic = transforms.TaxMosaic(prob=1.0, img_scale=(20, 40))
    image = dict(img=np.zeros((2, 100, 3), np.uint8), gt_seg_map=np.zeros((2, 100), np.uint8), img_path="a.png")
    with pytest.raises(DatasetError, match=r"a.png: nothing is left of 100 x 2 pixels in a mosaic of images"):
        mosaic.transform({**image, "mix_results": [image] * 3})
