"""What `show` prints, as wide as the terminal."""

from __future__ import annotations

import pytest

from lsu_onto.library.library import Library
from lsu_onto.reporting.table import as_text


@pytest.mark.parametrize("width", [1, 30, 50, 200])
@pytest.mark.parametrize(("name", "source"), [("demo", None), ("demo_town", "demo")])
def test_no_terminal_is_too_narrow(name: str, source: str | None, width: int) -> None:
    ontology = Library().ontology(name, source)
    wide, narrow = as_text(ontology).split(), as_text(ontology, width=width).split()
    assert set(wide) <= set(narrow)
