"""The Pygments lexer, and the terminal output that uses it: it colours, and changes nothing."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pygments.token import Error, Token

import lsu_onto
from helpers.tax import TAX
from lsu_onto.lang.highlight import TaxLexer, highlight
from lsu_onto.library.searchpath import shipped

ROOT = Path(lsu_onto.__file__).parents[1]
FILES = sorted([*TAX.rglob("*.tax"), *shipped().rglob("*.tax")])
_SGR = re.compile(r"\x1b\[[\d;]*m")


def tokens(text: str) -> list[tuple[str, str]]:
    """`(type, value)` without the white space; types without the leading `Token.`."""
    return [(str(k)[6:], v) for _, k, v in TaxLexer().get_tokens_unprocessed(text) if v.strip()]


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_tokens_cover_every_file(file: Path) -> None:
    text = file.read_bytes().decode("utf-8", errors="replace")
    found = list(TaxLexer().get_tokens_unprocessed(text))
    assert "".join(v for _, _, v in found) == text
    if file.parent.name != "bad":
        assert [v for _, k, v in found if k is Error] == []


WORDS = st.sampled_from(
    [
        "tax 1",
        "source a v1",
        "map",
        " -> ",
        "\n",
        "\r\n",
        " ",
        "\t",
        "# n",
        "#80408",
        "#804080",
        '"',
        "aka",
        "void",
        "@g",
        "[a.b]",
        "0..3",
        "-",
        "<",
        "!",
        "title: x # y",
        "é",
        "\x85",
        "\0",
    ]
)


@given(st.one_of(st.text(), st.lists(WORDS).map("".join)), st.integers(0, 40), st.integers(0, 40))
def test_random_text_is_covered_and_not_changed(text: str, start: int, end: int) -> None:
    found = list(TaxLexer().get_tokens_unprocessed(text))
    assert "".join(v for _, _, v in found) == text
    assert [at for at, _, _ in found] == [sum(len(v) for _, _, v in found[:i]) for i in range(len(found))]
    text = text.replace("\x1b", "")
    assert _SGR.sub("", highlight(text, start, end)) == text[start:end]


def test_the_example_of_the_design() -> None:
    text = """\
tax 1
dataset field v2 -> cityscapes v1
title:    Off-road #1 set
void:     255  # not annotated
[ground.hard]
3  gravel    #786450  ~ road terrain void  # loose
6,7  woody   #006400,#006401  aka bush "big tree"  < vegetation
9  pickup "pick-up"   > truck
                      ~ car       # continued
12..14  obstacle  -> any ! @flat
-  tunnel
map idd v2.1 -> cityscapes v1
road  < "Road, paved"
"""
    integer, operator, note = "Literal.Number.Integer", "Operator", "Comment.Single"
    assert tokens(text) == [
        ("Keyword.Declaration", "tax"),
        (integer, "1"),
        ("Keyword.Declaration", "dataset"),
        ("Name.Namespace", "field"),
        ("Literal.Number", "v2"),
        (operator, "->"),
        ("Name.Namespace", "cityscapes"),
        ("Literal.Number", "v1"),
        ("Name.Attribute", "title"),
        ("Punctuation", ":"),
        ("Literal.String", "Off-road #1 set"),
        ("Name.Attribute", "void"),
        ("Punctuation", ":"),
        ("Literal.String", "255"),
        (note, "# not annotated"),
        ("Punctuation", "["),
        ("Name.Label", "ground.hard"),
        ("Punctuation", "]"),
        (integer, "3"),
        ("Name.Class", "gravel"),
        ("Literal.Number.Hex", "#786450"),
        (operator, "~"),
        ("Name", "road"),
        ("Name", "terrain"),
        ("Keyword.Constant", "void"),
        (note, "# loose"),
        (integer, "6"),
        ("Punctuation", ","),
        (integer, "7"),
        ("Name.Class", "woody"),
        ("Literal.Number.Hex", "#006400"),
        ("Punctuation", ","),
        ("Literal.Number.Hex", "#006401"),
        ("Keyword", "aka"),
        ("Name.Variable", "bush"),
        ("Literal.String.Double", '"big tree"'),
        (operator, "<"),
        ("Name", "vegetation"),
        (integer, "9"),
        ("Name.Class", "pickup"),
        ("Literal.String.Double", '"pick-up"'),
        (operator, ">"),
        ("Name", "truck"),
        (operator, "~"),
        ("Name", "car"),
        (note, "# continued"),
        (integer, "12"),
        ("Punctuation", ".."),
        (integer, "14"),
        ("Name.Class", "obstacle"),
        (operator, "->"),
        ("Keyword.Constant", "any"),
        (operator, "!"),
        ("Name.Label", "@flat"),
        ("Keyword.Constant", "-"),
        ("Name.Class", "tunnel"),
        ("Keyword.Declaration", "map"),
        ("Name.Namespace", "idd"),
        ("Literal.Number", "v2.1"),
        (operator, "->"),
        ("Name.Namespace", "cityscapes"),
        ("Literal.Number", "v1"),
        ("Name.Class", "road"),
        (operator, "<"),
        ("Literal.String.Double", '"Road, paved"'),
    ]


def test_a_bad_line_does_not_colour_the_next() -> None:
    assert tokens('0 a "open\n1 b < c')[-4:] == [
        ("Literal.Number.Integer", "1"),
        ("Name.Class", "b"),
        ("Operator", "<"),
        ("Name", "c"),
    ]
    assert Token.Error in [k for _, k, _ in TaxLexer().get_tokens_unprocessed("0 a #80408")]


def test_registered_with_pygments() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, name = project["entry-points"]["pygments.lexers"]["tax"].split(":")
    assert getattr(import_module(module), name) is TaxLexer and "tax" in TaxLexer.aliases


def on_a_terminal(*args: str, **env: str) -> str:
    """What a command writes when both its streams are a terminal."""
    main, side = pty.openpty()
    try:
        clean = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
        process = subprocess.Popen(
            [sys.executable, "-m", "lsu_onto.cli", *args],
            stdout=side,
            stderr=side,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            env={**clean, **env},
        )
        os.close(side)
        out = b""
        while True:
            try:
                part = os.read(main, 65536)
            except OSError:  # Linux's word for the other end's closing
                part = b""
            if not part:
                break
            out += part
        process.wait(timeout=600)
    finally:
        os.close(main)
    return out.decode().replace("\r\n", "\n")


BAD = "tests/tax/bad/TAX306.tax"


@pytest.mark.parametrize(
    ("args", "coloured"),
    [
        (["validate", BAD], "\x1b[01m\x1b[36mpolice"),
        (["explain", "TAX306"], "\x1b[01m\x1b[36mpolice"),
        (["show", "demo_town"], "\x1b[01m\x1b[36mvehicle"),
        (["show", "demo_town", "vulnerable"], "\x1b[90m# anyone whom"),
        (["show", "offroad"], "\x1b[97;48;2;128;64;128m#804080"),
        (["fmt", "--diff", BAD], "\x1b[01m\x1b[36mpolice"),
    ],
)
def test_colour_on_a_terminal_and_nowhere_else(args: list[str], coloured: str) -> None:
    shown = on_a_terminal(*args, COLUMNS="200")
    assert coloured in shown
    plain = subprocess.run([sys.executable, "-m", "lsu_onto.cli", *args], capture_output=True, text=True, cwd=ROOT)
    assert _SGR.sub("", shown) == plain.stdout + plain.stderr
    assert "\x1b" not in plain.stdout + plain.stderr


def test_show_keeps_to_the_width_of_a_terminal() -> None:
    shown = on_a_terminal("show", "kitti", "--source", "vistas", COLUMNS="100")
    plain = _SGR.sub("", shown)
    assert "\x1b[01m\x1b[36mstatic" in shown
    assert max(map(len, plain.splitlines())) <= 100
    assert not any(line.rstrip().endswith(("~", ">", "~  {")) for line in plain.splitlines())
    piped = subprocess.run(
        [sys.executable, "-m", "lsu_onto.cli", "show", "kitti", "--source", "vistas"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    ).stdout
    assert sorted(plain.split()) == sorted(piped.split())  # nothing is lost, and a pipe has a line per class
    assert len(plain.splitlines()) > len(piped.splitlines())


def test_a_list_of_classes_keeps_to_the_width_of_a_terminal() -> None:
    plain = _SGR.sub("", on_a_terminal("show", "offroad", COLUMNS="70"))
    assert max(map(len, plain.splitlines())) <= 70
    assert f"# unpaved and\n{' ' * 49}# drivable: soil,\n" in plain


def test_no_color() -> None:
    assert "\x1b" not in on_a_terminal("validate", BAD, NO_COLOR="1")
    assert "\x1b" in on_a_terminal("validate", BAD, NO_COLOR="")  # no-color.org: set, and not empty


def test_a_long_line_is_coloured_around_the_place() -> None:
    from lsu_onto.diagnostics import Diagnostic, Span
    from lsu_onto.reporting.findings import full

    text = "0  thing  " + "~ car " * 40 + "~ trukc"
    found = [Diagnostic("TAX201", "no", Span("x.tax", 1, len(text) - 4, len(text) + 1))]
    colour = full(found, {"x.tax": text}, colour=True)
    assert _SGR.sub("", colour) == full(found, {"x.tax": text}) and "…" in colour
    assert "\x1b[01m\x1b[33m~" in colour
