"""Lines of our own files: what a kill or a disk has damaged is none."""

import pytest

from lsu_seg.runtime.lines import read_line


@pytest.mark.parametrize(
    "line", [b'{"a": 1', b"[" * 100_000, b'{"a": %d}' % 2**63, b"\xff", b"-9223372036854775809", b"", b"[1e999]"]
)
def test_a_damaged_line_is_none(line: bytes) -> None:
    with pytest.raises(ValueError):
        read_line(line)


def test_what_our_files_hold_is_read() -> None:
    assert read_line(b'{"a": [1, 0.5, -9223372036854775808, null]}') == {"a": [1, 0.5, -(2**63), None]}
