"""Label maps → `.tax`: CVAT's `labelmap.txt`, CamVid's `label_colors.txt`, and the colour map of RUGD."""

from __future__ import annotations

import re

from lsu_onto.exchange.base import ExchangeError, Imported, Options
from lsu_onto.exchange.from_csv import imported, one
from lsu_onto.exchange.tables import Cell, Table, read_text

VOC = re.compile(r"(?P<name>[^:]+):(?P<color>[\d\s]+,[\d\s]+,[\d\s]+)?:[^:]*:[^:]*")
"""Label, colour, parts, actions."""
RUGD = re.compile(r"(?P<id>\d+)\s+(?P<name>\S*[^\d\s]\S*)\s+(?P<color>\d+\s+\d+\s+\d+)")
CAMVID = re.compile(r"(?P<color>\d+\s+\d+\s+\d+)\s+(?P<name>\S.*)")


def read(inputs: list[str], options: Options) -> Imported:
    file = one(inputs)
    rows = []
    for number, line in enumerate(read_text(file).splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = next((m for p in (VOC, CAMVID, RUGD) if (m := p.fullmatch(text))), None)
        if match is None:
            raise ExchangeError(
                f"{file}:{number}:1: found `{text}`; expected `label:r,g,b:parts:actions` as in CVAT's labelmap.txt,"
                " `r g b label` as in CamVid's label_colors.txt, or `id label r g b`"
            )
        start = len(line) - len(line.lstrip())
        found = {"id": "", **match.groupdict(default="")}
        starts = {n: max(match.start(n), 0) for n in match.groupdict()}
        place = {n: (file, number, start + starts.get(n, 0) + 1) for n in found}
        rows.append(tuple(Cell(found[n], place[n]) for n in ("id", "name", "color")))
    if not rows:
        raise ExchangeError(f"{file}: no label in this file")
    header = tuple(Cell(n, (file, 1, 1)) for n in ("id", "name", "color"))
    if not all(row[0].text for row in rows):
        header, rows = header[1:], [row[1:] for row in rows]
    return imported(Table(file, header, tuple(rows)), options)
