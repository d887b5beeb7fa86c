"""Colours in every form that class lists have, and `#rrggbb` for them."""

from __future__ import annotations

import re

COLOURS = {
    "black": "000000",
    "white": "ffffff",
    "grey": "808080",
    "gray": "808080",
    "silver": "c0c0c0",
    "red": "ff0000",
    "maroon": "800000",
    "yellow": "ffff00",
    "olive": "808000",
    "lime": "00ff00",
    "green": "008000",
    "cyan": "00ffff",
    "teal": "008080",
    "blue": "0000ff",
    "navy": "000080",
    "magenta": "ff00ff",
    "purple": "800080",
    "orange": "ffa500",
    "brown": "a52a2a",
    "pink": "ffc0cb",
}
"""Names of CSS colours that occur in class lists."""

_CHANNEL = r"(?<![\w.#])\d{1,3}(?![\w.%])"
_BETWEEN = r"(?:\s*[,;|&]\s*|\s+)"
_NUMBERS = re.compile(
    r"(?P<open>(?:rgba?\s*)?(?<![\[({])[\[({]+\s*)?"  # not from each of many brackets anew
    rf"(?P<numbers>{_CHANNEL}(?:{_BETWEEN}{_CHANNEL})+)(?P<close>(?(open)\s*[\])}}]+|))",
    re.IGNORECASE,
)
_HEX = re.compile(r"(?<![\w#])(?:0x([0-9A-Fa-f]{6})|#([0-9A-Fa-f]{3}|[0-9A-Fa-f]{8}))(?![0-9A-Za-z])")


def as_colour(text: str) -> str | None:
    """`#rrggbb` for a text that can only be a colour; None for any other.

    >>> as_colour("#F423E8"), as_colour("[244, 35,232]"), as_colour("rgb(244 35 232)"), as_colour("300,0,0")
    ('#f423e8', '#f423e8', '#f423e8', None)
    """
    colour = colours_written(text).lower()
    return colour if re.fullmatch("#[0-9a-f]{6}", colour) else None


def colours_written(text: str) -> str:
    """A text with its colours as `#rrggbb`.

    >>> colours_written("road rgb(128, 64, 128)"), colours_written("road 128 64 128"), colours_written("#888 0xAABBCC")
    ('road #804080', 'road #804080', '#888888 #aabbcc')
    """
    parts = re.split(r'("[^"]*")', text)
    return "".join(part if i % 2 else _HEX.sub(_six, _NUMBERS.sub(_triple, part)) for i, part in enumerate(parts))


def named_colours(text: str) -> str:
    """A text with `#rrggbb` in place of the names of colours.

    >>> named_colours("black, Grey")
    '#000000, #808080'
    """
    return re.sub(
        r"(?<!\w)[A-Za-z]+(?!\w)", lambda m: f"#{COLOURS[m[0].lower()]}" if m[0].lower() in COLOURS else m[0], text
    )


def _triple(found: re.Match[str]) -> str:
    """Three numbers, or four in brackets: the last one is the opacity."""
    values = [int(n) for n in re.findall(r"\d+", found["numbers"])]
    between = re.findall(r"[^\d\s]|\s+(?=\d)", re.sub(r"(?<=[,;|&])\s+|\s+(?=[,;|&])", "", found["numbers"]))
    if len(values) == 4 and not found["open"] and between[0] == between[1] != between[2] and max(values) < 256:
        return "#" + "".join(f"{v:02x}" for v in values[:3]) + f" {values[3]}"
    if max(values) > 255 or len(values) not in ((3, 4) if found["open"] else (3,)):
        return found[0]
    return "#" + "".join(f"{v:02x}" for v in values[:3])


def _six(found: re.Match[str]) -> str:
    digits = (found[1] or found[2]).lower()
    return "#" + ("".join(2 * c for c in digits) if len(digits) == 3 else digits[:6])
