"""The plan of a scene: lanes, lines, strips and crossings, and what everything that is placed in it needs to know."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lsu_seg.demo.canvas import Canvas, Colour, Kind, pick
from lsu_seg.demo.styles import Range, Style


@dataclass
class Side:
    """One side of the street, from the kerb outwards."""

    sign: int
    kerb: float  # where the road ends
    strips: list[tuple[float, Kind, Colour]]  # outer edge, class, colour
    yard: tuple[Kind, Colour]

    @property
    def front(self) -> float:
        """Where facades and fences stand."""
        return self.strips[-1][0] if self.strips else self.sign * (abs(self.kerb) + 0.8)

    def walkway(self, rng: np.random.Generator) -> float:
        """Some place that people walk."""
        inner = self.kerb
        for outer, kind, _ in self.strips:
            if kind == Kind.SIDEWALK:
                return inner + (outer - inner) * rng.uniform(0.1, 0.7)  # clear of the facade
            inner = outer
        return self.kerb + self.sign * rng.uniform(-0.5, 0.3)


@dataclass
class Street:
    """The plan of a scene."""

    sides: tuple[Side, Side]
    lanes: list[tuple[float, bool]]  # middle of each lane, whether it leads ahead
    lines: list[tuple[float, float, bool]]  # place of each line, half its width, whether it is dashed
    junction: Range | None  # a crossing street, from where to where
    zebra: Range | None


@dataclass
class Item:
    """Something to draw, how far away it is, and the ground it shades: x, half width, depth, height."""

    z: float
    paint: Callable[[], None]
    footprint: tuple[float, float, float, float] | None = None


def plan_side(rng: np.random.Generator, style: Style, sign: int, kerb: float) -> Side:
    chances = [(Kind.SIDEWALK, style.sidewalk), (Kind.GRASS, style.verge)]
    kinds = [kind for kind, chance in chances if rng.random() < chance]
    if rng.random() < 0.5:
        kinds.reverse()
    strips: list[tuple[float, Kind, Colour]] = []
    edge = kerb
    for kind in kinds:
        edge += sign * (rng.uniform(1.6, 3.6) if kind == Kind.SIDEWALK else rng.uniform(0.8, 4.0))
        strips.append((edge, kind, pick(rng, style.palettes[kind])))
    yard = Kind.GRASS if rng.random() < style.yard_grass else Kind.SIDEWALK
    return Side(sign, kerb, strips, (yard, pick(rng, style.palettes[yard])))


def plan_street(rng: np.random.Generator, style: Style) -> Street:
    """Lanes, lines, strips and crossings; the camera drives in a right-hand lane."""
    wide, shoulder, half = rng.uniform(2.9, 3.6), rng.uniform(0.2, 2.3), rng.uniform(0.07, 0.13)
    oncoming, ahead = int(rng.integers(0, 3)), int(rng.integers(1, 3))
    left = -wide * (int(rng.integers(ahead)) + oncoming + 0.5)
    edges = [left + wide * i for i in range(oncoming + ahead + 1)]
    lanes = [(edge + wide / 2, i >= oncoming) for i, edge in enumerate(edges[:-1])]
    lines = [(edge, half, True) for edge in edges[1:-1]]
    if oncoming and rng.random() < 0.4:
        middle = edges[oncoming]
        places = (middle - 0.2, middle + 0.2) if rng.random() < 0.5 else (middle,)
        lines[oncoming - 1 : oncoming] = [(place, half, False) for place in places]
    if not lines or rng.random() < 0.6:
        lines += [(edges[0], half, False), (edges[-1], half, False)]
    sides = plan_side(rng, style, -1, edges[0] - shoulder), plan_side(rng, style, 1, edges[-1] + shoulder)
    start = rng.uniform(11, 32)
    junction = (start, start + rng.uniform(6, 10)) if rng.random() < 0.35 else None
    stripes = start - 4.5 if junction else rng.uniform(8, 25)
    zebra = (stripes, stripes + 3.0) if rng.random() < 0.3 else None
    return Street(sides, lanes, lines, junction, zebra)


@dataclass
class Stage:
    """What everything that is placed in one scene needs to know."""

    rng: np.random.Generator
    canvas: Canvas
    style: Style
    street: Street

    def colour(self, kind: Kind) -> Colour:
        return pick(self.rng, self.style.palettes[kind])

    def side(self) -> Side:
        return self.street.sides[int(self.rng.integers(2))]

    def depth(self, near: float, far: float) -> float:
        """Nearer more often than farther, so that what is drawn is big enough to be seen."""
        return math.exp(self.rng.uniform(math.log(near), math.log(far)))
