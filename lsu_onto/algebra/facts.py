"""What a map says of pixels, as a matrix: which class of the dataset may meet which class of the source.

The universe is all pixels. Each pixel is of one class of a taxonomy, or void: none of its classes, or not annotated. So
the void of a dataset is a row of the matrix, and that of a source is a column. What a map says about inclusion follows
from what it rules out: d lies inside s if no other column of its row is left, and s inside d if no other row is.

An operator is read as weakly as it may be meant: `<` and `>` do not say that the two differ, and `~` says no more than
that a pixel may be of both. Decisions say nothing, except what `-> any ! x` excludes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsu_onto.ontology.model import MapRow, Ontology, Taxonomy

Matrix = NDArray[np.bool_]

_SMALL = 1 << 22
"""Steps that are taken as numbers sooner than rows are put together."""

EQUAL, INSIDE, CONTAINS, OVERLAPS, DISJOINT = 1, 2, 4, 8, 16
"""The five relations of RCC-5, as bits of a set."""


def facts(o: Ontology) -> Matrix:
    """Which pairs may share a pixel, bool [D + 1, K + 1]; the last row and column are void.

    A source class that one row claims whole (`=`, `>`) is in no other row, whatever that says: the classes of a dataset
    are disjoint.
    """
    k = len(o.source.classes)
    may = np.ones((len(o.dataset.classes) + 1, k + 1), bool)
    claims: list[tuple[int, int]] = []
    for row in o.rows:
        if row.poisoned or ignores(row):
            continue
        meaning = row.meaning(k)
        may[row.cls] = False
        may[row.cls, [*meaning.channels, *([k] if meaning.void else [])]] = True
        claims += [(row.cls, c) for c, op in meaning.channels.items() if op in "=>"]
    for d, c in claims:
        may[:, c] = False
        may[d, c] = True
    return may


def ignores(row: MapRow) -> bool:
    """Whether a row is `-> void`: its pixels may be anything, and are not used."""
    return row.decision is not None and row.decision.to == "void"


class Step(NamedTuple):
    """A map on a way from one taxonomy to another. A map can be walked from its source to its dataset, too."""

    map: Ontology
    backwards: bool = False

    @property
    def start(self) -> Taxonomy:
        return self.map.source if self.backwards else self.map.dataset

    @property
    def end(self) -> Taxonomy:
        return self.map.dataset if self.backwards else self.map.source

    @property
    def may(self) -> Matrix:
        return facts(self.map).T if self.backwards else facts(self.map)


def product(a: Matrix, b: Matrix) -> Matrix:
    """Which pairs may share a pixel by way of a taxonomy between them.

    A class meets few others, so it costs little to put together what these meet, as bits; as numbers, thousands of
    classes would take minutes.
    """
    if a.size * b.shape[1] < _SMALL:
        small: Matrix = (a.astype(np.float32) @ b.astype(np.float32)) > 0
        return small
    return _united(b.T, a.T).T if a.sum() > b.sum() else _united(a, b)


def _united(choices: Matrix, rows: Matrix) -> Matrix:
    """For each row of choices, what is true in any of the rows that it chooses."""
    bits = np.packbits(rows, axis=1)
    united = np.array([np.bitwise_or.reduce(bits[chosen], axis=0) for chosen in choices], np.uint8)
    return np.unpackbits(united.reshape(len(choices), bits.shape[1]), axis=1, count=rows.shape[1]).astype(bool)


def along(matrices: Sequence[Matrix]) -> Matrix:
    """Which classes of the first taxonomy may meet which of the last, by way of all between them."""
    return reduce(product, matrices)


def possible(matrices: Sequence[Matrix]) -> NDArray[np.uint8]:
    """For each class of the first and of the last taxonomy, the relations that some world of pixels has.

    A world has pixels on any of the ways that the matrices leave, and at least one of each class. More pixels break no
    rule, so a relation is possible if every class still has a way when those that it rules out are gone.

    Args:
        matrices: of the maps on the way, one or more.

    Returns:
        uint8 [D, K], sets of the bits above; all of them 0 if no world keeps the maps.
    """
    ends = along(matrices)
    before = _prefixes(matrices)
    after = [m.T for m in reversed(_prefixes([m.T for m in reversed(matrices)]))]
    classes = [b[:, :-1] for b in before]  # not void, which may have no pixel
    reaches_d = np.hstack(classes)  # [d, class]: the ways to the class begin in d, among others
    only_d = reaches_d & (reaches_d.sum(0) == 1)
    reaches_t = np.vstack([a[:-1] for a in after])  # [class, t]
    only_t = reaches_t & (reaches_t.sum(1) == 1)[:, None]
    if not (reaches_d.any(0).all() and reaches_t.any(1).all()):
        return np.zeros((len(ends) - 1, ends.shape[1] - 1), np.uint8)
    meet = ends
    not_all_of_d = (ends.sum(1) > 1)[:, None]
    not_all_of_t = (ends.sum(0) > 1)[None]
    inside = meet & ~product(only_d, ~reaches_t)  # every class has pixels without those of d outside t
    contains = meet & ~product(~reaches_d, only_t)
    sets = np.zeros(ends.shape, np.uint8)
    sets[inside & contains] |= EQUAL
    sets[inside & not_all_of_t] |= INSIDE
    sets[contains & not_all_of_d] |= CONTAINS
    sets[meet & not_all_of_d & not_all_of_t] |= OVERLAPS
    sets[~product(only_d, only_t)] |= DISJOINT
    return sets[:-1, :-1]


def _prefixes(matrices: Sequence[Matrix]) -> list[Matrix]:
    """The first taxonomy against each on the way, itself first."""
    return list(accumulate(matrices, product, initial=np.eye(len(matrices[0]), dtype=bool)))
