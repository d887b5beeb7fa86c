"""Helpers for the tests of `lsu_onto`: write `.tax` text, check it, compile it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import lsu_onto
from lsu_onto import Constraint
from lsu_onto.diagnostics import Diagnostic
from lsu_onto.library.library import Library

TAX = Path(__file__).parents[1] / "tax"

SOURCE = """\
tax 1
source demo v1
[flat]
0 road      #804080
1 sidewalk  #f423e8
[vehicle]
2 car       #00008e
3 truck     #000046
[sky]
4 sky       #4682b4
"""


def diagnose(text: str, path: str = "memory.tax") -> list[Diagnostic]:
    """All findings on a text, without a file."""
    return Library().check(path, text).diagnostics


Compile = Callable[..., Constraint]


@pytest.fixture
def compiled(tmp_path: Path) -> Compile:
    """Compiles the rows of a dataset `town v1 -> demo v1`, written below SOURCE."""

    def run(rows: str, keys: str = "") -> Constraint:
        file = tmp_path / "town.tax"
        file.write_text(f"{SOURCE}dataset town v1 -> demo v1\n{keys}\n{rows}")
        return lsu_onto.load(file)

    return run
