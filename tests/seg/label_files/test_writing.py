"""How files are written, of both packages."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lsu_onto.files import write_atomic as write_text
from lsu_seg.label_files import write_atomic


@pytest.mark.parametrize("write", [write_text, write_atomic])
def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path: Path, write: Callable[[Path, bytes], None]) -> None:
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write(pipe, b"whole")
    reader.join(10)
    assert read == [b"whole"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    write(Path(os.devnull), b"whole")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)
    assert [f.name for f in tmp_path.iterdir()] == ["pipe"]
