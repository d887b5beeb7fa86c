"""`lsu-seg scan` on images: what is damaged, and what would be loaded darker than it is."""

from __future__ import annotations

import io
import json
import sys
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import lsu_onto
from helpers import pngs
from helpers.tiny import write_park
from helpers.tiny import write_tax as write_park_tax
from lsu_seg.data.transforms import ORIENTATION, LoadTaxImage
from lsu_seg.errors import MissingPackageError
from lsu_seg.label_files import LabelFileError, LabelReader
from lsu_seg.layout.pairs import Pair
from lsu_seg.scan import collect
from lsu_seg.scan.collect import Inspector, Task, look_at_image
from lsu_seg.scan.run import SAMPLE, scan
from lsu_seg.scan.text import shares
from lsu_seg.scan.totals import Finding, Report

PICTURE = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8), (5, 5), 0)


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PICTURE).save(buffer, kind)
    return buffer.getvalue()


def look(tmp_path: Path, deep: bool = False, jobs: int = 1, keys: str = "") -> tuple[Report, dict[str, Finding]]:
    tax = Path(write_park_tax(tmp_path / "tax"))
    tax.write_text(tax.read_text().replace("encoding: ", f"{keys}encoding: ", 1))
    report = scan(str(tax), tmp_path / "data", ["train"], work_dir=tmp_path / "work", deep=deep, jobs=jobs)
    return report, {f.kind: f for f in report.findings}


def broken_checksum() -> bytes:
    """A PNG whose pixels do not have their checksum: Pillow decodes it without a word."""
    pixels = bytearray(pngs.chunk(b"IDAT", zlib.compress(pngs.rows(PICTURE, colour=2), 0)))
    pixels[-1] ^= 1
    return pngs.SIGNATURE + pngs.header(40, 24, 8, 2) + bytes(pixels) + pngs.chunk(b"IEND")


DAMAGED = {
    "a third of a JPEG": (
        encoded("JPEG")[: len(encoded("JPEG")) // 3],
        "a damaged JPEG image (",
    ),
    "half a PNG": (encoded("PNG")[:1000], "a damaged PNG image (image file is truncated"),
    "a PNG with other pixels": (broken_checksum(), "a damaged PNG image (broken PNG file"),
    "half a TIFF": (encoded("TIFF")[:1000], "a damaged TIFF image ("),
    "the start of a PNG": (encoded("PNG")[:20], "a damaged PNG image ("),
    "the start of a JPEG": (encoded("JPEG")[:20], "a damaged JPEG image; "),
    "nothing": (b"", "an empty file (0 bytes)"),
    "a page": (b"<!DOCTYPE html><html>", "an HTML or XML page"),
    "text": (b"what?", "no known image or JSON"),
}


WIDE = PICTURE[..., 0].astype(np.uint16) * 257


def saved(kind: str, picture: np.ndarray, orientation: int = 1, mode: str = "", **options: Any) -> bytes:
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[ORIENTATION] = orientation
    image = Image.fromarray(picture)
    (image.convert(mode) if mode else image).save(buffer, kind, **({"exif": exif} if orientation > 1 else options))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (saved("TIFF", PICTURE, 3), "a TIFF image with orientation 3"),  # of the same size, and upside down
        (saved("TIFF", PICTURE[..., 0].astype(np.float32)), "a TIFF image of 32-bit values"),
        (saved("TIFF", PICTURE[..., 0].astype(np.int32)), "a TIFF image of 32-bit values"),
        (saved("PPM", PICTURE[..., 0].astype(np.float32)), "a PPM image of 32-bit values"),
        (saved("TGA", PICTURE), "a TGA image"),
        (saved("TIFF", PICTURE, compression="zstd"), "a TIFF image compressed in a way (zstd)"),
        (saved("TIFF", PICTURE, compression="lzma"), "a TIFF image compressed in a way (lzma)"),
        (saved("TIFF", PICTURE, tiffinfo={339: (2, 2, 2)}), "a TIFF image of signed values"),  # Pillow knows none
        (
            saved("TIFF", PICTURE).replace(b"\3\1\3\0\1\0", b"\3\1\7\0\1\0"),
            "a damaged TIFF image (tag 259 is no number)",
        ),
        (saved("TIFF", PICTURE, big_tiff=True, tiffinfo={274: 3}), "a TIFF image with orientation 3"),
        (saved("TIFF", WIDE, tiffinfo={262: 0}), "a TIFF image of 16-bit values, of which the largest is black"),
        (saved("TIFF", PICTURE, mode="LAB", tiffinfo={262: 8}), "a TIFF image of L*a*b* values"),
        (saved("JPEG2000", PICTURE, mode="CMYK"), "a JPEG 2000 image of mode CMYK"),
        (saved("JPEG2000", PICTURE, mode="YCbCr"), "a JPEG 2000 image of sYCC values"),
        (saved("JPEG2000", PICTURE[..., 0], no_jp2=True), "a JPEG 2000 image of mode L that says nothing"),
    ],
)
def test_what_opencv_reads_otherwise_or_not_is_told_before_training(tmp_path: Path, data: bytes, found: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(data)
    said = look_at_image(path)["image"]
    assert said.startswith(f"{path}: found {found}")
    with pytest.raises(LabelFileError) as refused:
        LoadTaxImage()({"img_path": str(path)})
    assert str(refused.value) == said


def test_a_damaged_tiff_of_which_opencv_keeps_what_it_has_is_refused_by_all(tmp_path: Path) -> None:
    data = bytearray(saved("TIFF", PICTURE, compression="tiff_adobe_deflate"))
    data[1000] ^= 4
    path = tmp_path / "a.png"
    path.write_bytes(data)
    said = look_at_image(path, decode=True)["image"]
    assert said.startswith(f"{path}: found a damaged TIFF image")
    with pytest.raises(LabelFileError) as refused:
        LoadTaxImage()({"img_path": str(path)})
    assert str(refused.value) == said


def test_colours_are_those_in_the_file_whatever_alpha_says(tmp_path: Path) -> None:
    for name in ("TIFF", "PNG"):
        (tmp_path / "a.png").write_bytes(saved(name, np.dstack([PICTURE, PICTURE[..., :1]])))
        assert np.array_equal(LoadTaxImage()({"img_path": str(tmp_path / "a.png")})["img"][..., ::-1], PICTURE)


def test_what_only_pillow_decodes_is_told_where_opencv_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(saved("TIFF", PICTURE))
    assert look_at_image(path, decode=True)["decoded"]
    monkeypatch.setattr(cv2, "imdecode", lambda *_: None)
    assert "found a TIFF image that Pillow decodes, and OpenCV does not" in look_at_image(path, decode=True)["image"]
    monkeypatch.setattr(collect, "find_spec", lambda _: None)
    assert look_at_image(path, decode=True)["decoded"]


def test_an_opencv_that_cannot_be_imported_is_no_fault_of_the_image_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cv2").mkdir()
    (tmp_path / "cv2/__init__.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cv2")
    path = tmp_path / "a.tif"
    path.write_bytes(saved("TIFF", PICTURE))
    with pytest.raises(MissingPackageError, match=r"a.tif: a package that reads images is installed and .* \(libGL"):
        look_at_image(path, decode=True)


def test_a_palette_that_is_missing_is_found_when_an_image_is_decoded(tmp_path: Path) -> None:
    pixels = pngs.chunk(b"IDAT", zlib.compress(bytes(24 * 41)))
    (tmp_path / "a.png").write_bytes(pngs.SIGNATURE + pngs.header(40, 24, 8, 3) + pixels + pngs.chunk(b"IEND"))
    assert "(it has no palette)" in look_at_image(tmp_path / "a.png", decode=True)["image"]


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_image_is_an_error_that_says_what_it_is(tmp_path: Path, case: str) -> None:
    data, message = DAMAGED[case]
    write_park(tmp_path / "data", {"a": [0, 1], "b": [1]})
    (tmp_path / "data/images/train/a.png").write_bytes(data)
    report, findings = look(tmp_path)
    assert findings["image"].severity == "error"
    (text,) = findings["image"].examples
    assert text.startswith(f"{tmp_path}/data/images/train/a.png: found {message}")
    assert "get the file again" in text and "encoding" not in text and "annotation" not in text
    assert report.read == 2


def test_a_sample_is_decoded_and_all_with_deep(tmp_path: Path) -> None:
    n = SAMPLE + 5
    write_park(tmp_path / "data", {f"{i:03}": [0, 1, 2, 3, 4, 5] for i in range(n)})
    report, findings = look(tmp_path)
    assert report.decoded == SAMPLE and "image" not in findings
    assert shares(report)[0].endswith(f"; {SAMPLE} images decoded")
    assert shares(report)[1].startswith("the pixels of the other 5 images were not decoded")
    (state,) = (tmp_path / "work").glob("*.jsonl")
    before = state.read_text().splitlines()
    first, last = (json.loads(before[i])["record"] for i in (1, -1))
    assert first["decoded"] and last["decoded"]  # from the first to the last
    missed = next(json.loads(line)["key"] for line in before[1:] if "decoded" not in json.loads(line)["record"])
    path = tmp_path / "data" / f"{missed.replace('labels', 'images')}.png"
    path.write_bytes(path.read_bytes()[:-20])
    assert look(tmp_path)[1]["image"].count == 1, "its checksums are wrong"
    path.write_bytes(pngs.SIGNATURE + pngs.header(40, 24, 8, 2) + pngs.chunk(b"IDAT", b"none") + pngs.chunk(b"IEND"))
    assert "image" not in look(tmp_path)[1]
    label = tmp_path / "data" / f"{missed}.png"
    (tmp_path / "unread").write_bytes(label.read_bytes())
    report, findings = look(tmp_path, deep=True, jobs=2)
    assert (report.decoded, findings["image"].count) == (n, 1)
    assert shares(report)[0].endswith("; all images decoded")
    assert (
        len(state.read_text().splitlines()) == len(before) + 2 + 5
    )  # the pair that changed twice, and those not decoded before
    assert look(tmp_path)[0] == report
    assert report == scan(
        str(tmp_path / "tax/park.tax"), tmp_path / "data", ["train"], work_dir=tmp_path / "2", deep=True, jobs=1
    )


def test_what_is_known_of_a_label_is_kept_when_its_image_is_decoded(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    known = {"size": [40, 24], "rows": [[0, 960]], "void": 0, "image_size": [40, 24]}
    task = Task(Pair(tmp_path / "a.png", tmp_path / "gone.png", "a"), True, known)
    reader = LabelReader(lsu_onto.load(write_park_tax(tmp_path / "tax")))
    assert Inspector(reader)([task]) == [{**known, "decoded": True}]


@pytest.mark.parametrize("grey", [True, False])
def test_camera_data_in_16_bits_is_told_with_what_to_write(tmp_path: Path, grey: bool) -> None:
    write_park(tmp_path / "data", {"a": [0], "b": [1]})
    for i, name in enumerate("ab"):
        pixels = np.random.default_rng(i).integers(0, 1 << 11 + i, (24, 40) if grey else (24, 40, 3), np.uint16)
        cv2.imwrite(str(tmp_path / f"data/images/train/{name}.png"), pixels)
    _, findings = look(tmp_path)
    assert (findings["bits"].severity, findings["bits"].count) == ("warning", 2)
    assert "is above 4095, and of 65535 there are: write `image-bits: 12`" in findings["bits"].examples[0]
    assert not {"bits", "image"} & set(look(tmp_path, keys="image-bits: 12\n")[1])
    _, findings = look(tmp_path, keys="image-bits: 11\n")
    assert "found a value of 12 bits; expected at most 11, as `image-bits:` says" in findings["image"].examples[0]


def test_images_that_use_16_bits_or_say_how_many_are_no_finding(tmp_path: Path) -> None:
    write_park(tmp_path / "data", {"a": [0], "b": [1]})
    for name, top in (("a", 1 << 12), ("b", 1 << 16)):  # one is dark, not all
        path = tmp_path / f"data/images/train/{name}.png"
        cv2.imwrite(str(path), np.random.default_rng(0).integers(0, top, (24, 40, 3), np.uint16))
    assert "bits" not in look(tmp_path)[1]
    path.unlink()
    (tmp_path / "data/labels/train/b.png").unlink()
    assert "bits" in look(tmp_path)[1]
    dark = tmp_path / "data/images/train/a.png"
    data = dark.read_bytes()
    dark.write_bytes(data[:33] + pngs.chunk(b"sBIT", b"\x0c\x0c\x0c") + data[33:])
    assert "bits" not in look(tmp_path)[1]
