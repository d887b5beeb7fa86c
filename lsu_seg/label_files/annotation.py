"""Label files → source channels and rows of d, for a dataset's own labels and for pseudo-labels. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from lsu_onto import ROW_VOID, Constraint
from lsu_seg.label_files import LabelFileError, LabelReader, of_each_row, read_raw, void_index


@dataclass
class Annotation:
    """How one dataset's label files become `gt_seg_map` and `gt_rows`. It is small, because every sample carries it.

    Attributes:
        constraint: of the dataset's own label files, or of pseudo-labels (`channel_constraint`).
        unknown: the treatment of raw values that the taxonomy does not list (see `LabelReader`).
        root, split: the location of the dataset; needed if side files explain its labels (`segments:`).
        examples: some of its label files (see `LabelReader`).
    """

    constraint: Constraint
    unknown: str = "error"
    root: str | None = None
    split: str = ""
    examples: tuple[str, ...] = ()

    @cached_property
    def reader(self) -> LabelReader:
        return LabelReader(
            self.constraint, unknown=self.unknown, root=self.root, split=self.split, examples=self.examples
        )

    def load(self, path: str) -> tuple[np.ndarray, np.ndarray]:
        """`(channels, rows)` of a label file (see `read`)."""
        return self.read(path)[:2]

    def read(self, path: str) -> tuple[np.ndarray, np.ndarray, int]:
        """`(channels, rows, unknown)` of a label file.

        Returns:
            channels: `[H, W]`, uint8 or uint16: the class if S(d) has exactly one; void if it has several or is {void}.
            rows: int16 `[H, W]`: the row of d, or `ROW_VOID`.
            unknown: the number of pixels whose raw value the taxonomy does not list.
        """
        rows, unknown = self.reader.read(path)
        return self.channels(rows), rows, unknown

    def channels(self, rows: np.ndarray) -> np.ndarray:
        """`[H, W]`, uint8 or uint16, as `read` returns them: rows of d → channels."""
        k = self.constraint.num_classes
        void = void_index(k)
        table = np.full(len(self.constraint.relabel) + 1, void, np.uint8 if void < 256 else np.uint16)
        decided = (self.constraint.relabel >= 0) & (self.constraint.relabel < k)
        table[:-1][decided] = self.constraint.relabel[decided]
        return of_each_row(table, rows)


def channel_constraint(constraint: Constraint) -> Constraint:
    """The constraint of pseudo-label files: the identity over the source's channels, with the void index as void."""
    k = constraint.num_classes
    void = void_index(k)
    eye = np.eye(k, k + 1, dtype=bool)
    return replace(
        constraint,
        dataset=constraint.source,
        dataset_version=constraint.source_version,
        classes=constraint.source_classes,
        allowed=eye,
        kind=eye[:, :k].astype(np.uint8),
        certain=eye[:, :k],
        relabel=np.arange(k, dtype=np.int16),
        novel=np.zeros(k, bool),
        raw=np.append(np.arange(k), void).astype(np.uint32),
        raw_row=np.append(np.arange(k), ROW_VOID).astype(np.int16),
        palette=constraint.source_palette,
        encoding="id" if void < 256 else "id16",
        raw_names=(),
        background=ROW_VOID,
        layout=replace(constraint.layout, palettes="ignored"),  # we wrote the values; colours are for viewers
    )


def read_confidence(path: str, shape: tuple[int, ...]) -> np.ndarray:
    """The confidence of a pseudo-label of this size: uint8 `[H, W]`, 255 = 1."""
    confidence = read_raw(path, "id")
    if confidence.dtype != np.uint8 or confidence.shape != shape:
        raise LabelFileError(
            f"{path}: {confidence.shape[1]}x{confidence.shape[0]} of {confidence.dtype}; expected the confidence of a"
            f" pseudo-label of {shape[1]}x{shape[0]}, 8 bits; label again with `lsu-seg pseudo-label`"
        )
    return confidence


def meaning_sha256(constraint: Constraint) -> str:
    """What pseudo-labels were chosen by: a change that `lsu-onto changes` calls breaking makes them stale."""
    return constraint.content_sha256("labels", "map")


def has_meaning(constraint: Constraint, sha256: object) -> bool:
    """Whether labels with this `meaning_sha256` are right under a constraint. At first, `novel` was part of it."""
    return sha256 in (meaning_sha256(constraint), constraint.content_sha256("labels", "map", "novel"))
