"""Pictures of an ontology, written in DOT by the `graphviz` package.

An installed `dot` lays them out; where there is none, the engine inside pygraphviz's wheels does, in this
process. All text goes through HTML-like labels, so that `_esc` is the only place that escapes.
"""

from __future__ import annotations

import html
import re
import shutil
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from lsu_onto.files import write_atomic
from lsu_onto.graph import VOID_NODE, build
from lsu_onto.model import Ontology, TaxClass, Taxonomy

FORMATS = ("svg", "png", "pdf", "dot")
INSTALL = "install it with `pip install 'lsu-toolkit[render]'`"
FONT = "Helvetica,Arial,sans-serif"
GREY = "#6b7280"
GROUND = "#f4f5f7"


class RenderError(ValueError):
    """A picture that cannot be drawn or written."""


class _Kind(NamedTuple):
    """How one kind of relation looks: on an edge, and as a cell of the matrix."""

    symbol: str
    colour: str
    meaning: str
    edge: dict[str, str]


# The arrow points from the part to the whole. Shapes differ too, so that a black-and-white print says the same.
_KINDS = {
    "=": _Kind("=", "#00795c", "the same pixels", {"color": "#00795c:invis:#00795c", "penwidth": "1.8", "dir": "none"}),
    "<": _Kind("&lt;", "#1d5fa8", "lies inside the source class", {"penwidth": "1.6", "arrowhead": "normal"}),
    ">": _Kind("&gt;", "#b4460f", "contains the source class", {"penwidth": "1.6", "dir": "back", "arrowtail": "empty"}),
    "~": _Kind("~", "#8e3b8a", "overlaps it", {"penwidth": "1.4", "style": "dashed", "dir": "none"}),
    "any": _Kind("·", "#64748b", "unconstrained", {"penwidth": "1.6", "style": "dotted", "arrowhead": "none"}),
    "void": _Kind("∅", "#374151", "may be void", {"penwidth": "1.1", "arrowhead": "tee"}),
    "novel": _Kind("!", "#111827", "no source class", {"penwidth": "1.1", "arrowhead": "box"}),
}  # fmt: skip


def draw(ontology: Ontology, target: Path, view: str) -> None:
    """Draw an ontology without errors. The suffix of `target` sets the format; the same input gives the same bytes.

    Args:
        ontology: what to draw.
        target: the file to write, whole or not at all.
        view: `map` (relations), `tree` (groups and classes of both sides) or `matrix` (S(d)).

    Raises:
        RenderError: unknown format or view, nothing to draw with, or the file cannot be written.
    """
    suffix = target.suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise RenderError(
            f"cannot draw `{target}`: the suffix must be one of {', '.join(f'`.{f}`' for f in FORMATS)}"
        )
    if view not in VIEWS:
        raise RenderError(f"there is no view `{view}`; one of {', '.join(f'`{v}`' for v in VIEWS)}")
    try:
        import graphviz
    except ImportError:
        raise RenderError(f"drawing needs the `graphviz` package; {INSTALL}") from None
    graph = graphviz.Digraph("ontology")
    graph.attr(
        fontname=FONT, fontsize="11", bgcolor="white", pad="0.3", dpi="144" if suffix == "png" else "72"
    )
    graph.attr("node", fontname=FONT, fontsize="11")
    VIEWS[view](graph, ontology)
    _write(target, _layout(graph, suffix))


def _layout(graph: Any, suffix: str) -> bytes:
    if suffix == "dot":
        return str(graph.source).encode()
    if shutil.which("dot"):
        import subprocess

        try:
            data = graph.pipe(format=suffix, quiet=True)
        except (OSError, subprocess.CalledProcessError) as e:
            raise RenderError(f"`dot` failed: {e}") from e
    else:
        try:
            import pygraphviz
        except ImportError:
            raise RenderError(
                f"there is no `dot` program, and no `pygraphviz` to replace it; {INSTALL}"
            ) from None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = pygraphviz.AGraph(string=graph.source).draw(format=suffix, prog="dot")
    return re.sub(rb"/CreationDate \([^)]*\)", _same_length, bytes(data))


def _same_length(date: re.Match[bytes]) -> bytes:
    # Offsets in a PDF count bytes, so the date is blanked and not cut out.
    return b"/CreationDate (" + b" " * (len(date[0]) - 16) + b")"


def _write(target: Path, data: bytes) -> None:
    try:
        write_atomic(target, data)
    except OSError as e:
        raise RenderError(f"cannot write `{target}`: {e.strerror}") from e


# --- text and colour ----------------------------------------------------------------------------------


def _esc(text: str) -> str:
    """Text for an HTML-like label; control characters would break the label's XML."""
    return html.escape("".join(c if c.isprintable() else "\ufffd" for c in text))


def _hex(rgb: tuple[int, int, int] | None) -> str:
    return "#{:02x}{:02x}{:02x}".format(*(rgb or (255, 255, 255)))


def _ink(rgb: tuple[int, int, int] | None) -> str:
    """Black or white, whichever contrasts more (WCAG relative luminance)."""
    linear = [
        (v / 255 / 12.92 if v <= 10 else ((v / 255 + 0.055) / 1.055) ** 2.4) for v in rgb or (255, 255, 255)
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "#ffffff"


def _name(c: TaxClass) -> str:
    """The name, and below it the official one where it differs."""
    if c.official == c.name:
        return _esc(c.name)
    return (
        f'<table border="0" cellspacing="0" cellpadding="0"><tr><td>{_esc(c.name)}</td></tr><tr><td height="2"></td></tr>'
        f'<tr><td><font point-size="8.5">{_esc(c.official)}</font></td></tr></table>'
    )


def _heading(ontology: Ontology, legend: str) -> str:
    d, s = ontology.dataset, ontology.source
    title = f"{_esc(d.name)} {_esc(d.version)}"
    if d is not s:
        title += f" → {_esc(s.name)} {_esc(s.version)}"
    small = _esc(d.meta.get("title", ""))
    below = f'<tr><td><font color="{GREY}">{small}</font></td></tr>' if small else ""
    rest = f'<tr><td height="6"></td></tr><tr><td>{legend}</td></tr>' if legend else ""
    return (
        f'<<table border="0" cellspacing="0" cellpadding="2"><tr><td><font point-size="17"><b>{title}</b></font></td></tr>'
        f'{below}{rest}<tr><td height="8"></td></tr></table>>'
    )


def _legend(kinds: Iterable[str], sample: dict[str, str]) -> str:
    """The kinds that occur, three to a row: a sample and what it means."""
    there = set(kinds)
    used = [k for k in _KINDS if k in there]
    cells = [
        f'{sample[k]}<td align="left"><font point-size="10">{_KINDS[k].meaning}</font></td><td width="8"></td>'
        for k in used
    ]
    rows = [f"<tr>{''.join(cells[i : i + 3])}</tr>" for i in range(0, len(cells), 3)]
    return f'<table border="0" cellspacing="2" cellpadding="1">{"".join(rows)}</table>' if rows else ""


def _edges(ontology: Ontology) -> list[tuple[int, tuple[Any, ...], str]]:
    """(row of d, node of the source side, kind), in the order of rows and channels."""
    graph = build(ontology)
    out = []
    for a, b, kind in graph.edges(data="kind"):
        out.append((a[1], b, "novel" if b == VOID_NODE and graph.nodes[a]["novel"] else kind))
    return sorted(out, key=lambda e: (e[0], e[1] == VOID_NODE, e[1]))


# --- views --------------------------------------------------------------------------------------------


def _line(kind: str) -> str:
    """A legend's sample of an edge: a table cell with the border for a line, and a glyph for the head."""
    look = _KINDS[kind]
    style = look.edge.get("style", "solid")
    sides, height = ("TB", "5") if kind == "=" else ("T", "3")
    head = {"<": "►", ">": "◁", "void": "┤", "novel": "■"}.get(kind, "")
    glyph = (
        f'<td cellpadding="0"><font color="{look.colour}" point-size="9">{head}</font></td>' if head else ""
    )
    # 5 and 3 are the smallest heights that Graphviz lays out without a complaint.
    line = (
        f'<td cellpadding="0"><table border="0" cellspacing="0" cellpadding="0"><tr><td width="26" height="{height}" fixedsize="true"'
        f' border="1" sides="{sides}" style="{style}" color="{look.colour}"></td></tr></table></td>'
    )
    parts = glyph + line if kind == ">" else line + glyph
    table = f'<table border="0" cellspacing="0" cellpadding="0"><tr>{parts}</tr></table>'
    return f'<td align="right">{table}</td><td width="14"><font color="{look.colour}"><b>{look.symbol}</b></font></td>'


def _map(graph: Any, ontology: Ontology) -> None:
    """Dataset classes left, source classes right, as dot orders them within their groups."""
    dataset, source = ontology.dataset, ontology.source
    edges = _edges(ontology)
    free = {d: [k for k in range(len(source.classes)) if k not in row.meaning(len(source.classes)).channels]
            for row in ontology.rows if row.decision and row.decision.to == "any" for d in [row.cls]}  # fmt: skip
    size = max(len(dataset.classes), len(source.classes))
    graph.attr(rankdir="LR", ranksep=f"{2.2 + size / 25:.2f}", nodesep="0.09", newrank="false", labelloc="t",
               label=_heading(ontology, _legend((e[2] for e in edges), {k: _line(k) for k in _KINDS})))  # fmt: skip
    graph.attr(
        "node", shape="box", style="rounded,filled", color="#00000055", margin="0.12,0.04", height="0.3"
    )
    reached = {b[1] for d, b, _ in edges if b != VOID_NODE and d not in free}
    _side(graph, "d", dataset, set(range(len(dataset.classes))))
    _side(graph, "s", source, reached)
    plain = {"fillcolor": "white", "color": GREY, "fontcolor": GREY, "style": "rounded,filled,dashed"}
    if any(b == VOID_NODE for d, b, _ in edges if d not in free):
        graph.node("void", label="<void>", **plain)
    for d, missing in free.items():
        names = " ".join(_esc(source.classes[k].name) for k in missing[:4]) + (
            " …" if len(missing) > 4 else ""
        )
        key = "any" + "_".join(map(str, missing))
        graph.node(key, label=f"<any class{f' but {names}' if names else ''}>", **plain)
        graph.edge(f"d{d}", key, color=_KINDS["any"].colour, **_KINDS["any"].edge)
    last = "d0"
    for d, b, kind in edges:
        if d not in free:
            look = {"color": _KINDS[kind].colour, **_KINDS[kind].edge}
            graph.edge(f"d{d}", "void" if b == VOID_NODE else f"s{b[1]}", **look)
    for k in range(len(source.classes)):
        if k in reached:
            last = next(f"d{d}" for d, b, _ in edges if b == ("source", k) and d not in free)
        else:  # keeps the class on its side, and beside its neighbours
            graph.edge(last, f"s{k}", style="invis", weight="0")


def _side(graph: Any, side: str, taxonomy: Taxonomy, strong: set[int]) -> None:
    members: dict[str, list[int]] = {}
    for i, c in enumerate(taxonomy.classes):
        members.setdefault(c.group, []).append(i)
    for n, (group, classes) in enumerate(members.items()):
        with graph.subgraph(name=f"cluster_{side}{n}" if group else f"{side}{n}") as cluster:
            if group:
                cluster.attr(label=f"<{_esc(group)}>", labeljust="l" if side == "d" else "r", fontsize="9",
                             fontcolor=GREY, style="filled,rounded", color=GROUND, fillcolor=GROUND, margin="6")  # fmt: skip
            for i in classes:
                c = taxonomy.classes[i]
                look = {"fillcolor": _hex(c.rgb), "fontcolor": _ink(c.rgb)}
                if i not in strong:
                    look = {"fillcolor": "white", "fontcolor": GREY, "style": "rounded,filled,dashed"}
                cluster.node(
                    f"{side}{i}", label=f"<{_name(c)}>", tooltip=f"<{_esc(c.note or c.name)}>", **look
                )


def _tree(graph: Any, ontology: Ontology) -> None:
    """Each taxonomy as an indented table: groups, subgroups, classes with their raw values and colours."""
    graph.attr(labelloc="t", label=_heading(ontology, ""))
    sides = [ontology.dataset] if ontology.dataset is ontology.source else [ontology.dataset, ontology.source]
    outlines = [_outline(t) for t in sides]
    blank = '<tr><td height="18">&#160;</td></tr>'  # or Graphviz would stretch the shorter one
    tables = [rows + [blank] * (max(map(len, outlines)) - len(rows)) for rows in outlines]
    cells = '<td width="24"></td>'.join(
        f'<td><table border="0" cellspacing="1" cellpadding="2">{"".join(rows)}</table></td>'
        for rows in tables
    )
    graph.node("tree", shape="plain", label=f'<<table border="0"><tr>{cells}</tr></table>>')


def _outline(t: Taxonomy) -> list[str]:
    def row(depth: int, first: str, name: str, extra: str = "") -> str:
        indent = "&#160;" * (5 * depth)
        return f'<tr>{first}<td width="4" height="18"></td><td align="left">{indent}{name}</td><td align="left">{extra}</td></tr>'

    rows = [row(0, "<td></td>", f'<font point-size="13"><b>{_esc(t.name)} {_esc(t.version)}</b></font>')]
    for group in ["", *t.groups]:
        depth = group.count(".") if group else 0
        if group:
            rows.append(
                row(depth, "<td></td>", f'<font color="{GREY}">▾ {_esc(group.rpartition(".")[2])}</font>')
            )
        for c in (c for c in t.classes if c.group == group):
            ids = ",".join(f"{a}" if a == b else f"{a}..{b}" for a, b in c.ids) or "-"
            swatch = f'<td border="1" color="#00000033" bgcolor="{_hex(c.rgb)}"><font color="{_ink(c.rgb)}" point-size="9">{ids}</font></td>'
            other = [f'"{c.official}"'] * (c.official != c.name) + [f"aka {a}" for a in c.aliases]
            extra = f'<font color="{GREY}" point-size="9">{_esc(" ".join(other))}</font>' if other else ""
            rows.append(row(depth + bool(group), swatch, _esc(c.name), extra))
    return rows


def _matrix(graph: Any, ontology: Ontology) -> None:
    """Rows are dataset classes, columns source classes and void; Graphviz cannot turn text, so column names are stacked."""
    dataset, source = ontology.dataset, ontology.source
    edges = _edges(ontology)
    kinds = {(d, len(source.classes) if b == VOID_NODE else b[1]): kind for d, b, kind in edges}

    def cell(kind: str | None, shade: str) -> str:
        look = f'bgcolor="{_KINDS[kind].colour}"' if kind else f'bgcolor="{shade}"'
        text = f'<font color="white"><b>{_KINDS[kind].symbol}</b></font>' if kind else ""
        return f'<td width="18" height="18" fixedsize="true" {look}>{text}</td>'

    def swatch(c: TaxClass | None) -> str:
        return (
            f'<td width="18" height="8" fixedsize="true" bgcolor="{_hex(c.rgb)}" border="1" color="#00000033"></td>'
            if c
            else "<td></td>"
        )

    columns = [*source.classes, None]
    letters = ["<br/>".join(_esc(x) for x in (c.name if c else "void")) for c in columns]
    names = "".join(f'<td valign="bottom"><font point-size="8.5">{text}</font></td>' for text in letters)
    swatches = "".join(map(swatch, columns))
    rows = [f"<tr><td></td><td></td>{names}</tr>", f"<tr><td></td><td></td>{swatches}</tr>"]
    for d, c in enumerate(dataset.classes):
        shade = GROUND if d % 2 else "#eaecef"
        cells = "".join(cell(kinds.get((d, k)), shade) for k in range(len(columns)))
        rows.append(f'<tr><td align="right">{_esc(c.name)}</td>{swatch(c)}{cells}</tr>')
    if len(dataset.classes) > 30:
        rows.append(f"<tr><td></td><td></td>{names.replace('bottom', 'top')}</tr>")
    sample = {k: cell(k, "") for k in _KINDS}
    graph.attr(labelloc="t", label=_heading(ontology, _legend(kinds.values(), sample)))
    graph.node(
        "m",
        shape="plain",
        label=f'<<table border="0" cellspacing="1" cellpadding="1">{"".join(rows)}</table>>',
    )


VIEWS = {"map": _map, "tree": _tree, "matrix": _matrix}
