"""Whether a source class occurs in a dataset class: statistics of every pair (d, c), as if the map did not allow it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsu_seg.audit.adapt import Adaptation, total
from lsu_seg.audit.pixels import Pixels

CONFIDENCE = (0.5, 0.8, 0.95)
"""Borders of the confidence in a pixel's code."""
SMOOTHING = 40.0
"""Pixels that a component is worth which the teacher's own opinion stands in for."""
IN_IMAGE = 0.05
"""An image counts for a class in a row if more than this part of the row's pixels there is the class."""
SHOWS = 0.5
"""An image shows a class in a row if the teacher itself, uncorrected, says so much of it of one of the row's pixels."""
_SMALL = 1e-3


@dataclass(frozen=True)
class Opinion:
    """What is computed once of the pixels under a map; arrays are in the order of `pixels`, which are sorted by row.

    Attributes:
        pixels: sorted by row; row D are the values of `void:`, if any were sampled.
        weight: float32 `[N]`, the root of the pixels' weights, mean 1 in each row.
        q: float32 `[N, K]`, adapted. inside: float32 `[N, K]`, q within S(d); zero for rows without source classes.
        code: int `[N]`, (best class · 4 + bin of confidence) · 2 + flag.
        allowed: bool `[R, K]`, S(d) without void. open: bool `[R]`, rows that may be void.
    """

    pixels: Pixels
    weight: NDArray[np.float32]
    q: NDArray[np.float32]
    inside: NDArray[np.float32]
    code: NDArray[np.int64]
    allowed: NDArray[np.bool_]
    open: NDArray[np.bool_]

    @property
    def closed(self) -> NDArray[np.bool_]:
        """Rows that must be some of the source's classes, but not any of them."""
        return ~self.open & self.allowed.any(1) & ~self.allowed.all(1)

    def mean(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Weighted mean per row of values `[N, …]` → `[R, …]`; 0 in rows without pixels."""
        rows = len(self.allowed)
        w = self.weight if values.ndim == 1 else self.weight[:, None]
        summed = np.zeros((rows, *values.shape[1:]))
        start = np.searchsorted(self.pixels.row, np.arange(rows + 1))
        some = np.flatnonzero(start[1:] > start[:-1])
        if len(some):
            summed[some] = np.add.reduceat(values * w, start[some], axis=0)
        count = np.bincount(self.pixels.row, self.weight, minlength=rows)
        return np.asarray(summed / np.maximum(count, 1e-9).reshape(-1, *[1] * (values.ndim - 1)))


def opinion(pixels: Pixels, allowed: NDArray[np.bool_], adaptation: Adaptation) -> Opinion:
    """Args: allowed: bool `[D, K+1]`, void last."""
    rows, k = pixels.rows, allowed.shape[1] - 1
    closed = np.concatenate([allowed, np.eye(k + 1, dtype=bool)[[k]]])
    row = np.where(pixels.row < 0, rows, pixels.row)
    order = np.argsort(row, kind="stable")
    pixels = pixels.take(order)
    pixels = Pixels(pixels.p, row[order], pixels.agree, pixels.image, pixels.weight, rows + 1)
    root = np.sqrt(pixels.weight)
    usual = np.bincount(pixels.row, root, minlength=rows + 1) / np.maximum(
        np.bincount(pixels.row, minlength=rows + 1), 1
    )
    q = adaptation(pixels.p)
    inside = q * closed[pixels.row, :k]
    inside = inside / np.maximum(total(inside), 1e-9)
    best = q.argmax(1)
    bins = np.searchsorted(CONFIDENCE, q.max(1))
    code = (best * (len(CONFIDENCE) + 1) + bins) * 2 + pixels.agree
    weight = (root / np.maximum(usual, 1e-9)[pixels.row]).astype(np.float32)
    return Opinion(pixels, weight, q, inside.astype(np.float32), code, closed[:, :k], closed[:, k])


def prior(o: Opinion) -> NDArray[np.float64]:
    """The mix of classes that the adapted teacher assumes, `[K]`: the mean within S(d) over the rows of its fit."""
    per_row = o.mean(o.inside)
    count = np.sqrt(np.bincount(o.pixels.row, minlength=len(o.allowed)))
    count = np.where(o.closed, count, 0)
    mix = count @ per_row if count.sum() else o.mean(o.q).sum(0)
    mix = mix / max(mix.sum(), 1e-9)
    return np.asarray(0.9 * mix + 0.1 / len(mix))


def shares(o: Opinion, ratio: NDArray[np.float32], allowed: NDArray[np.bool_], steps: int = 30) -> NDArray[np.float64]:
    """The mix of classes in each row by expectation maximisation (Saerens, Latinne and Decaestecker 2002).

    Args:
        ratio: float32 `[N, K]`, likelihoods up to a factor per pixel. allowed: bool `[R, K]`, which classes may be.

    Returns:
        float64 `[R, K]`.
    """
    mix = allowed / np.maximum(allowed.sum(1, keepdims=True), 1)
    for _ in range(steps):
        r = ratio * mix.astype(np.float32)[o.pixels.row]
        r /= np.maximum(total(r), 1e-12)
        mix = o.mean(r)
    return np.asarray(mix)


def admixture(
    o: Opinion, ratio: NDArray[np.float32], mix: NDArray[np.float64], fallback: NDArray[np.float64], steps: int = 12
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How much of c on top of the other classes of S(d) explains a row best, and how much better.

    Maximises the mean of log((1 - a)·m + a·l_c) over a, where m is the likelihood under `mix` without c.

    Args:
        mix: float64 `[R, K]`, the mix within S(d). fallback: the mix without bounds, for rows where only c is left.

    Returns:
        a and the mean gain in log-likelihood, float64 `[R, K]`.
    """
    row = o.pixels.row
    k = ratio.shape[1]
    part = ratio * mix.astype(np.float32)[row]
    base = total(part) - part
    left = 1 - mix
    base = base / np.maximum(left, 1e-6).astype(np.float32)[row]
    spare = ratio * fallback.astype(np.float32)[row]
    spare = (total(spare) - spare) / np.maximum(1 - fallback, 1e-3).astype(np.float32)[row]
    alone = (left < 0.02)[row]
    base = np.where(alone, spare, base)
    odds = ratio / np.maximum(base, 1e-6)
    odds = np.clip(odds, 0, 1e4)
    alpha = np.full((len(mix), k), 0.2)
    for _ in range(steps):
        a = alpha.astype(np.float32)[row]
        part = a * odds
        alpha = o.mean(part / (part + 1 - a))
    a = alpha.astype(np.float32)[row]
    return alpha, np.maximum(o.mean(np.log(1 - a + a * odds)), 0)


def components(o: Opinion) -> NDArray[np.float64]:
    """What pixels of each class look like, by the other rows of the dataset.

    Returns:
        P(code | c), `[R, K, C]`. The component of c for row d is learnt from rows other than d, with the teacher's own
        opinion standing in for `SMOOTHING` pixels.
    """
    from scipy.sparse import csr_array

    rows, k = o.allowed.shape
    codes = k * (len(CONFIDENCE) + 1) * 2
    place = o.pixels.row * codes + o.code
    shape = (rows * codes, len(place))
    by_code = csr_array((np.ones(len(place), np.float32), (place, np.arange(len(place)))), shape=shape)
    own = (by_code @ o.q).reshape(rows, codes, k).sum(0).T.astype(float)
    counts = (by_code @ (o.inside * o.weight[:, None])).reshape(rows, codes, k).transpose(0, 2, 1).astype(float)
    counts[~o.closed] = 0
    own /= np.maximum(own.sum(1, keepdims=True), 1e-9)
    rest = counts.sum(0)[None] - counts
    pixels = rest.sum(2)
    return np.asarray((rest + SMOOTHING * own) / (pixels + SMOOTHING)[..., None])


def code_shares(o: Opinion, component: NDArray[np.float64], steps: int = 40) -> NDArray[np.float64]:
    """The mix of classes in each row whose components explain its codes best, float64 `[R, K]`."""
    rows, k, codes = component.shape
    histogram = _histogram(o, codes)
    mix = np.full((rows, k), 1 / k)
    for _ in range(steps):
        whole = np.einsum("rk,rkc->rc", mix, component)
        mix = mix * np.einsum("rc,rkc->rk", histogram / np.maximum(whole, 1e-12), component)
    return mix


def _histogram(o: Opinion, codes: int) -> NDArray[np.float64]:
    """How often each code occurs in each row, `[R, C]`."""
    place = o.pixels.row * codes + o.code
    out = np.bincount(place, o.weight, minlength=len(o.allowed) * codes).reshape(-1, codes)
    return np.asarray(out / np.maximum(out.sum(1, keepdims=True), 1e-9))


FEATURES = (
    "em", "codes", "admixture", "gain", "argmax", "mean", "sure", "flagged", "images", "quantile",
    "lift argmax", "lift mean", "lift sure", "lift flagged", "lift images", "lift em", "raw argmax", "raw mean",
    "lift raw", "surplus", "recall", "number of images", "code surplus", "rank", "shown",
)  # fmt: skip


@dataclass(frozen=True)
class Presence:
    """The statistics of the R rows, of which the last are the values of `void:`.

    Attributes:
        features: float64 `[R, K, F]`, as in `FEATURES`. share: `[R, K]`, the estimated share.
        familiar: float64 `[R, 5]`, how much each row looks like anything that the teacher knows.
        mix: `[R, K]`, the mix within S(d). recall: `[R, K]`, of pixels that are c, the part whose best class is c.
        expected: `[R, K]`, the part of the other classes of S(d) that is taken for c.
        images: `[R]`, images with pixels of the row. shown: int64 `[R, K]`, images that show the class in the row.
    """

    features: NDArray[np.float64]
    share: NDArray[np.float64]
    familiar: NDArray[np.float64]
    mix: NDArray[np.float64]
    recall: NDArray[np.float64]
    expected: NDArray[np.float64]
    images: NDArray[np.float64]
    shown: NDArray[np.int64]


def presence(o: Opinion) -> Presence:
    """The statistics of every pair."""
    rows, k = o.allowed.shape
    ratio = (o.q / prior(o).astype(np.float32)).astype(np.float32)
    free = shares(o, ratio, np.ones_like(o.allowed))
    bound = shares(o, ratio, o.allowed)
    alpha, gain = admixture(o, ratio, bound, free)
    component = components(o)
    by_code = code_shares(o, component)
    hit = np.eye(k, dtype=np.float32)[o.q.argmax(1)]
    raw_hit = np.eye(k, dtype=np.float32)[o.pixels.p.argmax(1)]
    argmax, mean = o.mean(hit), o.mean(o.q)
    sure = o.mean((o.q > 0.7).astype(np.float32))
    flagged = o.mean(hit * o.pixels.agree[:, None])
    raw, raw_mean = o.mean(raw_hit), o.mean(o.pixels.p)
    in_images, images = _in_images(o, hit)
    quantile = _quantiles(o, 0.97)
    # what the classes of S(d) without c would be taken for, by the other rows
    table = component.reshape(rows, k, k, -1).sum(3)  # [R, c', best]
    others = np.where(o.allowed, bound, 0)
    others = np.where(others.sum(1, keepdims=True) > 0, others, free)
    whole = np.einsum("rk,rkc->rc", others, table)
    self_part = others * np.einsum("rkk->rk", table)
    left = np.maximum(1 - others, 0.02)
    expected = (whole - self_part) / left
    recall = np.einsum("rkk->rk", table)

    def lift(x: NDArray[np.float64]) -> NDArray[np.float64]:
        mask = (~o.allowed & ~o.open[:, None]).astype(float)
        mask *= (np.bincount(o.pixels.row, minlength=rows) > 0)[:, None]
        total, count = (x * mask).sum(0)[None] - x * mask, mask.sum(0)[None] - mask
        usual = (total + x.mean(0)) / (count + 1)
        return _log(x) - _log(usual)

    size = np.log(np.maximum(images, 1))
    shown = _shown(o)
    shown_odds = np.log((shown + 0.5) / (images[:, None] - shown + 0.5))
    features = np.stack(
        [
            _logit(free), _logit(by_code), _logit(alpha), np.log(gain + 1e-4), _logit(argmax), _logit(mean),
            _logit(sure), _logit(flagged), _logit(in_images), _log(quantile), lift(argmax), lift(mean), lift(sure),
            lift(flagged), lift(in_images), lift(free), _logit(raw), _logit(raw_mean), lift(raw_mean),
            _log(argmax) - _log(expected), _log(recall), np.broadcast_to(size[:, None], (rows, k)),
            _log(by_code) - _log(expected), _rank(free), shown_odds,
        ],
        axis=2,
    )  # fmt: skip
    share = (free + by_code) / 2
    histogram = _histogram(o, component.shape[2])
    whole = np.einsum("rk,rkc->rc", by_code, component)
    surprise = (histogram * (np.log(histogram + 1e-9) - np.log(whole + 1e-9))).sum(1)
    best, raw_best = o.q.max(1), o.pixels.p.max(1)
    familiar = np.stack(
        [
            o.mean(best), o.mean(raw_best), o.mean(o.pixels.agree.astype(np.float32)), np.log(surprise + 1e-2),
            o.mean(np.log(np.maximum((ratio * free.astype(np.float32)[o.pixels.row]).sum(1), 1e-6))),
        ],
        axis=1,
    )  # fmt: skip
    return Presence(features, share, familiar, bound, recall, expected, images, shown)


def _log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(x + _SMALL)


def _logit(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log((x + _SMALL) / (1 - np.minimum(x, 1) + _SMALL))


def _rank(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The log ratio to the largest of the row."""
    return _log(x) - _log(x.max(1, keepdims=True))


def _in_images(o: Opinion, hit: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The part of the images of each row in which more than `IN_IMAGE` of its pixels are c, and their number."""
    rows, k = o.allowed.shape
    group = o.pixels.row * (int(o.pixels.image.max(initial=0)) + 1) + o.pixels.image
    order = np.argsort(group, kind="stable")
    groups, start = np.unique(group[order], return_index=True)
    if not len(groups):
        return np.zeros((rows, k)), np.zeros(rows)
    count = np.diff(np.append(start, len(group)))
    part = np.add.reduceat(hit[order], start, axis=0) / count[:, None]
    row = o.pixels.row[order][start]
    images = np.bincount(row, minlength=rows).astype(float)
    shown = np.zeros((rows, k))
    np.add.at(shown, row, part > IN_IMAGE)
    return shown / np.maximum(images, 1)[:, None], images


def _shown(o: Opinion) -> NDArray[np.int64]:
    """How many images show each class in each row, `[R, K]`."""
    rows, k = o.allowed.shape
    pixel, c = np.nonzero(o.pixels.p >= SHOWS)
    seen = np.unique(np.stack([o.pixels.row[pixel], o.pixels.image[pixel], c], 1), axis=0)
    return np.bincount(seen[:, 0] * k + seen[:, 2], minlength=rows * k).reshape(rows, k)


def _quantiles(o: Opinion, at: float) -> NDArray[np.float64]:
    out = np.zeros(o.allowed.shape)
    start = np.searchsorted(o.pixels.row, np.arange(len(out) + 1))
    for d in range(len(out)):
        part = o.q[start[d] : start[d + 1]]
        if len(part):
            i = min(int(at * len(part)), len(part) - 1)
            out[d] = np.partition(part, i, axis=0)[i]
    return out
