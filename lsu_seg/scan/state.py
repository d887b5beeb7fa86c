"""Store what was read in an append-only file, so that a killed scan resumes where it stopped.

Each line is one JSON value. The first line names the label space for which the records are valid. A record is valid
while label and image have the size and time that it states. It contains nothing from a map, so relations may change
between scans.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from lsu_onto import Constraint, make_folder
from lsu_seg.label_files import LabelReader, size_and_time
from lsu_seg.layout.pairs import Pair
from lsu_seg.scan.collect import Record

FORMAT = 4


def label_space(reader: LabelReader) -> str:
    """sha256 over everything that determines what is read from a label file."""
    c: Constraint = reader.constraint
    parts = (c.content_sha256("labels"), c.layout.palettes, reader.max_pixels, [_stamp(f) for f in reader.tables()])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _stamp(path: Path) -> list[int]:
    try:
        return list(size_and_time(path))
    except OSError:
        return []


class State:
    """The records of one split.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "a.jsonl"
    >>> pair = Pair(file.parent / "a.jpg", file.parent / "a.png", "a")
    >>> with State.open(file, "space") as state:
    ...     state.add(pair, {"void": 7})
    >>> with State.open(file, "space") as state:
    ...     state.get(pair)
    {'void': 7}
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._offsets: dict[str, int] = {}  # not the records themselves: a dataset can have millions

    @classmethod
    @contextmanager
    def open(cls, path: Path, space: str, fresh: bool = False) -> Iterator[State]:
        """Open or create a file. A file of another label space or another version is started anew."""
        make_folder(path.parent)
        header = {"scan": FORMAT, "space": space}
        try:
            with path.open("a+b") as file:
                file.seek(0)
                if fresh or _json(file.readline()) != header:
                    file.truncate(0)
                    file.write(json.dumps(header).encode() + b"\n")
                    file.flush()
                state = cls(file)
                state._index()
                yield state
        except OSError as e:
            if e.errno == errno.ENOSPC and e.filename is None:  # which a write leaves out
                raise OSError(e.errno, e.strerror, str(path)) from e
            raise

    def _index(self) -> None:
        self._file.seek(0)
        self._file.readline()
        offset = self._file.tell()
        line = b"\n"
        for line in iter(self._file.readline, b""):
            record = _json(line)
            if isinstance(record, dict) and isinstance(record.get("key"), str) and "stamp" in record:
                self._offsets[record["key"]] = offset  # the last one counts
            offset += len(line)
        if not line.endswith(b"\n"):  # a run was killed while writing
            self._file.write(b"\n")

    def get(self, pair: Pair) -> Record | None:
        """The record of a pair, unless one of its files has changed since."""
        offset = self._offsets.get(pair.key)
        if offset is None:
            return None
        self._file.seek(offset)
        record = _json(self._file.readline())
        if not record or record["stamp"] != _stamps(pair) or record.get("sum") != _sum(record.get("record")):
            return None  # changed since, or not as it was written: it is read again
        kept: Record = record["record"]
        return kept

    def add(self, pair: Pair, record: Record) -> None:
        kept = {"key": pair.key, "stamp": _stamps(pair), "record": record, "sum": _sum(record)}
        line = json.dumps(kept, separators=(",", ":"))
        self._file.write(line.encode("utf-8", "surrogateescape") + b"\n")
        self._file.flush()


def _sum(record: Record) -> int:
    return zlib.crc32(json.dumps(record).encode())


def _stamps(pair: Pair) -> Sequence[Any]:
    return [str(pair.image), _stamp(pair.label), _stamp(pair.image)]


def _json(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def default_path(folder: Path, dataset: str, split: str, root: Path) -> Path:
    """Where the records of a split are kept: each root has its own file."""
    root_hash = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:8]
    return folder / f"{dataset}-{split or 'all'}-{root_hash}.jsonl"
