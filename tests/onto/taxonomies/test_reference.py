"""Statements of docs/language.md that no example there shows: a line, its S(d) and its findings."""

from __future__ import annotations

import time

import pytest

from lsu_onto.library.library import Library

SOURCE = """\
tax 1
source mini v1
[flat]
0 road
1 grass
[vehicle]
2 car
3 truck "big truck" aka lorry
[vehicle.rail]
4 tram
"""


@pytest.mark.parametrize(
    ("line", "allowed", "codes"),
    [
        ("1 a ~ @vehicle ! truck", "car tram", ""),  # a group has its subgroups; `!` takes out
        ("1 a ~ @vehicle.rail car", "car tram", ""),
        ("1 a > truck ~ car void", "car truck void", ""),  # several operators
        ("1 a > road, grass", "road grass", ""),  # with or without commas
        ("1 a < @vehicle.rail", "tram", ""),  # a group of one
        ("1 a -> any ! void", "road grass car truck tram", ""),
        ("1 a -> any ! @vehicle road", "grass void", ""),
        ('1 a < "big truck"', "truck", ""),
        ("1 a < lorry", "truck", "TAX206"),
        ('1 a < "lorry"  # allow: TAX206', "truck", ""),
        ("1 a ~ road  # why\n  ~ grass", "road grass", ""),  # a note on a line that the next continues
        ("1 a ~ road\n# a note\n  ~ grass", "road", "TAX003"),  # a note of its own line ends a class
        ("1 a ~ road\n\n  ~ grass", "road", "TAX003"),  # and so does a blank line
        ("1,4..5 a < road\n- b < grass", "road", ""),
        ("1 A < road\n2 a < grass", "road", ""),  # case counts
        ("1 a #804080,#804081 < road\n2 b #804080 < grass", "road", ""),  # colours may repeat
        ("1 a < @vehicle", "car truck tram", "TAX303"),
        ("1 a ! any ! road", "void", "TAX309"),
        ("1 a < road  # allow: TAX303\n2 b < road grass  # allow: TAX303", "road", "TAX303"),  # errors stay
        ("my-key: 3\n1 a < road", "road", "TAX008"),
        ("encoding: id16\n300 a < road", "road", ""),
    ],
)
def test_the_reference(line: str, allowed: str, codes: str) -> None:
    text = f"{SOURCE}dataset field v1 -> mini v1\n{line}\n"
    analysis = Library().check("x.tax", text)
    assert " ".join(d.code for d in analysis.diagnostics if d.severity != "info") == codes
    (o,) = analysis.resolved.ontologies
    meaning = o.rows[0].meaning(5)
    assert [o.source.classes[c].name for c in sorted(meaning.channels)] + ["void"] * meaning.void == allowed.split()


def test_an_info_about_a_map_is_silenced_on_its_header() -> None:
    for note, codes in (("", ["TAX307"]), ("  # allow: TAX307", [])):
        text = f"{SOURCE}dataset field v2.1 -> mini v1{note}\n1 a < road\n"
        assert [d.code for d in Library().check("x.tax", text).diagnostics] == codes


@pytest.mark.parametrize(
    ("section", "codes"),
    [
        ("dataset b v1 -> mini v1\nextends a v1\n3 c < car", ""),
        ("dataset b v1 -> mini v1\nextends a v1\nextends a v1\n3 c < car", "TAX011"),
        (
            "dataset b v1 -> mini v1\nextends aa v1\n1 a\n3 c < car",
            "TAX203",
        ),  # nothing follows from what is not known
        ("source b v1\nextends a v1\n0 c", "TAX011"),
        ("map b v1 -> mini v1\nextends a v1", "TAX011 TAX203"),
    ],
)
def test_extends_belongs_in_a_dataset_once(section: str, codes: str) -> None:
    text = f"{SOURCE}dataset a v1 -> mini v1\n1 a < road\n2 b < grass\n{section}\n"
    found = Library().check("x.tax", text).diagnostics
    assert " ".join(sorted(d.code for d in found if d.severity != "info")) == codes


@pytest.mark.parametrize(
    "line",
    [
        "1 " + "a" * 50_000 + " = = x",
        "tax" + " " * 50_000 + "x",
        " " * 50_000 + "= x =",
        "1 a ~ " + "b " * 4_000 + "|",
        '1 a #804080 "' + "x " * 30_000,
    ],
)
def test_a_long_line_is_refused_in_no_time(line: str) -> None:
    start = time.process_time()
    assert Library().check("x.tax", f"tax 1\n{line}\n").errors
    assert time.process_time() - start < 1
