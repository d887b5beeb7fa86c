"""The `.npz` of a constraint: written, read again, and refused if it is not what `compile` writes."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lsu_onto
from helpers.examples import examples
from helpers.tax import TAX, Compile
from lsu_onto import Constraint, Layout
from lsu_onto.constraint.invariants import broken
from lsu_onto.constraint.npz import load_npz, save_npz
from lsu_onto.library.catalogue import catalogue
from lsu_onto.library.library import Library


def test_npz_repeats_its_bytes_and_comes_back_equal(tmp_path: Path) -> None:
    for name in ("field", "idd_to_town", "colours", "prompts"):
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


# --- files that nobody compiled -----------------------------------------------------------------------------

ROWS = """\
0 way < road
1 cars > car truck
2 verge ~ road sidewalk void
3 cow ! any
4 blurred -> void
5 rest -> any ! car truck
"""


def test_whatever_is_compiled_keeps_every_invariant() -> None:
    library, compared = Library(), 0
    for entry in catalogue(library):
        name = f"{entry['name']} {entry['version']}"
        constraints = [lsu_onto.load(name, source) for source in entry["maps"] + entry["inherited"]]
        for c in [lsu_onto.load_dataset(name), *constraints]:
            assert broken(c) is None, (name, c.source)
            compared += 1
    assert compared > 50


def crafted(c: Constraint, name: str, value: Any, at: Any) -> Constraint:
    """A constraint with one value replaced: a whole field, or the element of an array."""
    if at is not None:
        array = getattr(c, name).copy()
        array[at] = value
        value = array
    return replace(c, **{name: value})


@pytest.mark.parametrize(
    ("name", "value", "at", "why"),
    [
        ("allowed", np.zeros((6, 5), bool), None, r"allowed: found bool \[6, 5\], expected bool \[6, 6\]"),
        ("allowed", np.zeros((6, 6), np.uint8), None, "allowed: found uint8"),
        ("allowed", np.full((6, 6), 2, np.uint8).view(bool), None, "neither false nor true"),
        ("allowed", False, 0, "`way` is allowed to be nothing"),
        ("allowed", False, (1, 2), "`cars` is related to a class that it may not be"),
        ("allowed", True, (1, 4), "`cars` may be a class that it is not related to"),
        ("allowed", True, (0, 5), "`way` may be something besides the class that it equals or lies inside"),
        ("allowed", True, (4, 0), "`blurred` has a `relabel` that"),
        ("kind", np.zeros((5, 5), np.uint8), None, r"kind: found uint8 \[5, 5\]"),
        ("kind", 5, (1, 2), "`cars` has a relation of no known kind"),
        ("kind", 3, (2, 0), "`verge` has other certain classes"),
        ("certain", True, (2, 0), "`verge` has other certain classes"),
        ("relabel", 1, 0, "`way` has a `relabel` that"),
        ("relabel", np.zeros(6, np.int64), None, "relabel: found int64"),
        ("novel", True, 2, "`verge` is not a source class"),
        ("raw", np.arange(6, dtype=np.uint32), None, r"raw_row: found int16 \[7\], expected int16 \[6\]"),
        ("raw", 3, 0, "raw: the values do not ascend"),
        ("raw", 256, 6, "raw: 256 does not fit `encoding: id`"),
        ("raw_row", 6, 0, "raw_row: found 6, expected rows from 0 to 5 or -1"),
        ("raw_row", -2, 0, "raw_row: found -2"),
        ("raw_row", -3, 0, "raw_row: found -3"),
        ("raw_names", ("way",), None, "raw_names: found 1 under `encoding: id`"),
        ("background", 77, None, "background: found 77"),
        ("background", -2, None, "background: found -2"),
        ("background", 0, None, "every pixel has a value under `encoding: id`"),
        ("palette", np.zeros((6, 4), np.uint8), None, "palette: found"),
        ("source_palette", np.zeros((6, 3), np.uint8), None, "source_palette: found"),
        ("encoding", "jpeg", None, "unknown encoding 'jpeg'"),
        ("encoding", "polygons", None, "raw_row: found -1"),
        ("encoding", "panoptic-rgb", None, "needs `segments:`"),
        ("layout", Layout(image_bits=99), None, "`99` is no number of bits"),
        ("layout", Layout(image_bits=-3), None, "`-3` is no number of bits"),
        ("layout", Layout(palettes="whatever"), None, "`whatever` says nothing of palettes"),
        ("layout", Layout(images="../{stem}.jpg"), None, "leaves the dataset's folder"),
        ("layout", Layout(split_values=(("val", "scene", ("a",)),)), None, "there is no split `val`"),
        ("layout", Layout(splits=("a b",)), None, r"splits: found \['a b'\]"),
        ("classes", ("way", "cars", "verge", "cow", "blurred", "way"), None, "classes: a name is there twice"),
        ("classes", ("way", "cars", "verge", "cow", "blurred", "void"), None, "'void' is not the name of a class"),
        ("classes", ("way", "cars", "verge"), None, r"allowed: found bool \[6, 6\]"),
        ("classes", (), None, "it has no classes"),
        ("source_classes", ("a", "b", "c", "d", "e\n"), None, r"'e\\n' is not the name of a class"),
        ("source_groups", ("a",), None, "source_groups: found 1 for 5 classes"),
        ("source_groups", ("a", "", "b.c", "d.", ""), None, "'d.' is not the name of a group"),
        ("source_prompts", (("a road",),), None, "source_prompts: found 1 for 5 classes"),
        ("source_prompts", (("a",),) * 4 + ((),), None, r"source_prompts: \[\] says nothing of `sky`"),
        ("prompts", (("a", "| b"),) + (("c",),) * 5, None, r"prompts: \['a', '\| b'\] says nothing of `way`"),
        ("source", "", None, "`` has 5 classes"),
        ("dataset_version", "2", None, "'town' '2' is not the name and version"),
        ("sha256", "", None, "sha256: found ''"),
    ],
)
def test_a_crafted_npz_is_refused(compiled: Compile, tmp_path: Path, name: str, value: Any, at: Any, why: str) -> None:
    c = compiled(ROWS, "void: 255")
    assert broken(c) is None
    save_npz(crafted(c, name, value, at), tmp_path / "a.npz")
    with pytest.raises(lsu_onto.TaxonomyError, match=rf"or damaged \(.*{why}.*; make one with `lsu-onto compile`"):
        lsu_onto.load(tmp_path / "a.npz")


def test_rows_that_contradict_each_other_are_refused(compiled: Compile) -> None:
    c = compiled("0 way ~ road void\n1 path ~ road sidewalk\n")
    kind = c.kind.copy()
    kind[0, 0] = 3
    assert (
        broken(replace(c, kind=kind, certain=kind == 3)) == "`road` lies wholly inside one class and partly in another"
    )


def test_names_that_stand_for_other_classes_are_refused() -> None:
    c = lsu_onto.load("polygons", source="shore", paths=[TAX / "ok"])
    assert broken(crafted(c, "raw_row", 2, list(c.raw_names).index("road"))) == (
        "raw_names: `road` does not stand for its class"
    )
    assert broken(crafted(c, "raw", 8, 6)) == "raw: the names are not numbered from 0"
    assert broken(crafted(c, "raw_row", -1, 0)) == "raw_row: found -1, expected rows from 0 to 3 or -3"
    assert (broken(replace(c, raw_names=c.raw_names[:-1])) or "").startswith("raw_names: found 6 under")


def test_arrays_of_another_byte_order_and_other_arrays(tmp_path: Path) -> None:
    c = lsu_onto.load(TAX / "ok" / "field.tax")
    swapped = replace(c, raw=c.raw.astype(">u4"), allowed=np.asfortranarray(c.allowed))
    save_npz(swapped, tmp_path / "a.npz")
    again = load_npz(tmp_path / "a.npz")
    assert again == c and again.allowed.flags.c_contiguous
    arrays = dict(np.load(tmp_path / "a.npz"))
    for found, why in ({**arrays, "more": c.raw}, "`more` is"), ({**arrays, "kind": None}, "`kind` is"):
        np.savez(tmp_path / "b.npz", **{k: v for k, v in found.items() if v is not None})
        with pytest.raises(lsu_onto.TaxonomyError, match=f"{why} missing or unknown"):
            load_npz(tmp_path / "b.npz")


def test_an_npz_of_another_source_is_not_what_was_asked_for(tmp_path: Path) -> None:
    c = lsu_onto.load("demo_town", "demo")
    save_npz(c, tmp_path / "a.npz")
    assert lsu_onto.load(tmp_path / "a.npz", source="demo") == lsu_onto.load(tmp_path / "a.npz", source="demo v1") == c
    with pytest.raises(lsu_onto.TaxonomyError, match=r"was compiled to `demo v1`, not to `cityscapes`; compile that"):
        lsu_onto.load(tmp_path / "a.npz", source="cityscapes")
    save_npz(lsu_onto.load_dataset("demo_town"), tmp_path / "b.npz")
    with pytest.raises(lsu_onto.TaxonomyError, match="was compiled without a map, not to `demo`"):
        lsu_onto.load(tmp_path / "b.npz", source="demo")
