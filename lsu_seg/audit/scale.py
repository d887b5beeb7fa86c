"""What a score is worth: log odds learnt from rehearsed maps, and the false findings that a right map would have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsu_seg.audit.maps import Mock
from lsu_seg.audit.presence import FEATURES, Presence

PRESENT = 0.02
"""A class that is less of a row than this is taken neither as present nor as absent when scores are learnt."""
UNLIKELY = -3.0
"""Log odds below which a class is not insisted on, however rarely absent classes score as much."""
LEAST = 0.02
"""Of a row, a class that is not allowed must be so much to be insisted on."""
CHOSEN = 0.05
"""A class that a map allows in a row is expected to be more of it than this."""

Played = tuple[Mock, Presence]


def logistic(x: NDArray[np.float64], y: NDArray[np.bool_], balanced: bool = False) -> Any:
    """A logistic regression on standardised features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = LogisticRegression(C=1.0, max_iter=1000, class_weight="balanced" if balanced else None)
    return make_pipeline(StandardScaler(), model).fit(x, y)


def log_odds(model: Any, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Features `[…, F]` → log odds `[…]`."""
    return np.asarray(model.decision_function(x.reshape(-1, x.shape[-1]))).reshape(x.shape[:-1])


def at_least(values: NDArray[np.float64], score: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many values are at least each score, plus one half: none is no proof that there are none."""
    return np.asarray(len(values) - np.searchsorted(np.sort(values), score, "left") + 0.5, np.float64)


@dataclass(frozen=True)
class Scale:
    """Turns the statistics of pairs into log odds, and log odds into expected false findings of a right map.

    Attributes:
        model: of features. maps: number of rehearsed maps of as many absent pairs as the map under audit has.
        maps_present: the same of allowed pairs.
        absent: float64 `[A]`, the scores of pairs in which c does not occur, of all maps, each by a model that was
            learnt from other maps. origin: int64 `[A]`, the row of the dataset that the evidence comes from.
        present: float64 `[B]`, scores of pairs in which c is more than `CHOSEN` of d.
    """

    model: Any
    maps: float
    maps_present: float
    absent: NDArray[np.float64]
    origin: NDArray[np.int64]
    present: NDArray[np.float64]

    def score(self, statistics: Presence) -> NDArray[np.float64]:
        """Log odds `[R, K]` that c occurs in d."""
        return log_odds(self.model, statistics.features)

    def false_present(self, score: NDArray[np.float64], origin: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """How many absent classes of a right map have at least this score, `[R, K]` → `[R, K]`.

        If a row is wrong, the rehearsal takes what it hides for confusion; without the row, it cannot know the
        confusion of classes that are nowhere else. The geometric mean of the counts with and without the row is taken.

        Args:
            origin: int `[R, K]`, the row of the dataset that each pair's evidence comes from; its own by default.
        """
        if origin is None:
            origin = np.broadcast_to(np.arange(len(score))[:, None], score.shape)
        others = np.empty_like(score)
        for d in np.unique(origin):
            at = origin == d
            others[at] = at_least(self.absent[self.origin != d], score[at])
        return np.asarray(np.sqrt(at_least(self.absent, score) * others) / self.maps)

    def false_absent(self, score: NDArray[np.float64]) -> NDArray[np.float64]:
        """How many classes that occur in a row of a right map have at most this score."""
        return at_least(-self.present, -score) / self.maps_present


def sampled(mock: Mock) -> NDArray[np.bool_]:
    """Which rows have pixels and source classes, bool `[D]`."""
    out = np.bincount(mock.pixels.row, minlength=len(mock.allowed))[: len(mock.allowed)] > 0
    return np.asarray(out & ~mock.allowed[:, -1])


def insisted(
    expected: NDArray[np.float64], score: NDArray[np.float64], share: NDArray[np.float64], level: float
) -> NDArray[np.bool_]:
    """Which pairs are insisted on, if the map does not allow them."""
    return np.asarray((expected < level) & (score > UNLIKELY) & (share > LEAST))


def learn(
    played: list[Played], absent_pairs: int = 0, allowed_pairs: int = 0
) -> tuple[Scale, list[NDArray[np.float64]]]:
    """Fit the scale to rehearsed maps; also the scores `[D, K]` of each of them, cross-fitted over halves.

    Args:
        absent_pairs, allowed_pairs: of the map under audit. Where rehearsed maps have fewer, each counts for less.
    """

    def fit(part: list[Played]) -> Any:
        x = np.concatenate([s.features[: len(m.allowed)][sampled(m)].reshape(-1, len(FEATURES)) for m, s in part])
        share = np.concatenate([m.share[sampled(m)].ravel() for m, _ in part])
        inside = np.concatenate([m.allowed[sampled(m), :-1].ravel() for m, _ in part])
        used = ~inside | (share > PRESENT)
        return logistic(x[used], inside[used])

    halves = [fit(played[1::2]), fit(played[::2])]
    scores = [log_odds(halves[i % 2], s.features[: len(m.allowed)]) for i, (m, s) in enumerate(played)]
    absent, origin, present = [], [], []
    for z, (m, _) in zip(scores, played, strict=True):
        rows = sampled(m)
        outside = ~m.allowed[rows, :-1]
        absent.append(z[rows][outside])
        origin.append(m.origin[rows][outside])
        present.append(z[(m.share > CHOSEN) & rows[:, None]])
    joined = np.concatenate(absent), np.concatenate(origin), np.concatenate(present)
    maps = min(len(played), len(joined[0]) / max(absent_pairs, 1))
    maps_present = min(
        len(played), sum(int(m.allowed[sampled(m), :-1].sum()) for m, _ in played) / max(allowed_pairs, 1)
    )
    return Scale(fit(played), maps, maps_present, *joined), scores
