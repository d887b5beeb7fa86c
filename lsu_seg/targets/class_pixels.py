"""How many pixels of each class the targets of a dataset's images have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsu_seg.label_files import count_rows
from lsu_seg.runtime.progress import track
from lsu_seg.runtime.side_by_side import side_by_side
from lsu_seg.targets.kept_counts import digest_of, kept_counts
from lsu_seg.targets.reader import TargetReader
from lsu_seg.targets.table import TargetTable


def class_counts(target: NDArray[Any], table: TargetTable) -> NDArray[np.int64]:
    """The pixels of each class in a target map, int64 `[K + 2]`: the K classes, then sets, then void.

    A set counts for none of its classes: the loss on it teaches none of them in particular.

    >>> from lsu_seg.targets.table import TargetSet
    >>> table = TargetTable("demo", 2, [TargetSet((0, 1)), TargetSet((1,), 0.5)])
    >>> class_counts(np.array([[0, 0, 1, 255, 256, 257]]), table).tolist()
    [2, 2, 1, 1]
    """
    return _by_class(np.bincount(target.ravel(), minlength=len(table.single)), table)


def _by_class(counts: NDArray[np.int64], table: TargetTable) -> NDArray[np.int64]:
    """The counts of targets, int64 `[void + 1 + S]`, as those of classes, sets and void."""
    k = table.num_classes
    out = np.zeros(k + 2, np.int64)
    alone = table.single < k
    np.add.at(out, table.single[alone], counts[alone])
    out[k + 1] = counts[table.void]
    out[k] = counts.sum() - out.sum()
    return out


def count_classes(
    items: Sequence[Mapping[str, Any]], reader: TargetReader, folder: Path | None, title: str
) -> NDArray[np.int64]:
    """`class_counts` of every image, int64 `[N, K + 2]`; this reads all of a dataset's labels.

    Args:
        items: as returned by `TaxDataset.load_data_list`.
        folder: that of the pseudo-labels, where the counts are kept in `classes.json`. None: they are not kept.
        title: the title of the progress bar.

    Raises:
        LabelFileError: as `TargetReader.read`.
    """
    width = reader.constraint.num_classes + 2
    of_image = partial(_counts_of_image, reader)

    def count() -> NDArray[np.int64]:
        out = np.zeros((len(items), width), np.int64)
        for row, counts in zip(out, track(side_by_side(of_image, items), title, len(items)), strict=True):
            row[:] = counts
        return out

    if folder is None:
        return count()
    keys = ("seg_map_path", *(("confidence_path", "own_path") if reader.coder.sure is not None else ()))
    digest = digest_of(items, keys, reader.own, repr(reader.threshold))
    return kept_counts(folder / "classes.json", digest, (len(items), width), count)


def _counts_of_image(reader: TargetReader, item: Mapping[str, Any]) -> NDArray[np.int64]:
    if reader.pseudo:
        return class_counts(reader.read(item).target, reader.table)
    _, rows, _ = reader.annotation.read(item["seg_map_path"])  # the target of a pixel is that of its row
    of_row = count_rows(rows, len(reader.constraint.allowed))
    counts = np.zeros(len(reader.table.single), np.int64)
    np.add.at(counts, reader.coder.by_row, np.append(of_row, rows.size - of_row.sum()))
    return _by_class(counts, reader.table)
