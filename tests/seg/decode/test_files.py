"""`lsu-seg decode` on files and on folders of them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import lsu_onto
from helpers.folders import tree
from helpers.tiny import read
from lsu_seg.cli import main
from lsu_seg.decode import DecodeError, View, decode_arrays, files
from lsu_seg.decode.files import decode_files
from lsu_seg.label_files import LabelReader

TOWN = ("demo_town", "--source", "demo")
K = 15


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(main, ["decode", *TOWN, *map(str, args)])


def image(root: Path, key: str, seed: int = 0) -> np.ndarray:
    """`labels/KEY.png` of 8 x 12 pixels and `logits/KEY.npy` at half of that; returns the logits."""
    rng = np.random.default_rng(seed)
    for folder in ("labels", "logits"):
        (root / folder / key).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(1, 5, (8, 12), np.uint8)).save(root / f"labels/{key}.png")
    logits = rng.normal(0, 3, (K, 4, 6)).astype(np.float32)
    np.save(root / f"logits/{key}.npy", logits)
    return logits


@pytest.mark.parametrize(("taxonomy", "encoding"), [("coco_panoptic", "panoptic-rgb"), ("nuimages", "rle")])
def test_labels_that_tables_explain_are_refused(taxonomy: str, encoding: str, tmp_path: Path) -> None:
    np.save(tmp_path / "logits.npy", np.zeros((19, 4, 4), np.float32))
    label = str(tmp_path / "a.png")
    with pytest.raises(DecodeError, match=rf"a\.png: tables of the dataset explain .*`encoding: {encoding}`\)"):
        decode_files(taxonomy, "cityscapes", label, str(tmp_path / "logits.npy"), str(tmp_path / "out.png"))
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("aligned", [False, True])
def test_a_file_with_its_confidence(tmp_path: Path, aligned: bool) -> None:
    logits = image(tmp_path, "a")
    options = ["--confidence", *(["--align-corners"] if aligned else [])]
    done = run(tmp_path / "labels/a.png", tmp_path / "logits/a.npy", "-o", tmp_path / "out/deep/a.png", *options)
    assert (done.exit_code, done.output) == (0, "")
    constraint = lsu_onto.load("demo_town", source="demo")
    rows = LabelReader(constraint).rows(tmp_path / "labels/a.png")
    wanted = decode_arrays([View(logits, align_corners=aligned)], rows, constraint)  # type: ignore[arg-type]
    assert np.array_equal(read(tmp_path / "out/deep/a.png"), wanted.labels)
    assert np.array_equal(
        read(tmp_path / "out/deep/confidence/a.png"), (wanted.confidence * 255 + 0.5).astype(np.uint8)
    )


def test_folders_deeper_than_the_stack_of_python_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image(tmp_path, "a")
    monkeypatch.chdir(tmp_path)
    place = "/".join("d" * 1100)
    for folder in ("labels", "logits"):
        subprocess.run(["mkdir", "-p", f"deep/{folder}/{place}"], check=True)
        (file,) = Path(folder).iterdir()
        file.rename(f"deep/{folder}/{place}/{file.name}")
    (tmp_path / "deep/labels/.hidden").mkdir()
    (tmp_path / "deep/labels/.hidden/b.png").touch()
    done = run("deep/labels", "deep/logits", "-o", "deep/out")
    written = Path(f"deep/out/{place}/a.png").is_file()
    subprocess.run(["rm", "-r", "deep"], check=True)  # which pytest cannot
    assert (done.exit_code, done.output, written) == (0, "", True)


def test_folders_are_decoded_as_their_files_are(tmp_path: Path) -> None:
    keys = ["a", "town/b", "town/c.d"]
    for seed, key in enumerate(keys):
        image(tmp_path, key, seed)
    (tmp_path / "labels/.hidden.png").touch()
    (tmp_path / "labels/notes.txt").touch()
    out = tmp_path / "out"
    done = run(tmp_path / "labels", tmp_path / "logits", "-o", out, "--confidence")
    assert done.exit_code == 0, done.output
    assert tree(out).keys() == {f"{key}.png" for key in keys} | {f"confidence/{key}.png" for key in keys}
    for key in keys:
        assert (
            run(tmp_path / f"labels/{key}.png", tmp_path / f"logits/{key}.npy", "-o", tmp_path / "one.png").exit_code
            == 0
        )
        assert (tmp_path / "one.png").read_bytes() == tree(out)[f"{key}.png"]
    (tmp_path / "logits/a.npy").unlink()
    done = run(tmp_path / "labels", tmp_path / "logits", "-o", tmp_path / "two")
    assert done.exit_code == 0
    assert "labels: 1 of 3 labels have no logits, e.g. a; they are left out" in done.output
    assert tree(tmp_path / "two").keys() == {"town/b.png", "town/c.d.png"}


def test_logits_that_are_cut_off_while_they_are_decoded_kill_nothing(tmp_path: Path) -> None:
    image(tmp_path, "a")
    logits = files._logits(tmp_path / "logits/a.npy")
    before = logits.copy()
    (tmp_path / "logits/a.npy").write_bytes(b"")
    assert np.array_equal(logits, before), "a mapped file would end this process with SIGBUS"


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (15, 99999999999999999999999, 9), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (15, -6, 8), }",
        "{'descr': (((((",
        "(" * 9000,
        "-" * 9000 + "1",  # a MemoryError
    ],
)
def test_whatever_numpy_raises_at_a_damaged_header_is_a_message(tmp_path: Path, header: str) -> None:
    image(tmp_path, "a")
    size = len(header).to_bytes(2, "little")
    (tmp_path / "logits/a.npy").write_bytes(b"\x93NUMPY\x01\0" + size + header.encode() + bytes(480))
    with pytest.raises(DecodeError, match=r"a\.npy: not a `\.npy` file, or cut off"):
        decode_files("demo_town", None, str(tmp_path / "labels/a.png"), str(tmp_path / "logits/a.npy"), "out.png")


@pytest.mark.parametrize(
    ("label", "logits", "output", "message"),
    [
        ("labels", "logits/a.npy", "out", r"logits/a\.npy: not a folder, and .*labels is one"),
        ("labels/a.png", "logits", "out", r"labels/a\.png: not a folder, and .*logits is one"),
        ("labels", "logits", "labels/a.png", "is a file; expected a folder to write to"),
        ("labels", "logits", "labels/out", "or one lies in the other"),
        ("labels", "logits", ".", "or one lies in the other"),
        ("labels", "empty", "out", r"empty: found no `\.npy` file"),
        ("empty", "logits", "out", r"empty: found no label file \(\.png, \.tif"),
        ("labels", "more", "out", r"1 of 1 logits have no label, e\.g\. b\.npy; expected .*labels/b\.png: logits are"),
        ("doubles", "logits", "out", r"doubles/a\.tif: beside it is a\.png, and one name means one image"),
        ("labels/a.png", "logits/a.npz", "out.png", r"an archive \(x, y\); expected one array"),
        ("labels/a.png", "logits/cut.npz", "out.png", r"cut\.npz: not a `\.npy` file, or cut off; save the logits"),
        (
            "labels/a.png",
            "logits/a.npy",
            "empty",
            r"empty: is a folder; name the PNG to write, such as `.*empty/a\.png`",
        ),
        ("labels/a.png", "logits/none.npy", "out.png", r"none\.npy"),
        ("labels/none.png", "logits/a.npy", "out.png", r"none\.png"),
        ("labels/a.png", "logits/objects.npy", "out.png", r"an array of Python objects; expected one array of floats"),
        ("labels/a.png", "logits/ids.npy", "out.png", r"an array of int64; expected one array of floats"),
        ("labels/a.png", "logits/a.npy", "out.jpg", r"pseudo-labels are PNG files; name it `.*out\.png`"),
        ("labels/a.png", "logits/a.npy", "labels/a.png", "is an input too"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    tmp_path: Path, label: str, logits: str, output: str, message: str
) -> None:
    array = image(tmp_path, "a")
    for folder in ("empty", "more", "doubles"):
        (tmp_path / folder).mkdir()
    np.save(tmp_path / "more/b.npy", array)
    np.save(tmp_path / "logits/ids.npy", np.zeros((K, 2, 2), int))
    np.save(tmp_path / "logits/objects.npy", np.array([{}]), allow_pickle=True)
    np.savez(tmp_path / "logits/a.npz", x=array, y=array)
    (tmp_path / "logits/cut.npz").write_bytes((tmp_path / "logits/a.npz").read_bytes()[:100])
    if logits == "logits":
        (tmp_path / "logits/ids.npy").unlink()
        (tmp_path / "logits/objects.npy").unlink()
    for name in ("a.png", "a.tif"):
        Image.fromarray(np.ones((8, 12), np.uint8)).save(tmp_path / "doubles" / name)
    before = tree(tmp_path)
    done = run(tmp_path / label, tmp_path / logits, "-o", tmp_path / output)
    assert done.exit_code == 1, done.output
    assert isinstance(done.exception, SystemExit)
    assert re.search(message, done.output.replace("\n", " ")), done.output
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("shape", "advice"),
    [
        ((4, 6, K), "axis 2 has 15, so save `numpy.moveaxis(logits, 2, 0)`"),
        ((4, K, 6), "axis 1 has 15, so save `numpy.moveaxis(logits, 1, 0)`"),
        ((1, K, 4, 6), "axis 1 has 15, so save `logits[0]`"),
        ((1, 4, 6, K), "axis 3 has 15, so save `numpy.moveaxis(logits[0], 2, 0)`"),
        ((1, 1, K, 4, 6), "axis 2 has 15, so save `logits[0][0]`"),
        ((K, 1, 4, 6), "axis 0 has 15, so save `numpy.squeeze(logits)`"),
        ((4, 6, 1, K, 1), "axis 3 has 15, so save `numpy.moveaxis(numpy.squeeze(logits), 2, 0)`"),
        ((3, K, 4, 6), "these are 3 images: save each by itself, `logits[i]`"),
        ((1, 3, 4, 6, K), "these are 3 images: save each by itself, `logits[0][i]`"),
        ((K + 1, 4, 6), "one axis has 16: if one of these is background or void, leave it out"),
        ((19, 4, 6), "no axis has 15: are these logits of a model with other classes, or is another `--source` meant?"),
        ((8, 12), "it has no axis of classes; if it holds class numbers, save the logits that they were chosen by"),
        ((K, 0, 6), "it is empty"),
        ((K,), "its axes are 1, and should be 3"),
        ((), "no axis has"),
    ],
)
def test_another_shape_is_told_how_it_becomes_the_right_one(
    tmp_path: Path, shape: tuple[int, ...], advice: str
) -> None:
    image(tmp_path, "a")
    rng = np.random.default_rng(0)
    array = rng.normal(size=shape).astype(np.float32)
    np.save(tmp_path / "logits/a.npy", array)
    done = run(tmp_path / "labels/a.png", tmp_path / "logits/a.npy", "-o", tmp_path / "out.png")
    assert done.exit_code == 1
    said = f"a.npy: an array {list(shape)}; expected [K, h, w] with the K = 15 classes of `demo` first: {advice}"
    assert said in done.output
    constraint = lsu_onto.load("demo_town", source="demo")
    with pytest.raises(DecodeError, match=r"logits: an array \["):
        decode_arrays(array, np.zeros((8, 12), np.int16), constraint)
    if "so save" in advice:  # and what it says to type works
        typed = advice.partition("save `")[2].rstrip("`").replace("[i]", "[0]")
        fixed: Any = eval(typed, {"numpy": np, "logits": array})
        np.save(tmp_path / "logits/a.npy", fixed)
        assert run(tmp_path / "labels/a.png", tmp_path / "logits/a.npy", "-o", tmp_path / "out.png").exit_code == 0
        assert np.array_equal(np.sort(fixed, None), np.sort(array, None))
