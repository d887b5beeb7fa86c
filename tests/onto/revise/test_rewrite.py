"""`lsu_onto.rewrite`: what the lines of a map become, and that nothing else changes."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import lsu_onto
from lsu_onto.library.library import Library

HEAD = """tax 1
source mini v1
[flat]
0 road
1 grass "low grass"
[vehicle]
2 car
3 truck
4 bus
[rest]
5 sky
"""


def write(folder: Path, body: str, name: str = "town.tax", head: str = HEAD) -> Path:
    file = folder / name
    file.write_bytes((head + body).encode())
    return file


def changed(revision: lsu_onto.Revision) -> list[str]:
    """The lines that a diff takes away and adds, without the names of the files."""
    lines = revision.diff().split("\n")
    return [x for x in lines if x[:1] in ("-", "+") and not x.startswith(("--- ", "+++ "))]


ROWS = {
    "overlap gains": ("~ road grass", "road grass sky", "~ road grass sky"),
    "overlap loses": ("~ road grass sky", "road sky", "~ road sky"),
    "commas stay": ("~ road, grass, sky", "road sky car", "~ road, sky, car"),
    "inside gains": ("< road", "road grass", "~ road grass"),
    "equal gains": ("= road", "road void", "~ road void"),
    "contains gains": ("> car truck", "car truck bus", "> car truck ~ bus"),
    "contains loses": ("> car truck bus", "car bus", "> car bus"),
    "one is left": ("> car truck", "car", "< car"),
    "one and void": ("> car truck", "car void", "> car ~ void"),
    "to overlap that is there": ("> truck ~ car void", "truck car void sky", "> truck ~ car void sky"),
    "an operator goes": ("> truck ~ car void", "car void", "~ car void"),
    "nothing stays": ("> truck ~ car", "road grass", "~ road grass"),
    "becomes void": ("> truck ~ car", "void", "-> void"),
    "a fact becomes a class": ("! any", "sky", "< sky"),
    "ignored becomes several": ("-> void", "sky void", "~ sky void"),
    "a class leaves any": ("-> any", "road grass car truck bus void", "-> any ! sky"),
    "any keeps what it excludes": ("-> any ! sky", "road grass car truck void", "-> any ! sky bus"),
    "any takes back a group": ("-> any ! @vehicle", "road grass sky car void", "-> any ! truck bus"),
    "any without void": ("-> any", "road grass car truck bus sky", "-> any ! void"),
    "little of any": ("-> any", "road void", "~ road void"),
    "all": ("~ road", "road grass car truck bus sky void", "-> any"),
    "group stays": ("~ @vehicle", "car truck bus road", "~ @vehicle road"),
    "group without one": ("~ @vehicle road", "car bus road", "~ @vehicle road ! truck"),
    "most of a group goes": ("> @vehicle ~ road", "car road", "> car ~ road"),
    "a class comes back": ("~ @vehicle ! truck", "car truck bus", "~ @vehicle"),
    "a removal stays": ("~ @vehicle road ! truck", "car bus", "~ @vehicle ! truck"),
    "a label in quotes": ('~ "low grass" road', "grass road sky", '~ "low grass" road sky'),
}


@pytest.mark.parametrize(("old", "names", "new"), ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("separate", [False, True], ids=["dataset", "map"])
def test_a_row(tmp_path: Path, old: str, names: str, new: str, separate: bool) -> None:
    if separate:
        body = f"dataset town v1\n4 thing\n7 rest\nmap town v1 -> mini v1\nrest  -> any  # all\nthing  {old}\n"
        was, now = f"thing  {old}", f"thing  {new}"
    else:
        body = f"dataset town v1 -> mini v1\n4 thing  {old}\n7  rest -> any # all\n"
        was, now = f"4 thing  {old}", f"4 thing  {new}"
    file = write(tmp_path, body)
    revision = lsu_onto.rewrite(file, rows={"thing": names.split()})
    assert changed(revision) == [f"-{was}", f"+{now}"]
    assert set(revision.constraint.names("thing")) == set(names.split())
    found = Library(texts=revision.after).check(str(file)).diagnostics
    assert [d.code for d in found if d.severity != "info"] == [
        d.code for d in Library().check(file).diagnostics if d.severity != "info" and d.code != "TAX305"
    ]


def test_notes_and_columns_stay(tmp_path: Path) -> None:
    file = write(tmp_path, "dataset town v1 -> mini v1\n4 thing #804080 ~ road grass    # a note\n5  other  < sky\n")
    assert changed(lsu_onto.rewrite(file, rows={"thing": ["road", "grass", "sky", "car"]}))[1:] == [
        "+4 thing #804080 ~ road grass car sky  # a note"
    ]
    assert changed(lsu_onto.rewrite(file, rows={"thing": ["road"]}))[1:] == [
        "+4 thing #804080 < road          # a note"
    ]


CONTINUED = """dataset town v1 -> mini v1
4 thing            # head
        > truck    # first
        ~ car,bus  # second
        ~ void
# below
5 other  < sky
"""


def test_continued_lines(tmp_path: Path) -> None:
    file = write(tmp_path, CONTINUED)
    assert changed(lsu_onto.rewrite(file, rows={"thing": ["truck", "bus", "void", "road"]})) == [
        "-        ~ car,bus  # second",
        "-        ~ void",
        "+        ~ bus      # second",
        "+        ~ void road",
    ]
    # The notes of lines that go are kept below.
    revision = lsu_onto.rewrite(file, rows={"thing": ["void"]})
    assert revision.after[str(file)] == HEAD + CONTINUED.replace(
        "        > truck    # first\n        ~ car,bus  # second\n        ~ void\n",
        "        -> void    # first\n        # second\n",
    )
    revision = lsu_onto.rewrite(file, rows={"thing": ["car", "void"]}, notes={"thing": "a\nb"})
    assert revision.after[str(file)] == HEAD + CONTINUED.replace(
        "        > truck    # first\n        ~ car,bus  # second\n        ~ void\n",
        "        ~ car      # second\n        ~ void  # a b\n        # first\n",
    )


def test_a_decision_on_two_lines(tmp_path: Path) -> None:
    file = write(tmp_path, "dataset town v1 -> mini v1\n4 thing  -> any  # why\n  ! sky bus  # how\n5 other < sky\n")
    assert changed(lsu_onto.rewrite(file, rows={"thing": ["road"]})) == [
        "-4 thing  -> any  # why",
        "-  ! sky bus  # how",
        "+4 thing  < road  # why",
        "+  # how",
    ]


def test_windows_lines_byte_order_mark_and_no_end_stay(tmp_path: Path) -> None:
    body = "dataset town v1 -> mini v1\n4 thing  < road  # x\n5 other\t< sky"
    file = tmp_path / "town.tax"
    file.write_bytes(b"\xef\xbb\xbf" + (HEAD + body).replace("\n", "\r\n").encode())
    rows, notes = {"thing": ["road", "sky"]}, {"other": ["n", "m"], "thing": "o"}
    new = lsu_onto.rewrite(file, rows=rows, notes=notes).after[str(file)]
    want = (
        HEAD + "dataset town v1 -> mini v1\n4 thing  ~ road sky  # x\n                     # o\n5 other\t< sky  # n\n"
    )
    assert new == "\ufeff" + (want + "               # m").replace("\n", "\r\n")


def test_a_claim_of_another_row_is_weakened(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "dataset town v1 -> mini v1\n1 a < road\n2 b = sky\n3 c > car truck  # all\n4 d -> any ! sky car truck\n",
    )
    revision = lsu_onto.rewrite(file, rows={"a": ["road", "sky", "car"]})
    assert changed(revision)[3:] == ["+1 a ~ road car sky", "+2 b < sky", "+3 c > truck ~ car  # all"]
    # Exchanged rows claim no more than they must.
    revision = lsu_onto.rewrite(file, rows={"b": ["car", "truck"], "c": ["sky"]})
    assert changed(revision)[2:] == ["+2 b ~ car truck", "+3 c < sky        # all"]
    # A row that a decision allowed it may hold it now, too.
    assert changed(lsu_onto.rewrite(file, rows={"d": ["bus"], "c": ["bus"]}))[2:] == [
        "+3 c < bus        # all",
        "+4 d < bus",
    ]
    file = write(tmp_path, "dataset town v1 -> mini v1\n1 a -> any\n2 b = sky\n")
    assert changed(lsu_onto.rewrite(file, rows={"a": ["sky"]}))[2:] == ["+1 a < sky", "+2 b < sky"]


def test_a_weakened_group_weakens_what_is_named_beside_it(tmp_path: Path) -> None:
    # `~ @vehicle` beside `> truck` would be a contradiction.
    file = write(tmp_path, "dataset town v1 -> mini v1\n1 a -> void\n2 b > car truck @vehicle sky\n")
    revision = lsu_onto.rewrite(file, rows={"a": ["car"]})
    assert changed(revision)[2:] == ["+1 a < car", "+2 b > sky ~ car truck @vehicle"]


def test_rows_of_a_base(tmp_path: Path) -> None:
    write(tmp_path, "", "mini.tax")
    base = "tax 1\ndataset base v1\n1 a\n2 b\nmap base v1 -> mini v1\na = road\nb < sky\n"
    write(tmp_path, base, "base.tax", "")
    own = write(tmp_path, "tax 1\ndataset own v1\nextends base v1\n3 c\n", "own.tax", "")
    with_map = write(
        tmp_path,
        "tax 1\nmap own v1 -> mini v1\nc     < grass  # new\n\n# end\n",
        "own_to_mini.tax",
        "",
    )
    found = lsu_onto.places(with_map)
    assert {c: (Path(p.row.file).name, p.row.line, p.inherited, Path(p.ids.file).name) for c, p in found.items()} == {
        "a": ("base.tax", 6, True, "base.tax"),
        "b": ("base.tax", 7, True, "base.tax"),
        "c": ("own_to_mini.tax", 3, False, "own.tax"),
    }
    revision = lsu_onto.rewrite(with_map, rows={"b": ["sky", "road"]}, notes={"b": "why", "c": "how"})
    assert changed(revision) == ["+               # how", "+a     < road", "+b     ~ sky road  # why"]
    with pytest.raises(lsu_onto.UserError, match=r"`a` has its ids from .*base.tax:3, a dataset that `own` extends"):
        lsu_onto.rewrite(with_map, ids={"a": [7]})
    with_map.unlink()
    plain = write(tmp_path, "tax 1\ndataset own v1\nextends base v1\n", "own.tax", "")
    assert plain == own
    revision = lsu_onto.rewrite(plain, rows={"b": ["sky", "void"]}, notes={"a": "seen"})
    assert changed(revision) == ["+# a: seen", "+", "+map own v1 -> mini v1", "+b  ~ sky void"]
    arrow = write(tmp_path, "tax 1\ndataset own v1 -> mini v1\nextends base v1\n3 c < grass\n", "own.tax", "")
    with pytest.raises(lsu_onto.UserError, match=r"`b` has its row from .*base.tax:7"):
        lsu_onto.rewrite(arrow, rows={"b": ["sky", "void"]})


def test_ids(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "dataset town v1 -> mini v1\nvoid: 255\n26,27  a #000000  < sky  # x\n28..30  b  ~ road sky\n-  c  -> void\n",
    )
    ids = {"a": [28, 29, 30], "b": [], "c": [26, 27]}
    revision = lsu_onto.rewrite(file, rows={"a": ["sky", "road"]}, ids=ids, notes={"c": "z"})
    assert changed(revision)[3:] == [
        "+28..30  a #000000  ~ sky road  # x",
        "+-       b  ~ road sky",
        "+26,27  c  -> void  # z",
    ]
    assert dict(zip(revision.constraint.raw.tolist(), revision.constraint.raw_row.tolist(), strict=True)) == {
        **dict.fromkeys([28, 29, 30], 0),
        **dict.fromkeys([26, 27], 2),
        255: -1,
    }
    assert sorted(b.split(":")[0] for b in revision.breaks) == ["CONSTRAINT", "LABEL", "LABEL"]
    with pytest.raises(lsu_onto.TaxonomyError, match="TAX108"):
        lsu_onto.rewrite(file, ids={"a": [255]})
    assert lsu_onto.places(file)["c"].ids[1:] == (16, 1, 2)


def test_colours_that_are_ids(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "dataset town v1 -> mini v1\nencoding: rgb\n1 a #804080,#804081 < sky\n2 b #000000  < road\n- c < car\n",
    )
    revision = lsu_onto.rewrite(file, ids={"a": [0], "b": [0x804080, 0x804081]})
    assert changed(revision)[2:] == ["+1 a #000000         < sky", "+2 b #804080,#804081  < road"]
    with pytest.raises(lsu_onto.UserError, match="`c` is never drawn"):
        lsu_onto.rewrite(file, ids={"c": [1]})


def test_refusals(tmp_path: Path) -> None:
    file = write(tmp_path, "dataset town v1 -> mini v1\nencoding: polygons\n1 road_ < road\n")
    for change, message in (
        ({"ids": {"road_": [2]}}, "the labels of `town` are names"),
        ({"rows": {"raod_": ["sky"]}}, r"`town` has no class `raod_`; did you mean `road_`\?"),
        ({"rows": {"road_": ["ski"]}}, r"`mini` has no class `ski`; did you mean `sky`\?"),
        ({"rows": {"road_": []}}, "would be allowed to be nothing"),
    ):
        with pytest.raises(lsu_onto.UserError, match=message):
            lsu_onto.rewrite(file, **change)
    with pytest.raises(lsu_onto.UserError, match="is a source"):
        lsu_onto.rewrite("mini", paths=[tmp_path], rows={"road": ["sky"]})


@pytest.mark.parametrize("tool", ["git", "patch"])
def test_the_diff_applies(tmp_path: Path, tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed")
    (tmp_path / "a b").mkdir()
    write(tmp_path, "dataset town v1\n1 a\n2 b\n", "town.tax")
    file = write(tmp_path / "a b", "tax 1\r\nmap town v1 -> mini v1\r\na < road\r\nb < sky", "map x.tax", "")
    monkeypatch.chdir(tmp_path)
    revision = lsu_onto.rewrite(
        file, paths=[tmp_path], rows={"a": ["sky"], "b": ["road"]}, ids={"a": [2], "b": [1]}, notes={"b": "x"}
    )
    assert revision.root() == tmp_path
    command = ["git", "apply", "-p0"] if tool == "git" else ["patch", "-p0", "--binary"]
    subprocess.run(command, input=revision.diff().encode(), check=True, cwd=tmp_path)
    assert {p: Path(p).read_bytes().decode() for p in revision.after} == revision.after
    assert lsu_onto.load(file, paths=[tmp_path]) == revision.constraint
    assert not re.search(r"\.(rej|orig)", " ".join(p.name for p in tmp_path.rglob("*")))


def test_arguments_of_another_type_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path, "dataset town v1 -> mini v1\n1 a < road\n")
    for arguments, message in (
        ({"rows": {"a": "road"}}, r"the row of `a` is 'road'; expected a list of classes: `\['road'\]`"),
        ({"ids": {"a": [""]}}, r"the ids of `a` are \[''\]; expected whole numbers"),
        ({"ids": {"a": [2.5]}}, "expected whole numbers"),
        ({"ids": {"a": 2}}, "the ids of `a` are 2; expected whole numbers"),
        ({"ids": [1]}, r"`ids` is \[1\]; expected a dictionary by the names of classes"),
        ({"rows": {"a": None}}, "the row of `a` is None; expected a list of classes"),
        ({"rows": {"a": [0]}}, "`mini` has no class `0`"),
        ({"rows": {0: ["road"]}}, "`town` has no class `0`"),
        ({"notes": {"a": 5}}, "the note of `a` is 5; expected text"),
        ({"source": 1}, "`source` is 1; expected the name of a source"),
        ({"paths": str(tmp_path)}, "`paths` is '.*'; expected a list of folders"),
    ):
        with pytest.raises(lsu_onto.UserError, match=message):
            lsu_onto.rewrite(file, **arguments)


def test_a_note_is_one_line_of_text(tmp_path: Path) -> None:
    file = write(tmp_path, "dataset town v1 -> mini v1\n1 a < road\n")
    revision = lsu_onto.rewrite(file, notes={"a": "x\0y\x1b[1m\n\udce9 é"})
    assert changed(revision)[1:] == ["+1 a < road  # x y [1m é"]


def test_a_constraint_names_what_it_does_not_have(tmp_path: Path) -> None:
    town = lsu_onto.load(write(tmp_path, "dataset town v1 -> mini v1\n1 avenue < road\n"))
    with pytest.raises(lsu_onto.UserError, match="`town` has no class `avenu`; did you mean `avenue`"):
        town.names("avenu")
    with pytest.raises(lsu_onto.UserError, match="`town` has no class 1; its classes are 0 to 0"):
        town.names(1)
    assert town.names(np.int64(0)) == town.names(-1) == ("road",)  # type: ignore[arg-type]  # any integer type
    with pytest.raises(lsu_onto.UserError, match="a constraint has no part 'sets'; its parts are labels, map"):
        town.content_sha256("sets")  # type: ignore[arg-type]
