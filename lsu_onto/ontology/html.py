"""Classes and maps in HTML: what pages and notebooks share, and the table that a notebook shows of a map."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from lsu_onto.ontology.model import Ontology, TaxClass
from lsu_onto.ontology.words import allowed_names, relation_text

_NAMES = 10
"""Members of S(d) that are shown; or those that it lacks, if these are fewer."""

_CHARACTERS = 60
"""Of a name. Any length is allowed."""

_BYTES = 150_000
"""Of a table. Notebooks are stored with what they show."""


def esc(text: Any) -> str:
    """Text for HTML and for the HTML-like labels of Graphviz. Control characters would break their XML."""
    return html.escape("".join(c if c.isprintable() else "\ufffd" for c in str(text)))


def hexa(c: TaxClass) -> str:
    """The colour of a class, or white if it has none."""
    return f"#{c.colours[0]:06x}" if c.colours else "#ffffff"


def ink(rgb: tuple[int, int, int] | None) -> str:
    """Black or white, whichever contrasts more (WCAG relative luminance).

    >>> ink((0, 0, 142)), ink((107, 142, 35))
    ('#ffffff', '#000000')
    """
    linear = [(v / 255 / 12.92 if v <= 10 else ((v / 255 + 0.055) / 1.055) ** 2.4) for v in rgb or (255, 255, 255)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "#ffffff"


Colour = tuple[int, int, int] | None


class Row(NamedTuple):
    """A dataset class in a table: what it is called, what the map says of it, and S(d) as names."""

    name: str
    colour: Colour
    relation: str
    allowed: Sequence[str]


def table(title: str, rows: Iterable[Row], source: dict[str, Colour]) -> str:
    """A map for a notebook: a row per dataset class with its relation and S(d). It needs no style sheet and no script.

    Args:
        title: above the table.
        source: the names of the source's classes, each with its colour.
    """
    names = [*source, "void"]
    lines: list[str] = []
    size = more = 0
    for row in rows:
        line = f"<tr><td>{_chip(row.name, row.colour)}</td><td><code>{_cut(row.relation)}</code></td>"
        line += f"<td>{' '.join(_set(row.allowed, names, source))}</td></tr>"
        size += len(line.encode())
        if more or size > _BYTES:
            more += 1
        else:
            lines.append(line)
    if more:
        lines.append(f'<tr><td colspan="3">… and {more} more class{"es" * (more > 1)}</td></tr>')
    head = "<tr><th>class</th><th>relation</th><th>a pixel of it may be</th></tr>"
    whole = f"<table><caption><b>{esc(title)}</b></caption><thead>{head}</thead><tbody>{''.join(lines)}</tbody></table>"
    return re.sub("<(t[dh])>", r'<\1 style="text-align:left">', whole)


def ontology_table(o: Ontology) -> str:
    """The table of a map; of a source, that of its identity."""
    rows = {row.cls: row for row in o.rows}
    source = {c.name: c.rgb for c in o.source.classes}
    alone = o.dataset is o.source
    lines = (
        Row(
            c.name,
            c.rgb,
            relation_text(rows[d]) if d in rows else "",
            allowed_names(o, rows[d]) if d in rows else (),
        )
        for d, c in enumerate(o.dataset.classes)
    )
    to = "" if alone else f" → {o.source.name} {o.source.version}"
    return table(f"{o.dataset.name} {o.dataset.version}{to}", lines, source)


def _set(allowed: Sequence[str], names: list[str], source: dict[str, Colour]) -> Iterator[str]:
    """S(d) as chips; where that is shorter, as what it lacks."""
    missing = set(names).difference(allowed)
    if len(allowed) > _NAMES and len(missing) < len(allowed):
        yield "everything but" if missing else "everything"
        allowed = [n for n in names if n in missing]
    for name in allowed[:_NAMES]:
        yield _chip(name, source.get(name))
    if len(allowed) > _NAMES:
        yield f"… and {len(allowed) - _NAMES} more"


def _chip(name: str, colour: Colour) -> str:
    if colour is None:
        return f"<i>{_cut(name)}</i>"
    red, green, blue = colour
    style = f"background:#{red:02x}{green:02x}{blue:02x};color:{ink(colour)};padding:0 4px;border:1px solid #8888"
    return f'<span style="{style}">{_cut(name)}</span>'


def _cut(text: str) -> str:
    return esc(text if len(text) <= _CHARACTERS else f"{text[: _CHARACTERS - 1]}…")
