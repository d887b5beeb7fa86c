"""A perspective canvas for scenes: colours, classes, and strokes that set both in the same pixels.

Metres everywhere: x to the right of the camera, y above the ground, z ahead of it.
"""

import colorsys
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]  # RGB, 0..255
Swatch = tuple[float, float, float, float, float, float]  # hue (degrees), saturation, value: low and high of each
Point = tuple[float, float, float]
Shape = Sequence[tuple[float, float]]  # an outline across the view: x from the object's place, y

VOID = 255
NEAREST = 1.5  # objects are cut here: closer points would project to infinity
_SHIFT = 4  # sub-pixel bits of OpenCV's drawing functions


class Kind(IntEnum):
    """The classes; the value is the channel."""

    ROAD = 0
    LANE_MARKING = 1
    SIDEWALK = 2
    BUILDING = 3
    WALL = 4
    FENCE = 5
    POLE = 6
    TRAFFIC_SIGN = 7
    TREE = 8
    GRASS = 9
    SKY = 10
    PERSON = 11
    CAR = 12
    TRUCK = 13
    BICYCLE = 14


ANY: tuple[Swatch, ...] = ((0, 360, 0.0, 0.9, 0.1, 0.95),)


def pick(rng: np.random.Generator, swatches: Sequence[Swatch]) -> Colour:
    """A colour out of one of the swatches."""
    h0, h1, s0, s1, v0, v1 = swatches[int(rng.integers(len(swatches)))]
    h, s, v = rng.uniform((h0, s0, v0), (h1, s1, v1)).tolist()
    r, g, b = colorsys.hsv_to_rgb(h / 360 % 1, s, v)
    return 255 * r, 255 * g, 255 * b


def shade(colour: Colour, factor: float) -> Colour:
    """The colour, brighter or darker."""
    r, g, b = (min(255.0, c * factor) for c in colour)
    return r, g, b


@dataclass(frozen=True)
class Camera:
    """A pinhole over flat ground; `bend` curves the street and all that stands along it."""

    focal: float
    vanish_x: float
    horizon: float
    altitude: float
    bend: float

    def offset(self, z: float) -> float:
        """How far the curve has carried the street sideways at depth z."""
        return self.bend * max(z - 6.0, 0.0) ** 2

    def project(self, point: Point) -> tuple[float, float]:
        x, y, z = point
        z = max(z, NEAREST)
        scale = self.focal / z
        return self.vanish_x + scale * (x + self.offset(z)), self.horizon + scale * (self.altitude - y)


@dataclass
class Canvas:
    """RGB and class as four channels of one array, so that every stroke sets both in the same pixels."""

    camera: Camera
    height: int
    width: int
    haze: float
    fog: Colour
    sun: float  # -1..1: which side the light comes from
    pixels: NDArray[np.uint8] = field(init=False)

    def __post_init__(self) -> None:
        self.pixels = np.zeros((self.height, self.width, 4), np.uint8)

    def ink(self, colour: Colour, kind: int, z: float) -> tuple[float, float, float, float]:
        """Colour as seen through the air at depth z, and the class."""
        clear = math.exp(-self.haze * z)
        r, g, b = (c * clear + f * (1 - clear) for c, f in zip(colour, self.fog, strict=True))
        return r, g, b, float(kind)

    def outline(self, points: Iterable[Point]) -> NDArray[np.int32]:
        project = self.camera.project
        return np.array([[round(v * (1 << _SHIFT)) for v in project(p)] for p in points], np.int32)

    def fill(self, polygons: Sequence[Iterable[Point]], colour: Colour, kind: int, z: float) -> None:
        """Paint polygons."""
        if polygons:
            outlines = [self.outline(polygon) for polygon in polygons]
            cv2.fillPoly(self.pixels, outlines, self.ink(colour, kind, z), shift=_SHIFT)

    def face(self, x: float, z: float, shapes: Sequence[Shape], colour: Colour, kind: int) -> None:
        """Paint flat shapes that stand at (x, z) and face the camera."""
        self.fill([[(x + a, b, z) for a, b in shape] for shape in shapes], colour, kind, z)

    def veil(self, polygon: Iterable[Point], colour: Colour, kind: int, z: float, alpha: float) -> None:
        """Paint a polygon that what lies behind shines through; its class is opaque."""
        outline = self.outline(polygon)
        mask = np.zeros((self.height, self.width), np.uint8)
        x, y, w, h = cv2.boundingRect(outline >> _SHIFT)
        window = slice(max(y - 1, 0), max(y + h + 1, 0)), slice(max(x - 1, 0), max(x + w + 1, 0))
        cv2.fillPoly(mask, [outline], 1, shift=_SHIFT)
        inside, target = mask[window].astype(bool), self.pixels[window]
        ink = np.array(self.ink(colour, kind, z))
        mixed = target[inside] * (1 - alpha) + ink * alpha
        mixed[:, 3] = kind
        target[inside] = mixed

    def bar(self, a: Point, b: Point, thick: float, colour: Colour, kind: int, least: int = 1) -> None:
        """Paint a line `thick` metres wide, never under `least` pixels."""
        pixels = max(least, round(thick * self.camera.focal / max(a[2], NEAREST)))
        p, q = self.outline((a, b)).tolist()
        cv2.line(self.pixels, p, q, self.ink(colour, kind, a[2]), pixels, shift=_SHIFT)

    def lit(self, colour: Colour, faces: float) -> Colour:
        """The colour of a vertical plane whose normal points to the left (faces < 0) or to the right."""
        return shade(colour, 1 + math.copysign(0.22, faces) * self.sun)


CIRCLE = tuple((math.cos(a), math.sin(a)) for a in np.linspace(0, 2 * math.pi, 12, endpoint=False))


def disc(x: float, y: float, rx: float, ry: float) -> Shape:
    return [(x + rx * c, y + ry * s) for c, s in CIRCLE]


def block(x0: float, x1: float, y0: float, y1: float) -> Shape:
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def pair(x0: float, x1: float, y0: float, y1: float) -> list[Shape]:
    """A block and its mirror image: two legs, two lamps."""
    return [block(x0, x1, y0, y1), block(-x1, -x0, y0, y1)]


def flank(x: float, y0: float, y1: float, z0: float, z1: float) -> list[Point]:
    """A rectangle along the street."""
    return [(x, y0, z0), (x, y0, z1), (x, y1, z1), (x, y1, z0)]
