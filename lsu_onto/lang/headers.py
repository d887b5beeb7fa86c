"""Reads headers and groups that break the grammar."""

from __future__ import annotations

import re

from lsu_onto.diagnostics import did_you_mean
from lsu_onto.lang.names import identifier
from lsu_onto.lang.syntax import EDITION

_KEYWORDS = ("tax", "source", "dataset", "map", "extends")
_SYNONYMS = {
    "mapping": "map",
    "base": "extends",
    "inherits": "extends",
    "taxonomy": "",
    "ontology": "",
    "labelspace": "",
}
_ARROW = re.compile(r"->|=>|-->|<-|<->|→|⇒|⟶|\bto\b|\bmaps to\b|:(?=\s)|>")
_TAXON = re.compile(
    r"""["']?(?P<name>[^\W\d][\w\-]*?)["']?(?:[\s@:_-]+(?:version\s*)?[vV]?(?P<version>\d+(?:\.\d+)*))?(?=[\s,;:})\]]|$)"""
)


_GROUP = re.compile(
    r"\s*(?:\[+([^\]\[]*)\]+\s*[:,;{]?"
    r"|(?:-\s+(?=\w+:)|[({<]\s*|=+\s*)([^\W\d][\w. ]*?)\s*(?::|[)}>]|=+)"
    r"|@([\w.]+)|group:?\s+(\w+))\s*(#\s.*)?"
)


def read_header(text: str) -> str | None:
    """A header as the language writes it, or None if the line is none.

    >>> read_header("dataset: farm -> mini@v2"), read_header("Mapping town 1.0 to mini v1 {")
    ('dataset farm v1 -> mini v2', 'map town v1.0 -> mini v1')
    """
    found = re.match(r"""[\s\[({"'#*-]*([A-Za-z]+)["']?\s*[:=]?\s+(.*)""", text)
    keyword = _keyword(found[1]) if found else None
    if not found or keyword is None:
        return None
    rest = re.sub(r"[\])}{;:,\s]+$", "", re.sub(r"\s#\s.*", "", found[2]))
    if keyword == "tax":
        return f"tax {EDITION}" if re.fullmatch(r"[vV]?\d[\d.]*", rest) else None
    first, arrow, second = _halves(rest)
    listed = re.split(r"\s*(?:[,;&+]|\band\b)\s*", second)
    if len(listed) > 1 and all(_TAXON.fullmatch(t) for t in listed):  # a header has one source: the others have maps
        second = listed[0]
    taxon, target = _taxon(first), _taxon(second) if second else None
    if not taxon or (arrow and not target):
        return None
    if not keyword:
        keyword = "dataset" if target else "source"
    if target and keyword in ("source", "extends"):
        return None
    if keyword == "map" and not target:
        return None
    return f"{keyword} {taxon}" + (f" -> {target}" if target else "")


def _keyword(word: str) -> str | None:
    low = word.lower()
    if low in _KEYWORDS:
        return low
    return _SYNONYMS[low] if low in _SYNONYMS else did_you_mean(low, _KEYWORDS)


def _halves(rest: str) -> tuple[str, str, str]:
    arrow = _ARROW.search(rest)
    if arrow:
        return rest[: arrow.start()].strip(), arrow[0], rest[arrow.end() :].strip()
    first = _TAXON.match(rest)  # `farm v1 (mini v1)`, `farm v1 mini v1`
    if first and first["version"]:
        second = rest[first.end() :].strip(" \t()[],;:")
        return rest[: first.end()], "", second
    return rest, "", ""


def _taxon(text: str) -> str | None:
    """`NAME v1`. A name of several words, and a version that is missing, are amended."""
    text = re.sub(r"^[\w.~-]*/(?:[\w.-]+/)*(?=\w)|\.tax(?=\s|$)", "", text.strip("()[]{}\"' \t"))  # of a file
    found = _TAXON.fullmatch(text) or re.fullmatch(
        r"(?P<name>[^\W\d][^\"#<>=]*?)(?:\s+[vV]?(?P<version>\d+(?:\.\d+)*))?", text
    )
    return f"{identifier(found['name'], 'taxonomy')} v{found['version'] or 1}" if found else None


def read_group(text: str) -> str | None:
    """`[group.subgroup]`, or None if the line is none.

    >>> read_group("[Böden / Wege]"), read_group("[things]:"), read_group("[2wheelers]"), read_group("- things:")
    ('[boden_wege]', '[things]', '[group_2wheelers]', '[things]')
    """
    found = _GROUP.fullmatch(text)
    if not found:
        return None
    label = next((part for part in found.groups()[:4] if part is not None), "")
    parts = [identifier(part, "group") for part in label.strip(" \"'").split(".") if part.strip()]
    note = f"  {found[5]}" if found[5] else ""
    return f"[{'.'.join(parts)}]{note}" if parts else None
