"""Folders that tests look into, and a disk that fills up."""

from __future__ import annotations

import io
import json
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image


def tree(root: Path) -> dict[str, bytes]:
    """All files but the bookkeeping of workers."""
    return {
        str(f.relative_to(root)): f.read_bytes()
        for f in sorted(root.rglob("*"))
        if f.is_file() and ".lock" not in f.parts and not f.name.startswith(("records-", "audit-"))
    }


def check_whole(root: Path, leftovers: bool = False) -> None:
    """Everything under a final name opens; nothing lies around, but after a kill, which leaves temporary files."""
    for name, data in tree(root).items():
        if name.endswith(".tmp"):
            assert leftovers, name
        elif name.endswith(".png"):
            assert Image.open(io.BytesIO(data)).convert("L").size == (40, 24)
        elif name.endswith(".npz"):
            assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None
        else:
            json.loads(data)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """`small_disk(pages)` mounts a file system of that size, or gives it that size."""
    root, mounted = tmp_path / "disk", False

    def sized(pages: int) -> Path:
        nonlocal mounted
        root.mkdir(exist_ok=True)
        options = f"{'remount,' if mounted else ''}size={pages * PAGE}"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(root)], capture_output=True, text=True
        )
        if done.returncode and not mounted:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        assert not done.returncode, done.stderr
        mounted = True
        return root

    yield sized
    if mounted:
        subprocess.run(["umount", str(root)], check=True)


PAGE = 4096
