"""From rows to arrays: the table of docs/language.md row by row, and raw values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lsu_onto
from helpers.tax import SOURCE, TAX, Compile
from lsu_onto import ROW_SKIPPED, ROW_UNKNOWN, ROW_VOID, Constraint

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


def test_groups_of_the_source_have_their_subgroups_classes() -> None:
    groups = lsu_onto.load("bdd100k", "vistas").groups
    assert groups["object.traffic_sign"] == (49, 50) and {45, 49, 55} < set(groups["object"])
    assert lsu_onto.load_dataset("bdd100k").groups == {}


def test_prompts_are_those_of_the_file_or_else_the_names() -> None:
    c = lsu_onto.load("farm", "meadow", [TAX / "ok"])
    assert c.source_prompts == (("road", "paved road"), ("a lawn", "mown grass"), ("the sky above",))
    assert c.prompts == (("way",), ("lawn",), ("a cow", "cattle"))
    assert lsu_onto.load_dataset("farm", [TAX / "ok"]).prompts == c.prompts


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


def test_more_classes_than_the_arrays_can_number(tmp_path: Path) -> None:
    lines = "".join(f"{i} c{i}\n" for i in range(32768))
    (tmp_path / "many.tax").write_text(
        f"tax 1\nsource many v1\nencoding: id16\n{lines}dataset few v1 -> many v1\n1 a = c0\n"
    )
    for load in (lsu_onto.load, lsu_onto.load_dataset):
        with pytest.raises(lsu_onto.TaxonomyError, match="`many v1` has 32768 classes; at most 32767 can be compiled"):
            load("many", paths=[tmp_path])
    with pytest.raises(lsu_onto.TaxonomyError, match="`many v1` has 32768 classes"):
        lsu_onto.load("few", paths=[tmp_path])
