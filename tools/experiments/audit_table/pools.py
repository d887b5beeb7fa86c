"""A pool: what one teacher says of sampled pixels of one dataset whose true classes are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

GRID = 36, 64
DRAWN = 48
"""Pixels of each true class in each image."""
VOID = -1
UNKNOWN = 255
"""Void, where a class is stored in a byte."""


@dataclass(frozen=True)
class Pool:
    """Pixels of a dataset with the teacher's opinion and the truth. K true classes, the teacher's channels.

    Attributes:
        classes: names of the K classes.
        p: float16 `[N, K]`, the teacher's probability. row: int16 `[N]`, the true class or VOID.
        agree: bool `[N]`, top class and true class are the same at the 4 diagonal neighbours.
        top_agrees: bool `[N]`, the top class is. near: uint8 `[N, 4]`, the true classes there; UNKNOWN is void.
        image: int32 `[N]`. place: uint16 `[N, 2]`. weight: float32 `[N]`, pixels of the class in the image / drawn.
        keys: `[M]` names of the images. size: int32 `[M, 2]`. pixels: int64 `[M, K+1]`, last: void.
        grid_row: int16 `[M, 36, 64]`, true class. grid_top: uint16 `[M, 36, 64, 2]`, the two best channels.
        miou: of the teacher on these images.
    """

    classes: NDArray[np.str_]
    p: NDArray[np.float16]
    row: NDArray[np.int16]
    agree: NDArray[np.bool_]
    top_agrees: NDArray[np.bool_]
    near: NDArray[np.uint8]
    image: NDArray[np.int32]
    place: NDArray[np.uint16]
    weight: NDArray[np.float32]
    keys: NDArray[np.str_]
    size: NDArray[np.int32]
    pixels: NDArray[np.int64]
    grid_row: NDArray[np.int16]
    grid_top: NDArray[np.uint16]
    miou: float

    @classmethod
    def load(cls, path: Path) -> Pool:
        with np.load(path) as data:
            return cls(**{f.name: float(data[f.name]) if f.name == "miou" else data[f.name] for f in fields(cls)})

    def some(self, images: NDArray[np.int64]) -> Pool:
        """The pool of some of the images only."""
        number = np.full(len(self.keys), -1)
        number[images] = np.arange(len(images))
        kept = number[self.image] >= 0
        of_pixels = ("p", "row", "agree", "top_agrees", "near", "place", "weight")
        of_images = ("keys", "size", "pixels", "grid_row", "grid_top")
        parts = {name: getattr(self, name)[kept] for name in of_pixels}
        parts |= {name: getattr(self, name)[images] for name in of_images}
        return replace(self, image=number[self.image[kept]].astype(np.int32), **parts)

    def merged(self, to: NDArray[np.int64]) -> Pool:
        """The pool of coarser classes, and of a teacher of these. to: int `[K]`, the new class of each."""
        count = int(to.max()) + 1
        p, pixels = np.zeros((len(self.p), count), np.float32), np.zeros((len(self.keys), count + 1), np.int64)
        np.add.at(p.T, to, self.p.T.astype(np.float32))
        np.add.at(pixels.T, np.append(to, count), self.pixels.T)
        table = np.append(to, VOID)  # of VOID, as an index from the end
        near = np.append(to, np.full(UNKNOWN + 1 - len(to), UNKNOWN)).astype(np.uint8)[self.near]
        return replace(
            self, classes=np.array(["+".join(self.classes[to == c]) for c in range(count)]), p=p.astype(np.float16),
            row=table[self.row].astype(np.int16), near=near, pixels=pixels,
            grid_row=table[self.grid_row].astype(np.int16), grid_top=to[self.grid_top].astype(np.uint16),
        )  # fmt: skip

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part.npz")
        np.savez_compressed(partial, **{f.name: np.asarray(getattr(self, f.name)) for f in fields(self)})
        partial.rename(path)


Scene = tuple[str, NDArray[np.uint8], NDArray[np.int16]]
"""Key, RGB image, true classes of the label's pixels."""


def make_pool(
    classes: tuple[str, ...],
    scenes: Iterable[Scene],
    teacher: Callable[[NDArray[np.uint8], tuple[int, int]], NDArray[np.float32]],
    seed: int = 0,
) -> Pool:
    """Ask the teacher about every scene and keep a sample.

    Args:
        teacher: image and the label's height and width → p `[K, H, W]`.
    """
    count = len(classes)
    pixels_of: list[dict[str, NDArray]] = []
    images: list[dict[str, NDArray]] = []
    keys, confusion = [], np.zeros((count, count), np.int64)
    for number, (key, image, truth) in enumerate(scenes):
        height, width = truth.shape
        p = teacher(image, (height, width))
        top = np.argsort(-p, axis=0)[:2].astype(np.uint16)
        known = truth >= 0
        confusion += np.bincount(truth[known] * count + top[0][known], minlength=count * count).reshape(count, count)
        rng = np.random.default_rng([seed, number])
        pixels = np.bincount(np.where(known, truth, count).ravel(), minlength=count + 1)
        for c in np.flatnonzero(pixels):
            at = np.flatnonzero((truth == (c if c < count else VOID)).ravel())
            at = np.sort(rng.choice(at, min(DRAWN, len(at)), replace=False))
            y, x = np.divmod(at, width)
            step = max(1, round(height / 128))
            corners = [
                (np.clip(y + a, 0, height - 1), np.clip(x + b, 0, width - 1))
                for a in (-step, step)
                for b in (-step, step)
            ]
            top_agrees = np.all([top[0][corner] == top[0][y, x] for corner in corners], 0)
            near = np.stack([truth[corner] for corner in corners], 1)
            pixels_of.append(
                {
                    "p": p[:, y, x].T.astype(np.float16),
                    "row": truth[y, x].astype(np.int16),
                    "agree": top_agrees & (near == truth[y, x][:, None]).all(1),
                    "top_agrees": top_agrees,
                    "near": near.astype(np.uint8),  # VOID becomes UNKNOWN
                    "image": np.full(len(at), number, np.int32),
                    "place": np.stack([y, x], 1).astype(np.uint16),
                    "weight": np.full(len(at), pixels[c] / len(at), np.float32),
                }
            )
        y, x = ((np.arange(n) + 0.5) * side / n for n, side in zip(GRID, truth.shape, strict=True))
        at_grid = np.ix_(y.astype(int), x.astype(int))
        images.append(
            {
                "size": np.array(truth.shape, np.int32),
                "pixels": pixels.astype(np.int64),
                "grid_row": truth[at_grid].astype(np.int16),
                "grid_top": np.stack([t[at_grid] for t in top], -1),
            }
        )
        keys.append(key)
    together = {name: np.concatenate([part[name] for part in pixels_of]) for name in pixels_of[0]}
    together |= {name: np.stack([part[name] for part in images]) for name in images[0]}
    return Pool(classes=np.array(classes), keys=np.array(keys), miou=miou(confusion), **together)


def miou(confusion: NDArray[np.int64]) -> float:
    """Mean over the classes that occur."""
    hit, union = np.diag(confusion), confusion.sum(0) + confusion.sum(1) - np.diag(confusion)
    occurs = confusion.sum(1) > 0
    return float((hit[occurs] / union[occurs]).mean())
