"""The words in the names of classes."""

from __future__ import annotations

import re
from functools import lru_cache

from lsu_onto.lang.names import transliterated
from lsu_onto.ontology.model import TaxClass, bare

_SILENT = frozenset(
    (
        "group",
        "other",
        "misc",
        "general",
        "generic",
        "individual",
        "class",
        "kind",
        "type",
        "unknown",
        "fallback",
        "thing",
        "stuff",
    )
)
"""Words that tell nothing apart: a *car group* is cars."""

_SAY = (
    "person pedestrian people man adult",
    "rider cyclist",
    "bicycle bike cycle",
    "motorcycle motorbike moped minibike",
    "car automobile",
    "truck lorry",
    "train tram",
    "road street carriageway roadway",
    "sidewalk pavement footpath footway",
    "curb kerb",
    "building house",
    "vegetation plant foliage greenery",
    "crosswalk zebra",
    "marking line",
    "light lamp",
    "trash garbage rubbish waste litter dust",
    "can bin",
    "billboard advertisement",
    "hydrant fireplug",
    "dirt soil earth",
    "bush shrub",
    "rock stone boulder",
    "water lake river sea pond waterfall",
    "mountain hill",
    "sign signboard",
    "drivable driveable traversable",
)
"""Words of the field that stand for the same: the first one is taken for the others."""

_STANDARD = {word: row.split()[0] for row in _SAY for word in row.split()}


def spellings(c: TaxClass) -> dict[str, None]:
    """The names of a class, without what may be written in several ways; then in the field's most common words.

    >>> from lsu_onto.library.library import Library
    >>> list(spellings(Library().source("vistas").classes[51]))
    ['trashcan', 'objecttrashcan', 'can trash']
    """
    return _spellings(c.name, c.official, c.aliases)


@lru_cache(maxsize=1 << 13)
def _spellings(name: str, official: str, aliases: tuple[str, ...]) -> dict[str, None]:
    names = [n for n in (name, official, *aliases) if n]
    names += [part for n in names for part in _last(n)]
    common = [" ".join(sorted(meaningful(n))) for n in (name, *aliases)]
    # `class_7` is what a label without Latin letters is called, and says nothing
    return dict.fromkeys(s for s in [*map(bare, names), *common] if s and not re.fullmatch(r"(\d+ )?class\d*", s))


def _last(official: str) -> list[str]:
    """What a path names: the label of `construction--flat--road` is a road."""
    parts = re.split(r"--|[./:>]", official)
    return [parts[-1]] if len(parts) > 1 and parts[-1].strip() else []


@lru_cache(maxsize=1 << 13)
def words(name: str) -> tuple[str, ...]:
    """The words of a name, without the plural.

    >>> words("Parked-Cars"), words("grass")
    (('parked', 'car'), ('grass',))
    """
    return tuple(singular(w) for w in transliterated(name).split("_") if w)


def singular(word: str) -> str:
    """A word without the plural of English.

    >>> singular("buses"), singular("bodies"), singular("leaves"), singular("glass")
    ('bus', 'body', 'leaf', 'glass')
    """
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 5 and word.endswith("ves"):
        return word[:-3] + "f"
    if len(word) > 4 and word.endswith(("sses", "uses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us")) else word


def meaningful(name: str) -> list[str]:
    """The words of a name that tell it apart, each in its most common form; all of them if none does.

    >>> meaningful("misc-bikes"), meaningful("Car 2"), meaningful("others"), meaningful("class_7")
    (['bicycle'], ['car'], ['other'], ['class', '7'])
    """
    found = words(name)
    return [_STANDARD.get(w, w) for w in found if w not in _SILENT and not w.isdigit()] or [*found]


def head(c: TaxClass) -> str:
    """The word that says what kind of thing a class is.

    >>> from lsu_onto.library.library import Library
    >>> head(Library().source("cityscapes").classes[6])
    'light'
    """
    found = meaningful(c.name)
    return found[-1] if found else ""


def group_names(c: TaxClass) -> list[str]:
    """The groups of a class from the inside out, in their most common words."""
    return [" ".join(meaningful(part)) for part in reversed(c.group.split(".")) if part not in ("", *_SILENT)]
