"""An ontology as text or JSON: S(d) per class, relations, notes and statistics."""

from __future__ import annotations

import json

from lsu_onto.fixes import shown
from lsu_onto.model import MapRow, Ontology


def relation_text(row: MapRow) -> str:
    """The relations as one would write them on one line."""
    if row.decision:
        minus = " ! " + " ".join(map(shown, row.decision.minus)) if row.decision.minus else ""
        return f"-> {row.decision.to}{minus}"
    return " ".join(f"{r.op} {' '.join(map(shown, r.targets))}" for r in row.relations)


def allowed_names(ontology: Ontology, row: MapRow) -> list[str]:
    """S(d) in channel order, `void` last."""
    meaning = row.meaning(len(ontology.source.classes))
    names = [ontology.source.classes[c].name for c in sorted(meaning.channels)]
    return names + ["void"] * meaning.void


def notes(ontology: Ontology, row: MapRow) -> list[str]:
    own = [
        ontology.dataset.classes[row.cls].note,
        row.note if row.span.file != ontology.dataset.span.file else "",
    ]
    found = [*own, *(r.note for r in row.relations), row.decision.note if row.decision else ""]
    return list(dict.fromkeys(n for n in found if n))


def as_json(ontology: Ontology, only: int | None = None, colour: bool = False) -> str:
    """The same facts for machines, in a versioned envelope."""
    classes = [
        {
            "name": ontology.dataset.classes[r.cls].name,
            "relation": relation_text(r),
            "allowed": allowed_names(ontology, r),
            "notes": notes(ontology, r),
        }
        for r in ontology.rows
        if only in (None, r.cls)
    ]
    head = {
        "dataset": f"{ontology.dataset.name} {ontology.dataset.version}",
        "source": f"{ontology.source.name} {ontology.source.version}",
    }
    return json.dumps({"version": 1, **head, "classes": classes}, indent=2)


def as_text(ontology: Ontology, only: int | None = None, colour: bool = False) -> str:
    """A table of S(d), or everything about one class; what is `.tax` in it may be coloured."""
    if colour:
        from lsu_onto.lang.highlight import highlight
    else:

        def highlight(text: str, start: int = 0, end: int | None = None) -> str:
            return text[start:end]

    rows = [r for r in ontology.rows if only in (None, r.cls)]
    names = [ontology.dataset.classes[r.cls].name for r in rows]
    texts = [relation_text(r) for r in rows]
    w1, w2 = max(map(len, names), default=0), max(map(len, texts), default=0)
    head = f"map {ontology.dataset.name} {ontology.dataset.version}"
    head += f" -> {ontology.source.name} {ontology.source.version}"
    lines = [highlight(head, len("map ")), ""]
    for row, name, text in zip(rows, names, texts, strict=True):
        allowed = allowed_names(ontology, row)
        shown = (
            " ".join(allowed)
            if len(allowed) <= 8 or only is not None
            else f"{' '.join(allowed[:6])} … ({len(allowed)})"
        )
        lines.append(f"  {highlight(f'{name:{w1}}  {text:{w2}}')}  {{{shown}}}")
        if only is not None:
            lines += ["    " + highlight(f"# {n}") for n in notes(ontology, row)]
    if only is None:
        lines += ["", *statistics(ontology)]
    return "\n".join(lines)


def statistics(ontology: Ontology) -> list[str]:
    total = len(ontology.source.classes)
    meanings = [r.meaning(total) for r in ontology.rows]
    sizes = [len(m.channels) + m.void for m in meanings]
    missing = set(range(total)) - {c for m in meanings for c in m.channels}
    names = " ".join(ontology.source.classes[c].name for c in sorted(missing))
    return [
        f"{len(sizes)} classes: {sum(s == 1 for s in sizes)} certain, {sum(s > 1 for s in sizes)} left to the teacher,"
        f" {sum(m.void for m in meanings)} may be void",
        f"{total - len(missing)} of {total} source classes reached" + (f"; not {names}" if missing else ""),
    ]
