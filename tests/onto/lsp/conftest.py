"""An editor in a folder of three files, one for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.lsp_client import Editor
from helpers.lsp_files import DATASET, OTHER, SOURCE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workspace")
    for name, text in {"ground": SOURCE, "track": DATASET, "other": OTHER}.items():
        (folder / f"{name}.tax").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Editor]:
    editor = Editor(folder)
    yield editor
    assert editor.stop() == 0


@pytest.fixture
def editor(server: Editor) -> Iterator[Editor]:
    yield server
    for name in list(server.texts):
        server.close(name)
