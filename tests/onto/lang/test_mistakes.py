"""What people type who come from other formats: the message alone leads to a valid file, at the first try.

`tests/tax/mistakes` has valid files. Above a line stand the wrong ones that were typed in its place, each with what the
message must say, and the line that does what it says (`then`; nothing if that is the line below):

    # typed: 1 road == asphalt
    # says:  TAX003 write `=`
    # then:  1 road = asphalt
    1 road < asphalt

To add a case, add these lines. Every mistake is tried alone.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from helpers.tax import TAX
from lsu_onto.diagnostics import Diagnostic, Fix
from lsu_onto.library.library import Library

FILES = sorted((TAX / "mistakes").glob("*.tax"))


class Mistake(NamedTuple):
    file: str
    line: int
    typed: str
    says: str
    then: str | None
    """None: the line of the file; empty: the line is taken out."""


def mistakes(path: Path) -> Iterator[Mistake]:
    waiting: list[tuple[str, str, str | None]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        found = re.match(r"# (typed|says|then):\s?(.*)", line)
        if not found:
            yield from (Mistake(path.stem, number, *case) for case in waiting)
            waiting = []
        elif found[1] == "typed":
            waiting.append((found[2], "", None))
        elif found[1] == "says":
            waiting[-1] = (waiting[-1][0], found[2].strip(), None)
        else:
            waiting[-1] = (*waiting[-1][:2], found[2].strip())


ALL = [m for path in FILES for m in mistakes(path)]


def findings(text: str) -> list[Diagnostic]:
    return [d for d in Library().check("farm.tax", text).diagnostics if d.severity != "info"]


def with_line(m: Mistake, line: str | None) -> str:
    lines = (TAX / "mistakes" / f"{m.file}.tax").read_text(encoding="utf-8").split("\n")
    lines[m.line - 1 : m.line] = [] if line is None else [line]
    return "\n".join(lines)


def applied(text: str, fix: Fix) -> str:
    lines = text.split("\n")
    line = lines[fix.span.line - 1]
    lines[fix.span.line - 1] = line[: fix.span.column - 1] + fix.text + line[fix.span.end - 1 :]
    return "\n".join(lines)


@pytest.mark.parametrize("m", ALL, ids=lambda m: f"{m.file}: {m.typed}".encode("unicode_escape").decode())
def test_the_help_leads_to_a_valid_file(m: Mistake) -> None:
    text = with_line(m, m.typed)
    (found,) = findings(text)
    assert f"{found.code} {found.help}" == m.says
    if m.then is not None:
        assert findings(with_line(m, m.then or None)) == []
    if found.fix and "say at its end" not in m.says:
        assert findings(applied(text, found.fix)) == []


@pytest.mark.parametrize("line", ["dataset of my own images, taken in 2020", "source images come from the web"])
def test_prose_that_begins_like_a_header_may_be_a_comment(line: str) -> None:
    text = f"tax 1\n{line}\nsource mini v1\n0 asphalt\n"
    (found,) = findings(text)
    assert (found.code, found.span.line) == ("TAX003", 2) and "`# ` in front if it is a comment" in (found.help or "")
    assert findings(text.replace(line, f"# {line}")) == []


def test_the_files_are_valid_and_the_mistakes_are_many() -> None:
    assert [d for path in FILES for d in Library().check(path).diagnostics if d.severity != "info"] == []
    assert len(ALL) > 300


# --- what takes more than one line -------------------------------------------------------------------------

SOURCE = "tax 1\nsource mini v1\n[ground]\n0 asphalt #808080\n1 grass\n2 snow\n[sky]\n3 sky\n"
DATASET = (
    "dataset farm v1 -> mini v1\nencoding: id\nvoid: 255\n1 road < asphalt\n2 meadow ~ grass void\n3 blur -> void\n"
)
TOWN = "dataset town v1\n1 road\n2 park\n"
MAP = "map town v1 -> mini v1\nroad < asphalt\npark ~ grass void\n"


@pytest.mark.parametrize(
    ("wrong", "codes", "phrase", "right"),
    [
        (
            SOURCE + DATASET.partition("\n")[2],
            ["TAX011"],
            "write `dataset NAME v1 -> mini v1` above it",
            SOURCE + DATASET,
        ),
        ("tax 1\n" + DATASET.partition("\n")[2], ["TAX011"], "write `dataset NAME v1 -> SOURCE v1`", SOURCE + DATASET),
        (
            DATASET.partition("\n")[2],
            ["TAX004"],
            "and a header such as `dataset NAME v1 -> SOURCE v1`",
            SOURCE + DATASET,
        ),
        ("tax 1\n" + MAP.partition("\n")[2], ["TAX011"], "write `map DATASET v1 -> SOURCE v1`", SOURCE + TOWN + MAP),
        ("tax 1\n0 road\n1 car\n", ["TAX011"], "or `source NAME v1` if", "tax 1\nsource a v1\n0 road\n1 car\n"),
        (
            SOURCE + DATASET.replace("farm v1 -> mini v1", "mini v1 -> farm v1"),
            ["TAX203"],
            "`mini` is a source, which stands behind the arrow: write `dataset farm v1 -> mini v1`",
            SOURCE + DATASET,
        ),
        (
            "tax 1\ndataset offroad v1 -> farm v1\n1 road ~ void\n",
            ["TAX203"],
            "`offroad` is a source, which stands behind the arrow: write `dataset farm v1 -> offroad v1`",
            "tax 1\ndataset farm v1 -> offroad v1\n1 road -> void\n",
        ),
        (
            SOURCE + TOWN + MAP.replace("town v1 -> mini v1", "mini v1 -> town v1"),
            ["TAX203"],
            "write `map town v1 -> mini v1`",
            SOURCE + TOWN + MAP,
        ),
        (
            SOURCE + TOWN + MAP.replace("map", "dataset"),
            ["TAX110"],
            "write `map town v1 -> mini v1`",
            SOURCE + TOWN + MAP,
        ),
        (
            SOURCE + DATASET.replace(" -> mini v1", "\nsource mini v1"),
            ["TAX011"],
            "write `dataset farm v1 -> mini v1` in line 9, and take this line out",
            SOURCE + DATASET,
        ),
        (
            SOURCE + TOWN + MAP.replace("road < asphalt\n", "asphalt < road\n"),
            ["TAX201"],
            "`asphalt` is a class of `mini`: write `road > asphalt void`; `= asphalt` if `road` is nothing else",
            SOURCE + TOWN + MAP.replace("road < asphalt\n", "road > asphalt void\n"),
        ),
        (
            SOURCE + TOWN + MAP.replace("road < asphalt\n", "asphalt < road\nsnow < road\n"),
            ["TAX201", "TAX201"],
            "write `road > asphalt snow`, one row for all of them",
            SOURCE + TOWN + MAP.replace("road < asphalt\n", "road > asphalt snow\n"),
        ),
        (
            SOURCE + TOWN + MAP.replace("road < asphalt\n", "asphalt = road\nsnow = road\n"),
            ["TAX201", "TAX201"],
            "write `road > asphalt snow` if they make up all of it, `road ~ asphalt snow` if it overlaps them",
            SOURCE + TOWN + MAP.replace("road < asphalt\n", "road > asphalt snow\n"),
        ),
        (
            SOURCE + DATASET.replace("1 road < asphalt\n", "asphalt < road\n"),
            ["TAX011"],
            "`asphalt` is a class of `mini`: write `4 road > asphalt void` with the number that label files store",
            SOURCE + DATASET.replace("1 road < asphalt\n", "4 road > asphalt void\n"),
        ),
        (
            SOURCE + "dataset farm v1 -> mini v1\nasphalt < road\ngrass < meadow\n",
            ["TAX011", "TAX011"],
            "write `4 road > asphalt void`",
            SOURCE + "dataset farm v1 -> mini v1\n4 road > asphalt void\n5 meadow > grass void\n",
        ),
        (
            SOURCE + TOWN + MAP.replace("road < asphalt\n", "1 > asphalt\n"),
            ["TAX003"],
            "id 1 is `road`: write `road = asphalt`",
            SOURCE + TOWN + MAP.replace("road < asphalt\n", "road = asphalt\n"),
        ),
        (
            SOURCE
            + TOWN
            + MAP.replace("road < asphalt\n", "road, park < asphalt\n").replace("park ~ grass void\n", ""),
            ["TAX003"],
            "write `road < asphalt`, `park < asphalt` on a line each",
            SOURCE + TOWN + MAP.replace("park ~ grass void", "park < asphalt"),
        ),
        (
            SOURCE + DATASET.replace("farm v1 -> mini v1", "farm v1 extends town v1"),
            ["TAX003"],
            "write `extends town v1` on a line of its own, below this one",
            SOURCE + TOWN + DATASET.replace("v1 -> mini v1\n", "v1 -> mini v1\nextends town v1\n") + "4 park -> void\n",
        ),
        (
            SOURCE + DATASET.replace("~ grass void", "~ grass\n# soil\n  ~ void"),
            ["TAX003"],
            "put the note above the class, or at the end of one of its lines",
            SOURCE + DATASET.replace("~ grass void", "~ grass # soil\n  ~ void"),
        ),
        (
            SOURCE + DATASET.replace("~ grass void", "~ grass\n  and void"),
            ["TAX003"],
            "start it with an operator, such as `~ void`",
            SOURCE + DATASET.replace("~ grass void", "~ grass\n  ~ void"),
        ),
        ("---\n" + SOURCE, ["TAX003"], "leave the line out", SOURCE),
        (SOURCE + "import mini\n" + DATASET, ["TAX003"], "leave the line out", SOURCE + DATASET),
        (
            SOURCE + DATASET.replace("encoding: id\nvoid: 255", "encoding: RGB\nvoid: #000000"),
            ["TAX012", "TAX109", "TAX109", "TAX109"],  # true: no class has a colour
            "did you mean `rgb`?",
            SOURCE + DATASET,
        ),
    ],
)
def test_a_mistake_about_several_lines(wrong: str, codes: list[str], phrase: str, right: str) -> None:
    found = findings(wrong)
    assert [d.code for d in found] == codes
    assert phrase in f"{found[0].help}"
    assert findings(right) == []


@pytest.mark.parametrize("key", ["encoding: RGB", "encoding = rgb", "encodng: rgb", 'encoding: "rgb"', "Encoding: rgb"])
def test_a_misspelt_encoding_is_one_mistake(key: str) -> None:
    """What it says is judged all the same, so that colours are not reported under the encoding that it is not."""
    text = f"tax 1\ndataset farm v1\n{key}\nvoid: #000000\n" + "\n".join(f"{i} c{i} #0000{i:02x}" for i in range(1, 14))
    (found,) = findings(text)
    assert found.fix is not None and findings(applied(text, found.fix)) == []


def test_a_word_that_means_void_elsewhere_may_be_a_class() -> None:
    text = SOURCE.replace("3 sky", "3 background") + DATASET.replace("3 blur -> void", "3 blur -> background")
    (found,) = findings(text)
    assert found.help is not None and "write `< background` if the class lies inside it" in found.help
    assert findings(text.replace("-> background", "< background")) == []


def test_what_has_no_class_is_named() -> None:
    (found,) = findings(SOURCE + DATASET.replace("< asphalt", "< Straße"))
    assert found.help == "`mini` has no class `Straße`; `lsu-onto show mini` lists its classes"
    with_official = SOURCE.replace("0 asphalt", '0 asphalt "Straße"') + DATASET.replace("< asphalt", "< Straße")
    (found,) = findings(with_official)
    assert found.fix is not None and findings(applied(with_official, found.fix)) == []


@pytest.mark.parametrize(
    ("line", "phrase"),
    [
        (
            "traffic_cone,1,0,#ff0000",
            "e.g. `4 traffic_cone #ff0000`",
        ),  # GOOSE's list: key, and whether it has instances
        ("17 17 17 road", "e.g. `4 road #111111`"),  # CamVid's list
        ("road:128,64,128::", "e.g. `4 road #804080`"),  # of CVAT
        ("road,7", "write `7 road`"),
        ("..3 road", "a range has both its ends: write them, such as `0..3`"),
        ("3.. road", "such as `3..255`"),
        ("3... road #808080", "such as `3..255`"),
        (".. road", "such as `0..255`"),
    ],
)
def test_a_number_is_an_id_only_where_no_other_may_be(line: str, phrase: str) -> None:
    (found,) = findings(f"tax 1\ndataset a v1\n{line}\n9 car\n")
    assert found.help is not None and phrase in found.help


@pytest.mark.parametrize(
    "line", ["#111111 #222222", "0 " + "a " * 900, "0 a " + "1," * 900, '"' * 1500, "0 a < " + "(" * 900, "- " * 900]
)
def test_a_reading_takes_no_time(line: str) -> None:
    began = time.process_time()
    findings(f"tax 1\nsource a v1\n{line}\n")
    assert time.process_time() - began < 5
