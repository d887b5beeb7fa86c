"""`.tax` text for tests of `lsu_onto`: written, checked, compiled."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from lsu_onto import Constraint
from lsu_onto.diagnostics import Diagnostic
from lsu_onto.library.library import Library

ROOT = Path(__file__).parents[2]
"""Of the repository."""

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


def save(file: Path, text: str) -> None:
    """As many editors do: who watches the file never finds it empty, however busy the machine is."""
    temporary = file.with_suffix(".swp")
    temporary.write_text(text)
    temporary.replace(file)


def diagnose(text: str, path: str = "memory.tax") -> list[Diagnostic]:
    """All findings on a text, without a file."""
    return Library().check(path, text).diagnostics


Compile = Callable[..., Constraint]


def expected(path: Path) -> list[tuple[int, int, str]]:
    found = re.findall(r"^# expect: (\d+):(\d+) (TAX\d{3})$", path.read_text(), re.MULTILINE)
    return [(int(line), int(column), code) for line, column, code in found]
