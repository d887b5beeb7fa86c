"""`lsu_onto.load`: names, paths, and what it says when there is no one answer."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

import lsu_onto
from helpers.tax import SOURCE, TAX
from lsu_onto.library import pipe, searchpath, workspace
from lsu_onto.library.library import Library

OTHER = SOURCE.replace("source demo", "source other")
MAPS = "map town v1 -> demo v1\nway < road\nmap town v1 -> other v1\nway = road\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sources `demo` and `other`, a dataset `town`, maps to both, and a broken dataset."""
    (tmp_path / "demo.tax").write_text(SOURCE)
    (tmp_path / "other.tax").write_text(OTHER)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "town.tax").write_text(f"tax 1\ndataset town v1\n1 way\n{MAPS}")
    (tmp_path / "broken.tax").write_text("tax 1\ndataset broken v1 -> demo v1\n0 lorry < trukc\n1 gone\n")
    return tmp_path


def test_of_copies_each_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a tree of copies, what each file refers to is declared in all others, too."""
    sections: list[str] = []
    read = pipe._section

    def counted(workspace: Any, path: str, key: tuple[str, ...]) -> Any:
        sections.append(path)
        return read(workspace, path, key)

    monkeypatch.setattr(pipe, "_section", counted)
    for n in range(20):
        (tmp_path / f"{n}").mkdir()
        (tmp_path / f"{n}/s.tax").write_text("tax 1\nsource s v1\n0 a\n")
        (tmp_path / f"{n}/deep").mkdir()
        (tmp_path / f"{n}/deep/d.tax").write_text(f"tax 1\ndataset d{n} v1 -> s v1\n0 a = a\n")
    library = Library([tmp_path])
    files = sorted(tmp_path.rglob("*.tax"))
    assert len(files) == 40 and not [d for f in files for d in library.check(f).errors]
    assert len(sections) < 3 * len(files)


def test_what_is_remembered_of_a_file_between_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its headers, as long as it is the same file and was settled when it was read: its age and size say too little."""
    shipped = searchpath.files_below(searchpath.shipped())
    assert workspace._parsed_before.cache_parameters()["maxsize"] > 2 * len(shipped)
    lsu_onto.load("demo_town")
    read: list[str] = []
    headers = searchpath._headers
    monkeypatch.setattr(searchpath, "_headers", lambda text, file: read.append(file.name) or headers(text, file))
    lsu_onto.load("demo_town")
    assert read == []
    file, new = tmp_path / "s.tax", tmp_path / "4913"

    def source(name: str, place: Path) -> None:
        place.write_text(f"tax 1\nsource {name} v1\n0 a\n")
        os.utime(place, ns=(1, 1))

    for name in ("one", "two"):
        source(name, file)
        assert lsu_onto.load(name, paths=[tmp_path]).dataset == name
    assert read == ["s.tax"] * 2
    monkeypatch.setattr(searchpath, "_SETTLED_NS", -(10**12))  # as if it had been written long ago
    for name in ("one", "six"):
        source(name, new)
        new.replace(file)
        for _ in range(2):
            assert lsu_onto.load(name, paths=[tmp_path]).dataset == name
    assert read == ["s.tax"] * 4


def test_by_name_and_source(folder: Path) -> None:
    assert lsu_onto.load("town", source="other", paths=[folder]).relabel.tolist() == [0]


def test_several_maps_need_a_source(folder: Path) -> None:
    with pytest.raises(
        lsu_onto.TaxonomyError, match=r"several maps: .*-> demo v1, .*-> other v1.*`--source` \(`source=` in"
    ):
        lsu_onto.load("town", paths=[folder])
    with pytest.raises(lsu_onto.TaxonomyError, match="there are maps to `demo`, `other`"):
        lsu_onto.load("town", source="third", paths=[folder])


def test_a_path_that_is_no_taxonomy(folder: Path) -> None:
    (folder / "p.npy").touch()
    for load in (lsu_onto.load, lsu_onto.load_dataset):
        with pytest.raises(lsu_onto.TaxonomyError, match=r"p.npy` is a file of another kind: .*`\.tax`.*`\.npz`"):
            load(folder / "p.npy")
        with pytest.raises(lsu_onto.TaxonomyError, match=r"deep` is a folder: expected the name of .*`paths="):
            load(folder / "deep", paths=[folder])
    with pytest.raises(lsu_onto.TaxonomyError, match="there is no map from `xxx"):
        lsu_onto.load("x" * 5000)
    (folder / "town.npz").touch()
    with pytest.raises(lsu_onto.TaxonomyError, match=r"town.npz` is compiled: expected the name"):
        lsu_onto.draw(folder / "town.npz", folder / "x.svg")


def test_a_folder_of_the_name_of_a_taxonomy_is_not_meant(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "town").mkdir()
    monkeypatch.chdir(folder)
    assert lsu_onto.load("town", source="other", paths=[folder]).dataset == "town"
    with pytest.raises(lsu_onto.TaxonomyError, match="there are maps to `demo`, `other`"):
        lsu_onto.load("town", source="third", paths=[folder])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a source `base`, a dataset `farm` that it holds, one of another name than its file, and
    one in a subfolder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.tax").write_text(SOURCE.replace("source demo", "source base"))
    for file, name in (("farm", "farm"), ("land", "plot"), ("sub/acre", "acre")):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / f"{file}.tax").write_text(f"tax 1\ndataset {name} v1 -> base v1\n0 path < road\n")
    (tmp_path / "sub/base.tax").write_text((tmp_path / "base.tax").read_text())
    (tmp_path / "idd.tax").write_text("tax 1\ndataset idd v9 -> base v1\n0 path < road\n")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "dataset"),
    [("farm", "farm"), ("plot", "plot"), ("land", "plot"), ("sub/acre", "acre"), ("base", "base"), ("farm@v1", "farm")],
)
def test_what_lies_in_the_current_folder_has_a_name(name: str, dataset: str, here: Path) -> None:
    for load in (lsu_onto.load, lsu_onto.load_dataset):
        assert load(name).dataset == dataset
    assert lsu_onto.load(name, source="base").source == "base"


def test_the_current_folder_changes_no_name_that_has_a_meaning(here: Path) -> None:
    assert lsu_onto.load("idd", source="cityscapes").dataset_version == "v1"
    assert lsu_onto.load("idd v9").source == "base"
    with pytest.raises(lsu_onto.TaxonomyError, match=r"no map from `acre`; `lsu-onto list` .* `--path`"):
        lsu_onto.load("acre")  # in a subfolder, of which there may be thousands
    assert lsu_onto.load("acre", paths=["sub"]).dataset == "acre"
    assert lsu_onto.load("acre", paths=["sub/acre.tax"]).dataset == "acre"


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["subs"], "`paths` has `subs`, which is not there"),  # a shipped taxonomy would be taken
        ("sub", r"`paths` is 'sub'; expected a list of folders: `\['sub'\]`"),
        (None, "`paths` is None; expected a list of folders"),
        ([1], r"`paths` is \[1\]; expected a list of folders"),
    ],
)
def test_paths_are_folders_that_are_there(paths: Any, message: str, here: Path) -> None:
    for ask in (lambda: lsu_onto.load("demo", paths=paths), lambda: lsu_onto.taxonomies(paths)):
        with pytest.raises(lsu_onto.UserError, match=message):
            ask()


def test_what_is_no_name_is_refused() -> None:
    """By all in the same way: a list, or an array where its file is meant."""
    odd: Any = ["cityscapes"]
    town = lsu_onto.load("demo_town", source="demo")
    for ask, message in (
        (lambda: lsu_onto.class_map("vistas", odd), r"`to` is \['cityscapes'\]; expected the name"),
        (lambda: lsu_onto.by_name("idd", odd), r"`source` is \['cityscapes'\]; expected the name"),
        (lambda: lsu_onto.draw("demo_town", odd), r"`target` is \['cityscapes'\]; expected the path"),
        (lambda: lsu_onto.read_raster(odd), "the path of a label file is a list"),
        (lambda: town.content_sha256(odd), "a constraint has no part"),
        (lambda: town.rows([[1, 2], [3]]), "rows of several lengths"),
    ):
        with pytest.raises(lsu_onto.UserError, match=message):
            ask()


@pytest.mark.parametrize("name", ["vistas v1.2", "vistas@v1.2", "vistas_v12"])
def test_a_version_is_named_in_several_ways(name: str) -> None:
    c = lsu_onto.load(name, source="cityscapes@v1")
    assert (c.dataset, c.dataset_version, c.source) == ("vistas", "v1.2", "cityscapes")
    assert lsu_onto.load_dataset(name).dataset_version == "v1.2"


def test_a_version_that_does_not_exist_names_those_that_do() -> None:
    for load in (lsu_onto.load, lsu_onto.load_dataset):
        with pytest.raises(lsu_onto.TaxonomyError, match=r"`vistas v3`.*; there are `vistas v1.2`, .*`vistas v2`"):
            load("vistas@v3")


def test_did_you_mean(folder: Path) -> None:
    with pytest.raises(lsu_onto.TaxonomyError, match="did you mean `town`"):
        lsu_onto.load("twon", paths=[folder])
    with pytest.raises(lsu_onto.TaxonomyError, match="lsu-onto list"):
        lsu_onto.load("zzzzzz")


def test_error_carries_the_report(folder: Path) -> None:
    with pytest.raises(lsu_onto.TaxonomyError) as caught:
        lsu_onto.load("broken", paths=[folder])
    assert [d.code for d in caught.value.diagnostics] == ["TAX201", "TAX301"]
    assert "did you mean `truck`?" in str(caught.value)
    assert "0 lorry < trukc" in str(caught.value)


def test_errors_of_an_imported_file_count(folder: Path) -> None:
    (folder / "demo.tax").write_text(SOURCE + "5 road\n")
    with pytest.raises(lsu_onto.TaxonomyError, match="`road` is already a class"):
        lsu_onto.load("town", source="demo", paths=[folder])


def test_errors_of_a_base_count(tmp_path: Path) -> None:
    for name in ("field", "idd", "idd_plus"):
        (tmp_path / f"{name}.tax").write_bytes((TAX / "ok" / f"{name}.tax").read_bytes())
    with (tmp_path / "idd.tax").open("a") as f:
        f.write("2 twice\n")
    with pytest.raises(lsu_onto.TaxonomyError, match="TAX103"):
        lsu_onto.load(tmp_path / "idd_plus.tax")


def test_by_path(folder: Path) -> None:
    for file in (TAX / "ok" / "field.tax", str(TAX / "ok" / "field.tax")):
        assert lsu_onto.load(file).dataset == "field"
    with pytest.raises(lsu_onto.TaxonomyError, match="TAX001"):
        lsu_onto.load(folder / "nowhere.tax")
    assert lsu_onto.load(folder / "demo.tax").dataset == "demo"


def test_a_file_with_a_source_and_one_map_means_the_map(tmp_path: Path) -> None:
    file = tmp_path / "x.tax"
    file.write_text(f"{SOURCE}dataset town v1 -> demo v1\n0 way < road\n")
    assert lsu_onto.load(file).dataset == "town"
    assert lsu_onto.load(file, source="demo").dataset == "town"


def test_the_first_on_the_search_path_wins(folder: Path) -> None:
    text = "tax 1\ndataset demo_town v1 -> demo v1\n0 all -> any\n"
    (folder / "mine.tax").write_text(text)
    assert lsu_onto.load("demo_town", paths=[folder]).classes == ("all",)
    assert len(lsu_onto.load("demo_town").classes) == 8


def test_shipped_taxonomies_load() -> None:
    c = lsu_onto.load("demo_town", source="demo")
    assert c.layout.images == "images/{split}/{stem}.png"
    assert c.layout.splits == ("train", "val")


def test_a_dataset_may_have_the_name_of_its_source(folder: Path) -> None:
    assert lsu_onto.load("demo", paths=[folder]).encoding == "id"
    (folder / "labels.tax").write_text(
        "tax 1\ndataset demo v1\nencoding: id16\n7 way\nmap demo v1 -> demo v1\nway < road\n"
    )
    for source in (None, "demo"):
        found = lsu_onto.load("demo", source=source, paths=[folder])
        assert (found.classes, found.encoding) == (("way",), "id16")
    identity = lsu_onto.load(folder / "demo.tax")
    assert identity.classes == identity.source_classes


# --- several of one name, and files by their path -----------------------------------------------------------


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.tax").write_text(text if text.startswith("tax 1") else f"tax 1\n{text}")


def test_two_sources_of_one_name_in_a_folder(tmp_path: Path) -> None:
    town = "dataset town v1 -> demo v1\n0 way < road\n"
    write(tmp_path, a=SOURCE, b=f"{SOURCE}5 train\n", town=town, own=f"{SOURCE}{town.replace('town', 'other')}")
    (found,) = Library().check(tmp_path / "town.tax").errors
    assert (found.code, found.span.line, found.span.column) == ("TAX110", 2, 20)
    assert found.message == "`demo v1` is declared in `a.tax`, `b.tax`, `own.tax`, differently"
    assert found.second and found.second.file == str(tmp_path / "b.tax")
    with pytest.raises(lsu_onto.TaxonomyError, match="TAX110"):
        lsu_onto.load(tmp_path / "town.tax")
    assert lsu_onto.load(tmp_path / "own.tax").names("way") == ("road",)  # what the file itself declares comes first
    with pytest.raises(lsu_onto.TaxonomyError, match=r"a\.tax` and `.*b\.tax` both declare `demo`, differently; give"):
        lsu_onto.load("demo", paths=[tmp_path])
    write(tmp_path, b=f"{SOURCE}# a copy\n")
    assert lsu_onto.load(tmp_path / "town.tax") == lsu_onto.load("town", paths=[tmp_path])
    assert lsu_onto.load("demo", paths=[tmp_path]).num_classes == 5


def test_a_second_source_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, a=SOURCE, town="dataset town v1 -> demo v1\n0 way < road\n")
    (tmp_path / "b.tax").write_bytes(f"{SOURCE}# Stra\u00dfe\n".encode("latin-1"))
    assert Library().check(tmp_path / "town.tax").errors == []
    assert [d.code for d in Library().check(tmp_path / "b.tax").errors] == ["TAX002"]


def test_two_datasets_and_two_maps_of_one_name_in_a_folder(tmp_path: Path) -> None:
    write(tmp_path, demo=SOURCE, town="dataset town v1\n0 way\n", copy="dataset town v1\n1 way\n")
    write(tmp_path, map1="map town v1 -> demo v1\nway < road\n", more="dataset more v1\nextends town v1\n")
    with pytest.raises(lsu_onto.TaxonomyError, match="both declare `town`, differently"):
        lsu_onto.load_dataset("town", paths=[tmp_path])
    assert [d.code for d in Library([tmp_path]).check(tmp_path / "map1.tax").errors] == ["TAX110"]
    write(tmp_path, copy="dataset town v1\n0 way  # a copy\n", map2="map town v1 -> demo v1\nway ~ road sky\n")
    with pytest.raises(lsu_onto.TaxonomyError, match=r"map1\.tax` and `.*map2\.tax` both declare `town`, differently"):
        lsu_onto.load("town", paths=[tmp_path])
    for name in ("more", tmp_path / "more.tax"):
        with pytest.raises(
            lsu_onto.TaxonomyError, match=r"map from `town v1` to `demo v1` is declared in `map1\.tax`, `map2"
        ):
            lsu_onto.load(name, paths=[tmp_path])
    assert lsu_onto.load(tmp_path / "map2.tax").names("way") == ("road", "sky")


def test_an_earlier_place_may_say_something_else(tmp_path: Path) -> None:
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        write(tmp_path / place, demo=SOURCE, town=f"dataset town v1 -> demo v1\n0 {place} < road\n")
    assert lsu_onto.load("town", paths=[tmp_path / "one", tmp_path / "two"]).classes == ("one",)
    assert lsu_onto.load("town", paths=[tmp_path / "two", tmp_path / "one"]).classes == ("two",)


def test_two_versions_in_one_file(tmp_path: Path) -> None:
    write(tmp_path, fleet=f"{SOURCE}dataset fleet v1 -> demo v1\n0 a < road\ndataset fleet v2 -> demo v1\n0 b < sky\n")
    file = str(tmp_path / "fleet.tax")
    for load in (lsu_onto.load, lsu_onto.load_dataset):
        assert load(f"{file} v1").classes == load(f"{file} fleet v1").classes == ("a",)
        assert load(f"{file} v2").classes == ("b",)
        with pytest.raises(lsu_onto.TaxonomyError, match=r"name one, e\.g\. `\".*fleet\.tax v1\"`"):
            load(file)
        with pytest.raises(
            lsu_onto.TaxonomyError, match=r"fleet\.tax` has no .*; it declares .*`fleet v1`, `fleet v2`"
        ):
            load(f"{file} v3")
    write(tmp_path, both=f"{SOURCE}dataset a v1 -> demo v1\n0 a < road\ndataset b v1 -> demo v1\n0 b < sky\n")
    assert lsu_onto.load(f"{tmp_path}/both.tax b").classes == ("b",)
    with pytest.raises(lsu_onto.TaxonomyError, match=r"e\.g\. `\".*both\.tax a v1\"`"):
        lsu_onto.load(tmp_path / "both.tax")


def test_a_file_whose_map_is_inherited_or_elsewhere(tmp_path: Path) -> None:
    write(tmp_path, demo=SOURCE, base="dataset base v1\n0 way\n", map="map base v1 -> demo v1\nway < road\n")
    write(tmp_path, more="dataset more v1\nextends base v1\n", new="dataset new v1\nextends base v1\n1 x\n")
    for paths, sources in (([], (None, "demo")), ([tmp_path], (None, "demo v1"))):
        for source in sources:
            assert lsu_onto.load(tmp_path / "more.tax", source, paths).names("way") == ("road",)
    write(tmp_path, own="map more v1 -> demo v1\nway < sky\n")  # which a file that it is not in does not have
    for name, why in (
        ("more.tax", "has no map; name the dataset, `more`, for those that other files have: `demo`"),
        ("map.tax", "has no map to `cityscapes`; it has maps to `demo`"),
        ("base.tax", "has no map; name the dataset, `base`, for those that other files have: `demo`"),
        ("demo.tax", "has no map to `cityscapes`; it declares `demo v1`"),
        ("demo.tax v9", "demo.tax` has no dataset `v9`; it declares `demo v1`"),
        ("new.tax", "`new` has the map of `base` to `demo`, which does not know `x`; write `map new v1"),
    ):
        source = "cityscapes" if "cityscapes" in why else None
        with pytest.raises(lsu_onto.TaxonomyError, match=re.escape(why)):
            lsu_onto.load(tmp_path / name, source)
    write(tmp_path, lone="dataset lone v1\n0 way\n")
    with pytest.raises(lsu_onto.TaxonomyError, match=r"lone\.tax` has no map; write `dataset NAME"):
        lsu_onto.load(tmp_path / "lone.tax")


def test_shipped_files_whose_maps_are_inherited_or_elsewhere() -> None:
    urban = Path(lsu_onto.taxonomies()[0].path).parents[1] / "urban"
    assert lsu_onto.load(urban / "acdc.tax", "cityscapes") == lsu_onto.load("acdc", "cityscapes")
    for name, source, why in (
        ("acdc", "demo", r"has no map to `demo`; it has maps to `cityscapes`; name the .* other files have: `offroad`"),
        ("idd", "cityscapes", r"idd\.tax` has no map to `cityscapes`; name the dataset, `idd`, for those that"),
        (
            "kitti360",
            "cityscapes",
            r"no map to `cityscapes`; name the dataset, `kitti360`, for those .*: `cityscapes`",
        ),
        ("kitti360", None, r"no map; name the dataset, `kitti360`, for those that other files have: `cityscapes`"),
        ("kitti360", "offroad", r"`kitti360` has the map of `cityscapes` to `offroad`, which does not know `garage`"),
    ):
        with pytest.raises(lsu_onto.TaxonomyError, match=why):
            lsu_onto.load(urban / f"{name}.tax", source)


def test_a_line_that_begins_like_a_header_is_none(tmp_path: Path) -> None:
    write(
        tmp_path, about="source own v1 is what we use everywhere\nsource q v1\n0 a\n", own=SOURCE.replace("demo", "own")
    )
    write(tmp_path, town="dataset town v1 -> own v1\n0 way < road\n")
    assert lsu_onto.load(tmp_path / "town.tax").names("way") == ("road",)
    (tmp_path / "own.tax").unlink()
    (found,) = Library().check(tmp_path / "town.tax").errors
    assert (
        found.code == "TAX203" and "a line of" in found.message and "about.tax` begins like its header" in found.message
    )


# --- a dataset alone ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("dataset a v1 -> nowhere v1\n1 x = y\n2 z\n", ("x", "z")),  # what the map has wrong does not matter
        ("dataset a v1\n1 x\nmap a v1 -> demo v1\nx = gone\n", ("x",)),
        ("map demo_town v1 -> demo v1\nsky = sky\n", "demo_town"),
        ("dataset a v1 -> demo v1\n1 x\n1 y\n", "id 1 already belongs to `x`"),
        ("dataset a v1 -> demo v1\nz = road\n", "starts with its id"),
        ("dataset a v1\nextends gone v1\n1 x\n", "there is no dataset `gone`"),
        ("dataset a v1\n1 x\ndataset b v1\n1 x\n", "stands for `a v1`, `b v1`; name one"),
    ],
)
def test_a_dataset_is_loaded_without_its_map(tmp_path: Path, text: str, found: tuple | str) -> None:
    file = tmp_path / "a.tax"
    file.write_text(f"tax 1\n{text}")
    if isinstance(found, tuple):
        alone = lsu_onto.load_dataset(file)
        assert (alone.classes, alone.num_classes, alone.source) == (found, 0, "")
    elif found == "demo_town":
        assert lsu_onto.load_dataset(file) == lsu_onto.load_dataset(found)
    else:
        with pytest.raises(lsu_onto.TaxonomyError, match=found):
            lsu_onto.load_dataset(file)


def test_a_dataset_alone_needs_the_files_that_it_uses_to_be_right(tmp_path: Path) -> None:
    write(tmp_path, base="dataset base v1\nvoid: nothing\n1 x\n", more="dataset more v1\nextends base v1\n2 y\n")
    write(tmp_path, lost="dataset lost v1\nextends gone v1\n", map="map lost v1 -> demo v1\n")
    for name, why in (("more", "TAX012"), ("lost", "TAX203"), (tmp_path / "map.tax", "there is no dataset `gone`")):
        with pytest.raises(lsu_onto.TaxonomyError, match=why):
            lsu_onto.load_dataset(name, paths=[tmp_path])


def test_a_dataset_alone_has_the_labels_that_it_has_with_a_map() -> None:
    alone, mapped = lsu_onto.load_dataset("demo_town"), lsu_onto.load("demo_town", "demo")
    assert alone.layout == mapped.layout
    assert alone.encoding == mapped.encoding
    for name in ("raw", "raw_row", "palette"):
        assert (getattr(alone, name) == getattr(mapped, name)).all()
    with pytest.raises(lsu_onto.TaxonomyError, match="`demo_twon` is no taxonomy; did you mean `demo_town`"):
        lsu_onto.load_dataset("demo_twon")


def test_a_file_that_is_too_large_for_a_taxonomy_is_not_searched(tmp_path: Path) -> None:
    (tmp_path / "s.tax").write_text("tax 1\nsource s v1\n0 road\n")
    with (tmp_path / "large.tax").open("w") as file:
        file.write("tax 1\nsource large v1\n0 road\n")
        file.truncate(1 << 40)  # with holes: it takes no room, and no memory holds it
    names = {entry.name for entry in lsu_onto.taxonomies([tmp_path])}
    assert "s" in names and "large" not in names
