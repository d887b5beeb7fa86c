"""What others call it → what the language does: labels as their authors write them, and keys."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from lsu_onto.lang.syntax import RESERVED

OTHERS_SAY = {
    **dict.fromkeys(("ignore", "ignored", "ignore_index", "ignore_label", "ignore_id", "ignore_value"), "void"),
    **dict.fromkeys(("void_id", "void_index", "void_label", "void_value", "nodata", "no_data", "no_label"), "void"),
}
OTHERS_SAY |= dict.fromkeys(("format", "label_format", "label_type", "label_encoding"), "encoding")
"""What other programs call a key."""

TYPED_KEYS = (
    "encoding",
    "void",
    "splits",
    "images",
    "labels",
    "title",
    "background",
    "segments",
    "list",
    "url",
    "licence",
)
"""The keys that are typed by hand."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_LETTERS = str.maketrans(
    {"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "å": "a", "Å": "A"}
    | {"đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "TH", "ł": "l", "Ł": "L", "\u0131": "i", "ħ": "h"}
)
"""Latin letters that Unicode does not decompose into a letter and its accents."""


def transliterated(label: str) -> str:
    """The letters, digits and `_` of a label, other characters as `_`; empty if it has no Latin letter or digit.

    >>> transliterated("Straße"), transliterated("Böden / Wege"), transliterated("lane-marking"), transliterated("道路")
    ('strasse', 'boden_wege', 'lane_marking', '')
    """
    plain = unicodedata.normalize("NFKD", label.translate(_LETTERS))
    plain = "".join(c for c in plain if not unicodedata.combining(c) and c != "\u00ad")
    return re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_").lower()


def identifier(label: str, prefix: str = "class") -> str:
    """The name of a class whose label this is: the label itself where it is one, otherwise what comes closest.

    `prefix` stands in front of a digit, and in place of a label without Latin letters.

    >>> identifier("Obstacles / trash"), identifier("void"), identifier("4-wheeler"), identifier("Bird")
    ('obstacles_trash', 'void_class', 'class_4_wheeler', 'Bird')
    """
    name = label.strip() if NAME.fullmatch(label.strip()) else transliterated(label)
    if not name or name[0].isdigit():
        name = f"{prefix}_{name}".rstrip("_")
    return f"{name}_class" if name in RESERVED else name


def identifiers(labels: Sequence[str]) -> list[str]:
    """Distinct names, none of which is the official label of another class.

    >>> identifiers(["traffic light", "traffic_light", "sky", "sky "])
    ['traffic_light_2', 'traffic_light', 'sky', 'sky_2']
    """
    labelled, out = set(labels), dict[str, None]()
    last: dict[str, int] = {}
    for label in labels:
        base = name = identifier(label)
        n = last.get(base, 1)  # all numbers up to it are taken
        while name in out or (name in labelled and name != label):
            n += 1
            name = f"{base}_{n}"
        last[base] = n
        out[name] = None
    return list(out)


def whole(digits: str) -> int:
    """The number of a text of digits, as far as it is one: Python reads no more than this many.

    >>> whole("012"), whole("9" * 5000) == 10**4000 - 1
    (12, True)
    """
    return int(digits[:4000])
