"""Which tool a file or a folder comes from."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from lsu_onto import open_to_read, walk
from lsu_seg.review import from_cvat, from_fiftyone, from_labelstudio
from lsu_seg.review.errors import ReviewError
from lsu_seg.review.returned import Returned

_EXPECTED = (
    'expected what the tool exports: from CVAT "CVAT for images 1.1" or "Segmentation mask 1.1" (.zip, .xml or the'
    ' unpacked folder), from Label Studio "JSON" (.json), from FiftyOne the folder of a `FiftyOneDataset`'
)


def read_returned(path: Path) -> tuple[str, Iterator[Returned]]:
    """The tool, and the images that it has returned, in the order of the file.

    Raises:
        ReviewError: no tool writes this; from the iterator too: it is damaged. OSError: it cannot be read.
    """
    if path.is_dir():
        return _of_files(path, _files_below(path), lambda name: _bytes(path / name))
    if path.suffix == ".zip":
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except zipfile.BadZipFile as error:
            raise ReviewError(f"{path}: cannot be read ({error}); export again") from error
        return _of_files(path, names, lambda name: _member(path, name))
    if path.suffix == ".xml":
        return "cvat", _read_xml(path)
    if path.suffix == ".json":
        return "labelstudio", _read_json(path)
    raise ReviewError(f"{path}: {_EXPECTED}")


def _of_files(path: Path, names: list[str], read: Callable[[str], bytes]) -> tuple[str, Iterator[Returned]]:
    plain = {PurePosixPath(name).name: name for name in names}
    if "samples.json" in plain:
        folder = PurePosixPath(plain["samples.json"]).parent
        return "fiftyone", from_fiftyone.read(str(path), lambda name: read(str(folder / name)))
    if "annotations.xml" in plain:
        return "cvat", from_cvat.read_xml(str(path), io.BytesIO(read(plain["annotations.xml"])))
    if any(PurePosixPath(name).parent.name == "SegmentationClass" for name in names):
        return "cvat", from_cvat.read_masks(str(path), names, read)
    raise ReviewError(f"{path}: {_EXPECTED}")


def _files_below(path: Path) -> list[str]:
    return [
        Path(folder, name).relative_to(path).as_posix()
        for folder, _, names in walk(path, closed=lambda _: None)
        for name in sorted(names)
    ]


def _bytes(path: Path) -> bytes:
    with open_to_read(path) as file:
        return file.read()


def _member(path: Path, name: str) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, KeyError) as error:  # encrypted, cut off, damaged
        raise ReviewError(f"{path}: `{name}` cannot be read ({error}); export again") from error


def _read_xml(path: Path) -> Iterator[Returned]:
    with open_to_read(path) as file:
        yield from from_cvat.read_xml(str(path), file)


def _read_json(path: Path) -> Iterator[Returned]:
    with open_to_read(path) as file:
        yield from from_labelstudio.read(str(path), file)
