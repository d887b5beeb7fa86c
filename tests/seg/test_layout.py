"""Finding the files of a dataset: patterns with placeholders, and what is said when files are missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from lsu_onto import Layout
from lsu_seg.layout import DatasetError, find_pairs

FLAT = Layout(("train", "val"), "images/{split}/{stem}.png", "labels/{split}/{stem}.png")
CITIES = Layout(
    ("train",),
    "leftImg8bit/{split}/{city}/{frame}_leftImg8bit.png",
    "gtFine/{split}/{city}/{frame}_gtFine_labelIds.png",
)


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def keys(root: Path, layout: Layout, split: str = "train") -> list[str]:
    return [pair.key for pair in find_pairs(root, layout, split)]


def test_pairs_are_sorted_and_of_one_split(tmp_path: Path) -> None:
    touch(tmp_path, "images/train/b.png", "images/train/a.png", "images/val/c.png")
    touch(tmp_path, "labels/train/b.png", "labels/train/a.png", "labels/val/c.png")
    first, second = find_pairs(tmp_path, FLAT, "train")
    assert (first.key, second.key) == ("labels/train/a", "labels/train/b")
    assert first.image == tmp_path / "images/train/a.png"
    assert first.label == tmp_path / "labels/train/a.png"
    assert keys(tmp_path, FLAT, "val") == ["labels/val/c"]


def test_placeholders_pair_by_what_they_hold(tmp_path: Path) -> None:
    """As Cityscapes lies on disk: two cities have a frame of the same number, and labels lie beside other files."""
    touch(tmp_path, *(f"leftImg8bit/train/{c}/{c}_1_leftImg8bit.png" for c in ("bonn", "aachen")))
    touch(tmp_path, *(f"gtFine/train/{c}/{c}_1_gtFine_labelIds.png" for c in ("bonn", "aachen")))
    touch(
        tmp_path, "gtFine/train/bonn/bonn_1_gtFine_color.png", "gtFine/train/bonn/bonn_1_gtFine_polygons.json"
    )
    pairs = find_pairs(tmp_path, CITIES, "train")
    assert [p.key for p in pairs] == [f"gtFine/train/{c}/{c}_1_gtFine_labelIds" for c in ("aachen", "bonn")]
    assert all(p.image.parent.name == p.label.parent.name for p in pairs)


def test_a_placeholder_means_the_same_wherever_it_stands(tmp_path: Path) -> None:
    layout = Layout((), "{city}/{city}_{stem}.jpg", "labels/{city}/{stem}.png")
    touch(tmp_path, "bonn/bonn_1.jpg", "bonn/other_1.jpg", "labels/bonn/1.png")
    (pair,) = find_pairs(tmp_path, layout, "any")
    assert pair.image.name == "bonn_1.jpg"


def test_a_placeholder_stays_within_its_folder(tmp_path: Path) -> None:
    touch(tmp_path, "images/train/a.png", "images/train/more/b.png", "labels/train/a.png")
    assert keys(tmp_path, FLAT) == ["labels/train/a"]


@pytest.mark.parametrize("stem", ["ärger über straße", "日本 1", "a.b.c", "a[1]", "x" * 200, "100%", "{x}"])
def test_any_name_will_do(tmp_path: Path, stem: str) -> None:
    touch(tmp_path, f"images/train/{stem}.png", f"labels/train/{stem}.png")
    assert keys(tmp_path, FLAT) == [f"labels/train/{stem}"]


def test_patterns_are_no_regular_expressions(tmp_path: Path) -> None:
    layout = Layout((), "img [1]/{stem}+.png", "lab.els/{stem}.png")
    touch(tmp_path, "img [1]/a+.png", "img [1]/aa.png", "img 1/a+.png", "lab.els/a.png", "labXels/b.png")
    assert keys(tmp_path, layout) == ["lab.els/a"]


def test_hidden_files_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "images/train/a.png", "images/train/._a.png", "images/train/.DS_Store")
    touch(tmp_path, "labels/train/a.png", "labels/train/.7f-ab.tmp", "labels/train/.b.png")
    assert keys(tmp_path, FLAT) == ["labels/train/a"]


def test_hidden_folders_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, *(f"leftImg8bit/train/{c}/1_leftImg8bit.png" for c in ("bonn", ".thumbnails")))
    touch(tmp_path, "gtFine/train/bonn/1_gtFine_labelIds.png")
    assert len(keys(tmp_path, CITIES)) == 1


def test_without_partner(tmp_path: Path) -> None:
    touch(tmp_path, "images/train/a.png", "images/train/b.png", "labels/train/b.png", "labels/train/c.png")
    with pytest.raises(DatasetError) as refusal:
        find_pairs(tmp_path, FLAT, "train")
    message = str(refusal.value)
    assert "2 files without their partner" in message
    assert f"{tmp_path / 'images/train/a.png'} (no label)" in message
    assert f"{tmp_path / 'labels/train/c.png'} (no image)" in message
    assert "b.png" not in message


def test_a_long_list_is_cut(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/train/{i}.png" for i in range(50)), "labels/train/0.png")
    with pytest.raises(DatasetError, match="49 files without their partner") as refusal:
        find_pairs(tmp_path, FLAT, "train")
    assert str(refusal.value).count("(no label)") == 10


def test_an_unknown_split_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no split `test`; the taxonomy has train, val"):
        find_pairs(tmp_path, FLAT, "test")


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere: no such folder; set `data_root`"):
        find_pairs(tmp_path / "nowhere", FLAT, "train")


def test_no_match_says_what_lies_there(tmp_path: Path) -> None:
    touch(tmp_path, "images/train/a.jpg", "labels/train/a.png")
    with pytest.raises(DatasetError, match=r"nothing matches `images/train/\{stem\}\.png`") as refusal:
        find_pairs(tmp_path, FLAT, "train")
    assert f"`{tmp_path / 'images/train'}` has `a.jpg`" in str(refusal.value)


def test_no_match_says_where_the_path_ends(tmp_path: Path) -> None:
    touch(tmp_path, "images/train/a.png", "labels/training/a.png")
    with pytest.raises(DatasetError, match="has `training`"):
        find_pairs(tmp_path, FLAT, "train")
    (tmp_path / "labels/training/a.png").unlink()
    (tmp_path / "labels/training").rmdir()
    with pytest.raises(DatasetError, match="is empty"):
        find_pairs(tmp_path, FLAT, "train")


def test_a_taxonomy_without_patterns(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="has no `images:` and `labels:` patterns"):
        find_pairs(tmp_path, Layout(), "train")
