"""The edit that a finding offers: applied, the finding is gone and nothing new is wrong."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from helpers.newcomer import CASES, README
from helpers.tax import TAX
from lsu_onto.cli import main
from lsu_onto.diagnostics import Diagnostic, Fix
from lsu_onto.library.library import Library

BAD = sorted((TAX / "bad").glob("*.tax"))


def apply(text: str, fix: Fix) -> str:
    lines = text.split("\n")
    line = lines[fix.span.line - 1]
    lines[fix.span.line - 1] = line[: fix.span.column - 1] + fix.text + line[fix.span.end - 1 :]
    return "\n".join(lines)


def check(text: str) -> list[Diagnostic]:
    return Library().check("edited.tax", text).diagnostics


def errors(found: list[Diagnostic]) -> Counter[str]:
    return Counter(d.code for d in found if d.severity == "error")


@pytest.mark.parametrize("path", BAD, ids=lambda p: p.stem)
def test_a_fix_settles_its_finding(path: Path) -> None:
    text = path.read_text()
    before = check(text)
    for d in before:
        if d.fix:
            after = check(apply(text, d.fix))
            assert sum(x.code == d.code for x in after) < sum(x.code == d.code for x in before), d
            found_now = d.code.startswith("TAX20")  # a name that resolves lets its row be checked
            assert found_now or errors(after) <= errors(before), (d, after)


def test_what_has_a_fix() -> None:
    fixed = {d.code for p in BAD for d in check(p.read_text()) if d.fix}
    assert fixed == {
        "TAX003",
        "TAX004",
        "TAX006",
        "TAX007",
        "TAX008",
        "TAX010",
        "TAX011",
        "TAX012",
        "TAX201",
        "TAX202",
        "TAX203",
        "TAX206",
        "TAX301",
        "TAX303",
        "TAX305",
        "TAX308",
        "TAX309",
        "TAX310",
        "TAX312",
    }


HEAD = """\
tax 1
source demo v1
[ground]
0 road "the road"
1 grass aka "lawn" "meadow"
[vehicle]
2 car
3 roadway
[vehicle.small]
4 bicycle
dataset town v1 -> demo v1
"""


@pytest.mark.parametrize(
    ("line", "code", "fixed"),
    [
        ("0 way < raod", "TAX201", "0 way < road"),
        ('0 way < "the raod"', "TAX201", "0 way < road"),
        ("0 way ~ gr ass void", "TAX201", "0 way ~ grass void"),
        ("0 way ~ the road void", "TAX201", "0 way ~ road void"),
        ("0 way ~ car gr a ss", "TAX201", "0 way ~ car grass"),
        ("0 way ~ car road way", "TAX201", "0 way ~ car roadway"),
        ("0 way ~ vehicle void", "TAX201", "0 way ~ @vehicle void"),
        ("0 way ~ @vehicel void", "TAX202", "0 way ~ @vehicle void"),
        ("0 way ~ @Small void", "TAX202", "0 way ~ @vehicle.small void"),
        ("0 way ~ @smal void", "TAX202", "0 way ~ @vehicle.small void"),
        ("0 way ~ small void", "TAX201", "0 way ~ @vehicle.small void"),
        ("0 way ~ @Car void", "TAX202", "0 way ~ car void"),
        ("0 way ~ @car void", "TAX202", "0 way ~ car void"),
        ("0 way < lawn", "TAX206", "0 way < grass"),
        ('0 way "W" #123456 aka a  # note', "TAX301", '0 way "W" #123456 aka a  -> void  # note'),
        ("0 way ~ road  # note", "TAX305", "0 way < road  # note"),
        ("0 way > road", "TAX305", "0 way = road"),
        ("0 way ~ @ground ! grass  # note", "TAX305", "0 way < road  # note"),
        ("0 way ! grass > @ground", "TAX305", "0 way = road"),
        ("0 way ~ grass ! car bicycle  # n", "TAX305", "0 way < grass  # n"),
        ("0 way > road grass\n1 rest -> any", "TAX312", "0 way > road grass\n1 rest -> any ! road grass"),
        (
            "0 way > road grass\n1 rest -> any ! car grass",
            "TAX312",
            "0 way > road grass\n1 rest -> any ! car grass road",
        ),
        ("0 way < road ~ grass  # n", "TAX303", "0 way ~ road grass  # n"),
        ("0 way ~ road, grass, road", "TAX308", "0 way ~ road, grass"),
        ("0 way ~ road grass ! car  # n", "TAX309", "0 way ~ road grass  # n"),
        ("0 way ~ road grass ! car @vehicle", "TAX309", "0 way ~ road grass ! @vehicle"),
        ("0 way -> void ! car", "TAX310", "0 way -> void"),
        ("0 way ~ any", "TAX310", "0 way -> any"),
        ("0\tway\t< road", "TAX010", "0       way     < road"),
        ("0 way #abc < road", "TAX006", "0 way #aabbcc < road"),
        ("0 way < road #narrow", "TAX007", "0 way < road # narrow"),
        ("-1 way < road", "TAX003", "- way < road"),
        ('0 way "#808080" < road', "TAX006", "0 way #808080 < road"),
        ('0 way "128, 128, 128" < road', "TAX006", "0 way #808080 < road"),
        ("ignore_index: 255\n0 way < road", "TAX008", "void: 255\n0 way < road"),
        ("images: a/*.jpg | b/{stem}.jpg", "TAX012", "images: a/{stem}.jpg | b/{stem}.jpg"),
        ('labels: "a/{stem}.png"', "TAX012", "labels: a/{stem}.png"),
        ("labels: a\\{n}.png | ./b/{n}.png", "TAX012", "labels: a/{n}.png | ./b/{n}.png"),
        ("labels: a/{n}.png | ./b//{n}.png", "TAX012", "labels: a/{n}.png | b/{n}.png"),
        ("0 bike-way < road", "TAX003", '0 bike_way "bike-way" < road'),
    ],
)
def test_the_line_after_the_fix(line: str, code: str, fixed: str) -> None:
    fix = next(d.fix for d in check(HEAD + line) if d.code == code)
    assert fix is not None and apply(HEAD + line, fix) == HEAD + fixed


def test_no_fix_where_the_edit_is_not_obvious() -> None:
    for line in ("0 way < xyzzy", "0 way ~ road\n  ~ grass\n  ! car", "0 way < traffic-light"):
        assert [d.fix for d in check(HEAD + line) if d.severity != "info"] == [None]


def test_groups_of_the_same_last_name_are_all_named() -> None:
    (found,) = check("tax 1\nsource s v1\n[a.b]\n0 x\n[c.b]\n1 y\ndataset d v1 -> s v1\n0 way ~ @b void")
    assert (found.code, found.help, found.fix) == ("TAX202", "did you mean `@a.b` or `@c.b`?", None)


def test_a_row_for_a_class_that_a_map_forgot() -> None:
    text = f"{HEAD.replace(' -> demo v1', '')}0 way\n1 verge\n2 kerb\nmap town v1 -> demo v1\nway < road\nkerb < road"
    fix = next(d.fix for d in check(text) if d.code == "TAX301")
    assert fix is not None and apply(text, fix).endswith("way < road\nverge -> void\nkerb < road")


def test_a_fix_reaches_json() -> None:
    done = CliRunner().invoke(main, ["validate", str(TAX / "bad" / "TAX309.tax"), "--format", "json"])
    found = next(d for d in json.loads(done.stdout)["diagnostics"] if d["code"] == "TAX309")
    assert found["fix"]["text"] == "" and found["fix"]["range"]["column"] == 20
    assert "fix" in found and found["fix"]["title"] == "take `road` away"


@pytest.mark.parametrize(("right", "typed"), [case[:2] for case in CASES])
def test_a_newcomer_may_take_every_fix(right: str, typed: str) -> None:
    """The README's file with a mistake: no edit that a finding offers makes anything worse."""
    text = README.replace(right, typed, 1)
    before = [d for d in check(text) if d.severity != "info"]
    for d in before:
        if d.fix:
            after = [x for x in check(apply(text, d.fix)) if x.severity != "info"]
            settled = [x for x in after if x.code in (d.code, "TAX003", "TAX006") and x.span.line == d.fix.span.line]
            assert settled == [] or d.code in ("TAX201", "TAX202"), (d, settled)
