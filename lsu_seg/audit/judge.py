"""The audit: a sample and a map → what the map says and the pictures do not."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsu_onto import Constraint
from lsu_seg.audit.evidence import regions, sees
from lsu_seg.audit.files import Pairing, pairing
from lsu_seg.audit.findings import KINDS, Cells, Finding, Report
from lsu_seg.audit.moves import likely_move
from lsu_seg.audit.pixels import Pixels, pixels_of, redraw
from lsu_seg.audit.presence import Presence
from lsu_seg.audit.rehearsal import Progress, Rehearsal, familiar_scores, look, rehearse
from lsu_seg.audit.rows import PAIR, SLIP, closed_rows, fits, pair_gains, patterns
from lsu_seg.audit.sample import Sample
from lsu_seg.audit.scale import CHOSEN, insisted

FEWEST = 30
"""Of rows with fewer sampled pixels nothing is said."""
IMAGES = 3
"""Nor of rows that are in fewer images: one street is no relation."""
SHUFFLED = 0.6
"""Labels of a list in order fit their own image better than other images, by more standard deviations than this."""


@dataclass(frozen=True)
class Settings:
    """What the findings depend on.

    Attributes:
        false_alarms: contradictions that the audit of a right map would report, on average. notes: the same of notes.
        maps: number of rehearsed maps. seed: of the rehearsal.
    """

    false_alarms: float = 0.3
    notes: float = 0.6
    maps: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        if self.maps < 2:
            raise ValueError(f"maps: {self.maps}; at least 2 are needed, as each half judges the other")


class Parts(NamedTuple):
    """How the expected false alarms are divided over the kinds of findings."""

    insisted: float = 0.55
    wrong_row: float = 0.15
    exchanged: float = 0.1
    void_hides: float = 0.15
    mispaired: float = 0.05


PARTS = Parts()
NOTE_PARTS = 0.65, 0.35
"""The same of `allowed but never chosen` and `a class that is really void`."""


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
        elif images < IMAGES:
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
    judged = (count >= FEWEST) & (np.bincount(pairs[:, 0], minlength=rows) >= IMAGES)
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
        remark = "fewer than three source classes occur in rows that are bound to some: the audit cannot calibrate"
        return [], Cells(nothing, nothing, np.full((rows, k), np.inf, np.float32)), [remark]
    _, statistics = look(pixels, allowed, known.suspects)
    z = known.scale.score(statistics)[:rows]
    moves = moves or _exchanged(z, allowed, judged, known, settings)
    done = {d for f in moves for d in f.rows}
    wrong = _wrong_rows(z, statistics, allowed, judged, known, settings, done)
    done |= {d for f in wrong for d in f.rows}
    findings = [
        *moves,
        *wrong,
        *_insisted(z, statistics, allowed, judged, known, level, done),
        *_void_hides(statistics, allowed, judged, known, settings, done),
        *_never_chosen(z, statistics, allowed, judged, known, settings, done),
        *_is_void(statistics, allowed, judged, known, settings, done),
    ]
    seen = judged[:, None]
    bound = seen & closed_rows(allowed)[:, None]  # power is rehearsed with such rows alone
    cells = Cells(
        np.where(seen, statistics.share[:rows], np.nan).astype(np.float32),
        np.where(seen, z, np.nan).astype(np.float32),
        np.where(bound, known.power.decidable(statistics, rows), np.inf).astype(np.float32),
    )
    return findings, cells, []


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


def _exchanged(
    z: NDArray[np.float64],
    allowed: NDArray[np.bool_],
    judged: NDArray[np.bool_],
    known: Rehearsal,
    settings: Settings,
) -> list[Finding]:
    """Pairs of rows whose scores fit each other's S(r)."""
    fit = fits(z, allowed)
    closed = closed_rows(allowed) & judged
    gains = pair_gains(np.where(closed[:, None] & closed[None, :], fit, np.nan))
    found = []
    while gains.max(initial=0.0) > PAIR:
        a, b = map(int, np.unravel_index(gains.argmax(), gains.shape))
        expected = known.expected_pairs(float(gains[a, b]))
        if expected >= settings.false_alarms * PARTS.exchanged:
            break
        changes = {d: tuple(np.flatnonzero(allowed[r]).tolist()) for d, r in ((a, b), (b, a))}
        rows = min(a, b), max(a, b)
        found.append(Finding("exchanged", rows, score=float(gains[a, b]), expected=expected, changes=changes))
        gains[[a, b]] = 0
        gains[:, [a, b]] = 0
    return found


def _wrong_rows(
    z: NDArray[np.float64],
    statistics: Presence,
    allowed: NDArray[np.bool_],
    judged: NDArray[np.bool_],
    known: Rehearsal,
    settings: Settings,
    done: set[int],
) -> list[Finding]:
    found = []
    for d in np.flatnonzero(closed_rows(allowed) & judged):
        inside = allowed[d, :-1]
        best = float(z[d, inside].max())
        expected = known.expected_slack(best)
        share = float(np.clip(statistics.share[d, ~inside].sum(), 0, 1))
        if d in done or expected >= settings.false_alarms * PARTS.wrong_row or share < 0.5:
            continue
        outside = np.where(inside, -np.inf, statistics.share[d])
        seen = [int(c) for c in np.argsort(-outside) if outside[c] > 0.1][:3]
        found.append(Finding("wrong-row", (int(d),), tuple(seen), share=share, score=-best, expected=expected))
    return found


def _insisted(
    z: NDArray[np.float64],
    statistics: Presence,
    allowed: NDArray[np.bool_],
    judged: NDArray[np.bool_],
    known: Rehearsal,
    level: float,
    done: set[int],
) -> list[Finding]:
    expected = known.scale.false_present(z)
    some = allowed[:, :-1].any(1) & judged
    # what may be void may look like anything
    expected = np.where(allowed[:, -1:], 3 * expected, expected)
    seen = insisted(expected, z, statistics.share[: len(z)], level)
    found = []
    for d, c in np.argwhere(seen & ~allowed[:, :-1] & some[:, None]).tolist():
        if d not in done:
            share = float(statistics.share[d, c])
            found.append(
                Finding("insisted", (d,), (c,), share=share, score=float(z[d, c]), expected=float(expected[d, c]))
            )
    return found


def _void_hides(
    statistics: Presence,
    allowed: NDArray[np.bool_],
    judged: NDArray[np.bool_],
    known: Rehearsal,
    settings: Settings,
    done: set[int],
) -> list[Finding]:
    hidden = allowed[:, -1] & ~allowed[:, :-1].any(1) & judged
    scores = familiar_scores(statistics, known)
    found = []
    for d in np.flatnonzero(hidden):
        expected = known.expected_known(float(scores[d]), int(hidden.sum()))
        if d in done or len(known.novel) < 5 or scores[d] <= 0 or expected >= settings.false_alarms * PARTS.void_hides:
            continue
        order = np.argsort(-statistics.share[d])
        seen = [int(c) for c in order if statistics.share[d, c] > 0.15][:3] or [int(order[0])]
        share = float(np.clip(statistics.share[d, seen].sum(), 0, 1))
        found.append(
            Finding("void-hides", (int(d),), tuple(seen), share=share, score=float(scores[d]), expected=expected)
        )
    return found


def _never_chosen(
    z: NDArray[np.float64],
    statistics: Presence,
    allowed: NDArray[np.bool_],
    judged: NDArray[np.bool_],
    known: Rehearsal,
    settings: Settings,
    done: set[int],
) -> list[Finding]:
    expected = known.scale.false_absent(z)
    bound = closed_rows(allowed) & judged & (allowed.sum(1) > 1)
    found = []
    for d, c in np.argwhere((expected < settings.notes * NOTE_PARTS[0]) & allowed[:, :-1] & bound[:, None]).tolist():
        share = float(statistics.share[d, c])
        if d not in done and share < CHOSEN:
            found.append(
                Finding("never-chosen", (d,), (c,), share=share, score=-float(z[d, c]), expected=float(expected[d, c]))
            )
    return found


def _is_void(
    statistics: Presence,
    allowed: NDArray[np.bool_],
    judged: NDArray[np.bool_],
    known: Rehearsal,
    settings: Settings,
    done: set[int],
) -> list[Finding]:
    scores = familiar_scores(statistics, known)
    found = []
    for d in np.flatnonzero(closed_rows(allowed) & judged):
        expected = known.expected_novel(float(scores[d]), int(d))
        if d not in done and len(known.novel) >= 5 and scores[d] < 0 and expected < settings.notes * NOTE_PARTS[1]:
            found.append(Finding("is-void", (int(d),), score=-float(scores[d]), expected=expected))
    return found


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
