"""The datasets' styles: where each was recorded, in what weather, with what camera. Data only."""

from dataclasses import dataclass, replace

from lsu_seg.demo.canvas import ANY, Kind, Swatch

Range = tuple[float, float]


@dataclass(frozen=True)
class Weather:
    """Light and air."""

    cast: tuple[Range, Range, Range]  # gain of red, green, blue
    haze: Range  # extinction per metre
    shadow: Range  # how dark cast shadows are
    zenith: tuple[Swatch, ...]
    horizon: tuple[Swatch, ...]
    clouds: Range = (0.0, 0.8)


@dataclass(frozen=True)
class Style:
    """One dataset: palettes, what stands how often along the street, weather and camera."""

    weathers: tuple[Weather, ...]
    palettes: dict[Kind, tuple[Swatch, ...]]
    frontage: dict[str, float]  # weights of what lines the street
    house_height: Range
    roofed: float  # share of low houses with a pitched roof
    sidewalk: float  # chance that a side has one
    verge: float  # chance that a side has a grass strip
    yard_grass: float  # chance that the ground beyond is grass
    counts: dict[Kind, float]  # mean number of each kind of object
    hood: float  # chance that the car's own hood shows
    horizon: Range  # share of the height
    bend: float
    texture: Range
    noise: Range
    gamma: Range = (0.9, 1.1)
    blur: Range = (0.3, 0.6)
    vignette: Range = (0.0, 0.25)


PALETTES: dict[Kind, tuple[Swatch, ...]] = {
    Kind.ROAD: ((200, 260, 0.0, 0.08, 0.3, 0.48), (20, 50, 0.0, 0.08, 0.32, 0.5)),
    Kind.LANE_MARKING: ((0, 360, 0.0, 0.06, 0.8, 0.98),),
    Kind.SIDEWALK: ((20, 50, 0.02, 0.12, 0.48, 0.68), (200, 240, 0.0, 0.06, 0.42, 0.64)),
    Kind.BUILDING: (
        (20, 50, 0.08, 0.35, 0.5, 0.85),
        (200, 230, 0.0, 0.15, 0.4, 0.8),
        (5, 22, 0.3, 0.6, 0.35, 0.65),
    ),
    Kind.WALL: ((20, 45, 0.03, 0.2, 0.4, 0.7), (5, 20, 0.35, 0.6, 0.35, 0.55)),
    Kind.FENCE: (
        (200, 220, 0.0, 0.12, 0.3, 0.6),
        (100, 150, 0.2, 0.5, 0.2, 0.4),
        (0, 360, 0, 0.06, 0.75, 0.92),
    ),
    Kind.POLE: ((200, 220, 0.0, 0.1, 0.3, 0.6),),
    Kind.TREE: ((85, 135, 0.35, 0.65, 0.25, 0.5),),
    Kind.GRASS: ((75, 115, 0.4, 0.65, 0.4, 0.62),),
    Kind.CAR: (*ANY, (0, 360, 0.0, 0.1, 0.1, 0.95), (0, 360, 0.0, 0.1, 0.1, 0.95)),
    Kind.TRUCK: (*ANY, (20, 50, 0.0, 0.3, 0.5, 0.95), (0, 360, 0.0, 0.1, 0.6, 0.95)),
}
COUNTS: dict[Kind, float] = {
    Kind.POLE: 3.2,
    Kind.TRAFFIC_SIGN: 2.8,
    Kind.TREE: 2.5,
    Kind.PERSON: 3.5,
    Kind.CAR: 3.0,
    Kind.TRUCK: 1.2,
    Kind.BICYCLE: 2.2,
}
CLEAR = Weather(
    cast=((0.96, 1.04), (0.97, 1.03), (0.96, 1.04)),
    haze=(0.001, 0.006),
    shadow=(0.3, 0.5),
    zenith=((205, 222, 0.4, 0.7, 0.65, 0.9),),
    horizon=((200, 220, 0.05, 0.25, 0.85, 0.97),),
)
OVERCAST = Weather(
    cast=((0.86, 0.98), (0.9, 1.0), (0.88, 1.0)),
    haze=(0.004, 0.012),
    shadow=(0.05, 0.18),
    zenith=((200, 230, 0.0, 0.15, 0.6, 0.85),),
    horizon=((200, 230, 0.0, 0.08, 0.75, 0.93),),
)
EVENING = Weather(
    cast=((1.02, 1.18), (0.88, 0.98), (0.66, 0.84)),
    haze=(0.006, 0.015),
    shadow=(0.25, 0.5),
    zenith=((205, 250, 0.15, 0.45, 0.5, 0.8), (15, 40, 0.1, 0.3, 0.7, 0.85)),
    horizon=((15, 48, 0.2, 0.55, 0.8, 1.0),),
)
GOLDEN = replace(EVENING, cast=((1.0, 1.1), (0.94, 1.04), (0.74, 0.9)), haze=(0.003, 0.01))
FOG = Weather(
    cast=((0.72, 0.9), (0.82, 0.96), (0.95, 1.12)),
    haze=(0.014, 0.032),
    shadow=(0.0, 0.12),
    zenith=((200, 230, 0.05, 0.2, 0.6, 0.82),),
    horizon=((200, 230, 0.03, 0.12, 0.65, 0.85),),
)
DUSK = Weather(
    cast=((0.56, 0.74), (0.6, 0.78), (0.74, 0.94)),
    haze=(0.004, 0.014),
    shadow=(0.05, 0.3),
    zenith=((215, 265, 0.3, 0.6, 0.35, 0.65),),
    horizon=((210, 340, 0.1, 0.35, 0.6, 0.85),),
)

_SOURCE = Style(
    weathers=(CLEAR, CLEAR, OVERCAST),
    palettes=PALETTES,
    frontage={"building": 0.4, "wall": 0.14, "fence": 0.16, "trees": 0.2, "open": 0.1},
    house_height=(5.0, 15.0),
    roofed=0.5,
    sidewalk=0.8,
    verge=0.55,
    yard_grass=0.6,
    counts=COUNTS,
    hood=0.3,
    horizon=(0.36, 0.48),
    bend=0.003,
    texture=(0.5, 1.0),
    noise=(0.008, 0.018),
)
_TOWN_PALETTES = PALETTES | {
    Kind.ROAD: ((20, 50, 0.02, 0.14, 0.28, 0.5), (220, 260, 0.02, 0.1, 0.25, 0.42)),
    Kind.SIDEWALK: ((10, 35, 0.1, 0.35, 0.45, 0.68), (200, 240, 0.0, 0.06, 0.4, 0.6)),
    Kind.BUILDING: (
        (5, 20, 0.4, 0.7, 0.3, 0.62),
        (25, 50, 0.15, 0.5, 0.55, 0.9),
        (330, 380, 0.1, 0.4, 0.5, 0.85),
        (150, 220, 0.05, 0.3, 0.4, 0.8),
    ),
    Kind.WALL: ((5, 22, 0.35, 0.65, 0.3, 0.6), (30, 50, 0.1, 0.3, 0.5, 0.75)),
    Kind.TREE: ((70, 130, 0.3, 0.6, 0.2, 0.45), (25, 50, 0.5, 0.75, 0.35, 0.6)),
    Kind.POLE: ((200, 220, 0.0, 0.1, 0.12, 0.4), (130, 160, 0.2, 0.5, 0.15, 0.35)),
}
_TOWN = replace(
    _SOURCE,
    weathers=(EVENING, EVENING, replace(OVERCAST, haze=(0.008, 0.018))),
    palettes=_TOWN_PALETTES,
    frontage={"building": 0.6, "wall": 0.13, "fence": 0.13, "trees": 0.1, "open": 0.04},
    house_height=(7.0, 22.0),
    roofed=0.3,
    sidewalk=0.97,
    verge=0.35,
    yard_grass=0.35,
    counts=COUNTS | {Kind.PERSON: 5.0, Kind.CAR: 4.0, Kind.TREE: 2.0},
    hood=0.0,
    horizon=(0.4, 0.52),
    texture=(0.7, 1.3),
    noise=(0.01, 0.025),
    gamma=(0.85, 1.2),
)
_COUNTRY_PALETTES = PALETTES | {
    Kind.ROAD: ((25, 45, 0.08, 0.3, 0.32, 0.58), (20, 50, 0.0, 0.1, 0.35, 0.5)),
    Kind.LANE_MARKING: ((0, 360, 0.0, 0.1, 0.7, 0.95), (42, 52, 0.5, 0.8, 0.75, 0.95)),
    Kind.SIDEWALK: ((25, 48, 0.1, 0.35, 0.5, 0.75),),
    Kind.BUILDING: (
        (30, 55, 0.05, 0.3, 0.65, 0.95),
        (0, 15, 0.4, 0.7, 0.35, 0.6),
        (20, 35, 0.3, 0.6, 0.25, 0.5),
    ),
    Kind.WALL: ((30, 60, 0.05, 0.25, 0.35, 0.65),),
    Kind.FENCE: ((20, 40, 0.2, 0.55, 0.25, 0.6), (0, 360, 0.0, 0.06, 0.7, 0.92)),
    Kind.POLE: ((20, 40, 0.15, 0.45, 0.25, 0.5), (200, 220, 0.0, 0.1, 0.35, 0.6)),
    Kind.TREE: ((65, 140, 0.35, 0.75, 0.18, 0.5),),
    Kind.GRASS: ((60, 110, 0.4, 0.7, 0.35, 0.65), (42, 62, 0.35, 0.6, 0.5, 0.75)),
}
_COUNTRY = replace(
    _SOURCE,
    weathers=(OVERCAST, GOLDEN),
    palettes=_COUNTRY_PALETTES,
    frontage={"building": 0.2, "wall": 0.14, "fence": 0.2, "trees": 0.32, "open": 0.14},
    house_height=(3.2, 8.0),
    roofed=0.9,
    sidewalk=0.55,
    verge=0.9,
    yard_grass=0.95,
    counts=COUNTS | {Kind.PERSON: 2.6, Kind.CAR: 2.0, Kind.TREE: 5.0},
    hood=0.5,
    horizon=(0.34, 0.46),
    bend=0.005,
    texture=(0.8, 1.5),
    noise=(0.01, 0.022),
    gamma=(0.9, 1.15),
)
_ZERO_SHOT = replace(
    _SOURCE,
    weathers=(FOG, DUSK, replace(CLEAR, cast=((0.74, 0.9), (0.86, 0.98), (1.0, 1.15)))),
    palettes={kind: _TOWN_PALETTES[kind] + _COUNTRY_PALETTES[kind] for kind in PALETTES},
    frontage={"building": 0.36, "wall": 0.16, "fence": 0.18, "trees": 0.2, "open": 0.1},
    house_height=(4.0, 24.0),
    roofed=0.6,
    sidewalk=0.8,
    verge=0.6,
    yard_grass=0.6,
    counts=COUNTS | {Kind.PERSON: 4.0},
    hood=0.4,
    horizon=(0.34, 0.54),
    bend=0.005,
    texture=(1.0, 1.8),
    noise=(0.02, 0.05),
    gamma=(0.8, 1.25),
    blur=(0.3, 0.9),
    vignette=(0.1, 0.45),
)
STYLES: dict[str, Style] = {"source": _SOURCE, "town": _TOWN, "country": _COUNTRY, "zero_shot": _ZERO_SHOT}
