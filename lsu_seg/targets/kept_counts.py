"""Counts over the label files of a dataset, kept beside its pseudo-labels until a file or a taxonomy changes."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsu_onto import open_to_read, write_atomic
from lsu_seg.label_files import size_and_time
from lsu_seg.label_files.annotation import Annotation


def digest_of(items: Iterable[Mapping[str, Any]], keys: Iterable[str], own: Annotation, *settings: str) -> str:
    """sha256 over what counts depend on: the meaning of the dataset's labels, its files, and settings.

    Args:
        items: as returned by `TaxDataset.load_data_list`. keys: which of their files are read. own: the reader of the
            dataset's own labels.
    """
    digest = hashlib.sha256("\n".join((own.constraint.content_sha256("labels", "map"), *settings)).encode())
    for table in own.reader.tables():
        digest.update(f"{table.name} {size_and_time(table)}\n".encode("utf-8", "surrogateescape"))
    for item in items:
        for key in keys:
            digest.update(f"{item['key']} {size_and_time(item[key])}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def kept_counts(
    cache: Path, digest: str, shape: tuple[int, ...], count: Callable[[], NDArray[np.int64]]
) -> NDArray[np.int64]:
    """The counts in a file, int64 of a shape; or what `count` returns, which is then kept there."""
    kept = _read(cache, digest, shape)
    if kept is not None:
        return kept
    counts = count()
    with contextlib.suppress(OSError):  # in a read-only folder, every run counts again
        kept_text = json.dumps({"of": digest, "counts": counts.tolist()}, separators=(",", ":"))  # of many images
        write_atomic(cache, kept_text.encode())
    return counts


def _read(path: Path, digest: str, shape: tuple[int, ...]) -> NDArray[np.int64] | None:
    """The kept counts, or None if there are none for these images."""
    try:
        with open_to_read(path) as file:
            kept = json.loads(file.read())
        if kept["of"] == digest:
            return np.array(kept["counts"], np.int64).reshape(shape)
    except (OSError, ValueError, RecursionError, KeyError, TypeError, OverflowError):
        return None
    return None
