"""A drawn label of 1024 x 2048 pixels in each encoding, for the tools that time how label files are read."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

ENCODINGS = {"palette": "id", "8-bit grey": "id", "16-bit grey": "id16/1000", "RGB": "rgb"}
"""What files are called, and how their taxonomies say that they are encoded."""


def write_label_files(folder: Path) -> None:
    """Write `NAME.png` and `NAME.tax` for each of `ENCODINGS`."""
    rng = np.random.default_rng(0)
    drawn = np.zeros((1024, 2048), np.uint8)
    for _ in range(150):
        corners = rng.integers(0, (2048, 1024), (9, 2))
        shape = corners.mean(0) + (corners - corners.mean(0)) * rng.uniform(0.05, 0.5)
        cv2.fillPoly(drawn, [shape.astype(np.int32)], int(rng.integers(19)))
    colours = rng.integers(0, 256, (19, 3), dtype=np.uint8)
    indices = Image.fromarray(drawn)
    indices.putpalette(colours.tobytes())
    images = {
        "palette": indices,
        "8-bit grey": Image.fromarray(drawn),
        "16-bit grey": Image.fromarray(drawn.astype(np.uint16) * 1000 + 7),
        "RGB": Image.fromarray(colours[drawn]),
    }
    rows = [f"{i}  c{i}  #{c.tobytes().hex()}  -> any" for i, c in enumerate(colours)]
    for name, encoding in ENCODINGS.items():
        images[name].save(folder / f"{name}.png")
        head = ["tax 1", "dataset town v1 -> demo v1", f"encoding: {encoding}"]
        (folder / f"{name}.tax").write_text("\n".join([*head, *rows, ""]))
