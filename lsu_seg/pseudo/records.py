"""Records of what a run wrote: one append-only file of JSON lines per worker, `records-RANK.jsonl`."""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lsu_onto import open_to_read
from lsu_seg.runtime.lines import LineFile

INPUTS = ("image", "label")
"""The files that a label is made from. A record has of each its size, time of modification in nanoseconds, sha256."""

_CHECKSUM = re.compile(r"[0-9a-f]{64}")
STATED = struct.Struct("<qq32s")
"""The same in bytes."""


class Made(NamedTuple):
    """What a record says of the files of a key, in few bytes."""

    names: tuple[str, ...]
    digests: bytes
    """The checksums of the files, in the order of their names."""
    inputs: bytes
    """What they were made of, see `pack`."""
    path: Path
    offset: int
    """Where the record is."""

    def label(self) -> str:
        """The checksum of the label; empty if the record has none."""
        at = 32 * self.names.index("label") if "label" in self.names else len(self.digests)
        return self.digests[at : at + 32].hex()


class Records:
    """Reads the records of all workers, and appends those of one worker.

    Args:
        root: the output folder.
        rank: rank of the worker, to whose file records are appended.
        keys: keys of the images that this worker labels; None: all images.

    Attributes:
        made: what the last record of each of these keys says, if it has one.
    """

    def __init__(self, root: Path, rank: int = 0, keys: Container[str] | None = None) -> None:
        # Nothing else is kept, and checksums as bytes: there may be hundreds of thousands.
        kinds: dict[tuple[str, ...], tuple[str, ...]] = {}
        self.made: dict[str, Made] = {}
        for path, offset, record in _located(root):
            if keys is None or record["key"] in keys:
                names = tuple(record["files"])
                digests = b"".join(bytes.fromhex(s) for s in record["files"].values())
                inputs = pack(record.get("inputs"))
                self.made[record["key"]] = Made(kinds.setdefault(names, names), digests, inputs, path, offset)
        self._file = LineFile(root / f"records-{rank}.jsonl")

    def append(self, record: dict[str, Any]) -> None:
        """Append a record.

        Raises:
            OSError: the disk is full, or refuses the write.
        """
        self._file.append(json.dumps(record).encode())

    def append_again(self, made: Made, inputs: dict[str, list[Any]]) -> None:
        """Append a record that says the same, but of other `inputs`.

        Raises:
            OSError: the disk is full, or refuses the write.
        """
        with made.path.open("rb") as file:
            file.seek(made.offset)
            self.append(json.loads(file.readline()) | {"inputs": inputs})

    def close(self) -> None:
        """Close the file once the records are on the disk."""
        self._file.close()


def read_records(root: Path) -> Iterator[dict[str, Any]]:
    """All records of a folder, worker by worker. Lines that a kill cut off are skipped."""
    return (record for _, _, record in _located(root))


def _located(root: Path) -> Iterator[tuple[Path, int, dict[str, Any]]]:
    """All records, each with its file and the number of bytes before it."""
    for path in sorted(root.glob("records-*.jsonl")):
        offset = 0
        with open_to_read(path) as file:
            for line in file:  # not the whole file: a line of each of hundreds of thousands of images is much
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError):
                    record = None
                if _is_record(record):
                    yield path, offset, record
                offset += len(line)


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
        return all(_checksum(root / FILES[n].format(key)) == s for n, s in files.items())
    except (OSError, KeyError):
        return False


def _checksum(path: Path) -> str:
    with open_to_read(path) as file:
        return checksum(file.read())


def checksum(data: bytes) -> str:
    """The sha256 of a file's bytes, as stored in records."""
    return hashlib.sha256(data).hexdigest()
