"""The audit: a sample and a map → what the map says and the pictures do not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace

import numpy as np
from numpy.typing import NDArray

from lsu_onto import Constraint
from lsu_seg.audit.evidence import regions, sees
from lsu_seg.audit.files import Pairing, pairing
from lsu_seg.audit.findings import KINDS, Cells, Finding, Report
from lsu_seg.audit.moves import likely_move
from lsu_seg.audit.pixels import Pixels, pixels_of, redraw
from lsu_seg.audit.rehearsal import Progress, Rehearsal, look, rehearse
from lsu_seg.audit.rows import PAIR, SLIP, closed_rows, fits, patterns
from lsu_seg.audit.sample import Sample
from lsu_seg.audit.verdicts import (
    PARTS,
    Case,
    Settings,
    exchanged,
    insisted_on,
    is_void,
    never_chosen,
    void_hides,
    wrong_rows,
)

FEWEST = 30
"""Of rows with fewer sampled pixels nothing is said."""
LEAST_IMAGES = 3
"""Nor of rows that are in fewer images: one street is no relation."""
SHUFFLED = 0.6
"""Labels of a list in order fit their own image better than other images, by more standard deviations than this."""


def audit(
    sample: Sample, constraint: Constraint, settings: Settings | None = None, progress: Progress | None = None
) -> Report:
    """Find what the map contradicts.

    Args:
        sample: of a labelling run, or drawn for the audit; its rows are the constraint's.
        constraint: the map under audit; it need not be the one that the run was made with.
        progress: called with (done, total) while the rehearsal plays.

    Raises:
        ValueError: the sample has other classes than the constraint.
    """
    settings = settings or Settings()
    if sample.rows_of != constraint.classes or sample.classes != constraint.source_classes:
        raise ValueError("the sample's classes are not those of the constraint")
    whole = pixels_of(sample)
    pixels, _ = redraw(whole, whole.row, whole.rows, np.random.default_rng(settings.seed))
    findings, cells, remarks = examine(pixels, constraint.allowed, _smallest(constraint), settings, progress)
    grid = pairing(sample.grid_row, sample.grid_top, len(sample.rows_of), len(sample.classes))
    files = file_findings(grid, [sample.keys[i] for i in sample.grid_image], settings)
    if grid is None:
        remarks.append("there are too few images to say whether labels and images are paired rightly")
    if files and files[0].kind == "shuffled":
        findings = []  # they say nothing about the map
        remarks.append("labels and images do not belong together: nothing else could be judged")
    shown = [replace(f, regions=regions(sample, f), images=sees(sample, f)) for f in [*files, *findings]]
    kinds = list(KINDS)
    shown.sort(key=lambda f: (not f.contradiction, kinds.index(f.kind), -f.score))
    count = np.bincount(sample.row[sample.row >= 0], minlength=len(sample.rows_of))
    unseen = _unseen(sample, count)
    return Report(
        dataset=f"{constraint.dataset} {constraint.dataset_version}",
        source=f"{constraint.source} {constraint.source_version}",
        classes=constraint.classes,
        source_classes=constraint.source_classes,
        allowed=constraint.allowed,
        images=sample.images,
        sampled=len(sample.keys),
        pixels=count.astype(np.int64),
        unseen=unseen,
        findings=tuple(shown),
        cells=cells,
        settings=dict(asdict(settings)),
        remarks=tuple(remarks),
    )


def _unseen(sample: Sample, count: NDArray[np.int64]) -> dict[int, str]:
    """Why rows are not judged."""
    out: dict[int, str] = {}
    for d, n in enumerate(count.tolist()):
        images = len(np.unique(sample.image[sample.row == d])) if n else 0
        if not n:
            out[d] = "no image with it was sampled, or the teacher was asked about none of them"
        elif n < FEWEST:
            out[d] = f"only {n} pixels of it were sampled"
        elif images < LEAST_IMAGES:
            out[d] = f"it is in only {images} of the sampled images"
    return out


def _smallest(constraint: Constraint) -> NDArray[np.int64]:
    """The smallest raw value of each row; -1 where labels store no numbers, or the row has none."""
    out = np.full(len(constraint.classes), -1, np.int64)
    if constraint.raw_names or constraint.encoding == "rgb":
        return out
    for value, d in zip(constraint.raw.tolist()[::-1], constraint.raw_row.tolist()[::-1], strict=True):
        if d >= 0:
            out[d] = value
    return out


def examine(
    pixels: Pixels,
    allowed: NDArray[np.bool_],
    raw: NDArray[np.int64],
    settings: Settings,
    progress: Progress | None = None,
) -> tuple[list[Finding], Cells, list[str]]:
    """The findings about rows, without the pictures that show them.

    Args:
        allowed: bool `[D, K+1]`. raw: int `[D]`, the smallest raw value of each row, or -1.
    """
    rows, k = allowed.shape[0], allowed.shape[1] - 1
    level = settings.false_alarms * PARTS.insisted
    count = np.bincount(pixels.row[pixels.row >= 0], minlength=rows)
    pairs = np.unique(np.stack([pixels.row, pixels.image], 1)[pixels.row >= 0], axis=0)
    judged = (count >= FEWEST) & (np.bincount(pairs[:, 0], minlength=rows) >= LEAST_IMAGES)
    moves: list[Finding] = []
    to = likely_move(pixels, allowed, judged, patterns(raw, allowed))
    stated = allowed
    if (to != np.arange(rows)).any():
        # a row whose pattern leaves the list may be anything
        allowed = np.where((to >= 0)[:, None], stated[np.maximum(to, 0)], True)
    known = rehearse(pixels, allowed, level, settings.maps, settings.seed, progress)
    if allowed is not stated:
        moves = _moved(pixels, stated, allowed, to, judged, known, settings) if known is not None else []
        if not moves:
            allowed = stated
            known = rehearse(pixels, allowed, level, settings.maps, settings.seed, progress)
    nothing = np.full((rows, k), np.nan, np.float32)
    if known is None:
        remark = (
            "the audit cannot calibrate: it needs three source classes, at least, in rows that may neither be void nor"
            " anything; if nearly every row of the map allows void, take it out where it is rare"
        )
        return [], Cells(nothing, nothing, np.full((rows, k), np.inf, np.float32)), [remark]
    _, statistics = look(pixels, allowed, known.suspects)
    case = Case(allowed, judged, statistics, known, settings)
    findings = moves or list(exchanged(case))
    findings += _elsewhere(findings, wrong_rows(case))
    kinds = (insisted_on, void_hides, never_chosen, is_void)
    findings += _elsewhere(findings, (f for kind in kinds for f in kind(case)))
    seen = judged[:, None]
    bound = case.closed[:, None]  # power is rehearsed with such rows alone
    cells = Cells(
        np.where(seen, case.share, np.nan).astype(np.float32),
        np.where(seen, case.z, np.nan).astype(np.float32),
        np.where(bound, known.power.decidable(statistics, rows), np.inf).astype(np.float32),
    )
    return findings, cells, []


def _elsewhere(earlier: list[Finding], findings: Iterable[Finding]) -> list[Finding]:
    """Those about rows of which no graver kind was found: one error is said once."""
    done = {d for f in earlier for d in f.rows}
    return [f for f in findings if done.isdisjoint(f.rows)]


def _moved(
    pixels: Pixels,
    stated: NDArray[np.bool_],
    allowed: NDArray[np.bool_],
    to: NDArray[np.int64],
    judged: NDArray[np.bool_],
    known: Rehearsal,
    settings: Settings,
) -> list[Finding]:
    """What `likely_move` proposes, if the scores that are learnt under it bear it out.

    Args:
        stated: the map under audit. allowed: the same with its rows moved.
    """
    _, statistics = look(pixels, allowed, known.suspects)
    z = known.scale.score(statistics)[: len(allowed)]
    fit = fits(z, stated)
    usual = fit[:, closed_rows(stated)].mean(1)  # what void and `any` fit as well as
    own, other = np.diag(fits(z, allowed)), np.where(closed_rows(stated), np.diag(fit), usual)
    changed = (allowed != stated).any(1) & judged
    gain = float((own - other)[changed & closed_rows(allowed)].sum())
    at = [int(d) for d in np.flatnonzero(changed) if to[d] >= 0]
    changes = {d: tuple(np.flatnonzero(stated[to[d]]).tolist()) for d in at}
    expected = known.expected_pairs(gain)
    if expected >= settings.false_alarms * PARTS.exchanged:
        return []
    if len(at) == 2 and gain > PAIR:
        return [Finding("exchanged", tuple(at), score=gain, expected=expected, changes=changes)]
    if len(at) > 2 and gain > SLIP:
        return [Finding("slipped", tuple(at), score=gain, expected=expected, changes=changes)]
    return []


def file_findings(grid: Pairing | None, keys: list[str], settings: Settings) -> list[Finding]:
    """What the grids say about the files."""
    if grid is None:
        return []
    if grid.lift < SHUFFLED:
        return [Finding("shuffled", score=SHUFFLED - grid.lift, expected=0.01, figures={"lift": grid.lift})]
    level = settings.false_alarms * PARTS.mispaired
    return [
        Finding("mispaired", keys=(keys[i], keys[j]), score=-float(np.log(expected + 1e-12)), expected=expected)
        for i, j, _, expected in grid.pairs
        if expected < level
    ]
