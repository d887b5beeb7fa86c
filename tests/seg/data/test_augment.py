"""Quicker augmentations: the same pixels from the same random numbers as MMSegmentation's own."""

from __future__ import annotations

import io
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
from lsu_seg.data.augment import TaxPhotoMetricDistortion, TaxRandomCrop
from lsu_seg.data.transforms import LoadTaxImage, PackTaxInputs


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
