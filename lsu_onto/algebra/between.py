"""What the channels of a source may be in another source: the map of a model that predicts them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsu_onto.algebra.compose import composed_rows
from lsu_onto.algebra.ways import way_between
from lsu_onto.errors import UserError
from lsu_onto.library.library import Library


class ClassMap(NamedTuple):
    """From a source to another.

    Attributes:
        classes: C names, by channel of the one. to_classes: K names, by channel of the other.
        allowed: bool `[C, K+1]`; which of the K each of the C may be, the last column void.
        way: the taxonomies on the way, from the one to the other.
    """

    classes: tuple[str, ...]
    to_classes: tuple[str, ...]
    allowed: NDArray[np.bool_]
    way: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """Over what it says."""
        text = repr((self.classes, self.to_classes)).encode()
        return hashlib.sha256(text + np.packbits(self.allowed).tobytes()).hexdigest()


def class_map(library: Library, source: str, to: str, through: Iterable[str] = ()) -> ClassMap:
    """See `lsu_onto.class_map`."""
    through = through if isinstance(through, str) else list(through)
    if isinstance(through, str) or any(not isinstance(name, str) for name in through):
        raise UserError(f"`through` is {through!r}; expected a list of the names of taxonomies")
    steps = way_between(library, source, [*through, to])
    names = [f"{t.name} {t.version}" for t in (steps[0].start, *(step.end for step in steps))]
    return ClassMap(
        tuple(c.name for c in steps[0].start.classes),
        tuple(c.name for c in steps[-1].end.classes),
        np.stack([row.allowed for row in composed_rows(steps)]),
        tuple(dict.fromkeys(names)),
    )
