"""The fast path of the parser reads what lark reads, or leaves it to lark."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.examples import examples
from helpers.tax import TAX
from lsu_onto.diagnostics import Diagnostic
from lsu_onto.lang import fastpath
from lsu_onto.lang.parse import _logical_lines, _parse_line
from lsu_onto.lang.syntax import Statement
from lsu_onto.library.searchpath import shipped

GOOD = sorted([*(TAX / "ok").glob("*.tax"), *(TAX / "changes").glob("*.tax"), *shipped().rglob("*.tax")])
ALL = sorted([*TAX.rglob("*.tax"), *shipped().rglob("*.tax")])
LINES = sorted({line for p in ALL for line in p.read_text().splitlines() if line.strip()})
PIECES = st.sampled_from(
    [
        "tax",
        "source",
        "dataset",
        "map",
        "extends",
        "a",
        "v1",
        "v1.2",
        "->",
        "title:",
        "[a.b]",
        "@a.b",
        "0",
        "12",
        "1..3",
        "-",
        ",",
        "road",
        "void",
        "any",
        "aka",
        '"x y"',
        '""',
        "=",
        "<",
        ">",
        "~",
        "!",
        "#804080",
        "#x",
        "# note",
        "#",
        " ",
        "v1->",
        "\n  =",
        "\n  ->",
        "\n  ~ road # more",
        "\t",
        "x-y",
        "é",
        "\xa0",
    ]
)


def read(text: str) -> list[tuple[Statement | None, object]]:
    """What both make of each logical line of a text."""
    return [
        (fastpath.statement("x.tax", n, lines), _parse_line("x.tax", n, "\n".join(lines)))
        for n, lines in _logical_lines(text)
    ]


@pytest.mark.parametrize("path", GOOD, ids=lambda p: p.stem)
def test_good_files_need_no_lark(path: object) -> None:
    for quick, slow in read(path.read_text()):  # type: ignore[attr-defined]
        assert quick == slow


@pytest.mark.parametrize("line", ["dataset a v1->b v1", "map a v1-> b v1", "3 b->void", "b->any ! c", "a<b"])
def test_spaces_around_operators_are_a_choice(line: str) -> None:
    ((quick, slow),) = read(line)
    assert quick == slow
    assert not isinstance(slow, Diagnostic)


@settings(max_examples=examples(500))
@given(st.lists(PIECES, max_size=12), st.sampled_from(["", " ", "  "]))
def test_any_mixture_of_the_language(pieces: list[str], space: str) -> None:
    assert all(quick in (None, slow) for quick, slow in read(space.join(pieces)))


@settings(max_examples=examples(500))
@given(st.sampled_from(LINES), st.data())
def test_any_mutation_of_a_real_line(line: str, data: st.DataObject) -> None:
    a = data.draw(st.integers(0, len(line)))
    b = data.draw(st.integers(a, min(len(line), a + 5)))
    text = line[:a] + data.draw(st.one_of(st.just(""), PIECES, st.text(max_size=3))) + line[b:]
    assert all(quick in (None, slow) for quick, slow in read(text))
