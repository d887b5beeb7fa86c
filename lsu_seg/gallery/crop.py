"""A class in an image: where it is, what to cut out around it, and the files of picture and outline."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, features

Box = tuple[int, int, int, int]
"""Top, left, bottom, right, in pixels; the last two are outside."""

SIZE = (360, 240)
"""Width and height that a picture fits into."""

COLOUR = (255, 0, 200)
"""Of outlines. Hardly anything outdoors has it."""

EDGE = (0, 0, 0)
"""Around the outline: maps of classes have any colour, and that of sidewalks is often close to the outline's."""

_BLOCKS = 64
_CONTEXT = 0.25
_WIDTH = 2
_QUALITIES = (82, 70, 55, 40, 25)


def box_around(mask: NDArray[np.bool_]) -> Box | None:
    """The box around the largest part of a mask; parts less than a 64th of the image apart count as one.

    >>> mask = np.zeros((128, 128), bool)
    >>> mask[10:14, 20:30] = mask[100, 100] = True
    >>> box_around(mask)
    (10, 20, 14, 30)
    """
    starts = [np.arange(0, n, -(-n // _BLOCKS)) for n in mask.shape]
    pixels = np.add.reduceat(np.add.reduceat(mask, starts[0], 0, dtype=np.int64), starts[1], 1)
    if not pixels.any():
        return None
    part = _largest(pixels)
    inside = mask & np.repeat(
        np.repeat(part, _lengths(starts[0], mask.shape[0]), 0), _lengths(starts[1], mask.shape[1]), 1
    )
    (top, bottom), (left, right) = (np.flatnonzero(inside.any(axis))[[0, -1]].tolist() for axis in (1, 0))
    return top, left, bottom + 1, right + 1


def _lengths(starts: NDArray[np.int64], end: int) -> NDArray[np.int64]:
    return np.diff(starts, append=end)


def _largest(pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The connected part (in eight directions) of the blocks that has the most pixels."""
    height, width = pixels.shape
    left, best, most = pixels > 0, np.zeros(pixels.shape, bool), 0
    for start in zip(*(a.tolist() for a in np.nonzero(pixels)), strict=True):
        if not left[start]:
            continue
        part, stack = np.zeros(pixels.shape, bool), [start]
        left[start], part[start] = False, True
        while stack:
            y, x = stack.pop()
            for b in range(max(0, y - 1), min(height, y + 2)):
                for a in range(max(0, x - 1), min(width, x + 2)):
                    if left[b, a]:
                        left[b, a], part[b, a] = False, True
                        stack.append((b, a))
        if (total := int(pixels[part].sum())) > most:
            best, most = part, total
    return best


def with_context(box: Box, shape: tuple[int, int]) -> Box:
    """The part of an image to show for a box: a quarter more on every side, and not tiny; 3:2 if the image allows it.

    >>> with_context((40, 40, 60, 60), (100, 200))
    (35, 28, 65, 73)
    """
    top, left, bottom, right = box
    least = shape[0] // 8
    height = max((bottom - top) * (1 + 2 * _CONTEXT), least)
    width = max((right - left) * (1 + 2 * _CONTEXT), height * SIZE[0] / SIZE[1])
    height = max(height, width * SIZE[1] / SIZE[0])
    (top, bottom), (left, right) = (
        _around((low + high) / 2, max(1, round(min(length, end))), end)
        for low, high, length, end in ((top, bottom, height, shape[0]), (left, right, width, shape[1]))
    )
    return top, left, bottom, right


def _around(middle: float, length: int, end: int) -> tuple[int, int]:
    low = min(max(0, round(middle - length / 2)), end - length)
    return low, low + length


def cut(image: Image.Image, box: Box) -> Image.Image:
    """A part of an image, in the size of a picture."""
    top, left, bottom, right = box
    return image.resize(fitted(box), Image.Resampling.BICUBIC, (left, top, right, bottom), reducing_gap=2.0)


def fitted(box: Box) -> tuple[int, int]:
    """Width and height of the picture of a box."""
    height, width = box[2] - box[0], box[3] - box[1]
    scale = min(SIZE[0] / width, SIZE[1] / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def outline(mask: NDArray[np.bool_], box: Box) -> bytes:
    """A transparent PNG, to lay on the picture of a box: a line just outside of the mask, which hides none of it."""
    top, left, bottom, right = box
    part = Image.fromarray(np.where(mask[top:bottom, left:right], np.uint8(255), np.uint8(0)))
    # A thin thing stays in one piece: a pixel of the picture counts if a third of it is in the mask.
    inside = part.resize(fitted(box), Image.Resampling.BOX).point(lambda value: 255 * (value >= 80))
    near, around = (np.asarray(inside.filter(ImageFilter.MaxFilter(2 * n + 1))) > 0 for n in (_WIDTH, _WIDTH + 1))
    line = Image.fromarray(np.where(np.asarray(inside) > 0, 0, near + np.uint8(2) * (around & ~near)).astype(np.uint8))
    line.putpalette([0, 0, 0, *COLOUR, *EDGE])
    buffer = io.BytesIO()
    line.save(buffer, "PNG", bits=2, transparency=0, optimize=True)
    return buffer.getvalue()


def encode(picture: Image.Image, limit: int) -> bytes:
    """The picture as WebP of at most `limit` bytes, as good as that allows; the smallest possible one at worst.

    It is a JPEG where Pillow was built without WebP.
    """
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        if features.check("webp"):
            picture.save(buffer, "WEBP", quality=quality, method=2)
        else:
            picture.save(buffer, "JPEG", quality=quality)
        if buffer.tell() <= limit:
            return buffer.getvalue()
        if buffer.tell() > 3 * limit:  # no quality will do
            break
    return encode(picture.reduce(2), limit) if min(picture.size) >= 32 else buffer.getvalue()
