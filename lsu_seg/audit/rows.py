"""Whose content a row has: rows that are exchanged, and label spaces that have slipped."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LIMIT = 4.0
"""Log odds beyond this count no further: one class alone proves nothing about a row."""
PAIR = 4.0
"""Least gain in log-likelihood for which two rows are exchanged."""
SLIP = 6.0
"""Least gain for which three rows or more are moved."""
EACH = 1.5
"""Least mean gain of three rows or more, from their fit under the map as it is to that under the moved map."""


def fits(z: NDArray[np.float64], allowed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How well the content of each row fits S(r) of each other: Σ_c log sigmoid(±z_dc), plus where c ∈ S(r).

    Args:
        z: `[D, K]`, log odds that c occurs in d. allowed: bool `[D, K+1]`.

    Returns:
        float64 `[D, D]`, content by S(r); NaN for S(r) that are everything or have void: these fit anything.
    """
    clipped = np.clip(z, -LIMIT, LIMIT)
    yes, no = -np.logaddexp(0, -clipped), -np.logaddexp(0, clipped)
    inside = allowed[:, :-1].astype(float)
    out = yes @ inside.T + no @ (1 - inside).T
    out[:, ~closed_rows(allowed)] = np.nan
    return np.asarray(out)


def closed_rows(allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Rows that must be some of the source's classes, but not any of them."""
    inside = allowed[:, :-1]
    return np.asarray(~allowed[:, -1] & inside.any(1) & ~inside.all(1))


def pair_gains(fit: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the exchange of each two rows gains, `[D, D]`; 0 for rows that cannot be compared."""
    each = fit - np.diag(fit)[:, None]
    return np.nan_to_num(each + each.T, nan=0.0)


def may_exchange(fit: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Pairs of rows of which neither loses more by an exchange than one class is worth, `[D, D]`.

    If one of two gains, and the other loses as much, one alone is wrong.
    """
    each = fit - np.diag(fit)[:, None]
    return np.asarray((each > -LIMIT) & (each.T > -LIMIT))


def patterns(raw: NDArray[np.int64], allowed: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Ways in which ids are misread: shifted by up to three, or the number of a class in the list read as its id.

    Args:
        raw: int `[D]`, the smallest raw value of each row; -1 for none. allowed: bool `[D, K+1]`.

    Returns:
        For each way, the row that the content of each row belongs to, -1 where the list ends.
    """
    by_value = {int(v): d for d, v in enumerate(raw) if v >= 0}
    out = [np.array([by_value.get(int(v) + s, -1) if v >= 0 else -1 for v in raw]) for s in (-3, -2, -1, 1, 2, 3)]
    order = np.array(sorted((d for d in by_value.values()), key=lambda d: raw[d]))
    lists = {tuple(order.tolist()), tuple(d for d in order.tolist() if not allowed[d, -1] or allowed[d, :-1].any())}
    for listed in lists:
        for first in (0, 1):
            number = {i + first: d for i, d in enumerate(listed)}
            out.append(np.array([number.get(int(v), -1) if v >= 0 else -1 for v in raw]))
    return [way for way in out if (way >= 0).any()]
