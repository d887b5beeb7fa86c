"""The audit: a sample and a map → what the map says and the pictures do not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, replace

import numpy as np
from numpy.typing import NDArray

from lsu_onto import Constraint
from lsu_seg.audit.adapt import adapt
from lsu_seg.audit.evidence import regions, sees
from lsu_seg.audit.files import Pairing, pairing
from lsu_seg.audit.findings import KINDS, Cells, Finding, Report
from lsu_seg.audit.learnt import Learnt, learnt
from lsu_seg.audit.moves import likely_move, refined
from lsu_seg.audit.pixels import Pixels, pixels_of, redraw
from lsu_seg.audit.presence import Presence, opinion, presence
from lsu_seg.audit.rows import EACH, LIMIT, PAIR, SLIP, closed_rows, fits, patterns
from lsu_seg.audit.sample import Sample
from lsu_seg.audit.scores import Scores
from lsu_seg.audit.teacher import tells_apart
from lsu_seg.audit.verdicts import (
    NONE,
    PARTS,
    Case,
    Settings,
    decidable,
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
FEWEST_ROWS = 3
"""So many closed rows are held against each other, or nothing is said."""
LEAST_TOLD = 0.01
"""Nats that the teacher's best class says about the row; teachers of 0.2 mIoU say 0.05 and more, guesses 0.002."""
FEW_CLOSED = (
    f"fewer than {FEWEST_ROWS} classes with enough pixels are bound to some of the source's classes:"
    " there is nothing to hold them against. If nearly every row of the map allows void, take it out where it"
    " is rare"
)
GUESSES = (
    "to the teacher, all classes of the dataset look alike, so it cannot judge a map: check that its checkpoint was"
    " loaded and fits its config, that images are prepared as in its training, and that labels belong to their images"
)
MOST_ROWS = (
    "most classes are contradicted, which one cause may explain: before you change rows, check that the ids of the"
    " taxonomy are what the label files store, that the teacher's classes are those of the source, in the same order,"
    " and that its checkpoint fits its config"
)
STEPS = 4
"""Of an audit: moves of rows, their refinement, findings about rows, and about files with the places that show them."""
Advance = Callable[[], object]
SHUFFLED = 3.5
"""Labels of a list in order fit their own image better than other images, by more standard errors than this, even to a
teacher of 0.1 mIoU."""


def audit(
    sample: Sample, constraint: Constraint, settings: Settings | None = None, advance: Advance = lambda: None
) -> Report:
    """Find what the map contradicts.

    Args:
        sample: of a labelling run, or drawn for the audit; its rows are the constraint's.
        constraint: the map under audit; it need not be the one that the run was made with.
        advance: called after each of the `STEPS`.

    Raises:
        ValueError: the sample has other classes than the constraint.
    """
    settings = settings or Settings()
    if sample.rows_of != constraint.classes or sample.classes != constraint.source_classes:
        raise ValueError("the sample's classes are not those of the constraint")
    whole = pixels_of(sample)
    pixels, _ = redraw(whole, whole.row, whole.rows, np.random.default_rng(settings.seed))
    findings, cells, remarks = examine(pixels, constraint.allowed, _smallest(constraint), settings, advance=advance)
    grid = pairing(sample.grid_row, sample.grid_top, len(sample.rows_of), len(sample.classes))
    files = file_findings(grid, [sample.keys[i] for i in sample.grid_image], settings)
    if grid is None:
        remarks.append("too little is seen, or in too few images, to say whether labels and images are paired rightly")
    if files and files[0].kind == "shuffled":
        findings = []  # they say nothing about the map
        remarks.append("labels and images do not belong together: nothing else could be judged")
    shown = [replace(f, regions=regions(sample, f), images=sees(sample, f)) for f in [*files, *findings]]
    advance()
    kinds = list(KINDS)
    shown.sort(key=lambda f: (not f.contradiction, kinds.index(f.kind), f.expected, -f.score))
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


def statistics(pixels: Pixels, allowed: NDArray[np.bool_]) -> Presence:
    """The statistics of a map `[D, K+1]`, by a teacher adapted to it."""
    bound = allowed[:, :-1] & closed_rows(allowed)[:, None]
    return presence(opinion(pixels, allowed, adapt(pixels, bound)))


def scored(pixels: Pixels, allowed: NDArray[np.bool_], judged: NDArray[np.bool_], known: Learnt) -> Scores:
    """The scores of a map, by a teacher adapted to it.

    Args:
        allowed: bool `[D, K+1]`. judged: bool `[D]`, rows with enough pixels.
    """
    return Scores(allowed, judged, statistics(pixels, allowed), known.present)


def enough(pixels: Pixels) -> NDArray[np.bool_]:
    """Which rows have enough pixels in enough images to be judged, bool `[D]`."""
    count = np.bincount(pixels.row[pixels.row >= 0], minlength=pixels.rows)
    pairs = np.unique(np.stack([pixels.row, pixels.image], 1)[pixels.row >= 0], axis=0)
    return np.asarray((count >= FEWEST) & (np.bincount(pairs[:, 0], minlength=pixels.rows) >= LEAST_IMAGES))


def examine(
    pixels: Pixels,
    allowed: NDArray[np.bool_],
    raw: NDArray[np.int64],
    settings: Settings,
    known: Learnt | None = None,
    advance: Advance = lambda: None,
) -> tuple[list[Finding], Cells, list[str]]:
    """The findings about rows, without the pictures that show them.

    Args:
        allowed: bool `[D, K+1]`. raw: int `[D]`, the smallest raw value of each row, or -1.
        known: what scores are worth; by default what the package has learnt.
    """
    rows, k = allowed.shape[0], allowed.shape[1] - 1
    known = known or learnt()
    judged = enough(pixels)
    closed = closed_rows(allowed) & judged
    if closed.sum() < FEWEST_ROWS or tells_apart(pixels, judged) < LEAST_TOLD:
        for _ in range(STEPS - 1):
            advance()
        nothing = np.full((rows, k), np.nan, np.float32)
        remark = FEW_CLOSED if closed.sum() < FEWEST_ROWS else GUESSES
        return [], Cells(nothing, nothing, np.full((rows, k), np.inf, np.float32)), [remark]
    moves: list[Finding] = []
    looked: dict[bytes, Scores] = {}

    def look(allowed: NDArray[np.bool_]) -> Scores:
        if (key := allowed.tobytes()) not in looked:
            looked[key] = scored(pixels, allowed, judged, known)
        return looked[key]

    ways = patterns(raw, allowed)
    to = likely_move(pixels, allowed, judged, ways)
    advance()
    to = refined(to, allowed, judged, any(np.array_equal(to, way) for way in ways), lambda moved: look(moved).z)
    advance()
    case = Case(look(allowed), known, settings)
    if (to != np.arange(rows)).any():
        # a row whose pattern leaves the list may be anything
        moved = np.where((to >= 0)[:, None], allowed[np.maximum(to, 0)], True)
        after = replace(case, scores=look(moved))
        moves = _moved(case, after, to)
        case = after if moves else case
    findings = moves or list(exchanged(case))
    wrong = list(_elsewhere(findings, wrong_rows(case)))
    left = (_share(pixels, case, wrong) * case.scores.allowed[:, :-1]).sum(1)
    findings += [f for f in wrong if left[f.rows[0]] < NONE]
    kinds = (insisted_on, void_hides, never_chosen)
    findings += _elsewhere(findings, (f for kind in kinds for f in kind(case)))
    findings += _elsewhere([f for f in findings if f.contradiction], is_void(case))
    share = _share(pixels, case, findings)
    findings = [replace(f, share=_of(f, share)) for f in findings]
    seen = judged[:, None]
    cells = Cells(
        np.where(seen, share, np.nan).astype(np.float32),
        np.where(seen, case.scores.z, np.nan).astype(np.float32),
        decidable(case),
    )
    advance()
    contradicted = {d for f in findings if f.contradiction for d in f.rows}
    return findings, cells, [MOST_ROWS] if closed[list(contradicted)].sum() > closed.sum() / 2 else []


def _share(pixels: Pixels, case: Case, findings: list[Finding]) -> NDArray[np.float64]:
    """The share of each class in each row `[D, K]`, by a teacher that need not explain away what was found."""
    pairs = [(f.rows[0], c) for f in findings if f.kind in ("insisted", "wrong-row") for c in f.channels]
    return share_granted(pixels, case.scores.allowed, pairs) if pairs else case.scores.share


def share_granted(pixels: Pixels, allowed: NDArray[np.bool_], pairs: list[tuple[int, int]]) -> NDArray[np.float64]:
    """The share of each class in each row `[D, K]`, by a teacher adapted to a map that also allows `pairs` (d, c)."""
    granted = allowed.copy()
    for d, c in pairs:
        granted[d, c] = True
    return statistics(pixels, granted).share[: len(allowed)]


def _of(finding: Finding, share: NDArray[np.float64]) -> float | None:
    """What part of its row a finding concerns."""
    if finding.share is None:
        return None
    return float(np.clip(share[finding.rows[0], list(finding.channels)].sum(), 0, 1))


def _elsewhere(earlier: list[Finding], findings: Iterable[Finding]) -> list[Finding]:
    """Those about rows of which no graver kind was found: one error is said once."""
    done = {d for f in earlier for d in f.rows}
    return [f for f in findings if done.isdisjoint(f.rows)]


def _moved(case: Case, after: Case, to: NDArray[np.int64]) -> list[Finding]:
    """What `likely_move` proposes, if the scores under it bear it out.

    The teacher is adapted to the moved map, and so prefers it to some degree. Of more than two rows, what it says under
    the map as it is must be clearly worse, too: a teacher that knows nothing fits both alike.

    Args:
        case: the map under audit. after: with its rows moved.
    """
    stated = case.scores.allowed
    z, allowed, judged = after.scores.z, after.scores.allowed, after.scores.judged
    fit = fits(z, stated)
    usual = fit[:, closed_rows(stated)].mean(1)  # what void and `any` fit as well as
    own, other = np.diag(fits(z, allowed)), np.where(closed_rows(stated), np.diag(fit), usual)
    changed = (allowed != stated).any(1) & judged
    gain = float((own - other)[changed & closed_rows(allowed)].sum())
    both = changed & closed_rows(allowed) & closed_rows(stated)
    better = (own - np.diag(fits(case.scores.z, stated)))[both].sum() >= EACH * both.sum()
    at = [int(d) for d in np.flatnonzero(changed) if to[d] >= 0]
    changes = {d: tuple(np.flatnonzero(stated[to[d]]).tolist()) for d in at}
    expected = case.expected_pairs(gain)
    if expected >= case.budget(PARTS.exchanged):
        return []
    if len(at) == 2 and to[to[at]].tolist() == at and (own - other)[at].min() > -LIMIT and gain > PAIR:
        return [Finding("exchanged", tuple(at), score=gain, expected=expected, changes=changes)]
    if len(at) > 2 and gain > SLIP and better:
        return [Finding("slipped", tuple(at), score=gain, expected=expected, changes=changes)]
    return []


def file_findings(
    grid: Pairing | None, keys: list[str], settings: Settings, known: Learnt | None = None
) -> list[Finding]:
    """What the grids say about the files."""
    if grid is None:
        return []
    level = settings.false_alarms * PARTS.mispaired
    expected = float((known or learnt()).shuffled(-grid.order))
    if grid.order < SHUFFLED and expected < level:
        return [Finding("shuffled", score=-grid.order, expected=expected, figures={"lift": grid.lift})]
    return [
        Finding("mispaired", keys=(keys[i], keys[j]), score=-float(np.log(expected + 1e-12)), expected=expected)
        for i, j, _, expected in grid.pairs
        if expected < level
    ]
