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
from lsu_seg.runtime.lines import LineFile, read_line

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
    correction: bytes
    """The checksum of the corrections of the label (`Corrections.digest`); empty if it has none."""

    def label(self) -> str:
        """The checksum of the teacher's own label; empty if the record has none."""
        return self.sum_of(f"{UNCORRECTED}label") or self.sum_of("label")

    def sum_of(self, name: str) -> str:
        """The checksum of a file; empty if there is none of that name."""
        at = 32 * self.names.index(name) if name in self.names else len(self.digests)
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
        own = root / f"records-{rank}.jsonl"
        self._later: dict[str, Path] = {}
        for path, offset, record in _located(root):
            if keys is None or record["key"] in keys:
                names = tuple(record["files"])
                digests = b"".join(bytes.fromhex(s) for s in record["files"].values())
                inputs = pack(record.get("inputs"))
                made = Made(kinds.setdefault(names, names), digests, inputs, path, offset, correction_of(record))
                self.made[record["key"]] = made
                if path > own:  # of a run with more workers: a record there counts, and not one before it
                    self._later[record["key"]] = path
        self._files: dict[Path, LineFile] = {own: LineFile(own)}
        self._own = own

    def append(self, record: dict[str, Any]) -> None:
        """Append a record, which is then the last one of its key.

        Raises:
            OSError: the disk is full, or refuses the write.
        """
        self._append(self._later.get(record["key"], self._own), record)

    def _append(self, path: Path, record: dict[str, Any]) -> None:
        if path not in self._files:
            self._files[path] = LineFile(path)
        self._files[path].append(json.dumps(record).encode())

    def append_again(self, made: Made, inputs: dict[str, list[Any]]) -> None:
        """Append a record that says the same, but of other `inputs`.

        Raises:
            OSError: the disk is full, or refuses the write.
        """
        with made.path.open("rb") as file:
            file.seek(made.offset)
            self.append(json.loads(file.readline()) | {"inputs": inputs})

    def replace(self, key: str, changes: dict[str, Any]) -> None:
        """Append a record that says the same as the last one of a key, but for `changes`.

        Raises:
            OSError: the disk is full, or refuses the write.
        """
        made = self.made[key]
        with made.path.open("rb") as before:
            before.seek(made.offset)
            self._append(made.path, json.loads(before.readline()) | changes)

    def close(self) -> None:
        """Close the files once the records are on the disk."""
        for file in self._files.values():
            file.close()


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
                    record = read_line(line)
                except ValueError:
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


def correction_of(record: dict[str, Any]) -> bytes:
    """The checksum of the corrections that a record's label has on top; empty if it has none."""
    correction = record.get("correction")
    stated = correction.get("file") if isinstance(correction, dict) else None
    return bytes.fromhex(stated) if isinstance(stated, str) and _CHECKSUM.fullmatch(stated) else b""


def teachers_label(record: dict[str, Any]) -> str | None:
    """The checksum of the label without corrections, which samples of an audit name."""
    files: dict[str, str] = record["files"]
    return files.get(f"{UNCORRECTED}label") or files.get("label")


def pack(record: Any) -> bytes:
    """What a record says of the input files, in few bytes; empty if it says nothing."""
    try:
        entries = [(int(size), int(time), bytes.fromhex(content)) for size, time, content in map(record.get, INPUTS)]
        return b"".join(STATED.pack(*entry) for entry in entries)  # fills up an empty content with zeros
    except (AttributeError, TypeError, ValueError, OverflowError, struct.error):
        return b""


UNCORRECTED = "uncorrected_"
"""Begins the names of the files that labels were, without corrections."""
_FILES = {"label": "{}.png", "confidence": "confidence/{}.png", "soft": "soft/{}.npz"}
FILES = _FILES | {UNCORRECTED + name: f"uncorrected/{path}" for name, path in _FILES.items()}
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
