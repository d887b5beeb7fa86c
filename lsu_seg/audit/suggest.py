"""A first map for a dataset without one: what a teacher sees in each class, and what the classes are called."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsu_onto import NameOdds
from lsu_seg.audit.adapt import Adaptation, adapt
from lsu_seg.audit.pixels import Pixels, pixels_of, redraw
from lsu_seg.audit.presence import Opinion, opinion, prior, shares
from lsu_seg.audit.sample import Sample

SHARE, USUAL, LIFT = 0.85, 0.025, 0.4
"""Log odds of a picture: SHARE · (logit share - logit USUAL) + LIFT · log(share / mean share in the other rows)."""
MOST = 8.0
"""What pictures say of a pair at most, either way."""
FEW = 2.0
"""So many images say half of what many would."""
ROUNDS = 2
"""Times that the teacher is adapted to what is likely so far."""
TRUST = 0.63
"""By so much the log odds are to be believed: a fit to the shipped maps of eight datasets with real frames."""
SURE = 0.7
"""Rows of which every cell is as certain as that are written as they are; others get all that may be, and void."""
MAYBE = -1.5
"""Log odds from which on a class may be in such a row."""
FAMILIAR = 0.5
"""The teacher's mean confidence below which it does not know what a row shows; without a name, it is `-> void`."""


@dataclass(frozen=True)
class Suggestion:
    """A row of the map.

    Attributes:
        row: of d. channels: S(d), K is void. op: `=`, `<`, `>` or `~`; of void alone or everything: `->`.
        certainty: the probability of its least certain cell, 0.5..1; 0 where nothing is known.
        widened: whether it was not certain enough, so that S(d) is larger than what is likely.
        images: in which the teacher saw it. share: float `[K]`, what it saw. flagged: float `[K]`, the part of the row
            that it took for the class, as it did all around. reasons: in words.
    """

    row: int
    channels: tuple[int, ...]
    op: str
    certainty: float
    widened: bool
    images: int
    share: NDArray[np.float64]
    flagged: NDArray[np.float64]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Sight:
    """What the teacher sees in each row.

    Attributes:
        odds: float64 `[D, K+1]`, what pictures add to the log odds that c is in S(d); nothing to those of void.
        share, flagged: as in `Suggestion`, `[D, K]`.
        images: int64 `[D]`. familiar: `[D]`, the teacher's own mean confidence.
    """

    odds: NDArray[np.float64]
    share: NDArray[np.float64]
    flagged: NDArray[np.float64]
    images: NDArray[np.int64]
    familiar: NDArray[np.float64]


def suggest(sample: Sample | None, names: NameOdds) -> list[Suggestion]:
    """A row for each class of the dataset.

    Args:
        sample: of the dataset; None if there are no pictures. names: of the same classes and source classes.
    """
    return suggest_rows(None if sample is None else pixels_of(sample), names)


def suggest_rows(pixels: Pixels | None, names: NameOdds) -> list[Suggestion]:
    """The same of the sampled pixels."""
    count, k = len(names.classes), len(names.source_classes)
    if pixels is None:
        nothing = np.zeros((count, k))
        sight = Sight(np.zeros((count, k + 1)), nothing, nothing, np.zeros(count, np.int64), np.zeros(count))
    else:
        sight = look(pixels, names.odds)
    z = names.odds + sight.odds
    return [_suggestion(d, z[d], names, sight) for d in range(count)]


def look(pixels: Pixels, odds: NDArray[np.float64]) -> Sight:
    """What the teacher sees, adapted to what is likely by `odds` `[D, K+1]` and by what it saw before."""
    pixels, _ = redraw(pixels, pixels.row, pixels.rows, np.random.default_rng(0))
    rows, k = pixels.rows, odds.shape[1] - 1
    images = np.array([len(np.unique(pixels.image[pixels.row == d])) for d in range(rows)])
    adaptation = Adaptation(1.0, np.zeros(k))
    o = opinion(pixels, np.ones((rows, k + 1), bool), adaptation)
    familiar = o.mean(o.q.max(1))[:rows]
    flagged = o.mean(np.eye(k, dtype=np.float32)[o.q.argmax(1)] * o.pixels.agree[:, None])[:rows]
    share = _shares(o)
    seen = _odds(share, images, odds)
    for _ in range(ROUNDS):
        allowed = odds + seen > 0
        allowed[~allowed.any(1) | allowed[:, k]] = True  # nothing is known that the teacher could be adapted to
        adaptation = adapt(pixels, allowed[:, :k], adaptation)
        share = _shares(opinion(pixels, allowed, adaptation))
        seen = _odds(share, images, odds)
    return Sight(seen, share, flagged, images, familiar)


def _shares(o: Opinion) -> NDArray[np.float64]:
    ratio = (o.q / prior(o).astype(np.float32)).astype(np.float32)
    return shares(o, ratio, np.ones_like(o.allowed))[:-1]


def _odds(share: NDArray[np.float64], images: NDArray[np.int64], names: NDArray[np.float64]) -> NDArray[np.float64]:
    """What shares say, `[D, K+1]`. What is called void shows something, too, and is void by decision."""
    some = (images > 0).astype(float)[:, None]
    others = np.maximum(some.sum() - some, 1)
    usual = ((share * some).sum(0) - share * some) / others
    odds = SHARE * (_logit(share) - float(_logit(np.array(USUAL)))) + LIFT * np.log((share + 0.01) / (usual + 0.01))
    odds = np.clip(odds, -MOST, MOST) * (images / (images + FEW))[:, None]
    odds[(names[:, -1] > 0) & (names[:, -1] >= names.max(1))] = 0
    return np.pad(odds, ((0, 0), (0, 1)))


def _logit(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.log((x + 1e-3) / (1 - x + 1e-3)))


def _suggestion(d: int, z: NDArray[np.float64], names: NameOdds, sight: Sight) -> Suggestion:
    k = len(names.source_classes)
    chosen = np.flatnonzero(z > 0)
    widened = False
    certainty = float(1 / (1 + np.exp(-TRUST * np.abs(z).min())))
    seen = bool(sight.images[d])
    if seen and sight.familiar[d] < FAMILIAR and names.odds[d].max() <= MAYBE:
        chosen, certainty = np.array([k]), 0.0
    elif not len(chosen) and z.max() <= MAYBE:
        chosen, certainty = np.arange(k + 1), 0.0
    elif certainty < SURE or not len(chosen):
        wider = np.flatnonzero(z > MAYBE)
        widened = True
        chosen = wider if k in wider else np.append(wider, k)
    channels = tuple(int(c) for c in chosen)
    return Suggestion(
        d, channels, _op(d, channels, widened, names), certainty, widened, int(sight.images[d]), sight.share[d],
        sight.flagged[d], tuple(_reasons(d, channels, names, sight)),
    )  # fmt: skip


def _op(d: int, channels: tuple[int, ...], widened: bool, names: NameOdds) -> str:
    k = len(names.source_classes)
    if channels == (k,) or len(channels) > k:
        return "->"
    if len(channels) == 1:
        return "=" if names.same[d] == channels[0] else "<"
    return "~" if widened or k in channels else ">"


def _reasons(d: int, channels: tuple[int, ...], names: NameOdds, sight: Sight) -> Iterator[str]:
    """What the names say for what was chosen, each reason once, and what the teacher sees."""
    labels = [*names.source_classes, "void"]
    by_reasons: dict[tuple[str, ...], list[str]] = {}
    for c in channels:
        by_reasons.setdefault(tuple(names.reasons[d].get(c, ())), []).append(labels[c])
    for texts, classes in by_reasons.items():
        more = f" and {len(classes) - 3} more" if len(classes) > 3 else ""
        if texts:
            yield f"{' '.join(classes[:3])}{more}: {', '.join(texts)}"
    if sight.images[d]:
        top = [c for c in np.argsort(-sight.share[d], kind="stable")[:3] if sight.share[d, c] >= 0.05]
        seen = ", ".join(f"{labels[c]} {100 * sight.share[d, c]:.0f} %" for c in top) or "nothing that it knows"
        images = int(sight.images[d])
        if sight.familiar[d] < FAMILIAR:
            yield "the teacher is unsure everywhere"
        yield f"the teacher sees {seen} in {images} image{'s' * (images != 1)}"


# --- words --------------------------------------------------------------------------------------------------


def note(s: Suggestion) -> str:
    """A row's certainty and reasons, as a note in the file."""
    how = f"certainty {s.certainty:.2f}" if s.certainty else "nothing is known"
    return "; ".join([f"suggested, {how}{', widened' if s.widened else ''}", *s.reasons])


def about(names: NameOdds, suggestions: Sequence[Suggestion]) -> list[str]:
    """The comment at the head of the file."""
    images = max((s.images for s in suggestions), default=0)
    by = "names and what a teacher sees" if images else "names alone"
    return [
        f"A first map by `lsu-seg suggest`, from {by}: a draft, to be read row by row.",
        "Rows that are not certain are widened: they have all that may be in them, and void.",
    ]


def as_text(names: NameOdds, suggestions: Sequence[Suggestion], relations: Sequence[str]) -> str:
    """A table: certainty, class, relation, reasons; the least certain rows first."""
    width = max(map(len, names.classes), default=0)
    across = max((min(len(r), 40) for r in relations), default=0)
    lines = []
    for s in sorted(suggestions, key=lambda s: s.certainty):
        sure = f"{s.certainty:.2f}" if s.certainty else "  - "
        why = "; ".join(s.reasons) or "nothing is known"
        lines.append(f"{sure}  {names.classes[s.row]:{width}}  {relations[s.row]:{across}}  {why}")
    sure, wide = (sum(map(test, suggestions)) for test in (_is_sure, lambda s: s.widened))
    unknown = len(suggestions) - sure - wide
    head = (
        f"{names.dataset} -> {names.source}: {sure} rows certain, {wide} widened, {unknown} of which nothing is known"
    )
    return "\n".join([head, *lines]) + "\n"


def _is_sure(s: Suggestion) -> bool:
    return not s.widened and s.certainty > 0


def as_json(names: NameOdds, suggestions: Sequence[Suggestion], relations: Sequence[str], file: str) -> str:
    """What is suggested, versioned; shares are 0..1, and null where the teacher saw nothing of a row."""
    labels = [*names.source_classes, "void"]
    rows = [
        {
            "class": names.classes[s.row],
            "relation": relations[s.row],
            "allowed": [labels[c] for c in s.channels],
            "certainty": round(s.certainty, 4),
            "widened": s.widened,
            "images": s.images,
            "share": _by_class(s.share, names) if s.images else None,
            "agree": _by_class(s.flagged, names) if s.images else None,
            "reasons": list(s.reasons),
        }
        for s in suggestions
    ]
    document = {"version": 1, "dataset": names.dataset, "source": names.source, "file": file, "classes": rows}
    return json.dumps(document, indent=2)


def _by_class(values: NDArray[np.float64], names: NameOdds) -> dict[str, float]:
    """Those of at least a hundredth."""
    return {names.source_classes[c]: round(float(v), 4) for c, v in enumerate(values) if v >= 0.01}
