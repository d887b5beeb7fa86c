"""Patterns that go into any folders, and patterns that match what they should not."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.layouts import keys, touch
from lsu_onto import Layout
from lsu_seg.layout.pairs import DatasetError, find_pairs, survey
from lsu_seg.layout.patterns import Pattern

DEEP = Layout(("train",), "{split}/**/{stem}.jpg", "labels/**/{stem}.png")


def test_two_stars_stand_for_any_folders_or_none(tmp_path: Path) -> None:
    touch(tmp_path, "train/a.jpg", "train/x/b.jpg", "train/x/y/c.jpg", "train/x/.hidden/d.jpg", "val/e.jpg")
    touch(tmp_path, "labels/a.png", "labels/b.png", "labels/other/c.png", "train/x/.DS_Store")
    assert keys(tmp_path, DEEP) == ["labels/a", "labels/b", "labels/other/c"]
    contents = survey(tmp_path, DEEP, "train")
    assert sorted(p.name for p in contents.junk) == [".DS_Store", ".hidden"]  # each is named once


def test_two_stars_anywhere_in_a_pattern(tmp_path: Path) -> None:
    touch(tmp_path, "a/images/1.jpg", "b/c/images/2.jpg", "images/3.jpg", "b/labels/9.jpg")
    touch(tmp_path, *(f"gt/{i}.png" for i in range(1, 4)))
    assert keys(tmp_path, Layout((), "**/images/{n}.jpg", "gt/{n}.png"), "any") == ["gt/1", "gt/2", "gt/3"]
    named = Layout((), "{city}/**/{n}.jpg", "**/{city}_{n}.png")
    touch(tmp_path, "b/b_2.png", "b/labels/b_9.png", "a/a_1.png", "images/images_3.png")
    assert keys(tmp_path, named, "any") == ["a/a_1", "b/b_2", "b/labels/b_9", "images/images_3"]
    assert Pattern("{city}/**/{n}.jpg").match("b/c/images/2.jpg") == [{"city": "b", "n": "2"}]
    assert Pattern("{city}/**/{n}.jpg").match("2.jpg") == []


def test_two_stars_do_not_run_in_circles(tmp_path: Path) -> None:
    touch(tmp_path, "train/x/b.jpg", "labels/b.png")
    (tmp_path / "train/x/again").symlink_to(tmp_path / "train")
    (tmp_path / "train/other").symlink_to(tmp_path / "train/x")
    (tmp_path / "train/x/gone").symlink_to(tmp_path / "nowhere")
    with pytest.warns(UserWarning) as told:
        assert keys(tmp_path, DEEP) == ["labels/b"]
    assert sorted(str(w.message).removeprefix(f"{tmp_path}/") for w in told) == [
        f"train/other and {tmp_path}/train/x are one folder; counted once",
        "train/x/again leads back to a folder above it; not entered again",
        "train/x/gone is a link to nothing",
    ]


def test_two_files_of_one_name_below_two_stars_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "train/x/a.jpg", "train/y/a.jpg", "labels/a.png")
    with pytest.raises(DatasetError, match=r"labels/a\.png has 2 images"):
        find_pairs(tmp_path, DEEP, "train")


def test_labels_that_match_the_images_pattern_are_no_images(tmp_path: Path) -> None:
    layout = Layout(("train",), "{split}/{stem}.png", "{split}/{stem}_label.png")
    touch(tmp_path, *(f"train/{n}{s}.png" for n in "ab" for s in ("", "_label")))
    with pytest.warns(
        UserWarning, match=r"also matches 2 files of `.*e\.g\. .*a_label\.png; they are taken for labels"
    ):
        assert keys(tmp_path, layout) == ["train/a_label", "train/b_label"]
    touch(tmp_path, "train/c.png", "train/d_label.png")
    assert survey(tmp_path, layout, "train").alone == [
        f"{tmp_path}/train/c.png (no label)",
        f"{tmp_path}/train/d_label.png (no image)",
    ]
    (tmp_path / "list.txt").write_text("a\nb\n")
    listed = Layout(("train",), layout.images, layout.labels, list="list.txt")
    assert keys(tmp_path, listed) == ["train/a_label", "train/b_label"]


def test_files_that_may_be_either_are_named(tmp_path: Path) -> None:
    layout = Layout((), "{stem}.png", "{stem}.png")
    touch(tmp_path, "a.png", "b.png")
    with pytest.raises(DatasetError, match="2 files that match both `images:` and `labels:`; write patterns"):
        find_pairs(tmp_path, layout, "any")
    assert survey(tmp_path, layout, "any").both == [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
