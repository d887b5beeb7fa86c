"""The canonical layout: idempotent, nothing lost, and as a careful person would align it."""

from __future__ import annotations

import dataclasses
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import example, given, settings
from hypothesis import strategies as st

import lsu_onto
from helpers.examples import examples
from helpers.tax import SOURCE, TAX
from lsu_onto import files
from lsu_onto.cli import main
from lsu_onto.diagnostics import Span
from lsu_onto.lang.fmt import format_text
from lsu_onto.lang.parse import parse, read
from lsu_onto.library import formatting
from lsu_onto.library.formatting import format_file
from lsu_onto.library.library import Library
from lsu_onto.library.searchpath import shipped

FILES = [p for p in sorted(TAX.rglob("*.tax")) + sorted(shipped().rglob("*.tax")) if read(str(p))[1] is None]
FIELD = """\
tax 1
source town v1

[flat]
0  road        #804080
1  sidewalk    #f423e8  aka pavement footway
[nature]
2  vegetation  #6b8e23  # trees, hedges: anything vertical
3  terrain     #98fb98  # grass, soil, sand: anything horizontal
[vehicle.small]
4  car         #00008e
[vehicle.large]
5  truck       #000046  aka lorry

dataset field v2 -> town v1

title:    Off-road field set
encoding: id   # how raw values are stored
void:     255  # raw values that mean "not annotated"

[ground]
1  footpath  #c4c4c4  = sidewalk
2  asphalt   #404040  < road
3  gravel    #786450  ~ road terrain       # compacted track or loose heap
4  mixed     #5a4a3a  ~ road terrain void
[plants]
5    high_grass  #2e8b57                 ~ terrain vegetation  # annotators switch at knee height
6,7  woody       #006400  aka bush tree  < vegetation
[things]
8       vehicle           #1e90ff  > truck
                                   ~ car void      # pick-ups went to 9; quads have no source class
                                                   # and are rare
9       pickup "pick-up"  #1e50ff  < car
12..14  obstacle          #ff8c00  -> any ! @flat
-       tunnel            #0a141e  -> void         # never drawn in this release

map field v2 -> town v1  # rows that name classes

footpath  = sidewalk
gravel    ~ road, terrain
"""  # the example of the design


def spanless(value: Any) -> Any:
    """A syntax tree without its places."""
    if isinstance(value, Span):
        return None
    if hasattr(value, "_fields"):
        return type(value), [spanless(getattr(value, f)) for f in value._fields if f != "end"]
    return [spanless(v) for v in value] if isinstance(value, tuple) else value


def tree(text: str) -> Any:
    file, found = parse("x.tax", text)
    return [spanless(s) for s in file.statements], sorted(
        d.message for d in found if d.code not in ("TAX009", "TAX010")
    )


def squeeze(text: str) -> str:
    return re.sub(r"[ \t\r\n]+", "", text.removeprefix("\ufeff"))


def holds(text: str) -> str:
    new = format_text("x.tax", text)
    assert tree(new) == tree("\n".join(line.rstrip(" \t\r") for line in text.split("\n")))
    assert squeeze(new) == squeeze(text)
    assert format_text("x.tax", new) == new
    assert new == "" or (new.endswith("\n") and not new.endswith("\n\n") and not new.startswith("\n"))
    assert "\n\n\n" not in new
    assert not re.search(r"[ \t\r]\n", new)
    return new


# --- properties --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_files_of_the_tests_and_the_library(path: Path) -> None:
    holds(path.read_bytes().decode())


@pytest.mark.parametrize("path", sorted(shipped().rglob("*.tax")), ids=lambda p: p.stem)
def test_shipped_taxonomies_are_canonical(path: Path) -> None:
    assert format_file(Library(), str(path)) == path.read_bytes().decode()


NAMES = st.sampled_from(["a", "road", "sky_2", "x" * 45, "tunnel"])
STRINGS = st.sampled_from(['"x y"', '"# no note"', '""', '"a\tb"', '"' + "long " * 10 + '"'])
NOTES = st.sampled_from(["# note", "#", "#\tnote", "#  # twice", '# "quoted', "# allow: TAX307", "# < road"])
TARGETS = st.one_of(NAMES, STRINGS, st.sampled_from(["void", "any", "@a.b", "@g"]))
BLANK = st.sampled_from([" ", "  ", "\t", "     ", " \t "])
TIGHT = st.one_of(st.just(""), BLANK)
NEWLINE = st.sampled_from(["\n", "\r\n", " \n", "\t\r\n"])


@st.composite
def statements(draw: st.DrawFn) -> str:
    """One logical line in any layout that the language accepts."""
    gap, tight = (lambda: draw(BLANK)), (lambda: draw(TIGHT))

    def note() -> str:
        return gap() + draw(NOTES) if draw(st.booleans()) else ""

    def some(strategy: st.SearchStrategy[str], low: int, high: int) -> list[str]:
        return draw(st.lists(strategy, min_size=low, max_size=high))

    def targets() -> str:
        return "".join(draw(st.sampled_from([" ", "  ", ", ", " , ", "\t"])) + t for t in some(TARGETS, 1, 4)).lstrip(
            ",\t "
        )

    def relations(low: int) -> str:
        out = ""
        for op in some(st.sampled_from("=<>~!"), low, 3):
            out += (note() + draw(NEWLINE) + gap() if draw(st.booleans()) else gap()) + op + tight() + targets()
        return out + note()

    def decision() -> str:
        lead = note() + draw(NEWLINE) + gap() if draw(st.booleans()) else gap()
        minus = (note() + draw(NEWLINE) if draw(st.booleans()) else "") + gap() + "!" + tight() + targets()
        return (
            lead + "->" + tight() + draw(st.sampled_from(["void", "any"])) + draw(st.sampled_from(["", minus])) + note()
        )

    kind = draw(st.sampled_from(["class"] * 5 + ["row"] * 2 + ["header", "key", "key", "group", "comment"]))
    if kind == "comment":
        return tight() + draw(NOTES)
    if kind == "group":
        return f"[{tight()}{draw(st.sampled_from(['a', 'a.b', 'g']))}{tight()}]" + note()
    if kind == "key":
        value = draw(st.sampled_from(["", "255", "a  b", "x#y", '"z"', "1,\t2", "long " * 11 + "x"]))
        return draw(st.sampled_from(["title:", "url:", "source-of-labels:"])) + gap() + value + note()
    if kind == "header":
        arrow = draw(st.sampled_from(["", "->", "\n  ->", " ->"]))
        word = (
            draw(st.sampled_from(["dataset", "map"]))
            if arrow
            else draw(st.sampled_from(["source", "dataset", "extends"]))
        )
        return f"{word}{gap()}a{gap()}v1" + (f"{arrow}{tight()}b{gap()}v2.0" if arrow.strip() else "") + note()
    body = decision() if draw(st.booleans()) else relations(1 if kind == "row" else 0)
    if kind == "row":
        return draw(st.one_of(NAMES, STRINGS)) + body
    ids = draw(st.sampled_from(["0", "12", "1..3", "1,2", "1 , 4..5,\t9", "-", ",".join(map(str, range(30)))]))
    colours = draw(st.sampled_from(["", "#804080", "#804080,#102030", "#804080 , #102030"]))
    line = ids + (gap() if ids != "-" else tight()) + draw(NAMES)
    line += gap() + draw(STRINGS) if draw(st.booleans()) else ""
    line += gap() + colours if colours else ""
    line += (
        gap() + "aka" + "".join(gap() + w for w in some(st.one_of(NAMES, STRINGS), 1, 4)) if draw(st.booleans()) else ""
    )
    return line + body


BAD = st.sampled_from(["0 road = = x", "  = orphan", "\t< tab\t x", '0 "open', "#804080", "9.. x", "\x0c", "tax 1 2"])
LINES = st.lists(st.one_of(statements(), statements(), st.sampled_from(["", "", " "]), BAD), max_size=25)


@settings(max_examples=examples(400))
@given(LINES, NEWLINE)
@example(["source a v1", "title:", "  = continued"], "\n")
@example(["source a v1", "title: a ## note"], "\n")
@example(["\t< tab\t x", *["0 road = = x"] * 18, *["0 a\t#804080"] * 5], "\n")
def test_generated_files(lines: list[str], newline: str) -> None:
    holds("tax 1\n" + newline.join(lines))


def test_what_is_generated_can_be_read() -> None:
    seen: list[bool] = []

    @settings(max_examples=examples(200), database=None)
    @given(statements())
    def count(line: str) -> None:
        seen.append(parse("x.tax", "tax 1\n" + line)[1] == [] or "\t" in line)

    count()
    assert sum(seen) > 0.9 * len(seen)


@settings(max_examples=examples(200))
@given(st.text(alphabet=st.sampled_from(' \t\r\n#=<>~!-,@"[]:.01arv\xa0\u2028\x0b')))
@example("0 a#804080")
@example("a~a\r ")
@example("\n \n")
@example("")
def test_any_text(text: str) -> None:
    holds(text)


# --- layout ------------------------------------------------------------------------------------------------


def test_the_example_of_the_design_is_canonical() -> None:
    assert format_text("x.tax", FIELD) == FIELD


def test_the_example_of_the_design_is_restored_from_any_spacing() -> None:
    messy = re.sub(r"(?<=\S) {2,}(?=\S)", " ", FIELD)  # every column is lost
    messy = re.sub(r"^ +", "\t", messy, flags=re.MULTILINE)
    messy = messy.replace("\n\n", "\r\n \t\r\n\n").replace("tax 1", "tax  1\t", 1)
    assert messy != FIELD
    assert format_text("x.tax", messy) == FIELD


def test_a_line_that_cannot_be_read_stays() -> None:
    text = "tax 1\nsource a v1\n0   road\n1\tcar  = = x\n   ~   y\n10 sky\n"
    assert format_text("x.tax", text) == "tax 1\nsource a v1\n0   road\n1\tcar  = = x\n   ~   y\n10  sky\n"


def test_a_blank_line_starts_a_new_table() -> None:
    rows = "0  road  #804080\n1  car   #00008e\n\n2  traffic_light  #102030\n"
    assert format_text("x.tax", "tax 1\nsource a v1\n" + rows).endswith(rows)


def test_a_wide_cell_does_not_push_the_others() -> None:
    wide = "~ " + " ".join(["road"] * 12)
    rows = f"0  a  < road  # note\n1  b  {wide}  # far\n         # below\n2  c  < sky\n"
    new = format_text("x.tax", "tax 1\ndataset a v1 -> b v1\n" + rows)
    assert f"\n0  a  < road  # note\n1  b  {wide}  # far\n{' ' * (len(wide) + 8)}# below\n2  c  < sky\n" in new


def test_official_names_become_names_where_they_are_references(tmp_path: Path) -> None:
    file = tmp_path / "x.tax"
    head = SOURCE.replace("3 truck     #000046", '3 truck "heavy truck" #000046')
    file.write_text(
        f'{head}dataset town v1\n0 lorry "Lorry" aka "big one"\n1 other\nmap town v1 -> demo v1\n'
        '"Lorry" < "heavy truck"  # "heavy truck"\nother -> any ! "heavy truck" "nothing"\n'
    )
    new = format_file(Library(), str(file))
    assert 'lorry  < truck                   # "heavy truck"\nother  -> any ! truck "nothing"\n' in new
    assert '0  lorry "Lorry"  aka "big one"\n' in new and '3  truck "heavy truck"  #000046\n' in new
    file.write_text(new)
    assert format_file(Library(), str(file)) == new


# --- command -----------------------------------------------------------------------------------------------

MESSY = "tax 1\nsource demo v1\n0 road #804080\n10 car\n"
CLEAN = "tax 1\nsource demo v1\n0   road  #804080\n10  car\n"


def run(*args: str, stdin: bytes | None = None) -> Result:
    result = CliRunner().invoke(main, ["fmt", *args], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    (tmp_path / "clean.tax").write_text(CLEAN)
    file = tmp_path / "messy.tax"
    file.write_text(MESSY)
    return file


def test_rewrites_what_is_not_canonical(messy: Path) -> None:
    messy.chmod(0o640)
    clean = messy.with_name("clean.tax")
    before = clean.stat().st_mtime_ns
    result = run(str(messy.parent))
    assert (result.exit_code, result.output) == (0, f"formatted {messy}\n")
    assert messy.read_text() == CLEAN and stat.S_IMODE(messy.stat().st_mode) == 0o640
    assert clean.stat().st_mtime_ns == before
    assert sorted(p.name for p in messy.parent.iterdir()) == ["clean.tax", "messy.tax"]
    assert (run(str(messy.parent)).exit_code, run(str(messy.parent)).output) == (0, "")


def test_check_and_diff_write_nothing(messy: Path) -> None:
    result = run("--check", str(messy.parent))
    assert (result.exit_code, result.stdout) == (1, f"{messy}\n")
    result = run("--diff", str(messy))
    assert result.exit_code == 1 and "-10 car\n+0   road  #804080\n+10  car\n" in result.stdout
    assert "\x1b" not in result.stdout
    assert messy.read_text() == MESSY
    assert run("--check", str(messy.with_name("clean.tax"))).exit_code == 0
    assert run("--diff", str(messy.with_name("clean.tax"))).output == ""


@pytest.mark.parametrize(
    ("old", "lines"),
    [
        ("tax 1", ["-tax 1", r"\ No newline at end of file", "+tax 1"]),
        ("tax 1\r\n", ["-tax 1\r", "+tax 1"]),
        ("tax 1\n\n", [" tax 1", "-"]),
    ],
)
def test_diff_shows_how_lines_end(old: str, lines: list[str]) -> None:
    assert formatting.diff("x.tax", old, "tax 1\n").split("\n")[3:] == lines
    coloured = re.sub(r"\x1b\[[\d;]*m", "", formatting.diff("x.tax", old, "tax 1\n", colour=True))
    assert coloured.split("\n")[3:] == [line.replace("\r", "^M") for line in lines]


def test_diff_in_colour() -> None:
    old, new = "tax 1\n-- x\nb\n", "tax 1\nc\n"
    text = formatting.diff("x.tax", old, new, colour=True)
    assert "\x1b[1m--- x.tax" in text and "\x1b[1;31m-\x1b[0m" in text and "\x1b[1;32m+\x1b[0m" in text
    assert re.sub(r"\x1b\[[\d;]*m", "", text) == formatting.diff("x.tax", old, new)


def test_standard_input() -> None:
    result = run("-", stdin=MESSY.encode())
    assert (result.exit_code, result.stdout_bytes) == (0, CLEAN.encode())
    result = run("--check", "-", stdin=MESSY.encode())
    assert (result.exit_code, result.stdout) == (1, "<stdin>\n")
    result = run("-", stdin="tax 1\n# stra\u00dfe\n".encode("latin-1"))
    assert result.exit_code == 1 and result.stdout == "" and "TAX002" in result.stderr


def test_usage(messy: Path) -> None:
    for args in (["--check", "--diff", str(messy)], ["-", str(messy)], ["--nonsense"]):
        assert run(*args).exit_code == 2
    assert messy.read_text() == MESSY


def test_what_cannot_be_read_is_reported_and_the_rest_done(messy: Path) -> None:
    data = "tax 1\n# stra\u00dfe\n".encode("latin-1")
    (messy.parent / "bytes.tax").write_bytes(data)
    result = run(str(messy.parent), str(messy.parent / "nowhere.tax"))
    assert result.exit_code == 1 and "TAX002" in result.stderr and "TAX001" in result.stderr
    assert (messy.parent / "bytes.tax").read_bytes() == data
    assert messy.read_text() == CLEAN


def test_a_failed_write_leaves_the_file_and_no_litter(messy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.shutil, "copymode", fail)
    result = run(str(messy))
    assert result.exit_code == 1 and "No space left" in result.stderr
    assert messy.read_text() == MESSY
    assert sorted(p.name for p in messy.parent.iterdir()) == ["clean.tax", "messy.tax"]


def test_links_stay_links(messy: Path) -> None:
    link = messy.with_name("link.tax")
    link.symlink_to(messy)
    assert run(str(link)).exit_code == 0
    assert link.is_symlink() and messy.read_text() == CLEAN


def test_layout_does_not_change_what_is_compiled(tmp_path: Path) -> None:
    file = tmp_path / "field.tax"
    file.write_text((TAX / "ok" / "field.tax").read_text())
    before = lsu_onto.load(file)
    assert run(str(file)).exit_code == 0
    assert dataclasses.replace(lsu_onto.load(file), sha256="") == dataclasses.replace(before, sha256="")
