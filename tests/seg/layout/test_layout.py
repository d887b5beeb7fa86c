"""Finding the files of a dataset: patterns with placeholders, and what is said when files are missing."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from helpers.layouts import keys, touch
from lsu_onto import Layout
from lsu_seg.label_files import LabelFileError, segments_path
from lsu_seg.layout.pairs import DatasetError, Survey, _without_other_forms, find_pairs, overlap, survey

FLAT = Layout(("train", "val"), "images/{split}/{stem}.png", "labels/{split}/{stem}.png")
CITIES = Layout(
    ("train",),
    "leftImg8bit/{split}/{city}/{frame}_leftImg8bit.png",
    "gtFine/{split}/{city}/{frame}_gtFine_labelIds.png",
)


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
    touch(tmp_path, "gtFine/train/bonn/bonn_1_gtFine_color.png", "gtFine/train/bonn/bonn_1_gtFine_polygons.json")
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


def test_names_that_look_the_same_are_told(tmp_path: Path) -> None:
    """As a Mac writes names, and everybody else."""
    touch(tmp_path, "images/train/\u00e9.png", "labels/train/e\u0301.png", "images/train/b.png", "labels/train/b.png")
    image, label = survey(tmp_path, FLAT, "train").alone
    assert "\u00e9.png (no label; e\u0301.png looks the same and has other bytes (Unicode NFC and NFD)" in image
    assert "(no image; \u00e9.png looks the same" in label


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
    (tmp_path / "images/train/b.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "images/train/c.png").mkdir()
    with pytest.raises(DatasetError, match=r"`a\.jpg`, `b\.png` \(a link that leads nowhere\), `c\.png` \(a folder\)"):
        find_pairs(tmp_path, FLAT, "train")


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


# --- what both patterns have in common ---------------------------------------------------------------------


def test_only_the_common_placeholders_must_agree(tmp_path: Path) -> None:
    """IDD: PNGs in part I, JPEGs in part II. GOOSE-Ex: three cameras whose names only the images have."""
    idd = Layout((), "img/{seq}/{stem}_leftImg8bit.{suffix}", "gt/{seq}/{stem}_polygons.json")
    touch(tmp_path, "img/1/a_leftImg8bit.png", "img/1/b_leftImg8bit.jpg", "img/1/notes_leftImg8bit.txt")
    touch(tmp_path, "gt/1/a_polygons.json", "gt/1/b_polygons.json")
    assert [(p.image.name, p.label.name) for p in find_pairs(tmp_path, idd, "any")] == [
        ("a_leftImg8bit.png", "a_polygons.json"),
        ("b_leftImg8bit.jpg", "b_polygons.json"),
    ]
    goose = Layout((), "images/{stem}_{camera}.png", "labels/{stem}_labelids.png")
    touch(tmp_path, "images/s_0_front.png", "images/s_1_camera_left.png", "images/s_2_realsense.png")
    touch(tmp_path, *(f"labels/s_{i}_labelids.png" for i in range(3)))
    assert [p.image.name for p in find_pairs(tmp_path, goose, "any")] == [
        "s_0_front.png",
        "s_1_camera_left.png",
        "s_2_realsense.png",
    ]


def test_patterns_that_share_nothing_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "b/1.png")
    with pytest.raises(DatasetError, match="have no placeholder in common"):
        find_pairs(tmp_path, Layout((), "a/{x}.jpg", "b/{y}.png"), "any")


# --- BAD_INPUTS 25 to 35 -----------------------------------------------------------------------------------


def test_two_files_of_one_stem_are_refused(tmp_path: Path) -> None:
    layout = Layout((), "images/{stem}.{suffix}", "labels/{stem}.png")
    touch(tmp_path, "images/a.jpg", "images/a.png", "images/b.jpg", "labels/a.png", "labels/b.png")
    with pytest.raises(DatasetError, match="1 files of one name") as refusal:
        find_pairs(tmp_path, layout, "any")
    assert "labels/a.png has 2 images: " in str(refusal.value)
    assert [p.key for p in survey(tmp_path, layout, "any").pairs] == ["labels/b"]
    folders = Layout((), "{part}/{stem}.jpg", "labels/{stem}.png")
    touch(tmp_path, "one/c.jpg", "two/c.jpg", "labels/c.png")
    assert any("labels/c.png has 2 images" in d for d in survey(tmp_path, folders, "any").doubles)


def test_names_that_differ_in_case_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "images/train/a.png", "images/train/A.png", "labels/train/a.png", "labels/train/A.png")
    with pytest.raises(DatasetError, match="differ in case only") as refusal:
        find_pairs(tmp_path, FLAT, "train")
    assert "2 files of one name" in str(refusal.value)
    touch(tmp_path, "images/val/B.png", "labels/val/b.png")
    with pytest.raises(DatasetError, match=r"images/val/B\.png \(no label; b\.png differs in case\)"):
        find_pairs(tmp_path, FLAT, "val")


def test_names_that_a_pattern_misses_by_their_spelling_are_told(tmp_path: Path) -> None:
    layout = Layout((), "images/{stem}.jpg", "labels/{stem}_L.png")
    both = ("images/a.jpg", "labels/a_L.png", "images/b.jpg", "labels/b_l.PNG", "images/c.JPEG", "labels/c_L.png")
    touch(tmp_path, *both, "images/d.JPG", "labels/d_L.Png", "images/e.txt", "images/f_jpg", "labels/g_M.png")
    found = survey(tmp_path, layout, "any")
    assert found.alone == [
        f"{tmp_path}/images/b.jpg (no label; {tmp_path}/labels/b_l.PNG is there, and `labels/{{stem}}_L.png` is spelt"
        " otherwise; rename it)",
        f"{tmp_path}/labels/c_L.png (no image; {tmp_path}/images/c.JPEG is there, and `images/{{stem}}.jpg` is spelt"
        " otherwise; rename it)",
    ]
    assert [note.partition("; not used")[0] for note in found.notes] == [
        f"{tmp_path}: 1 file differs from `{pattern}` in the case of letters or the spelling of the suffix only, e.g."
        f" {tmp_path}/{file}"
        for pattern, file in ((layout.images, "images/d.JPG"), (layout.labels, "labels/d_L.Png"))
    ]


def test_links_that_lead_back_are_told_and_not_followed(tmp_path: Path) -> None:
    touch(tmp_path, "leftImg8bit/train/bonn/1_leftImg8bit.png", "gtFine/train/bonn/1_gtFine_labelIds.png")
    (tmp_path / "leftImg8bit/train/loop").symlink_to(tmp_path / "leftImg8bit")
    (tmp_path / "leftImg8bit/train/self").symlink_to(tmp_path / "leftImg8bit/train/self")
    (tmp_path / "leftImg8bit/train/bonn/2_leftImg8bit.png").symlink_to(tmp_path / "gone")
    with pytest.warns(UserWarning) as told:
        assert len(find_pairs(tmp_path, CITIES, "train")) == 1
    text = " | ".join(str(w.message) for w in told)
    assert "train/loop leads back to a folder above it" in text
    assert "train/self is a link that leads to itself" in text
    assert "2_leftImg8bit.png is a link to nothing" in text


def test_two_links_to_one_folder_are_not_counted_twice(tmp_path: Path) -> None:
    touch(tmp_path, "leftImg8bit/train/bonn/1_leftImg8bit.png", "gtFine/train/bonn/1_gtFine_labelIds.png")
    for part in ("leftImg8bit", "gtFine"):
        (tmp_path / part / "train/again").symlink_to(tmp_path / part / "train/bonn")
    with pytest.warns(UserWarning, match="train/again and .*train/bonn are one folder; counted once"):
        (pair,) = find_pairs(tmp_path, CITIES, "train")
    assert pair.image.parent.name == "bonn"


def test_junk_is_passed_over_and_counted(tmp_path: Path) -> None:
    layout = Layout((), "images/{stem}.{suffix}", "labels/{stem}.png")
    touch(tmp_path, "images/a.jpg", "images/._a.jpg", "images/.DS_Store", "images/Thumbs.db", "labels/a.png")
    found = survey(tmp_path, layout, "any")
    assert len(found.pairs) == 1
    assert sorted(p.name for p in found.junk) == [".DS_Store", "._a.jpg", "Thumbs.db"]


def test_other_forms_of_the_labels_are_passed_over(tmp_path: Path) -> None:
    """As IDD-Lite lies on disk: `{stem}_label.png` matches `0_inst_label.png` too. Each label must have that form."""
    layout = Layout((), "{seq}/{stem}_image.jpg", "{seq}/{stem}_label.png")
    frames = ["7/0", "7/1", "8/10"]
    touch(tmp_path, *(f"{f}_{kind}" for f in frames for kind in ("image.jpg", "label.png", "inst_label.png")))
    found = survey(tmp_path, layout, "any")
    assert [p.key for p in found.pairs] == [f"{f}_label" for f in frames]
    assert found.junk == [tmp_path / f"{f}_inst_label.png" for f in frames] and not found.alone
    (tmp_path / "8/10_inst_label.png").unlink()
    with pytest.raises(
        DatasetError, match=r"2 files without their partner, e\.g\.\n.*/7/0_inst_label\.png \(no image\)"
    ):
        find_pairs(tmp_path, layout, "any")


def test_other_forms_of_many_labels_take_no_time() -> None:
    """Where numbers have no leading zeros, other labels begin as the first does: `10_inst` as `1`."""
    root, frames = Path("/data"), range(1, 3001)
    labels: dict[Path, list[dict[str, str]]] = {root / f"{i}_{kind}.png": [] for i in frames for kind in ("gt", "x_gt")}
    edges = [(root / f"{i}.jpg", root / f"{i}_gt.png") for i in frames]
    found, start = Survey(), time.process_time()
    kept = _without_other_forms(labels, edges, Layout((), "{stem}.jpg", "{stem}_gt.png"), found)
    assert time.process_time() - start < 2  # 10 s when each of them was held against all labels
    assert list(kept) == [label for _, label in edges] and len(found.junk) == 3000


def test_one_label_beside_another_is_a_file_without_its_image(tmp_path: Path) -> None:
    touch(tmp_path, "images/train/a.png", "labels/train/a.png", "labels/train/a_2.png")
    with pytest.raises(DatasetError, match=r"a_2\.png \(no image\)"):
        find_pairs(tmp_path, FLAT, "train")


def test_a_suffix_given_twice_is_seen(tmp_path: Path) -> None:
    touch(tmp_path, "images/train/a.png", "images/train/b.jpg.png", "labels/train/a.png", "labels/train/b.png")
    with pytest.raises(DatasetError, match=r"\(no label; it has two suffixes, \.jpg and \.png\)"):
        find_pairs(tmp_path, FLAT, "train")


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, *(f"leftImg8bit/train/{c}/1_leftImg8bit.png" for c in ("bonn", "ulm")))
    touch(tmp_path, *(f"gtFine/train/{c}/1_gtFine_labelIds.png" for c in ("bonn", "ulm")))
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if str(path).endswith("leftImg8bit/train/ulm"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("lsu_seg.layout.patterns.os.scandir", refuse)
    with pytest.raises(DatasetError, match=r"1 folders that cannot be read, e\.g\.\n  .*ulm \(Permission denied\)"):
        find_pairs(tmp_path, CITIES, "train")
    assert len(survey(tmp_path, CITIES, "train").pairs) == 1


# --- splits by folder, and lists ---------------------------------------------------------------------------

RUGD = Layout(
    ("train", "val"),
    "images/{seq}/{stem}.png",
    "labels/{seq}/{stem}.png",
    split_values=(("train", "seq", ("park-2", "trail")), ("val", "seq", ("park-8",))),
)


def test_a_split_by_what_a_placeholder_holds(tmp_path: Path) -> None:
    for part in ("images", "labels"):
        touch(tmp_path, *(f"{part}/{seq}/1.png" for seq in ("park-2", "trail", "park-8", "creek")))
    assert keys(tmp_path, RUGD) == ["labels/park-2/1", "labels/trail/1"]
    assert keys(tmp_path, RUGD, "val") == ["labels/park-8/1"]
    (tmp_path / "images/trail/1.png").unlink()
    (tmp_path / "labels/trail/1.png").unlink()
    with pytest.warns(UserWarning, match=r"nothing has `seq` trail \(split `train`\)"):
        assert keys(tmp_path, RUGD) == ["labels/park-2/1"]


def test_what_only_images_tell_selects_their_labels(tmp_path: Path) -> None:
    layout = Layout(("a",), "images/{cam}/{stem}.png", "labels/{stem}.png", split_values=(("a", "cam", ("left",)),))
    touch(tmp_path, "images/left/1.png", "images/right/2.png", "labels/1.png", "labels/2.png")
    assert keys(tmp_path, layout, "a") == ["labels/1"]
    (tmp_path / "labels/1.png").unlink()
    with pytest.raises(DatasetError, match=r"left/1\.png \(no label\)"):
        find_pairs(tmp_path, layout, "a")


LISTED = Layout(("train", "val"), "{seq}/cam a/{stem}.jpg", "{seq}/id/{stem}.png", list="{split}.lst")


@pytest.mark.parametrize(
    "text",
    [
        "0/cam a/1.jpg 0/id/1.png\n1/cam a/2.jpg 1/id/2.png\n",
        "0/cam a/1.jpg\t0/id/1.png\n1/cam a/2.jpg\t1/id/2.png",
        "\ufeff0/cam a/1.jpg, 0/id/1.png  \r\n\r\n  ./1/cam a/2.jpg;1/id/2.png\r\n",
        "0/cam a/1\n1/cam a/2\n",
        "1.jpg\n2.jpg\n",
        "0\\cam a\\1.jpg\n2\n",
        "id,im_path,label_path\n1,/0/cam a/1.jpg,/0/id/1.png\n2,/1/cam a/2.jpg,/1/id/2.png\n",
    ],
)
def test_a_list_says_what_is_in_a_split(tmp_path: Path, text: str) -> None:
    touch(tmp_path, "0/cam a/1.jpg", "1/cam a/2.jpg", "1/cam a/3.jpg", "0/id/1.png", "1/id/2.png", "1/id/4.png")
    (tmp_path / "train.lst").write_bytes(text.encode())
    assert keys(tmp_path, LISTED) == ["0/id/1", "1/id/2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\n2\n1\n", r"train\.lst:3: `1` stands there twice \(first in line 1\)"),
        ("1\n7\n", r"train\.lst:2: `7` is no image"),
        ("3,4\n5 3.png\n", r"train\.lst:2: `5 3\.png` could be"),
        ("1\nimage,label\n", r"train\.lst:2: `image,label` is no image"),
        ("", "the list is empty"),
        ("5\n", r"`5` could be 0/cam a/5\.jpg, 1/cam a/5\.jpg; write more"),
        ("1\n3\n", r"1/cam a/3\.jpg \(no label\)"),
    ],
)
def test_lists_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    touch(tmp_path, "0/cam a/1.jpg", "1/cam a/2.jpg", "1/cam a/3.jpg", "0/id/1.png", "1/id/2.png")
    touch(tmp_path, "0/cam a/5.jpg", "1/cam a/5.jpg")
    (tmp_path / "train.lst").write_text(text)
    with pytest.raises(DatasetError, match=message):
        find_pairs(tmp_path, LISTED, "train")


def test_a_label_that_is_not_where_the_list_says(tmp_path: Path) -> None:
    """ApolloScape's lists of road01 leave `_bin` out of the labels' names."""
    touch(tmp_path, "0/cam a/1.jpg", "0/id/1.png")
    (tmp_path / "train.lst").write_text("0/cam a/1.jpg\t0/id/1_old.png\n")
    with pytest.warns(UserWarning, match=r"1 labels are not where the list says \(first in line 1\)"):
        assert keys(tmp_path, LISTED) == ["0/id/1"]


def test_lists_that_cannot_be_read(tmp_path: Path) -> None:
    touch(tmp_path, "0/cam a/1.jpg", "0/id/1.png", "training.lst")
    with pytest.raises(DatasetError, match=r"there is no list `train\.lst`; .*`training\.lst`"):
        find_pairs(tmp_path, LISTED, "train")
    (tmp_path / "train.lst").write_bytes(b"\xff\xfe1")
    with pytest.raises(DatasetError, match=r"train\.lst: not UTF-8"):
        find_pairs(tmp_path, LISTED, "train")


def test_images_of_two_splits_are_found(tmp_path: Path) -> None:
    touch(tmp_path, "0/cam a/1.jpg", "1/cam a/2.jpg", "0/id/1.png", "1/id/2.png")
    (tmp_path / "train.lst").write_text("1\n2\n")
    (tmp_path / "val.lst").write_text("3\n")
    touch(tmp_path, "0/cam a/3.jpg", "0/id/3.png")
    assert overlap({s: find_pairs(tmp_path, LISTED, s) for s in ("train", "val")}) == []
    (tmp_path / "val.lst").write_text("2\n")
    assert overlap({s: find_pairs(tmp_path, LISTED, s) for s in ("train", "val")}) == [
        (tmp_path / "1/cam a/2.jpg", "train", "val")
    ]


# --- alternatives ------------------------------------------------------------------------------------------

VISTAS = Layout(
    ("train", "val"),
    "{split}/images/{stem}.jpg",
    "{split}/labels/{stem}.png | {split}/v1.2/labels/{stem}.png",
)


def test_the_first_alternative_with_a_file_counts(tmp_path: Path) -> None:
    touch(tmp_path, "train/images/a.jpg", "train/v1.2/labels/a.png", "val/images/b.jpg", "val/labels/b.png")
    assert keys(tmp_path, VISTAS) == ["train/v1.2/labels/a"]
    assert keys(tmp_path, VISTAS, "val") == ["val/labels/b"]  # each split for itself
    (tmp_path / "train/labels").mkdir()
    assert keys(tmp_path, VISTAS) == ["train/v1.2/labels/a"]
    touch(tmp_path, "train/labels/a.png", "train/v1.2/labels/c.png")
    assert keys(tmp_path, VISTAS) == ["train/labels/a"]  # no other is looked at


def test_alternatives_do_not_add_up(tmp_path: Path) -> None:
    """Half of the labels in one form and half in the other is an error, not a mixture."""
    touch(tmp_path, *(f"train/images/{s}.jpg" for s in "ab"), "train/labels/a.png", "train/v1.2/labels/b.png")
    with pytest.raises(DatasetError, match=r"1 files without their partner, e\.g\.\n.*b\.jpg \(no label\)"):
        find_pairs(tmp_path, VISTAS, "train")


def test_each_key_chooses_by_itself(tmp_path: Path) -> None:
    layout = Layout((), "a/{stem}.jpg | {x}/{stem}_b.jpg", "{stem}.png | c/{x}/{stem}.png")
    touch(tmp_path, "q/1_b.jpg", "c/q/1.png", "c/r/1.png", "q/2_b.jpg", "c/q/2.png")
    found = survey(tmp_path, layout, "any")  # and what both that were chosen have in common makes the pairs
    assert [p.key for p in found.pairs] == ["c/q/1", "c/q/2"]
    assert found.alone == [f"{tmp_path / 'c/r/1.png'} (no image)"]
    touch(tmp_path, "1.png", "2.png")
    assert keys(tmp_path, layout) == ["1", "2"]


def test_no_alternative_matches(tmp_path: Path) -> None:
    touch(tmp_path, "train/images/a.jpg", "train/v1.2/instances/a.png")
    both = r"nothing matches `train/labels/\{stem\}\.png` or `train/v1\.2/labels/\{stem\}\.png`; "
    with pytest.raises(DatasetError, match=both) as refusal:
        find_pairs(tmp_path, VISTAS, "train")
    assert f"`{tmp_path / 'train'}` has `images`, `v1.2`; `{tmp_path / 'train/v1.2'}` has `instances`" in str(
        refusal.value
    )


def test_a_folder_that_cannot_be_read_is_no_reason_for_the_next_alternative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "train/images/a.jpg", "train/labels/a.png", "train/v1.2/labels/a.png")
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if str(path).endswith("train/labels"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("lsu_seg.layout.patterns.os.scandir", refuse)
    with pytest.raises(DatasetError, match=r"train/labels \(Permission denied\)"):
        find_pairs(tmp_path, VISTAS, "train")


def test_an_alternative_without_files_of_the_split_does_not_count(tmp_path: Path) -> None:
    layout = Layout(
        ("a",),
        "{seq}/{stem}.jpg",
        "old/{seq}/{stem}.png | new/{seq}/{stem}.png",
        split_values=(("a", "seq", ("s",)),),
    )
    touch(tmp_path, "s/1.jpg", "old/t/1.png", "new/s/1.png", "new/t/1.png")
    assert keys(tmp_path, layout, "a") == ["new/s/1"]


def test_lists_have_alternatives(tmp_path: Path) -> None:
    layout = Layout(("train",), "img/{stem}.jpg", "gt/{stem}.png", list="{split}.lst | lists/{split}.txt")
    touch(tmp_path, *(f"img/{i}.jpg" for i in "12"), *(f"gt/{i}.png" for i in "12"))
    with pytest.raises(DatasetError, match=r"there is no list `train\.lst` or `lists/train\.txt`"):
        find_pairs(tmp_path, layout, "train")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/train.txt").write_text("2\n")
    assert keys(tmp_path, layout) == ["gt/2"]
    (tmp_path / "train.lst").write_text("1\n")
    assert keys(tmp_path, layout) == ["gt/1"]


def test_segments_have_alternatives(tmp_path: Path) -> None:
    layout = Layout(("val",), segments="{split}.json | annotations/{split}.json")
    with pytest.raises(LabelFileError, match=r"expected `val\.json` or `annotations/val\.json`; check"):
        segments_path(tmp_path, layout, "val")
    touch(tmp_path, "annotations/val.json")
    assert segments_path(tmp_path, layout, "val") == tmp_path / "annotations/val.json"
    touch(tmp_path, "val.json")
    assert segments_path(tmp_path, layout, "val") == tmp_path / "val.json"
    assert segments_path(tmp_path, Layout(segments="{split}.txt"), "val") == tmp_path / "val.txt"  # told on reading
