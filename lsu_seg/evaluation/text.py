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
    buffer = io.StringIO()
    Console(file=buffer, width=120).print(grid)
    return f"{buffer.getvalue().rstrip()}\n percent, with 95 % intervals over images"


def _own(view: dict[str, Any]) -> str:
    """The mIoU, with its upper value if ambiguous predictions leave a range."""
    upper = _percent(view["miou_upper"])
    text = _share(view["miou"], view["interval"])
    return text if upper == _percent(view["miou"]) else f"{text}, at most {upper}"


def _share(value: float | None, interval: tuple[float, float]) -> str:
    low, high = interval
    return _percent(value) + (f" [{100 * low:.1f}, {100 * high:.1f}]" if np.isfinite([low, high]).all() else "")


def _percent(value: float | None) -> str:
    return "none" if value is None or np.isnan(value) else f"{100 * value:.1f}"
