"""Image and label lie on each other: sizes and EXIF orientation (BAD_INPUTS rows 22 and 23)."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope
from PIL import Image

from helpers.pngs import SIGNATURE, chunk, header
from helpers.tiny import LOAD, save, write_park, write_tax
from lsu_seg.data.datasets import TaxDataset
from lsu_seg.label_files import LabelFileError
from lsu_seg.label_files.members import read_bytes

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


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "an empty file"),
        (b"what?", "no known image"),
        (b"\x89PNG\r\n\x1a\n", "a damaged PNG image"),
        (b"\xff\xd8\xff\xe0", "a damaged JPEG image"),
        (SIGNATURE + header(1 << 30, 2, 8, 2) + chunk(b"IDAT") + chunk(b"IEND"), "a damaged PNG image"),
        (b"version https://git-lfs", "a git-LFS pointer"),
    ],
)
def test_an_unreadable_image_is_named(tmp_path: Path, data: bytes, found: str) -> None:
    write_park(tmp_path / "park", {"a": [0, 1]})
    path = tmp_path / "park/images/train/a.png"
    path.write_bytes(data)
    with pytest.raises(
        LabelFileError, match=rf"a\.png: found {found}.*; expected .*image; (get the file|run `git lfs)"
    ):
        dataset(tmp_path, STORED)[0]


def test_a_label_that_is_a_device_is_refused_and_not_read_for_ever(tmp_path: Path) -> None:
    write_park(tmp_path / "park", {"a": [0, 1]})
    label = tmp_path / "park/labels/train/a.png"
    label.unlink()
    label.symlink_to("/dev/zero")
    with pytest.raises(
        LabelFileError, match=r"a\.png: found no readable file \(it is a device, not a file\); expected"
    ):
        read_bytes(label)


# --- 16-bit images -----------------------------------------------------------------------------------------

CAMERA = np.random.default_rng(0).integers(0, 1 << 12, (24, 40, 3), np.uint16)
"""What a camera of 12 bits delivers."""
CAMERA[0, 0] = 4095


def camera(tmp_path: Path, pixels: np.ndarray, keys: str = "", significant: int = 0) -> TaxDataset:
    """A dataset of one 16-bit image, given as BGR; `significant` is what its file says (sBIT)."""
    write_park(tmp_path / "park", {"a": [0, 1]})
    path = tmp_path / "park/images/train/a.png"
    assert cv2.imwrite(str(path), pixels)
    if significant:
        data = path.read_bytes()
        path.write_bytes(data[:33] + chunk(b"sBIT", bytes([significant] * (3 if pixels.ndim == 3 else 1))) + data[33:])
    tax = Path(write_tax(tmp_path / "tax"))
    tax.write_text(tax.read_text().replace("encoding: ", f"{keys}encoding: ", 1))
    return TaxDataset(str(tax), str(tmp_path / "park"), "train", pipeline=STORED)


def loaded(dataset: TaxDataset) -> np.ndarray:
    return dataset[0]["inputs"].numpy().transpose(1, 2, 0)


@pytest.mark.parametrize("bits", [10, 12])
def test_camera_data_in_16_bits_is_as_bright_as_the_taxonomy_says(tmp_path: Path, bits: int) -> None:
    pixels = CAMERA >> 12 - bits
    assert np.array_equal(loaded(camera(tmp_path, pixels, f"image-bits: {bits}\n")), pixels >> bits - 8)


def test_or_as_the_file_says(tmp_path: Path) -> None:
    assert np.array_equal(loaded(camera(tmp_path, CAMERA, significant=12)), CAMERA >> 4)
    grey = CAMERA[..., 0]
    assert np.array_equal(loaded(camera(tmp_path, grey, significant=12))[..., 1], grey >> 4)


@pytest.mark.parametrize("top", [1 << 12, 1 << 7])  # all 12 bits, and a dark frame
def test_values_that_were_scaled_to_16_bits_stay_as_they_are(
    tmp_path: Path, top: int, recwarn: pytest.WarningsRecorder
) -> None:
    """As the specification of PNG demands of who writes sBIT."""
    values = CAMERA % top
    assert np.array_equal(loaded(camera(tmp_path, values << 4 | values >> 8, significant=12)), values >> 4)
    assert not recwarn.list


def test_full_range_is_loaded_as_before_and_nearly_black_is_told_once(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    bright = CAMERA << 4
    assert np.array_equal(loaded(camera(tmp_path, bright)), bright >> 8)
    assert not recwarn.list
    dark = camera(tmp_path, CAMERA)
    with pytest.warns(UserWarning, match="no value of this 16-bit image is above 4095, .*`image-bits: 12`") as told:
        assert np.array_equal(loaded(dark), CAMERA >> 8)
        loaded(dark)
    assert len(told) == 1


def test_more_bits_than_the_taxonomy_says_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        LabelFileError, match=r"found an image with the value 4095; expected at most 1023 \(`image-bits"
    ):
        loaded(camera(tmp_path, CAMERA, "image-bits: 10\n"))


def test_another_loader_is_refused_where_it_would_be_wrong(tmp_path: Path) -> None:
    data = camera(tmp_path, CAMERA, "image-bits: 12\n")
    tax = str(tmp_path / "tax/park.tax")
    with pytest.raises(LabelFileError, match=r"a\.png: found 16 bits, .* 12 are used, .*`LoadTaxImage`"):
        TaxDataset(tax, str(tmp_path / "park"), "train", pipeline=LOAD)[0]
    camera(tmp_path, CAMERA.astype(np.uint8), "image-bits: 12\n")
    assert TaxDataset(tax, str(tmp_path / "park"), "train", pipeline=LOAD)[0]["inputs"].shape == (3, 24, 40)
    assert len(data) == 1


def test_another_loader_is_refused_by_what_the_file_says_too(tmp_path: Path) -> None:
    """`LoadImageFromFile` is right where the values have been scaled, as the specification demands."""
    tax = write_tax(tmp_path / "tax")
    for pixels in (CAMERA, CAMERA[..., 0]):
        camera(tmp_path, pixels, significant=12)
        with pytest.raises(LabelFileError, match=r"a\.png: found 16 bits, of which the file \(sBIT\) says that 12 are"):
            TaxDataset(tax, str(tmp_path / "park"), "train", pipeline=LOAD)[0]
    for pixels, significant in ((CAMERA << 4 | CAMERA >> 8, 12), (CAMERA << 4, 16), (CAMERA << 4, 0)):
        camera(tmp_path, pixels, significant=significant)
        image = loaded(TaxDataset(tax, str(tmp_path / "park"), "train", pipeline=LOAD))
        assert np.array_equal(image, CAMERA >> 4)


def test_sixteen_bits_of_a_tiff(tmp_path: Path) -> None:
    data = camera(tmp_path, CAMERA, "image-bits: 12\n")
    path = tmp_path / "park/images/train/a.png"
    assert cv2.imwrite(str(path.with_suffix(".tiff")), CAMERA)
    path.with_suffix(".tiff").rename(path)
    assert np.array_equal(loaded(data), CAMERA >> 4)


def test_eight_bits_stay_eight_whatever_is_said_of_16(tmp_path: Path) -> None:
    pixels = CAMERA.astype(np.uint8)
    assert np.array_equal(loaded(camera(tmp_path, pixels, "image-bits: 12\n")), pixels)
