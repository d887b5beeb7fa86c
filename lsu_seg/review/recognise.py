"""Which tool a file or a folder comes from."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from lsu_onto import open_to_read, walk
from lsu_seg.review import from_cvat, from_fiftyone, from_labelstudio
from lsu_seg.review.errors import ReviewError
from lsu_seg.review.returned import Returned

_EXPECTED = (
    'expected what the tool exports: from CVAT "CVAT for images 1.1" or "Segmentation mask 1.1" (.zip, .xml or the'
    ' unpacked folder), from Label Studio "JSON" (.json), from FiftyOne the folder of a `FiftyOneDataset`'
)
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, EOFError, KeyError, UnicodeError, OSError)
"""What reading a zip raises if it is damaged, cut off or encrypted, or packed in a way that Python does not know."""

_JUNK = ("__MACOSX",)
"""Folders that the archiver of a system adds."""

_LARGEST = 1 << 30
"""Bytes of a file in a zip that is read as a whole, unpacked."""


def read_returned(path: Path) -> tuple[str, Iterator[Returned]]:
    """The tool, and the images that it has returned, in the order of the file.

    Raises:
        ReviewError: no tool writes this; from the iterator too: it is damaged. OSError: it cannot be read.
    """
    if path.is_dir():
        return _of_files(path, _files_below(path), lambda name: open_to_read(path / name), None)
    suffix = path.suffix.lower()
    if suffix == ".zip":
        with open_to_read(path):  # what the system refuses is no damage
            pass
        try:
            archive = zipfile.ZipFile(path)  # open as long as something reads from it
        except _DAMAGED as error:
            raise ReviewError(f"{path}: cannot be read ({error}); export again") from error
        return _of_files(path, archive.namelist(), archive.open, lambda name: archive.getinfo(name).file_size)
    if suffix == ".xml":
        return "cvat", _read_xml(path, path.name, lambda _: open_to_read(path))
    if suffix == ".json":
        return "labelstudio", _read_json(path)
    raise ReviewError(f"{path}: {_EXPECTED}")


def _of_files(
    path: Path, names: Iterable[str], open_: Callable[[str], IO[bytes]], packed: Callable[[str], int] | None
) -> tuple[str, Iterator[Returned]]:
    """What is in a folder or in a zip. packed: the size of a file of a zip, unpacked; None: it is a folder."""

    def opened(name: str) -> IO[bytes]:
        if packed is not None and (size := packed(name)) > _LARGEST:
            raise ReviewError(f"{path}: `{name}` would have {size >> 20} MiB unpacked; export fewer images at once")
        return open_(name)

    def read(name: str) -> bytes:
        try:
            with opened(name) as file:
                return file.read()
        except _DAMAGED as error:
            if packed is None:
                raise
            raise _damaged(path, name, error) from error

    names = [name for name in names if not any(part in _JUNK or part[:2] == "._" for part in PurePosixPath(name).parts)]
    if (samples := _only(path, names, "samples.json")) is not None:
        folder = PurePosixPath(samples).parent
        return "fiftyone", from_fiftyone.read(
            str(path), lambda name: read(str(folder / name)), lambda name: opened(str(folder / name))
        )
    if (annotations := _only(path, names, "annotations.xml")) is not None:
        return "cvat", _read_xml(path, annotations, open_)
    if any(PurePosixPath(name).parent.name == "SegmentationClass" for name in names):
        return "cvat", from_cvat.read_masks(str(path), names, read)
    raise ReviewError(f"{path}: {_EXPECTED}")


def _only(path: Path, names: Iterable[str], wanted: str) -> str | None:
    """The file of a name, in whatever folder."""
    found = [name for name in names if PurePosixPath(name).name == wanted and not name.endswith("/")]
    if len(found) > 1:
        raise ReviewError(f"{path}: found {' and '.join(f'`{name}`' for name in found)}; import them one by one")
    return found[0] if found else None


def _files_below(path: Path) -> list[str]:
    return [
        Path(folder, name).relative_to(path).as_posix()
        for folder, _, names in walk(path, closed=lambda _: None)
        for name in sorted(names)
    ]


def _damaged(path: Path, name: str, error: Exception) -> ReviewError:
    return ReviewError(f"{path}: `{name}` cannot be read ({error}); export again")


def _read_xml(path: Path, name: str, open_: Callable[[str], IO[bytes]]) -> Iterator[Returned]:
    try:
        with open_(name) as file:
            yield from from_cvat.read_xml(str(path), file)
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.filename:  # the system's word
            raise
        raise _damaged(path, name, error) from error


def _read_json(path: Path) -> Iterator[Returned]:
    with open_to_read(path) as file:
        yield from from_labelstudio.read(str(path), file)
