"""Fixtures of the tests of reviews."""

from pathlib import Path

import pytest

from helpers.reviewed import Reviewed, copy_of, make


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Reviewed:
    return make(tmp_path_factory.mktemp("labelled"))


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut is not what these tests are about, and each of them writes dozens of files."""
    monkeypatch.setattr("os.fsync", lambda _: None)


@pytest.fixture
def world(labelled: Reviewed, tmp_path: Path) -> Reviewed:
    """A copy that a test may change."""
    return copy_of(labelled, tmp_path / "world")
