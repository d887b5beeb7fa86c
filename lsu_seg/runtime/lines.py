"""An append-only file of lines: what is written stays, whatever kills the process. And what such a line says."""

from __future__ import annotations

import errno
import json
import os
import stat
from math import isinf
from pathlib import Path
from typing import Any


def read_line(line: str | bytes) -> Any:
    """What a line of JSON says.

    Raises:
        ValueError: it is no line of ours: a kill has cut it off, it is nested without end, or a number takes more than
            64 bits.

    >>> read_line(b'{"pixels": 12}')
    {'pixels': 12}
    """
    try:
        return json.loads(line, parse_int=_int64, parse_float=_float64)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _int64(digits: str) -> int:
    number = int(digits)
    if not -(1 << 63) <= number < 1 << 63:
        raise ValueError(f"{digits[:20]} takes more than 64 bits")
    return number


def _float64(digits: str) -> float:
    number = float(digits)
    if isinf(number):
        raise ValueError(f"{digits[:20]} is more than 64 bits hold")
    return number


class LineFile:
    """A file to whose end one process appends whole lines. A line that a kill has cut off is closed, and stays there.

    Args:
        path: of the file; created if it does not exist.

    Raises:
        OSError: it cannot be opened; from `append` too: the disk is full, or refuses the write.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "a.jsonl")
    >>> _ = path.write_bytes(b"cut o")
    >>> file = LineFile(path)
    >>> file.append(b"whole")
    >>> file.close()
    >>> path.read_bytes()
    b'cut o\\nwhole\\n'
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            os.close(self._file)
            raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")

    def append(self, line: bytes) -> None:
        """Append a line, without its end, with a single write: the lines of threads and processes do not mix.

        Where only a part was written, the next write says why: the disk is full, or the file larger than is allowed.
        """
        left = line + b"\n"
        while left:
            left = left[os.write(self._file, left) :]

    def close(self) -> None:
        """Close the file once the lines are on the disk."""
        if self._file >= 0:
            try:
                os.fsync(self._file)
            finally:
                os.close(self._file)
                self._file = -1
