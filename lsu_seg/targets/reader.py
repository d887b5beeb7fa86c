"""Label files of an image → its target map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsu_onto import Constraint
from lsu_seg.label_files import LabelFileError
from lsu_seg.label_files.annotation import Annotation, channel_constraint, read_confidence
from lsu_seg.targets.coder import TargetCoder, Threshold, check_settings, own_table
from lsu_seg.targets.table import TargetTable


class ReadTarget(NamedTuple):
    """The targets of an image.

    Attributes:
        target: integers `[H, W]`.
        rows: int16 `[H, W]`, rows of d; for pseudo-labels without a threshold, channels.
        unknown: the number of pixels whose raw value the taxonomy does not list.
    """

    target: NDArray[Any]
    rows: NDArray[np.int16]
    unknown: int


@dataclass(frozen=True, eq=False)
class TargetReader:
    """How one dataset's label files become target maps.

    Every sample and every worker carries a copy, so everything derived from the settings below is built when it is
    first needed, and is not pickled. To change settings, make another reader (`dataclasses.replace`).

    Attributes:
        constraint: of the dataset's own labels.
        root, split, unknown: as in `Annotation`, for the dataset's own labels.
        pseudo: whether the labels are pseudo-labels.
        threshold, weight: as in `TargetCoder`.
        given: the table of the `CompoundDataset` that the dataset is in, if any.
        examples: some label files of the dataset (see `LabelReader`).
    """

    constraint: Constraint
    root: str | None = None
    split: str = ""
    unknown: str = "error"
    pseudo: bool = False
    threshold: Threshold = None
    weight: float = 1.0
    given: TargetTable | None = None
    examples: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_settings(self.constraint.num_classes, self.threshold, self.weight)

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def table(self) -> TargetTable:
        """The numbers of sets in the target maps."""
        if self.given is not None:
            return self.given
        return own_table(self.constraint, self.threshold, self.weight)

    @cached_property
    def coder(self) -> TargetCoder:
        return TargetCoder(self.constraint, self.threshold, self.weight, self.table)

    @cached_property
    def own(self) -> Annotation:
        """The reader of the dataset's own label files."""
        return Annotation(self.constraint, self.unknown, self.root, self.split, self.examples)

    @cached_property
    def annotation(self) -> Annotation:
        """The reader of the label files for training."""
        return Annotation(channel_constraint(self.constraint)) if self.pseudo else self.own

    def read(self, item: Mapping[str, Any]) -> ReadTarget:
        """The target map of an image.

        Args:
            item: as returned by `TaxDataset.load_data_list`, with `ori_shape` if the image is loaded.

        Raises:
            LabelFileError: a label is unreadable, has a value that the taxonomy does not list, or differs from the
                image in size.
            TargetError: label and pseudo-label differ in size.
        """
        path, image_shape = item["seg_map_path"], item.get("ori_shape")
        rows, unknown = self.annotation.reader.read(path)
        if image_shape is not None and tuple(image_shape[:2]) != rows.shape:
            raise LabelFileError(
                f"{path}: the label is {rows.shape[1]}x{rows.shape[0]} and the image `{item['img_path']}`"
                f" {image_shape[1]}x{image_shape[0]}; they must be of one size, labels are never resized silently"
            )
        if not self.pseudo:
            return ReadTarget(self.coder.own(rows), rows, unknown)
        labels, confidence = self.annotation.channels(rows), None
        if self.coder.sure is not None:
            rows = self.own.load(item["own_path"])[1]
            confidence = read_confidence(item["confidence_path"], labels.shape)
        return ReadTarget(self.coder.pseudo(labels, rows, confidence), rows, unknown)
