"""What is placed in a scene: buildings and trees along the street, furniture, people and traffic."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np

from lsu_seg.demo import objects as draw
from lsu_seg.demo.canvas import Kind
from lsu_seg.demo.plan import Item, Side, Stage
from lsu_seg.demo.styles import Range

FAR = 75.0  # nothing is placed beyond


def line_side(stage: Stage, side: Side) -> Iterator[Item]:
    """What lines one side of the street: buildings, walls, fences, trees, gaps."""
    rng, junction = stage.rng, stage.street.junction
    names, weights = zip(*stage.style.frontage.items(), strict=True)
    z = rng.uniform(1.0, 6.0)
    while z < FAR:
        end = z + rng.uniform(6, 20)
        if junction and z < junction[1] and end > junction[0]:
            end = junction[0]
            if end - z < 2:
                z = junction[1] + 0.5
                continue
        yield from FRONTAGES[rng.choice(names, p=np.array(weights) / sum(weights))](stage, side, z, end)
        z = end + (rng.uniform(0, 3) if rng.random() < 0.3 else 0.0)


def bays(z: float, end: float, length: float) -> Iterator[Range]:
    """The stretch in pieces about so long; far ones are longer, as nobody sees the difference."""
    count = max(1, round((end - z) / (length * (1 if z < 35 else 2))))
    return pairwise(np.linspace(z, end, count + 1).tolist())


def building_items(stage: Stage, side: Side, z: float, end: float) -> Iterator[Item]:
    rng, canvas, style = stage.rng, stage.canvas, stage.style
    height = rng.uniform(*style.house_height)
    house = draw.House.build(rng, stage.colour(Kind.BUILDING), height, style.roofed)
    x = side.front + side.sign * (0.0 if rng.random() < 0.7 else rng.uniform(0, 5))
    shop, depth = house.roof is None and rng.random() < 0.4, rng.uniform(6, 11)
    for a, b in bays(z, end, rng.uniform(2.5, 4.5)):
        shaded = (x + side.sign * 4, 4.0, b - a, min(height, 8.0))
        yield Item((a + b) / 2, partial(draw.house_bay, canvas, house, x, a, b, shop), shaded)
    if z > 3:
        yield Item(z, partial(draw.house_end, canvas, house, x, depth, z))


def tree_items(stage: Stage, side: Side, z: float, end: float) -> Iterator[Item]:
    """Trees in a loose row, or a hedge."""
    rng, colour = stage.rng, stage.colour(Kind.TREE)
    hedge, at = rng.random() < 0.35, max(z, 3.0)
    while at < end:
        if hedge:
            high = rng.uniform(0.6, 1.1)
            place = (side.front + side.sign * 1.2, high * 0.9, at)
            yield Item(at, partial(draw.foliage, rng, stage.canvas, place, 1.5, high, colour))
        else:
            yield tree_item(stage, side.front + side.sign * rng.uniform(0.8, 6), at)
        at += rng.uniform(1.5, 2.5) if hedge else rng.uniform(2.5, 6)


def tree_item(stage: Stage, x: float, z: float) -> Item:
    height, colour = stage.rng.uniform(3.0, 9.0), stage.colour(Kind.TREE)
    paint = partial(draw.tree, stage.rng, stage.canvas, x, z, height, colour)
    return Item(z, paint, (x, height * 0.3, 1.5, min(height, 5.0) * 0.8))


def behind(stage: Stage, side: Side, z: float, end: float) -> Iterator[Item]:
    """What looks over a wall or through a fence."""
    back = replace(side, strips=[(side.front + side.sign * 4, *side.yard)])
    form = stage.rng.random()
    if form < 0.45:
        yield from tree_items(stage, back, z, end)
    elif form < 0.72:
        yield from building_items(stage, back, z, end)


def wall_items(stage: Stage, side: Side, z: float, end: float) -> Iterator[Item]:
    colour, height, cap = stage.colour(Kind.WALL), stage.rng.uniform(1.0, 2.8), stage.rng.random() < 0.5
    yield from behind(stage, side, z, end)
    for a, b in bays(z, end, 5):
        paint = partial(draw.wall_bay, stage.canvas, side.front, height, a, b, colour, cap)
        yield Item((a + b) / 2, paint, (side.front, 0.2, b - a, height))


def fence_items(stage: Stage, side: Side, z: float, end: float) -> Iterator[Item]:
    colour, height = stage.colour(Kind.FENCE), stage.rng.uniform(1.0, 2.3)
    form = draw.Fence(int(stage.rng.integers(len(draw.Fence))))
    yield from behind(stage, side, z, end)
    for a, b in bays(z, end, 3):
        yield Item((a + b) / 2, partial(draw.fence_bay, stage.canvas, side.front, height, a, b, colour, form))


def open_items(stage: Stage, side: Side, z: float, end: float) -> Iterator[Item]:
    if stage.rng.random() < 0.5:
        yield tree_item(stage, side.front + side.sign * stage.rng.uniform(2, 9), max(z + 2, 5.0))


FRONTAGES: dict[str, Callable[[Stage, Side, float, float], Iterator[Item]]] = {
    "building": building_items,
    "wall": wall_items,
    "fence": fence_items,
    "trees": tree_items,
    "open": open_items,
}


def furniture(stage: Stage) -> Iterator[Item]:
    """Poles, signs and trees along the kerb, people and bicycles."""
    rng, canvas, counts = stage.rng, stage.canvas, stage.style.counts
    metal = stage.colour(Kind.POLE)
    for kind, paint, far, height in (
        (Kind.POLE, draw.pole, 45, 4.0),
        (Kind.TRAFFIC_SIGN, draw.traffic_sign, 28, 2.5),
    ):
        for _ in range(rng.poisson(counts[kind])):
            z, side = stage.depth(6, far), stage.side()
            x = side.kerb + side.sign * rng.uniform(0.3, 1.0)
            yield Item(z, partial(paint, rng, canvas, x, z, metal), (x, 0.12, 0.2, height))
    for _ in range(rng.poisson(counts[Kind.TREE])):
        z, side = stage.depth(9, 45), stage.side()
        yield tree_item(stage, side.kerb + side.sign * rng.uniform(0.8, 2.0), z)
    for _ in range(rng.poisson(counts[Kind.PERSON])):
        z, x = stage.depth(6, 35), stage.side().walkway(rng)
        if rng.random() < 0.12 and z > 12:  # on the road
            x = rng.uniform(stage.street.sides[0].kerb, stage.street.sides[1].kerb)
        yield Item(z, partial(draw.person, rng, canvas, x, z), (x, 0.25, 0.3, 1.6))
    for _ in range(rng.poisson(counts[Kind.BICYCLE])):
        z, side, ridden = stage.depth(6, 26), stage.side(), rng.random() < 0.5
        x = side.kerb - side.sign * rng.uniform(0.2, 1.2) if ridden else side.walkway(rng)
        yield Item(z, partial(draw.bicycle, rng, canvas, x, z, ridden), (x, 0.7, 0.3, 1.0))


def traffic(stage: Stage) -> Iterator[Item]:
    """Cars and trucks in their lanes, parked at the kerb, and crossing at the junction."""
    rng, canvas, street = stage.rng, stage.canvas, stage.street
    taken: list[tuple[float, float, float]] = []  # x, half width, z
    for kind, along, across, near, apart in (
        (Kind.TRUCK, draw.truck, draw.truck_side, 9, 12),
        (Kind.CAR, draw.car, draw.car_side, 6.5, 7),
    ):
        for _ in range(rng.poisson(stage.style.counts[kind])):
            colour, z, form = stage.colour(kind), stage.depth(near, 45), rng.random()
            x, ahead = street.lanes[int(rng.integers(len(street.lanes)))]
            x, half, long = x + rng.uniform(-0.3, 0.3), 1.1, 4.0
            if form < 0.25 and street.junction:
                x, half, long = rng.uniform(-14, 14), 2.6, 2.0
                z = sum(street.junction) / 2 + rng.uniform(-1.5, 1.5)
                paint: Callable[[], None] = partial(across, rng, canvas, x, z, colour)
            else:
                if form > 0.65:
                    side, ahead = stage.side(), rng.random() < 0.7
                    x = side.kerb - side.sign * rng.uniform(0.3, 1.0)
                paint = partial(along, rng, canvas, x, z, colour, ahead)
            if all(abs(x - a) > half + b or abs(z - c) > apart for a, b, c in taken):
                taken.append((x, half, z))
                yield Item(z, paint, (x, half, long, 1.3))
