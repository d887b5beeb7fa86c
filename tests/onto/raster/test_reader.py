"""The one reader of label images: every value as it is stored, and a refusal of every file that would give others."""

from __future__ import annotations

import io
import itertools
import pickle
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

import lsu_onto
from helpers.examples import examples
from helpers.pngs import SIGNATURE, chunk, header, png, rows
from lsu_onto import LabelFileError, Raster, UserError, read_raster
from lsu_onto.raster import loops, reader

FORMATS = [(0, b) for b in (1, 2, 4, 8, 16)] + [(3, b) for b in (1, 2, 4, 8)] + [(2, 8), (4, 8), (6, 8)]
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
KIND = {0: "grey8", 2: "rgb", 3: "palette", 4: "grey8", 6: "rgb"}
INFLATERS = [zlib, *([] if loops.fast_zlib is zlib else [loops.fast_zlib])]
VALUES = np.arange(12).reshape(3, 4)


def read(data: bytes, **options: int) -> Raster:
    return read_raster("a.png", data, **options)


@settings(max_examples=examples(150))
@given(st.data())
def test_every_format_filter_and_interlacing_is_read_as_written(data: st.DataObject) -> None:
    colour, bits = data.draw(st.sampled_from(FORMATS))
    filters = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=5))
    height, width, seed = data.draw(st.tuples(st.integers(1, 20), st.integers(1, 50), st.integers(0, 99)))
    values = np.random.default_rng(seed).integers(0, 1 << bits, (height, width, CHANNELS[colour]))
    if colour in (4, 6):
        values[..., -1] = 255
    if data.draw(st.booleans()):  # flat areas, as labels have, where loops copy words
        values[:, width // 3 :] = values[0, 0]
    interlaced, band = data.draw(st.booleans()), data.draw(st.sampled_from([1, 50, 1 << 18]))
    inflate = data.draw(st.sampled_from(INFLATERS))
    with (
        mock.patch.multiple(reader, _BAND=band, _PIECE=min(band, 1000), fast_zlib=inflate),  # real bands are larger
        mock.patch.object(loops._Work, "done", data.draw(st.sampled_from([0, loops.WORTH]))),
    ):
        raster = read(png(values, bits, colour, filters, interlaced))
    expected = values[..., : {4: 1, 6: 3}.get(colour, CHANNELS[colour])]
    assert raster.array.tolist() == (expected[..., 0] if expected.shape[-1] == 1 else expected).tolist()
    assert raster.kind == ("grey16" if bits == 16 else KIND[colour])
    assert raster.array.dtype == (np.uint16 if bits == 16 else np.uint8)
    assert (raster.palette is not None) == (colour == 3)


@pytest.mark.parametrize("name", ["UserError", "TaxonomyError", "LabelFileError"])
def test_errors_have_the_name_that_users_import(name: str) -> None:
    error = getattr(lsu_onto, name)
    assert (error.__module__, error.__name__) == ("lsu_onto", name)
    assert type(pickle.loads(pickle.dumps(error("a.png: found …")))) is error  # as it comes from a worker


def test_what_other_programs_write_is_read_as_they_read_it(tmp_path: Path) -> None:
    """The encoder above is ours, so that Pillow's and OpenCV's are asked, too."""
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(0)
    for dtype, shape in [(np.uint8, (64, 90)), (np.uint16, (64, 90)), (np.uint8, (64, 90, 3))]:
        values = rng.integers(0, 19, shape).astype(dtype).repeat(5, 0).repeat(5, 1)
        Image.fromarray(values).save(tmp_path / "a.png")
        cv2.imwrite(str(tmp_path / "b.png"), values[..., ::-1] if values.ndim == 3 else values)
        for name in "ab":
            assert np.array_equal(read_raster(tmp_path / f"{name}.png").array, values)


def test_a_palette_has_the_colours_that_are_listed_and_no_more() -> None:
    data = SIGNATURE + header(2, 1, 8, 3) + chunk(b"PLTE", b"\1\2\3\4\5\6") + chunk(b"tRNS", b"\0")
    raster = read(data + chunk(b"IDAT", zlib.compress(b"\0\1\1")) + chunk(b"IEND"))
    assert raster.palette is not None
    assert raster.palette.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert raster.array.tolist() == [[1, 1]]


def palette_file(values: list[int], *colours: int) -> bytes:
    image = Image.fromarray(np.array([values], np.uint8))
    image.putpalette(b"".join(c.to_bytes(3, "big") for c in colours))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_colours_are_those_of_the_values_that_occur_as_far_as_the_palette_tells() -> None:
    assert read(palette_file([0, 2], 0, 0xFF0000, 0x00FF00)).colours == {0: 0, 2: 0x00FF00}
    assert read(palette_file([0, 2], 0, 0x010101, 0x020202)).colours == {}  # each value as its own grey
    assert read(palette_file([0, 2], 0, 0, 0)).colours == {}
    assert read(palette_file([0, 2], 0, 0x808080, 0xFFFFFF)).colours == {0: 0, 2: 0xFFFFFF}  # greys that were chosen
    assert read(png(np.array([[0, 2]]))).colours == {}


@settings(max_examples=examples(50))
@given(st.integers(1, 9), st.integers(1, 40), st.sampled_from([1, 3, 256]), st.integers(0, 2**32 - 1))
def test_no_value_that_occurs_is_overlooked(height: int, width: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    array = rng.integers(0, count, (height, width), np.uint8)
    array[:, rng.integers(width) :] = 0  # long runs of one value, as labels have
    array[rng.integers(height), rng.integers(width)] = 200
    palette = np.arange(255, 0, -1, dtype=np.uint8)[:, None].repeat(3, 1)[: rng.integers(2, 256)]
    colours = Raster(array, "palette", "", palette).colours
    assert colours == {v: (255 - v) * 0x010101 for v in np.unique(array).tolist() if v < len(palette)}


def test_palettes_contradict_each_other_only_in_values_that_occur() -> None:
    palettes = lsu_onto.Palettes()
    assert palettes.add("a.png", read(palette_file([0, 1], 0, 1, 2)).colours) == ""
    assert palettes.add("b.png", read(palette_file([0, 2], 0, 9, 3)).colours) == ""
    clash = palettes.add("c.png", read(palette_file([0, 1, 3], 0, 2, 9, 4)).colours)
    assert clash == "a palette with #000002 for value 1, which is #000001 in a.png"
    assert palettes.add("d.png", {3: 5}) == ""  # the colours of a file that contradicts count for nothing


def pixels(data: bytes) -> bytes:
    return chunk(b"IDAT", data)


ROWS = zlib.compress(rows(VALUES))
HEAD, END = SIGNATURE + header(4, 3), chunk(b"IEND")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (HEAD + pixels(zlib.compress(rows(VALUES[:2]))) + END, "fewer rows than it says"),
        (HEAD + pixels(ROWS[:-5]) + END, "fewer rows than it says"),  # all rows, and no end of the stream
        (HEAD + pixels(ROWS[:-1] + b"\0") + END, "incorrect data check"),  # the checksum of the stream
        (HEAD + pixels(b"what is this") + END, "incorrect header check"),
        (HEAD + END, "fewer rows than it says"),
        (HEAD + pixels(zlib.compress(b"\7" + rows(VALUES)[1:])) + END, "cannot decode"),  # there is no filter 7
        (HEAD + pixels(ROWS), "truncated after"),
        (HEAD + pixels(ROWS)[:-1] + b"?" + END, "wrong checksum at byte 33"),
        (HEAD + pixels(ROWS[:9]) + chunk(b"tEXt", b"x") + pixels(ROWS[9:]) + END, "pixels in two places"),
        (HEAD + header(4, 1) + pixels(ROWS) + END, "two headers"),
        (SIGNATURE + pixels(ROWS) + END, "no header at its start"),
        (SIGNATURE + chunk(b"IHDR", b"short") + pixels(ROWS) + END, "a header of another size"),
        (SIGNATURE + header(4, 3, 8, 3) + pixels(ROWS) + END, "a palette of 0 bytes"),
        (SIGNATURE + header(4, 3, 8, 3) + pixels(ROWS) + chunk(b"PLTE", b"123") + END, "one behind the pixels"),
        (SIGNATURE + header(4, 3, 16, 3) + pixels(ROWS) + END, "no such format: 16 bits, colour type 3"),
        (SIGNATURE + header(4, 3, 8, 5) + pixels(ROWS) + END, "no such format: 8 bits, colour type 5"),
        (SIGNATURE + header(0, 3) + pixels(ROWS) + END, "0 x 3 pixels"),
        (HEAD + chunk(b"ABCD") + pixels(ROWS) + END, "a part b'ABCD' that changes what the rest means"),
        (HEAD + chunk(b"acTL", struct.pack(">II", 2, 0)) + pixels(ROWS) + END, "an animated PNG"),
    ],
)
def test_a_png_that_contradicts_itself_is_refused(data: bytes, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = set()
    for inflate, done in itertools.product(INFLATERS, (0, loops.WORTH)):
        monkeypatch.setattr(reader, "fast_zlib", inflate)
        monkeypatch.setattr(loops._Work, "done", done)
        with pytest.raises(LabelFileError) as error:
            read(data)
        messages.add(str(error.value))
    assert len(messages) == 1
    assert messages.pop().startswith("a.png: found a")
    assert found in str(error.value)


@settings(max_examples=examples(100))
@given(st.data())
def test_a_damaged_stream_gives_the_same_bytes_or_the_same_refusal_however_it_is_read(data: st.DataObject) -> None:
    """The checksum of the part is right, so that the damage is found by whoever inflates."""
    values = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 3, (9, 40)).repeat(3, 0)
    stream = bytearray(zlib.compress(rows(values, filters=(0, 1, 2, 3, 4)), data.draw(st.integers(0, 9))))
    for _ in range(data.draw(st.integers(1, 3))):
        stream[data.draw(st.integers(0, len(stream) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    stream = stream[: data.draw(st.one_of(st.none(), st.integers(0, len(stream))))]
    file = SIGNATURE + header(40, 27) + pixels(bytes(stream)) + END
    answers = set()
    for inflate, done in itertools.product(INFLATERS, (0, loops.WORTH)):
        with mock.patch.object(reader, "fast_zlib", inflate), mock.patch.object(loops._Work, "done", done):
            try:
                answers.add(read(file).array.tobytes())
            except LabelFileError as error:
                answers.add(str(error))
    assert len(answers) == 1


@pytest.mark.parametrize("file", ["isal.py", "isal/isal_zlib.py"])
def test_without_a_working_isal_labels_are_read_all_the_same(file: str, tmp_path: Path) -> None:
    """A file of one's own, or a compiled part that cannot be loaded."""
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).with_name("__init__.py").touch()
    (tmp_path / file).write_text("raise ImportError('isal_zlib.so: file too short')\n")
    code = f"import sys, zlib; sys.path.insert(0, {str(tmp_path)!r})\n"
    code += "from lsu_onto.raster.loops import fast_zlib; print(fast_zlib is zlib)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "True\n"


def test_without_a_working_numba_labels_are_read_all_the_same() -> None:
    """It is missing, switched off, or its cache is damaged (any error of its own)."""
    file = png(np.arange(300).reshape(20, 15) % 7, filters=(4, 1))
    expected = read(file).array.tolist()
    for broken in (ImportError(), OSError("No space left on device"), EOFError()):
        loops._loops.cache_clear()
        with (
            mock.patch.object(loops.Loops, "unfilter", side_effect=broken),
            mock.patch.object(loops._Work, "done", loops.WORTH),
        ):
            assert read(file).array.tolist() == expected
            assert loops.compiled_loops(1) is None
    loops._loops.cache_clear()
    with mock.patch.object(loops._Work, "done", 0):
        assert loops.compiled_loops(0) is None  # too little is read for it to pay


def test_what_does_not_matter_is_passed_over() -> None:
    """Several parts of pixels, more data than rows, text, a frame of one, and what lies behind the end."""
    extra = zlib.compress(rows(VALUES) + b"too much")
    parts = pixels(extra[:3]) + pixels(b"") + pixels(extra[3:])
    data = HEAD + chunk(b"tEXt", b"x") + chunk(b"acTL", struct.pack(">II", 1, 0)) + chunk(b"gAMA", b"\0\0\1\0")
    assert read(data + parts + END + b"more").array.tolist() == VALUES.tolist()


def test_a_small_file_cannot_fill_the_memory() -> None:
    """One that is 1000 times larger than its header says is read no further than that."""
    bomb = HEAD + pixels(zlib.compress(rows(VALUES) + bytes(200 << 20), 1)) + END
    script = (
        "import resource, sys\nimport lsu_onto\nraster = lsu_onto.read_raster\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(raster('a.png', sys.stdin.buffer.read()).array.sum())\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", script], input=bomb, capture_output=True, check=True)
    total, kilobytes = map(int, done.stdout.split())
    assert total == VALUES.sum()
    assert kilobytes < 100_000


def test_too_large_images_are_refused_before_they_are_inflated() -> None:
    with pytest.raises(LabelFileError, match=r"40000 x 40000 pixels; expected at most 536870912"):
        read(SIGNATURE + header(40000, 40000) + pixels(ROWS) + END)
    assert read(HEAD + pixels(ROWS) + END, max_pixels=12).array.shape == (3, 4)
    with pytest.raises(LabelFileError, match="at most 11"):
        read(HEAD + pixels(ROWS) + END, max_pixels=11)


def tiff(values: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "TIFF", **options)
    return buffer.getvalue()


def test_a_tiff_is_whole_whatever_others_tell_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages exist that set this for the whole process; Pillow then reads missing rows as 0."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    values = np.ones((64, 64), np.uint8)
    data = tiff(values)
    start = data.index(values.tobytes())
    assert read(data).array.tolist() == values.tolist()
    for cut in (start, start + 1, start + 2000, start + 4095):
        with pytest.raises(LabelFileError, match="truncated after"):
            read(data[:cut])
    taller = data.replace(struct.pack("<HHII", 257, 4, 1, 64), struct.pack("<HHII", 257, 4, 1, 99))
    assert taller != data
    with pytest.raises(LabelFileError, match="fewer rows than it says"):
        read(taller)


def test_a_tiff_that_is_to_be_turned_is_refused() -> None:
    """Pillow turns it, without a word; whoever reads the pixels as they are stored gets others."""
    exif = Image.Exif()
    exif[274] = 6
    with pytest.raises(LabelFileError, match="an orientation that turns it"):
        read(tiff(np.zeros((2, 5), np.uint8), exif=exif))


def test_several_images_in_a_tiff_are_refused() -> None:
    more = Image.fromarray(np.zeros((2, 2), np.uint8))
    with pytest.raises(LabelFileError, match="a TIFF with 2 images; expected one"):
        read(tiff(np.zeros((2, 2), np.uint8), save_all=True, append_images=[more]))


def test_a_file_that_is_no_image_is_not_read_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    with file.open("wb") as f:
        f.write(b"PK\3\4")
        f.truncate(1 << 40)  # a terabyte that takes no room
    with pytest.raises(LabelFileError, match="a ZIP archive"):
        read_raster(file)


def test_memory_that_runs_out_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "load", full)
    monkeypatch.setattr(ImageFile.ImageFile, "load", full)
    with pytest.raises(MemoryError):
        read(tiff(np.zeros((2, 2), np.uint8)))


def test_without_pillow_the_package_works_and_the_reader_says_what_it_needs() -> None:
    script = "import sys\nsys.modules['PIL'] = None\nimport lsu_onto\nlsu_onto.LabelFileError\nlsu_onto.MAX_PIXELS\n"
    script += "try:\n    lsu_onto.read_raster('a.png')\nexcept lsu_onto.UserError as e:\n    print(e, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert f"reading label files needs Pillow: {lsu_onto.INSTALL.format('labels')}" in done.stderr
    from lsu_onto.raster.errors import MissingPillowError

    assert issubclass(MissingPillowError, UserError)
    assert issubclass(MissingPillowError, ImportError)
