"""The teacher adapted to the dataset: one scale and one offset per source class, fitted to what the map allows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsu_seg.audit.pixels import Pixels

FLOOR = 1e-4
"""Of probabilities, in logarithms: what eight bits cannot tell from nothing."""
SLACK = 0.01
"""What the fit grants a pixel that cannot be explained at all: a wrong row pulls no further than that."""
RIDGE = 0.02


@dataclass(frozen=True)
class Adaptation:
    """p' = softmax(scale · log p + offset).

    Attributes:
        scale: 1 for a teacher whose confidence fits the dataset. offset: float64 `[K]`, mean 0.
    """

    scale: float
    offset: NDArray[np.float64]

    def __call__(self, p: NDArray[np.float32]) -> NDArray[np.float32]:
        """p `[N, K]` → p' float32 `[N, K]`."""
        x = logarithms(p) * np.float32(self.scale) + self.offset.astype(np.float32)
        return _softmax(x)


def logarithms(p: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.log(np.maximum(p, np.float32(FLOOR)))


def _softmax(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of bounded logarithms, so that no maximum need be subtracted: float32 holds exp(±80)."""
    x = np.exp(x)
    return np.asarray(x / total(x))


def total(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum over the classes, `[N, K]` → `[N, 1]`; a product is several times as fast as numpy's sum of short rows."""
    return np.asarray(x @ np.ones((x.shape[1], 1), x.dtype))


def adapt(pixels: Pixels, allowed: NDArray[np.bool_], start: Adaptation | None = None, limit: int = 60) -> Adaptation:
    """Fit scale and offsets to the rows whose S(d) neither is everything nor has void.

    It minimises -Σ w log(Σ_{c∈S(d)} p'_c + 0.01) + 0.02·(mean b² + log² a), with the rows weighted by the root of their
    number of pixels.

    Args:
        allowed: bool `[D, K]`, S(d) without void.
    """
    from scipy.optimize import minimize

    k = pixels.p.shape[1]
    closed: NDArray[np.bool_] = np.logical_and(allowed.any(1), ~allowed.all(1))
    at = np.flatnonzero((pixels.row >= 0) & closed[np.maximum(pixels.row, 0)])
    start = start or Adaptation(1.0, np.zeros(k))
    if not len(at):
        return start
    row = pixels.row[at]
    count = np.bincount(row, minlength=pixels.rows)
    each = np.asarray(1 / np.sqrt(np.maximum(count, 1)))
    w = (each[row] / each[row].sum()).astype(np.float32)
    x, inside = logarithms(pixels.p[at]), allowed[row]

    def loss(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        a, b = np.exp(theta[0]), theta[1:]
        q = _softmax(x * np.float32(a) + b.astype(np.float32))
        part = q * inside
        m = total(part)[:, 0]
        # d m / d z_c = q_c (1[c in S] - m)
        grad = (part - q * m[:, None]) * (w / (m + SLACK))[:, None]
        value = -float(w @ np.log(m + SLACK)) + RIDGE * (float((b * b).mean()) + theta[0] ** 2)
        scale = -a * float(np.einsum("nk,nk->", grad, x)) + 2 * RIDGE * theta[0]
        return value, np.concatenate([[scale], -grad.sum(0) + 2 * RIDGE * b / k])

    best = minimize(
        loss, np.concatenate([[np.log(start.scale)], start.offset]), jac=True, method="L-BFGS-B",
        bounds=[(-2, 2)] + [(-6, 6)] * k, options={"maxiter": limit, "ftol": 1e-6},
    ).x  # fmt: skip
    return Adaptation(float(np.exp(best[0])), best[1:] - best[1:].mean())
