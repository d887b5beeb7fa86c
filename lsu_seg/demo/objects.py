"""What stands in a drawn scene: one function per kind of object."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from lsu_seg.demo.canvas import (
    ANY,
    CIRCLE,
    Canvas,
    Colour,
    Kind,
    Point,
    Shape,
    Swatch,
    block,
    disc,
    flank,
    pair,
    pick,
    shade,
)

SKIN: tuple[Swatch, ...] = ((15, 32, 0.25, 0.6, 0.25, 0.9),)
BARK: tuple[Swatch, ...] = ((15, 45, 0.1, 0.5, 0.12, 0.45),)
GLASS: tuple[Swatch, ...] = ((190, 230, 0.05, 0.5, 0.08, 0.35), (190, 230, 0.1, 0.3, 0.45, 0.7))
ROOF: tuple[Swatch, ...] = ((5, 30, 0.3, 0.7, 0.3, 0.6), (200, 240, 0.0, 0.2, 0.2, 0.5))
SIGN: tuple[Swatch, ...] = (
    (0, 0, 0.8, 1.0, 0.6, 0.9),
    (205, 225, 0.7, 1.0, 0.5, 0.8),
    (45, 58, 0.7, 1.0, 0.8, 1.0),
    (0, 360, 0.0, 0.1, 0.8, 1.0),
    (130, 150, 0.6, 0.9, 0.3, 0.6),
)
BLACK: Colour = (22, 22, 24)
WHITE: Colour = (240, 240, 235)
HUBCAP: Colour = (120, 120, 125)
CHASSIS: Colour = (48, 48, 50)
LAMP: Colour = (250, 245, 215)
REAR_LAMP: Colour = (200, 25, 25)


@dataclass(frozen=True)
class House:
    """What the bays of one building share."""

    height: float
    colour: Colour
    glass: Colour
    trim: Colour
    roof: Colour | None
    storey: float
    opening: float  # share of a bay's width that is window

    @classmethod
    def build(cls, rng: np.random.Generator, colour: Colour, height: float, roofed: float) -> "House":
        roof = pick(rng, ROOF) if height < 9 and rng.random() < roofed else None
        trim = shade(colour, rng.uniform(0.5, 1.5))
        return cls(height, colour, pick(rng, GLASS), trim, roof, rng.uniform(2.6, 3.6), rng.uniform(0.3, 0.75))


def house_bay(canvas: Canvas, house: House, x: float, z0: float, z1: float, shop: bool) -> None:
    """A few metres of facade along the street, with a window on each storey."""
    z, top, eaves = (z0 + z1) / 2, house.height, x + math.copysign(3.5, x)
    if house.roof:
        slope = [(x, top, z0), (x, top, z1), (eaves, top + 2.2, z1), (eaves, top + 2.2, z0)]
        canvas.fill([slope], house.roof, Kind.BUILDING, z)
    canvas.fill([flank(x, 0, top, z0, z1)], canvas.lit(house.colour, -x), Kind.BUILDING, z)
    margin = (z1 - z0) * (1 - house.opening) / 2
    floors = [i * house.storey for i in range(1 if shop else 0, int(top / house.storey))]
    windows = [flank(x, floor + 0.9, floor + 2.2, z0 + margin, z1 - margin) for floor in floors]
    canvas.fill(windows, house.glass, Kind.BUILDING, z)
    if shop:
        canvas.fill([flank(x, 0, 2.2, z0 + 0.3, z1 - 0.3)], shade(house.glass, 1.3), Kind.BUILDING, z)
        canvas.fill([flank(x, 2.3, 2.8, z0, z1)], house.trim, Kind.BUILDING, z)
    elif house.roof is None:
        canvas.fill([flank(x, top - 0.4, top, z0, z1)], house.trim, Kind.BUILDING, z)


def house_end(canvas: Canvas, house: House, x: float, depth: float, z: float) -> None:
    """The face that a building turns to the camera."""
    side, top = math.copysign(1, x), house.height
    shapes = [block(0, side * depth, 0, top)]
    if house.roof:
        shapes.append([(0, top), (side * 3.5, top + 2.2), (side * 7, top)])
    for shape in shapes:  # one by one: where polygons of one stroke overlap, it leaves a hole
        canvas.face(x, z, [shape], shade(house.colour, 0.92), Kind.BUILDING)
    columns = [side * (1.0 + 2.6 * i) for i in range(int((depth - 1) / 2.6))]
    floors = [house.storey * i for i in range(int(top / house.storey))]
    width = side * 2.2 * house.opening
    windows = [block(c, c + width, f + 0.9, f + 2.2) for c in columns for f in floors]
    canvas.face(x, z, windows, house.glass, Kind.BUILDING)


def wall_bay(canvas: Canvas, x: float, height: float, z0: float, z1: float, colour: Colour, cap: bool) -> None:
    """A few metres of wall."""
    z, lit = (z0 + z1) / 2, canvas.lit(colour, -x)
    canvas.fill([flank(x, 0, height, z0, z1)], lit, Kind.WALL, z)
    if cap:
        canvas.fill([flank(x, height - 0.15, height, z0, z1)], shade(lit, 1.25), Kind.WALL, z)


class Fence(IntEnum):
    """Kinds of fence."""

    MESH = 0
    PICKETS = 1
    RAILS = 2
    BOARDS = 3


def fence_bay(canvas: Canvas, x: float, height: float, z0: float, z1: float, colour: Colour, form: Fence) -> None:
    """A fence panel: all of it is fence, also where one sees through."""
    z, lit = (z0 + z1) / 2, canvas.lit(colour, -x)
    canvas.veil(flank(x, 0, height, z0, z1), lit, Kind.FENCE, z, (0.45, 0.25, 0.15, 0.9)[form])
    slat = (0.0, 0.5, 0.0, 0.8)[form] * (z1 - z0) / 8
    if slat:
        starts = np.linspace(z0, z1, 8, endpoint=False).tolist()
        canvas.fill([flank(x, 0, height, at, at + slat) for at in starts], lit, Kind.FENCE, z)
    for share in ((0.95,), (0.9, 0.35), (0.95, 0.6, 0.25), (0.95,))[form]:
        canvas.bar((x, share * height, z0), (x, share * height, z1), 0.08, shade(lit, 0.85), Kind.FENCE)
    canvas.bar((x, 0, z0), (x, height, z0), 0.1, shade(lit, 0.7), Kind.FENCE)


def tree(rng: np.random.Generator, canvas: Canvas, x: float, z: float, height: float, colour: Colour) -> None:
    """A trunk under an irregular crown, or a conifer."""
    trunk = height * rng.uniform(0.2, 0.45)
    canvas.bar((x, 0, z), (x, trunk + 0.3, z), height * 0.05, pick(rng, BARK), Kind.TREE, least=2)
    if rng.random() < 0.2:
        half = height * rng.uniform(0.16, 0.26)
        for low, high, share in ((0.12, 0.54, 1.0), (0.4, 0.82, 0.75), (0.65, 1.0, 0.5)):
            skirt = [(-half * share, low * height), (half * share, low * height), (0.0, high * height)]
            canvas.face(x, z, [skirt], shade(colour, 0.7 + 0.3 * low), Kind.TREE)
    else:
        radius = height * rng.uniform(0.22, 0.38)
        foliage(rng, canvas, (x, (trunk + height) / 2, z), radius, (height - trunk) / 2, colour)


def foliage(rng: np.random.Generator, canvas: Canvas, centre: Point, rx: float, ry: float, colour: Colour) -> None:
    """A ragged blob with a dark side and a lit one."""
    x, y, z = centre
    lean = canvas.sun * rx * 0.35
    for dx, dy, size, tint in ((0.0, 0.0, 1.0, 0.85), (-lean, -0.25, 0.5, 0.62), (lean, 0.3, 0.5, 1.15)):
        ragged = (size * rng.uniform(0.75, 1.2, len(CIRCLE))).tolist()
        outline = [(dx + rx * r * c, max(0.0, y + ry * (dy + r * s))) for (c, s), r in zip(CIRCLE, ragged, strict=True)]
        canvas.face(x, z, [outline], shade(colour, tint), Kind.TREE)


def pole(rng: np.random.Generator, canvas: Canvas, x: float, z: float, colour: Colour) -> None:
    """A lamp post, a utility pole or a bollard."""
    least = 2 if z < 22 else 1
    form = rng.random()
    if form < 0.15:
        canvas.bar((x, 0, z), (x, 1.0, z), 0.2, colour, Kind.POLE, least + 1)
        return
    height = rng.uniform(4.5, 8.0)
    canvas.bar((x, 0, z), (x, height, z), rng.uniform(0.1, 0.22), colour, Kind.POLE, least)
    if form < 0.7:
        reach = -math.copysign(rng.uniform(0.8, 2.2), x)
        canvas.bar((x, height, z), (x + reach, height + 0.3, z), 0.12, colour, Kind.POLE)
        canvas.face(x, z, [disc(reach, height + 0.25, 0.35, 0.14)], shade(colour, 1.2), Kind.POLE)
    else:
        canvas.bar((x - 0.9, height - 0.5, z), (x + 0.9, height - 0.5, z), 0.15, colour, Kind.POLE)


def traffic_sign(rng: np.random.Generator, canvas: Canvas, x: float, z: float, colour: Colour) -> None:
    """A round, triangular, rectangular or diamond sign on a post."""
    radius, y, tall = rng.uniform(0.42, 0.62), rng.uniform(1.9, 2.9), rng.uniform(0.5, 1.6)
    canvas.bar((x, 0, z), (x, y, z), 0.1, colour, Kind.POLE, least=2 if z < 18 else 1)
    rim = pick(rng, SIGN)
    inner = WHITE if rng.random() < 0.6 else shade(rim, rng.uniform(0.6, 1.3))
    outlines: tuple[Shape, ...] = (
        CIRCLE,
        ((0.0, 1.1), (-1.1, -0.8), (1.1, -0.8)),
        ((0.0, -1.1), (-1.1, 0.8), (1.1, 0.8)),
        block(-1.0, 1.0, -tall, tall),
        ((0.0, 1.2), (-1.2, 0.0), (0.0, -1.2), (1.2, 0.0)),
    )
    outline = outlines[int(rng.integers(len(outlines)))]
    for size, tint in ((radius, rim), (radius * 0.62, inner)):
        canvas.face(x, z, [[(size * a, y + size * b) for a, b in outline]], tint, Kind.TRAFFIC_SIGN)
    if rng.random() < 0.4:
        canvas.bar((x - radius * 0.3, y, z), (x + radius * 0.3, y, z), 0.15, BLACK, Kind.TRAFFIC_SIGN)


def person(rng: np.random.Generator, canvas: Canvas, x: float, z: float, foot: float = 0.0) -> None:
    """Somebody standing or walking; `foot` lifts a rider onto the bicycle."""
    tall = rng.uniform(1.5, 1.95) if rng.random() < 0.85 else rng.uniform(1.0, 1.4)
    coat, trousers = pick(rng, ANY), pick(rng, ANY)
    hip, neck, wide = foot + 0.48 * tall, foot + 0.84 * tall, tall * rng.uniform(0.12, 0.17)
    stride, swing = rng.uniform(0.0, 0.2) * tall, rng.uniform(-0.15, 0.15)
    for way in (-1, 1):
        leg = [(0.0, hip), (way * wide, hip), (way * (stride + wide * 0.7), foot), (way * stride, foot)]
        canvas.face(x, z, [leg], trousers, Kind.PERSON)
    torso = [(-wide, neck), (wide, neck), (wide * 0.85, hip - 0.1), (-wide * 0.85, hip - 0.1)]
    canvas.face(x, z, [torso], coat, Kind.PERSON)
    for way in (-1, 1):
        hand = (x + way * (wide + 0.08) + swing, hip, z)
        canvas.bar((x + way * wide, neck - 0.08, z), hand, 0.11, shade(coat, 0.8), Kind.PERSON)
    skin, hair = pick(rng, SKIN), pick(rng, ANY if rng.random() < 0.3 else BARK)
    canvas.face(x, z, [disc(0, neck + 0.09 * tall, 0.075 * tall, 0.09 * tall)], skin, Kind.PERSON)
    scalp = block(-0.07 * tall, 0.07 * tall, neck + 0.12 * tall, neck + 0.18 * tall)
    canvas.face(x, z, [scalp], shade(hair, 0.7), Kind.PERSON)


def bicycle(rng: np.random.Generator, canvas: Canvas, x: float, z: float, ridden: bool) -> None:
    """A bicycle from the side or from behind; what is seen between its spokes is bicycle too."""
    colour = shade(pick(rng, ANY), 1.1)

    def tube(a: tuple[float, float], b: tuple[float, float], thick: float, tint: Colour, least: int = 1) -> None:
        canvas.bar((x + a[0], a[1], z), (x + b[0], b[1], z), thick, tint, Kind.BICYCLE, least)

    if rng.random() < 0.25:
        tube((0, 0), (0, 0.7), 0.12, BLACK, 2)
        tube((0, 0.5), (0, 1.05), 0.1, colour, 2)
        tube((-0.3, 1.0), (0.3, 1.0), 0.07, BLACK)
    else:
        way = 1 if rng.random() < 0.5 else -1
        rear, front, pedals = (way * -0.52, 0.34), (way * 0.52, 0.34), (way * -0.05, 0.3)
        saddle, head, grip = (way * -0.27, 0.9), (way * 0.4, 0.9), (way * 0.35, 1.05)
        frame = [(x + a, b, z) for a, b in (rear, front, head, saddle)]
        canvas.veil(frame, colour, Kind.BICYCLE, z, 0.3)
        for hub in (rear, front):
            tyre = disc(*hub, 0.35, 0.35)
            canvas.veil([(x + a, b, z) for a, b in tyre], BLACK, Kind.BICYCLE, z, 0.25)
            for a, b in zip(tyre, (*tyre[1:], tyre[0]), strict=True):
                tube(a, b, 0.05, BLACK)
        for a, b in ((rear, pedals), (pedals, saddle), (pedals, head), (saddle, head), (head, front)):
            tube(a, b, 0.07, colour)
        tube((saddle[0] - 0.15, 0.95), (saddle[0] + 0.15, 0.95), 0.08, BLACK, 2)
        tube(head, grip, 0.06, BLACK)
    if ridden:
        person(rng, canvas, x - 0.05, z - 0.01, foot=0.3)


def wheels(canvas: Canvas, x: float, hubs: Iterable[float], radius: float, kind: Kind) -> None:
    """Wheels of a vehicle that drives along the street, so foreshortened."""
    for hub in hubs:
        for size, tint in ((radius, BLACK), (radius * 0.5, HUBCAP)):
            canvas.fill([[(x, radius + size * s, hub + size * c) for c, s in CIRCLE]], tint, kind, hub)


def wheels_side(canvas: Canvas, x: float, z: float, hubs: Iterable[float], radius: float, kind: Kind) -> None:
    """Wheels of a vehicle that crosses the street."""
    for hub in hubs:
        for size, tint in ((radius, BLACK), (radius * 0.5, HUBCAP)):
            canvas.face(x, z, [disc(hub, radius, size, size)], tint, kind)


def car(rng: np.random.Generator, canvas: Canvas, x: float, z: float, colour: Colour, rear: bool) -> None:
    """A car that drives along the street, seen from behind or from the front."""
    half, roof, belt, long = rng.uniform(0.85, 1.0), rng.uniform(1.4, 1.85), rng.uniform(0.85, 1.0), 4.2
    glass = pick(rng, GLASS[:1])
    inward = -math.copysign(1, x + canvas.camera.offset(z))  # to the side that the camera sees
    near, pillar = x + inward * half, x + inward * (half - 0.15)
    start, end = (0.1, long - 1.2) if rear else (1.2, long - 0.1)
    cabin = [(near, belt, z + start), (near, belt, z + end + 0.5)]
    cabin += [(pillar, roof, z + end), (pillar, roof, z + start)]
    hood = [(x + a, belt, z + b) for a, b in block(-half, half, 0, start)]
    canvas.fill([flank(near, 0.12, belt, z, z + long)], canvas.lit(colour, inward), Kind.CAR, z)
    canvas.fill([cabin], glass, Kind.CAR, z)
    canvas.fill([hood], shade(colour, 1.15), Kind.CAR, z)
    wheels(canvas, near, (z + 0.8, z + long - 0.8), 0.33, Kind.CAR)

    canvas.face(x, z, pair(half - 0.25, half, 0, 0.4), BLACK, Kind.CAR)
    for inset, tint in ((0.0, colour), (0.12, glass)):
        low, high = half - inset, half - 0.15 - inset
        screen = [(-low, belt), (low, belt), (high, roof - inset), (-high, roof - inset)]
        canvas.face(x, z + start, [screen], tint, Kind.CAR)
    canvas.face(x, z, [block(-half, half, 0.25, belt)], shade(colour, 0.9), Kind.CAR)
    canvas.face(x, z, [block(-half, half, 0.12, 0.38)], shade(colour, 0.4), Kind.CAR)
    canvas.face(x, z, pair(half - 0.32, half, belt - 0.28, belt - 0.08), REAR_LAMP if rear else LAMP, Kind.CAR)
    canvas.face(x, z, [block(-0.26, 0.26, 0.45, 0.57)], WHITE if rear else BLACK, Kind.CAR)


def car_side(rng: np.random.Generator, canvas: Canvas, x: float, z: float, colour: Colour) -> None:
    """A car that crosses the street."""
    way, roof, glass = (1 if rng.random() < 0.5 else -1), rng.uniform(1.4, 1.75), pick(rng, GLASS[:1])
    head = roof - 0.1
    layers: tuple[tuple[Shape, Colour], ...] = (
        (((1.2, 0.9), (0.6, roof), (-1.2, roof), (-1.8, 0.9)), colour),
        (((0.95, 0.95), (0.5, head), (-0.25, head), (-0.25, 0.95)), glass),
        (((-0.4, 0.95), (-0.4, head), (-1.1, head), (-1.5, 0.95)), glass),
        (((-2.1, 0.2), (2.1, 0.2), (2.1, 0.7), (1.2, 0.92), (-1.9, 0.95), (-2.1, 0.8)), shade(colour, 0.9)),
    )
    for shape, tint in layers:
        canvas.face(x, z, [[(way * a, b) for a, b in shape]], tint, Kind.CAR)
    wheels_side(canvas, x, z, (-1.3, 1.3), 0.34, Kind.CAR)


def truck(rng: np.random.Generator, canvas: Canvas, x: float, z: float, colour: Colour, rear: bool) -> None:
    """A truck that drives along the street: a tall box, and a cab where it is seen from the front."""
    half, top, long = rng.uniform(1.15, 1.3), rng.uniform(2.9, 3.8), rng.uniform(5.5, 9.0)
    cab, inward = pick(rng, ANY), -math.copysign(1, x + canvas.camera.offset(z))
    near = x + inward * half
    start, end = (z, z + long - 2) if rear else (z + 2, z + long)
    canvas.fill([flank(near, 0.3, 2.4, z, z + long)], shade(cab, 0.8), Kind.TRUCK, z)
    canvas.fill([flank(near, 0.9, top, start, end)], canvas.lit(colour, inward), Kind.TRUCK, z)
    if rng.random() < 0.5:
        canvas.fill([flank(near, 1.6, 2.1, start + 0.6, end - 0.6)], pick(rng, ANY), Kind.TRUCK, z)
    wheels(canvas, near, (z + 1.0, z + long - 1.0), 0.5, Kind.TRUCK)
    canvas.face(x, start, [block(-half, half, 0.9, top)], shade(colour, 0.92), Kind.TRUCK)
    canvas.face(x, z, pair(half - 0.4, half, 0, 0.7), BLACK, Kind.TRUCK)
    if rear:
        canvas.face(x, z, [block(-0.04, 0.04, 1.0, top - 0.1)], shade(colour, 0.55), Kind.TRUCK)
        canvas.face(x, z, [block(-half, half, 0.3, 0.9)], CHASSIS, Kind.TRUCK)
    else:
        high = min(top, 2.6)
        canvas.face(x, z, [block(-half, half, 0.3, high)], cab, Kind.TRUCK)
        canvas.face(x, z, [block(0.12 - half, half - 0.12, 1.45, high - 0.2)], pick(rng, GLASS[:1]), Kind.TRUCK)
        canvas.face(x, z, [block(-0.7, 0.7, 0.7, 1.2)], BLACK, Kind.TRUCK)
    canvas.face(x, z, pair(half - 0.35, half, 0.6, 0.85), REAR_LAMP if rear else LAMP, Kind.TRUCK)


def truck_side(rng: np.random.Generator, canvas: Canvas, x: float, z: float, colour: Colour) -> None:
    """A truck that crosses the street."""
    way, top, long = (1 if rng.random() < 0.5 else -1), rng.uniform(2.9, 3.7), rng.uniform(2.2, 3.2)
    layers = (
        (block(-long, long, 0.45, 0.9), CHASSIS),
        (block(-long, long - 1.7, 0.85, top), colour),
        (block(long - 1.6, long, 0.6, 2.5), pick(rng, ANY)),
        (block(long - 0.9, long, 1.4, 2.2), pick(rng, GLASS[:1])),
    )
    for shape, tint in layers:
        canvas.face(x, z, [[(way * a, b) for a, b in shape]], tint, Kind.TRUCK)
    wheels_side(canvas, x, z, (-long + 0.9, 0.3, long - 0.9), 0.5, Kind.TRUCK)
