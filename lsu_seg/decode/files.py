"""Label files and the logits of any model → pseudo-label files, for `lsu-seg decode`."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import lsu_onto
from lsu_onto import open_to_read, walk, write_atomic
from lsu_seg.decode import DecodeError, View, decode_arrays
from lsu_seg.decode.checks import check_logits
from lsu_seg.label_files import LabelReader, encode_confidence, parse_encoding, write_labels

_IMAGES = (".png", ".tif", ".tiff", ".bmp")
"""Suffixes of label files in a folder, where they are images."""


class Job(NamedTuple):
    """The files of one image; `confidence` is None if it is not to be written."""

    label: Path
    logits: Path
    output: Path
    confidence: Path | None


def decode_files(
    taxonomy: str,
    source: str | None,
    label: str,
    logits: str,
    output: str,
    threshold: float | None = None,
    unknown: str = "error",
    confidence: bool = False,
    align_corners: bool = False,
    paths: Sequence[str] = (),
    track: Callable[[list[Job]], Iterable[Job]] = iter,
) -> list[str]:
    """Write the pseudo-label of one image, or of all images of a folder.

    Args:
        taxonomy, source, paths: as for `lsu_onto.load`.
        label: the label file of the image, or a folder of them.
        logits: a `.npy` file, float `[K, h, w]`; or a folder: the logits of `label/KEY.png` are `logits/KEY.npy`.
        output: the PNG to write, or the folder of `KEY.png`. Folders are made if they do not exist.
        threshold: as for `decode_arrays`.
        unknown: as for `LabelReader`.
        confidence: also write `confidence/KEY.png` into the output's folder, as labelling does.
        align_corners: as for `View`.
        track: passes the jobs on, to show progress.

    Returns:
        What the user should know: labels of the folder that have no logits.

    Raises:
        DecodeError: the logits are not an array of floats or do not fit, the labels need side files (`segments:`), no
            files belong together, or the output is one of the inputs or not a PNG.
        LabelFileError: a label file is unreadable, or has unlisted values.
        TaxonomyError: the taxonomy cannot be loaded.
        OSError: a file cannot be read or written.
    """
    constraint = lsu_onto.load(taxonomy, source, paths)
    if constraint.encoding in ("panoptic-rgb", "rle"):
        raise DecodeError(
            f"{label}: tables of the dataset explain the labels of `{taxonomy}` (`encoding: {constraint.encoding}`), so"
            " a file alone says nothing; label the dataset with `lsu-seg pseudo-label`, or write the file's classes"
            " as `encoding: id` and name a taxonomy that says so"
        )
    notes: list[str] = []
    if Path(label).is_dir() or Path(logits).is_dir():
        suffixes = (".json",) if parse_encoding(constraint.encoding)[0] == "polygons" else _IMAGES
        jobs = _in_folders(Path(label), Path(logits), Path(output), suffixes, notes)
    else:
        out = Path(output)
        if out.is_dir():
            raise DecodeError(f"{out}: is a folder; name the PNG to write, such as `{out / Path(label).stem}.png`")
        if out.suffix.lower() != ".png":
            raise DecodeError(f"{output}: pseudo-labels are PNG files; name it `{out.with_suffix('.png')}`")
        jobs = [Job(Path(label), Path(logits), out, out.parent / "confidence" / out.name)]
    for job in jobs:
        written = {job.output.resolve(), job.confidence.resolve() if job.confidence else None}
        if written & {job.label.resolve(), job.logits.resolve()}:
            raise DecodeError(f"{job.output}: is an input too, and would be lost; write the pseudo-label elsewhere")
    reader = LabelReader(constraint, unknown=unknown)
    for job in track(jobs):
        array = _logits(job.logits)
        check_logits(array.shape, constraint, str(job.logits))
        rows = reader.rows(job.label)
        view = View(array, align_corners=align_corners)  # type: ignore[arg-type]
        decoded = decode_arrays([view], rows, constraint, threshold, str(job.logits))
        write_labels(job.output, decoded.labels, constraint.source_palette)
        if confidence and job.confidence:
            write_atomic(job.confidence, encode_confidence(decoded.confidence))
    return notes


def _in_folders(label: Path, logits: Path, output: Path, suffixes: tuple[str, ...], notes: list[str]) -> list[Job]:
    """The jobs of two folders. Labels without logits are left out, with a note."""
    for given, other in ((label, logits), (logits, label)):
        if not given.is_dir():
            raise DecodeError(f"{given}: not a folder, and {other} is one; give two files or two folders")
    if output.is_file():
        raise DecodeError(f"{output}: is a file; expected a folder to write to, because {label} is one")
    for folder in (label, logits):
        if output.resolve().is_relative_to(folder.resolve()) or folder.resolve().is_relative_to(output.resolve()):
            raise DecodeError(f"{output}: is {folder}, or one lies in the other; write pseudo-labels to another folder")
    labels = _by_key(label, suffixes)
    arrays = _by_key(logits, (".npy",))
    if not arrays:
        raise DecodeError(f"{logits}: found no `.npy` file; save the logits of each image with `numpy.save`")
    if not labels:
        raise DecodeError(f"{label}: found no label file ({', '.join(suffixes)})")
    if alone := sorted(arrays.keys() - labels.keys()):
        raise DecodeError(
            f"{logits}: {len(alone)} of {len(arrays)} logits have no label, e.g. {alone[0]}.npy; expected"
            f" {label / alone[0]}{suffixes[0]}: logits are named as the label of their image (a label here is"
            f" {next(iter(labels.values()))})"
        )
    if left_out := len(labels) - len(arrays):
        example = min(labels.keys() - arrays.keys())
        notes.append(f"{label}: {left_out} of {len(labels)} labels have no logits, e.g. {example}; they are left out")
    return [
        Job(labels[key], arrays[key], output / f"{key}.png", output / "confidence" / f"{key}.png")
        for key in sorted(arrays)
    ]


def _by_key(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """The files below a folder by their path in it without suffix; hidden files do not count."""
    found: dict[str, Path] = {}
    files: list[Path] = []
    for here, below, names in walk(folder, _closed):
        below[:] = (name for name in below if not name.startswith("."))
        files += (Path(here, name) for name in names if not name.startswith("."))
    for path in sorted(file for file in files if file.suffix.lower() in suffixes):
        key = path.relative_to(folder).with_suffix("").as_posix()
        if key in found:
            raise DecodeError(f"{path}: beside it is {found[key].name}, and one name means one image; remove one")
        found[key] = path
    return found


def _closed(error: OSError) -> None:
    raise error  # files below it would be missing without a word


_LARGE = 1 << 30
"""Bytes of logits that may be more than the memory holds; a smaller file was cut off."""


def _logits(path: Path) -> NDArray[Any]:
    expected = "expected one array of floats, [K, h, w]"
    array: NDArray[Any] | None = None
    names: list[str] = []
    size = 0
    try:
        with open_to_read(path) as file:
            is_archive = file.read(2) == b"PK"
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            if is_archive:
                with zipfile.ZipFile(file) as archive:
                    names = [name.removesuffix(".npy") for name in archive.namelist()]
            else:  # not mapped: where such a file is written anew meanwhile, the process dies without a word
                array = np.load(file, allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # numpy evaluates the header, so a damaged one raises anything, a MemoryError, too
        if isinstance(error, MemoryError) and size > _LARGE:
            raise
        if "Object arrays" in str(error):
            raise DecodeError(f"{path}: an array of Python objects; {expected}") from None
        raise DecodeError(f"{path}: not a `.npy` file, or cut off; save the logits with `numpy.save`") from None
    if array is None:
        raise DecodeError(f"{path}: an archive ({', '.join(names)}); {expected}: save it alone, with `numpy.save`")
    if array.dtype.kind != "f":
        raise DecodeError(f"{path}: an array of {array.dtype}; {expected}")
    return array
