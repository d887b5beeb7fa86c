"""Errors that are planted into clean worlds, and whether the audit's findings name them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audit_table.ontologies import World
from lsu_seg.audit.files import pairing
from lsu_seg.audit.findings import KINDS, Cells, Finding
from lsu_seg.audit.judge import file_findings
from lsu_seg.audit.pixels import Pixels
from lsu_seg.audit.rows import closed_rows
from lsu_seg.audit.verdicts import Settings

MISSING = 4
"""So many classes are taken out of a map, one at a time, as power is stated of them."""


class Plant(NamedTuple):
    """Attributes: kind. pixels, allowed, raw: what is audited. judge: findings and cells → figures of this plant."""

    kind: str
    pixels: Pixels
    allowed: NDArray[np.bool_]
    raw: NDArray[np.int64]
    judge: Callable[[list[Finding], Cells], dict[str, Any]]


def ranked(findings: list[Finding]) -> list[Finding]:
    """Contradictions as a report lists them."""
    kinds = list(KINDS)
    return sorted((f for f in findings if f.contradiction), key=lambda f: (kinds.index(f.kind), f.expected, -f.score))


def plants(world: World, rng: np.random.Generator) -> Iterator[Plant]:
    """One error of each kind, and `MISSING` missing classes; a kind for which the world has no room is left out."""
    rows, k = world.allowed.shape[0], world.allowed.shape[1] - 1
    raw = np.arange(rows)
    closed = closed_rows(world.allowed) & (np.bincount(world.pixels.row[world.pixels.row >= 0], minlength=rows) >= 30)
    inside = world.allowed[:, :k] & closed[:, None]
    truth = world.truth[:, :k]

    def changed(**rows_to: NDArray[np.bool_]) -> NDArray[np.bool_]:
        out = world.allowed.copy()
        for d, row in rows_to.items():
            out[int(d[1:])] = row
        return out

    def exact(allowed: NDArray[np.bool_], f: Finding, rows: NDArray[np.intp], real: NDArray[np.bool_]) -> bool:
        return all(
            f.changes.get(d, tuple(np.flatnonzero(allowed[d]).tolist())) == tuple(np.flatnonzero(real[d]).tolist())
            for d in rows.tolist()
        )

    def moved(kind: str, wanted: str, pixels: Pixels, allowed: NDArray[np.bool_], at: NDArray[np.intp],
              real: NDArray[np.bool_], ids: NDArray[np.int64]) -> Plant:  # fmt: skip
        def judge(findings: list[Finding], _: Cells) -> dict[str, Any]:
            first = next(iter(ranked(findings)), None)
            named = first is not None and first.kind == wanted
            return {"first": named, "exact": bool(named and first and exact(allowed, first, at, real))}

        return Plant(kind, pixels, allowed, ids, judge)

    at = np.flatnonzero(closed)
    pairs = [(a, b) for a in at for b in at if a < b and (inside[a] != inside[b]).any()]
    a, b = pairs[rng.integers(len(pairs))]
    allowed = world.allowed.copy()
    allowed[[a, b]] = allowed[[b, a]]
    yield moved("exchanged", "exchanged", world.pixels, allowed, at, world.allowed, raw)
    allowed = np.roll(world.allowed, 1, axis=0)
    yield moved("slipped by one", "slipped", world.pixels, allowed, at[at < rows - 1], world.allowed, raw)
    allowed = world.allowed.copy()
    allowed[at] = world.allowed[rng.permutation(at)]
    if (allowed != world.allowed).any(1).sum() > 2:
        yield moved("permuted", "slipped", world.pixels, allowed, at, world.allowed, raw)
    yield _train_ids(world, rng, moved)

    multi = np.argwhere(inside & (truth > 0.1) & (inside.sum(1) > 1)[:, None])
    first = int(rng.integers(len(multi))) if len(multi) else 0
    for i in sorted({(first + j * len(multi) // MISSING) % len(multi) for j in range(MISSING)} if len(multi) else ()):
        d, c = multi[i].tolist()
        row = world.allowed[d].copy()
        row[c] = False

        def missing(findings: list[Finding], cells: Cells, d: int = d, c: int = c) -> dict[str, Any]:
            named = any(f.kind in ("insisted", "wrong-row") and f.rows == (d,) and c in f.channels for f in findings)
            limit = float(cells.decidable[d, c])
            return {"found": named, "share": float(truth[d, c]), "from": limit, "pair": [d, c]}

        yield Plant("missing", world.pixels, changed(**{f"r{d}": row}), raw, missing)
    absent = np.argwhere((truth == 0) & closed[:, None] & ~inside)
    d, c = absent[rng.integers(len(absent))].tolist()
    row = world.allowed[d].copy()
    row[c] = True

    def superfluous(findings: list[Finding], _: Cells, d: int = d, c: int = c) -> dict[str, Any]:
        return {"found": any(f.kind == "never-chosen" and f.rows == (d,) and c in f.channels for f in findings)}

    yield Plant("superfluous", world.pixels, changed(**{f"r{d}": row}), raw, superfluous)
    d = int(rng.choice(at))
    others = np.flatnonzero(truth[d] == 0)
    row = np.zeros(k + 1, bool)
    row[rng.choice(others, min(int(inside[d].sum()), len(others)), replace=False)] = True

    def wrong(findings: list[Finding], _: Cells, d: int = d) -> dict[str, Any]:
        return {"in three": any(d in f.rows for f in ranked(findings)[:3])}

    yield Plant("wrong row", world.pixels, changed(**{f"r{d}": row}), raw, wrong)
    d = int(rng.choice(at))
    row = np.arange(k + 1) == k

    def hides(findings: list[Finding], _: Cells, d: int = d) -> dict[str, Any]:
        return {"found": any(f.kind == "void-hides" and f.rows == (d,) for f in findings)}

    yield Plant("void hides", world.pixels, changed(**{f"r{d}": row}), raw, hides)
    novel = np.flatnonzero(world.allowed[:, k] & ~world.allowed[:, :k].any(1))
    if len(novel):
        d = int(novel[0])
        row = np.arange(k + 1) == rng.integers(k)

        def void(findings: list[Finding], _: Cells, d: int = d) -> dict[str, Any]:
            kinds = {f.kind for f in findings if d in f.rows}
            return {"found": bool(kinds & {"is-void", "wrong-row", "insisted"}), "as such": "is-void" in kinds}

        yield Plant("really void", world.pixels, changed(**{f"r{d}": row}), raw, void)


def _train_ids(world: World, rng: np.random.Generator, moved: Callable[..., Plant]) -> Plant:
    """Labels store the number of a class among those that are trained on, and are read as ids of the whole list."""
    rows, k = world.allowed.shape[0], world.allowed.shape[1] - 1
    void = world.allowed[:, k] & ~world.allowed[:, :k].any(1)
    extra = int(rng.integers(2, 5))
    order = np.concatenate([np.flatnonzero(~void), np.flatnonzero(void)])
    total = rows + extra
    place = np.sort(
        1 + rng.choice(total - 1, rows, replace=False)
    )  # the list begins with a class that is not trained on
    allowed = np.zeros((total, k + 1), bool)
    allowed[:, k] = True
    allowed[place] = world.allowed[order]
    real = allowed.copy()
    real[: len(order)] = world.allowed[order]
    number = np.empty(rows, np.int64)
    number[order] = np.arange(rows)
    px = world.pixels
    pixels = Pixels(
        px.p, np.where(px.row >= 0, number[np.maximum(px.row, 0)], -1), px.agree, px.image, px.weight, total
    )
    closed = closed_rows(real)
    seen = np.bincount(pixels.row[pixels.row >= 0], minlength=total) >= 30
    at = np.flatnonzero(closed & seen & (np.arange(total) < (~void).sum()))
    return moved("trainIds", "slipped", pixels, allowed, at, real, np.arange(total))


def file_plants(world: World, rng: np.random.Generator, settings: Settings) -> Iterator[tuple[str, dict[str, Any]]]:
    """Two label files exchanged, and a list in another order."""
    rows, k = world.allowed.shape[0], world.allowed.shape[1] - 1
    keys = [str(i) for i in range(world.keys)]
    a, b = rng.choice(world.keys, 2, replace=False).tolist()
    grid = world.grid_row.copy()
    grid[[a, b]] = grid[[b, a]]
    pairs = pairing(grid, world.grid_top, rows, k)
    found = file_findings(pairs, keys, settings)
    first = pairs.pairs[0][:2] if pairs is not None and pairs.pairs else ()
    yield "two files", {"first": set(first) == {a, b}, "reported": any(set(f.keys) == {str(a), str(b)} for f in found)}
    grid = world.grid_row[rng.permutation(world.keys)]
    found = file_findings(pairing(grid, world.grid_top, rows, k), keys, settings)
    yield "shuffled list", {"found": any(f.kind == "shuffled" for f in found)}


def confident_joint(pixels: Pixels, allowed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The share of each row that is confidently each class, `[D, K]`, after cleanlab's confident joint.

    A pixel counts for the class of largest p among those with p_c ≥ t_c, where t_c is the mean p_c of the pixels in
    rows that may be c (Northcutt, Jiang and Chuang 2021, confident learning).
    """
    inside = allowed[:, :-1] & closed_rows(allowed)[:, None]
    rows, k = inside.shape
    row = pixels.row
    mine = inside[np.maximum(row, 0)] & (row >= 0)[:, None]
    t = (pixels.p * mine).sum(0) / np.maximum(mine.sum(0), 1)
    t = np.where(mine.any(0), t, 1)
    sure = np.where(pixels.p >= t, pixels.p, 0)
    top, any_ = sure.argmax(1), sure.max(1) > 0
    joint = np.zeros((rows + 1, k))
    np.add.at(joint, (row[any_], top[any_]), pixels.weight[any_])
    mass = np.bincount(row[row >= 0], pixels.weight[row >= 0], minlength=rows)
    return np.asarray(joint[:rows] / np.maximum(mass, 1e-9)[:, None])
