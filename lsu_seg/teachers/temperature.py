"""The temperature of a teacher: one number that its logits are divided by, so that its confidence is what it says.

Guo et al., On Calibration of Modern Neural Networks (2017). It is fitted on p as labelling uses it: the mean over the
views of the softmax of each view's logits. A mean of several views is less confident than each of them, so a
temperature that fits the logits of one view would be too high for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

LARGEST = 10.0
"""Temperatures lie between 1/10 and 10."""

_AT_ONCE = 1 << 22
"""The number of values computed at a time in float64."""


def p_of(evidence: Tensor, temperature: float) -> Tensor:
    """p at points, float32 `[P, C]`. evidence: see `fit`."""
    rest = evidence[0, :, 0], evidence[0, :, 0]
    parts = [(part.double() / temperature).softmax(2).mean(0).float() for part, _, _ in _parts(evidence, *rest)]
    return torch.cat(parts)


def loss(evidence: Tensor, target: Tensor, weight: Tensor, temperature: float) -> float:
    """The mean negative log-likelihood of the ground truth, in nats. Arguments: see `fit`."""
    parts = _parts(evidence, target, weight)
    return float(sum(_loss(*part, temperature) for part in parts) / weight.double().sum())


def fit(evidence: Tensor, target: Tensor, weight: Tensor) -> float:
    """The temperature of the smallest negative log-likelihood.

    Args:
        evidence: float `[V, P, C]` of P pixels in V views: logits, or logarithms of masks' evidence.
        target: int64 `[P]`, the classes of the ground truth.
        weight: float `[P]`, how many pixels each stands for.

    >>> logits = torch.tensor([[[4.0, 0.0]] * 4])  # 98 % certain, and right in three of four: ln 3 would be enough
    >>> round(fit(logits, torch.tensor([0, 0, 0, 1]), torch.ones(4)), 3) == round(4 / math.log(3), 3)
    True
    """
    place = torch.zeros((), dtype=torch.float64, requires_grad=True)
    total = weight.double().sum()
    optimizer = torch.optim.LBFGS([place], max_iter=50, tolerance_change=1e-9, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = torch.zeros((), dtype=torch.float64)
        for part in _parts(evidence, target, weight):
            share = _loss(*part, _at(place)) / total
            share.backward()  # part by part, so that only one of them is in memory
            value += share.detach()
        return value

    step: Callable[[Callable[[], Tensor]], Tensor] = optimizer.step
    with torch.enable_grad():
        step(closure)
    fitted = float(_at(place.detach()))
    better = math.isfinite(fitted) and loss(evidence, target, weight, fitted) <= loss(evidence, target, weight, 1.0)
    return fitted if better else 1.0


def _at(place: Tensor) -> Tensor:
    """Any number as a temperature; 0 is 1."""
    return (math.log(LARGEST) * place.tanh()).exp()


def _loss(evidence: Tensor, target: Tensor, weight: Tensor, temperature: float | Tensor) -> Tensor:
    log_p = (evidence.double() / temperature).log_softmax(2)
    own = log_p.gather(2, target.expand(len(log_p), -1)[..., None])[..., 0]
    return -(weight.double() * (own.logsumexp(0) - math.log(len(own)))).sum()


def _parts(evidence: Tensor, target: Tensor, weight: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    step = max(1, _AT_ONCE // max(1, evidence.shape[0] * evidence.shape[2]))
    for at in range(0, evidence.shape[1], step):
        some = slice(at, at + step)
        yield evidence[:, some], target[some], weight[some]
