"""Keys whose values only make sense beside others, wherever in the section these stand."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lsu_onto import model
from lsu_onto.diagnostics import Diagnostic, Fix, Span, did_you_mean, suggest
from lsu_onto.lang import syntax as ast

_DRAWN = ("panoptic-rgb", "polygons", "rle")
"""Encodings with pixels on which nothing is drawn."""


def misfits(s: ast.Meta, t: model.Taxonomy) -> Iterator[Diagnostic]:
    """What is wrong with one key, given the whole taxonomy."""
    key, value, encoding = s.key.text, s.value.text, t.encoding

    def wrong(message: str, place: Span, help: str | None, instead: str | None = None) -> Diagnostic:
        fix = Fix.write(instead, place) if instead else None
        return Diagnostic("TAX012", message, place, help, fix=fix)

    if key == "background":
        if encoding not in _DRAWN:
            what = f"every pixel has a value under `encoding: {encoding}`"
            yield wrong(what, s.key.span, "leave `background:` out")
        elif value not in t.by_name:
            hint = suggest(value, t.by_name, "name the class of pixels on which nothing is drawn")
            close = did_you_mean(value, t.by_name)
            yield wrong(f"`{t.name}` has no class `{value}`", s.value.span, hint, close)
    elif key == "encoding" and value in ("panoptic-rgb", "rle") and not t.meta.get("segments"):
        what = "JSON file" if value == "panoptic-rgb" else "folder of JSON tables"
        yield wrong(f"`encoding: {value}` needs `segments:`", s.value.span, f"add the pattern of its {what}")
    elif key == "segments" and encoding not in ("panoptic-rgb", "rle"):
        yield wrong(f"`encoding: {encoding}` has no segments", s.key.span, "leave `segments:` out")
    elif key == "labels" and encoding == "rle":
        yield wrong("`encoding: rle` has its labels in tables", s.key.span, "leave `labels:` out")
    elif key.startswith("split-"):
        split = key.removeprefix("split-")
        words = re.fullmatch(r"(\w+)\s*=\s*\S.*", value)
        if split not in t.splits:
            hint = suggest(split, t.splits, "name it in `splits:`")
            close = did_you_mean(split, t.splits)
            yield wrong(f"there is no split `{split}`", s.key.span, hint, close and f"split-{close}:")
        elif not words:
            hint = "write `placeholder = value value`, e.g. `scene = park-1 park-2`"
            yield wrong(f"`{value}` does not say which files", s.value.span, hint)
        elif f"{{{words[1]}}}" not in t.meta.get("images", "") + t.meta.get("labels", ""):
            hint = "name a placeholder of `images:` or `labels:`"
            yield wrong(f"no pattern has `{{{words[1]}}}`", s.value.span, hint)
