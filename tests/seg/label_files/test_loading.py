"""Image and label lie on each other: sizes and EXIF orientation (BAD_INPUTS rows 22 and 23)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from PIL import Image

from helpers.tiny import LOAD, save, write_park, write_tax
from lsu_seg.data.datasets import TaxDataset
from lsu_seg.label_files import LabelFileError

ORIENTATION = 0x0112
STORED = [dict(type="LoadTaxImage"), *LOAD[1:]]


@pytest.fixture(autouse=True)
def scope() -> None:
    init_default_scope("mmseg")


def dataset(tmp_path: Path, pipeline: list) -> TaxDataset:
    return TaxDataset(write_tax(tmp_path / "tax"), str(tmp_path / "park"), "train", pipeline=pipeline)


def turned(tmp_path: Path, orientation: int, size: tuple[int, int]) -> np.ndarray:
    """A dataset of one image that asks to be shown turned; returns its stored pixels."""
    write_park(tmp_path / "park", {"a": [0, 1, 2]}, size=size)
    path = tmp_path / "park/images/train/a.png"
    image = Image.open(path)
    exif = image.getexif()
    exif[ORIENTATION] = orientation
    pixels = np.asarray(image).copy()
    image.save(path, exif=exif)
    return pixels


@pytest.mark.parametrize("orientation", [2, 3, 6, 8])
def test_pixels_are_taken_as_they_are_stored(tmp_path: Path, orientation: int) -> None:
    pixels = turned(tmp_path, orientation, (24, 24))
    (sample,) = dataset(tmp_path, STORED)
    assert np.array_equal(sample["inputs"].numpy(), pixels.transpose(2, 0, 1)[::-1])  # mmseg's inputs are BGR


@pytest.mark.parametrize(("orientation", "size"), [(6, (24, 24)), (3, (24, 40))])
def test_a_turned_image_is_refused_also_where_its_size_does_not_tell(
    tmp_path: Path, orientation: int, size: tuple[int, int]
) -> None:
    turned(tmp_path, orientation, size)
    with pytest.raises(LabelFileError, match=rf"a\.png: found EXIF orientation {orientation}; .*`LoadTaxImage`"):
        dataset(tmp_path, LOAD)[0]


def test_an_image_that_lies_as_stored_is_loaded_by_either(tmp_path: Path) -> None:
    turned(tmp_path, 1, (24, 40))
    (one,), (other,) = dataset(tmp_path, LOAD), dataset(tmp_path, STORED)
    assert np.array_equal(one["inputs"].numpy(), other["inputs"].numpy())


@pytest.mark.parametrize("pipeline", [LOAD, STORED])
def test_image_and_label_of_different_size_are_refused(tmp_path: Path, pipeline: list) -> None:
    write_park(tmp_path / "park", {"a": [0, 1]})
    save(tmp_path / "park/images/train/a.png", np.zeros((12, 20, 3), np.uint8))
    with pytest.raises(LabelFileError, match=r"the label is 40x24 and the image `.*a\.png` 20x12; .*never resized"):
        dataset(tmp_path, pipeline)[0]


@pytest.mark.parametrize("data", [b"", b"what?", b"\x89PNG\r\n\x1a\n"])
def test_an_unreadable_image_is_named(tmp_path: Path, data: bytes) -> None:
    write_park(tmp_path / "park", {"a": [0, 1]})
    path = tmp_path / "park/images/train/a.png"
    path.write_bytes(data)
    with pytest.raises(LabelFileError, match=r"a\.png: found no image that OpenCV can read"):
        dataset(tmp_path, STORED)[0]
