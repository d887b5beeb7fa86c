"""The docs say what the program does today."""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner, Result

from lsu_onto.cli import main
from lsu_onto.docs import error_pages

ROOT = Path(__file__).parents[2]
ERRORS = ROOT / "docs" / "errors"


def test_the_error_pages_are_fresh() -> None:
    found = {f.name: f.read_text(encoding="utf-8") for f in ERRORS.iterdir()}
    assert found == error_pages(), "run `lsu-onto docs`"


def test_every_example_in_the_docs_is_valid_and_in_its_canonical_layout(tmp_path: Path) -> None:
    count = 0
    for page in (ROOT / "README.md", ROOT / "docs" / "language.md"):
        folder = tmp_path / page.stem
        folder.mkdir()
        for n, block in enumerate(
            re.findall(r"```\n(tax 1\n.*?)```", page.read_text(encoding="utf-8"), re.S)
        ):
            (folder / f"{n}.tax").write_text(block, encoding="utf-8")
            count += 1
        assert run("validate", "--strict", str(folder)).output == ""
        assert run("fmt", "--check", str(folder)).exit_code == 0
    assert count >= 3


def run(*args: str) -> Result:
    return CliRunner().invoke(main, list(args))
