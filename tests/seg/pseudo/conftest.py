"""Fixtures of the tests of labelling runs."""

from pathlib import Path

import pytest

from helpers.folders import small_disk  # noqa: F401
from helpers.output_folder import KEYS, fill


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("unbroken")
    assert fill(root) == (len(KEYS), 0)
    return root
