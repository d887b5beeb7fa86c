"""The rehearsal: right maps over the dataset's own pixels, from which the audit learns what its scores are worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsu_seg.audit.adapt import adapt
from lsu_seg.audit.maps import ENOUGH, Mock, assumed_classes, random_map
from lsu_seg.audit.pixels import Pixels
from lsu_seg.audit.presence import Opinion, Presence, opinion, presence
from lsu_seg.audit.rows import closed_rows, fits, pair_gains
from lsu_seg.audit.scale import LEAST, Scale, at_least, insisted, learn, log_odds, logistic, sampled

SUSPECTS = 2.5
"""So many pairs of a right map are taken for suspects: the adaptation does not hold them against the teacher."""
WIDE = 2.0
"""Least scale of an exponential tail, in log odds: rehearsed maps that gain nothing prove no narrower one."""
TAKEN = 0.03
"""The smallest share of a class that is taken out of a rehearsed map to measure power."""
Progress = Callable[[int, int], None]


def look(
    pixels: Pixels, allowed: NDArray[np.bool_], suspects: Callable[[Presence], NDArray[np.bool_]] | None = None
) -> tuple[Opinion, Presence]:
    """The statistics of a map, by a teacher adapted to it.

    The adaptation bends towards a wrong map: with `suspects`, it is fitted again as if the map allowed them.

    Args:
        suspects: statistics → bool `[D, K]`.
    """
    bound = allowed[:, :-1] & closed_rows(allowed)[:, None]
    adaptation = adapt(pixels, bound)
    o = opinion(pixels, allowed, adaptation)
    statistics = presence(o)
    if suspects is not None:
        more = suspects(statistics) & closed_rows(allowed)[:, None] & ~bound
        if more.any():
            o = opinion(pixels, allowed, adapt(pixels, bound | more, adaptation, 30))
            statistics = presence(o)
    return o, statistics


@dataclass(frozen=True)
class Power:
    """P(found) = sigmoid(model) of log share, log recall, log confusion and log number of images.

    Attributes:
        model: None if none of the classes that were taken out was found.
    """

    model: Any

    def decidable(self, statistics: Presence, rows: int, chance: float = 0.9) -> NDArray[np.float32]:
        """The share of d from which on c would have been found with this probability, float32 `[D, K]`; inf: none."""
        k = statistics.share.shape[1]
        if self.model is None:
            return np.full((rows, k), np.inf, np.float32)
        grid = np.exp(np.linspace(np.log(LEAST), 0, 60))
        out = np.full((rows, k), np.inf, np.float32)
        for share in grid[::-1]:
            x = circumstances(statistics, np.full((len(statistics.share), k), share))[:rows]
            sure = 1 / (1 + np.exp(-log_odds(self.model, x))) >= chance
            out = np.where(sure, np.float32(share), out)
        return out


def circumstances(statistics: Presence, share: NDArray[np.float64]) -> NDArray[np.float64]:
    """What power depends on, `[R, K, 4]`."""
    images = np.broadcast_to(np.log(np.maximum(statistics.images, 1))[:, None], share.shape)
    return np.stack(
        [
            np.log(np.maximum(share, 1e-3)),
            np.log(statistics.recall + 1e-2),
            np.log(statistics.expected + 1e-2),
            images,
        ],
        axis=2,
    )


@dataclass(frozen=True)
class Rehearsal:
    """What was learnt.

    Attributes:
        scale: of the second look. suspects: for `look`.
        pair: best gain of each map by the exchange of two rows. slack: of each row of a right map, the log odds of the
            class of S(d) that is seen best. familiar: model of rows that the teacher knows. known, novel: its scores of
            rows that it knows, and of rows of a class that it does not have. known_row: the row of the dataset that
            most pixels of the former come from. power: of finding a missing class. maps: their number. maps_rows:
            their number, if each had as many rows as the map under audit.
    """

    scale: Scale
    suspects: Callable[[Presence], NDArray[np.bool_]]
    pair: NDArray[np.float64]
    slack: NDArray[np.float64]
    familiar: Any
    known: NDArray[np.float64]
    known_row: NDArray[np.int64]
    novel: NDArray[np.float64]
    power: Power
    maps: int
    maps_rows: float

    def expected_slack(self, value: float) -> float:
        """How many rows of a right map have a best allowed class of at most this score."""
        return _tail(-self.slack, -value) / self.maps_rows

    def expected_pairs(self, gain: float) -> float:
        """An exponential tail where no rehearsed map gains as much."""
        return _tail(self.pair, gain) / self.maps

    def expected_known(self, score: float, rows: int) -> float:
        """How many of so many void rows would look at least as familiar, though the teacher knows nothing of them."""
        return rows * _tail(self.novel, score) / max(len(self.novel), 1)

    def expected_novel(self, score: float, row: int) -> float:
        """How many rows of a right map would look at most as familiar, by what is rehearsed with other rows' pixels."""
        return _tail(-self.known[self.known_row != row], -score) / self.maps_rows


def _tail(values: NDArray[np.float64], at: float) -> float:
    """How many of the values are at least `at`; above them, by the exponential tail of their upper half."""
    if not len(values) or at <= (best := float(values.max())):
        return float(at_least(values, np.array(at)))
    middle = float(np.median(values))
    scale = max(float((values[values >= middle] - middle).mean()), WIDE)
    return 0.5 * float(np.exp(-(at - best) / scale))


def rehearse(
    pixels: Pixels,
    allowed: NDArray[np.bool_],
    level: float,
    maps: int = 40,
    seed: int = 0,
    progress: Progress | None = None,
) -> Rehearsal | None:
    """Play right maps over the pixels as they would be labelled under `allowed`.

    Args:
        allowed: bool `[D, K+1]`. level: expected false findings of the class-missing kind, which power depends on.
        maps: number of maps.

    Returns:
        None if fewer than three source classes occur in rows that must be some of them.
    """
    rng = np.random.default_rng(seed)
    closed = closed_rows(allowed)
    o, _ = look(pixels, allowed)
    count = np.bincount(assumed_classes(o, rng) + 1, minlength=allowed.shape[1])[1:]
    if not closed.any() or (count >= ENOUGH).sum() < 3:
        return None
    occurs = int((count >= ENOUGH).sum())
    spread = float(allowed[closed, :-1].sum()) / max(occurs, 1)
    # some rows of several classes are needed: one is taken out of them to measure power
    rows = min(int(closed.sum()), max(3, 3 * occurs // 4))
    pairs = int((~allowed[closed, :-1]).sum()), int(allowed[closed, :-1].sum())
    mocks: list[Mock] = []
    firsts: list[Presence] = []
    for i in range(maps):
        mocks.append(random_map(o.pixels, assumed_classes(o, rng), rows, spread, True, rng))
        firsts.append(look(mocks[-1].pixels, mocks[-1].allowed)[1])
        if progress:
            progress(i + 1, 3 * maps)
    first, scores = learn(list(zip(mocks, firsts, strict=True)), *pairs)
    border = float(np.sort(first.absent)[-min(int(SUSPECTS * maps) + 1, len(first.absent))])

    def suspects(statistics: Presence) -> NDArray[np.bool_]:
        return np.asarray(first.score(statistics)[:-1] > border)

    seconds: list[Presence] = []
    for i, (mock, z) in enumerate(zip(mocks, scores, strict=True)):
        seconds.append(look(mock.pixels, mock.allowed, lambda _, z=z: z > border)[1])  # type: ignore[misc]
        if progress:
            progress(maps + i + 1, 3 * maps)
    scale, scores = learn(list(zip(mocks, seconds, strict=True)), *pairs)
    slack = [
        np.where(mock.allowed[:, :-1], z, -np.inf).max(1)[sampled(mock)] for mock, z in zip(mocks, scores, strict=True)
    ]
    pair = [pair_gains(fits(z, mock.allowed)).max() for mock, z in zip(mocks, scores, strict=True)]
    x, known, came, half = [], [], [], []
    for i, (mock, statistics) in enumerate(zip(mocks, seconds, strict=True)):
        present = np.bincount(mock.pixels.row, minlength=len(mock.allowed)) > 0
        x.append(_familiar(statistics, scale)[: len(mock.allowed)][present])
        known.append((np.arange(len(mock.allowed)) != mock.hidden)[present])
        came.append(mock.source_row[present])
        half.append(np.full(int(present.sum()), i % 2))
    features, labels, half_of = np.concatenate(x), np.concatenate(known), np.concatenate(half)
    familiar, values = None, np.zeros(len(features))
    if all(len(set(labels[half_of == h].tolist())) == 2 for h in (0, 1)):
        familiar = logistic(features, labels, balanced=True)
        for h in (0, 1):  # scores by a model of the other half of the maps
            other = logistic(features[half_of != h], labels[half_of != h], balanced=True)
            values[half_of == h] = log_odds(other, features[half_of == h])
    power = _power(mocks, scale, suspects, level, rng, lambda i: progress and progress(2 * maps + i + 1, 3 * maps))
    return Rehearsal(
        scale,
        suspects,
        np.array(pair),
        np.concatenate(slack),
        familiar,
        values[labels],
        np.concatenate(came)[labels],
        values[~labels],
        power,
        maps,
        min(maps, sum(int(sampled(m).sum()) for m in mocks) / max(int(closed.sum()), 1)),
    )


def _familiar(statistics: Presence, scale: Scale) -> NDArray[np.float64]:
    z = scale.score(statistics)
    best = np.sort(z, axis=1)[:, -2:]
    return np.concatenate([statistics.familiar, best], axis=1)


def familiar_scores(statistics: Presence, rehearsal: Rehearsal) -> NDArray[np.float64]:
    """Log odds `[R]` that the teacher knows what a row shows."""
    if rehearsal.familiar is None:
        return np.zeros(len(statistics.share))
    return log_odds(rehearsal.familiar, _familiar(statistics, rehearsal.scale))


def _power(
    mocks: list[Mock],
    scale: Scale,
    suspects: Callable[[Presence], NDArray[np.bool_]],
    level: float,
    rng: np.random.Generator,
    progress: Callable[[int], object],
) -> Power:
    """Take a class out of some rows of each map, and see whether it would be found."""
    x, found = [], []
    for i, mock in enumerate(mocks):
        allowed = mock.allowed.copy()
        pairs = np.argwhere(
            allowed[:, :-1] & (mock.share > TAKEN) & (closed_rows(allowed) & (allowed.sum(1) > 1))[:, None]
        )
        taken: dict[int, int] = {}
        for d, c in rng.permutation(pairs)[:6].tolist() if len(pairs) else []:
            if len(taken) < 2:
                taken.setdefault(d, c)
        progress(i)
        if not taken:
            continue
        for d, c in taken.items():
            allowed[d, c] = False
        _, statistics = look(mock.pixels, allowed, suspects)
        z = scale.score(statistics)[: len(allowed)]
        seen = insisted(scale.false_present(z, mock.origin), z, statistics.share[: len(allowed)], level)
        where = circumstances(statistics, np.concatenate([mock.share, np.zeros((1, mock.share.shape[1]))]))
        for d, c in taken.items():
            x.append(where[d, c])
            found.append(bool(seen[d, c]))
    if len(set(found)) < 2 and not any(found):
        return Power(None)
    # one that is missed at the least share and recall, so that a model exists, and depends on them
    x.append(np.array([np.log(TAKEN / 2), np.log(1e-2), 0.0, np.mean([at[3] for at in x])]))
    found.append(False)
    return Power(logistic(np.array(x), np.array(found)))
