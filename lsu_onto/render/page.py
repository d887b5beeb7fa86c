"""The page: one HTML file with all three views, a search, and S(d) and notes of the class under the pointer.

It needs no network. The views are written here and need no JavaScript; `page.js` finds elements by
`data-id` (`d3`: dataset class 3, `s5`: source class 5, void is s + K), and reads S(d) from the embedded JSON.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib.resources import files
from typing import Any

from lsu_onto.ontology.html import esc, hexa, ink
from lsu_onto.ontology.model import MapRow, Ontology, TaxClass, Taxonomy
from lsu_onto.ontology.words import meaning_text, notes, relation_text, statistics
from lsu_onto.progress import progress
from lsu_onto.render.looks import (
    KINDS,
    VIEWS,
    Edge,
    edges,
    members,
    official,
    outline,
    raw_values,
    title,
    unconstrained,
)

ROW = 26
WIDTH = 380
CLASS = {
    "=": "eq",
    "<": "lt",
    ">": "gt",
    "~": "ov",
    "any": "any",
    "void": "void",
    "ignored": "ignored",
    "novel": "novel",
}


def page(ontology: Ontology, view: str) -> str:
    """The HTML of an ontology without errors, opening with `view`. The same input gives the same text."""
    all_edges = edges(ontology)
    alone = ontology.dataset is ontology.source
    data = json.dumps(_data(ontology, all_edges), ensure_ascii=False, separators=(",", ":"))
    parts = {
        "title": esc(title(ontology)),
        "subtitle": esc(ontology.dataset.meta.get("title", "")),
        "style": _resource("page.css").replace("{{row}}", str(ROW)),
        "radios": "\n".join(
            f'<input type="radio" class="tab" name="view" id="show-{v}" aria-label="{v}"{" checked" * (v == view)}>'
            for v in VIEWS
        ),
        "tabs": "".join(f'<label for="show-{v}">{v}</label>' for v in VIEWS),
        "map": _map(ontology, [] if alone else all_edges),
        "tree": _tree(ontology),
        "matrix": _matrix(ontology, all_edges),
        "legend": "" if alone else f'<div id="legend"><h2>Relations</h2>{_legend({e.kind for e in all_edges})}</div>',
        "statistics": "" if alone else "<br>".join(map(esc, statistics(ontology))),
        "data": data.replace("<", "\\u003c"),  # `<` would let a name end the element or open a comment
    }
    return fill("page", **parts)


def fill(name: str, **parts: str) -> str:
    """One of our pages with its script. No other script runs on it, whatever a class is called."""
    script = _resource(f"{name}.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    every = {**parts, "hash": f"sha256-{digest}", "script": script}
    return re.sub(r"\{\{(\w+)\}\}", lambda m: every[m[1]], _resource(f"{name}.html"))


def _resource(name: str) -> str:
    return (files("lsu_onto.render") / name).read_text(encoding="utf-8")


def _rows(ontology: Ontology) -> dict[int, MapRow]:
    return {row.cls: row for row in ontology.rows}


def _data(ontology: Ontology, all_edges: list[Edge]) -> dict[str, Any]:
    """`rows` are in the order of the dataset's classes; `allowed` has channels, void as K, and `kinds` beside them."""

    def side(t: Taxonomy) -> dict[str, Any]:
        classes = [
            {
                "name": c.name,
                "official": c.official,
                "aka": c.aliases,
                "ids": raw_values(c),
                "group": c.group,
                "colour": hexa(c) if c.colours else "",
                "note": c.note,
            }
            for c in t.classes
        ]
        return {"name": t.name, "version": t.version, "classes": classes}

    rows: list[dict[str, Any]] = [
        {"relation": "", "notes": [], "allowed": [], "kinds": []} for _ in ontology.dataset.classes
    ]
    for d, row in _rows(ontology).items():
        rows[d].update(relation=relation_text(row), notes=notes(ontology, row))
    for d, channel, kind in all_edges:
        rows[d]["allowed"].append(channel)
        rows[d]["kinds"].append(kind)
    return {
        "alone": ontology.dataset is ontology.source,
        "dataset": side(ontology.dataset),
        "source": side(ontology.source),
        "rows": rows,
        "symbols": {kind: look.symbol for kind, look in KINDS.items()},
    }


# --- classes and lines --------------------------------------------------------------------------------


def _button(key: str, look: str, inner: str, tip: str = "", style: str = "") -> str:
    """A class. Its tooltip says S(d), which works without JavaScript."""
    attributes = (f' style="{style}"' if style else "") + (f' title="{esc(tip)}"' if tip else "")
    return f'<button type="button" class="c{look}" data-id="{key}"{attributes}>{inner}</button>'


def _colours(c: TaxClass) -> str:
    return f"--c:{hexa(c)};--ink:{ink(c.rgb)}" if c.colours else ""


def _swatch(c: TaxClass, text: str = "") -> str:
    return f'<span class="swatch" style="{_colours(c)}">{text}</span>'


def _path(kind: str, y1: float, y2: float) -> str:
    """A line from left to right. Its shape alone identifies the kind."""
    left, right = 6 + 10 * (kind in (">", "novel")), WIDTH - 6 - 10 * (kind == "<")
    mid = WIDTH / 2
    d = f"M{left} {y1:g}C{mid:g} {y1:g} {mid:g} {y2:g} {right} {y2:g}"
    mark = {
        "=": f'<path class="under" d="{d}"/>',
        "<": f'<path class="head" d="M{WIDTH - 4} {y2:g}l-12 -5v10z"/>',
        ">": f'<path class="head open" d="M4 {y1:g}l12 -5v10z"/>',
        "void": f'<path d="M{WIDTH - 6} {y2 - 6:g}v12"/>',
        "ignored": f'<path d="M6 {y1 - 6:g}v12M{WIDTH - 6} {y2 - 6:g}v12"/>',
        "novel": f'<path class="head" d="M6 {y1 - 5:g}h10v10h-10z"/><path d="M{WIDTH - 6} {y2 - 6:g}v12"/>',
    }
    return f'<path class="line" d="{d}"/>{mark.get(kind, "")}'


def _legend(kinds: set[str]) -> str:
    rows = [
        '<dt><svg width="44" height="14" viewBox="0 0 44 14">'
        f'<g class="e k-{CLASS[kind]}">{_sample(kind)}</g></svg></dt>'
        f"<dd><b>{esc(look.symbol)}</b></dd><dd>{esc(look.meaning)}</dd>"
        for kind, look in KINDS.items()
        if kind in kinds
    ]
    return f"<dl>{''.join(rows)}</dl>"


def _sample(kind: str) -> str:
    line = re.sub(r'd="M[\d.]+ 7C[^"]*"', 'd="M6 7H38"', _path(kind, 7, 7))
    return line.replace(f"M{WIDTH - 4} ", "M42 ").replace(f"M{WIDTH - 6} ", "M38 ")


# --- map ----------------------------------------------------------------------------------------------


def _map(ontology: Ontology, all_edges: list[Edge]) -> str:
    """Dataset classes in the order of the file; source groups and their classes opposite what reaches them."""
    dataset, source = ontology.dataset, ontology.source
    rows, void = _rows(ontology), len(source.classes)
    free = unconstrained(ontology, all_edges)
    shown = [e for e in all_edges if e.row not in free]
    reached = {e.channel for e in shown}

    def item(key: str, c: TaxClass, tip: str, strong: bool) -> str:
        small = f"<small>{esc(official(c))}</small>" if official(c) else ""
        look = " chip" if strong else " chip unreached"
        return _button(key, look, esc(c.name) + small, tip, _colours(c) if strong else "")

    left: list[tuple[str, str]] = []  # (id, HTML) of each line
    for group, classes in members(dataset).items() if dataset is not source else ():
        left += [("", _group(group))] * bool(group)
        for d in classes:
            tip = (
                " · ".join(filter(None, [relation_text(rows[d]), meaning_text(ontology, rows[d])])) if d in rows else ""
            )
            left.append((f"d{d}", f"<li>{item(f'd{d}', dataset.classes[d], tip, True)}</li>"))
    height = {key: i for i, (key, _) in enumerate(left) if key}

    others = [(f"s{void}", f"<li>{_button(f's{void}', ' chip plain', 'void')}</li>")] * (void in reached)
    others += [(f"any{d}", f"<li>{_button(f'd{d}', ' chip plain', esc(words))}</li>") for d, words in free.items()]
    others = [("", _group("not a class")), *others] if others else []
    right: list[tuple[str, str]] = []
    for group, classes in _opposite(source, shown, height):
        if group and not reached & set(classes):  # what nothing reaches stands below void
            right, others = right + others, []
        right += [("", _group(group))] * bool(group)
        for k in classes:
            own = dataset is source or k in reached
            right.append((f"s{k}", f"<li>{item(f's{k}', source.classes[k], source.classes[k].note, own)}</li>"))
    right += others

    def y(lines: list[tuple[str, str]]) -> dict[str, float]:
        return {key: (i + 0.5) * ROW for i, (key, _) in enumerate(lines)}

    y1, y2 = y(left), y(right)
    lines = [(f"d{d}", f"s{k}", kind, y2[f"s{k}"]) for d, k, kind in shown]
    lines += [(f"d{d}", f"d{d}", "any", y2[f"any{d}"]) for d in free]
    drawn = "\n".join(
        f'<g class="e k-{CLASS[kind]}" data-from="{a}" data-to="{b}">{_path(kind, y1[a], end)}</g>'
        for a, b, kind, end in lines
    )
    picture = (
        f'<svg width="{WIDTH}" height="{ROW * max(len(left), len(right))}" aria-hidden="true">\n{drawn}\n</svg>'
        if left
        else ""
    )
    columns = ["".join(html for _, html in lines) for lines in (left, right)]
    return f'<div class="sides"><ul>{columns[0]}</ul>{picture}<ul>{columns[1]}</ul></div>'


def _group(name: str) -> str:
    return f'<li class="group">{esc(name)}</li>'


def _opposite(source: Taxonomy, shown: list[Edge], height: dict[str, int]) -> list[tuple[str, list[int]]]:
    """The source's groups and their classes, ordered by the mean height of what reaches them: fewer crossings."""
    heights: dict[int, list[int]] = {}
    for d, k, _ in shown:
        heights.setdefault(k, []).append(height[f"d{d}"])

    def mean(classes: list[int]) -> float:
        values = [h for k in classes for h in heights.get(k, [])]
        return sum(values) / len(values) if values else float("inf")

    own = members(source)
    idle = [k for k in own.get("", []) if k not in heights]
    if heights and idle:  # without groups, these may be most of a long column
        own[""] = [k for k in own[""] if k in heights]
        own["(nothing reaches)"] = idle
    groups = [(group, sorted(classes, key=lambda k: mean([k]))) for group, classes in own.items()]
    # Classes without a group come first: below a group they would seem to belong to it.
    return sorted(groups, key=lambda g: (bool(g[0]), mean(g[1])))


# --- tree ---------------------------------------------------------------------------------------------


def _tree(ontology: Ontology) -> str:
    alone = ontology.dataset is ontology.source
    sides = [("s", ontology.source)] if alone else [("d", ontology.dataset), ("s", ontology.source)]
    return f'<div class="outlines">{"".join(_outline(ontology, key, t) for key, t in sides)}</div>'


def _outline(ontology: Ontology, side: str, t: Taxonomy) -> str:
    """Everything in words: for dataset classes the relations, S(d) and the notes."""
    rows = _rows(ontology) if side == "d" else {}
    out, depth = [], 0
    for level, group, classes in outline(t):
        out += ["</ul></li>"] * (depth - level + 1 if group else 0)
        if group:
            out.append(f'<li class="group"><span>{esc(group)}</span><ul>')
        depth = level
        for i in classes:
            c = t.classes[i]
            other = [f'"{c.official}"'] * (c.official != c.name) + [f"aka {' '.join(c.aliases)}"] * bool(c.aliases)
            row = rows.get(i)
            own = notes(ontology, row) if row else [c.note] * bool(c.note)
            more = [f"# {esc(n)}" for n in own]
            if row:
                says = meaning_text(ontology, row)
                more.insert(0, f"<code>{esc(relation_text(row))}</code>" + f" · may be {esc(says)}" * bool(says))
            out.append(
                f"<li>{_button(f'{side}{i}', '', f'{_swatch(c, raw_values(c))} {esc(c.name)}')}"
                + (f' <span class="sub">{esc(" ".join(other))}</span>' if other else "")
                + "".join(f' <span class="says">{m}</span>' for m in more)
                + "</li>"
            )
    out += ["</ul></li>"] * depth
    return f"<div><h2>{esc(t.name)} {esc(t.version)}</h2><ul>{''.join(out)}</ul></div>"


# --- matrix -------------------------------------------------------------------------------------------


def _matrix(ontology: Ontology, all_edges: list[Edge]) -> str:
    dataset, source = ontology.dataset, ontology.source
    kinds = {(e.row, e.channel): e.kind for e in all_edges}
    side = "s" if dataset is source else "d"
    names = [*(c.name for c in source.classes), "void"]
    swatches = [*map(_swatch, source.classes), ""]
    head = [
        f'<th scope="col">{_button(f"s{k}", "", swatch + esc(name))}</th>'
        for k, (swatch, name) in enumerate(zip(swatches, names, strict=True))
    ]
    columns = list(enumerate(map(esc, names)))
    body = []
    with progress("rows of the matrix", len(dataset.classes)) as advance:
        for d, c in enumerate(dataset.classes):
            name = esc(c.name)
            opened = {k: f'<td class="k-{CLASS[k]}" title="{name} {esc(k)} ' for k in KINDS}
            closed = {k: f'">{esc(look.symbol)}</td>' for k, look in KINDS.items()}
            cells = [
                f"{opened[kind]}{column}{closed[kind]}" if (kind := kinds.get((d, k))) else "<td></td>"
                for k, column in columns
            ]
            body.append(
                f'<tr><th scope="row">{_button(f"{side}{d}", "", f"{name} {_swatch(c)}")}</th>{"".join(cells)}</tr>'
            )
            advance()
    return f"<table><thead><tr><td></td>{''.join(head)}</tr></thead><tbody>\n{chr(10).join(body)}\n</tbody></table>"
