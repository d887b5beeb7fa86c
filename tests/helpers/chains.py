"""Small worlds of pixels with three taxonomies, and maps as people write them, from tight to loose.

A pixel is (d, s, t); the number of classes of a taxonomy is its void. What a row means is spelt out here again, apart
from the code that is tested.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from lsu_onto.library.library import Library
from lsu_onto.ontology.model import Ontology

FOLDER = "/world"


@dataclass(frozen=True)
class Row:
    """`ops`: class → operator, of the classes that may be; a decision has none. `void`: it may be, too."""

    ops: dict[int, str] = field(default_factory=dict)
    void: bool = False
    decision: str = ""
    excluded: tuple[int, ...] = ()

    def text(self, prefix: str) -> str:
        if self.decision:
            return (
                f"-> {self.decision}"
                + "".join(f" ! {prefix}{c}" for c in self.excluded[:1])
                + "".join(f" {prefix}{c}" for c in self.excluded[1:])
            )
        if not self.ops:
            return "! any"
        words = [f"{op} " + " ".join(f"{prefix}{c}" for c, o in self.ops.items() if o == op) for op in "=<>~"]
        return " ".join([w for w in words if len(w) > 2] + (["~ void"] if self.void else []))


def tight(own: int, k: int, pairs: set[tuple[int, int]]) -> Row:
    """The row of a class as the pixels are."""
    targets = {t for o, t in pairs if o == own}
    whole = {t for t in targets if {o for o, u in pairs if u == t} == {own}}
    ops = {t: (">" if t in whole else "~") for t in sorted(targets - {k})}
    if len(targets) == 1 and ops:
        ops = {t: "=" if t in whole else "<" for t in ops}
    return Row(ops, k in targets)


def loosened(row: Row, k: int, rng: random.Random) -> Row:
    """The same row, or one that says less."""
    how = rng.choice(["as it is"] * 12 + ["weaker", "wider", "wider", "void", "any", "ignore"])
    if how == "any":
        absent = [] if row.decision else [c for c in range(k) if c not in row.ops]
        return Row(decision="any", excluded=tuple(rng.sample(absent, rng.randint(0, len(absent)))))
    if how == "ignore":
        return Row(decision="void")
    if how == "as it is":
        return row
    ops = {c: rng.choice([op, "<" if op in "=<" else "~"]) for c, op in row.ops.items()}
    void = row.void or how == "void"
    if how == "wider" and k:
        ops |= {c: "~" for c in rng.sample(range(k), rng.randint(1, k)) if c not in ops}
    if len(ops) + void > 1:
        ops = {c: {"=": ">", "<": "~"}.get(op, op) for c, op in ops.items()}
    if not ops:
        return row
    if len(ops) == 1 and not void:
        ops = {c: {">": "=", "~": "<"}.get(op, op) for c, op in ops.items()}
    return Row(dict(sorted(ops.items())), void)


def mapped(n: int, k: int, pairs: set[tuple[int, int]], rng: random.Random) -> list[Row]:
    """A map that is true of the pixels: (class, class), void last in both."""
    rows = [loosened(tight(i, k, pairs), k, rng) for i in range(n)]
    claimed = {c for row in rows for c, op in row.ops.items() if op in "=>"}
    out = []
    for row in rows:  # what another row claims whole may not be held (TAX306)
        ops = {c: op for c, op in row.ops.items() if op in "=>" or c not in claimed}
        if ops != row.ops and not ops:
            ops, void = {}, True
        elif len(ops) == 1 and not row.void:
            ops, void = {c: {">": "=", "~": "<"}.get(op, op) for c, op in ops.items()}, False
        else:
            void = row.void
        out.append(Row(ops, void, row.decision, row.excluded))
    return out


def text(sizes: tuple[int, int, int], first: list[Row], second: list[Row]) -> str:
    """Both maps as a file. The dataset `middle` has the classes of the source `s`."""
    n, m, k = sizes
    lines = ["tax 1", "source s v1", *(f"{i} s{i}" for i in range(m)), "source t v1", *(f"{i} t{i}" for i in range(k))]
    lines += ["dataset d v1", *(f"{i} d{i}" for i in range(n)), "dataset middle v1", *(f"{i} m{i}" for i in range(m))]
    lines += ["map d v1 -> s v1", *(f"d{i} {row.text('s')}" for i, row in enumerate(first))]
    lines += ["map middle v1 -> s v1", *(f"m{i} = s{i}" for i in range(m))]
    lines += ["map middle v1 -> t v1", *(f"m{i} {row.text('t')}" for i, row in enumerate(second))]
    return "\n".join(lines) + "\n"


def library(*texts: str) -> Library:
    return Library([FOLDER], {f"{FOLDER}/{i}.tax": t for i, t in enumerate(texts)})


def rows_of(o: Ontology) -> list[Row]:
    """The rows of a map that was read."""
    k, out = len(o.source.classes), []
    for row in sorted(o.rows, key=lambda r: r.cls):
        meaning = row.meaning(k)
        if row.decision and row.decision.to == "void":
            out.append(Row(decision="void"))
        elif row.decision:
            excluded = {*range(k)} - meaning.channels.keys()
            out.append(Row(decision="any", excluded=tuple(sorted(excluded))))
        else:
            out.append(Row(dict(sorted(meaning.channels.items())), meaning.void))
    return out


def forbidden(rows: list[Row], k: int) -> Iterable[tuple[int, int]]:
    """The pairs (class, class) of which no pixel may be, void last."""
    for own, row in enumerate(rows):
        if row.decision:
            yield from ((own, c) for c in row.excluded)
            continue
        yield from ((own, c) for c in range(k + 1) if c not in row.ops and not (c == k and row.void))
        yield from ((o, c) for c, op in row.ops.items() if op in "=>" for o in range(len(rows) + 1) if o != own)
