"""Small hand-made `Constraint`s for the tests of `lsu_seg`, so that they need no taxonomy files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lsu_onto.constraint.arrays import KINDS, ROW_VOID, Constraint, Layout

SYMBOLS = {"=": 1, "<": 2, ">": 3, "~": 4}


def make_constraint(
    source: Sequence[str],
    rows: Mapping[str, str],
    *,
    raw: Mapping[int, str] | None = None,
    encoding: str = "id",
    novel: Sequence[str] = (),
    palette: Sequence[int] | None = None,
    name: str = "src",
) -> Constraint:
    """Build a constraint from rows such as `{"vehicle": "> truck ~ car void", "rock": "void"}`.

    A word after `=`, `<`, `>` or `~` has that kind; `any` allows everything and void without a kind. `raw` maps raw
    values to class names or `"void"`; without it class i has raw value i, and 255 is void.
    """
    k, d = len(source), len(rows)
    allowed, kind = np.zeros((d, k + 1), bool), np.zeros((d, k), np.uint8)
    for i, text in enumerate(rows.values()):
        symbol = 0
        for word in text.split():
            if word in SYMBOLS:
                symbol = SYMBOLS[word]
            elif word == "any":
                allowed[i] = True
            elif word == "void":
                allowed[i, k] = True
            else:
                allowed[i, source.index(word)] = True
                kind[i, source.index(word)] = symbol
    classes = tuple(rows)
    raw = {**dict(enumerate(classes)), 255: "void"} if raw is None else dict(sorted(raw.items()))
    single = allowed.sum(1) == 1
    colours = np.arange(3 * (d + k), dtype=np.uint8).reshape(-1, 3)
    if palette is not None:
        colours[:d] = [[c >> 16, c >> 8 & 255, c & 255] for c in palette]
    return Constraint(
        dataset="field",
        dataset_version="v1",
        source=name,
        source_version="v1",
        classes=classes,
        source_classes=tuple(source),
        allowed=allowed,
        kind=kind,
        certain=(kind == KINDS.index("equal")) | (kind == KINDS.index("contains")),
        relabel=np.where(single, allowed.argmax(1), -1).astype(np.int16),
        novel=np.isin(classes, list(novel)) if novel else np.zeros(d, bool),
        raw=np.array(list(raw), np.uint32),
        raw_row=np.array([ROW_VOID if c == "void" else classes.index(c) for c in raw.values()], np.int16),
        palette=colours[:d],
        source_palette=colours[d:],
        encoding=encoding,
        layout=Layout(),
        sha256="0" * 64,
    )
