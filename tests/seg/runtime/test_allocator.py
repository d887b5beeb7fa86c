"""Freed memory: kept by the process where it may, given back where a budget is tight."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.forkserver import Server

FAULTS = """
import resource, sys
import torch
from lsu_seg.runtime.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(16 << 20)  # 64 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

default = min(faults() for _ in range(5))
told = keep_freed_memory()
# Small blocks may settle in what was freed, so that some round needs new pages.
print(told, default, min(faults() for _ in range(5)))
"""


@pytest.fixture
def child(libraries: Server, tmp_path: Path) -> Callable[..., list[str]]:
    clean = {name: None for name in os.environ if name.startswith("MALLOC_") or name == "GLIBC_TUNABLES"}

    def run(**env: str) -> list[str]:
        code, said = libraries.run(tmp_path / "log.txt", code=FAULTS, env={**clean, **env})
        assert code == 0, said
        return said.split()

    return run


HUGE = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc")
@pytest.mark.skipif(HUGE.is_file() and "[always]" in HUGE.read_text(), reason="one fault clears 512 pages")
def test_pages_of_freed_memory_are_not_cleared_anew(child: Callable[..., list[str]]) -> None:
    told, default, kept = child()
    if told == "False":
        pytest.skip("models run on a GPU here")
    pages = 5 * 16384
    assert int(kept) < pages / 100
    assert int(default) > pages / 2


def test_a_users_own_settings_stand(child: Callable[..., list[str]]) -> None:
    assert child(MALLOC_MMAP_MAX_="65536")[0] == "False"
