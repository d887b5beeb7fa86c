"""The README's first file with one mistake each: the message alone leads to a valid file.

A case: what was typed (in place of what), the code, the phrase of the message or help that says what to do, and the
file after doing it. `None` as the repair: the README's line is what the message asks for.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.newcomer import CASES, README
from lsu_onto.diagnostics import Diagnostic
from lsu_onto.library.library import Library

ROOT = Path(__file__).parents[3]


def findings(text: str) -> list[Diagnostic]:
    return [d for d in Library().check("town.tax", text).diagnostics if d.severity != "info"]


@pytest.mark.parametrize("case", CASES, ids=lambda c: repr(c[1])[1:-1])
def test_the_message_leads_to_a_valid_file(case: tuple[str, str, str, str, str | None]) -> None:
    right, typed, code, phrase, repair = case
    assert README.count(right) >= 1
    at = README.index(right)
    found = findings(README[:at] + typed + README[at + len(right) :])
    assert code in [d.code for d in found]
    assert any(d.code == code and phrase in f"{d.message}; {d.help}" for d in found)
    assert len(found) <= 3, "follow-on errors"
    assert findings(README[:at] + (right if repair is None else repair) + README[at + len(right) :]) == []


def test_the_readmes_file_is_valid_and_the_cases_are_many() -> None:
    assert findings(README) == []
    assert len(CASES) >= 25 and len({c[2] for c in CASES}) >= 20
