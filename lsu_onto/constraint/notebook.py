"""A constraint as the table that a notebook shows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lsu_onto.constraint.arrays import Constraint
from lsu_onto.ontology.html import Colour, Row, table

_OPERATORS = ("", "=", "<", ">", "~")
"""Of the codes in `Constraint.kind`."""


def constraint_table(c: Constraint) -> str:
    """A row per dataset class, with the operators of its relations and S(d). Arrays do not have how it was written."""
    to = f" → {c.source} {c.source_version}" if c.source_classes else ""
    source = dict(zip(c.source_classes, map(_colour, c.source_palette.tolist()), strict=True))
    rows = (
        Row(name, _colour(rgb), " ".join(_operators(c, d)), c.names(d)) if to else Row(name, _colour(rgb), "", ())
        for d, (name, rgb) in enumerate(zip(c.classes, c.palette.tolist(), strict=True))
    )
    return table(f"{c.dataset} {c.dataset_version}{to}", rows, source)


def _colour(rgb: list[int]) -> Colour:
    red, green, blue = rgb
    return red, green, blue


def _operators(c: Constraint, d: int) -> Iterator[str]:
    if c.novel[d]:
        yield "! any"
    elif not c.allowed[d, :-1].any():
        yield "-> void"
    elif not c.kind[d].any():
        yield "-> any"
    else:
        yield from (_OPERATORS[code] for code in np.unique(c.kind[d][c.allowed[d, :-1]]).tolist())
