"""Lines of our own files: what a kill or a disk has damaged is none."""

import errno
import resource
from pathlib import Path

import pytest

from lsu_seg.runtime.lines import LineFile, read_line


@pytest.mark.parametrize(
    "line", [b'{"a": 1', b"[" * 100_000, b'{"a": %d}' % 2**63, b"\xff", b"-9223372036854775809", b"", b"[1e999]"]
)
def test_a_damaged_line_is_none(line: bytes) -> None:
    with pytest.raises(ValueError):
        read_line(line)


def test_what_our_files_hold_is_read() -> None:
    assert read_line(b'{"a": [1, 0.5, -9223372036854775808, null]}') == {"a": [1, 0.5, -(2**63), None]}


def test_a_file_that_may_not_be_so_large_is_no_full_disk(tmp_path: Path) -> None:
    file = LineFile(tmp_path / "a.jsonl")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9, limits[1]))
    try:
        file.append(b"one")
        with pytest.raises(OSError) as raised:
            file.append(b"another")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert raised.value.errno == errno.EFBIG
    file.close()
