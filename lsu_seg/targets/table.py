"""Training targets: everything that is known about a pixel's class, as one integer that any transform can carry.

A target map holds, per pixel,

- `0..K-1`: this class;
- the void index (255, or 65535 if there are too many classes): nothing is known, and the loss ignores the pixel;
- the void index + 1 + i: entry i of a `TargetTable`, a set of classes one of which is right, and a weight.

Pseudo-label, row of d and confidence are merged into it when they are loaded, before any transform. A pixel's target
depends on these three values of the same pixel only, and nearest-neighbour resizing, crops, flips and rotations only
move pixels. Three separate maps would have to be moved three times, and MMSeg's `Pad`, `Albu` and `RandomMosaic` handle
only one.

The table belongs to the dataset that makes the targets: a `CompoundDataset` has one for all its members, and a single
`TaxDataset` has its own. `OntologyHook` passes it to the losses and heads before training (`TakesTargetTable`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from lsu_seg.errors import UserError
from lsu_seg.label_files import void_index


class TargetError(UserError):
    """Targets that cannot be made or used. The message says what to change."""


class UnknownTargetError(TargetError):
    """A target that is neither a class, nor void, nor a set of the table."""

    def __init__(self, target: int, message: str) -> None:
        super().__init__(message)
        self.target = target


class TargetSet(NamedTuple):
    """An entry of a table: the classes one of which is right, and a factor on the loss of such pixels."""

    classes: tuple[int, ...]
    weight: float = 1.0


@dataclass(frozen=True)
class TargetTable:
    """The sets that target maps refer to by number. It is immutable, so numbers stay valid.

    Args:
        source: the source taxonomy of the classes.
        num_classes: K.
        entries: the sets; duplicates are dropped.
        groups: the group of each class in the source, `object.vehicle` or empty; () where they are not known.

    Raises:
        TargetError: a set with invalid classes, or too many sets.

    >>> table = TargetTable("demo", 3, [TargetSet((0, 2)), TargetSet((1, 2)), TargetSet((0, 2))])
    >>> table.number((0, 2)), table.number((1, 2))
    (256, 257)
    >>> table.sets.tolist(), table.weights.tolist()
    ([[True, False, True], [False, True, True]], [1.0, 1.0])
    """

    source: str
    num_classes: int
    entries: Iterable[TargetSet] = ()
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        entries = tuple(dict.fromkeys(self.entries))
        object.__setattr__(self, "entries", entries)
        for classes, _ in entries:
            if not classes or sorted({*classes}) != [*classes] or not 0 <= classes[0] <= classes[-1] < self.num_classes:
                raise TargetError(
                    f"a set of the classes {classes}: expected 1 to {self.num_classes} of 0 to {self.num_classes - 1},"
                    " ascending"
                )
        if len(entries) > np.iinfo(self.dtype).max - self.first:
            raise TargetError(f"`{self.source}` has {len(entries)} sets in use, more than 16 bits can number")

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # without cached properties

    @property
    def void(self) -> int:
        """The target of pixels about which nothing is known."""
        return void_index(self.num_classes)

    @property
    def first(self) -> int:
        """The target of entry 0."""
        return self.void + 1

    @property
    def dtype(self) -> Any:
        """The dtype of target maps with sets."""
        return np.uint16 if self.void < 256 else np.int32

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, classes: Iterable[int], weight: float = 1.0) -> int:
        """The target that means "one of these classes, at this weight"."""
        return self._numbers[TargetSet(tuple(classes), weight)]

    @cached_property
    def _numbers(self) -> dict[TargetSet, int]:
        return {entry: self.first + i for i, entry in enumerate(self.entries)}

    @cached_property
    def single(self) -> NDArray[np.int64]:
        """int64 `[void + 1 + S]`: the class that each target is alone; void for void and for sets of several."""
        single = np.full(self.first + len(self), self.void)
        single[: self.num_classes] = np.arange(self.num_classes)
        for number, (classes, _) in enumerate(self.entries, self.first):
            if len(classes) == 1:
                single[number] = classes[0]
        return single

    @cached_property
    def sets(self) -> NDArray[np.bool_]:
        """bool `[S, K]`: the members of each entry."""
        sets = np.zeros((len(self), self.num_classes), bool)
        for row, (classes, _) in zip(sets, self.entries, strict=True):
            row[list(classes)] = True
        return sets

    @cached_property
    def weights(self) -> NDArray[np.float32]:
        """float32 `[S]`: the weight of each entry."""
        return np.array([weight for _, weight in self.entries], np.float32)

    def index(self, target: NDArray[Any]) -> NDArray[np.int64]:
        """Targets without the gap below void: K for void, K + 1 + i for entry i.

        Raises:
            UnknownTargetError: a target that is neither a class, nor void, nor an entry.
        """
        k, void = self.num_classes, self.void
        target = np.asarray(target).astype(np.int64)
        index = np.where(target < k, target, target - void + k)
        if (invalid := (target < 0) | (index > k + len(self)) | ((target >= k) & (target < void))).any():
            first = int(target[invalid][0])
            raise UnknownTargetError(first, f"target {first} is neither a class, nor void, nor one of {len(self)} sets")
        return index

    def classes(self, target: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The class of each target, void if it is not a single class; and whether it is one of several classes."""
        size = self.sets.sum(1)
        single = np.where(size == 1, self.sets.argmax(1), self.void)
        class_of = np.concatenate([np.arange(self.num_classes), [self.void], single])
        several = np.concatenate([np.zeros(self.num_classes + 1, bool), size > 1])
        index = self.index(target)
        return class_of[index], several[index]


def joined(tables: Iterable[TargetTable]) -> TargetTable:
    """One table with the entries of several tables of the same source.

    Raises:
        TargetError: they are of several.
    """
    first, *others = tables
    for other in others:
        if (other.source, other.num_classes) != (first.source, first.num_classes):
            raise TargetError(
                f"a table of `{first.source}` with {first.num_classes} classes and one of `{other.source}` with"
                f" {other.num_classes}; expected tables of the same source"
            )
    entries = [entry for table in (first, *others) for entry in table.entries]
    return TargetTable(first.source, first.num_classes, entries, first.groups)


@runtime_checkable
class TakesTargetTable(Protocol):
    """A loss or a head that is trained on target maps with sets."""

    def use_table(self, table: TargetTable | None) -> None:
        """Read targets by this table from now on. None: the numbers above the void index have no known meaning."""


class TableUser:
    """The shared implementation of `TakesTargetTable` for modules. A table is not part of a checkpoint."""

    source: str | None
    table: TargetTable | None = None

    def use_table(self, table: TargetTable | None) -> None:
        """Read targets by this table, a `dataset.table`. `OntologyHook` calls this; loops without hooks must do so."""
        self.table = table

    def table_of(self, num_classes: int) -> TargetTable:
        """The table in use, or one without sets if none was given.

        Raises:
            TargetError: the table has another source or another number of classes.
        """
        if self.table is None:
            return TargetTable(str(self.source), num_classes)
        if (self.table.source, self.table.num_classes) != (self.source, num_classes):
            raise TargetError(
                f"a {type(self).__name__} of `{self.source}` with {num_classes} classes was given targets of"
                f" `{self.table.source}` with {self.table.num_classes}; expected those of its own source"
            )
        return self.table

    @contextlib.contextmanager
    def explained(self, num_classes: int) -> Iterator[None]:
        """If a target stands for a set and no table was given, say in the error where the table comes from."""
        try:
            yield
        except UnknownTargetError as e:
            if self.table is not None or e.target <= void_index(num_classes):
                raise
            raise TargetError(
                f"target {e.target} stands for a set of classes, and this {type(self).__name__} was given no table of"
                " sets: write `custom_hooks = [dict(type='OntologyHook')]`, which gives it the datasets' table before"
                " training (`lsu-seg train` has it); in a training loop of your own call `use_table(dataset.table)`"
            ) from None


class QueryTargets(NamedTuple):
    """The targets of a head that predicts masks with classes.

    Attributes:
        class_labels: int64 `[M]`, the hard classes of the image.
        mask_labels: bool `[M, H, W]`, their pixels.
        known: bool `[M, H, W]`, whether the ground truth says if the pixel belongs to the mask.
    """

    class_labels: NDArray[np.int64]
    mask_labels: NDArray[np.bool_]
    known: NDArray[np.bool_]


def query_targets(target: NDArray[Any], table: TargetTable) -> QueryTargets:
    """A target map as classes and masks, for heads like Mask2Former's.

    Every class that is the target of some pixel gets a mask. A pixel whose target is a set is known to be outside of
    the masks of all classes that are not in the set. For the classes in the set, and in void pixels, both the mask and
    `known` are False: a loss that samples points draws them where `known` is True.

    Args:
        target: integers `[H, W]`, as given by a `TaxDataset`.
        table: the table of that dataset.

    >>> table = TargetTable("demo", 3, [TargetSet((0, 1))])
    >>> q = query_targets(np.array([[0, 256, 2, 255]]), table)
    >>> q.class_labels.tolist(), q.mask_labels[:, 0].tolist()
    ([0, 2], [[True, False, False, False], [False, False, True, False]])
    >>> q.known[:, 0].tolist()
    [[True, False, True, False], [True, True, True, False]]
    """
    k = table.num_classes
    members = np.concatenate([np.eye(k, dtype=bool), np.ones((1, k), bool), table.sets])
    hard, _ = table.classes(target)
    classes = np.unique(hard[hard < k])
    masks = hard[None] == classes[:, None, None]
    possible = members.T[classes][:, table.index(target)]
    return QueryTargets(classes, masks, masks | ~possible)
