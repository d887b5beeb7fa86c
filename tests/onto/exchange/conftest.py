"""An ontology that holds whatever a format can hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.exchange import RICH
from helpers.tax import SOURCE


@pytest.fixture
def rich(tmp_path: Path) -> Path:
    (tmp_path / "demo.tax").write_text(SOURCE)
    file = tmp_path / "field.tax"
    file.write_text(RICH)
    return file
