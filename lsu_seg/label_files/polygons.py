"""Polygon files (Cityscapes, IDD) → codes, drawn as the datasets' own tools draw them."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from lsu_seg.label_files.drawn import Drawing, Palette, read_json, wrong_json
from lsu_seg.label_files.errors import LabelFileError, refuse

_EXPECTED = "a JSON with `imgHeight`, `imgWidth` and `objects`, each with `label` and `polygon`"

_MOST_STEPS = 10**8
"""Of `_steps`, each a microsecond at most. The largest files of street scenes need a million."""

_MANY = 1000
"""Corners of outlines that are worth a look before they are drawn."""

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
        steps = 0
        for polygon in content["objects"]:
            corners = [(x, y) for x, y in polygon["polygon"]]
            if _is_deleted(polygon.get("deleted")) or len(corners) < 3:
                continue
            if not all(-_FAR < place < _FAR for place in chain.from_iterable(corners)):
                raise ValueError("a corner is NaN, infinite, or too far away to be drawn")
            code = palette.code(polygon["label"])
            if code is None:
                continue
            if len(corners) > _MANY:
                corners = _without_repetitions(corners)
            steps += _steps(corners, size[1])
            if steps > _MOST_STEPS:
                found = f"outlines that take minutes to draw, the last with {len(corners)} corners at different pixels"
                advice = "simplify them, or store the labels as images"
                raise refuse(path, found, "outlines as people draw them", advice)
            drawer.polygon(corners, fill=code)
    except LabelFileError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise wrong_json(path, error, _EXPECTED) from error
    return Drawing(np.asarray(image).astype(np.uint16), palette.labels)


def _is_deleted(said: Any) -> bool:
    """What an object says of it: 0 or 1, true or false. As a text, each of these is true to Python.

    >>> [_is_deleted(said) for said in (None, 0, 1, False, "0", "No", "true")]
    [False, False, True, False, False, False, True]
    """
    known = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}
    if said is None or (isinstance(said, (int, float)) and said in (0, 1)):
        return bool(said)
    if isinstance(said, str) and said.strip().lower() in known:
        return known[said.strip().lower()]
    raise ValueError(f"`deleted` is {str(said)[:40]!r}; 0 or 1 is expected")


def _without_repetitions(corners: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Fewer corners that are drawn alike: Pillow cuts fractions off, and of corners at one pixel, two say all."""
    places = np.trunc(np.array(corners, np.float64))
    same = (places[1:] == places[:-1]).all(1)
    keep = np.ones(len(places), bool)
    keep[2:] = ~(same[1:] & same[:-1])
    return list(map(tuple, places[keep].tolist()))


def _steps(corners: list[tuple[float, float]], height: int) -> int:
    """About how many microseconds Pillow needs for an outline: for the rows that its edges cross, and for each slanted
    edge a look at all that come before."""
    y = np.clip([y for _, y in corners], 0, height)
    crossed = np.abs(np.diff(y, append=y[:1])).sum()
    if len(corners) <= _MANY:
        return int(crossed)
    x = np.array([x for x, _ in corners])
    slanted = np.count_nonzero(np.diff(x) * np.diff(y))
    return int(crossed + slanted * len(corners) / 128)


def _whole(pixels: Any) -> int:
    """A width or height; some tools write `640.0`, or it as text."""
    if float(pixels) != int(pixels):
        raise ValueError(f"a size of {pixels} pixels")
    return int(pixels)
