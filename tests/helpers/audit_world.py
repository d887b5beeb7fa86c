"""A dataset that is drawn from a known teacher: its pixels' classes are known, so what an audit should say is too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsu_seg.audit.pixels import Pixels

ROWS = ((0,), (1, 2), (3,), (4, 5), (6,), (7,))
"""S(d) of the right map."""


@dataclass(frozen=True)
class World:
    pixels: Pixels
    classes: NDArray[np.int64]
    allowed: NDArray[np.bool_]


def draw(
    rows: tuple[tuple[int, ...], ...] = ROWS,
    k: int = 8,
    images: int = 30,
    per_image: int = 8,
    sure: float = 2.5,
    seed: int = 0,
    bias: NDArray[np.float64] | None = None,
    content: dict[int, tuple[int, ...]] | None = None,
) -> World:
    """Every row in every image, with a softmax teacher whose logit of the true class is `sure` higher on average.

    Args:
        rows: S(d) of each row; k stands for void. content: what rows really show, where it is not S(d); k stands for
            what the teacher does not know. bias: added to the logits.
    """
    rng = np.random.default_rng(seed)
    row, image, classes = [], [], []
    for i in range(images):
        for d, channels in enumerate(rows):
            shown = (content or {}).get(d, channels)
            row += [d] * per_image
            image += [i] * per_image
            # an image shows mostly one of the classes, as images do
            mix = rng.dirichlet(np.ones(len(shown)))
            classes += rng.choice(np.array(shown), per_image, p=mix).tolist()
    c = np.array(classes)
    logits = rng.normal(size=(len(c), k))
    known = c < k
    logits[known, c[known]] += sure + rng.normal(size=int(known.sum()))
    if bias is not None:
        logits += bias
    p = np.exp(logits)
    p /= p.sum(1, keepdims=True)
    allowed = np.zeros((len(rows), k + 1), bool)
    for d, channels in enumerate(rows):
        allowed[d, list(channels)] = True
    agree = rng.random(len(c)) < np.where(known, 0.8, 0.4)
    pixels = Pixels(p.astype(np.float32), np.array(row), agree, np.array(image), np.ones(len(c), np.float32), len(rows))
    return World(pixels, c, allowed)
