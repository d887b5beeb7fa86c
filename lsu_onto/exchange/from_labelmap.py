"""`labelmap.txt` of CVAT (`road:128,64,128::`) and `label_colors.txt` of CamVid (`128 64 128 road`) → `.tax`."""

from __future__ import annotations

import re

from lsu_onto.exchange.base import ExchangeError, Imported, Options
from lsu_onto.exchange.from_csv import imported, one
from lsu_onto.exchange.tables import Cell, Table, read_text

VOC = re.compile(r"(?P<name>[^:]+):(?P<color>[\d\s]+,[\d\s]+,[\d\s]+)?:[^:]*:[^:]*")
"""Label, colour, parts, actions."""
CAMVID = re.compile(r"(?P<color>\d+\s+\d+\s+\d+)\s+(?P<name>\S.*)")


def read(inputs: list[str], options: Options) -> Imported:
    file = one(inputs)
    rows = []
    for number, line in enumerate(read_text(file).splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = VOC.fullmatch(text) or CAMVID.fullmatch(text)
        if match is None:
            raise ExchangeError(
                f"{file}:{number}:1: found `{text}`; expected `label:r,g,b:parts:actions` as in CVAT's labelmap.txt,"
                " or `r g b label` as in CamVid's label_colors.txt"
            )
        start = len(line) - len(line.lstrip())
        columns = {"name": match.start("name"), "color": max(match.start("color"), 0)}
        cells = ((match[n] or "", (file, number, start + at + 1)) for n, at in columns.items())
        rows.append(tuple(Cell(cell, place) for cell, place in cells))
    if not rows:
        raise ExchangeError(f"{file}: no label in this file")
    header = tuple(Cell(n, (file, 1, 1)) for n in ("name", "color"))
    return imported(Table(file, header, tuple(rows)), options)
