"""The grammar is free of conflicts, down to terminals that could match the same text."""

from pathlib import Path

import lark
import pytest

import lsu_onto.lang.parse


def test_grammar_is_strict() -> None:
    pytest.importorskip("interegular")
    grammar = Path(lsu_onto.lang.parse.__file__).with_name("tax.lark").read_text()
    lark.Lark(grammar, start="line", parser="lalr", lexer="contextual", strict=True)
