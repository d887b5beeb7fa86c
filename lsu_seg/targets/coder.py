"""Pseudo-label, row of d and confidence of a pixel → its target."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsu_onto import Constraint
from lsu_seg.label_files import of_each_row
from lsu_seg.targets.table import TargetError, TargetSet, TargetTable

Threshold = float | Sequence[float] | None


def own_table(constraint: Constraint, threshold: Threshold = None, weight: float = 1.0) -> TargetTable:
    """The sets in a dataset's target maps: those of closed rows, and each class if the weight is not 1.

    Args:
        constraint, threshold, weight: as in `TargetCoder`.
    """
    check_settings(constraint.num_classes, threshold, weight)
    k = constraint.num_classes
    entries = [TargetSet((c,), float(weight)) for c in range(k)] if weight != 1 else []
    if threshold is not None:
        rows = (tuple(np.flatnonzero(allowed).tolist()) for allowed in constraint.allowed)
        entries += [TargetSet(members, float(weight)) for members in rows if len(members) > 1 and k not in members]
    return TargetTable(constraint.source, k, entries, tuple(constraint.source_groups))


def check_settings(num_classes: int, threshold: Threshold, weight: float) -> None:
    """Raise `TargetError` if a threshold or weight is not valid for a `TargetCoder`."""
    if not isinstance(weight, Real) or not 0 < weight < np.inf:
        raise TargetError(f"a loss weight of {weight}: expected more than 0; leave the dataset out instead")
    try:
        least = np.asarray(0.0 if threshold is None else threshold, float)
    except (TypeError, ValueError):
        raise TargetError(f"a threshold of {threshold!r}: expected a confidence, 0 to 1") from None
    if least.shape not in ((), (num_classes,)):
        raise TargetError(f"thresholds of shape {least.shape}: expected one, or one for each of {num_classes} classes")
    if not (least >= 0).all():
        raise TargetError(f"a threshold of {least.min()}: expected a confidence, 0 to 1, or more for none")


class TargetCoder:
    """Labels of one dataset → target maps.

    Args:
        constraint: of the dataset's own labels.
        threshold: in ambiguous pixels, a pseudo-label of at least this confidence is the target. Below it, the target
            is S(d) in closed rows, and void in open ones (a softmax over the K classes would be forced into S(d)
            although the pixel may be none of them). One number for all classes, or `[K]`, of which the number of the
            pseudo-label's class applies. Own labels have no confidence, so all their ambiguous pixels are below it.
            None: pseudo-labels are targets at any confidence, and ambiguous pixels of own labels are void.
        weight: the weight of the dataset's pixels in the loss.
        table: the numbers of sets; it has at least the sets of `own_table`, the default.

    Raises:
        TargetError: a threshold or weight that is not valid.
    """

    def __init__(
        self,
        constraint: Constraint,
        threshold: Threshold = None,
        weight: float = 1.0,
        table: TargetTable | None = None,
    ) -> None:
        check_settings(constraint.num_classes, threshold, weight)
        k = constraint.num_classes
        self.table = own_table(constraint, threshold, weight) if table is None else table
        self.void = self.table.void
        self.sure: NDArray[np.int16] | None = None
        """int16, by label including the void index: the lowest confidence of a hard target, 255 = 1."""
        if threshold is not None:
            self.sure = np.full(self.void + 1, 256, np.int16)  # a void pseudo-label is never a hard target
            # Rounded as the 8-bit confidence image is, so that a confidence equal to the threshold reaches it.
            self.sure[:k] = np.minimum(np.round(255 * np.asarray(threshold, float)), 256)
        classes = np.arange(k)
        if weight != 1:
            classes = np.array([self.table.number([c], weight) for c in range(k)])
        by_row = np.full(len(constraint.allowed) + 1, self.void)  # ROW_VOID is -1, the last entry
        self.ambiguous = np.zeros(len(by_row), bool)
        for d, allowed in enumerate(constraint.allowed):
            members = np.flatnonzero(allowed).tolist()
            self.ambiguous[d] = len(members) > 1
            if allowed[k]:
                continue
            if len(members) == 1:
                by_row[d] = classes[members[0]]
            elif self.sure is not None:
                by_row[d] = self.table.number(members, weight)
        self.has_sets = bool((by_row[self.ambiguous] > self.void).any())
        """Whether some targets are sets of several classes."""
        self.uses_table = bool(max(by_row.max(), classes.max(initial=0)) > self.void)
        """Whether target maps refer to the table; if so, only a `SetNLLLoss` understands them."""
        self.dtype: Any = np.uint8 if self.void < 256 else np.uint16
        if len(self.table):
            # Also where the sets are those of other members: a transform that pastes images of several members into
            # one has the type of the first, and a set's number in 8 bits would be that of a class.
            self.dtype = self.table.dtype
        self.by_row = by_row.astype(self.dtype)
        by_channel = np.full(self.void + 1, self.void)
        by_channel[:k] = classes
        self.by_channel = by_channel.astype(self.dtype)

    def own(self, rows: NDArray[np.int16]) -> NDArray[Any]:
        """The target map of a dataset's own label: rows int16 `[H, W]` → targets `[H, W]`."""
        return of_each_row(self.by_row, rows)

    def pseudo(
        self,
        labels: NDArray[Any],
        rows: NDArray[np.int16] | None = None,
        confidence: NDArray[np.uint8] | None = None,
    ) -> NDArray[Any]:
        """The target map of a pseudo-label.

        Args:
            labels: `[H, W]`, channels of the source or the void index.
            rows, confidence: int16 `[H, W]` and uint8 `[H, W]` (255 = 1); required with a threshold.

        Returns:
            Integers `[H, W]`.

        Raises:
            TargetError: rows or confidence are missing or have another shape.
        """
        targets: NDArray[Any] = self.by_channel[labels]
        if self.sure is None:
            return targets
        if rows is None or confidence is None:
            missing = "rows of d" if rows is None else "confidence"
            raise TargetError(f"a threshold without {missing}: expected both")
        if not rows.shape == confidence.shape == labels.shape:
            raise TargetError(
                f"pseudo-label {labels.shape}, rows {rows.shape} and confidence {confidence.shape} differ in size"
            )
        unsure = of_each_row(self.ambiguous.view(np.uint8), rows).view(bool) & (confidence < self.sure[labels])
        return np.where(unsure, of_each_row(self.by_row, rows), targets)
