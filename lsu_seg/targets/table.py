"""Training targets: everything that is known of a pixel's class, as one integer that any transform can carry.

A target map holds, per pixel,

- `0..K-1`: this class;
- the void index (255; 65535 where there are so many classes): nothing is known, the loss ignores the pixel;
- the void index + 1 + i: entry i of the source's `TargetTable`, a set of classes of which one is right, and a weight.

Pseudo-label, row of d and confidence are merged into it when they are loaded, before any transform: a target is a
function of the three of one pixel, and nearest-neighbour resizing, crops, flips and rotations only move pixels. Three
maps would have to be moved three times, and MMSeg's `Pad`, `Albu` and `RandomMosaic` know only one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsu_onto import Constraint
from lsu_seg.errors import UserError
from lsu_seg.label_files import void_index


class TargetError(UserError):
    """Targets that cannot be made or used. The message says what to change."""


class TargetTable:
    """The sets that target maps of one source refer to by number. It only grows, so numbers stay valid.

    >>> table = TargetTable(3)
    >>> table.add([True, False, True]), table.add([False, True, True]), table.add([True, False, True])
    (256, 257, 256)
    >>> table.sets.tolist(), table.weights.tolist()
    ([[True, False, True], [False, True, True]], [1.0, 1.0])
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.first = void_index(num_classes) + 1
        """The target of entry 0."""
        self._entries: dict[tuple[bytes, float], int] = {}

    def add(self, members: Any, weight: float = 1.0) -> int:
        """The target that means "one of `members` (bool `[K]`), at this weight"; a new one if need be."""
        row = np.asarray(members, bool)
        if row.shape != (self.num_classes,) or not row.any():
            raise TargetError(
                f"a set of {int(row.sum())} of {row.size} classes: expected one of 1 to {self.num_classes}"
                f" of {self.num_classes}"
            )
        return self.first + self._entries.setdefault((row.tobytes(), float(weight)), len(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def sets(self) -> NDArray[np.bool_]:
        """bool `[S, K]`: the members of each entry."""
        rows = b"".join(row for row, _ in self._entries)
        return np.frombuffer(rows, bool).reshape(-1, self.num_classes).copy()

    @property
    def weights(self) -> NDArray[np.float32]:
        """float32 `[S]`: the weight of each entry."""
        return np.array([weight for _, weight in self._entries], np.float32)


_TABLES: dict[tuple[str, int], TargetTable] = {}


def target_table(source: str, num_classes: int) -> TargetTable:
    """The table of a source in this process. Datasets fill it when they are constructed; the loss reads it.

    >>> target_table("nowhere", 3) is target_table("nowhere", 3)
    True
    """
    return _TABLES.setdefault((source, num_classes), TargetTable(num_classes))


class TargetCoder:
    """Labels of one dataset → target maps.

    Args:
        constraint: of the dataset's own labels.
        threshold: in ambiguous pixels, a pseudo-label of at least this confidence is the target; below it the
            target is S(d) in closed rows, and nothing in open ones (a softmax over the K classes would be forced into
            S(d) though the pixel may be none of them). One for all classes, or `[K]`: that of the pseudo-label
            counts. Own labels have no confidence: their ambiguous pixels are all below. None: pseudo-labels are
            targets, whatever their confidence, and own labels say nothing of ambiguous pixels.
        weight: of the dataset's pixels in the loss.

    It is small and travels with every sample into the workers, which need no table.
    """

    def __init__(
        self,
        constraint: Constraint,
        threshold: float | Sequence[float] | None = None,
        weight: float = 1.0,
    ) -> None:
        if weight <= 0:
            raise TargetError(f"a loss weight of {weight}: expected more than 0; leave the dataset out instead")
        k = constraint.num_classes
        self.void = void_index(k)
        self.sure: NDArray[np.int16] | None = None
        """int16, by label, the void index included: the least confidence, 255 = 1, of a hard target."""
        if threshold is not None:
            self.sure = _least_confidence(threshold, k, self.void)
        table = target_table(constraint.source, k)
        self.dtype: Any = np.uint8 if self.void < 256 else np.uint16
        self.classes = np.arange(k)
        if weight != 1:
            self.classes = np.array([table.add(member, weight) for member in np.eye(k, dtype=bool)])
        by_row = np.full(len(constraint.allowed) + 1, self.void)  # ROW_VOID is -1: the last
        self.ambiguous = np.zeros(len(by_row), bool)
        for d, allowed in enumerate(constraint.allowed):
            members = np.flatnonzero(allowed)
            self.ambiguous[d] = len(members) > 1
            if allowed[k]:
                continue
            if len(members) == 1:
                by_row[d] = self.classes[members[0]]
            elif self.sure is not None:
                by_row[d] = table.add(allowed[:k], weight)
        self.uses_table = bool(max(by_row.max(), self.classes.max(initial=0)) > self.void)
        """Whether target maps refer to the table: then only a `SetNLLLoss` understands them."""
        if self.uses_table:
            self.dtype = np.uint16 if self.void < 256 else np.int32
        if self.void < 256 and len(table) > np.iinfo(np.uint16).max - table.first:
            raise TargetError(f"`{constraint.source}` has {len(table)} sets in use, more than 16 bits can number")
        self.by_row = by_row.astype(self.dtype)
        lut = np.full(self.void + 1, self.void)
        lut[:k] = self.classes
        self.of_channel = lut.astype(self.dtype)

    def own(self, rows: NDArray[np.int16]) -> NDArray[Any]:
        """The target map of a dataset's own label: rows int16 `[H, W]` → `[H, W]`."""
        return self.by_row[rows]

    def pseudo(
        self,
        labels: NDArray[Any],
        rows: NDArray[np.int16] | None = None,
        confidence: NDArray[np.uint8] | None = None,
    ) -> NDArray[Any]:
        """The target map of a pseudo-label.

        Args:
            labels: `[H, W]`, channels of the source or the void index.
            rows, confidence: int16 `[H, W]` and uint8 `[H, W]` (255 = 1); needed with a threshold.

        Raises:
            TargetError: one of the two is missing or of another shape.
        """
        targets = self.of_channel[labels]
        if self.sure is None:
            return targets
        if rows is None or confidence is None:
            missing = "rows of d" if rows is None else "confidence"
            raise TargetError(f"a threshold without {missing}: expected both")
        if not rows.shape == confidence.shape == labels.shape:
            raise TargetError(
                f"pseudo-label {labels.shape}, rows {rows.shape} and confidence {confidence.shape} differ in size"
            )
        unsure = self.ambiguous[rows] & (confidence < self.sure[labels])
        return np.where(unsure, self.by_row[rows], targets)


def _least_confidence(threshold: float | Sequence[float], k: int, void: int) -> NDArray[np.int16]:
    least = np.asarray(threshold, float)
    if least.shape not in ((), (k,)):
        raise TargetError(f"thresholds of shape {least.shape}: expected one, or one for each of {k} classes")
    if not (least >= 0).all():
        raise TargetError(f"a threshold of {least.min()}: expected a confidence, 0 to 1, or more for none")
    sure = np.full(void + 1, 256, np.int16)  # what is left void is no hard target, whatever its confidence
    # As the 8-bit image stores it: a confidence that equals the threshold was rounded like it.
    sure[:k] = np.minimum(np.round(255 * least), 256)
    return sure


class QueryTargets(NamedTuple):
    """What a head that predicts masks with classes is trained on.

    class_labels: int64 `[M]`, the hard classes of the image. mask_labels: bool `[M, H, W]`, their pixels.
    known: bool `[M, H, W]`, whether the ground truth says if the pixel belongs to the mask.
    """

    class_labels: NDArray[np.int64]
    mask_labels: NDArray[np.bool_]
    known: NDArray[np.bool_]


def query_targets(target: NDArray[Any], table: TargetTable) -> QueryTargets:
    """A target map as classes and masks, for heads like Mask2Former's.

    Every class that is the target of a pixel gives a mask. A pixel whose target is a set is outside of the masks of
    all classes but the set's; for those, and where nothing is known, the mask says no and `known` says that it does not
    count: a loss that samples points draws them where `known` is true.

    Args:
        target: integers `[H, W]`, as `TaxDataset` gives.
        table: of the source: `target_table(source, K)`.

    >>> table = TargetTable(3)
    >>> either = table.add([True, True, False])
    >>> q = query_targets(np.array([[0, either, 2, 255]]), table)
    >>> q.class_labels.tolist(), q.mask_labels[:, 0].tolist()
    ([0, 2], [[True, False, False, False], [False, False, True, False]])
    >>> q.known[:, 0].tolist()
    [[True, False, True, False], [True, True, True, False]]
    """
    k, void = table.num_classes, table.first - 1
    target = np.asarray(target).astype(np.int64)
    sets = np.concatenate([np.eye(k, dtype=bool), np.ones((1, k), bool), table.sets])
    index = np.where(target < k, target, target - void + k)
    if (invalid := (target < 0) | (index >= len(sets)) | (index < 0) | ((target >= k) & (target < void))).any():
        raise TargetError(f"target {target[invalid][0]} is neither a class, nor void, nor one of {len(table)} sets")
    alone = sets.sum(1) == 1
    hard = np.where(alone, sets.argmax(1), -1)[index]
    if k == 1:
        hard = np.where(target == void, -1, hard)
    classes = np.unique(hard[hard >= 0])
    masks = hard[None] == classes[:, None, None]
    possible = sets.T[classes][:, index]
    return QueryTargets(classes, masks, masks | ~possible)
