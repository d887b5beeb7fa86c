"""What comes back from tools: other shapes, other archives, and what is wrong with them."""

from __future__ import annotations

import base64
import dataclasses
import io
import itertools
import json
import re
import struct
import types
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import lsu_onto
from helpers.reviewed import GRASS, TREE, brushed
from helpers.tiny import CLASSES, VOID, write_tax
from lsu_seg.review import recognise
from lsu_seg.review.elements import elements
from lsu_seg.review.errors import ReviewError
from lsu_seg.review.recognise import read_returned
from lsu_seg.review.returned import painted
from lsu_seg.review.tasks import name_of

NAME = name_of("park", "labels/train/a1")
SHOWN = np.full((24, 40), GRASS, np.int64)


@pytest.fixture(scope="module")
def constraint(tmp_path_factory: pytest.TempPathFactory) -> lsu_onto.Constraint:
    root = tmp_path_factory.mktemp("tax")
    write_tax(root)
    return lsu_onto.load("park", "tiny", [str(root)])


def label_of(constraint: lsu_onto.Constraint, path: Path) -> np.ndarray:
    """The label that the only image of a file has."""
    _, images = read_returned(path)
    (returned,) = images
    assert returned.name == NAME
    return painted(returned, constraint, SHOWN)


def xml(path: Path, *shapes: str, size: tuple[int, int] = (40, 24)) -> Path:
    about = f'name="{NAME}.png" width="{size[0]}" height="{size[1]}"'
    path.write_text(f'<annotations><image id="0" {about}>{"".join(shapes)}</image></annotations>')
    return path


def segmentation_masks(
    path: Path,
    colour: tuple[int, int, int],
    labelmap: str = "tree:107,142,35::\n",
    size: tuple[int, int] = (40, 24),
) -> Path:
    """A zip as CVAT writes it; the upper half is background."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[12:] = colour
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    with zipfile.ZipFile(path, "w") as archive:
        if labelmap:
            archive.writestr("labelmap.txt", f"# label:color_rgb:parts:actions\nbackground:0,0,0::\n{labelmap}")
        archive.writestr(f"SegmentationClass/{NAME}.png", buffer.getvalue())
        archive.writestr(f"SegmentationObject/{NAME}.png", buffer.getvalue())
        archive.writestr("ImageSets/Segmentation/default.txt", f"{NAME}\n")
    return path


def studio(path: Path, *results: Any, times: int = 1, **more: Any) -> Path:
    annotation = {"result": list(results), "completed_by": 1, **more}
    path.write_text(json.dumps([{"id": 7, "data": {"name": NAME}, "annotations": [annotation]}] * times))
    return path


def fiftyone(root: Path, mask: np.ndarray, is_file: bool = False) -> Path:
    """A folder with a mask, in a file or in the sample itself."""
    root.mkdir()
    buffer = io.BytesIO()
    if is_file:
        Image.fromarray(mask).save(root / "mask.png")
    else:
        np.save(buffer, mask)
    text = base64.b64encode(zlib.compress(buffer.getvalue())).decode()
    label = {"mask_path": "mask.png"} if is_file else {"mask": text}
    (root / "samples.json").write_text(json.dumps({"samples": [{"filepath": f"data/{NAME}.png", "label": label}]}))
    (root / "metadata.json").write_text(json.dumps({"default_mask_targets": {"3": "tree"}}))
    return root


def test_polygons_are_drawn_in_their_order(constraint: lsu_onto.Constraint, tmp_path: Path) -> None:
    square = '<polygon label="{}" points="4,4;8,4;8,8;4,8" z_order="{}"/>'
    labels = label_of(constraint, xml(tmp_path / "a.xml", square.format("sky", 1), square.format("road", 0)))
    assert np.unique(labels).tolist() == [CLASSES.index("sky"), VOID]
    expected = np.zeros(SHOWN.shape, bool)
    expected[4:8, 4:8] = True
    assert ((labels == CLASSES.index("sky")) == expected).all()
    halves = ['<polygon label="grass" points="0,0;40,0;0,24"/>', '<polygon label="tree" points="40,0;40,24;0,24"/>']
    labels = label_of(constraint, xml(tmp_path / "a.xml", *halves))
    assert np.unique(labels).tolist() == [GRASS, TREE]  # no pixel is left between them


def test_segmentation_masks(constraint: lsu_onto.Constraint, tmp_path: Path) -> None:
    path = segmentation_masks(tmp_path / "masks.zip", (107, 142, 35))
    labels = label_of(constraint, path)
    assert (labels[:12] == VOID).all()
    assert (labels[12:] == TREE).all()
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert (label_of(constraint, tmp_path / "unpacked") == labels).all()
    with pytest.raises(ReviewError, match=r"no class in `labelmap\.txt` has the colour #010203"):
        label_of(constraint, segmentation_masks(path, (1, 2, 3)))
    with pytest.raises(ReviewError, match="there is no class `a:b`"):
        label_of(constraint, segmentation_masks(path, (1, 2, 3), labelmap="a:b:1,2,3::\n"))
    with pytest.raises(ReviewError, match=r"`road` and `tree` have one colour in labelmap\.txt"):
        label_of(constraint, segmentation_masks(path, (1, 2, 3), labelmap="road:1,2,3::\ntree:1,2,3::\n"))
    with pytest.raises(ReviewError, match=r"no `labelmap\.txt`, which says what colours mean"):
        label_of(constraint, segmentation_masks(path, (1, 2, 3), labelmap=""))


def test_a_mask_that_is_no_image(constraint: lsu_onto.Constraint, tmp_path: Path) -> None:
    folder = fiftyone(tmp_path / "a", np.zeros(SHOWN.shape, np.uint8), is_file=True)
    (folder / "mask.png").write_bytes(b"x")
    with pytest.raises(
        ReviewError, match=r"sample `park__.*`: its mask cannot be read \(it is no image\); export again"
    ):
        label_of(constraint, folder)


def test_a_class_background_is_a_class(constraint: lsu_onto.Constraint, tmp_path: Path) -> None:
    """Of CVAT's masks. Elsewhere, `background` is the name of what nobody painted."""
    classes = tuple("background" if name == "tree" else name for name in CLASSES)
    _, (returned,) = read_returned(segmentation_masks(tmp_path / "a.zip", (107, 142, 35)))
    returned = dataclasses.replace(returned, layers=lambda *_: [("background", SHOWN >= 0)])
    assert (painted(returned, constraint, SHOWN) == VOID).all()
    constraint = dataclasses.replace(constraint, source_classes=classes)
    assert (painted(returned, constraint, SHOWN) == TREE).all()


def test_who_paints_over_a_class_need_not_erase_it(constraint: lsu_onto.Constraint, tmp_path: Path) -> None:
    everywhere, some = SHOWN >= 0, np.arange(40) < 7 + 0 * SHOWN
    for brushes in ([("tree", some), ("grass", everywhere)], [("grass", everywhere), ("tree", some)]):
        labels = label_of(constraint, studio(tmp_path / "a.json", *(brushed(name, mask) for name, mask in brushes)))
        assert (labels == np.where(some, TREE, GRASS)).all()


def test_of_several_annotations_the_latest_that_was_submitted_counts(
    constraint: lsu_onto.Constraint, tmp_path: Path
) -> None:
    everywhere = SHOWN >= 0
    path = studio(tmp_path / "a.json", brushed("tree", everywhere), updated_at="2026-02-02")
    (task,) = json.loads(path.read_text())
    task["annotations"] += [
        {"result": [brushed("sky", everywhere)], "updated_at": "2026-01-01"},
        {"result": [], "updated_at": "2026-03-03", "was_cancelled": True},
    ]
    path.write_text(json.dumps([task]))
    assert (label_of(constraint, path) == TREE).all()
    task["annotations"] = []
    path.write_text(json.dumps([task]))
    assert not list(read_returned(path)[1])


def test_what_is_damaged_is_refused(constraint: lsu_onto.Constraint, tmp_path: Path) -> None:
    def refused(path: Path, *expected: str) -> None:
        with pytest.raises(ReviewError) as error:
            label_of(constraint, path)
        for text in expected:
            assert text in str(error.value)

    def written(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    refused(written("a.txt", ""), 'expected what the tool exports: from CVAT "CVAT for images 1.1"')
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "expected what the tool exports")
    refused(written("a.xml", "<annotations><image"), "a.xml: cannot be read (unclosed token")
    refused(written("a.xml", "<mxfile/>"), "a.xml: its root is `mxfile`; expected `annotations`")
    box = '<box label="tree" xtl="0" ytl="0" xbr="5" ybr="5"/>'
    refused(xml(tmp_path / "a.xml", box), f"a.xml: image `{NAME}.png`: `tree` is a box; expected masks and polygons")
    mask = '<mask label="{}" rle="0, 4" left="{}" top="0" width="2" height="2"/>'
    refused(xml(tmp_path / "a.xml", mask.format("tree", 39)), "a mask of `tree` is damaged", "reaches out of the image")
    refused(xml(tmp_path / "a.xml", mask.format("tre", 3)), "there is no class `tre` in `tiny`; did you mean `tree`?")
    refused(xml(tmp_path / "a.xml", mask.format("", 3)), "there is no class `` in `tiny`")  # and not void
    refused(xml(tmp_path / "a.xml", '<mask label="tree"/>'), "a mask of `tree` is damaged (it has no 'left')")
    refused(written("a.json", "{"), "cannot be read (", 'export the project from Label Studio as "JSON"')
    refused(written("a.json", '[{"image": "x", "label": []}]'), "no `annotations` and `data`", '"JSON-MIN"')
    polygon = {"type": "polygonlabels", "value": {"points": []}}
    refused(studio(tmp_path / "a.json", polygon), "found a region of `polygonlabels`; expected `brushlabels`")
    brush = brushed("tree", SHOWN > 0)
    cut = {**brush, "value": {**brush["value"], "rle": brush["value"]["rle"][:-9]}}
    refused(studio(tmp_path / "a.json", cut), "its run lengths are cut off")
    refused(studio(tmp_path / "a.json", {**brush, "original_width": 41}), "the image was 41x24")
    for rle in ([], [1.5], "x", [300], 10**15, brush["value"]["rle"][:4] + [255] * 99):
        refused(studio(tmp_path / "a.json", {**brush, "value": {**brush["value"], "rle": rle}}), "a brush is damaged")
    for names in ("tree", [], ["tree", "car"]):
        two = {**brush, "value": {**brush["value"], "brushlabels": names}}
        refused(studio(tmp_path / "a.json", two), f"its classes are {names!r}; expected a list of one")
    for points in ("", "1", "1,2;inf,3;4,5", "nan,1;2,3;4,5"):
        polygons = f'<polygon label="tree" points="{points}"/>'
        refused(xml(tmp_path / "a.xml", polygons), "a polygon of `tree` is damaged")
    for field in ("width", "left"):
        wrong = mask.format("tree", 3).replace(f'{field}="', f'{field}="1e999')
        refused(xml(tmp_path / "a.xml", wrong), "a mask of `tree` is damaged")
    for runs in (
        f"{2**63 - 1}, {2**63 - 1}, 6",
        f"{2**64 - 1}, 5",
        "5, -1",
        "",
    ):  # of which three have 4 pixels, mod 2^64
        refused(xml(tmp_path / "a.xml", mask.format("tree", 3).replace("0, 4", runs)), "a mask of `tree` is damaged")
    entities = "".join(f'<!ENTITY {b} "{f"&{a};" * 30}">' for a, b in itertools.pairwise("abcdefgh"))
    for head in (f'<!DOCTYPE x [<!ENTITY a "{"a" * 99}">{entities}]>', '<?xml version="1.0" encoding="x-none"?>'):
        refused(written("a.xml", f"{head}<annotations>&h;</annotations>"), "a.xml: cannot be read (")


def test_damaged_archives_are_refused(constraint: lsu_onto.Constraint, tmp_path: Path) -> None:
    def refused(path: Path, text: str) -> None:
        with pytest.raises(ReviewError, match=re.escape(text)):
            label_of(constraint, path)

    def packed(damage: Callable[[bytes], bytes], how: int = zipfile.ZIP_STORED, name: str = "annotations.xml") -> Path:
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w", how) as archive:
            archive.writestr(name, "<annotations/>" * 9)
        path.write_bytes(damage(path.read_bytes()))
        return path

    refused(packed(lambda _: b"x"), "a.zip: cannot be read (File is not a zip file); export again")
    damaged = segmentation_masks(tmp_path / "b.zip", (107, 142, 35))
    damaged.write_bytes(damaged.read_bytes().replace(b"tree:107", b"tree:108", 1))
    refused(damaged, "b.zip: `labelmap.txt` cannot be read (Bad CRC-32")
    for how in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED):
        refused(packed(lambda data: data[:52] + bytes(9) + data[61:], how), "a.zip: `annotations.xml` cannot be read (")
        with zipfile.ZipFile(tmp_path / "c.zip", "w", how) as archive:
            archive.writestr("samples.json", '{"samples": []}' + " " * 99)
            archive.writestr("metadata.json", '{"default_mask_targets": {"3": "tree"}}')
        data = (tmp_path / "c.zip").read_bytes()
        (tmp_path / "c.zip").write_bytes(data[:49] + bytes(9) + data[58:])
        refused(tmp_path / "c.zip", "c.zip: `samples.json` cannot be read (")
    later = struct.pack("<H", 99)  # the version of zip that is needed to read it
    refused(
        packed(lambda data: re.sub(b"(?s)(PK\1\2..)..", lambda m: m[1] + later, data)), "a.zip: cannot be read (zip"
    )
    refused(packed(lambda data: data.replace("ö".encode(), b"\xff\xff"), name="ö"), "a.zip: cannot be read ('utf-8'")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for folder in ("a", "b", "__MACOSX"):
            archive.writestr(f"{folder}/annotations.xml", "<annotations/>")
    refused(tmp_path / "a.zip", "found `a/annotations.xml` and `b/annotations.xml`; import them one by one")


def test_a_file_that_would_fill_the_memory_is_not_unpacked(
    constraint: lsu_onto.Constraint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recognise, "_LARGEST", 20)
    with pytest.raises(ReviewError, match=r"`labelmap\.txt` would have 0 MiB unpacked; export fewer images at once"):
        label_of(constraint, segmentation_masks(tmp_path / "a.zip", (107, 142, 35)))
    label_of(constraint, fiftyone(tmp_path / "ok", np.zeros(SHOWN.shape, np.uint8)))
    for array in (np.zeros((24, 4000), np.uint8), np.zeros((24, 40, 99), np.uint8)):
        with pytest.raises(ReviewError, match=r"its mask cannot be read|it is 4000x24 there, and the label 40x24"):
            label_of(constraint, fiftyone(tmp_path / str(array.ndim), array))


@pytest.mark.parametrize("size", [(20, 12), (80, 48)])
def test_images_of_another_size_are_refused(
    constraint: lsu_onto.Constraint, tmp_path: Path, size: tuple[int, int]
) -> None:
    width, height = size
    mask = np.zeros((height, width), np.uint8)
    paths = [
        xml(tmp_path / "a.xml", '<polygon label="tree" points="0,0;9,0;9,9;0,9"/>', size=size),
        segmentation_masks(tmp_path / "a.zip", (107, 142, 35), size=size),
        fiftyone(tmp_path / "array", mask),
        fiftyone(tmp_path / "file", mask, is_file=True),
    ]
    for path in paths:
        with pytest.raises(ReviewError, match=f"it is {width}x{height} there, and the label 40x24: images must not be"):
            label_of(constraint, path)


def test_a_mask_whose_damage_pillow_says_in_its_own_way(constraint: lsu_onto.Constraint, tmp_path: Path) -> None:
    file = tmp_path / "SegmentationClass" / f"{NAME}.png"
    file.parent.mkdir()
    (tmp_path / "labelmap.txt").write_text("background:0,0,0::\ntree:107,142,35::\n")
    Image.new("P", (40, 24)).save(file, "BLP")
    data = bytearray(file.read_bytes())
    data[8] = 9  # the way in which its pixels are stored, of which there are three
    file.write_bytes(data)
    with pytest.raises(ReviewError, match=r"its mask cannot be read \(Unknown BLP encoding 9\); export again"):
        label_of(constraint, tmp_path)


@pytest.mark.parametrize("broken", ["samples.json", "metadata.json"])
def test_a_damaged_folder_of_fiftyone(constraint: lsu_onto.Constraint, tmp_path: Path, broken: str) -> None:
    (tmp_path / "samples.json").write_text(json.dumps({"samples": [{"filepath": f"data/{NAME}.png", "label": {}}]}))
    (tmp_path / "metadata.json").write_text(json.dumps({"default_mask_targets": {"3": "tree"}}))
    with pytest.raises(ReviewError, match="its mask cannot be read"):
        label_of(constraint, tmp_path)
    array = "{{'descr': {}, 'fortran_order': False, 'shape': ({}, 40)}}"
    odd = (array.format(kind, 24) for kind in ("'<U0'", "'<c8'", "'|V0'", "[('a', '|u1', (3,))]"))
    for header in ("(", "-" * 5000 + "1", array.format("'|u1'", "1" * 30), *odd):
        npy = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header.encode() + b"\n" + bytes(7680)
        label = {"mask": base64.b64encode(zlib.compress(npy)).decode()}
        sample = {"filepath": f"data/{NAME}.png", "label": label}
        (tmp_path / "samples.json").write_text(json.dumps({"samples": [sample]}))
        with pytest.raises(ReviewError, match="its mask cannot be read"):
            label_of(constraint, tmp_path)
    for text, why in (
        ("{}", "it has no "),
        ("[1]", "it is no object"),
        ('{"samples": {}, "default_mask_targets": [1]}', "it is no list|its mask targets are"),
        ('{"samples": [', "Expecting value"),
        ("", "it is no object|Expecting value"),
        ('{"a": ' + "[" * 9999, "it is nested too deeply|Expecting value"),
    ):
        (tmp_path / broken).write_text(text)
        with pytest.raises(
            ReviewError, match=rf"`{broken}` cannot be read \(({why}).*`dataset\.export\(DIR, dataset_t"
        ):
            label_of(constraint, tmp_path)


def test_samples_of_fiftyone_are_read_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fiftyone(tmp_path / "a", np.zeros((24, 40), np.uint8))
    sample = json.loads((tmp_path / "a/samples.json").read_text())["samples"][0]
    text = json.dumps({"name": [{}], "samples": [sample, sample, "x"]}).encode()
    assert list(elements(io.BytesIO(text), "samples")) == [sample, sample, "x"]
    (tmp_path / "a/samples.json").write_bytes(text[:-2] + b", ")
    monkeypatch.setattr("lsu_seg.review.elements._PART", 64)
    _, returned = read_returned(tmp_path / "a")
    assert next(returned).name == next(returned).name == NAME
    with pytest.raises(ReviewError, match=r"sample 3 of `samples\.json` is no object"):
        next(returned)
    for damaged in (
        b"[]",
        b'{"samples": 1}',
        b'{"a": 1}',
        b'{"samples": [1]',
        b'{"samples" [1]}',
        b'{"samples": []} 1',
    ):
        with pytest.raises(ValueError):
            list(elements(io.BytesIO(damaged), "samples"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_list_is_read_one_element_at_a_time(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lsu_seg.review.elements._PART", 7)  # signs, numbers and strings are cut everywhere
    for values in ([], [12345678901, 2], [{"a": ["ü€😀" * 9, {}]}, "x", [[[]]], None]):
        for indent in (None, 2):
            text = json.dumps(values, ensure_ascii=False, indent=indent)
            assert list(elements(io.BytesIO(f" {text}\n".encode(encoding)))) == values
    damaged = ["", "[", "[{}", "[{},", "[1 2]", "[] 3", "[,]", "[NaN", "[" * 9999, '["a]', '["\xff"]']
    for text in damaged:
        with pytest.raises((ValueError, RecursionError)):
            list(elements(io.BytesIO(text.encode("latin-1"))))
    parts = iter([b'[{"a": 1}, ', b""])
    first = next(elements(types.SimpleNamespace(read=lambda _: next(parts))))  # type: ignore[arg-type]
    assert first == {"a": 1}
