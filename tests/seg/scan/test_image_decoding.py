"""`lsu-seg scan` decodes no more of an image than it must, and says of it what full decoding says."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from PIL import Image, ImageFile

from helpers import pngs
from lsu_onto.raster import loops
from lsu_seg.export.orientation import as_stored
from lsu_seg.scan import collect
from lsu_seg.scan.collect import look_at_image

PICTURE = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8).repeat(16, 0).repeat(16, 1)


def encoded(kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PICTURE).save(buffer, kind, **options)
    return buffer.getvalue()


def damaged(data: bytes) -> list[bytes]:
    flipped = [data[:i] + bytes([data[i] ^ 16]) + data[i + 1 :] for i in range(2, len(data), len(data) // 9)]
    return [data, *(data[: len(data) * part // 8] for part in range(1, 8)), data[:-1], *flipped]


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}], ids=str)
def test_a_small_jpeg_tells_what_the_whole_one_does(tmp_path: Path, options: dict[str, Any]) -> None:
    file = tmp_path / "a.jpg"
    for data in damaged(encoded("JPEG", quality=90, **options)):
        file.write_bytes(data)
        ours = look_at_image(file, decode=True)
        with (
            mock.patch.object(ImageFile.ImageFile, "draft", lambda *_: None),
            mock.patch("PIL.JpegImagePlugin.JpegImageFile.draft", lambda *_: None),
        ):
            assert look_at_image(file, decode=True) == ours


@pytest.mark.parametrize("done", [0, loops.WORTH])
@pytest.mark.parametrize("decode", [False, True])
def test_a_damaged_png_gets_the_words_of_pillow_decoded_or_not(
    tmp_path: Path, done: int, decode: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.png"
    monkeypatch.setattr(loops._Work, "done", done)
    for data in damaged(encoded("PNG")):
        file.write_bytes(data)
        ours = look_at_image(file, decode)
        with monkeypatch.context() as patched:
            patched.setattr(collect, "plain_png", lambda *_: None)
            patched.setattr(collect, "_exif", lambda image, _: image.getexif())
            pillows = look_at_image(file, decode=True)
        if "image" in pillows:
            assert ours == pillows
        elif data == encoded("PNG"):
            assert ours == {"image_size": [64, 48], **({"decoded": True} if decode else {})}
        else:
            # Pillow does not look at the last bytes; OpenCV refuses the file.
            assert "truncated after" in ours["image"] or "wrong checksum" in ours["image"]


def exif() -> Image.Exif:
    tags = Image.Exif()
    tags[274] = 6
    return tags


XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def parts_of_png(*, behind: bytes = b"", before: bytes = b"") -> bytes:
    data = pngs.png(PICTURE, 8, 2, (4,))
    pixels, end = data.index(b"IDAT") - 4, len(data) - 12
    return data[:pixels] + before + data[pixels:end] + behind + data[end:]


@pytest.mark.parametrize(
    ("part", "turned"),
    [
        (pngs.chunk(b"eXIf", exif().tobytes()[6:]), 6),
        (pngs.chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP), 6),
        (pngs.chunk(b"tEXt", b"Raw profile type exif\0\nexif\n      8\n" + exif().tobytes().hex().encode()), 6),
        (pngs.chunk(b"tEXt", b"date:create\0today"), None),
    ],
)
def test_the_orientation_of_a_png_is_found_before_and_behind_its_pixels(
    tmp_path: Path, part: bytes, turned: int | None
) -> None:
    for data in (parts_of_png(before=part), parts_of_png(behind=part)):
        (tmp_path / "a.png").write_bytes(data)
        assert look_at_image(tmp_path / "a.png").get("turned") == turned


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (2, b"abc\0", "abc"),
        (1, b"\6\0\0\0", "b'\\x06'"),
        (11, struct.pack("<f", float("inf")), "inf"),
        (9, struct.pack("<i", -7), -7),
    ],
    ids=["text", "a byte", "infinite", "negative"],
)
def test_an_orientation_that_is_none_is_told(tmp_path: Path, kind: int, value: bytes, said: int | str) -> None:
    """Some programs turn such an image, too."""
    count = 4 if kind == 2 else 1
    tags = struct.pack("<2sHIHHHI", b"II", 42, 8, 1, 0x0112, kind, count) + value + bytes(4)
    Image.fromarray(PICTURE).save(tmp_path / "a.jpg", exif=b"Exif\0\0" + tags)
    assert look_at_image(tmp_path / "a.jpg")["turned"] == said
    assert as_stored(tmp_path / "a.jpg", (tmp_path / "a.jpg").read_bytes()) == (tmp_path / "a.jpg").read_bytes()


def test_pixels_of_a_png_are_decoded_only_if_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(parts_of_png(behind=pngs.chunk(b"tEXt", b"date:create\0today")))
    monkeypatch.setattr(ImageFile.ImageFile, "load_prepare", mock.Mock(side_effect=AssertionError("decoded")))
    assert look_at_image(tmp_path / "a.png") == {"image_size": [64, 48]}


@pytest.mark.parametrize("done", [0, loops.WORTH])
@pytest.mark.parametrize(("bits", "colour"), [(8, 2), (8, 6), (4, 3), (16, 0)])
def test_missing_rows_are_found_when_an_image_is_decoded(
    tmp_path: Path, bits: int, colour: int, done: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow takes them for black, and OpenCV refuses the file."""
    monkeypatch.setattr(loops._Work, "done", done)
    channels = {2: (3,), 6: (4,)}.get(colour, ())
    whole = np.ones((9, 7, *channels), int)
    for interlaced in (False, True):
        (tmp_path / "a.png").write_bytes(pngs.png(whole, bits, colour, interlaced=interlaced))
        assert look_at_image(tmp_path / "a.png", decode=True).get("decoded")
    short = pngs.png(whole[:8], bits, colour)
    head = pngs.header(7, 8, bits, colour)
    (tmp_path / "a.png").write_bytes(short.replace(head, pngs.header(7, 9, bits, colour)))
    assert "fewer rows than it says" in look_at_image(tmp_path / "a.png", decode=True)["image"]
