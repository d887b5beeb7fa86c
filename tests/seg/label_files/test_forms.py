"""Every encoding in its official form: found, decoded to the row that was drawn, and refused where it must be."""

from __future__ import annotations

import base64
import json
import pickle
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from mmengine.registry import init_default_scope
from PIL import Image, ImageDraw
from pyarrow import parquet

import lsu_onto
from helpers.forms import FORMS, Form, mask_of, save, write_tax
from lsu_onto import ROW_UNKNOWN, ROW_VOID, Constraint
from lsu_seg.data.datasets import TaxDataset
from lsu_seg.label_files import LabelFileError, LabelReader, UnknownValue, read_bytes
from lsu_seg.label_files.members import _CONTENT, _KEYS
from lsu_seg.label_files.raw import KINDS
from lsu_seg.layout.pairs import find_pairs

SIZE = (24, 40)


def draw(seed: int, background: int = ROW_VOID) -> np.ndarray:
    """Blocks of eight pixels, every row in it, `background` too."""
    blocks = np.random.default_rng(seed).permutation([*range(6), *range(6), background, background, 0])
    return np.kron(blocks.reshape(3, 5), np.ones((8, 8), int))


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Form:
    return FORMS[request.param]


def written(tmp_path: Path, form: Form) -> tuple[Constraint, dict[str, np.ndarray]]:
    drawn = {"x": draw(1), "y 2": draw(2)}
    form.write(tmp_path / "data", "train", drawn)
    return lsu_onto.load(write_tax(tmp_path / "tax", form)), drawn


def test_every_form_is_read_back_to_the_row_that_was_drawn(tmp_path: Path, form: Form) -> None:
    constraint, drawn = written(tmp_path, form)
    first = 1 if constraint.encoding == "polygons" else 0  # its taxonomy has one class more, never drawn
    pairs = find_pairs(tmp_path / "data", constraint.layout, "train")
    reader = LabelReader(constraint, root=str(tmp_path / "data"), split="train")
    reader.prepare()
    assert len(pairs) == 2
    for pair in pairs:
        stem = next(s for s in drawn if s in pair.image.name or s in pair.image.parent.name)
        rows = reader.rows(pair.label)
        assert rows.dtype == np.int16
        assert np.array_equal(rows, np.where(drawn[stem] < 0, drawn[stem], drawn[stem] + first))
    again = pickle.loads(pickle.dumps(reader))
    assert np.array_equal(again.rows(pairs[0].label), reader.rows(pairs[0].label))


def test_every_form_runs_through_the_pipeline(tmp_path: Path, form: Form) -> None:
    init_default_scope("mmseg")
    constraint, _ = written(tmp_path, form)
    load = [dict(type="LoadTaxImage"), dict(type="LoadTaxAnnotations"), dict(type="PackTaxInputs")]
    dataset = TaxDataset(str(tmp_path / "tax/form.tax"), str(tmp_path / "data"), "train", pipeline=load)
    assert len(dataset) == 2
    assert dataset.fingerprint() == dataset.fingerprint()
    for sample in dataset:
        assert sample["inputs"].shape[1:] == SIZE
        packed = sample["data_samples"]
        rows, channels = packed.gt_rows.data[0].numpy(), packed.gt_sem_seg.data[0].numpy()
        single = np.append(constraint.relabel, -1)
        decided = np.where((single >= 0) & (single < 5), single, 255)
        assert np.array_equal(channels, decided[rows])
        assert {0, 255} <= set(channels.ravel().tolist())


@pytest.mark.parametrize("name", [n for n in FORMS if not n.startswith(("panoptic", "polygons", "rle", "id16/1000, "))])
def test_unlisted_numbers_and_colours_are_told(tmp_path: Path, name: str) -> None:
    constraint, _ = written(tmp_path, FORMS[name])
    pair = find_pairs(tmp_path / "data", constraint.layout, "train")[0]
    with Image.open(pair.label) as image:
        pixels = np.array(image)
    odd = {"id16/1000": 41000, "id16/256": 41 * 256, "instance-ids": 41007, "rgb": [0, 0, 41]}.get(name, 41)
    pixels[5, 3:6] = odd
    save(pair.label, pixels)
    with pytest.raises(LabelFileError) as refusal:
        LabelReader(constraint).rows(pair.label)
    shown = "#000029" if name == "rgb" else "41"
    assert f"{shown} in 3 pixel(s), first at x=3 y=5" in str(refusal.value)
    assert str(pair.label) in str(refusal.value)
    rows, unknown = LabelReader(constraint, unknown="void").read(pair.label)
    assert (unknown, rows[5, 4]) == (3, ROW_VOID)


def test_a_table_whose_images_are_no_bytes_is_refused(tmp_path: Path) -> None:
    content = {_KEYS[0]: [1], _KEYS[1]: [2], _CONTENT[0]: ["text"]}
    parquet.write_table(pa.table(content), tmp_path / "a.parquet")
    with pytest.raises(LabelFileError, match="found a column of string; expected encoded images, as binary data"):
        read_bytes(tmp_path / "a.parquet/1_2")


# --- panoptic ----------------------------------------------------------------------------------------------


@pytest.fixture
def coco(tmp_path: Path) -> tuple[LabelReader, Path, Path]:
    """A reader, its JSON and a label file."""
    constraint, _ = written(tmp_path, FORMS["panoptic-rgb, COCO"])
    data = tmp_path / "data"
    table, label = data / "annotations/panoptic_train2017.json", data / "panoptic_train2017/x.png"
    return LabelReader(constraint, root=str(data), split="train"), table, label


def change(path: Path, edit: object) -> None:
    content = json.loads(path.read_text())
    edit(content)  # type: ignore[operator]
    path.write_text(json.dumps(content) + " ")


def test_unlisted_categories_are_counted_over_their_segments(coco: tuple[LabelReader, Path, Path]) -> None:
    reader, table, label = coco
    before = reader.rows(label)

    def edit(content: dict) -> None:
        for annotation in content["annotations"]:
            for s in annotation["segments_info"]:
                s["category_id"] = 77 if s["category_id"] == 1 else s["category_id"]

    change(table, edit)
    y, x = np.argwhere(before == 0)[0]
    count = int((before == 0).sum())
    found = reader.inspect(label)
    assert found.unknown == [UnknownValue(77, count, x, y)]
    assert np.array_equal(found.rows == ROW_UNKNOWN, before == 0)
    with pytest.raises(LabelFileError, match=rf"x\.png: .*77 in {count} pixel\(s\), first at x={x} y={y}"):
        reader.rows(label)


def test_a_segment_that_the_json_lacks_is_unknown_and_not_void(coco: tuple[LabelReader, Path, Path]) -> None:
    reader, table, label = coco
    change(table, lambda c: c["annotations"][0]["segments_info"].pop(0))
    with pytest.raises(LabelFileError, match=r"`segment \d+, not in the JSON`"):
        reader.rows(label)


@pytest.mark.parametrize(
    ("edit", "text"),
    [
        (lambda c: c.pop("annotations"), "no `annotations`"),
        (lambda c: c["annotations"][0].pop("segments_info"), "no `segments_info`"),
        (lambda c: c["annotations"].append(c["annotations"][0]), r"`x\.png` twice"),
        (
            lambda c: c["annotations"][0]["segments_info"].append(c["annotations"][0]["segments_info"][0]),
            "a segment number twice",
        ),
        (lambda c: c["annotations"][0]["segments_info"][0].update(id=-1), "segment numbers from -1"),
        (lambda c: c["annotations"][0].update(file_name="z.png"), r"x\.png: found no entry in .*such as `z\.png`"),
        (lambda c: c.update(annotations="none"), "another form"),
    ],
)
def test_a_json_of_another_form_is_refused(coco: tuple, edit: object, text: str) -> None:
    reader, table, label = coco
    change(table, edit)
    with pytest.raises(LabelFileError, match=text):
        reader.rows(label)


def test_a_missing_json_is_told_before_the_first_label(coco: tuple[LabelReader, Path, Path]) -> None:
    reader, table, _ = coco
    table.unlink()
    with pytest.raises(LabelFileError, match=r"panoptic_train2017\.json: found no readable file .*`segments:`"):
        reader.prepare()
    with pytest.raises(ValueError, match="needs `root` and `split`"):
        LabelReader(reader.constraint)


# --- polygons ----------------------------------------------------------------------------------------------


def polygons(tmp_path: Path, *objects: dict, extra: str = "") -> tuple[LabelReader, Path]:
    form = FORMS["polygons"]
    constraint = lsu_onto.load(write_tax(tmp_path / "tax", form._replace(keys=form.keys + extra)))
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"imgHeight": 10, "imgWidth": 12, "objects": objects}))
    return LabelReader(constraint), path


SQUARE = [[2, 3], [5, 3], [5, 6], [2, 6]]


def test_an_unknown_label_is_named_with_count_and_first_pixel(tmp_path: Path) -> None:
    reader, path = polygons(tmp_path, {"label": "the skyy", "polygon": SQUARE})
    message = r"a\.json: .*`the skyy` in 16 pixel\(s\), first at x=2 y=3; .* did you mean `the sky`\?"
    with pytest.raises(LabelFileError, match=message):
        reader.rows(path)
    reader.unknown = "void"
    assert reader.read(path).unknown == 16


def test_names_aliases_and_groups_are_labels(tmp_path: Path) -> None:
    labels = ["the thing", "thing", "thinggroup", "the thinggroup"]
    reader, path = polygons(tmp_path, *({"label": n, "polygon": SQUARE} for n in labels))
    assert set(reader.rows(path).ravel().tolist()) == {-1, reader.constraint.classes.index("thing")}


def test_background_is_a_class_where_the_taxonomy_says_so(tmp_path: Path) -> None:
    line = {"label": "the way", "polygon": [[1, 1], [2, 2]]}  # two corners: nothing, as IDD's tool has it
    reader, path = polygons(tmp_path, {"label": "the sky", "polygon": SQUARE}, line, extra="background: skip\n")
    rows = reader.rows(path)
    skip, sky = (reader.constraint.classes.index(n) for n in ("skip", "sky"))
    assert (rows == sky).sum() == 16
    assert (rows == skip).sum() == 120 - 16


def test_fractions_and_corners_outside_draw_as_pillow_draws_them(tmp_path: Path) -> None:
    triangle = [[-4, 2.5], [6.4, 2.5], [6.4, 30]]
    turns = np.linspace(0, 2 * np.pi, 3000)
    dense = np.stack([6 + 7 * np.cos(turns), 4 + 5 * np.sin(3 * turns)], 1).tolist()
    for corners in (triangle, dense, [corner for corner in dense[::100] for _ in range(50)]):
        reader, path = polygons(tmp_path, {"label": "the sky", "polygon": corners})
        image = Image.new("L", (12, 10), 0)
        ImageDraw.Draw(image).polygon([tuple(c) for c in corners], fill=1)
        assert np.array_equal(reader.rows(path) >= 0, np.asarray(image) == 1)


def test_outlines_that_take_minutes_are_refused_and_those_of_many_corners_at_few_pixels_are_not(tmp_path: Path) -> None:
    zigzag = [[i % 2 * 5, i % 2 * 5] for i in range(120_000)]
    reader, path = polygons(tmp_path, {"label": "the sky", "polygon": [[x / 9, y / 9] for x, y in zigzag]})
    assert (reader.rows(path) >= 0).sum() == 1
    reader, path = polygons(tmp_path, {"label": "the sky", "polygon": zigzag})
    with pytest.raises(LabelFileError, match="take minutes to draw, the last with 120000 corners"):
        reader.rows(path)


AWAY = b"""{"imgHeight": 9, "imgWidth": 9, "objects": [
    {"label": "the sky", "polygon": [[1, 1], [8, 1], [3, %s]]}
]}"""


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "0 bytes"),
        (b'{"imgHeight": 10', "damaged JSON"),
        (b'{"imgHeight": 10, "imgWidth": 9}', "no `objects`"),
        (b'{"imgHeight": 10, "imgWidth": 9, "objects": [{"label": "x", "polygon": 3}]}', "another form"),
        (b"[]", "another form"),
        (b"\x89PNG\r\n\x1a\n", "a PNG image"),
        (b"version https://git-lfs", "git-LFS pointer"),
        (b'{"imgHeight": 100000, "imgWidth": 100000, "objects": []}', "100000 x 100000 pixels"),
        (b'{"imgHeight": -1, "imgWidth": 5, "objects": []}', "another form"),
        (b'{"imgHeight": 4.5, "imgWidth": 5, "objects": []}', "a size of 4.5 pixels"),
        (
            AWAY.replace(b'"label"', b'"deleted": "perhaps", "label"') % b"1",
            "`deleted` is 'perhaps'; 0 or 1 is expected",
        ),
        *((AWAY % number, "a corner is NaN") for number in (b"NaN", b"-Infinity", b"1e30")),
    ],
)
def test_what_is_no_polygon_file_is_refused(tmp_path: Path, data: bytes, text: str) -> None:
    reader, path = polygons(tmp_path)
    path.write_bytes(data)
    with pytest.raises(LabelFileError, match=text):
        reader.rows(path)


# --- tables ------------------------------------------------------------------------------------------------


def test_labels_inside_tables(tmp_path: Path) -> None:
    constraint, _ = written(tmp_path, FORMS["id16/1000, Waymo"])
    pair = find_pairs(tmp_path / "data", constraint.layout, "train")[0]
    assert pair.key == "train/camera_segmentation/x.parquet/1510593600100000_1"
    with pytest.raises(
        LabelFileError, match=r"divisor 1000; expected `encoding: id16/256`; declare `encoding: id16/1000`"
    ):
        LabelReader(replace(constraint, encoding="id16/256")).rows(pair.label)
    with pytest.raises(LabelFileError, match=r"x\.parquet: found no row `7_1`"):
        LabelReader(constraint).rows(pair.label.with_name("7_1"))
    labels = tmp_path / "pseudo" / f"{pair.key}.png"  # lie in a folder that is called like the table
    save(labels, np.full(SIZE, 3, np.uint8))
    assert set(LabelReader(replace(constraint, encoding="id")).rows(labels).ravel().tolist()) == {2}
    table = pair.label.parent
    parquet.write_table(pa.table({"a": [1]}), table)
    with pytest.raises(LabelFileError, match=r"x\.parquet: found columns a; expected Waymo's"):
        find_pairs(tmp_path / "data", constraint.layout, "train")
    table.write_bytes(b"PAR1?")
    with pytest.raises(LabelFileError, match=r"x\.parquet: found no Parquet table"):
        find_pairs(tmp_path / "data", constraint.layout, "train")


# --- masks -------------------------------------------------------------------------------------------------


def test_masks_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    constraint, _ = written(tmp_path, FORMS["rle"])
    data = tmp_path / "data"
    image = data / "samples/CAM_FRONT/x.jpg"
    reader = LabelReader(constraint, root=str(data), split="train")
    table = data / "v1.0-train/surface_ann.json"
    whole = table.read_text()
    for edit, text in (
        (lambda c: c[0].update(mask=mask_of(np.ones((3, 4)))), r"damaged mask of `the way` .*it is 4x3"),
        (
            lambda c: c[0]["mask"].update(counts="?"),
            r"damaged mask of `the way` on `samples/CAM_FRONT/x\.jpg`",
        ),
        *((lambda c, n=n: c[0]["mask"].update(size=n), "damaged mask") for n in ([-1, 1], [24], [10**9, 10**9], None)),
        *(  # runs that end too early or too late, or nowhere
            (lambda c, n=n: c[0]["mask"].update(counts=base64.b64encode(n).decode()), "its run|run length is too large")
            for n in (b"", b"\0", b"0" * 99, b"P", b"o" * 9, b"oooooooooooo0", b"PX1")
        ),
        (lambda c: c[0].pop("mask"), r"surface_ann\.json: found no `mask`"),
        (lambda c: c[0].update(category_token="?"), r"surface_ann\.json: found no `\?`"),
    ):
        change(table, edit)
        with pytest.raises(LabelFileError, match=text):
            reader.rows(image)
        table.write_text(whole)
    for name, edits in (
        ("sample_data", ({"height": 1e999}, {"width": -1}, {"filename": [1]}, {"filename": None})),
        ("category", ({"name": ["x"]}, {"name": None})),
    ):
        whole = (other := data / f"v1.0-train/{name}.json").read_text()
        for values in edits:
            change(other, lambda c, values=values: c[0].update(values))
            with pytest.raises(LabelFileError, match=rf"{name}\.json: found another form"):
                reader.prepare()
        other.write_text(whole)
    change(data / "v1.0-train/category.json", lambda c: c[4].update(name="a beast"))
    with pytest.raises(LabelFileError, match=r"`a beast` in \d+ pixel"):
        reader.rows(image)
    with pytest.raises(LabelFileError, match="found no entry in"):
        reader.rows(data / "samples/CAM_FRONT/none.jpg")
    table.unlink()
    with pytest.raises(LabelFileError, match=r"surface_ann\.json: found no such file"):
        reader.prepare()


def test_masks_without_what_draws_them_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    constraint, _ = written(tmp_path, FORMS["rle"])
    reader = LabelReader(constraint, root=str(tmp_path / "data"), split="train")
    monkeypatch.setitem(sys.modules, "pycocotools", None)  # as if it were not installed
    with pytest.raises(LabelFileError, match=r"expected pycocotools, to draw them \(.*\); python -m pip install"):
        reader.rows(tmp_path / "data/samples/CAM_FRONT/x.jpg")


def test_a_later_change_of_the_tables_is_seen(tmp_path: Path) -> None:
    constraint, _ = written(tmp_path, FORMS["rle"])
    reader = LabelReader(constraint, root=str(tmp_path / "data"), split="train")
    image = tmp_path / "data/samples/CAM_FRONT/x.jpg"
    assert (reader.rows(image) >= 0).any()
    for name in ("surface_ann", "object_ann"):
        (tmp_path / f"data/v1.0-train/{name}.json").write_text("[]")
    assert (reader.rows(image) == ROW_VOID).all()


def test_the_forms_cover_every_encoding() -> None:
    declared = {re.search(r"encoding: (\S+)", form.keys)[1].partition("/")[0] for form in FORMS.values()}  # type: ignore[index]
    assert declared == set(KINDS)
