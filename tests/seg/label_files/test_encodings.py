"""Label files: what is read, to the bit, and what is refused (BAD_INPUTS rows 1-21)."""

from __future__ import annotations

import io
import pickle
import struct
import tempfile
import timeit
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from helpers.examples import examples
from helpers.worlds import make_constraint
from lsu_onto import Raster
from lsu_onto.constraint.arrays import ROW_UNKNOWN
from lsu_seg.label_files import (
    LabelFileError,
    LabelReader,
    RowTable,
    UnknownValue,
    parse_encoding,
    read_raw,
    unknown_values,
    void_index,
    write_labels,
)
from lsu_seg.label_files.annotation import channel_constraint
from lsu_seg.label_files.raw import raw_colours

IDS = np.array([[0, 1, 2], [7, 254, 255]], np.uint8)
COLOURS = [[i, 10 * i % 256, 255 - i] for i in range(256)]


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, bits: int, colour: int, row: bytes, extra: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, 1, bits, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def save(path: Path, array: np.ndarray, format: str = "PNG", palette: bool = False, **options: object) -> Path:
    image = Image.fromarray(array)
    if palette:
        image.putpalette(np.array(COLOURS, np.uint8).tobytes())
    image.save(path, format, **options)
    return path


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("options", [{}, {"palette": True}, {"palette": True, "transparency": 1}])
def test_8_bit_values_and_palette_indices_are_read_as_stored(tmp_path: Path, options: dict) -> None:
    raw = read_raw(save(tmp_path / "a.png", IDS, **options), "id")
    assert raw.dtype == np.uint8
    assert raw.tolist() == IDS.tolist()


@pytest.mark.parametrize(
    ("bits", "row", "values"),
    [(1, b"\x50", [0, 1, 0, 1]), (2, b"\x1b", [0, 1, 2, 3]), (4, b"\x12\x3f", [1, 2, 3, 15])],
)
@pytest.mark.parametrize("colour", [0, 3])
def test_values_of_few_bits_are_not_scaled(tmp_path: Path, bits: int, row: bytes, values: list, colour: int) -> None:
    palette = chunk(b"PLTE", bytes(range(3 << bits))) if colour == 3 else b""
    assert read_raw(put(tmp_path / "a.png", png(4, bits, colour, row, palette)), "id").tolist() == [values]


def test_16_bit_values_keep_all_bits_and_divide_as_declared(tmp_path: Path) -> None:
    file = save(tmp_path / "a.png", np.array([[0, 999, 26003, 65535]], np.uint16))
    assert read_raw(file, "id16").tolist() == [[0, 999, 26003, 65535]]
    assert read_raw(file, "id16/1000").tolist() == [[0, 0, 26, 65]]
    assert read_raw(file, "id16/256").tolist() == [[0, 3, 101, 255]]
    assert read_raw(file, "id16/70000").tolist() == [[0, 0, 0, 0]]
    with pytest.raises(LabelFileError, match=r"16-bit grey PNG; expected 8-bit .* declare `encoding: id16`"):
        read_raw(file, "id")
    with pytest.raises(LabelFileError, match=r"8-bit grey PNG; expected 16-bit .*declare `encoding: id`"):
        read_raw(save(tmp_path / "b.png", IDS), "id16/1000")


def test_colours_are_exact_also_from_a_palette_and_with_opaque_alpha(tmp_path: Path) -> None:
    rgb = np.array([[[128, 64, 129], [0, 0, 1]]], np.uint8)
    expected = [[0x804081, 1]]
    assert read_raw(save(tmp_path / "a.png", rgb), "rgb").tolist() == expected
    rgba = np.dstack([rgb, np.full((1, 2), 255, np.uint8)])
    assert read_raw(save(tmp_path / "b.png", rgba), "rgb").tolist() == expected
    assert read_raw(save(tmp_path / "b.png", rgb[:, :1]), "rgb").tolist() == [[0x804081]]
    assert read_raw(tmp_path / "a.png", "panoptic-rgb").tolist() == [[0x814080, 1 << 16]]
    indices = read_raw(save(tmp_path / "c.png", np.array([[3]], np.uint8), palette=True), "rgb")
    assert indices.tolist() == [[3 << 16 | 30 << 8 | 252]]


@pytest.mark.parametrize("alpha", [[255, 254], [128, 128]])
def test_alpha_that_says_something_is_refused(tmp_path: Path, alpha: list) -> None:
    grey = np.array([[3, 4]], np.uint8)
    with pytest.raises(LabelFileError, match="transparent pixels"):
        read_raw(save(tmp_path / "a.png", np.dstack([grey, np.array([alpha], np.uint8)])), "id")
    with pytest.raises(LabelFileError, match="transparent pixels"):
        read_raw(save(tmp_path / "b.png", np.dstack([grey] * 3 + [np.array([alpha], np.uint8)])), "rgb")


def test_opaque_grey_alpha_is_grey(tmp_path: Path) -> None:
    array = np.array([[[3, 255], [4, 255]]], np.uint8)
    assert read_raw(save(tmp_path / "a.png", array), "id").tolist() == [[3, 4]]


def test_grey_stored_as_rgb_suggests_the_encoding(tmp_path: Path) -> None:
    with pytest.raises(LabelFileError, match=r"R = G = B.*`encoding: rgb`"):
        read_raw(save(tmp_path / "a.png", np.dstack([IDS] * 3)), "id")
    with pytest.raises(LabelFileError, match=r"8-bit RGB PNG.*declare `encoding: rgb`"):
        read_raw(save(tmp_path / "b.png", np.dstack([IDS, IDS, IDS.T.reshape(2, 3)])), "id")
    with pytest.raises(LabelFileError, match="8-bit grey PNG; expected RGB"):
        read_raw(save(tmp_path / "c.png", IDS), "rgb")


def test_16_bit_colours_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelFileError, match="16-bit RGB PNG"):
        read_raw(put(tmp_path / "a.png", png(1, 16, 2, bytes(range(6)))), "rgb")


@pytest.mark.parametrize(
    ("format", "text"), [("JPEG", "a JPEG"), ("GIF", "a GIF"), ("WEBP", "a WebP"), ("BMP", "a BMP")]
)
def test_other_formats_are_refused_by_content(tmp_path: Path, format: str, text: str) -> None:
    with pytest.raises(LabelFileError, match=f"a.png: found {text}"):
        read_raw(save(tmp_path / "a.png", IDS, format), "id")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "0 bytes"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git-LFS pointer"),
        (b"\n<!DOCTYPE html><html>", "HTML"),
        (b"what?", "no known image"),
        (b"\x89PNG\n\x1a\n", "a damaged PNG .* get the file again, as binary"),
    ],
)
def test_what_is_no_image_is_named(tmp_path: Path, data: bytes, text: str) -> None:
    with pytest.raises(LabelFileError, match=text):
        read_raw(put(tmp_path / "a.png", data), "id")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabelFileError, match=r"gone\.png: found no readable file"):
        read_raw(tmp_path / "gone.png", "id")


def some_png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 9, (24, 24)).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@settings(max_examples=examples(60))
@given(st.data())
def test_every_truncation_and_every_flipped_bit_is_refused(data: st.DataObject) -> None:
    whole = some_png()
    with tempfile.TemporaryDirectory() as folder:
        cut = data.draw(st.integers(0, len(whole) - 1))
        with pytest.raises(LabelFileError):
            read_raw(put(Path(folder) / "a.png", whole[:cut]), "id")
        bit = data.draw(st.integers(0, 8 * len(whole) - 1))
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(LabelFileError):
            read_raw(put(Path(folder) / "b.png", bytes(flipped)), "id")


def test_too_few_rows_behind_right_checksums_are_refused(tmp_path: Path) -> None:
    one, nine = (chunk(b"IHDR", struct.pack(">IIBBBBB", 4, h, 8, 0, 0, 0, 0)) for h in (1, 9))
    data = png(4, 8, 0, b"\1\2\3\4")
    assert read_raw(put(tmp_path / "a.png", data), "id").tolist() == [[1, 2, 3, 4]]
    with pytest.raises(LabelFileError, match="fewer rows"):  # Pillow reads the missing rows as 0
        read_raw(put(tmp_path / "a.png", data.replace(one, nine)), "id")


@pytest.mark.parametrize("bits", [1, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (9, 8)])
def test_interlaced_png_is_read(tmp_path: Path, bits: int, size: tuple) -> None:
    height, width = size
    values = np.random.default_rng(bits).integers(0, 1 << bits, size)
    rows = b""
    steps = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    for x, y, dx, dy in steps:
        for row in values[y::dy, x::dx]:
            if len(row):
                text = "".join(f"{v:0{bits}b}" for v in row)
                rows += b"\0" + int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 1))
    body = header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    file = put(tmp_path / "a.png", b"\x89PNG\r\n\x1a\n" + body)
    assert read_raw(file, "id").tolist() == values.tolist()


def test_tiff_values_must_be_integral_and_in_range(tmp_path: Path) -> None:
    for dtype in (np.uint8, np.int32, np.float32):
        assert read_raw(save(tmp_path / "a.tif", IDS.astype(dtype), "TIFF"), "id").tolist() == IDS.tolist()
    assert read_raw(save(tmp_path / "a.tif", IDS.astype(np.uint16), "TIFF"), "id16").tolist() == IDS.tolist()
    for bad, text in [
        ([[0.5]], "fractions"),
        ([[float("nan")]], "NaN"),
        ([[-1.0]], "from -1"),
        ([[256.0]], "256"),
    ]:
        with pytest.raises(LabelFileError, match=text):
            read_raw(save(tmp_path / "a.tif", np.array(bad, np.float32), "TIFF"), "id")
    with pytest.raises(LabelFileError, match="jpeg compression"):
        read_raw(save(tmp_path / "a.tif", np.zeros((8, 8, 3), np.uint8), "TIFF", compression="jpeg"), "rgb")


def test_large_images_meet_one_clear_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = save(tmp_path / "a.png", np.zeros((60, 60), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow's own limit does not matter
    assert read_raw(file, "id").shape == (60, 60)
    with pytest.raises(LabelFileError, match=r"60 x 60 pixels; expected at most 3599; .*max_pixels"):
        read_raw(file, "id", max_pixels=3599)
    with pytest.raises(LabelFileError, match="MAX_IMAGE_PIXELS"):
        read_raw(save(tmp_path / "a.tif", np.zeros((60, 60), np.uint8), "TIFF"), "id")


def test_encodings_are_parsed() -> None:
    assert parse_encoding("id16/7") == ("id16", 7)
    for bad in ("id8", "id16/0", "id16/-1", "id/1000", "RGB", ""):
        with pytest.raises(ValueError, match="unknown encoding"):
            parse_encoding(bad)


# --- rows --------------------------------------------------------------------------------------------------


@settings(max_examples=examples(50))
@given(st.data())
def test_row_table_equals_a_dictionary(data: st.DataObject) -> None:
    encoding, top = data.draw(st.sampled_from([("id", 255), ("id16/3", 65535), ("rgb", (1 << 24) - 1)]))
    listed = data.draw(st.dictionaries(st.integers(0, top), st.integers(-1, 300), max_size=20))
    keys = sorted(listed)
    table = RowTable(np.array(keys, np.uint32), np.array([listed[k] for k in keys], np.int16), encoding)
    value = st.one_of(st.integers(0, top), st.sampled_from(keys or [0]))
    shape = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    raw = data.draw(hnp.arrays(np.uint8 if encoding == "id" else np.uint32, shape, elements=value))
    rows = table.rows(raw)
    assert rows.dtype == np.int16
    assert rows.tolist() == [[listed.get(int(v), ROW_UNKNOWN) for v in line] for line in raw]


def test_row_table_leaves_its_table_behind_when_pickled() -> None:
    table = RowTable(np.array([0x804080], np.uint32), np.array([0], np.int16), "rgb")
    assert table.rows(np.array([[0x804080, 0]], np.uint32)).tolist() == [[0, ROW_UNKNOWN]]
    assert len(pickle.dumps(table)) < 1000
    assert pickle.loads(pickle.dumps(table)).rows(np.array([[0x804080]], np.uint32)).tolist() == [[0]]
    of_8_bits = RowTable(np.array([7], np.uint32), np.array([0], np.int16), "id")
    assert of_8_bits.rows(np.array([[7, 0]], np.uint8)).tolist() == [[0, ROW_UNKNOWN]]
    assert len(pickle.dumps(of_8_bits)) < 1000


def test_row_table_refuses_values_that_cannot_occur() -> None:
    with pytest.raises(ValueError, match="256 cannot occur under `encoding: id`"):
        RowTable(np.array([256], np.uint32), np.array([0], np.int16), "id").rows(np.zeros((1, 1), np.uint8))


def test_unlisted_value_is_an_error_with_value_count_and_first_pixel(tmp_path: Path) -> None:
    """A defect of the published code: an unlisted value became class 0, road."""
    world = make_constraint(["road", "sky"], {"street": "= road", "air": "= sky"})
    file = save(tmp_path / "a.png", np.array([[0, 1, 255], [9, 0, 9], [9, 1, 5]], np.uint8))
    with pytest.raises(LabelFileError) as error:
        LabelReader(world).rows(file)
    text = str(error.value)
    assert str(file) in text
    assert "4 pixel(s)" in text
    assert "9 in 3 pixel(s), first at x=0 y=1" in text
    assert "5 in 1 pixel(s), first at x=2 y=2" in text
    rows, unknown = LabelReader(world, unknown="void").read(file)
    assert unknown == 4
    assert rows.tolist() == [[0, 1, -1], [-1, 0, -1], [-1, 1, -1]]
    kept = LabelReader(world, unknown="keep").rows(file)
    assert kept[1, 0] == ROW_UNKNOWN
    raw = read_raw(file, "id")
    assert unknown_values(raw, kept) == [UnknownValue(9, 3, 0, 1), UnknownValue(5, 1, 2, 2)]
    with pytest.raises(ValueError, match="'error', 'void' or 'keep'"):
        LabelReader(world, unknown="ignore").rows(save(tmp_path / "b.png", np.zeros((1, 1), np.uint8)))


def rgb_world() -> object:
    rows = {"street": "= road", "air": "= sky"}
    return make_constraint(["road", "sky"], rows, raw={0x804080: "street", 0x4682B4: "air"}, encoding="rgb")


def test_near_colour_names_nearest_class_and_distance(tmp_path: Path) -> None:
    file = save(tmp_path / "a.png", np.array([[[128, 64, 128], [131, 64, 124]]], np.uint8))
    with pytest.raises(LabelFileError, match=r"#83407c in 1 .*#804080 \(`street`\) at distance 5\.0: lossy"):
        LabelReader(rgb_world()).rows(file)


def test_swapped_channels_get_a_hint(tmp_path: Path) -> None:
    file = save(tmp_path / "a.png", np.array([[[128, 64, 128], [180, 130, 70]]], np.uint8))
    with pytest.raises(LabelFileError, match="red and blue look swapped"):
        LabelReader(rgb_world()).rows(file)


def test_packed_values_get_a_hint(tmp_path: Path) -> None:
    world = make_constraint(["car"], {"car": "= car"}, raw={26: "car"}, encoding="id16")
    with pytest.raises(LabelFileError, match="declare `encoding: id16/1000`"):
        LabelReader(world).rows(save(tmp_path / "a.png", np.array([[26, 26003]], np.uint16)))


def test_different_palette_warns_once(tmp_path: Path) -> None:
    file = save(tmp_path / "a.png", np.array([[0, 1]], np.uint8), palette=True)
    rows = {"street": "= road", "air": "= sky"}
    reader = LabelReader(make_constraint(["road", "sky"], rows, palette=[0x0000FF, 0x123456]))
    with pytest.warns(UserWarning, match=r"#010afe for value 1, the taxonomy shows `air` as #123456") as seen:
        assert reader.rows(file).tolist() == reader.rows(file).tolist() == [[0, 1]]
    assert len(seen) == 1


def test_same_palette_and_grey_ramps_do_not_warn(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    world = make_constraint(["road", "sky"], {"street": "= road", "air": "= sky"}, palette=[0x0000FF, 0x010AFE])
    LabelReader(world).rows(save(tmp_path / "a.png", np.array([[0, 1]], np.uint8), palette=True))
    LabelReader(world).rows(save(tmp_path / "b.png", np.array([[0, 1]], np.uint8)))
    assert not recwarn.list


def test_palettes_that_contradict_each_other_are_refused_or_ignored_where_the_taxonomy_says_so(tmp_path: Path) -> None:
    """Values were numbered anew in each file: the two have the same picture, and would be read as two."""
    for name, values, colours in (
        ("a", [0, 1], [0, 0xFF0000]),
        ("b", [1, 0], [0xFF0000, 0]),
        ("c", [1], [0, 0xFF0000]),
    ):
        image = Image.fromarray(np.array([values], np.uint8))
        image.putpalette(b"".join(c.to_bytes(3, "big") for c in colours))
        image.save(tmp_path / f"{name}.png")
    rows = {"street": "= road", "air": "= sky"}
    world = make_constraint(["road", "sky"], rows, palette=[0, 0xFF0000])
    reader = LabelReader(world)
    assert reader.rows(tmp_path / "a.png").tolist() == [[0, 1]]
    message = r"b\.png: found a palette with #ff0000 for value 0, which is #000000 in .*a\.png; .*`encoding: rgb`"
    for _ in range(2):
        with pytest.raises(LabelFileError, match=message):
            reader.rows(tmp_path / "b.png")
    assert reader.rows(tmp_path / "c.png").tolist() == [[1]]
    ignored = LabelReader(replace(world, layout=replace(world.layout, palettes="ignored")))
    assert [ignored.rows(tmp_path / f"{n}.png").tolist() for n in "ab"] == [[[0, 1]], [[1, 0]]]
    pseudo = LabelReader(channel_constraint(world))
    assert [pseudo.rows(tmp_path / f"{n}.png").tolist() for n in "ab"] == [[[0, 1]], [[1, 0]]]


def test_reader_is_picklable(tmp_path: Path) -> None:
    reader = LabelReader(rgb_world())
    file = save(tmp_path / "a.png", np.array([[[128, 64, 128]]], np.uint8))
    assert reader.rows(file).tolist() == pickle.loads(pickle.dumps(reader)).rows(file).tolist() == [[0]]


# --- writing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 19, 255, 256, 300])
def test_written_labels_read_back(tmp_path: Path, k: int) -> None:
    palette = np.arange(3 * k).reshape(k, 3).astype(np.uint8)
    labels = np.array([[0, k - 1, void_index(k)]], np.int32)
    file = tmp_path / "ä b.png"
    write_labels(file, labels, palette)
    assert read_raw(file, "id" if k <= 255 else "id16").tolist() == labels.tolist()
    assert [p.name for p in tmp_path.iterdir()] == ["ä b.png"]
    if k <= 255:
        colours = np.asarray(Image.open(file).convert("RGB"))
        assert colours.tolist() == [[palette[0].tolist(), palette[k - 1].tolist(), [0, 0, 0]]]


def test_written_bytes_are_the_same_each_time(tmp_path: Path) -> None:
    labels, palette = np.zeros((9, 9), np.uint8), np.zeros((3, 3), np.uint8)
    for name in "ab":
        write_labels(tmp_path / name, labels, palette)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("bad", [[[3]], [[-1]], [[256]], [[0.0]], [0]])
def test_labels_that_are_no_class_are_not_written(tmp_path: Path, bad: list) -> None:
    with pytest.raises(ValueError, match=r"a\.png: label"):
        write_labels(tmp_path / "a.png", np.array(bad), np.zeros((3, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = put(tmp_path / "a.png", b"old")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_labels(file, np.zeros((2, 2), np.uint8), np.zeros((3, 3), np.uint8))
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_the_stored_pixels_are_gone_when_rows_are_made(tmp_path: Path) -> None:
    """What is kept longer is memory that each file takes anew, page by page: a quarter of the time."""
    reader, side = LabelReader(rgb_world()), 1024
    file = save(tmp_path / "a.png", np.full((side, side, 3), (128, 64, 128), np.uint8))
    reader.rows(file)
    tracemalloc.start()
    try:
        assert not reader.rows(file).any()
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Colours of 4 bytes, and what numpy makes of them to look them up, 8; rows of 2. The file stores 3.
    assert most < 16 * side**2


@pytest.mark.slow
def test_two_megapixels_are_decoded_in_time() -> None:
    """Bars for one core: 15 ms from colours to rows, 3 ms from numbers to rows; without reading the PNG."""
    cv2.setNumThreads(1)
    colours = np.unique(np.random.default_rng(0).integers(0, 1 << 24, 35))
    labels = np.random.default_rng(1).integers(0, len(colours), (128, 256)).repeat(8, 0).repeat(8, 1)
    rgb = np.stack([colours[labels] >> 16, colours[labels] >> 8 & 255, colours[labels] & 255], -1).astype(np.uint8)
    rows = np.arange(len(colours), dtype=np.int16)

    def seconds(decode: Callable[[], np.ndarray]) -> float:
        assert np.array_equal(decode(), labels)
        times = [timeit.timeit(decode, number=1) for _ in range(30)]
        return min(times)

    table = RowTable(colours.astype(np.uint32), rows, "rgb")
    assert seconds(lambda: table.rows(raw_colours(Path(), Raster(rgb, "rgb", ""), red_first=True))) < 0.015
    for encoding, dtype in (("id", np.uint8), ("id16", np.uint16)):
        table, raw = RowTable(rows.astype(np.uint32), rows, encoding), labels.astype(dtype)
        assert seconds(lambda table=table, raw=raw: table.rows(raw)) < 0.003
