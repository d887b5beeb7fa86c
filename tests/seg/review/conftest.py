"""Fixtures of the tests of reviews."""

from pathlib import Path

import pytest

from helpers.reviewed import Reviewed, copy_of, make


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Reviewed:
    return make(tmp_path_factory.mktemp("labelled"))


@pytest.fixture
def world(labelled: Reviewed, tmp_path: Path) -> Reviewed:
    """A copy that a test may change."""
    return copy_of(labelled, tmp_path / "world")
