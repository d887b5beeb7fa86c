"""Draw the diagrams of the documentation: one function per picture, one SVG per function in `docs/images`.

    python tools/draw_docs.py

The files are committed, and a test compares them with what this script draws. To add a picture, write a function that
returns SVG and name it in `PICTURES`. Every picture brings its own light card, so it reads the same on GitHub's light
and dark pages.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"

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


PICTURES: dict[str, Callable[[], str]] = {
    "relations": relations,
}


def main() -> None:
    for name, draw in PICTURES.items():
        file = IMAGES / f"{name}.svg"
        file.write_text(draw(), encoding="utf-8")
        print(file.relative_to(IMAGES.parents[1]))


if __name__ == "__main__":
    main()
