"""The three views as diagrams, written in DOT by the `graphviz` package.

All text goes through HTML-like labels, so that `esc` is the only place that escapes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple

from lsu_onto.ontology.html import esc, hexa, ink
from lsu_onto.ontology.model import Ontology, TaxClass, Taxonomy
from lsu_onto.render.engine import NEEDED, lay_out
from lsu_onto.render.looks import (
    KINDS,
    MARKS,
    Edge,
    Marks,
    RenderError,
    Triangle,
    edges,
    members,
    official,
    outline,
    raw_values,
    title,
    unconstrained,
)

FONT = "Helvetica,Arial,sans-serif"
MAX_CELLS = 1_100_000
"""Graphviz takes 1.5 kB and 20 µs for each cell of a matrix: beyond, minutes without a word, and then all memory."""
GREY = "#6b7280"
GROUND = "#f4f5f7"

# The arrow points from the part to the whole. Shapes differ too, so that a black-and-white print says the same.
_EDGES = {
    "=": {"color": f"{KINDS['='].colour}:invis:{KINDS['='].colour}", "penwidth": "1.8", "dir": "none"},
    "<": {"penwidth": "1.6", "arrowhead": "normal"},
    ">": {"penwidth": "1.6", "dir": "back", "arrowtail": "empty"},
    "~": {"penwidth": "1.4", "style": "dashed", "dir": "none"},
    "any": {"penwidth": "1.6", "style": "dotted", "arrowhead": "none"},
    "void": {"penwidth": "1.1", "arrowhead": "tee"},
    "ignored": {"penwidth": "1.1", "dir": "both", "arrowhead": "tee", "arrowtail": "tee"},
    "novel": {"penwidth": "1.1", "dir": "both", "arrowhead": "tee", "arrowtail": "box"},
}


_MIRRORED = {"arrowhead": "arrowtail", "arrowtail": "arrowhead", "back": "forward", "forward": "back"}
"""The look of an edge whose ends are exchanged, so that its end stands left of its start."""


def diagram(
    ontology: Ontology, suffix: str, view: str, chain: Sequence[Ontology] = (), triangle: Triangle | None = None
) -> bytes:
    """An `svg`, `png`, `pdf` or `dot` of one view.

    Args:
        ontology: what to draw.
        suffix, view: how.
        chain: the maps that follow on its source, in the view `map`: each starts at a dataset with the classes of the
            source before it.
        triangle: the map straight to the end of the chain, and what the three exclude of each other.

    Raises:
        RenderError: as for `lay_out`, or there is no package to write DOT.
    """
    cells = len(ontology.dataset.classes) * (len(ontology.source.classes) + 1)
    if view == "matrix" and suffix != "dot" and cells > MAX_CELLS:
        raise RenderError(
            f"a matrix of {cells} cells is too large for a `.{suffix}`, which has room for {MAX_CELLS}; write `.html`"
        )
    try:
        import graphviz
    except ImportError:
        raise RenderError(f"`.{suffix}` needs the `graphviz` package; {NEEDED}; `.html` needs none") from None
    graph = graphviz.Digraph("ontology")
    graph.attr(
        fontname=FONT, fontsize="11", bgcolor="white", pad="0.3", labelloc="t", dpi="144" if suffix == "png" else "72"
    )
    graph.attr("node", fontname=FONT, fontsize="11")
    if chain:
        _columns(graph, [ontology, *chain], triangle)
    else:
        {"map": _map, "tree": _tree, "matrix": _matrix}[view](graph, ontology)
    if suffix == "dot":
        return str(graph.source).encode()
    return lay_out(graph.source, suffix)


# --- the heading --------------------------------------------------------------------------------------


def _heading(ontology: Ontology, legend: str, head: str = "") -> str:
    head = head or title(ontology)
    small = esc(ontology.dataset.meta.get("title", ""))
    below = f'<tr><td><font color="{GREY}">{small}</font></td></tr>' if small else ""
    rest = f'<tr><td height="6"></td></tr><tr><td>{legend}</td></tr>' if legend else ""
    return (
        f'<<table border="0" cellspacing="0" cellpadding="2"><tr><td><font point-size="17"><b>{esc(head)}'
        f'</b></font></td></tr>{below}{rest}<tr><td height="8"></td></tr></table>>'
    )


def _legend(kinds: Iterable[str], sample: dict[str, str], marks: Iterable[bool] = ()) -> str:
    """The kinds and marks that occur, three per row, each with a sample and its meaning."""
    present, marked = set(kinds), set(marks)
    samples = [(sample[k], look) for k, look in KINDS.items() if k in present]
    samples += [(_marked(answered), look) for answered, look in MARKS.items() if answered in marked]
    cells = [
        f'{picture}<td align="left"><font point-size="10">{look.meaning}</font></td><td width="8"></td>'
        for picture, look in samples
    ]
    rows = [f"<tr>{''.join(cells[i : i + 3])}</tr>" for i in range(0, len(cells), 3)]
    return f'<table border="0" cellspacing="2" cellpadding="1">{"".join(rows)}</table>' if rows else ""


def _marked(answered: bool) -> str:
    """A sample of a mark for the legend."""
    look = MARKS[answered]
    band = f'<td width="26" height="6" fixedsize="true" border="2" sides="TB" color="{look.colour}"></td>'
    table = f'<table border="0" cellspacing="0" cellpadding="0"><tr>{band}</tr></table>'
    symbol = f'<font color="{look.colour}"><b>{look.symbol}</b></font>'
    return f'<td align="right">{table}</td><td width="14">{symbol}</td>'


def _line(kind: str) -> str:
    """A sample of an edge for the legend: the border of a table cell is the line, and a glyph is the head."""
    look = KINDS[kind]
    style = _EDGES[kind].get("style", "solid")
    sides, height = ("TB", "5") if kind == "=" else ("T", "3")
    glyph = {
        end: f'<td cellpadding="0"><font color="{look.colour}" point-size="9">{mark}</font></td>'
        for end, mark in {
            "head": {"<": "►", "void": "┤", "ignored": "┤", "novel": "┤"}.get(kind),
            "tail": {">": "◁", "ignored": "├", "novel": "■"}.get(kind),
        }.items()
        if mark
    }
    # 5 and 3 are the smallest heights that Graphviz accepts without a warning.
    line = (
        '<td cellpadding="0"><table border="0" cellspacing="0" cellpadding="0"><tr>'
        f'<td width="26" height="{height}" fixedsize="true"'
        f' border="1" sides="{sides}" style="{style}" color="{look.colour}"></td></tr></table></td>'
    )
    cells = f"{glyph.get('tail', '')}{line}{glyph.get('head', '')}"
    table = f'<table border="0" cellspacing="0" cellpadding="0"><tr>{cells}</tr></table>'
    symbol = f'<font color="{look.colour}"><b>{esc(look.symbol)}</b></font>'
    return f'<td align="right">{table}</td><td width="14">{symbol}</td>'


# --- map ----------------------------------------------------------------------------------------------


def _map(graph: Any, ontology: Ontology) -> None:
    """Dataset classes left, source classes right, as dot orders them in their groups. A source alone is one column."""
    if ontology.dataset is not ontology.source:
        _columns(graph, [ontology])
        return
    source = ontology.source
    _look(graph, len(source.classes), _heading(ontology, ""))
    graph.attr(rankdir="TB", ranksep="0.09")
    _side(graph, "s", source, set(range(len(source.classes))))
    order = [k for group in members(source).values() for k in group]
    for above, below in pairwise(order):
        graph.edge(f"s{above}", f"s{below}", style="invis")


def _look(graph: Any, size: int, heading: str) -> None:
    graph.attr(rankdir="LR", ranksep=f"{2.2 + size / 25:.2f}", nodesep="0.09", newrank="false", label=heading)
    graph.attr("node", shape="box", style="rounded,filled", color="#00000055", margin="0.12,0.04", height="0.3")


class _Step(NamedTuple):
    """A map in the picture: where its dataset classes stand, the edges from those that are reached, and their marks."""

    map: Ontology
    side: str
    starts: dict[int, str]
    edges: list[Edge]
    marks: Marks = MappingProxyType({})
    leftward: bool = False


def _steps(maps: Sequence[Ontology], triangle: Triangle | None) -> list[_Step]:
    steps: list[_Step] = []
    first = starts = {d: f"d{d}" for d in range(len(maps[0].dataset.classes))}
    marks = triangle.marks if triangle else [_Step._field_defaults["marks"]] * len(maps)
    for n, o in enumerate(maps):
        side = f"s{n}_" if n else "s"
        steps.append(_Step(o, side, starts, [e for e in edges(o) if e.row in starts], marks[n]))
        reached = {e.channel for e in steps[-1].edges if e.kind != "any"}  # a decision leads on to nothing
        here = {c.name: f"{side}{k}" for k, c in enumerate(o.source.classes) if k in reached}
        following = maps[n + 1].dataset.classes if n + 1 < len(maps) else ()
        starts = {d: here[c.name] for d, c in enumerate(following) if c.name in here}
    if triangle:
        steps.append(_Step(triangle.direct, "t", first, edges(triangle.direct), marks[-1], leftward=True))
    return steps


def _columns(graph: Any, maps: Sequence[Ontology], triangle: Triangle | None = None) -> None:
    """A column for the first dataset and one for each source. Maps on the way show what the dataset reaches.

    The last source of a triangle is there twice: left of the dataset as its own map says, right by the other way.
    """
    steps = _steps(maps, triangle)
    marks = [step.marks[e[:2]] for step in steps for e in step.edges if e[:2] in step.marks]
    legend = _legend((e.kind for step in steps for e in step.edges), {k: _line(k) for k in KINDS}, marks)
    head = " → ".join([title(maps[0]), *(f"{o.source.name} {o.source.version}" for o in maps[1:])])
    if triangle:
        head = f"{triangle.direct.source.name} {triangle.direct.source.version} ← {head}"
    _look(graph, max(len(t.classes) for o in maps for t in (o.dataset, o.source)), _heading(maps[0], legend, head))
    _side(graph, "d", maps[0].dataset, set(range(len(maps[0].dataset.classes))))
    for step in steps:
        _column(graph, step)


def _column(graph: Any, step: _Step) -> None:
    """The source of a map, and the edges to it."""
    o, side, starts, all_edges, marks, leftward = step
    void = len(o.source.classes)
    free = {d: words for d, words in unconstrained(o, all_edges).items() if d in starts}
    shown = [e for e in all_edges if e.row not in free]
    reached = {e.channel for e in shown}
    _side(graph, side, o.source, reached)
    plain = {"fillcolor": "white", "color": GREY, "fontcolor": GREY, "style": "rounded,filled,dashed"}
    if void in reached:
        graph.node(f"{side}{void}", label="<void>", **plain)
    graph.attr("edge", tailport="e", headport="w")

    def join(start: str, end: str, **look: str) -> None:
        if leftward:
            look = {_MIRRORED.get(k, k): _MIRRORED.get(v, v) for k, v in {"dir": "forward", **look}.items()}
            start, end = end, start
        graph.edge(start, end, **look)

    for d, words in free.items():
        node = f"any{side[1:]} {words}" if not leftward else f"any{side} {words}"
        graph.node(node, label=f"<{esc(words)}>", **plain)
        join(starts[d], node, color=KINDS["any"].colour, **_EDGES["any"])
    last = next(iter(starts.values()), "d0")
    for d, k, kind in shown:
        look = {"color": KINDS[kind].colour, **_EDGES[kind]}
        if (d, k) in marks:  # a band on either side
            band = MARKS[marks[d, k]].colour
            look |= {"color": f"{band}:{look['color']}:{band}", "penwidth": "2"}
        join(starts[d], f"{side}{k}", **look)
    for k in range(void):
        if k in reached:
            last = next(starts[e.row] for e in shown if e.channel == k)
        else:  # keeps the class on its side, and beside its neighbours
            join(last, f"{side}{k}", style="invis", weight="0")


def _side(graph: Any, side: str, taxonomy: Taxonomy, strong: set[int]) -> None:
    # Boxes of one width end in line. A letter of Helvetica takes about 0.08 inches at 11 points.
    width = f"{0.08 * max((len(c.name) for c in taxonomy.classes), default=0) + 0.2:.2f}"
    for n, (group, classes) in enumerate(members(taxonomy).items()):
        with graph.subgraph(name=f"cluster_{side}{n}" if group else f"{side}{n}") as cluster:
            if group:
                cluster.attr(
                    label=f"<{esc(group)}>",
                    labeljust="l" if side == "d" else "r",
                    fontsize="9",
                    fontcolor=GREY,
                    style="filled,rounded",
                    color=GROUND,
                    fillcolor=GROUND,
                    margin="6",
                )
            for i in classes:
                c = taxonomy.classes[i]
                look = {"fillcolor": hexa(c), "fontcolor": ink(c.rgb)}
                if i not in strong:
                    look = {"fillcolor": "white", "fontcolor": GREY, "style": "rounded,filled,dashed"}
                tip = f"<{esc(c.note or c.name)}>"
                cluster.node(f"{side}{i}", label=f"<{_name(c)}>", tooltip=tip, width=width, **look)


def _name(c: TaxClass) -> str:
    """The name, and below it the official name if it says more."""
    if not official(c):
        return esc(c.name)
    return (
        f'<table border="0" cellspacing="0" cellpadding="0"><tr><td>{esc(c.name)}</td></tr>'
        '<tr><td height="2"></td></tr>'
        f'<tr><td><font point-size="8.5">{esc(c.official)}</font></td></tr></table>'
    )


# --- tree ---------------------------------------------------------------------------------------------


def _tree(graph: Any, ontology: Ontology) -> None:
    """Each taxonomy as an indented table: groups, subgroups, classes with their raw values and colours."""
    graph.attr(label=_heading(ontology, ""))
    sides = [ontology.dataset] if ontology.dataset is ontology.source else [ontology.dataset, ontology.source]
    outlines = [_outline(t) for t in sides]
    blank = '<tr><td height="18">&#160;</td></tr>'  # otherwise Graphviz stretches the shorter one
    tables = [rows + [blank] * (max(map(len, outlines)) - len(rows)) for rows in outlines]
    cells = '<td width="24"></td>'.join(
        f'<td><table border="0" cellspacing="1" cellpadding="2">{"".join(rows)}</table></td>' for rows in tables
    )
    graph.node("tree", shape="plain", label=f'<<table border="0"><tr>{cells}</tr></table>>')


def _outline(t: Taxonomy) -> list[str]:
    def row(depth: int, first: str, name: str, extra: str = "") -> str:
        indent = "&#160;" * (5 * depth)
        return (
            f'<tr>{first}<td width="4" height="18"></td><td align="left">{indent}{name}</td>'
            f'<td width="10"></td><td align="left">{extra}</td></tr>'
        )

    rows = [row(0, "<td></td>", f'<font point-size="13"><b>{esc(t.name)} {esc(t.version)}</b></font>')]
    for depth, group, classes in outline(t):
        if group:
            rows.append(row(depth - 1, "<td></td>", f'<font color="{GREY}">▾ {esc(group)}</font>'))
        for c in (t.classes[i] for i in classes):
            values = f'<font color="{ink(c.rgb)}" point-size="9">{raw_values(c)}</font>'
            swatch = f'<td border="1" color="#00000033" bgcolor="{hexa(c)}">{values}</td>'
            other = [f'"{c.official}"'] * (c.official != c.name) + [f"aka {a}" for a in c.aliases]
            extra = f'<font color="{GREY}" point-size="9">{esc(" ".join(other))}</font>' if other else ""
            rows.append(row(depth, swatch, esc(c.name), extra))
    return rows


# --- matrix -------------------------------------------------------------------------------------------


def _matrix(graph: Any, ontology: Ontology) -> None:
    """Rows are dataset classes, columns source classes and void.

    Graphviz cannot rotate text, so the names of the columns form a staircase, each with a line down to its column.
    """
    dataset, source = ontology.dataset, ontology.source
    all_edges = edges(ontology)
    kinds = {(e.row, e.channel): e.kind for e in all_edges}
    columns = [*source.classes, None]

    def cell(kind: str | None, shade: str) -> str:
        look = f'bgcolor="{KINDS[kind].colour}"' if kind else f'bgcolor="{shade}"'
        text = f'<font color="white"><b>{esc(KINDS[kind].symbol)}</b></font>' if kind else ""
        return f'<td width="18" height="18" fixedsize="true" {look}>{text}</td>'

    def swatch(c: TaxClass | None, text: str = "") -> str:
        if c is None:
            return '<td width="18" height="14"></td>'
        label = f'<font color="{ink(c.rgb)}" point-size="8">{text}</font>' if text else ""
        return (
            f'<td width="18" height="14" fixedsize="true" bgcolor="{hexa(c)}" border="1" color="#00000033">{label}</td>'
        )

    line = '<td width="18" height="10" fixedsize="true" border="1" sides="L" color="#9ca3af"></td>'
    stair = [
        f'<tr><td colspan="{k + 2}" align="right"><font point-size="9">{esc(c.name if c else "void")}</font></td>'
        f"{line * (len(columns) - k)}</tr>"
        for k, c in reversed(list(enumerate(columns)))
    ]
    # As wide as the longest name of a column, or the lowest step would push the columns apart.
    width = 5.5 * max(len(c.name) if c else 4 for c in columns)
    channels = (
        f'<tr><td width="{width:.0f}"></td><td></td>{"".join(swatch(c, str(k)) for k, c in enumerate(columns))}</tr>'
    )
    rows = []
    for d, c in enumerate(dataset.classes):
        shade = GROUND if d % 2 else "#eaecef"
        cells = "".join(cell(kinds.get((d, k)), shade) for k in range(len(columns)))
        values = raw_values(c) if len(raw_values(c)) < 4 else ""
        rows.append(f'<tr><td align="right">{esc(c.name)}</td>{swatch(c, values)}{cells}</tr>')
    graph.attr(label=_heading(ontology, _legend(kinds.values(), {k: cell(k, "") for k in KINDS})))
    body = "".join([*stair, channels, *rows, channels])
    graph.node("m", shape="plain", label=f'<<table border="0" cellspacing="1" cellpadding="1">{body}</table>>')
