"""What a run wrote: one append-only file of JSON lines per worker, `records-RANK.jsonl`."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Records:
    """The records of all workers to read, those of one to write.

    Args:
        root: the output folder.
        rank: whose file is written to.

    Attributes:
        latest: the last record of each key, of any worker, as it was when this one began.
    """

    def __init__(self, root: Path, rank: int = 0) -> None:
        self.latest = {record["key"]: record for record in read_records(root)}
        self._file = os.open(root / f"records-{rank}.jsonl", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        size = os.fstat(self._file).st_size
        # After a kill the last record may be cut off: it is lost, the next must not be lost with it.
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")

    def append(self, record: dict[str, Any]) -> None:
        """Write one record, with one call: several threads and processes do not mix their lines."""
        line = json.dumps(record).encode() + b"\n"
        if os.write(self._file, line) < len(line):
            raise OSError(28, "No space left on device")

    def close(self) -> None:
        """Make sure that the records are on the disk."""
        if self._file >= 0:
            try:
                os.fsync(self._file)
            finally:
                os.close(self._file)
                self._file = -1


def read_records(root: Path) -> Iterator[dict[str, Any]]:
    """All records of a folder, worker by worker; a line that a kill cut off is passed over."""
    for path in sorted(root.glob("records-*.jsonl")):
        for line in path.read_bytes().splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and "key" in record:
                yield record


def finished(root: str | Path) -> set[str]:
    """The keys of a folder's labels that were written and are still there."""
    root = Path(root)
    return {r["key"] for r in read_records(root) if (root / f"{r['key']}.png").is_file()}


def checksum(data: bytes) -> str:
    """The sha256 of a file's bytes, as records have it."""
    return hashlib.sha256(data).hexdigest()
