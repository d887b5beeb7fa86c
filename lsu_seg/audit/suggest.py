"""The rows of a first map: what a teacher sees in each class, beside what the classes are called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsu_onto import NameOdds, Suggestion, suggest_rows
from lsu_seg.audit.adapt import Adaptation, adapt
from lsu_seg.audit.pixels import Pixels, pixels_of, redraw
from lsu_seg.audit.presence import FEATURES, Opinion, opinion, presence, prior, shares
from lsu_seg.audit.sample import Sample

LIFT, GAIN, SURPLUS, BASE = 1.1, 1.0, 0.8, 2.2
"""Log odds of pictures, chosen on drawn scenes: BASE, plus LIFT · log(share of the class / its mean share in others),
plus GAIN · log(by how much the class explains the row better, in nats a pixel), plus SURPLUS · log(what looks like the
class / what of that the other likely classes of the row explain)."""
MOST = 8.0
"""What pictures say of a pair at most, either way."""
FEW = 2.0
"""So many images say half of what many would."""
ROUNDS = 2
"""Times that the teacher is adapted to what is likely so far."""
STRANGE = -1.5
"""Log odds of the names up to which a row has no name that says anything."""
BELIEF, DOUBT = 1.37, 2.68
"""Log odds that a row is right: `BELIEF` times those of its least certain cell, less `DOUBT`, for what a teacher seldom
recognises is missing without a trace. Fitted to pools that the audit learnt from (`tools/experiments/suggest.py`)."""
CERTAIN = 3.0
"""A cell is no more certain than this: no row of the pools had a least certain cell beyond."""
FAMILIAR = 0.5
"""The teacher's mean confidence below which it does not know what a row shows; without a name, it is `-> void`."""


@dataclass(frozen=True)
class Sight:
    """What the teacher sees in each row.

    Attributes:
        odds: float64 `[D, K+1]`, what pictures add to the log odds that c is in S(d); nothing to those of void.
        share: `[D, K]`, what it saw. flagged: `[D, K]`, the part of the row that it took for the class, as it did all
            around. images: int64 `[D]`. familiar: `[D]`, the teacher's own mean confidence.
    """

    odds: NDArray[np.float64]
    share: NDArray[np.float64]
    flagged: NDArray[np.float64]
    images: NDArray[np.int64]
    familiar: NDArray[np.float64]


def suggest(sample: Sample, names: NameOdds) -> tuple[list[Suggestion], Sight]:
    """A row for each class of the dataset, and what was seen.

    Args:
        sample: of the dataset. names: of the same classes and source classes.
    """
    return suggest_seen(pixels_of(sample), names)


def suggest_seen(pixels: Pixels, names: NameOdds) -> tuple[list[Suggestion], Sight]:
    """The same of the sampled pixels."""
    sight = look(pixels, names.odds)
    rows = []
    for s in suggest_rows(names, sight.odds):
        if sight.images[s.row] and sight.familiar[s.row] < FAMILIAR and names.odds[s.row].max() <= STRANGE:
            void = len(names.source_classes)
            s = replace(s, channels=(void,), op="->", certainty=0.0, widened=False, reasons=())
        elif sight.images[s.row] and s.certainty:
            least = min(np.abs(names.odds[s.row] + sight.odds[s.row]).min(), CERTAIN)
            s = replace(s, certainty=float(1 / (1 + np.exp(DOUBT - BELIEF * least))))
        rows.append(replace(s, reasons=(*s.reasons, *_seen(s.row, names, sight))))
    return rows, sight


def look(pixels: Pixels, odds: NDArray[np.float64]) -> Sight:
    """What the teacher sees, adapted to what is likely by `odds` `[D, K+1]` and by what it saw before."""
    pixels, _ = redraw(pixels, pixels.row, pixels.rows, np.random.default_rng(0))
    rows, k = pixels.rows, odds.shape[1] - 1
    images = np.array([len(np.unique(pixels.image[pixels.row == d])) for d in range(rows)])
    adaptation = Adaptation(1.0, np.zeros(k))
    allowed = np.ones((rows, k + 1), bool)
    o = opinion(pixels, allowed, adaptation)
    familiar = o.mean(o.q.max(1))[:rows]
    flagged = o.mean(np.eye(k, dtype=np.float32)[o.q.argmax(1)] * o.pixels.agree[:, None])[:rows]
    for _ in range(ROUNDS):
        seen = _odds(o, images, odds)
        allowed = odds + seen > 0
        allowed[~allowed.any(1) | allowed[:, k]] = True  # nothing is known that the teacher could be adapted to
        adaptation = adapt(pixels, allowed[:, :k], adaptation)
        o = opinion(pixels, allowed, adaptation)
    return Sight(_odds(o, images, odds), _shares(o), flagged, images, familiar)


def _shares(o: Opinion) -> NDArray[np.float64]:
    ratio = (o.q / prior(o).astype(np.float32)).astype(np.float32)
    return shares(o, ratio, np.ones_like(o.allowed))[:-1]


def _odds(o: Opinion, images: NDArray[np.int64], names: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the pictures say, `[D, K+1]`. What is called void shows something, too, and is void by decision."""
    share = _shares(o)
    some = (images > 0).astype(float)[:, None]
    others = np.maximum(some.sum() - some, 1)
    usual = ((share * some).sum(0) - share * some) / others
    features = presence(o).features[:-1]
    gain, surplus = (features[..., FEATURES.index(name)] for name in ("gain", "code surplus"))
    odds = LIFT * np.log((share + 0.01) / (usual + 0.01)) + GAIN * gain + SURPLUS * surplus + BASE
    odds = np.clip(odds, -MOST, MOST) * (images / (images + FEW))[:, None]
    odds[(names[:, -1] > 0) & (names[:, -1] >= names.max(1))] = 0
    return np.pad(odds, ((0, 0), (0, 1)))


def _seen(d: int, names: NameOdds, sight: Sight) -> Iterator[str]:
    """What the teacher sees in a row, in words."""
    if not sight.images[d]:
        return
    top = [c for c in np.argsort(-sight.share[d], kind="stable")[:3] if sight.share[d, c] >= 0.05]
    seen = ", ".join(f"{names.source_classes[c]} {100 * sight.share[d, c]:.0f} %" for c in top)
    images = int(sight.images[d])
    if sight.familiar[d] < FAMILIAR:
        yield "the teacher is unsure everywhere"
    yield f"the teacher sees {seen or 'nothing that it knows'} in {images} image{'s' * (images != 1)}"


def seen_as_json(sight: Sight, names: NameOdds) -> list[dict[str, Any]]:
    """What the teacher saw of each row; shares are 0..1, and null where it saw nothing of a row."""
    return [
        {
            "images": int(images),
            "share": _by_class(sight.share[d], names) if images else None,
            "agree": _by_class(sight.flagged[d], names) if images else None,
        }
        for d, images in enumerate(sight.images)
    ]


def _by_class(values: NDArray[np.float64], names: NameOdds) -> dict[str, float]:
    """Those of at least a hundredth."""
    return {names.source_classes[c]: round(float(v), 4) for c, v in enumerate(values) if v >= 0.01}
