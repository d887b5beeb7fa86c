"""`lsu_onto.load`: names, paths, and what it says when there is no one answer."""

from __future__ import annotations

from pathlib import Path

import pytest

import lsu_onto
from helpers.tax import SOURCE, TAX

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


def test_a_dataset_alone_has_the_labels_that_it_has_with_a_map() -> None:
    alone, mapped = lsu_onto.load_dataset("demo_town"), lsu_onto.load("demo_town", "demo")
    assert alone.layout == mapped.layout
    assert alone.encoding == mapped.encoding
    for name in ("raw", "raw_row", "palette"):
        assert (getattr(alone, name) == getattr(mapped, name)).all()
    with pytest.raises(lsu_onto.TaxonomyError, match="`demo_twon` is no taxonomy; did you mean `demo_town`"):
        lsu_onto.load_dataset("demo_twon")
