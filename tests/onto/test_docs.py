"""The generated pages are those of today's table."""

from __future__ import annotations

from pathlib import Path

from lsu_onto.docs import error_pages

ERRORS = Path(__file__).parents[2] / "docs" / "errors"


def test_the_error_pages_are_fresh() -> None:
    found = {f.name: f.read_text(encoding="utf-8") for f in ERRORS.iterdir()}
    assert found == error_pages(), "run `lsu-onto docs`"
