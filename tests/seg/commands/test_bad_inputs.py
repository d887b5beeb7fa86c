"""BAD_INPUTS rows 1-37 (what concerns files), row by row: through `lsu-seg scan`, and where else each is proved."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from lsu_seg.cli import main
from lsu_seg.label_files import void_index

HERE = Path(__file__).parent
ONTO = HERE.parent / "onto"

PROOF: dict[int, tuple[str, ...]] = {
    1: ("test_palette", "test_encodings.py::test_different_palette_warns_once"),
    2: ("test_palette", "test_encodings.py::test_8_bit_values_and_palette_indices_are_read_as_stored"),
    3: ("test_label_files", "test_encodings.py::test_grey_stored_as_rgb_suggests_the_encoding"),
    4: ("test_swapped_and_near_colours", "test_encodings.py::test_swapped_channels_get_a_hint"),
    5: ("test_label_files", "test_encodings.py::test_alpha_that_says_something_is_refused"),
    6: ("test_label_files", "test_scan.py::test_packed_values_name_their_encoding"),
    7: ("test_label_files", "test_encodings.py::test_tiff_values_must_be_integral_and_in_range"),
    8: ("test_few_bits", "test_encodings.py::test_values_of_few_bits_are_not_scaled"),
    9: ("test_few_bits", "test_encodings.py::test_values_of_few_bits_are_not_scaled"),
    10: ("test_label_files", "test_encodings.py::test_other_formats_are_refused_by_content"),
    11: ("test_label_files", "test_encodings.py::test_other_formats_are_refused_by_content"),
    12: ("test_label_files", "test_encodings.py::test_other_formats_are_refused_by_content"),
    13: ("test_swapped_and_near_colours", "test_encodings.py::test_near_colour_names_nearest_class_and_distance"),
    14: ("test_unlisted_values", "test_encodings.py::test_unlisted_value_is_an_error_with_value_count_and_first_pixel"),
    15: ("test_label_files", "test_encodings.py::test_tiff_values_must_be_integral_and_in_range"),
    16: ("test_255_as_a_class", "test_encodings.py::test_written_labels_read_back"),
    17: ("test_void_everywhere",),
    18: ("test_label_files", "test_encodings.py::test_every_truncation_and_every_flipped_bit_is_refused"),
    19: ("test_label_files", "test_encodings.py::test_every_truncation_and_every_flipped_bit_is_refused"),
    20: ("test_label_files", "test_images", "test_encodings.py::test_what_is_no_image_is_named"),
    21: (
        "test_more_pixels_than_pillow_opens",
        "test_large_files",
        "test_encodings.py::test_large_images_meet_one_clear_limit",
    ),
    22: ("test_images", "test_loading.py::test_image_and_label_of_different_size_are_refused"),
    23: ("test_images", "test_loading.py::test_pixels_are_taken_as_they_are_stored"),
    24: ("test_folders", "test_layout.py::test_without_partner"),
    25: ("test_folders", "test_layout.py::test_two_files_of_one_stem_are_refused"),
    26: ("test_any_name", "test_layout.py::test_any_name_will_do"),
    27: ("test_folders", "test_layout.py::test_links_that_lead_back_are_told_and_not_followed"),
    28: ("test_folders", "test_layout.py::test_two_links_to_one_folder_are_not_counted_twice"),
    29: ("test_folders", "test_layout.py::test_junk_is_passed_over_and_counted"),
    30: ("test_unreadable_file", "test_layout.py::test_a_folder_that_cannot_be_read_is_named"),
    31: ("test_splits", "test_layout.py::test_no_match_says_what_lies_there"),
    32: ("test_lists", "test_layout.py::test_a_list_says_what_is_in_a_split"),
    33: ("test_folders", "test_layout.py::test_a_suffix_given_twice_is_seen"),
    34: ("test_lists", "test_layout.py::test_images_of_two_splits_are_found"),
    35: ("test_broken_taxonomies", "onto/test_fuzz.py", "onto/test_golden.py"),
    36: ("test_a_class_mapped_to_nothing", "onto/test_golden.py"),
    37: ("onto/test_from_csv.py",),
}
"""Row of the table → the tests that prove it, `file::test` where they are not in this file."""

LABELS = np.array([[1, 2, 3], [1, 2, 255]], np.uint8)
HEAD = "tax 1\ndataset field v1 -> demo v1\nencoding: {encoding}\nvoid: {void}\nsplits: train val\n"
PLACES = "images: images/{split}/{stem}.{suffix}\nlabels: labels/{split}/{stem}.{ending}\n"
CLASSES = "1 way #804080 = road\n2 green #6b8e23 ~ grass tree\n3 air #4682b4 = sky\n"


def test_every_row_has_a_proof_and_every_proof_exists() -> None:
    assert sorted(PROOF) == list(range(1, 38))
    for proof in (p for proofs in PROOF.values() for p in proofs):
        file, _, test = proof.partition("::") if ".py" in proof else (Path(__file__).name, "", proof)
        (path,) = (HERE.parents[1]).rglob(file.rpartition("/")[2])
        text = path.read_text(encoding="utf-8")
        assert f"def {test}(" in text if test else "def test_" in text, proof


class World:
    """A dataset `field` with one good pair, `good`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tax(encoding="id")
        self.pair("good")

    def tax(self, encoding: str, void: str = "255", places: str = PLACES, classes: str = CLASSES) -> None:
        (self.root / "field.tax").write_text(HEAD.format(encoding=encoding, void=void) + places + classes)

    def pair(self, stem: str, labels: np.ndarray = LABELS, split: str = "train", **options: object) -> Path:
        file = self.path(f"labels/{split}/{stem}.png")
        Image.fromarray(labels).save(file, **options)
        image = self.path(f"images/{split}/{stem}.jpg")
        Image.fromarray(np.zeros((*labels.shape[:2], 3), np.uint8)).save(image)
        return file

    def path(self, name: str) -> Path:
        path = self.root / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def scan(self, *options: str, code: int = 1, split: str = "train") -> dict:
        """What the command says, as JSON, after its exit code was checked; a text must come out as well."""
        args = [
            "scan",
            str(self.root / "field.tax"),
            "--data-root",
            str(self.root / "data"),
            "--work-dir",
            str(self.root / "work"),
            *(["--split", split] if split else []),
            *options,
        ]
        text = CliRunner().invoke(main, args)
        assert isinstance(text.exception, SystemExit | None), text.exception
        assert text.exit_code == code, text.output
        assert "Traceback" not in text.output
        result = CliRunner().invoke(main, [*args, "--format", "json"])
        assert isinstance(result.exception, SystemExit | None), result.exception
        assert result.exit_code == code
        report = json.loads(result.stdout)["report"]
        for f in report["findings"]:
            assert f["examples"][0] in text.stdout
        return report | {"found": {f["kind"]: f for f in report["findings"]}}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(bits: int, row: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 1, bits, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")


def save(array: np.ndarray, format: str = "PNG", **options: object) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(array).save(path, format, **options)


def put(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(change(path.read_bytes())) and None


def flip(data: bytes) -> bytes:
    at = data.index(b"IDAT") + 6
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


GREY_ALPHA = np.dstack([LABELS, np.full(LABELS.shape, 128, np.uint8)])


@pytest.mark.parametrize(
    ("row", "damage", "message"),
    [
        (3, save(np.dstack([LABELS] * 3)), r"R = G = B.*expected 8-bit values"),
        (5, save(GREY_ALPHA), "transparent pixels; expected opaque"),
        (6, save(LABELS.astype(np.uint16) * 1000), "16-bit grey PNG; expected 8-bit .*declare `encoding: id16`"),
        (7, save(LABELS.astype(np.float32) / 2, "TIFF"), "with fractions"),
        (10, save(LABELS, "JPEG"), "found a JPEG, which changes values"),
        (12, save(LABELS, "GIF"), "found a GIF, which permutes"),
        (12, save(LABELS, "WEBP"), "found a WebP image, which may be lossy"),
        (15, save(-LABELS.astype(np.float32), "TIFF"), "from -255"),
        (18, put(lambda data: data[:-20]), "truncated after"),
        (19, put(flip), "damaged PNG|checksum"),
        (20, put(lambda _: b""), r"an empty file \(0 bytes\)"),
        (20, put(lambda _: b"version https://git-lfs.github.com/spec/v1\n"), "git-LFS pointer.*`git lfs pull`"),
        (20, put(lambda _: b"<!doctype html><html>"), "an HTML or XML page"),
    ],
)
def test_label_files(world: World, row: int, damage: Callable, message: str) -> None:
    bad = world.pair("bad")
    damage(bad)
    found = world.scan()["found"]
    assert (found["label"]["count"], found["label"]["severity"]) == (1, "error")
    assert found["label"]["examples"][0].startswith(f"{bad}: found ")
    assert re.search(message, found["label"]["examples"][0])


def test_palette(world: World) -> None:
    for stem, transparency in (("a", None), ("b", 1)):
        image = Image.fromarray(LABELS)
        image.putpalette(bytes(range(256)) * 3)
        image.save(world.pair(stem), **({} if transparency is None else {"transparency": transparency}))
    report = world.scan(code=0)
    assert [c["pixels"] for c in report["classes"]] == [6, 6, 3]
    assert report["found"]["palette"]["severity"] == "warning"
    assert "the taxonomy shows `way` as #804080" in report["found"]["palette"]["examples"][0]


def test_swapped_and_near_colours(world: World) -> None:
    shutil.rmtree(world.root / "data")
    world.tax("rgb", "#000000")
    colours = np.array([[[128, 64, 128], [107, 142, 35], [70, 130, 180]]], np.uint8)
    world.pair("a", colours)
    assert world.scan(code=0)["values"] == []
    near = world.pair("near", colours + np.uint8([[[3, 0, 0], [0, 0, 0], [0, 0, 0]]]))
    report = world.scan()
    assert report["values"] == [
        {
            "value": "#834080",
            "pixels": 1,
            "files": 1,
            "file": str(near),
            "x": 0,
            "y": 0,
            "nearest": "#804080",
            "class": "way",
            "distance": 3.0,
        }
    ]
    assert "smoothing" in report["hint"]
    assert report["found"]["values"]["count"] == 1
    near.unlink()
    world.pair("near", colours[..., ::-1])
    assert "red and blue look swapped (BGR)" in world.scan()["hint"]


def test_few_bits(world: World) -> None:
    for bits, row in ((1, b"\xa0"), (2, b"\x6c"), (4, b"\x12\x30")):
        world.pair(f"bits{bits}", np.zeros((1, 3), np.uint8)).write_bytes(png(bits, row))
    world.tax("id", classes=CLASSES + "0 rest #000000 -> any\n")
    report = world.scan(code=0)
    assert [c["pixels"] for c in report["classes"]] == [2 + 2 + 1 + 1, 2 + 1 + 1, 1 + 1 + 1, 1]


def test_unlisted_values(world: World) -> None:
    bad = world.pair("bad", np.array([[1, 1, 1], [2, 9, 9]], np.uint8))
    report = world.scan()
    value = {"value": "9", "pixels": 2, "files": 1, "file": str(bad), "x": 1, "y": 1}
    assert report["values"] == [value]
    assert report["unlisted"] == 2
    assert world.scan("--unknown", "void", code=0)["found"]["values"]["severity"] == "warning"


def test_255_as_a_class(world: World) -> None:
    world.tax("id", "0", classes=CLASSES + "255 rest #000000 -> void\n")
    assert world.scan(code=0)["classes"][3]["pixels"] == 1
    assert void_index(256) == 65535  # the labels that we write then have 16 bits


def test_void_everywhere(world: World) -> None:
    void = world.pair("void", np.full((2, 3), 255, np.uint8))
    found = world.scan(code=0)["found"]["void"]
    assert (found["severity"], found["examples"]) == ("warning", [str(void)])
    shutil.rmtree(world.root / "data")
    world.pair("void", np.full((2, 3), 255, np.uint8))
    assert "every pixel of every label is void" in world.scan()["found"]["space"]["examples"][0]


def test_more_pixels_than_pillow_opens(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its limit is none of ours: see `test_large_files`."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # it refuses twice as many
    world.pair("large", np.ones((5, 8), np.uint8))
    assert world.scan(code=0)["classes"][0]["pixels"] == 40 + 2  # the two of another file
    refused = world.scan("--max-pixels", "39")["found"]["label"]["examples"][0]
    assert "8 x 5 pixels; expected at most 39" in refused
    assert "max_pixels" in refused


@pytest.mark.slow
def test_large_files(world: World) -> None:
    """190 megapixels, more than Pillow opens."""
    world.tax("id", places=PLACES.replace("{stem}.{suffix}", "{stem}.png"))
    label = world.path("labels/val/large.png")
    Image.new("L", (19000, 10000), 1).save(label, compress_level=1)
    world.path("images/val/large.png").symlink_to(label)
    report = world.scan(code=0, split="val")
    assert report["classes"][0]["pixels"] == 190_000_000  # more than a float32 counts
    refused = world.scan("--max-pixels", "179000000", split="val")["found"]["label"]["examples"][0]
    assert "19000 x 10000 pixels; expected at most 179000000" in refused
    assert "max_pixels" in refused


def test_images(world: World) -> None:
    for stem in ("size", "turned", "drawn-turned", "empty", "pointer"):
        world.pair(stem)
    images = world.root / "data/images/train"
    Image.new("RGB", (6, 4)).save(images / "size.jpg")
    for stem, size in (("turned", (3, 2)), ("drawn-turned", (2, 3))):
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.new("RGB", size).save(images / f"{stem}.jpg", exif=exif)
    (images / "empty.jpg").write_bytes(b"")
    (images / "pointer.jpg").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    found = world.scan()["found"]
    drawn, size = found["size"]["examples"]
    assert "the label is 3x2, the image" in size
    assert "6x4" in size
    assert "drawn on the turned image (EXIF orientation 6)" in drawn
    assert found["turned"]["severity"] == "warning"
    assert "turned.jpg: EXIF orientation 6" in found["turned"]["examples"][0]
    empty, pointer = found["image"]["examples"]
    assert "empty.jpg: found an empty file (0 bytes); expected an image" in empty
    assert "run `git lfs pull`" in pointer


def test_folders(world: World) -> None:
    for name in ("lonely.jpg", "twice.png.jpg", ".DS_Store", "._good.jpg", "Thumbs.db"):
        world.path(f"images/train/{name}").touch()
    world.path("labels/train/alone.png").touch()
    for stem in ("double", "Case", "case"):
        world.pair(stem)
    Image.new("RGB", (3, 2)).save(world.path("images/train/double.png"))
    report = world.scan()
    alone = "\n".join(report["found"]["alone"]["examples"])
    assert report["found"]["alone"]["count"] == 3
    assert "lonely.jpg (no label)" in alone
    assert "alone.png (no image)" in alone
    assert "two suffixes, .png and .jpg" in alone
    assert "has 2 images" in "\n".join(report["found"]["double"]["examples"])
    assert "differ in case only" in "\n".join(report["found"]["double"]["examples"])
    assert report["found"]["junk"]["count"] == 3
    splits = "split-train: seq = train\nsplit-val: seq = val\n"
    world.tax("id", places=f"images: images/{{seq}}/{{stem}}.jpg\nlabels: labels/{{seq}}/{{stem}}.png\n{splits}")
    shutil.rmtree(world.root / "data")
    world.pair("good")
    (world.root / "data/images/loop").symlink_to(world.root / "data")
    (world.root / "data/images/self").symlink_to(world.root / "data/images/self")
    for place in ("images", "labels"):
        (world.root / f"data/{place}/again").symlink_to(world.root / f"data/{place}/train")
    report = world.scan(code=0)
    told = "\n".join(report["found"]["link"]["examples"])
    assert report["pairs"] == 1
    assert "loop leads back to a folder above it" in told
    assert "self is a link that leads to itself" in told
    assert "are one folder; counted once" in told


def test_any_name(world: World) -> None:
    """Each file has a value that is not listed."""
    stems = ["ärger über straße", "日本 1", "a.b.c", "x" * 200, "100%", "[bold]", "<b>"]
    files = [world.pair(stem, np.full((1, 1), 9 + i, np.uint8)) for i, stem in enumerate(stems)]
    report = world.scan("--html", str(world.root / "page.html"))
    assert {value["file"] for value in report["values"]} == {*map(str, files)}
    assert "<b>.png" not in (world.root / "page.html").read_text()


def test_unreadable_file(world: World) -> None:
    bad = world.pair("bad")
    bad.unlink()
    bad.mkdir()  # for root, too, what cannot be read as a file
    (bad / "x").touch()
    os.mkfifo(world.path("labels/train/pipe.png"))  # reading it would wait for ever
    report = world.scan()
    assert report["read"] == 1
    assert "images/train/bad.jpg (no label)" in report["found"]["alone"]["examples"][0]
    bad = world.pair("rights")
    bad.chmod(0)
    if not os.access(bad, os.R_OK):
        assert "rights.png: found no readable file" in world.scan()["found"]["label"]["examples"][0]


def test_splits(world: World) -> None:
    args = [
        "scan",
        str(world.root / "field.tax"),
        "--data-root",
        str(world.root / "data"),
        "--split",
        "trian",
    ]
    result = CliRunner().invoke(main, args)
    assert result.exit_code == 2
    assert "there is no split `trian`; the taxonomy has train, val" in result.output
    missing = world.scan(split="val")["found"]["split"]["examples"][0]
    assert "nothing matches `images/val/{stem}.{suffix}`" in missing
    assert "`train`" in missing
    assert world.scan(code=0, split="")["found"]["absent"]["count"] == 1
    shutil.rmtree(world.root / "data/labels")
    assert world.scan(split="")["found"]["split"]["count"] == 2


def test_lists(world: World) -> None:
    world.tax("id", places="list: {split}.lst\nimages: images/train/{stem}.jpg\nlabels: labels/train/{stem}.png\n")
    world.pair("b 2")
    world.path("train.lst").write_bytes("\ufeffgood  \r\n\r\nb 2.jpg\r\n".encode())
    world.path("val.lst").write_bytes(b"b 2\n")
    report = world.scan(code=0, split="")
    assert report["pairs"] == 3
    assert "images/train/b 2.jpg is in `train` and in `val`" in report["found"]["overlap"]["examples"][0]
    world.path("val.lst").write_bytes(b"good\ngood\n")
    assert "val.lst:2: `good` stands there twice" in world.scan(split="val")["found"]["split"]["examples"][0]


@pytest.mark.parametrize(
    "text",
    [
        b"tax 1\ndataset a v1\n1 x\n1 y\n",
        b"\xff\xfe\0",
        b"\x89PNG\r\n\x1a\n\0\0",
        b"",
        b"tax 1\n" + b"x" * 10_000_000,
    ],
)
def test_broken_taxonomies(world: World, text: bytes) -> None:
    (world.root / "field.tax").write_bytes(text)
    args = ["scan", str(world.root / "field.tax"), "--data-root", str(world.root / "data")]
    result = CliRunner().invoke(main, args)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert f"{world.root / 'field.tax'}:" in result.output
    assert "error[TAX" in result.output


def test_a_class_mapped_to_nothing(world: World) -> None:
    world.tax("id", classes=CLASSES.replace(" = sky", ""))
    report = world.scan(code=0)
    assert report["source"] == ""
    assert "the map has 1 error(s), which `lsu-onto validate` shows" in report["found"]["map"]["examples"][0]
    args = [
        "scan",
        str(world.root / "field.tax"),
        "--data-root",
        str(world.root / "data"),
        "--source",
        "demo",
    ]
    result = CliRunner().invoke(main, args)
    assert result.exit_code == 2
    assert "TAX301" in result.output
