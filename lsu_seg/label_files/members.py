"""Files inside Parquet tables (Waymo v2), addressed as if the table were a folder: `a.parquet/TIMESTAMP_CAMERA`."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from lsu_onto import INSTALL, open_to_read, read_rest
from lsu_seg.label_files.errors import refuse

SUFFIX = ".parquet"
_KEYS = ("key.frame_timestamp_micros", "key.camera_name")
_DIVISOR = "[CameraSegmentationLabelComponent].panoptic_label_divisor"
_CONTENT = ("[CameraSegmentationLabelComponent].panoptic_label", "[CameraImageComponent].image")
_EXPECTED = f"Waymo's camera_image or camera_segmentation, with `{_KEYS[0]}`, `{_KEYS[1]}` and its content"


class Member(NamedTuple):
    """The bytes of a file, and the divisor in its record, if it has one."""

    data: bytes
    divisor: int | None


def container(path: Path) -> Path:
    """The file on disk behind a path: the path itself, or the table that contains it."""
    return next((p for p in path.parents if p.suffix == SUFFIX and p.is_file()), path)


def size_and_time(path: str | Path) -> tuple[int, int]:
    """Size and time of modification (ns) of the file on disk behind a path: while both stay, so does its content.

    Raises:
        OSError: there is none.
    """
    stat = container(Path(path)).stat()
    return stat.st_size, stat.st_mtime_ns


def read_bytes(path: Path) -> bytes:
    """The bytes of a file on disk or in a table. Raises `LabelFileError` if it cannot be read."""
    if container(path) != path:
        return read_member(path).data
    try:
        with open_to_read(path) as file:  # `/dev/zero` has no end
            return read_rest(file)
    except OSError as error:
        found = f"no readable file ({error.strerror})"
        raise refuse(path, found, "a file of the dataset", "check path and rights") from error


def list_members(table: Path) -> list[str]:
    """The names of the files in a table. Raises `LabelFileError` if the table cannot be read."""
    return list(_index(table, table.stat().st_mtime_ns))


def read_member(path: Path) -> Member:
    """A file in a table. Raises `LabelFileError` if it is missing, empty or unreadable.

    The last row groups stay in memory, so reading files in the order of their names is fastest.
    """
    table = container(path)
    try:
        state = table.stat().st_mtime_ns
    except OSError as error:
        raise refuse(table, f"no readable file ({error.strerror})", "a table", "check path and rights") from error
    position = _index(table, state).get(path.name)
    if position is None:
        raise refuse(table, f"no row `{path.name}`", "one for each label and image", "get the file again")
    group, row = position
    content, divisor = _row_group(table, state, group)
    data = content[row].as_py()
    if not data:
        raise refuse(path, "an empty record", "an encoded image", "get the file again")
    if not isinstance(data, bytes):
        found = f"a column of {content.type}"
        raise refuse(table, found, "encoded images, as binary data", "check the pattern, or get the file again")
    return Member(data, divisor[row].as_py() if divisor is not None else None)


def _open(table: Path) -> Any:
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        needed = f"pyarrow, to read it ({error})"  # it may be there, and of another numpy
        raise refuse(table, "a Parquet table", needed, INSTALL.format("parquet")) from error
    try:
        return pq.ParquetFile(table)
    except Exception as error:  # pyarrow's own errors and OSError
        raise refuse(table, f"no Parquet table ({error})", _EXPECTED, "get the file again") from error


@lru_cache(maxsize=4096)
def _index(table: Path, _state: int) -> dict[str, tuple[int, int]]:
    """Name → row group, and row in that group."""
    file = _open(table)
    names = set(file.schema_arrow.names)
    if not names.issuperset(_KEYS) or names.isdisjoint(_CONTENT):
        raise refuse(table, f"columns {', '.join(sorted(names)[:6])}", _EXPECTED, "check the pattern")
    out: dict[str, tuple[int, int]] = {}
    for group in range(file.num_row_groups):
        keys = _read(table, file, group, list(_KEYS))
        for row, (time, camera) in enumerate(zip(*(keys[k].to_pylist() for k in _KEYS), strict=True)):
            if f"{time}_{camera}" in out:
                raise refuse(table, f"row `{time}_{camera}` twice", "one of a name", "get the file again")
            out[f"{time}_{camera}"] = group, row
    return out


@lru_cache(maxsize=2)
def _row_group(table: Path, _state: int, group: int) -> tuple[Any, Any]:
    file = _open(table)
    names = set(file.schema_arrow.names)
    content = next(c for c in _CONTENT if c in names)
    columns = _read(table, file, group, [content, *([_DIVISOR] if _DIVISOR in names else [])])
    return columns[content], columns[_DIVISOR] if _DIVISOR in names else None


def _read(table: Path, file: Any, group: int, columns: list[str]) -> Any:
    try:
        return file.read_row_group(group, columns=columns)
    except Exception as error:
        raise refuse(table, f"a damaged table ({error})", _EXPECTED, "get the file again") from error
