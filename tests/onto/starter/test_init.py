"""`lsu-onto init`: what it writes is canonical, says what it guessed, and decides no relation."""

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
from click.testing import CliRunner, Result
from PIL import Image

from helpers import pngs
from helpers.tax import ROOT
from lsu_onto.cli import main
from lsu_onto.lang import syntax as ast
from lsu_onto.lang.parse import parse
from lsu_onto.library.formatting import format_file
from lsu_onto.library.library import Library
from lsu_onto.ontology.keys import ENCODINGS
from lsu_onto.starter import guess, label_values

A = np.array


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*args: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["init", *args])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    return result


def png(name: str, array: Any, palette: dict[int, str] | None = None, **options: Any) -> Path:
    path = Path("labels") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    if palette is not None:
        flat = bytearray(768)
        for i, colour in palette.items():
            flat[3 * i : 3 * i + 3] = bytes.fromhex(colour)
        image = Image.fromarray(array).convert("L")
        image.putpalette(bytes(flat))
    image.save(path, **options)
    return path


def written(name: str = "x.tax") -> tuple[str, dict[str, tuple[str, str]], dict[str, ast.ClassLine]]:
    """Text, key → (value, note), name → class. The file is canonical and has no error but open relations."""
    text = Path(name).read_text()
    found = Library().check(name).diagnostics
    assert {d.code for d in found if d.severity != "info"} <= {"TAX301"}, found
    assert format_file(Library(), name) == text
    statements = parse(name, text)[0].statements
    keys = {s.key.text: (s.value.text, s.note) for s in statements if isinstance(s, ast.Meta)}
    return text, keys, {s.name.text: s for s in statements if isinstance(s, ast.ClassLine)}


def ids(classes: dict[str, ast.ClassLine]) -> dict[str, list[tuple[int, int]]]:
    return {n: [(r.low, r.high) for r in c.ids] for n, c in classes.items()}


# --- from nothing, and from a list -------------------------------------------------------------------------


def test_the_starter_asks_for_what_is_open_and_validates_when_it_is_settled() -> None:
    result = run("mydata", "--source", "demo")
    assert "wrote mydata.tax" in result.stdout and "lsu-onto validate mydata.tax" in result.stdout
    text, keys, classes = written("mydata.tax")
    assert keys["encoding"][0] == "id" and len(classes) == 2 and "# labels: labels/{split}/{stem}.png" in text
    errors = Library().check("mydata.tax").errors
    assert [d.code for d in errors] == ["TAX301", "TAX301"]
    Path("mydata.tax").write_text(re.sub(r"# TODO.*", "< road", text))
    assert Library().check("mydata.tax").errors == []


@pytest.mark.parametrize("encoding", list(ENCODINGS))
def test_the_starter_without_a_source_is_valid_under_every_encoding(encoding: str) -> None:
    run("mydata", "--encoding", encoding)
    text = Path("mydata.tax").read_text()
    assert "-> NAME v1" in text and f"encoding: {encoding} " in text
    # Where the classes stand in a JSON, the file asks for it.
    asked = ["TAX012"] if encoding in ("panoptic-rgb", "rle") else []
    assert [d.code for d in Library().check("mydata.tax").diagnostics if d.severity != "info"] == asked


def test_nothing_is_overwritten() -> None:
    Path("x.tax").write_text("mine")
    result = run("x", code=1)
    assert "`x.tax` is there already" in result.stderr and Path("x.tax").read_text() == "mine"
    run("x", "--force")
    assert Path("x.tax").read_text().startswith("tax 1\n")


LIST = "id,name,color,void,note\n1,Road,#804080,,\n2,side walk,#f423e8,,paved\n3,quad,#112233,,\n300,outside,,1,\n"


def test_a_list_gets_suggestions_and_no_relations() -> None:
    Path("My List.csv").write_text(LIST)
    run("--from-csv", "My List.csv", "--source", "demo")
    _, keys, classes = written("my_list.tax")
    assert keys["encoding"] == ("id16", "TODO: is that how the label files store it?")
    assert {n: c.note for n, c in classes.items() if n != "outside"} == {
        "Road": "TODO: `= road` or `< road`? The same name, perhaps not the same pixels",
        "side_walk": "TODO: `< sidewalk`?; paved",
        "quad": "TODO: relate it",
    }
    assert classes["outside"].decision and not any(c.relations for c in classes.values())  # the list says `void`
    assert len(Library().check("my_list.tax").errors) == 3


def test_a_list_loses_no_column_without_a_word() -> None:
    Path("camvid.csv").write_text("name,r,g,b,pixels\nAnimal,64,128,64,9\nVoid,0,0,0,9\n")
    result = run("x", "--from-csv", "camvid.csv")
    assert ":1:12: info: not used: `pixels`" in result.stderr
    text, keys, classes = written()
    assert keys["encoding"] == (
        "rgb",
        "TODO: is that how the label files store it? It is a guess: the list has colours and no ids",
    )
    assert {n: c.colours[0].text for n, c in classes.items()} == {"Animal": "#408040", "Void": "#000000"}
    assert "# void: #000000 TODO" in text

    Path("names.csv").write_text("name\nroad\nsky\n")
    assert "warning: no `id` says the raw values" in run("x", "--from-csv", "names.csv", "--force").stderr
    assert written()[1]["encoding"][1].endswith("It is a guess: the list has no ids, and these count its rows")


def test_a_column_with_the_name_of_the_source_is_a_first_guess() -> None:
    Path("a.csv").write_text("Idx;label;demo\n7;asphalt;road\n8;verge;sidewalk, void\n9;cow;\n")
    assert run("x", "--from-csv", "a.csv", "--source", "demo").stderr == ""
    text, _, classes = written()
    assert ids(classes) == {"asphalt": [(7, 7)], "verge": [(8, 8)], "cow": [(9, 9)]}
    assert [[(r.op, [t.text for t in r.targets]) for r in c.relations] for c in classes.values()] == [
        [("<", ["road"])],
        [("~", ["sidewalk", "void"])],
        [],
    ]
    assert "# a guess: `demo` says `sidewalk, void`\n" in text and classes["cow"].note.startswith("TODO")
    assert "`--source demo` makes `demo` a first guess" in run("x", "--from-csv", "a.csv", "--force").stderr


def test_what_export_wrote_is_a_list_too() -> None:
    exported = CliRunner().invoke(main, ["export", "demo_town", "--to", "csv", "-o", "town.csv"])
    assert exported.exit_code == 0
    assert run("x", "--from-csv", "town.csv", "--source", "demo").stderr == ""
    assert all(c.relations for c in written()[2].values()) and Library().check("x.tax").errors == []


def test_relations_of_a_list_are_written_as_fmt_keeps_them() -> None:
    Path("a.csv").write_text('id,name,relation\n7,lamp,"lamp < ""traffic light"""\n')
    run("x", "--from-csv", "a.csv", "--source", "cityscapes")
    text, _, classes = written()
    assert "7  lamp  < traffic_light\n" in text and classes["lamp"].relations


@pytest.mark.parametrize("more", [[], ["--from-csv", "a.csv"]])
def test_a_source_is_named_as_any_taxonomy(more: list[str]) -> None:
    Path("a.csv").write_text("id,name\n7,sky\n")
    Path("lib").mkdir()
    Path("lib/base.tax").write_text("tax 1\nsource base v1\n0 sky\nsource base v2\n0 sky\n1 road\n")
    result = run("x", "--source", "lib/base.tax v2", *more)
    assert "dataset x v1 -> base v2\n" in Path("x.tax").read_text()
    assert "lsu-onto validate x.tax --path lib " in result.stdout  # where that finds it
    run("y", "--source", "demo@v1", *more)
    assert "dataset y v1 -> demo v1\n" in Path("y.tax").read_text()


def test_a_list_without_a_source_is_valid_at_once() -> None:
    Path("a.csv").write_text(LIST)
    run("x", "--from-csv", "a.csv", "--encoding", "id16")
    _, keys, classes = written()
    assert keys["encoding"][0] == "id16" and classes["Road"].note == ""
    assert Library().check("x.tax").errors == []


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ([], 2, "needs a name"),
        (["my data.tax"], 2, "write `my_data`"),
        (["void"], 2, "`void` cannot be a name"),
        (["a", "--name", "b"], 2, "given twice"),
        (["a", "--encoding", "jpeg"], 2, "`jpeg` is no encoding"),
        (["a", "--encoding", "id16/N"], 2, "`id16/N` is no encoding"),
        (["a", "--source", "dmeo"], 1, "there is no source `dmeo`; did you mean `demo`?"),
        (["a", "--from-csv", "no.csv"], 1, "cannot read `no.csv`"),
        (["a", "--from-csv", "a", "--from-labels", "b"], 2, "exclude each other"),
        (["a", "--from-labels", "nowhere"], 1, "there is no such folder or file"),
        (["a", "-o", "/dev/null/a.tax"], 1, "/dev/null/a.tax: Not a directory"),
    ],
)
def test_mistakes(args: list[str], code: int, message: str, here: Path) -> None:
    assert message in run(*args, code=code).stderr
    assert list(here.iterdir()) == []


# --- from label files --------------------------------------------------------------------------------------


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
        "import lsu_onto.starter.label_values as s\ns.AFTER_S = s.LINE_S = 0.001\nfrom lsu_onto.cli import main\n"
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
