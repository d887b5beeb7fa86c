"""Both programs, for a shell to start."""

from __future__ import annotations

import os
import sys

import pytest


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH with both programs of this tree."""
    folder = tmp_path_factory.mktemp("bin")
    for name in ("lsu-onto", "lsu-seg"):
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {name.replace("-", "_")} "$@"\n')
        program.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
