"""An ontology in words: relations, allowed sets, notes and statistics for people."""

from __future__ import annotations

from lsu_onto.ontology.fixes import shown
from lsu_onto.ontology.model import MapRow, Ontology


def relation_text(row: MapRow) -> str:
    """The relations of a row, written on one line."""
    if row.decision:
        minus = " ! " + " ".join(map(shown, row.decision.minus)) if row.decision.minus else ""
        return f"-> {row.decision.to}{minus}"
    return " ".join(f"{r.op} {' '.join(map(shown, r.targets))}" for r in row.relations)


def allowed_names(ontology: Ontology, row: MapRow) -> list[str]:
    """S(d) in channel order, `void` last."""
    meaning = row.meaning(len(ontology.source.classes))
    names = [ontology.source.classes[c].name for c in sorted(meaning.channels)]
    return names + ["void"] * meaning.void


def meaning_text(ontology: Ontology, row: MapRow) -> str:
    """S(d) in the fewest words; empty if the relations already read like S(d)."""
    names = allowed_names(ontology, row)
    allowed = set(names)
    if allowed <= set(relation_text(row).split()):
        return ""
    rest = [n for n in (*ontology.source.by_name, "void") if n not in allowed]
    if len(rest) >= len(names):
        return " ".join(names)
    return f"everything but {' '.join(rest)}" if rest else "everything"


def notes(ontology: Ontology, row: MapRow) -> list[str]:
    own = [
        ontology.dataset.classes[row.cls].note,
        row.note if row.span.file != ontology.dataset.span.file else "",
    ]
    texts = [*own, *(r.note for r in row.relations), row.decision.note if row.decision else ""]
    return list(dict.fromkeys(n for n in texts if n))


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
