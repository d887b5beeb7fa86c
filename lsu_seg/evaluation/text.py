"""An evaluation as a terminal table."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table


def table(document: dict[str, Any]) -> str:
    """One line per set, in percent with intervals; one for all sets together if there are several; a caption."""
    grid = Table("set", "images", "mIoU, source", "classes", "mIoU, own taxonomy", "in S(d)", show_edge=False)
    for column in grid.columns[1:]:
        column.justify = "right"
    parts = list(document["sets"].items())
    if len(parts) > 1:
        parts.append(("pooled", document["pooled"]))
    for name, part in parts:
        source, own, sets = (part["views"].get(v) for v in ("source", "projected", "set"))
        grid.add_row(
            name,
            str(part["images"]),
            _share(source["miou"], source["interval"]) if source else "",
            f"{source['present']} of {source['present'] + source['absent']}" if source else "",
            _own(own) if own else "",
            _share(sets["consistency"], sets["interval"]) if sets else "",
        )
    sure = _reliability([(name, part["views"].get("source", {}).get("reliability")) for name, part in parts])
    by_group = _groups([(name, part["views"]["source"]) for name, part in parts if "source" in part["views"]])
    return f"{_printed(grid)}\n{by_group}{sure} percent, with 95 % intervals over images"


def _groups(views: list[tuple[str, dict[str, Any]]]) -> str:
    """One line per group of the source; empty if it has none."""
    names = list(dict.fromkeys(g["name"] for _, view in views for g in view.get("groups", []) if g["truth"]))
    if not names:
        return ""
    grid = Table("IoU of a group", *(name for name, _ in views), show_edge=False)
    for column in grid.columns[1:]:
        column.justify = "right"
    found = [{g["name"]: g for g in view.get("groups", [])} for _, view in views]
    for name in names:
        cells = [of.get(name) for of in found]
        grid.add_row(name, *(_share(g["iou"], g["interval"]) if g and g["truth"] else "" for g in cells))
    return f"\n{_printed(grid)}\n"


def _reliability(parts: list[tuple[str, dict[str, Any] | None]]) -> str:
    """One line per set: how confident predictions are, how often right, and the calibration error."""
    known = [(name, part) for name, part in parts if part and part["before"]["pixels"]]
    if not known:
        return ""
    with_after = any("after" in part for _, part in known)
    grid = Table("confidence", "mean", "right", "calibration error", show_edge=False)
    if with_after:
        grid.add_column("with the temperature")
    for column in grid.columns[1:]:
        column.justify = "right"
    for name, part in known:
        before, after = part["before"], part.get("after")
        cells = [_percent(before[key]) for key in ("confidence", "accuracy", "ece")]
        if with_after:
            cells.append(f"{_percent(after['ece'])} ({part['temperature']:.2f})" if after else "")
        grid.add_row(name, *cells)
    return f"\n{_printed(grid)}\n"


def _printed(grid: Table) -> str:
    buffer = io.StringIO()
    Console(file=buffer, width=120, markup=False).print(grid)
    return buffer.getvalue().rstrip()


def _own(view: dict[str, Any]) -> str:
    """The mIoU, with its upper value if ambiguous predictions leave a range; over how many classes, if not over all."""
    upper = _percent(view["miou_upper"])
    text = _share(view["miou"], view["interval"])
    if upper != _percent(view["miou"]):
        text += f", at most {upper}"
    present = view["present"]
    return f"{text}; {present - view['unscored']} of {present} classes" if view["unscored"] else text


def _share(value: float | None, interval: tuple[float, float]) -> str:
    low, high = interval
    return _percent(value) + (f" [{100 * low:.1f}, {100 * high:.1f}]" if np.isfinite([low, high]).all() else "")


def _percent(value: float | None) -> str:
    return "none" if value is None or np.isnan(value) else f"{100 * value:.1f}"
