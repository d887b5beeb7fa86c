"""Polygon files (Cityscapes, IDD) → codes, drawn as the datasets' own tools draw them."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from lsu_seg.label_files.drawn import Drawing, Palette, read_json, wrong_json
from lsu_seg.label_files.errors import LabelFileError

_EXPECTED = "a JSON with `imgHeight`, `imgWidth` and `objects`, each with `label` and `polygon`"

_FAR = 1 << 24
"""Beyond this, Pillow's numbers are not exact, and in the end it draws on the wrong side. Python reads NaN, too."""


def draw_polygons(path: Path, known: dict[str, int], max_pixels: int) -> Drawing:
    """Draw a polygon file: later objects cover earlier ones, outlines are included, `deleted` objects are left out.

    Args:
        path: the JSON file.
        known: label → row of d (see `Palette`).
        max_pixels: refuse larger images.

    Raises:
        LabelFileError: the file is no polygon file.
    """
    from PIL import Image, ImageDraw

    content = read_json(path, _EXPECTED)
    palette = Palette(known)
    try:
        size = _whole(content["imgWidth"]), _whole(content["imgHeight"])
        if size[0] * size[1] > max_pixels:
            raise LabelFileError.too_large(path, *size, max_pixels)
        # Pillow draws the same shapes in 8-bit and 32-bit images.
        too_many_for_8_bits = len({o["label"] for o in content["objects"]}) > 255
        image = Image.new("I" if too_many_for_8_bits else "L", size, 0)
        drawer = ImageDraw.Draw(image)
        for polygon in content["objects"]:
            corners = [(x, y) for x, y in polygon["polygon"]]
            if polygon.get("deleted") or len(corners) < 3:
                continue
            if not all(-_FAR < place < _FAR for place in chain.from_iterable(corners)):
                raise ValueError("a corner is NaN, infinite, or too far away to be drawn")
            code = palette.code(polygon["label"])
            if code is not None:
                drawer.polygon(corners, fill=code)
    except LabelFileError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise wrong_json(path, error, _EXPECTED) from error
    return Drawing(np.asarray(image).astype(np.uint16), palette.labels)


def _whole(pixels: Any) -> int:
    """A width or height; some tools write `640.0`, or it as text."""
    if float(pixels) != int(pixels):
        raise ValueError(f"a size of {pixels} pixels")
    return int(pixels)
