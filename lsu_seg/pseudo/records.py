"""What a run wrote: one append-only file of JSON lines per worker, `records-RANK.jsonl`."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any


class Records:
    """The records of all workers to read, those of one to write.

    Args:
        root: the output folder.
        rank: whose file is written to.
        keys: of the images that this worker labels; None: all.

    Attributes:
        sums: for each of these keys that has a record: which files it has, and their checksums.
    """

    def __init__(self, root: Path, rank: int = 0, keys: Container[str] | None = None) -> None:
        # No more than that, as bytes: there may be some hundred thousand.
        kinds: dict[tuple[str, ...], tuple[str, ...]] = {}
        self.sums: dict[str, tuple[tuple[str, ...], bytes]] = {}
        for record in read_records(root):
            if keys is None or record["key"] in keys:
                names = tuple(record["files"])
                digests = b"".join(bytes.fromhex(s) for s in record["files"].values())
                self.sums[record["key"]] = kinds.setdefault(names, names), digests
        self._file = os.open(root / f"records-{rank}.jsonl", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        size = os.fstat(self._file).st_size
        # After a kill the last record may be cut off: it is lost, the next must not be lost with it.
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")

    def append(self, record: dict[str, Any]) -> None:
        """Write one record, with one call: several threads and processes do not mix their lines."""
        line = json.dumps(record).encode() + b"\n"
        if os.write(self._file, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

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
            if isinstance(record, dict) and isinstance(record.get("files"), dict) and "key" in record:
                yield record


FILES = {"label": "{}.png", "confidence": "confidence/{}.png", "soft": "soft/{}.npz"}
"""Where the files of a key lie, by the names that records have for them."""


def finished(root: str | Path) -> set[str]:
    """The keys of a folder whose files are all there, with the checksums of their last record. Reads every file."""
    root = Path(root)
    latest = {r["key"]: r["files"] for r in read_records(root)}
    return {key for key, files in latest.items() if whole(root, key, files)}


def whole(root: Path, key: str, files: Mapping[str, str]) -> bool:
    """Whether the files of a key are there, with these checksums."""
    try:
        return all(checksum((root / FILES[n].format(key)).read_bytes()) == s for n, s in files.items())
    except (OSError, KeyError):
        return False


def checksum(data: bytes) -> str:
    """The sha256 of a file's bytes, as records have it."""
    return hashlib.sha256(data).hexdigest()
