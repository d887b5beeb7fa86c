"""A confusion matrix as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lsu_onto import uninterrupted

_NUMBERS = 25  # with up to this many classes, cells show their percentage


def confusion_picture(matrix: NDArray[np.int64], names: Sequence[str], title: str, last: str = "void") -> bytes:
    """A PNG: rows are the ground truth and add up to 100 %, columns are the prediction. Absent classes are grey.

    Args:
        matrix: int64 `[K+1, K+1]` of `confusion`; the row of ignored truth is not shown.
        last: the label of the last column: void, or predictions that imply no class.
    """
    from matplotlib.figure import Figure  # not pyplot, which keeps every figure and may ask for a display

    k = len(names)
    rows = matrix[:-1].astype(float)
    total = rows.sum(1, keepdims=True)
    share = np.divide(rows, total, out=np.full(rows.shape, np.nan), where=total > 0)
    cell = 0.42 if k <= _NUMBERS else 0.17  # inches: 124 classes make 23 of them, with names of 7 points
    longest = 0.09 * max(map(len, names), default=1)
    figure = Figure(figsize=(cell * (k + 1) + longest + 1.6, cell * k + longest + 1.2), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(np.ma.masked_invalid(share), cmap="Blues", vmin=0, vmax=1, aspect="equal")
    axes.set_facecolor("#cccccc")
    size = 8 if k <= _NUMBERS else 7
    axes.set_xticks(range(k + 1), [*names, last], rotation=90, fontsize=size)
    axes.set_yticks(range(k), names, fontsize=size)
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth")
    axes.set_title(title, fontsize=10, loc="left")
    if k <= _NUMBERS:
        for i, j in zip(*np.nonzero(np.nan_to_num(share) >= 0.005), strict=True):
            colour = "white" if share[i, j] > 0.5 else "black"
            axes.text(j, i, f"{share[i, j]:.0%}"[:-1], ha="center", va="center", fontsize=7, color=colour)
    figure.colorbar(image, ax=axes, shrink=0.6, label="share of the truth")
    buffer = io.BytesIO()
    with uninterrupted():  # matplotlib's C++ makes a TypeError of Ctrl-C
        figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
