"""A label file and the logits of any model → a pseudo-label file, for `lsu-seg decode`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import lsu_onto
from lsu_seg.decode import DecodeError, decode_arrays
from lsu_seg.label_files import LabelReader, write_labels


def decode_file(
    taxonomy: str,
    source: str | None,
    label: str,
    logits: str,
    output: str,
    threshold: float | None = None,
    unknown: str = "error",
) -> None:
    """Write the pseudo-label of one image.

    Args:
        taxonomy, source: as for `lsu_onto.load`.
        label: the label file of the image.
        logits: a `.npy` file, float `[K, h, w]`.
        output: the PNG to write; its folder is made if it does not exist.
        threshold: as for `decode_arrays`.
        unknown: as for `LabelReader`.

    Raises:
        DecodeError: the logits are not an array of floats or do not fit, the labels need side files (`segments:`), or
            the output is one of the inputs or not a PNG.
        LabelFileError: the label file is unreadable, or has unlisted values.
        TaxonomyError: the taxonomy cannot be loaded.
        OSError: a file cannot be read or written.
    """
    if Path(output).suffix.lower() != ".png":
        raise DecodeError(f"{output}: pseudo-labels are PNG files; name it `{Path(output).with_suffix('.png')}`")
    if any(Path(output).resolve() == Path(file).resolve() for file in (label, logits)):
        raise DecodeError(f"{output}: is an input too, and would be lost; write the pseudo-label to another file")
    constraint = lsu_onto.load(taxonomy, source)
    if constraint.encoding in ("panoptic-rgb", "rle"):
        raise DecodeError(
            f"{label}: tables of the dataset explain the labels of `{taxonomy}` (`encoding: {constraint.encoding}`), so"
            " a file alone says nothing; label the dataset with `lsu-seg pseudo-label`, or write the file's classes"
            " as `encoding: id` and name a taxonomy that says so"
        )
    try:
        array = np.load(logits, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError):
        raise DecodeError(f"{logits}: not a `.npy` file; save the logits with `numpy.save`") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        found = f"an array of {array.dtype}" if isinstance(array, np.ndarray) else "an archive of arrays"
        raise DecodeError(f"{logits}: {found}; expected one array of floats, [K, h, w]")
    rows = LabelReader(constraint, unknown=unknown).rows(label)
    labels, _ = decode_arrays(array, rows, constraint, threshold, logits)
    Path(output).absolute().parent.mkdir(parents=True, exist_ok=True)
    write_labels(output, labels, constraint.source_palette)
