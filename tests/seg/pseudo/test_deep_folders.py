"""Folders deeper than Python's stack, which `Path.rglob` and `os.walk` fail in before Python 3.12."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lsu_seg.pseudo.errors import OutputError
from lsu_seg.pseudo.inputs import modules_sha256
from lsu_seg.pseudo.lock import RunLock
from lsu_seg.pseudo.output import OutputFolder


@pytest.fixture
def deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The bottom of `top`, relative to the working folder: an absolute path would be too long for the system."""
    monkeypatch.chdir(tmp_path)
    bottom = Path("top", *"d" * 1100)
    subprocess.run(["mkdir", "-p", bottom], check=True)
    yield bottom
    subprocess.run(["rm", "-r", "top"], check=True)  # which pytest cannot


def test_a_label_of_another_program_is_found(deep: Path) -> None:
    (deep / "a.png").touch()
    with pytest.raises(OutputError, match="top holds PNGs and no manifest"):
        OutputFolder(Path("top"), {}, np.zeros((1, 3), np.uint8))


def test_what_a_killed_run_left_is_removed(deep: Path) -> None:
    left, other = deep / ".1f-0123abcd.tmp", deep / "a.tmp"
    left.touch()
    other.touch()
    lock = Path("top/.lock")
    lock.mkdir()
    (lock / "run").write_text("killed")
    RunLock(Path("top"), "next").release()
    assert (left.exists(), other.exists()) == (False, True)


def test_a_package_of_the_user_counts_to_its_bottom(deep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(os.getcwd())  # noqa: PTH109
    (deep / "own.py").write_text("A = 1\n")
    (before,) = modules_sha256({"custom_imports": {"imports": "top"}}).values()
    (deep / "own.py").write_text("A = 2\n")
    assert modules_sha256({"custom_imports": {"imports": "top"}}) != {"top": before}
