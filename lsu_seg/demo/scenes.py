"""Driving scenes drawn by rules: an image and its exact labels, in one of several styles.

A style stands for one dataset: where it was recorded, in what weather, with what camera.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from lsu_seg.demo import objects as draw
from lsu_seg.demo.objects import VOID, Camera, Canvas, Colour, Kind, pick, shade
from lsu_seg.demo.styles import STYLES, Range, Style, Weather

__all__ = ["CLASSES", "STYLES", "VOID", "Style", "draw_scene"]

CLASSES: tuple[str, ...] = tuple(kind.name.lower() for kind in Kind)
FAR = 75.0  # nothing is placed beyond
Image = NDArray[np.float32]


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


def value_noise(rng: np.random.Generator, height: int, width: int, rows: float, columns: float) -> Image:
    """Smooth noise with about that many bumps down and across."""
    grid = rng.standard_normal((int(rows) + 2, int(columns) + 2), dtype=np.float32)
    return np.asarray(cv2.resize(grid, (width, height)), np.float32)


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


@dataclass
class Ground:
    """The ground below the horizon: where each pixel lies, and which paint covers it."""

    x: Image  # metres, straightened along the curve of the street
    z: Image  # one column
    pixel: Image  # a pixel's width in metres; one column
    paints: list[tuple[Kind, Colour]]
    region: NDArray[np.uint8]

    @classmethod
    def under(cls, canvas: Canvas, paint: tuple[Kind, Colour]) -> "Ground":
        camera = canvas.camera
        y, x = np.mgrid[int(camera.horizon) + 1 : canvas.height, 0 : canvas.width].astype(np.float32)
        z = camera.focal * camera.altitude / (y[:, :1] - camera.horizon)
        pixel = z / camera.focal
        straight = (x - camera.vanish_x) * pixel - camera.bend * np.maximum(z - 6.0, 0) ** 2
        return cls(straight, z, pixel, [paint], np.zeros(x.shape, np.uint8))

    def lay(self, where: NDArray[np.bool_], kind: Kind, colour: Colour) -> None:
        self.region[np.broadcast_to(where, self.region.shape)] = len(self.paints)
        self.paints.append((kind, colour))

    def between(self, z: Range | None) -> NDArray[np.bool_]:
        """The rows at those depths."""
        return (self.z > z[0]) & (self.z < z[1]) if z else np.zeros(self.z.shape, bool)


def lay_side(ground: Ground, side: Side) -> None:
    """Strips with a kerb stone and joints between slabs, and the yards beyond."""
    outward, inner = ground.x * side.sign, abs(side.kerb)
    ground.lay(outward > abs(side.front), *side.yard)
    for edge, kind, colour in side.strips:
        strip = (outward > inner) & (outward <= abs(edge))
        ground.lay(strip, kind, colour)
        if kind == Kind.SIDEWALK:
            ground.lay(strip & (ground.z % 1.5 < 0.09) & (ground.z < 14), kind, shade(colour, 0.8))
            ground.lay(strip & (outward < inner + 0.25), kind, shade(colour, 1.2))
        inner = abs(edge)


def lay_markings(rng: np.random.Generator, ground: Ground, street: Street, colour: Colour) -> None:
    """Lines and a zebra crossing; a far line keeps a pixel's width as long as it can be told apart."""
    period, phase = rng.uniform(5, 9), rng.uniform(0, 9)
    zebra = ground.between(street.zebra)
    solid = ~ground.between(street.junction) & ~zebra & (ground.z < 60)
    dashes = solid & ((ground.z + phase) % period < period * 0.55)
    left, right = (side.kerb for side in street.sides)
    painted = zebra & (ground.x > left + 0.3) & (ground.x < right - 0.3) & (ground.x % 1.0 < 0.5)
    for place, half, dashed in street.lines:
        painted |= (np.abs(ground.x - place) < np.maximum(half, 0.5 * ground.pixel)) & (dashes if dashed else solid)
    ground.lay(painted, Kind.LANE_MARKING, colour)


def paint_ground(stage: Stage, shadow: Image, texture: float) -> None:
    """Road, markings, sidewalks and grass, row by row in exact perspective, textured and shaded."""
    rng, canvas, street = stage.rng, stage.canvas, stage.street
    road = stage.colour(Kind.ROAD)
    ground = Ground.under(canvas, (Kind.ROAD, road))
    for side in street.sides:
        lay_side(ground, side)
    ground.lay(ground.between(street.junction), Kind.ROAD, road)
    if rng.random() < 0.4:  # a mended strip
        place, begin = rng.uniform(-3, 3), rng.uniform(4, 15)
        mend = (np.abs(ground.x - place) < rng.uniform(0.4, 1.5)) & ground.between((begin, begin * 1.8))
        ground.lay(mend & (ground.region == 0), Kind.ROAD, shade(road, rng.uniform(0.75, 1.2)))
    lay_markings(rng, ground, street, stage.colour(Kind.LANE_MARKING))

    kinds = np.array([kind for kind, _ in ground.paints], np.uint8)[ground.region]
    colours = np.array([colour for _, colour in ground.paints], np.float32)[ground.region]
    tile = rng.standard_normal((64, 64), dtype=np.float32)
    tile += 2 * cv2.resize(rng.standard_normal((16, 16), dtype=np.float32), (64, 64))
    across = np.broadcast_to(ground.z, ground.x.shape)
    grain, blotch = (
        # Mirrored back and forth, so that the tile has no seams.
        cv2.remap(tile, 63 - abs(ground.x * a % 126 - 63), 63 - abs(across * b % 126 - 63), cv2.INTER_LINEAR)
        for a, b in ((6.0, 3.0), (0.7, 0.4))
    )
    rough = np.full(len(Kind), 0.035, np.float32)
    rough[Kind.GRASS] = 0.09
    light = 1 + texture * rough[kinds] * (grain * np.minimum(1, 10 / ground.z) + blotch)
    clear = np.exp(-canvas.haze * ground.z)[..., None]
    top = canvas.height - len(light)
    colours *= (light * shadow[top:])[..., None]
    canvas.pixels[top:, :, :3] = np.clip(colours * clear + np.array(canvas.fog, np.float32) * (1 - clear), 0, 255)
    canvas.pixels[top:, :, 3] = kinds


def paint_sky(rng: np.random.Generator, canvas: Canvas, weather: Weather) -> None:
    """A gradient with clouds, and what closes the view at the horizon."""
    height = min(canvas.height, int(canvas.camera.horizon) + 2)
    zenith = np.array(pick(rng, weather.zenith), np.float32)
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    sky = np.repeat(zenith * (1 - down) + np.array(canvas.fog, np.float32) * down, canvas.width, axis=1)
    cloud = value_noise(rng, height, canvas.width, 3, 4) + 0.5 * value_noise(rng, height, canvas.width, 7, 9)
    cover = np.clip(cloud - rng.uniform(-0.5, 1.2), 0, 1)[..., None] * rng.uniform(*weather.clouds)
    sky += cover * (np.array(canvas.fog, np.float32) * rng.uniform(0.85, 1.1) + 10 - sky)
    canvas.pixels[:height, :, :3] = np.clip(sky, 0, 255)
    canvas.pixels[:height, :, 3] = Kind.SKY


def paint_backdrop(stage: Stage) -> None:
    """A far line of trees, of buildings or of hills."""
    rng, canvas = stage.rng, stage.canvas
    kinds = (Kind.TREE, Kind.BUILDING, Kind.GRASS)
    for kind in (kinds[i] for i in rng.choice(3, size=int(rng.integers(1, 3)), p=(0.45, 0.35, 0.2))):
        steps = int(rng.integers(8, 26))
        heights = rng.uniform(1.0, 9.0 if kind != Kind.GRASS else 5.0, steps)
        if kind == Kind.GRASS:
            heights = np.convolve(heights, np.ones(5) / 5, mode="same")
        reach = 90.0 * canvas.width / canvas.camera.focal
        xs = np.linspace(-reach, reach, steps) - canvas.camera.offset(90.0)
        if kind == Kind.BUILDING:
            xs, heights = np.repeat(xs, 2)[1:], np.repeat(heights, 2)[:-1]
        line = [(float(a), float(b), 90.0) for a, b in zip(xs, heights, strict=True)]
        line = [(line[0][0], -0.3, 90.0), *line, (line[-1][0], -0.3, 90.0)]
        canvas.fill([line], stage.colour(kind), kind, 90.0)


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


def cast_shadows(canvas: Canvas, items: list[Item], dark: float, sun: tuple[float, float], soft: float) -> Image:
    """How much light reaches each pixel of bare ground."""
    light = np.full((canvas.height, canvas.width), 255, np.uint8)
    level = round(255 * (1 - dark))
    for item in items:
        if item.footprint:
            x, half, deep, height = item.footprint
            corners = [(a, 0.0, b) for a in (x - half, x + half) for b in (item.z - deep / 2, item.z + deep / 2)]
            corners += [(a + sun[0] * height, 0.0, b + sun[1] * height) for a, _, b in corners]
            cv2.fillConvexPoly(light, cv2.convexHull(canvas.outline(corners)), level, shift=4)
    return np.asarray(cv2.GaussianBlur(light, (0, 0), soft) / np.float32(255), np.float32)


def paint_hood(rng: np.random.Generator, canvas: Canvas) -> None:
    """The camera's own car at the lower edge."""
    h, w = canvas.height, canvas.width
    rise, colour = h * rng.uniform(0.05, 0.13), pick(rng, draw.ANY)
    centre = (round(w * rng.uniform(0.45, 0.55)), h + round(rise * 0.2))
    for size, tint in ((1.0, 0.5), (0.75, 0.65)):
        axes = (round(w * rng.uniform(0.42, 0.6) * size), round(rise * 1.2 * size))
        cv2.ellipse(canvas.pixels, centre, axes, 0, 0, 360, (*shade(colour, tint), VOID), -1)


ROUGH: dict[Kind, tuple[float, float]] = {  # how strongly fine and layered texture show
    Kind.TREE: (0.16, 0.0),
    Kind.BUILDING: (0.03, 0.05),
    Kind.WALL: (0.05, 0.07),
    Kind.TRUCK: (0.03, 0.02),
    Kind.CAR: (0.03, 0.0),
    Kind.PERSON: (0.05, 0.0),
}


def develop(
    rng: np.random.Generator, canvas: Canvas, style: Style, weather: Weather, texture: float
) -> NDArray[np.uint8]:
    """Texture, light and camera: everything that changes colours and moves no label."""
    h, w = canvas.height, canvas.width
    image = canvas.pixels[:, :, :3].astype(np.float32) / 255
    kinds = canvas.pixels[:, :, 3]
    fine = value_noise(rng, h, w, 48, 96)
    layers = value_noise(rng, h, w, 40, 24)  # stretched sideways, as bricks and boards are
    rough = np.zeros((256, 2), np.float32)
    for kind, amounts in ROUGH.items():
        rough[kind] = amounts
    amount = rough[kinds] * texture
    light = 1 + amount[..., 0] * fine + amount[..., 1] * layers
    across = np.linspace(-1, 1, w, dtype=np.float32)
    light *= 1 + rng.uniform(0.0, 0.12) * canvas.sun * across
    down = np.linspace(-1, 1, h, dtype=np.float32)[:, None]
    light *= 1 - rng.uniform(*style.vignette) * (across**2 + down**2) / 2
    gain = np.array([rng.uniform(*bounds) for bounds in weather.cast], np.float32) * rng.uniform(0.92, 1.08)
    image *= light[..., None] * gain
    image = np.power(np.clip(image, 0, 1), rng.uniform(*style.gamma), dtype=np.float32)
    blurred = cv2.GaussianBlur(image, (0, 0), rng.uniform(*style.blur) * h / 96)
    image = blurred + rng.standard_normal(image.shape, dtype=np.float32) * rng.uniform(*style.noise)
    return np.clip(image * 255, 0, 255).astype(np.uint8)


def draw_scene(
    rng: np.random.Generator, style: Style, height: int = 96, width: int = 192
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Image uint8 [H, W, 3] RGB and labels uint8 [H, W]: 0..14, and 255 for the camera's own hood."""
    weather = style.weathers[int(rng.integers(len(style.weathers)))]
    texture = rng.uniform(*style.texture)
    camera = Camera(
        focal=height * rng.uniform(1.0, 1.3),
        vanish_x=width * rng.uniform(0.38, 0.62),
        horizon=height * rng.uniform(*style.horizon),
        altitude=rng.uniform(1.3, 1.9),
        bend=style.bend * rng.uniform(-1, 1) * (rng.random() < 0.6),
    )
    sun = (rng.uniform(-1.2, 1.2), rng.uniform(-0.4, 0.8))
    canvas = Canvas(camera, height, width, rng.uniform(*weather.haze), pick(rng, weather.horizon), -sun[0])
    stage = Stage(rng, canvas, style, plan_street(rng, style))
    items = [item for side in stage.street.sides for item in line_side(stage, side)]
    items += [*furniture(stage), *traffic(stage)]
    shadow = cast_shadows(canvas, items, rng.uniform(*weather.shadow), sun, rng.uniform(0.6, 1.5) * height / 96)
    paint_sky(rng, canvas, weather)
    paint_ground(stage, shadow, texture)
    paint_backdrop(stage)
    for item in sorted(items, key=lambda item: -item.z):
        item.paint()
    if rng.random() < style.hood:
        paint_hood(rng, canvas)
    return develop(rng, canvas, style, weather, texture), canvas.pixels[:, :, 3].copy()
