"""Nothing that a file contains makes the reader raise; and every finding can be printed in every format."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.examples import examples
from helpers.tax import TAX, diagnose
from lsu_onto.lang.parse import parse
from lsu_onto.reporting.findings import FORMATS

SEEDS = [p.read_bytes().decode() for p in sorted(TAX.rglob("*.tax"))]
TYPED = [line for text in SEEDS for line in re.findall(r"^# typed: (.*)$", text, re.MULTILINE)]
PIECES = st.sampled_from(
    [
        "tax 1",
        "source a v1",
        "dataset b v1 -> a v1",
        "map b v1 -> a v1",
        "extends b v1",
        "title:",
        "encoding: rgb",
        "void: 1..3",
        "id16/7",
        "[a.b]",
        "@a.b",
        "0",
        "1..3",
        "-",
        "road",
        "car",
        "void",
        "any",
        "aka",
        '"x y"',
        '"',
        "=",
        "<",
        ">",
        "~",
        "!",
        "->",
        ",",
        "#804080",
        "#x",
        "# note",
        "# allow: TAX307",
        "\n",
        "\n  ",
        "\r\n",
        "\t",
        "\xa0",
        "é",
        "\0",
    ]
)


def examine(text: str) -> None:
    found = diagnose(text)
    for write in FORMATS.values():
        write(found, {"memory.tax": text}, True)


@settings(max_examples=examples(300))
@given(st.text())
def test_any_text(text: str) -> None:
    parse("x.tax", text)
    examine(text)


@settings(max_examples=examples(400))
@given(st.lists(PIECES, max_size=60).map(" ".join))
def test_any_mixture_of_the_language(text: str) -> None:
    examine("tax 1\n" + text)


@settings(max_examples=examples(300))
@given(st.sampled_from(SEEDS), st.data())
def test_mutations_of_real_files(text: str, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 3))):
        a = data.draw(st.integers(0, len(text)))
        b = data.draw(st.integers(a, min(len(text), a + 12)))
        text = text[:a] + data.draw(st.one_of(st.just(""), PIECES, st.text(max_size=4))) + text[b:]
    examine(text)


@settings(max_examples=examples(400))
@given(st.lists(st.one_of(st.sampled_from(TYPED), PIECES), min_size=1, max_size=4), st.data())
def test_mutations_of_mistakes(lines: list[str], data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(["\n", " "])).join(lines)
    a = data.draw(st.integers(0, len(text)))
    text = text[:a] + data.draw(st.one_of(PIECES, st.text(max_size=4))) + text[a + data.draw(st.integers(0, 4)) :]
    header = data.draw(st.sampled_from(["source a v1", "dataset b v1 -> s v1", "dataset b v1", "map m v1 -> s v1"]))
    examine(f"tax 1\nsource s v1\n[g]\n0 road #804080\n1 car\ndataset m v1\n1 asphalt\n{header}\n{text}\n")


@pytest.mark.parametrize(
    "text",
    [
        "tax " + "1" * 5000,
        "tax 1\nsource a v1\n" + "9" * 5000 + " road\n",
        "tax 1\nsource a v1\nvoid: 0..99999999999\n0..99999999999 road\n",
        "tax 1\ndataset a v1\nencoding: id16/99999\nvoid: ٣\n٣ road\n",
        "tax 1\n" + "[a" + ".a" * 3000 + "]\n",
        "tax 1\nsource a v1\n0 road " + "~ road " * 3000,
        "tax 1\rsource a v1\r0 road\r",
        "tax 1\nmap a v1 -> a v1\n\u2028road = road\n",
        "tax 1\nsource a v1\n0 \ud800road\n",
    ],
)
def test_awkward_text(text: str) -> None:
    examine(text)


@pytest.mark.parametrize(
    "line", ["0 a ~ " + "x" * 60 + ' "b";y', "0 a ~ " + "x " * 700 + ";y", "0 a ~ " + "x," * 700 + "|y"]
)
def test_a_guess_at_what_was_meant_takes_no_time(line: str) -> None:
    """One of the patterns was exponential: 66 s for a line that the fuzzer found. The bound is a hang, not a bar."""
    began = time.process_time()
    examine(f"tax 1\nsource a v1\n{line}\n")
    assert time.process_time() - began < 5


def test_a_bad_line_costs_one_finding() -> None:
    text = "tax 1\nsource a v1\n0 road\n1 car = = car\n2 sky\n"
    assert [(d.code, d.span.line) for d in diagnose(text)] == [("TAX003", 4)]
