"""yapf, which mmengine lays configs out with, in a fresh environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("yapf")

FORMAT = "import lsu_seg; from yapf.yapflib.yapf_api import FormatCode; print(FormatCode('a  = 1')[0])"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the cache is not where XDG_CACHE_HOME says")
@pytest.mark.parametrize("damage", [b"", b"\x80\x05not a grammar"])
def test_a_grammar_that_another_process_is_writing_is_no_fault(damage: bytes, tmp_path: Path) -> None:
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}

    def formatted() -> str:
        command = [sys.executable, "-c", FORMAT]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert formatted() == "a = 1"
    caches = list(tmp_path.rglob("*.pickle"))
    assert len(caches) == 2
    for cache in caches:
        cache.write_bytes(damage)
    assert formatted() == "a = 1"
    assert all(cache.read_bytes() != damage for cache in caches)  # mended
