"""Draw the diagrams of the documentation: one function per picture, one SVG per function in `docs/images`.

    python tools/draw_docs.py

The files are committed, and a test compares them with what this script draws. To add a picture, write a function that
returns SVG and name it in `PICTURES`. Every picture brings its own light card, so it reads the same on GitHub's light
and dark pages.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from html import escape
from pathlib import Path

import lsu_onto

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"

CARD, BORDER, INK, QUIET = "#ffffff", "#d0d7de", "#1f2328", "#57606a"
DATASET, SOURCE, OTHER = "#0550ae", "#9a4a00", "#1a7f37"  # strokes and labels; each has a contrast > 4.5 on the card
SANS = "-apple-system, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', Helvetica, Arial, sans-serif"
MONO = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def card(width: int, height: int, title: str, description: str, body: list[str]) -> str:
    """A whole SVG: `body` on a light card. The title and the description are for screen readers."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        ' role="img" aria-labelledby="title description">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="description">{escape(description)}</desc>',
        f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8" fill="{CARD}" stroke="{BORDER}"/>',
        *body,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def text(
    x: float, y: float, content: str, *, size: int = 14, colour: str = INK, font: str = SANS, bold: bool = False
) -> str:
    """One line of text, centred at `x`, its baseline at `y`."""
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="middle" font-family="{font}" font-size="{size}"{weight}'
        f' fill="{colour}">{escape(content)}</text>'
    )


def region(shape: str, colour: str, *, dashed: bool = False) -> str:
    """A shape such as `circle cx="1" cy="1" r="1"`, as a set of pixels: a stroke and a pale filling."""
    dash = ' stroke-dasharray="7 4"' if dashed else ""
    return f'<{shape} fill="{colour}" fill-opacity="0.14" stroke="{colour}" stroke-width="2.5"{dash}/>'


def circle(x: float, y: float, radius: float) -> str:
    return f'circle cx="{x:g}" cy="{y:g}" r="{radius:g}"'


def relations() -> str:
    """The five relations between a dataset class d and source classes s and t, with S(d) below each."""
    width, height, middle = 176, 256, 116

    def label(x: float, y: float, name: str) -> str:
        return text(x, y, name, size=19, colour={"d": DATASET, "s": SOURCE, "t": OTHER}[name], bold=True)

    def equal(x: float) -> list[str]:
        same = circle(x, middle, 50)
        return [
            region(same, DATASET),
            region(same, SOURCE, dashed=True),
            label(x - 18, middle + 6, "d"),
            text(x, middle + 6, "="),
            label(x + 18, middle + 6, "s"),
        ]

    def inside(x: float) -> list[str]:
        return [
            region(circle(x, middle, 60), SOURCE, dashed=True),
            region(circle(x + 8, middle + 14, 28), DATASET),
            label(x - 28, middle - 26, "s"),
            label(x + 8, middle + 20, "d"),
        ]

    def contains(x: float) -> list[str]:
        left = f'path d="M{x - 2:g} {middle - 48.5} A48.5 48.5 0 0 0 {x - 2:g} {middle + 48.5} Z"'
        right = f'path d="M{x + 2:g} {middle - 48.5} A48.5 48.5 0 0 1 {x + 2:g} {middle + 48.5} Z"'
        return [
            region(circle(x, middle, 54), DATASET),
            region(left, SOURCE, dashed=True),
            region(right, OTHER, dashed=True),
            label(x - 54, middle - 38, "d"),
            label(x - 22, middle + 6, "s"),
            label(x + 22, middle + 6, "t"),
        ]

    def overlaps(x: float) -> list[str]:
        half = f'y="{middle - 56}" width="66" height="112" rx="12"'
        return [
            region(f'rect x="{x - 68:g}" {half}', SOURCE, dashed=True),
            region(f'rect x="{x + 2:g}" {half}', OTHER, dashed=True),
            region(circle(x, middle, 38), DATASET),
            label(x - 50, middle - 32, "s"),
            label(x + 50, middle - 32, "t"),
            label(x - 14, middle + 6, "d"),
        ]

    def disjoint(x: float) -> list[str]:
        return [
            region(circle(x - 41, middle, 34), DATASET),
            region(circle(x + 41, middle, 34), SOURCE, dashed=True),
            label(x - 41, middle + 6, "d"),
            label(x + 41, middle + 6, "s"),
        ]

    panels: list[tuple[str, Callable[[float], list[str]], str, str]] = [
        ("d = s", equal, "the same pixels", "S(d) = {s}"),
        ("d < s", inside, "d lies inside s", "S(d) = {s}"),
        ("d > s t", contains, "d consists of s and t", "S(d) = {s, t}"),
        ("d ~ s t", overlaps, "d overlaps s and t", "S(d) = {s, t}"),
        ("d ! s", disjoint, "no common pixels", "s ∉ S(d)"),
    ]
    body: list[str] = []
    for n, (written, draw, meaning, allowed) in enumerate(panels):
        left = 8 + n * width
        centre = left + width / 2
        if n:
            body.append(f'<line x1="{left}" y1="16" x2="{left}" y2="{height - 16}" stroke="{BORDER}"/>')
        body += [
            text(centre, 36, written, size=18, font=MONO, bold=True),
            *draw(centre),
            text(centre, 206, meaning, colour=QUIET),
            text(centre, 232, allowed, size=15, font=MONO),
        ]
    described = "; ".join(f"{written}: {meaning}, {allowed}" for written, _, meaning, allowed in panels)
    return card(
        16 + 5 * width, height, "The five relations of a dataset class d to source classes s and t", described, body
    )


def rooms() -> str:
    """The rooms of both packages, floor over floor, and which imports which: drawn from the table of the tests.

    An arrow that follows from others is left out: who imports a room may import what that room may.
    """
    wide, high, gap = 88, 30, 62
    towers = _rooms()
    glosses = {"lsu_onto": "text → meaning → arrays", "lsu_seg": "files → evidence → labels → students → figures"}
    floors = {package: _floors(rooms) for package, rooms in towers.items()}
    height = 92 + gap * max(map(len, floors.values()))
    widths = {package: 8 + max(map(len, rows)) * (wide + 10) for package, rows in floors.items()}
    left, body = 12.0, []
    for package, rows in floors.items():
        middle = left + widths[package] / 2
        body += [
            text(middle, 32, package, size=18, font=MONO, bold=True),
            text(middle, 54, glosses[package], colour=QUIET),
        ]
        places: dict[str, tuple[float, float]] = {}
        for floor, row in enumerate(rows):
            start = middle - (len(row) - 1) * (wide + 10) / 2
            for n, name in enumerate(row):
                places[name] = (start + n * (wide + 10), height - 44 - floor * gap)
        for name, below in _direct(towers[package]).items():
            for other in below if name in places else ():
                (x, y), (a, b) = places[name], places[other]
                y, b, bend = y + high / 2, b - high / 2, gap / 2
                body.append(
                    f'<path d="M{x:g} {y:g} C{x:g} {y + bend:g} {a:g} {b - bend:g} {a:g} {b:g}" fill="none"'
                    f' stroke="{QUIET}" stroke-opacity="0.55"/>'
                )
        colour = {"lsu_onto": DATASET, "lsu_seg": SOURCE}[package]
        for name, (x, y) in places.items():
            body += [
                f'<rect x="{x - wide / 2:g}" y="{y - high / 2:g}" width="{wide}" height="{high}" rx="5" fill="{CARD}"'
                f' stroke="{colour}" stroke-width="1.5"/>',
                text(x, y + 4, name, size=12, font=MONO),
            ]
        left += widths[package] + 12
    described = "; ".join(f"{p}: {', '.join(n for row in reversed(rows) for n in row)}" for p, rows in floors.items())
    return card(int(left), height, "The rooms of the two packages, each above those that it imports", described, body)


def _rooms() -> dict[str, dict[str, set[str]]]:
    """Package → room → the rooms that it may import, as `tests/test_architecture.py` says."""
    tree = ast.parse((ROOT / "tests" / "test_architecture.py").read_text(encoding="utf-8"))
    table = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and node.value and ast.unparse(node.target) == "ROOMS"
    )
    out: dict[str, dict[str, set[str]]] = {}
    for package, rooms in table.items():
        names = [name for name in rooms if (ROOT / package / name).is_dir()]  # folders: the rest are single files
        allowed = {name: names if rooms[name] == "*" else rooms[name].split() for name in names}
        out[package] = {name: set(allowed[name]) & set(names) - {name} for name in names}
    return out


def _below(rooms: dict[str, set[str]], name: str) -> set[str]:
    return rooms[name] | {far for near in rooms[name] for far in _below(rooms, near)}


def _direct(rooms: dict[str, set[str]]) -> dict[str, list[str]]:
    """The imports that do not follow from others."""
    return {
        name: sorted(o for o in near if not any(o in _below(rooms, other) for other in near - {o}))
        for name, near in rooms.items()
    }


def _floors(rooms: dict[str, set[str]]) -> list[list[str]]:
    """The rooms of each floor, from the ground up; in a floor, each stands near those below it."""
    floor: dict[str, int] = {}
    for name in rooms:  # the table goes from the ground up
        floor[name] = 1 + max((floor[other] for other in rooms[name]), default=-1)
    rows = [[n for n in rooms if floor[n] == level] for level in range(max(floor.values()) + 1)]
    direct, place = _direct(rooms), {}
    for row in rows:
        centre = {n: sum(place[o] for o in direct[n]) / len(direct[n]) if direct[n] else 0.0 for n in row}
        row.sort(key=lambda n: centre[n])
        place.update({n: i - (len(row) - 1) / 2 for i, n in enumerate(row)})
    return rows


def pixel() -> str:
    """What becomes of four pixels of `demo_town`: raw value, row of d, S(d), pseudo-label, target."""
    c = lsu_onto.load("demo_town", source="demo")
    void = 255
    cases = [  # raw value, the teacher's choice and how sure it is
        (_raw(c, "sky"), None, None),
        (_raw(c, "pavement"), "sidewalk", 0.94),
        (_raw(c, "vehicle"), "truck", 0.41),
        (void, None, None),
    ]
    heads = ("raw value", "row of d", "S(d)", "teacher, inside S(d)", "target")
    notes = ("in the label file", "LabelReader", "constraint.allowed", "decode", "targets")
    columns, width, step = (80, 240, 430, 650, 860), 990, 58
    height = 110 + step * len(cases)
    body = []
    for x, head, note in zip(columns, heads, notes, strict=True):
        body += [text(x, 36, head, size=15, bold=True), text(x, 56, note, size=12, colour=QUIET, font=MONO)]
    sets: dict[tuple[str, ...], int] = {}
    for n, (raw, choice, sure) in enumerate(cases):
        y = 100 + n * step
        row = int(c.raw_row[list(c.raw).index(raw)]) if raw in c.raw and raw != void else None
        if row is None or row < 0:
            cells = [str(raw), "not annotated", "", "is not asked", f"{void}: ignored"]
        else:
            name = c.classes[row]
            allowed = c.names(name)
            cells = [str(raw), f"{row}: {name}", "{" + ", ".join(allowed) + "}"]
            if choice is None:
                only = c.source_classes.index(allowed[0])
                cells += ["is not asked", f"{only}: {allowed[0]}"]
            elif sure is not None and sure >= 0.5:
                cells += [f"{choice}, {sure:.0%} sure", f"{c.source_classes.index(choice)}: {choice}"]
            else:
                entry = void + 1 + sets.setdefault(allowed, len(sets))
                cells += [f"{choice}, {sure:.0%} sure", f"{entry}: one of " + "{" + ", ".join(allowed) + "}"]
        if n:
            body.append(f'<line x1="20" y1="{y - 34}" x2="{width - 20}" y2="{y - 34}" stroke="{BORDER}"/>')
        for k, (x, cell) in enumerate(zip(columns, cells, strict=True)):
            colour = (INK, DATASET, SOURCE, OTHER, INK)[k]
            body.append(text(x, y, cell, size=13, colour=colour, font=MONO))
    body.append(
        text(
            width / 2, height - 24, "values up to 254: this class; 255: no loss; above: a set of classes", colour=QUIET
        )
    )
    return card(
        width, height, "What becomes of a pixel, from the label file to the loss", "Four pixels, a row each", body
    )


def _raw(c: lsu_onto.Constraint, name: str) -> int:
    return int(c.raw[list(c.raw_row).index(c.classes.index(name))])


PICTURES: dict[str, Callable[[], str]] = {
    "pixel": pixel,
    "relations": relations,
    "rooms": rooms,
}


def main() -> None:
    for name, draw in PICTURES.items():
        file = IMAGES / f"{name}.svg"
        file.write_text(draw(), encoding="utf-8")
        print(file.relative_to(IMAGES.parents[1]))


if __name__ == "__main__":
    main()
