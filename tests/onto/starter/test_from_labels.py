"""`lsu-onto init --from-labels`: what label files hold."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import pngs
from helpers.init import ids, png, run, written
from helpers.tax import ROOT
from lsu_onto.library.library import Library
from lsu_onto.starter import guess, label_values

A = np.array


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_eight_bit_values_with_counts() -> None:
    png("a.png", A([[0, 0, 7], [7, 7, 255]], np.uint8))
    png("sub/b.tif", A([[3, 255, 255, 255]], np.uint8))
    Path("labels/.hidden.png").write_bytes(b"")
    Path("labels/readme.txt").write_text("x")
    result = run("--from-labels", "labels", "--name", "x", "--source", "demo")
    assert "3 classes in 2 label files, encoding id, void 255" in result.stdout
    assert "passed over 1 file that is neither" in result.stderr
    _, keys, classes = written()
    assert keys["encoding"] == ("id", "a guess: 8-bit values")
    assert keys["void"] == ("255", "a guess: 255 stands apart from the other values; 40.0 % of the pixels")
    assert ids(classes) == {"class_0": [(0, 0)], "class_3": [(3, 3)], "class_7": [(7, 7)]}
    assert classes["class_7"].note == "TODO: name it and relate it; 3 px, 30.0 %, in 1 of 2 files"
    assert len(Library().check("x.tax").errors) == 3  # one for each class: nothing was decided


def test_zero_is_asked_about_where_nothing_tells() -> None:
    png("a.png", A([[0, 1, 254, 255]], np.uint8))
    run("x", "--from-labels", "labels")
    text, keys, classes = written()
    assert (
        "void" not in keys
        and "# void: 255 TODO" in text
        and "is it void?" in classes["class_0"].note
        and len(classes) == 4
    )


def test_a_palette_gives_the_colours() -> None:
    png("a.png", A([[0, 1, 2, 2]], np.uint8), {1: "804080", 2: "123456"})
    run("x", "--from-labels", "labels/a.png", "--source", "demo")
    _, keys, classes = written()
    assert keys["encoding"] == ("id", "a guess: palette indices") and keys["void"][0] == "0"
    assert "black in the palette" in keys["void"][1]
    assert {n: c.colours[0].text for n, c in classes.items()} == {"class_1": "#804080", "class_2": "#123456"}
    assert classes["class_1"].note.startswith("TODO: `< road`? It has its colour; 1 px")


def shuffled() -> None:
    """One picture, as a tool writes it that numbers the colours anew in each file."""
    black, red, green, blue = "000000", "ff0000", "00ff00", "0000ff"
    png("a.png", A([[0, 1, 2, 3]], np.uint8), dict(enumerate([black, red, green, blue])))
    png("b.png", A([[0, 3, 2, 1]], np.uint8), dict(enumerate([black, blue, green, red])))


def test_palettes_that_contradict_each_other_are_read_as_colours() -> None:
    shuffled()
    run("x", "--from-labels", "labels")
    _, keys, classes = written()
    assert keys["encoding"][0] == "rgb" and keys["void"][0] == "#000000"
    clash = "labels/b.png: a palette with #0000ff for value 1, which is #ff0000 in labels/a.png"
    assert keys["encoding"][1] == f"a guess: values mean nothing without their palettes: {clash}"
    assert {n: c.note.partition("; ")[2] for n, c in classes.items()} == {
        f"colour_{c}": "2 px, 25.0 %, in 2 of 2 files" for c in ("0000ff", "00ff00", "ff0000")
    }
    assert Library().check("x.tax").errors == []


def test_values_count_in_spite_of_such_palettes_if_they_are_asked_for() -> None:
    shuffled()
    run("x", "--from-labels", "labels", "--encoding", "id")
    _, keys, classes = written()
    assert keys["palettes"][0] == "ignored" and "labels/b.png" in keys["palettes"][1]
    assert set(classes) == {f"class_{i}" for i in range(4)} and not any(c.colours for c in classes.values())
    assert Library().check("x.tax").errors == []


def test_such_palettes_beside_files_without_colours_are_left_to_the_user() -> None:
    shuffled()
    png("c.png", A([[0, 1]], np.uint8))
    assert "pass `--encoding id` if the values tell" in run("x", "--from-labels", "labels", code=1).stderr
    run("x", "--from-labels", "labels", "--encoding", "id")


def test_palette_files_are_read_as_colours_if_that_is_said() -> None:
    png("a.png", A([[0, 1, 2, 2]], np.uint8), {1: "804080", 2: "804080"})
    run("x", "--from-labels", "labels", "--encoding", "rgb")
    _, keys, classes = written()
    assert (keys["encoding"][0], keys["void"][0]) == ("rgb", "#000000")
    assert classes["colour_804080"].note.endswith("3 px, 75.0 %, in 1 of 1 files")


def test_colours() -> None:
    pixels = A([[[0, 0, 0], [128, 64, 128], [1, 2, 3]]], np.uint8)
    png("a.png", pixels)
    png("b.png", np.dstack([pixels, np.full((1, 3), 255, np.uint8)]))  # opaque alpha
    run("x", "--from-labels", "labels/*.png")
    _, keys, classes = written()
    assert keys["encoding"][0] == "rgb" and keys["void"][0] == "#000000"
    assert {n: c.colours[0].text for n, c in classes.items()} == {
        "colour_010203": "#010203",
        "colour_804080": "#804080",
    }
    assert "2 px, 33.3 %, in 2 of 2 files" in classes["colour_010203"].note


@pytest.mark.parametrize(
    ("values", "encoding", "void", "expected"),
    [
        ([0, 300, 65535], "id16", "65535", {"class_0": [(0, 0)], "class_300": [(300, 300)]}),
        ([1000, 1001, 26000, 26001, 65535], "id16/1000", "65", {"class_1": [(1, 1)], "class_26": [(26, 26)]}),
        ([7 * 256, 26 * 256, 26 * 256 + 1], "id16/256", None, {"class_7": [(7, 7)], "class_26": [(26, 26)]}),
        (
            [7, 8, 26, 24000, 24001, 26000, 26001, 65535],
            "instance-ids",
            "65",  # Cityscapes' instanceIds
            {f"class_{i}": [(i, i)] for i in (7, 8, 24, 26)},
        ),
        (
            [7, 26, 26 * 256, 26 * 256 + 1, 27 * 256],
            "id16",
            None,
            {"class_7": [(7, 7)], "class_26": [(26, 26), (6656, 6911)], "class_27": [(6912, 7167)]},
        ),
        (list(range(300)), "id16", None, {f"class_{i}": [(i, i)] for i in range(300)}),
    ],
    ids=["plain", "by 1000", "by 256", "mixed", "mixed by 256", "many"],
)
def test_sixteen_bits(values: list[int], encoding: str, void: str | None, expected: dict[str, Any]) -> None:
    png("a.png", A([values], np.uint16))
    run("x", "--from-labels", "labels")
    _, keys, classes = written()
    assert (keys["encoding"][0], keys.get("void", (None,))[0]) == (encoding, void)
    assert ids(classes) == expected


def test_an_encoding_that_is_said_is_no_guess() -> None:
    png("a.png", A([[26001, 26002, 7]], np.uint16))
    run("x", "--from-labels", "labels", "--encoding", "id16/1000")
    _, keys, classes = written()
    assert keys["encoding"] == ("id16/1000", "") and set(classes) == {"class_0", "class_26"}
    for other, message in (("rgb", "fit `id16`"), ("polygons", "the classes stand in a JSON per image")):
        assert message in run("x", "--from-labels", "labels", "--encoding", other, "--force", code=1).stderr


def test_values_are_exact_whatever_stores_them() -> None:
    """Pillow scales 2- and 4-bit grey; a 1-bit image is 0 and 1; a float TIFF may hold whole numbers."""
    files = {
        "four.png": (A([[0, 1, 15, 3]], np.uint8), {0: 1, 1: 1, 15: 1, 3: 1}),
        "float.tif": (A([[0.0, 3.0]], np.float32), {0: 1, 3: 1}),
        "int.tif": (A([[0, 70]], np.int32), {0: 1, 70: 1}),
        "one.png": (A([[True, False, True]]), {0: 1, 1: 2}),
        "big.tif": (A([[256, 2]], np.uint16), {2: 1, 256: 1}),
    }
    for name, (array, expected) in files.items():
        path = png(name, array)
        if name == "four.png":
            path.write_bytes(pngs.png(array, bits=4))
        assert label_values.count(path).counts == expected, name


RGB = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)


def damaged(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-30])
    return path


def half_of_its_rows() -> Path:
    """Checksums and all are right; Pillow reads the missing rows as 0."""
    path = png("a.png", np.ones((8, 8), np.uint8))
    head, pixels = pngs.header(8, 8), pngs.chunk(b"IDAT", zlib.compress(pngs.rows(np.ones((4, 8), int))))
    path.write_bytes(pngs.SIGNATURE + head + pixels + pngs.chunk(b"IEND"))
    return path


REFUSED: dict[str, tuple[Callable[[], Path], str]] = {
    "jpeg": (lambda: png("a.jpg", RGB), "a JPEG, which changes values"),
    "jpeg called png": (lambda: png("a.jpg", RGB).rename("labels/a.png"), "a JPEG, which changes values"),
    "webp": (lambda: png("a.webp", RGB), "a WebP image"),
    "gif": (lambda: png("a.gif", RGB[..., 0]), "a GIF"),
    "empty": (
        lambda: png("a.png", RGB).rename("labels/b.png").write_bytes(b"") or Path("labels/b.png"),
        "an empty file",
    ),
    "truncated": (lambda: damaged(png("a.png", np.arange(4096, dtype=np.uint8).reshape(64, 64))), "a damaged PNG"),
    "half of its rows": (half_of_its_rows, "it holds fewer rows than it says"),
    "lfs": (
        lambda: png("a.png", RGB).write_bytes(b"version https://git-lfs.github.com/spec/v1\n") and Path("labels/a.png"),
        "git-LFS",
    ),
    "grey three times": (lambda: png("a.png", A([[[1, 1, 1], [7, 7, 7]]], np.uint8)), "R = G = B"),
    "transparent": (lambda: png("a.png", A([[[1, 2, 3, 9]]], np.uint8)), "transparent pixels"),
    "fractions": (lambda: png("a.tif", A([[0.5]], np.float32)), "fractions"),
    "negative": (lambda: png("a.tif", A([[-1]], np.int32)), "from -1"),
    "lossy tiff": (
        lambda: png("a.tif", np.zeros((16, 16, 3), np.uint8), compression="jpeg"),
        "jpeg compression, which may be lossy",
    ),
    "a picture": (
        lambda: png("a.png", np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8)),
        "more than 4096 colours",
    ),
    "too many values": (
        lambda: png("a.png", (np.arange(1500, dtype=np.uint16) * 7 + 3)[None]),
        "too many to be classes",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_label_file_is_refused(case: str, here: Path) -> None:
    make, message = REFUSED[case]
    path = make()
    result = run("x", "--from-labels", str(path), code=1)
    assert message in result.stderr and "Traceback" not in result.output
    assert not Path("x.tax").exists()


def test_a_folder_of_jpegs_says_so() -> None:
    png("a.jpg", RGB)
    assert "1 x `.jpg` (JPEG, WebP and GIF do not keep" in run("x", "--from-labels", "labels", code=1).stderr


def test_one_bad_file_does_not_stop_the_rest() -> None:
    png("a.png", A([[1, 2]], np.uint8))
    png("b.jpg", RGB).rename("labels/b.png")
    result = run("x", "--from-labels", "labels", code=1)
    assert "1 file could not be read" in result.stderr and "b.png: found a JPEG" in result.stderr
    assert set(written()[2]) == {"class_1", "class_2"}


def test_links_to_what_is_not_there_are_named() -> None:
    png("a.png", A([[0, 1]], np.uint8))
    Path("labels/b.png").symlink_to("unmounted/b.png")
    result = run("--from-labels", "labels", "--name", "x", "--source", "demo", code=1)
    assert "1 file could not be read" in result.stderr and "b.png: found no readable file" in result.stderr


def test_files_of_two_kinds_are_refused() -> None:
    png("a.png", A([[1, 2]], np.uint8))
    png("b.png", RGB)
    err = run("x", "--from-labels", "labels", code=1).stderr
    assert "8-bit grey (labels/a.png), RGB colours (labels/b.png)" in err


def test_without_pillow() -> None:
    png("a.png", A([[1]], np.uint8))
    script = "import sys\nsys.modules['PIL'] = None\nfrom lsu_onto.cli import main\n"
    script += "main(['init', 'x', '--from-labels', 'labels'])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=_env())
    assert done.returncode == 1 and "needs Pillow: pip install '.[labels]'" in done.stderr


def _env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_when_it_takes_long(terminal: bool) -> None:
    """The waiting time is shortened, nothing else; the bar is drawn by a real terminal."""
    import pty

    for i in range(12):
        png(f"{i}.png", np.zeros((1500, 1500), np.uint8))
    script = (
        "import lsu_onto.progress as s\ns.AFTER_S = s.LINE_S = 0.001\nfrom lsu_onto.cli import main\n"
        "main(['init', 'x', '--from-labels', 'labels'])"
    )
    main_end, side = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**_env(), "TERM": "xterm"},
        text=not terminal,
        stdout=subprocess.DEVNULL,
        stderr=side if terminal else subprocess.PIPE,
    )
    os.close(side)
    if terminal:
        shown = b""
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            try:
                part = os.read(main_end, 65536)
            except OSError:
                break
            if not part:
                break
            shown += part
        process.wait()
        assert b"label files" in shown and b"ETA" in shown and b"/12" in shown
    else:
        _, err = process.communicate(timeout=600)
        assert re.search(r"^label files \d+/12, ETA \d+ s$", str(err), re.M)
    os.close(main_end)
    assert process.returncode == 0


def test_what_is_quick_shows_nothing() -> None:
    png("a.png", A([[1]], np.uint8))
    assert run("x", "--from-labels", "labels").stderr == ""


@pytest.mark.parametrize(
    ("values", "divisor", "expected"),
    [
        ([24000, 24001, 25000], 1000, True),
        ([24000, 24001, 25500], 1000, False),  # an instance 500, and none before it
        ([256, 257, 512], 256, True),
        (list(range(600)), 256, False),
        ([7, 8, 9], 1000, False),
    ],
)
def test_clusters(values: list[int], divisor: int, expected: bool) -> None:
    assert guess.clusters(values, divisor) == expected


def test_a_folder_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in it would be missing from the classes. Refused by the system call: root may read everything."""
    png("a/0.png", np.array([[1, 2]], np.uint8))
    png("closed/0.png", np.array([[3]], np.uint8))
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if os.fspath(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr("os.scandir", refuse)
    result = run("x", "--from-labels", "labels", code=1)
    assert "labels/closed` cannot be read (Permission denied)" in result.stderr
    assert not Path("x.tax").exists()
