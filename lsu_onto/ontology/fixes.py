"""The one obvious edit of a finding on a map, or None where there is none."""

from __future__ import annotations

from collections.abc import Sequence

from lsu_onto.diagnostics import Fix
from lsu_onto.ontology.model import Decision, MapRow, Ontology, Relation, Target


def shown(t: Target) -> str:
    """A target as it is written."""
    return f"@{t.text}" if t.kind == "group" else f'"{t.text}"' if t.kind == "string" else t.text


def ignore_class(o: Ontology, index: int, separate: bool) -> Fix | None:
    """Write `-> void` after a class; in a separate map, write a row before that of the next class."""
    c = o.dataset.classes[index]
    if not separate and c.span.file != o.span.file:
        return None
    if not separate:
        return Fix("add `-> void`", c.span._replace(column=c.end, end=c.end), "  -> void")
    rows = sorted((r for r in o.rows if not r.inherited), key=lambda r: r.span)
    if not rows:
        return None
    follower = next((r for r in sorted(rows, key=lambda r: r.cls) if r.cls > index), rows[-1])
    top = follower.span._replace(column=1, end=1)
    return Fix(f"add `{c.name} -> void`", top, f"{c.name} -> void\n")


def write_instead(row: MapRow, text: str) -> Fix | None:
    """Replace the relations of a row, if they are on one line and take nothing out."""
    return None if any(r.op == "!" for r in row.relations) else write_row(row, text)


def write_row(row: MapRow, text: str, safe: bool = False) -> Fix | None:
    """Replace the relations of a row, if they are on one line. It is safe if they say the same."""
    spans = [s for r in row.relations for s in (r.span, *(t.span for t in r.targets))]
    if len({s.line for s in spans}) != 1:
        return None
    return Fix.write(text, spans[0]._replace(end=max(s.end for s in spans)), safe)


def take_away(row: MapRow, place: int, at: int) -> Fix | None:
    """Remove a target that says nothing, and its operator if it has no other; None if an empty line would remain.

    Args:
        row: the row.
        place: of the relation in it.
        at: which of its targets.
    """
    relation = row.relations[place]
    target = relation.targets[at]
    before = relation.targets[at - 1].span if at else None
    if len(relation.targets) > 1 and before is None:
        after = relation.targets[1].span
        gap = target.span._replace(end=after.column) if after.line == target.span.line else None
    elif before is None:
        before = row.relations[place - 1].targets[-1].span if place else None
        gap = before and before._replace(column=before.end, end=target.span.end)
    else:
        gap = before._replace(column=before.end, end=target.span.end)
    one_line = before is None or before.line == target.span.line
    return Fix(f"take `{shown(target)}` away", gap, "", True) if gap and one_line else None


def write_operator(relation: Relation, operator: str, target: Target) -> Fix:
    """Replace the operator of the only target by one that says the same of it."""
    place = relation.span._replace(end=relation.span.column + 1)
    return Fix(f"write `{operator} {shown(target)}`", place, operator, True)


def ignore_row(decision: Decision | None) -> Fix | None:
    """Turn a decision into `-> void`, if it is on one line. Its span starts after the arrow. It is safe if the class is
    ignored already."""
    if decision is None or any(t.span.line != decision.span.line for t in decision.minus):
        return None
    return Fix("write `-> void`", decision.span, "void", decision.to == "void")


def exclude(decision: Decision, names: Sequence[str]) -> Fix:
    """Take classes out of `-> any`."""
    end = decision.minus[-1].span if decision.minus else decision.span
    text = f"{'' if decision.minus else ' !'} {' '.join(names)}"
    return Fix(
        f"write `-> any !{' …' if decision.minus else ''} {' '.join(names)}`", end._replace(column=end.end), text
    )
