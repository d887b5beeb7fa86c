"""Polygon files (Cityscapes, IDD) → codes, drawn as the datasets' own tools draw them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lsu_seg.label_files.drawn import Drawing, Palette, read_json, wrong_json
from lsu_seg.label_files.errors import LabelFileError

_EXPECTED = "a JSON with `imgHeight`, `imgWidth` and `objects`, each with `label` and `polygon`"


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
        size = int(content["imgWidth"]), int(content["imgHeight"])
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
            code = palette.code(polygon["label"])
            if code is not None:
                drawer.polygon(corners, fill=code)
    except LabelFileError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise wrong_json(path, error, _EXPECTED) from error
    return Drawing(np.asarray(image).astype(np.uint16), palette.labels)
