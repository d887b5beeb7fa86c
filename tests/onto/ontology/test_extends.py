"""A dataset that extends another has its map, too: own rows win, and only what is new needs one."""

from __future__ import annotations

from pathlib import Path

import pytest

import lsu_onto
from helpers.tax import SOURCE
from lsu_onto.library.errors import TaxonomyError
from lsu_onto.library.library import Library

BASE = """\
dataset base v1
1 drivable #805080
2 walkway  #f050e0
3 vehicle  #1010ff
"""
MAP = """\
map base v1 -> demo v1
drivable < road
walkway  < sidewalk
vehicle  > car truck
"""
MORE = """\
dataset more v1
extends base v1
4 police #1090ff
"""


def write(folder: Path, **files: str) -> None:
    (folder / "demo.tax").write_text(SOURCE)
    for name, text in files.items():
        (folder / f"{name}.tax").write_text(f"tax 1\n{text}")


def findings(file: Path) -> list[tuple[str, int]]:
    found = Library([file.parent]).check(file).diagnostics
    return [(d.code, d.span.line) for d in found if d.severity != "info" and d.span.file == str(file)]


@pytest.mark.parametrize("together", [False, True])
def test_only_new_classes_need_a_row(tmp_path: Path, together: bool) -> None:
    more = MORE + "map more v1 -> demo v1\npolice ~ road sidewalk\n"
    if together:  # the base's map stands below the one that needs it
        write(tmp_path, all=BASE + more + MAP)
    else:
        write(tmp_path, base=BASE, map=MAP, more=more)
    c = lsu_onto.load("more", "demo", paths=[tmp_path])
    assert {d: c.names(d) for d in c.classes} == {
        "drivable": ("road",),
        "walkway": ("sidewalk",),
        "vehicle": ("car", "truck"),
        "police": ("road", "sidewalk"),
    }
    assert findings(tmp_path / ("all.tax" if together else "more.tax")) == []


def test_own_rows_win(tmp_path: Path) -> None:
    write(
        tmp_path,
        base=BASE,
        map=MAP,
        more=MORE + "map more v1 -> demo v1\nvehicle ~ car truck\npolice < car\n",
    )
    c = lsu_onto.load("more", "demo", paths=[tmp_path])
    assert c.names("vehicle") == ("car", "truck")
    assert not c.certain.any()


def test_a_new_row_that_contradicts_an_inherited_one(tmp_path: Path) -> None:
    write(tmp_path, base=BASE, map=MAP, more=MORE + "map more v1 -> demo v1\npolice < car\n")
    (found,) = (d for d in Library([tmp_path]).check(tmp_path / "more.tax").diagnostics if d.severity == "error")
    assert (found.code, found.span.file, found.span.line) == ("TAX306", str(tmp_path / "more.tax"), 6)
    assert found.second and (found.second.file, found.second.line) == (str(tmp_path / "map.tax"), 5)


def test_a_new_claim_and_an_inherited_decision(tmp_path: Path) -> None:
    base, base_map = BASE + "4 unsure\n", MAP + "unsure -> any\n"
    write(tmp_path, base=base, map=base_map, more=f"{MORE}map more v1 -> demo v1\npolice = sky\n")
    for name, line in (("map", 6), ("more", 6)):  # what two rows of the base have between them is not told again
        file = str(tmp_path / f"{name}.tax")
        (info,) = (d for d in Library([tmp_path]).check(file).diagnostics if d.code == "TAX312")
        assert (info.span.file, info.span.line) == (file, line)
    assert info.message == "`unsure -> any` allows `sky`, which other classes claim whole"
    assert info.second and (info.second.file, info.second.line) == (str(tmp_path / "map.tax"), 6)


def test_without_a_map_of_its_own_it_has_the_whole_of_its_bases(tmp_path: Path) -> None:
    again = "dataset again v1\nextends same v1\n"
    write(tmp_path, base=BASE, map=MAP, same="dataset same v1\nextends base v1\n", again=again)
    for name in ("same", "again"):
        c = lsu_onto.load(name, "demo", paths=[tmp_path])
        assert (c.dataset, c.names("vehicle")) == (name, ("car", "truck"))
        assert lsu_onto.load(name, paths=[tmp_path]) == c


def test_a_class_that_the_bases_map_does_not_know(tmp_path: Path) -> None:
    write(tmp_path, base=BASE, map=MAP, more=MORE)
    with pytest.raises(TaxonomyError, match=r"does not know `police`; write `map more v1 -> demo v1`"):
        lsu_onto.load("more", "demo", paths=[tmp_path])


def test_the_hash_covers_the_bases_map(tmp_path: Path) -> None:
    write(tmp_path, base=BASE, map=MAP, same="dataset same v1\nextends base v1\n")
    before = lsu_onto.load("same", "demo", paths=[tmp_path])
    write(tmp_path, map=MAP.replace("< sidewalk", "~ road sidewalk"))
    after = lsu_onto.load("same", "demo", paths=[tmp_path])
    assert before.sha256 != after.sha256
    assert after.names("walkway") == ("road", "sidewalk")


def test_versions_tell_releases_apart(tmp_path: Path) -> None:
    two = MORE.replace("more v1", "base v2") + "map base v2 -> demo v1\npolice ~ road sidewalk\n"
    write(tmp_path, base=BASE, map=MAP, two=two)
    with pytest.raises(TaxonomyError, match="name the version"):
        lsu_onto.load("base", "demo", paths=[tmp_path])
    assert len(lsu_onto.load("base v1", "demo", paths=[tmp_path]).classes) == 3
    assert len(lsu_onto.load("base v2", "demo v1", paths=[tmp_path]).classes) == 4


def test_files_may_name_each_other(tmp_path: Path) -> None:
    """A's map is of B's dataset, which extends a dataset of A."""
    write(tmp_path, a=BASE + MAP + "map more v1 -> demo v1\npolice ~ road sidewalk\n", b=MORE)
    assert findings(tmp_path / "a.tax") == findings(tmp_path / "b.tax") == []
    assert lsu_onto.load("more", "demo", paths=[tmp_path]).names("walkway") == ("sidewalk",)


def test_a_base_may_stand_below(tmp_path: Path) -> None:
    write(tmp_path, all=MORE + BASE + MAP + "map more v1 -> demo v1\npolice ~ road sidewalk\n")
    assert findings(tmp_path / "all.tax") == []
    assert len(lsu_onto.load("more", "demo", paths=[tmp_path]).classes) == 4


def test_two_datasets_that_extend_each_other(tmp_path: Path) -> None:
    text = "tax 1\ndataset a v1\nextends b v1\n1 x\ndataset b v1\nextends a v1\n2 y\n"
    found = Library().check(tmp_path / "memory.tax", text).diagnostics
    assert [(d.code, d.span.line) for d in found] == [("TAX205", 6)]


def chain(length: int, mapped: bool) -> list[str]:
    """The sections of datasets that each build on the one before."""
    arrow, row = (" -> demo v1", " ~ road sky") if mapped else ("", "")
    return [
        f"dataset d{i} v1{arrow}\n" + (f"extends d{i - 1} v1\n" if i else "") + f"- c{i}{row}\n" for i in range(length)
    ]


@pytest.mark.parametrize("mapped", [False, True])
def test_chains_longer_than_the_stack_of_python(tmp_path: Path, mapped: bool) -> None:
    sections = chain(350, mapped)
    for ordered in (sections, sections[::-1]):
        found = Library([tmp_path]).check("memory.tax", f"{SOURCE}{''.join(ordered)}")
        assert [d.code for d in found.diagnostics if d.severity != "info"] == ["TAX111"]
        assert max(len(t.classes) for t in found.resolved.taxonomies) == 350
    write(tmp_path, **{f"d{i}": text for i, text in enumerate(sections[:200])})
    found = Library([tmp_path]).check(tmp_path / "d199.tax")
    assert found.errors == [] and len(found.resolved.taxonomies[0].classes) == 200
    load = lsu_onto.load if mapped else lsu_onto.load_dataset
    assert len(load("d199", paths=[tmp_path]).classes) == 200


def test_a_long_circle(tmp_path: Path) -> None:
    sections = chain(200, False)
    sections[0] = "dataset d0 v1\nextends d199 v1\n"
    write(tmp_path, out="dataset out v1\nextends d7 v1\n", **{f"d{i}": text for i, text in enumerate(sections)})
    for name in ("d0", "d100", "out"):
        (found,) = Library([tmp_path]).check(tmp_path / f"{name}.tax").errors
        assert (found.code, found.span.line) == ("TAX205", 3)
        assert "builds on itself: " in found.message
    found = Library().check("memory.tax", f"tax 1\n{''.join(sections)}").errors
    assert [d.code for d in found] == ["TAX205"]


def test_datasets_of_two_files_may_alternate_in_a_chain(tmp_path: Path) -> None:
    """A file is no circle because a later dataset of it builds on another file that builds on it."""
    a, b, c = chain(3, False)
    write(tmp_path, one=a + c, two=b)
    for name in ("one", "two"):
        assert Library([tmp_path]).check(tmp_path / f"{name}.tax").errors == []
    assert lsu_onto.load_dataset("d2", paths=[tmp_path]).classes == ("c0", "c1", "c2")


def test_a_dataset_that_builds_on_one_of_its_own_name(tmp_path: Path) -> None:
    """In another file: the name means one thing here and another there."""
    write(tmp_path, one="dataset a v1 -> demo v1\nextends b v1\n0 p < road\n")
    write(tmp_path, two="dataset b v1\nextends a v1\n1 q\ndataset a v1\n2 r\n")
    (found,) = Library([tmp_path]).check(tmp_path / "one.tax").errors
    assert (found.code, found.message) == ("TAX205", "`a v1` builds on itself: a v1 -> b v1 -> a v1")
    write(tmp_path, three="dataset a v1\nextends b v1\n", four="dataset b v1\nextends a v1\n0 x\n")  # and twice
    for name in ("one", "two", "three", "four"):
        assert {d.code for d in Library([tmp_path]).check(tmp_path / f"{name}.tax").errors} <= {"TAX110", "TAX205"}


@pytest.mark.parametrize("classes", ["0 a\n", "0 sidewalk #010101\n1 road #020202\n2 car #030303\n3 truck #040404\n"])
def test_a_map_to_another_source_of_the_same_name_is_not_inherited(classes: str, tmp_path: Path) -> None:
    """Its rows would be about the channels of that one: some others here, or none."""
    write(tmp_path, base=BASE + MAP)
    (tmp_path / "own").mkdir()
    (tmp_path / "own/demo.tax").write_text(f"tax 1\nsource demo v1\n{classes}")
    file = tmp_path / "own/more.tax"
    file.write_text("tax 1\ndataset more v1 -> demo v1\nextends base v1\n")
    (found,) = Library([tmp_path]).check(file).diagnostics
    assert (found.code, found.span.line) == ("TAX110", 2)
    assert f"is to the `demo v1` of `{tmp_path / 'demo.tax'}`, which has other classes" in found.message
    assert found.places[0][0].file == str(tmp_path / "own/demo.tax")
    (tmp_path / "own/demo.tax").write_text(f"{SOURCE}# a copy does no harm\n")
    assert [d.code for d in Library([tmp_path]).check(file).diagnostics] == ["TAX307"]  # of `sky`: as of the base
