"""An ontology as a Markdown page: a table of classes with colour, S(d) and notes."""

from __future__ import annotations

from lsu_onto.exchange.to_csv import ids
from lsu_onto.ontology.model import Ontology
from lsu_onto.ontology.words import allowed_names, notes, relation_text


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _code(text: str) -> str:
    escaped = text.replace("|", "\\|")
    return f"`{escaped}`" if text else ""


def dump(ontology: Ontology) -> str:
    d, s = ontology.dataset, ontology.source
    total = len(s.classes)
    reached = {c for r in ontology.rows for c in r.meaning(total).channels}
    lines = [f"# {d.name} {d.version} → {s.name} {s.version}", ""]
    if d.meta.get("title"):
        lines += [_cell(d.meta["title"]), ""]
    lines += [
        f"{len(ontology.rows)} classes, related to the {total} classes of `{s.name}`."
        f" `encoding: {d.encoding}`" + (f", not annotated: {_void(ontology)}." if d.void else "."),
        "",
        "| id | class | colour | group | relation | may be | notes |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in ontology.rows:
        c = d.classes[row.cls]
        name = _code(c.name) + (f" ({_cell(c.official)})" if c.official != c.name else "")
        if c.aliases:
            name += f", also {_cell(', '.join(c.aliases))}"
        allowed = allowed_names(ontology, row)
        shown = "anything" if len(allowed) == total + 1 else ", ".join(allowed)
        colours = " ".join(_code(f"#{x:06x}") for x in c.colours)
        cells = [
            ids(c.ids),
            name,
            colours,
            _cell(c.group),
            _code(relation_text(row)),
            shown,
            _cell("; ".join(notes(ontology, row))),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    missing = [c.name for i, c in enumerate(s.classes) if i not in reached]
    if missing:
        lines += ["", f"Not reached: {', '.join(_code(m) for m in missing)}."]
    return "\n".join(lines) + "\n"


def _void(ontology: Ontology) -> str:
    d = ontology.dataset
    return ", ".join(f"`#{v:06x}`" if d.encoding == "rgb" else f"{v}" for v in d.void)
