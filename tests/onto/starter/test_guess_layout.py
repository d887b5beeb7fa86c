"""`lsu-onto init --data-root`: where images and labels lie, guessed from what lies there."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from lsu_onto.cli import main
from lsu_onto.library.library import Library
from lsu_onto.starter import guess_layout as starter_layout
from lsu_onto.starter.guess_layout import GuessedLayout, guess_layout
from lsu_onto.starter.label_values import ScanError

RNG = np.random.default_rng(0)


def write(root: Path, name: str) -> None:
    """A file: a picture; or labels in the form that the name states (`id`, `rgb`, `P`, `16`), as in `a.png=id`."""
    name, _, form = name.partition("=")
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    labels = np.kron(RNG.integers(0, 4, (2, 3)), np.ones((8, 8))).astype(np.uint8)
    pixels = {"id": labels, "16": labels.astype(np.uint16) * 1000, "rgb": np.dstack([labels] * 3) * np.uint8([9, 5, 1])}
    image = Image.fromarray(pixels.get(form, labels if form else RNG.integers(0, 256, (16, 24, 3), np.uint8)))
    if form == "P":
        image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.save(file)


def laid_out(root: Path, *names: str) -> GuessedLayout:
    for name in names:
        write(root, name)
    return guess_layout(root)


LAYOUTS: dict[str, tuple[list[str], str, str, str]] = {
    "folders of splits": (
        [
            f"{p}/{s}/{i}.{e}"
            for s in ("val", "train")
            for i in (1, 2)
            for p, e in (("images", "jpg"), ("labels", "png=id"))
        ],
        "train val",
        "images/{split}/{stem}.jpg",
        "labels/{split}/{stem}.png",
    ),
    "splits first": (
        [f"{s}/{p}" for s in ("Train", "Test") for p in ("img/7.png", "mask/7.png=P")],
        "Train Test",
        "{split}/img/{stem}.png",
        "{split}/mask/{stem}.png",
    ),
    "no splits": (["a/1.jpg", "a/2.jpg", "b/1.png=rgb", "b/2.png=rgb"], "", "a/{stem}.jpg", "b/{stem}.png"),
    "one folder": (["1.jpg", "2.jpg", "1.png=id", "2.png=id"], "", "{stem}.jpg", "{stem}.png"),
    "labels by a word": (
        ["1.png", "2.png", "1_mask.png=id", "2_mask.png=id"],
        "",
        "{stem}.png",
        "{stem}_mask.png",
    ),
    "a word in front": (
        ["rgb_1.png", "rgb_2.png", "seg_1.png=id", "seg_2.png=id"],
        "",
        "rgb_{stem}.png",
        "seg_{stem}.png",
    ),
    "Cityscapes": (
        [
            *(f"leftImg8bit/train/{c}/{c}_{i}_leftImg8bit.png" for c in ("bonn", "ulm") for i in (1, 2)),
            *(
                f"gtFine/train/{c}/{c}_{i}_gtFine_{form}"
                for c in ("bonn", "ulm")
                for i in (1, 2)
                for form in ("color.png=rgb", "instanceIds.png=16", "labelIds.png=id", "labelTrainIds.png=id")
            ),
        ],
        "train",
        "leftImg8bit/{split}/{folder}/{stem}_leftImg8bit.png",
        "gtFine/{split}/{folder}/{stem}_gtFine_labelIds.png",
    ),
    "CamVid": (
        [f"{s}{p}" for s in ("train", "val", "test") for p in ("/1.png", "annot/1.png=id")],
        "train val test",
        "{split}/{stem}.png",
        "{split}annot/{stem}.png",
    ),
    "a folder for each image": (
        [f"train/{n}/{p}" for n in ("i1", "i2") for p in ("rgb.jpg", "labels.png=P")],
        "train",
        "{split}/{folder}/rgb.jpg",
        "{split}/{folder}/labels.png",
    ),
    "drives and cameras": (
        [
            f"{d}/{p}/{c}/{i}"
            for d in "ab"
            for c in ("left", "right")
            for p, i in (("cam", "1.jpg"), ("gt", "1.png=id"))
        ],
        "",
        "{folder1}/cam/{folder2}/{stem}.jpg",
        "{folder1}/gt/{folder2}/{stem}.png",
    ),
    "beside depth and other things": (
        [
            "im/1.jpg",
            "im/2.jpg",
            "depth/1.png=16",
            "depth/2.png=16",
            "gt/1.png=id",
            "gt/2.png=id",
            "logo.png",
            "x/y.jpg",
        ],
        "",
        "im/{stem}.jpg",
        "gt/{stem}.png",
    ),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_usual_layouts_are_found(tmp_path: Path, case: str) -> None:
    names, splits, images, labels = LAYOUTS[case]
    layout = laid_out(tmp_path, *names)
    assert (" ".join(layout.splits), layout.images, layout.labels) == (splits, images, labels)
    assert layout.pairs == sum(name.endswith(".jpg") or "=" not in name for name in names) - 2 * (case[:6] == "beside")
    assert len(layout.label_files) == layout.pairs and layout.alone == 0


def test_what_else_fits_and_what_is_alone_is_said(tmp_path: Path) -> None:
    names, *_ = LAYOUTS["Cityscapes"]
    layout = laid_out(tmp_path, *names, "leftImg8bit/train/ulm/ulm_9_leftImg8bit.png")
    assert layout.alone == 1
    assert layout.keys() == [
        "splits: train",
        "images: leftImg8bit/{split}/{folder}/{stem}_leftImg8bit.png # a guess: 4 pairs; 1 file has no partner",
        "labels: gtFine/{split}/{folder}/{stem}_gtFine_labelIds.png # a guess; "
        "`gtFine/{split}/{folder}/{stem}_gtFine_labelTrainIds.png` and "
        "`gtFine/{split}/{folder}/{stem}_gtFine_instanceIds.png` and "
        "`gtFine/{split}/{folder}/{stem}_gtFine_color.png` would fit, too",
    ]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([], "found no image files"),
        (["a/1.jpg", "a/2.jpg"], "found 2 x `.jpg`"),
        (["a/1.jpg", "b/2.png=id"], "found 1 x `.jpg`, 1 x `.png`"),
        (["a/1.jpg", "b/1.png"], "found 1 x `.jpg`, 1 x `.png`"),  # two pictures
    ],
)
def test_nothing_that_belongs_together_is_said(tmp_path: Path, names: list[str], found: str) -> None:
    with pytest.raises(ScanError, match=f"{found}.*leave `--data-root` out"):
        laid_out(tmp_path, *names)


ODD = [
    "my images # 1",
    "{x}",
    "{stem}",
    "img?",
    "img*",
    "img\\q",
    "'img'",
    "lab | seg",
    "a|b",
    " img",
    "<img>",
    "$img",
]


@pytest.mark.parametrize("odd", ODD)
def test_a_folder_that_a_pattern_cannot_state_is_named(tmp_path: Path, odd: str) -> None:
    files = [("img", "jpg"), ("gt", "png=id"), ("show", "png=rgb")]
    for part, suffix in (("img", "jpg"), ("gt", "png")):  # the colours beside the labels are not what is meant
        root = tmp_path / part
        names = [f"{odd if folder == part else folder}/{i}.{e}" for i in (1, 2) for folder, e in files]
        refusal = f"belong together with `{odd}/{{stem}}.{suffix}`, which a `.tax` file cannot state"
        with pytest.raises(ScanError, match=re.escape(refusal)):
            laid_out(root, *names)
        (root / odd).rename(root / f"{part} 1")
        assert {"img": guess_layout(root).images, "gt": guess_layout(root).labels}[
            part
        ] == f"{part} 1/{{stem}}.{suffix}"


def test_odd_folders_of_a_kind_are_a_placeholder(tmp_path: Path) -> None:
    names = [f"{p}/{odd}/1.{e}" for odd in ("a # 1", "{b}") for p, e in (("img", "jpg"), ("gt", "png=id"))]
    layout = laid_out(tmp_path, *names)
    assert (layout.images, layout.labels) == ("img/{folder}/{stem}.jpg", "gt/{folder}/{stem}.png")


def test_a_large_dataset_is_guessed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name is taken apart once, and groups that several readings have are compared once."""
    names = LAYOUTS["Cityscapes"][0]
    expected = laid_out(tmp_path, *names)
    compared = []
    matched = starter_layout._matched
    monkeypatch.setattr(starter_layout, "_matched", lambda a, b: compared.append((a, b)) or matched(a, b))
    assert guess_layout(tmp_path) == expected
    assert len(compared) == len({frozenset((id(a), id(b))) for a, b in compared})


def test_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/again").symlink_to(tmp_path)
    assert laid_out(tmp_path, "images/1.jpg", "gt/1.png=id").pairs == 1


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused by the system call: root may read everything."""
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if os.fspath(path).endswith("val"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(ScanError, match=r"images/val` cannot be read \(Permission denied\)"):
        laid_out(tmp_path, *LAYOUTS["folders of splits"][0])


def test_one_damaged_label_does_not_decide(tmp_path: Path) -> None:
    names = ["a/1.jpg", "a/2.jpg", "a/3.jpg", "b/1.png=id", "b/2.png=id", "b/3.png=id"]
    laid_out(tmp_path, *names)
    (tmp_path / "b/1.png").write_bytes(b"")
    assert guess_layout(tmp_path).labels == "b/{stem}.png"


def test_what_has_no_end_is_not_waited_for(tmp_path: Path) -> None:
    laid_out(tmp_path, *(name for n in "123" for name in (f"a/{n}.jpg", f"b/{n}.png=id")))
    for name, make in {"a/1.jpg": os.mkfifo, "b/1.png": lambda path: path.symlink_to("/dev/zero")}.items():
        (tmp_path / name).unlink()
        make(tmp_path / name)
    assert guess_layout(tmp_path).labels == "b/{stem}.png"


# --- the command -------------------------------------------------------------------------------------------


def init(root: Path, *args: str, code: int = 0) -> Result:
    result = CliRunner().invoke(
        main, ["init", "x", "--data-root", str(root / "data"), "-o", str(root / "x.tax"), *args]
    )
    assert isinstance(result.exception, SystemExit | None), result.exception
    assert result.exit_code == code, result.output
    return result


def test_the_labels_that_were_found_are_read(tmp_path: Path) -> None:
    for name in LAYOUTS["folders of splits"][0]:
        write(tmp_path / "data", name)
    shown = init(tmp_path, "--source", "demo").stdout
    assert "in 4 label files, encoding id" in shown
    assert f"lsu-seg scan {tmp_path}/x.tax --data-root {tmp_path}/data" in shown
    text = (tmp_path / "x.tax").read_text()
    assert "\nsplits:   train val\nimages:   images/{split}/{stem}.jpg  # a guess: 4 pairs\n" in text
    assert "labels:   labels/{split}/{stem}.png  # a guess\n" in text and "class_1" in text
    assert {d.code for d in Library().check(tmp_path / "x.tax").errors} == {"TAX301"}


def test_the_classes_may_come_from_a_list(tmp_path: Path) -> None:
    for name in LAYOUTS["folders of splits"][0]:
        write(tmp_path / "data", name)
    (tmp_path / "a.csv").write_text("id,name\n0,rest\n1,road\n")
    init(tmp_path, "--from-csv", str(tmp_path / "a.csv"))
    text = (tmp_path / "x.tax").read_text()
    assert "splits:   train val" in text and "1  road" in text and "class_" not in text
    assert Library().check(tmp_path / "x.tax").errors == []


def test_what_cannot_be_guessed_writes_nothing(tmp_path: Path) -> None:
    assert "does not exist" in init(tmp_path, code=2).stderr
    (tmp_path / "data").mkdir()
    assert "found no image files" in init(tmp_path, code=1).stderr
    assert not (tmp_path / "x.tax").exists()
