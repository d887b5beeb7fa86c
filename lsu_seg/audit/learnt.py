"""What scores are worth, learnt once from maps over drawn scenes whose every pixel is known.

`tools/experiments/audit_table/learn.py` writes `learnt.json`: linear models of the statistics, and how often right maps
have a score as high. No picture of a real dataset was used; docs/audit.md says how well it carries over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from math import log
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).with_name("learnt.json")


@dataclass(frozen=True)
class Linear:
    """Weights of features, and their sum with `intercept`: log odds, or a value.

    Attributes:
        names: of the F features.
    """

    names: tuple[str, ...]
    weights: tuple[float, ...]
    intercept: float

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Features `[…, F]` → `[…]`."""
        return np.asarray(x @ np.array(self.weights) + self.intercept)


@dataclass(frozen=True)
class Tail:
    """The part of the candidates of right maps that score at least so much.

    Attributes:
        scores: ascending. rates: the part at each, descending. Between them, the logarithm of the part is a straight
            line; above the last, it goes on as it does over the last three, as an exponential tail does. Of lower
            scores nothing is known: all have it.
    """

    scores: tuple[float, ...]
    rates: tuple[float, ...]

    def __call__(self, score: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """
        >>> Tail((0.0, 2.0), (0.1, 0.01))(np.array([-5, 1, 4])).round(3).tolist()
        [1.0, 0.032, 0.001]
        """
        x, y = np.array(self.scores), np.log(self.rates)
        beyond = y[-1] + (np.asarray(score) - x[-1]) * self._slope
        return np.exp(np.where(np.asarray(score) > x[-1], beyond, np.interp(score, x, y, left=0.0)))

    def border(self, rate: float) -> float:
        """The score that this part of the candidates reaches.

        >>> Tail((0.0, 2.0), (0.1, 0.01)).border(0.001)
        4.0
        """
        x, y = self.scores, np.log(self.rates)
        if rate < self.rates[-1]:
            return float(x[-1] + (log(rate) - y[-1]) / self._slope)
        return float(np.interp(-log(rate), -y, x))

    @property
    def _slope(self) -> float:
        """Of the logarithm of the part above the last score."""
        first = max(len(self.scores) - 3, 0)
        return log(self.rates[-1] / self.rates[first]) / (self.scores[-1] - self.scores[first])


@dataclass(frozen=True)
class Learnt:
    """All that was learnt.

    Attributes:
        present: log odds that c occurs in d, of `presence.FEATURES`.
        known: log odds that the teacher has a class for what a void row shows, of `Scores.familiarity`.
        novel: log odds that it has none for what another row shows, of the same.
        insisted, wrong_row, exchanged, void_hides, never_chosen, is_void: tails of the scores of the kinds of findings,
            of what right maps have. shuffled: of -order of `pairing`, of lists in order.
        power: log odds that a class that is missing from S(d) scores more than a border, of `scores.CIRCUMSTANCES`.
    """

    present: Linear
    known: Linear
    novel: Linear
    insisted: Tail
    wrong_row: Tail
    exchanged: Tail
    void_hides: Tail
    never_chosen: Tail
    is_void: Tail
    shuffled: Tail
    power: Linear


def as_json(learnt: Learnt) -> str:
    """The file's text."""
    return json.dumps(_short(asdict(learnt)), indent=1) + "\n"


def _short(x: Any) -> Any:
    """Five digits of every number: more are noise."""
    if isinstance(x, float):
        return float(f"{x:.5g}")
    if isinstance(x, Mapping):
        return {key: _short(value) for key, value in x.items()}
    return [_short(value) for value in x] if isinstance(x, Sequence) and not isinstance(x, str) else x


@cache
def learnt(file: Path = FILE) -> Learnt:
    """What the package has learnt."""
    parts = json.loads(file.read_text("utf-8"))
    read: dict[str, Any] = {
        key: (Linear if "weights" in part else Tail)(**_tuples(part)) for key, part in parts.items()
    }
    return Learnt(**read)


def _tuples(part: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in part.items()}
