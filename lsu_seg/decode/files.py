"""One label file and the logits of any model → one pseudo-label file: `lsu-seg decode`."""

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
        label: its label file. logits: a `.npy` file, float `[K, h, w]`. output: the PNG to write.
        threshold: see `decode_arrays`. unknown: see `label_files`.

    Raises:
        DecodeError: not an array of floats that fits. LabelFileError, TaxonomyError, OSError.
    """
    constraint = lsu_onto.load(taxonomy, source)
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
