"""Driving scenes drawn by rules: an image and its exact labels, in one of several styles.

A style stands for one dataset: where it was recorded, in what weather, with what camera.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lsu_seg.demo.canvas import ANY, VOID, Camera, Canvas, Colour, Kind, pick, shade
from lsu_seg.demo.placing import furniture, line_side, traffic
from lsu_seg.demo.plan import Item, Side, Stage, Street, plan_street
from lsu_seg.demo.styles import STYLES, Range, Style, Weather

__all__ = ["CLASSES", "STYLES", "VOID", "Style", "draw_scene"]

CLASSES: tuple[str, ...] = tuple(kind.name.lower() for kind in Kind)
Image = NDArray[np.float32]


def value_noise(rng: np.random.Generator, height: int, width: int, rows: float, columns: float) -> Image:
    """Smooth noise with about that many bumps down and across."""
    grid = rng.standard_normal((int(rows) + 2, int(columns) + 2), dtype=np.float32)
    return np.asarray(cv2.resize(grid, (width, height)), np.float32)


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
    rise, colour = h * rng.uniform(0.05, 0.13), pick(rng, ANY)
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
