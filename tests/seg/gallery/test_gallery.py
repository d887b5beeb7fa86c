"""Galleries: which images are opened for a class, what is cut out of them, and what becomes of damaged files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import lsu_onto
from helpers.forms import FORMS, write_tax
from helpers.pngs import png
from helpers.tiny import write_park
from helpers.tiny import write_tax as write_park_tax
from lsu_onto import Constraint
from lsu_seg.gallery import html
from lsu_seg.gallery.candidates import SEGMENTS, Candidates, Sighting
from lsu_seg.gallery.crop import COLOUR, EDGE, SIZE, box_around, cut, encode, fitted, outline, with_context
from lsu_seg.gallery.gallery import BUDGET, make_gallery, read_image
from lsu_seg.gallery.html import data_uri
from lsu_seg.label_files import LabelFileError, LabelReader, count_rows
from lsu_seg.layout.pairs import Pair, find_pairs


def candidates_of(constraint: Constraint, root: Path, split: str = "train") -> Candidates:
    """As a scan fills them."""
    reader = LabelReader(constraint, unknown="keep", root=str(root), split=split)
    pairs, out = find_pairs(root, constraint.layout, split), Candidates()
    for i, pair in enumerate(pairs):
        pixels = count_rows(reader.inspect(pair.label).rows, len(constraint.classes))
        out.add(i / len(pairs), [(row, int(n)) for row, n in enumerate(pixels) if n], Sighting(pair, reader))
    return out


def opened(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGBA"))


# --- choosing ----------------------------------------------------------------------------------------------


def test_images_are_chosen_from_all_over_the_dataset() -> None:
    candidates, n = Candidates(), 10_000
    for i in range(n):
        sighting = Sighting(Pair(Path("i"), Path("l"), f"{i:05}"), None)  # type: ignore[arg-type]
        candidates.add(i / n, [(0, 1 + i % 7), (3, 5)] if i < n - 1 else [(0, 1), (9, 2)], sighting)
    chosen = [int(s.pair.key) for s in candidates.of(0, 6)]
    assert candidates.rows == [0, 3, 9]
    assert len(chosen) == len(set(chosen)) == SEGMENTS
    assert [i * 6 // n for i in sorted(chosen[:6])] == list(range(6))
    assert all(i % 7 == 6 for i in chosen)  # of each segment, the image with most of the class
    assert [s.pair.key for s in candidates.of(9, 6)] == ["09999"]
    assert candidates.of(5, 6) == []


def test_the_best_of_each_part_come_first_and_the_others_by_their_pixels() -> None:
    candidates = Candidates()
    for i, pixels in enumerate([5, 9, 7, 1, 3, 2]):
        candidates.add(i / 6, [(0, pixels)], Sighting(Pair(Path("i"), Path("l"), f"{i}"), None))  # type: ignore[arg-type]
    assert [s.pair.key for s in candidates.of(0, 2)] == ["1", "4", "2", "0", "5", "3"]


# --- cutting -----------------------------------------------------------------------------------------------

sides = st.integers(1, 200)


@given(sides, sides, st.data())
def test_what_is_shown_has_the_box_and_lies_in_the_image(height: int, width: int, data: st.DataObject) -> None:
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    bottom, right = data.draw(st.integers(top + 1, height)), data.draw(st.integers(left + 1, width))
    a, b, c, d = with_context((top, left, bottom, right), (height, width))
    assert 0 <= a <= top < bottom <= c <= height
    assert 0 <= b <= left < right <= d <= width
    size = fitted((a, b, c, d))
    assert size[0] <= SIZE[0] and size[1] <= SIZE[1] and (size[0] == SIZE[0] or size[1] == SIZE[1])
    if c - a < height and d - b < width:
        assert d - b == pytest.approx(1.5 * (c - a), abs=2)


def test_the_box_is_around_the_largest_part() -> None:
    mask = np.zeros((640, 1280), bool)
    mask[10:300, 4:8] = True  # long, but thin
    mask[403:440, 907:1000] = True  # no side is that of a block
    mask[441:458, 1001:1093] = mask[441:451, 803:906] = True  # touch it within a block
    assert box_around(mask) == (403, 803, 458, 1093)
    assert box_around(np.zeros((5, 7), bool)) is None
    assert box_around(np.ones((1, 1), bool)) == (0, 0, 1, 1)


@pytest.mark.parametrize("box", [(0, 0, 240, 360), (0, 0, 80, 120)], ids=["as large", "enlarged"])
def test_the_outline_surrounds_the_mask_and_hides_none_of_it(box: tuple[int, int, int, int]) -> None:
    mask = np.zeros((240, 360), bool)
    mask[20:60, 30:31] = mask[50:60, 30:110] = True
    line = opened(outline(mask, box))
    factor = 240 // box[2]
    inside = np.kron(mask[: box[2], : box[3]], np.ones((factor, factor), bool))
    drawn = line[..., 3] > 0
    assert {tuple(c) for c in line[drawn][:, :3].tolist()} == {COLOUR, EDGE}
    assert not (drawn & inside).any()
    padded = np.pad(inside, 1)
    beside = (padded[2:, 1:-1] | padded[:-2, 1:-1] | padded[1:-1, 2:] | padded[1:-1, :-2]) & ~inside
    assert (line[beside] == (*COLOUR, 255)).all()


def test_a_thin_thing_keeps_its_outline_when_it_is_shrunk() -> None:
    mask = np.zeros((960, 1440), bool)
    mask[:, 700:702] = True  # half a pixel of the picture
    assert (opened(outline(mask, (0, 0, 960, 1440)))[..., 3] > 0).any(1).all()


@pytest.mark.parametrize("kind", ["webp", "jpeg"])
@pytest.mark.parametrize("limit", [20_000, 6_000, 1_500])
def test_a_picture_is_no_larger_than_it_may_be(limit: int, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "jpeg":  # a Pillow that was built without WebP
        monkeypatch.setattr("PIL.features.check", {"webp": False}.get)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (480, 720, 3), np.uint8))
    data = encode(cut(noise, (0, 0, 480, 720)), limit)
    assert len(data) <= limit
    assert opened(data).shape[0] >= 32
    assert data_uri(data).startswith(f"data:image/{kind};base64,")


# --- galleries ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_every_encoding_has_galleries(tmp_path: Path, form: str) -> None:
    rows = np.kron([[0, 1, 2, 3, 4, 5, 0, 1]], np.ones((8, 8), int))
    FORMS[form].write(tmp_path / "data", "train", {"x": rows, "y": rows[:, ::-1]})
    constraint = lsu_onto.load(write_tax(tmp_path / "tax", FORMS[form]))
    gallery = make_gallery(candidates_of(constraint, tmp_path / "data"))
    assert gallery.problems == []
    for name in ("way", "green", "sky", "thing"):
        crops = gallery.crops[constraint.classes.index(name)]
        assert len(crops) == 2, name
        assert crops[0].share == (0.25 if name in ("way", "green") else 0.125)
        assert opened(crops[0].picture).shape[:2] == opened(crops[0].outline).shape[:2] == crops[0].size[::-1]


def test_the_outline_lies_where_the_class_is(tmp_path: Path) -> None:
    """Image and outline are cut out of the same place: the image is white where the class is."""
    tax = write_park_tax(tmp_path / "tax")
    drawn = write_park(tmp_path / "data", {"a": [0, 1, 2]}, size=(120, 200))["a"]
    for row in (0, 1, 2):
        Image.fromarray(np.where(drawn == row, 255, 0).astype(np.uint8)).save(tmp_path / "data/images/train/a.png")
        (crop,) = make_gallery(candidates_of(lsu_onto.load(tax), tmp_path / "data")).crops[row]
        white, line = opened(crop.picture)[..., 0] > 127, opened(crop.outline)[..., 3] > 0
        assert white.any() and line.any()
        assert white[line].mean() < 0.1


def test_a_damaged_image_is_told_and_another_one_is_shown(tmp_path: Path) -> None:
    tax, root = write_park_tax(tmp_path / "tax"), tmp_path / "data"
    write_park(root, {f"{i}": [0, 1] for i in range(9)})
    whole = (root / "images/train/0.png").read_bytes()
    candidates = candidates_of(lsu_onto.load(tax), root)
    (root / "images/train/0.png").write_bytes(whole[:300])
    (root / "images/train/3.png").write_bytes(b"<!DOCTYPE html>")
    (root / "labels/train/5.png").unlink()
    Image.new("RGB", (5, 5)).save(root / "images/train/8.png")
    gallery = make_gallery(candidates, 5)
    assert {len(crops) for crops in gallery.crops.values()} == {5}
    assert {int(crop.path.stem) for crops in gallery.crops.values() for crop in crops} == {1, 2, 4, 6, 7}
    told = "\n".join(gallery.problems)
    for words in (
        "0.png: found a damaged PNG",
        "3.png: found an HTML",
        "5.png",
        "an image of 5x5 and a label of 40x24",
    ):
        assert words in told
    assert len(gallery.problems) == 4


def test_a_gallery_is_the_same_each_time(tmp_path: Path) -> None:
    tax = write_park_tax(tmp_path / "tax")
    write_park(tmp_path / "data", {f"{i}": [i % 6, 1] for i in range(20)})
    first, second = (make_gallery(candidates_of(lsu_onto.load(tax), tmp_path / "data")) for _ in range(2))
    assert first == second
    assert set(first.crops) == set(range(6))


def test_pictures_stay_in_the_budget(tmp_path: Path) -> None:
    """Noise, which no encoder makes small."""
    lines = "".join(f"{i} c{i} #{i:06x}\n" for i in range(12))
    layout = "images: images/{stem}.png\nlabels: labels/{stem}.png\n"
    (tmp_path / "many.tax").write_text(f"tax 1\ndataset many v1\nencoding: id\n{layout}\n{lines}")
    for place in ("images", "labels"):
        (tmp_path / place).mkdir()
    rng = np.random.default_rng(0)
    for n in range(2):
        rows = np.kron(np.arange(12, dtype=np.uint8).reshape(3, 4), np.ones((96, 144), np.uint8))
        Image.fromarray(rng.integers(0, 256, (*rows.shape, 3), np.uint8)).save(tmp_path / f"images/{n}.png")
        Image.fromarray(rows).save(tmp_path / f"labels/{n}.png")
    gallery = make_gallery(
        candidates_of(lsu_onto.load_dataset(str(tmp_path / "many.tax")), tmp_path, ""), 2, BUDGET // 15
    )
    assert [len(crops) for crops in gallery.crops.values()] == [2] * 12
    page = "".join(html.figures(crops, "x") for crops in gallery.crops.values())
    assert BUDGET // 60 < len(page) < BUDGET // 15 * 1.02


def noise16(bits: int) -> np.ndarray:
    return np.random.default_rng(bits).integers(0, 1 << bits, (8, 8), np.uint16)


@pytest.mark.parametrize(("bits", "declared"), [(12, 12), (12, 0), (16, 0)])
def test_camera_images_of_16_bits_are_as_bright_as_can_be(tmp_path: Path, bits: int, declared: int) -> None:
    values = noise16(bits)
    values[0, 0] = (1 << bits) - 1
    Image.fromarray(values).save(tmp_path / "a.png")
    assert (np.asarray(read_image(tmp_path / "a.png", declared))[..., 1] == values >> (bits - 8)).all()


@pytest.mark.parametrize("bits", [12, 16])
def test_colours_of_16_bits_are_as_bright_as_can_be(tmp_path: Path, bits: int) -> None:
    """Of their upper byte, which is all that Pillow has of them."""
    values = np.random.default_rng(0).integers(0, 1 << bits, (8, 8, 3), np.uint16)
    (tmp_path / "a.png").write_bytes(png(values, bits=16, colour=2))
    assert (np.asarray(read_image(tmp_path / "a.png", bits)) == (values & 0xFF00) >> (bits - 8)).all()


def test_images_are_shown_as_they_are_stored(tmp_path: Path) -> None:
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    assert (np.asarray(read_image(tmp_path / "a.png")) == pixels).all()
    with pytest.raises(LabelFileError, match="found 6x4 pixels; expected at most 20"):
        read_image(tmp_path / "a.png", max_pixels=20)


@pytest.mark.parametrize("name", ['"><script>alert(1)</script>', "a&b"])
def test_names_are_escaped(name: str) -> None:
    parts: Sequence[str] = [html.picture(b"RIFF", "", (1, 1), name)]
    assert "<script" not in parts[0] and "a&b" not in parts[0]
