"""From rows to arrays: the table of docs/language.md row by row, raw values, and the `.npz`."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lsu_onto
from helpers.examples import examples
from helpers.tax import SOURCE, TAX, Compile
from lsu_onto import ROW_SKIPPED, ROW_UNKNOWN, ROW_VOID, Constraint
from lsu_onto.constraint.npz import load_npz, save_npz

ALL = "road sidewalk car truck sky"


@pytest.mark.parametrize(
    ("row", "allowed", "kinds", "certain", "novel"),
    [
        ("= car", "car", {"car": 1}, "car", False),
        ("< car", "car", {"car": 2}, "", False),
        ("> car truck", "car truck", {"car": 3, "truck": 3}, "car truck", False),
        ("> car ~ void", "car void", {"car": 3}, "car", False),
        ("> car ~ truck", "car truck", {"car": 3, "truck": 4}, "car", False),
        ("~ car truck", "car truck", {"car": 4, "truck": 4}, "", False),
        ("~ car, truck void", "car truck void", {"car": 4, "truck": 4}, "", False),
        ("~ @vehicle void ! car", "truck void", {"truck": 4}, "", False),
        ("> @vehicle", "car truck", {"car": 3, "truck": 3}, "car truck", False),
        ("! any", "void", {}, "", True),
        ("-> void", "void", {}, "", False),
        ("-> any", f"{ALL} void", {}, "", False),
        ("-> any ! @vehicle sky", "road sidewalk void", {}, "", False),
        ("-> any ! void", ALL, {}, "", False),
    ],
)
def test_row(compiled: Compile, row: str, allowed: str, kinds: dict[str, int], certain: str, novel: bool) -> None:
    c = compiled(f"0 it {row}\n")
    names = c.source_classes
    assert " ".join(c.names("it")) == allowed
    assert {names[s]: int(c.kind[0, s]) for s in np.flatnonzero(c.kind[0])} == kinds
    assert " ".join(names[s] for s in np.flatnonzero(c.certain[0])) == certain
    assert c.novel[0] == novel
    assert c.open_rows[0] == allowed.endswith("void")
    only = {**{n: i for i, n in enumerate(names)}, "void": len(names)}
    assert c.relabel[0] == only.get(allowed, -1)


def test_shapes_and_types(compiled: Compile) -> None:
    c = compiled("1 a = car\n2 b ~ road void\n")
    assert c.num_classes == 5
    got = {n: (getattr(c, n).dtype.name, getattr(c, n).shape) for n in ("allowed", "kind", "certain", "relabel")}
    assert got == {
        "allowed": ("bool", (2, 6)),
        "kind": ("uint8", (2, 5)),
        "certain": ("bool", (2, 5)),
        "relabel": ("int16", (2,)),
    }
    assert c.source_palette[2].tolist() == [0, 0, 0x8E]


def raw(c: Constraint) -> dict[int, int]:
    assert (np.diff(c.raw.astype(np.int64)) > 0).all()
    return dict(zip(c.raw.tolist(), c.raw_row.tolist(), strict=True))


def test_raw_values_of_ranges_void_and_classes_never_drawn(compiled: Compile) -> None:
    c = compiled("1..3,7 a = car\n- never < road\n5 b = sky\n", "void: 0, 254..255")
    assert raw(c) == {0: ROW_VOID, 1: 0, 2: 0, 3: 0, 5: 2, 7: 0, 254: ROW_VOID, 255: ROW_VOID}
    assert ROW_UNKNOWN not in c.raw_row


def test_raw_values_of_colours(compiled: Compile) -> None:
    c = compiled("0 a #010203,#0a0b0c = car\n1 b #ffffff = sky\n- never < road\n", "encoding: rgb\nvoid: #000000")
    assert raw(c) == {0: ROW_VOID, 0x010203: 0, 0x0A0B0C: 0, 0xFFFFFF: 1}
    assert c.palette[0].tolist() == [1, 2, 3]


def test_a_source_is_the_identity_of_its_channels(tmp_path: Path) -> None:
    (tmp_path / "demo.tax").write_text(SOURCE.replace("demo", "mine"))
    c = lsu_onto.load("mine", paths=[tmp_path])
    assert np.array_equal(c.allowed, np.eye(5, 6, dtype=bool))
    assert c.certain.all(where=np.eye(5, dtype=bool))
    assert raw(c) == {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 255: ROW_VOID}


def test_hash_follows_the_contents_of_every_file_and_not_their_place(tmp_path: Path) -> None:
    def build(folder: str, **changed: str) -> str:
        (tmp_path / folder).mkdir()
        for p in (TAX / "ok").glob("*.tax"):
            (tmp_path / folder / p.name).write_bytes(p.read_bytes() + changed.get(p.stem, "").encode())
        return lsu_onto.load(tmp_path / folder / "idd_plus.tax").sha256

    same = build("a")
    assert same == build("b")
    assert len({same, build("c", idd="# x\n"), build("d", idd_plus="# x\n"), build("e", field="# x\n")}) == 4


def test_npz_repeats_its_bytes_and_comes_back_equal(tmp_path: Path) -> None:
    for name in ("field", "idd_to_town", "colours"):
        c = lsu_onto.load(TAX / "ok" / f"{name}.tax")
        save_npz(c, tmp_path / "a.npz")
        save_npz(lsu_onto.load(TAX / "ok" / f"{name}.tax"), tmp_path / "b.npz")
        assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
        assert lsu_onto.load(tmp_path / "a.npz") == c
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "b.npz"]


DATASETS = ["panoptic", "polygons", "masks", "instances"]


@pytest.mark.parametrize("name", DATASETS)
def test_npz_keeps_what_every_encoding_needs(tmp_path: Path, name: str) -> None:
    c = lsu_onto.load(name, source="shore", paths=[TAX / "ok"])
    save_npz(c, tmp_path / "a.npz")
    assert load_npz(tmp_path / "a.npz") == c


def test_labels_that_are_names() -> None:
    c = lsu_onto.load("polygons", source="shore", paths=[TAX / "ok"])
    rows = dict(zip(c.raw_names, c.raw_row.tolist(), strict=True))
    assert rows == {
        "unlabeled": 0,
        "road": 1,
        "the road": 1,
        "car": 2,
        "automobile": 2,
        "plate": ROW_SKIPPED,
        "license plate": ROW_SKIPPED,
    }
    assert c.raw.tolist() == list(range(7))
    assert c.background == 0
    assert c.layout.split_values == (("train", "scene", ("a", "b")), ("val", "scene", ("c",)))


def test_category_ids_and_layout_keys() -> None:
    c = lsu_onto.load("panoptic", source="shore", paths=[TAX / "ok"])
    assert (c.raw_names, c.background) == ((), ROW_VOID)
    assert dict(zip(c.raw.tolist(), c.raw_row.tolist(), strict=True)) == {0: ROW_VOID, 7: 0, 9: 2, 200: 1}
    assert c.layout.segments == "annotations/panoptic_{split}2017.json"
    assert lsu_onto.load("instances", source="shore", paths=[TAX / "ok"]).layout.list == "{split}.lst"


def test_npz_holds_no_pickle(tmp_path: Path) -> None:
    save_npz(lsu_onto.load(TAX / "ok" / "field.tax"), tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        assert all(archive[name].dtype != object for name in archive.files)


def test_npz_with_a_pickle_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", header=np.array([{"format": 1}], object))
    with pytest.raises(lsu_onto.TaxonomyError, match="not a compiled constraint"):
        load_npz(tmp_path / "a.npz")


def test_npz_of_another_format_asks_to_compile_again(tmp_path: Path) -> None:
    for number, age in (
        (99, "a newer .*: upgrade, or compile it again"),
        (1, "an older .*: compile it again"),
    ):
        np.savez(tmp_path / "a.npz", header=np.frombuffer(b'{"format": %d}' % number, np.uint8))
        with pytest.raises(lsu_onto.TaxonomyError, match=age):
            load_npz(tmp_path / "a.npz")


def test_npz_that_is_something_else(tmp_path: Path) -> None:
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "text.npz").write_text("tax 1\n")
    with zipfile.ZipFile(tmp_path / "zip.npz", "w") as z:
        z.writestr("readme.txt", "hello")
    for name in ("array", "empty", "text", "zip"):
        with pytest.raises(lsu_onto.TaxonomyError, match="not a compiled constraint") as refused:
            load_npz(tmp_path / f"{name}.npz")
        assert "pickle" not in str(refused.value), "advice that a user must not follow"
    with pytest.raises(lsu_onto.TaxonomyError, match="there is no file"):
        load_npz(tmp_path / "none.npz")


@settings(max_examples=examples(150))
@given(st.data())
def test_damaged_npz_is_refused_or_unharmed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    good = lsu_onto.load(TAX / "ok" / "field.tax")
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    save_npz(good, path)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at : at + data.draw(st.integers(1, 40))] = data.draw(st.binary(max_size=8))
    path.write_bytes(content)
    try:
        again = load_npz(path)
    except lsu_onto.TaxonomyError:
        return
    assert again == good
