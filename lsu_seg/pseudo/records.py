"""Records of what a run wrote: one append-only file of JSON lines per worker, `records-RANK.jsonl`."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import struct
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

INPUTS = ("image", "label")
"""The files that a label is made from. A record has of each its size, time of modification in nanoseconds, sha256."""

_CHECKSUM = re.compile(r"[0-9a-f]{64}")
STATED = struct.Struct("<qq32s")
"""The same in bytes."""


class Records:
    """Reads the records of all workers, and appends those of one worker.

    Args:
        root: the output folder.
        rank: rank of the worker, to whose file records are appended.
        keys: keys of the images that this worker labels; None: all images.

    Attributes:
        sums: for each of these keys with a record, the names of its files, their checksums, and what they were made of.
    """

    def __init__(self, root: Path, rank: int = 0, keys: Container[str] | None = None) -> None:
        # Nothing else is kept, and checksums as bytes: there may be hundreds of thousands.
        kinds: dict[tuple[str, ...], tuple[str, ...]] = {}
        self.sums: dict[str, tuple[tuple[str, ...], bytes, bytes]] = {}
        for record in read_records(root):
            if keys is None or record["key"] in keys:
                names = tuple(record["files"])
                digests = b"".join(bytes.fromhex(s) for s in record["files"].values())
                self.sums[record["key"]] = kinds.setdefault(names, names), digests, pack(record.get("inputs"))
        self._file = os.open(root / f"records-{rank}.jsonl", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        size = os.fstat(self._file).st_size
        # A kill may have cut off the last record. It is lost, but the next one must not be appended to the same line.
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")

    def append(self, record: dict[str, Any]) -> None:
        """Append a record with a single write, so that the lines of threads and processes do not mix.

        Raises:
            OSError: the disk is full, or refuses the write.
        """
        line = json.dumps(record).encode() + b"\n"
        if os.write(self._file, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """Close the file once the records are on the disk."""
        if self._file >= 0:
            try:
                os.fsync(self._file)
            finally:
                os.close(self._file)
                self._file = -1


def read_records(root: Path) -> Iterator[dict[str, Any]]:
    """All records of a folder, worker by worker. Lines that a kill cut off are skipped."""
    for path in sorted(root.glob("records-*.jsonl")):
        for line in path.read_bytes().splitlines():
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if _is_record(record):
                yield record


def _is_record(record: Any) -> bool:
    """Whether a line says of which key it is, and the checksums of its files."""
    if not isinstance(record, dict) or not isinstance(record.get("key"), str):
        return False
    files = record.get("files")
    return isinstance(files, dict) and all(isinstance(s, str) and _CHECKSUM.fullmatch(s) for s in files.values())


def pack(record: Any) -> bytes:
    """What a record says of the input files, in few bytes; empty if it says nothing."""
    try:
        entries = [(int(size), int(time), bytes.fromhex(content)) for size, time, content in map(record.get, INPUTS)]
        return b"".join(STATED.pack(*entry) for entry in entries)  # fills up an empty content with zeros
    except (AttributeError, TypeError, ValueError, struct.error):
        return b""


FILES = {"label": "{}.png", "confidence": "confidence/{}.png", "soft": "soft/{}.npz"}
"""Paths of the files of a key, by the names used in records."""


def finished(root: str | Path) -> set[str]:
    """The keys whose files all exist and have the checksums of their last record. Reads every file."""
    root = Path(root)
    latest = {r["key"]: r["files"] for r in read_records(root)}
    return {key for key, files in latest.items() if whole(root, key, files)}


def whole(root: Path, key: str, files: Mapping[str, str]) -> bool:
    """Whether the files of a key exist and have these checksums."""
    try:
        return all(checksum((root / FILES[n].format(key)).read_bytes()) == s for n, s in files.items())
    except (OSError, KeyError):
        return False


def checksum(data: bytes) -> str:
    """The sha256 of a file's bytes, as stored in records."""
    return hashlib.sha256(data).hexdigest()
