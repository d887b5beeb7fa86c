"""The scores of what may be wrong with a map, each higher the likelier it is.

A weak teacher, or a new domain, raises every score. So what a pair scores is held against the pairs of the map's other
rows: a part of their quantile is taken off. The row itself does not count, so that an error does not hide itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lsu_seg.audit.learnt import Linear
from lsu_seg.audit.presence import FEATURES, Presence
from lsu_seg.audit.rows import closed_rows

CLEAR = 0.1
"""A row clearly shows a class that is so much of it."""
USUAL = 0.07
"""Of the pairs of the other rows, the part that scores above the usual."""
PART = 0.6
"""How much of the usual score is taken off; the rest is the same for every dataset."""
SPARSE = 10
"""So many more pairs are counted as may be insisted on: of few pairs, what is usual is not well known."""
ENOUGH_IMAGES = 50
"""Rows of fewer images score high by mistake more often, the fewer the more; rows of more do so no more rarely."""
MANY_IMAGES = 40
"""A missing class is found no more often in rows with more images."""


@dataclass(frozen=True)
class Scores:
    """The scores of a map with D rows and K source classes.

    Attributes:
        allowed: bool `[D, K+1]`. judged: bool `[D]`, rows with enough pixels.
        statistics: their last row is that of values in `void:`. present: of `learnt.Learnt`.
    """

    allowed: NDArray[np.bool_]
    judged: NDArray[np.bool_]
    statistics: Presence
    present: Linear

    @cached_property
    def z(self) -> NDArray[np.float64]:
        """Log odds `[D, K]` that c occurs in d."""
        return self.present(self.statistics.features)[: len(self.allowed)]

    @property
    def share(self) -> NDArray[np.float64]:
        """The estimated share `[D, K]`."""
        return self.statistics.share[: len(self.allowed)]

    @property
    def said(self) -> NDArray[np.float64]:
        """The part `[D, K]` of each row of which c is the teacher's own best class, as its pictures show it."""
        logit = self.statistics.features[: len(self.allowed), :, FEATURES.index("raw argmax")]
        return np.asarray(1 / (1 + np.exp(-logit)))

    @cached_property
    def closed(self) -> NDArray[np.bool_]:
        """Judged rows that must be some of the source's classes, but not any of them."""
        return closed_rows(self.allowed) & self.judged

    @property
    def ignored(self) -> NDArray[np.bool_]:
        """Judged rows that are void, and nothing else."""
        return np.asarray(self.allowed[:, -1] & ~self.allowed[:, :-1].any(1) & self.judged)

    @cached_property
    def forbidden(self) -> NDArray[np.bool_]:
        """Pairs `[D, K]` that the map rules out."""
        return np.asarray(~self.allowed[:, :-1] & self.closed[:, None])

    @property
    def shown(self) -> NDArray[np.int64]:
        """How many images show each class in each row `[D, K]`."""
        return self.statistics.shown[: len(self.allowed)]

    @property
    def rows_at_risk(self) -> NDArray[np.float64]:
        """As how many rows of `ENOUGH_IMAGES` each row counts, `[D]`: of those in few images, more look wrong."""
        return np.asarray(ENOUGH_IMAGES / np.clip(self.statistics.images[: len(self.allowed)], 1, ENOUGH_IMAGES))

    @property
    def pairs_at_risk(self) -> int:
        """How many pairs may be insisted on by mistake."""
        return int(self.forbidden.sum()) + SPARSE

    @cached_property
    def chosen_from(self) -> NDArray[np.bool_]:
        """Pairs `[D, K]` that the map allows beside others."""
        return np.asarray(self.allowed[:, :-1] & (self.closed & (self.allowed.sum(1) > 1))[:, None])

    @cached_property
    def usual(self) -> NDArray[np.float64]:
        """What forbidden pairs of the other rows score, times `PART`, `[D, 1]`."""
        return PART * _quantile_elsewhere(self.z, self.forbidden, 1 - USUAL)

    @property
    def insisted(self) -> NDArray[np.float64]:
        """Of c that is missing from S(d), `[D, K]`."""
        return self.z - self.usual

    @property
    def wrong_row(self) -> NDArray[np.float64]:
        """Of rows that show something else: the best class outside of S(d) against the best inside, `[D]`."""
        inside = np.where(self.allowed[:, :-1], self.z, -np.inf).max(1)
        outside = np.where(self.allowed[:, :-1], -np.inf, self.z).max(1)
        return np.where(self.closed, outside - inside - self.usual[:, 0], -np.inf)

    @property
    def never_chosen(self) -> NDArray[np.float64]:
        """Of c that S(d) has without need, `[D, K]`."""
        return PART * _quantile_elsewhere(self.z, self.chosen_from, USUAL) - self.z

    @property
    def familiarity(self) -> NDArray[np.float64]:
        """How much rows look like anything that the teacher knows, and how much more than closed rows, `[D, F]`.

        The F features are those of `FAMILIAR`.
        """
        rows, s = len(self.allowed), self.statistics
        of_classes = s.features[:rows, :, [FEATURES.index(name) for name in OF_BEST]].max(1)
        spread = -(self.share * np.log(self.share + 1e-6)).sum(1, keepdims=True) / np.log(self.share.shape[1])
        best, largest = (np.sort(x, axis=1)[:, -2:] for x in (self.z, self.share))
        images = np.log(np.maximum(s.images[:rows], 1))[:, None]
        x = np.concatenate([s.familiar[:rows], best, largest, spread, images, of_classes], axis=1)
        usual = np.median(x[self.closed], axis=0) if self.closed.any() else 0.0
        return np.concatenate([x, x - usual], axis=1)

    def circumstances(self, share: NDArray[np.float64], border: float) -> NDArray[np.float64]:
        """What the power of finding a missing class depends on, `[D, K, 6]`, as in `CIRCUMSTANCES`.

        Args:
            share: `[D, K]`, how much of d it is. border: the score that it must reach.
        """
        s, shape = self.statistics, self.z.shape
        rows = len(self.allowed)
        of_share = [np.log(share), np.log(1.02 - share)]
        of_pair = [np.log(s.recall[:rows] + 1e-2), np.log(s.expected[:rows] + 1e-2)]
        of_row = [np.log(np.clip(s.images[:rows], 1, MANY_IMAGES))[:, None], self.usual + border]
        return np.stack([*of_share, *of_pair, *(np.broadcast_to(x, shape) for x in of_row)], axis=2)


OF_BEST = "em", "codes", "gain", "lift sure", "lift flagged", "lift raw"
"""Features of pairs of which the best class of a row says how familiar the row is."""
FAMILIAR = tuple(
    f"{name}{than}"
    for than in ("", " more than usual")
    for name in (
        "confidence", "raw confidence", "flagged", "surprise", "likelihood", "second best", "best", "second largest",
        "largest", "spread", "number of images", *(f"best {name}" for name in OF_BEST),
    )
)  # fmt: skip
"""Names of `Scores.familiarity`."""
CIRCUMSTANCES = ("share", "rest", "recall", "confusion", "images", "border")
"""Names of what power depends on. The rest counts, too: a teacher adapts itself to a row that is wrong throughout."""


def outside(share: NDArray[np.float64], allowed: NDArray[np.bool_]) -> list[int]:
    """The classes, three at most, that a row shows most of those that it may not be.

    Args:
        share: `[K]`. allowed: bool `[K]`.
    """
    order = [int(c) for c in np.argsort(-np.where(allowed, -1, share), kind="stable") if not allowed[c]]
    return [c for c in order if share[c] > CLEAR][:3] or order[:1]


def _quantile_elsewhere(z: NDArray[np.float64], pairs: NDArray[np.bool_], at: float) -> NDArray[np.float64]:
    """A quantile of the pairs' scores in the other rows, `[D, 1]`; 0 if they have none."""
    out = np.zeros((len(z), 1))
    for d in range(len(z)):
        others = np.delete(z, d, axis=0)[np.delete(pairs, d, axis=0)]
        if len(others):
            out[d] = np.quantile(others, at)
    return out
