"""Helpers for the tests of `lsu_onto`: write `.tax` text, check it, compile it."""

from __future__ import annotations

from pathlib import Path

import pytest

import lsu_onto
from helpers.tax import SOURCE, Compile
from lsu_onto import Constraint


@pytest.fixture
def compiled(tmp_path: Path) -> Compile:
    """Compiles the rows of a dataset `town v1 -> demo v1`, written below SOURCE."""

    def run(rows: str, keys: str = "") -> Constraint:
        file = tmp_path / "town.tax"
        file.write_text(f"{SOURCE}dataset town v1 -> demo v1\n{keys}\n{rows}")
        return lsu_onto.load(file)

    return run
