"""Headers and maps that are written backwards: what to write instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lsu_onto.diagnostics import Diagnostic, Span
from lsu_onto.lang import syntax as ast
from lsu_onto.lang.names import identifier
from lsu_onto.lang.relations import OF_SEVERAL
from lsu_onto.ontology.model import Ontology, Source
from lsu_onto.ontology.places import Places
from lsu_onto.ontology.resolve import Importer, Resolved

_LONG = 300
"""A row that is longer is shown once."""
_CONVERSE = {"<": ">", ">": "<", "=": "=", "~": "~", "!": "!"}


def exchanged_headers(
    findings: Iterable[Diagnostic], file: ast.File, resolved: Resolved, importer: Importer
) -> Iterator[tuple[int, Diagnostic]]:
    """The headers `dataset SOURCE v1 -> NAME v1`, by line."""
    unknown = {d.span for d in findings if d.code == "TAX203"}
    sources = {(t.name, t.version) for t in resolved.taxonomies if isinstance(t, Source)}
    datasets = {t.name for t in resolved.taxonomies if not isinstance(t, Source)}
    for s in file.statements:
        if not isinstance(s, ast.Header) or not s.target or s.target.name.span not in unknown:
            continue
        left, right = ((t.name.text, t.version.text) for t in (s.taxon, s.target))
        if left in sources or importer.taxonomy("source", s.taxon)[0]:
            written = f"{s.kind} {' '.join(right)} -> {' '.join(left)}"
            help_ = f"`{left[0]}` is a source, which stands behind the arrow: write `{written}`"
            yield s.span.line, Diagnostic("TAX203", f"there is no source `{right[0]}`", s.target.name.span, help_)
        elif right[0] in datasets or importer.taxonomy("dataset", s.target)[0]:
            help_ = f"`{right[0]}` is a dataset; `lsu-onto list` shows the sources"
            yield s.span.line, Diagnostic("TAX203", f"there is no source `{right[0]}`", s.target.name.span, help_)


def _relation(by_operator: dict[str, dict[str, None]]) -> tuple[str, str]:
    """The relation that follows from rows written backwards, and another where they leave two open: `=` and `<` have
    one target."""
    names = dict.fromkeys(n for op, ns in by_operator.items() if op != "!" for n in ns)
    if len(names) < 2 or by_operator.keys().isdisjoint("=<"):
        return " ".join(f"{op} {' '.join(ns)}" for op, ns in by_operator.items()), ""
    removed = [n for n in by_operator.get("!", ()) if n not in names]
    listed = " ".join([*names, *(["!", *removed] if removed else [])])
    return (f"> {listed}", f"~ {listed}") if "=" in by_operator else (f"~ {listed}", f"> {listed}")


def backward_rows(file: ast.File, places: Places) -> Iterator[tuple[Span, str]]:
    """The rows that say of a class of the source what it is in the dataset, and what to write instead."""
    rows: list[tuple[ast.Row, Ontology, str]] = []
    parts: dict[tuple[int, str], dict[str, dict[str, None]]] = {}
    for s in file.statements:
        o = places.of(s.span.line).map if isinstance(s, ast.Row) else None
        if not isinstance(s, ast.Row) or o is None:
            continue
        ours, theirs = o.dataset.by_any_name, o.source.by_any_name
        own = o.span == o.dataset.span and o.dataset.span.file == o.span.file
        targets = [(r.op, t.text) for r in s.relations for t in r.targets if t.kind in ("name", "string")]
        named = [(op, text) for op, text in targets if text in ours or (own and text not in theirs)]
        if s.target.text in theirs and s.target.text not in ours and named:
            source = o.source.classes[theirs[s.target.text]].name
            for op, text in named:
                cls = o.dataset.classes[ours[text]].name if text in ours else identifier(text)
                by_operator = parts.setdefault((o.span.line, cls), {})
                by_operator.setdefault(_CONVERSE[op], {})[source] = None
            first = named[0][1]
            rows.append((s, o, o.dataset.classes[ours[first]].name if first in ours else identifier(first)))
    shown: dict[tuple[int, str], int] = {}
    for s, o, cls in rows:
        by_operator = parts[o.span.line, cls]
        several = sum(len(n) for n in by_operator.values()) > 1
        relation, other = _relation(by_operator)
        choice = ""
        if other:
            first, second = OF_SEVERAL if relation[0] == "~" else OF_SEVERAL[::-1]
            choice = f" {first}, `{cls} {other}` {second}"
        only = list(by_operator.get(">", ()))
        line = shown.setdefault((o.span.line, cls), s.span.line)
        if line != s.span.line and len(relation) > _LONG:
            yield s.span, f"it belongs to the row of `{cls}` that line {line} is about"
            continue
        help_ = f"`{s.target.text}` is a class of `{o.source.name}`: "
        if len(by_operator) == 1 and len(only) == 1:
            relation = f"> {only[0]} void"
        own = o.span == o.dataset.span and o.dataset.span.file == o.span.file
        if own and cls in o.dataset.by_name:
            declared = o.dataset.classes[o.dataset.by_name[cls]].span.line
            help_ += f"write `{relation}` behind `{cls}` in line {declared}, and take this line out"
        elif own:
            help_ += f"write `4 {cls} {relation}` with the number that label files store"
        else:
            help_ += f"write `{cls} {relation}`"
            help_ += choice + (", one row for all of them" if several else "")
        if relation.endswith(" void"):
            help_ += f"; `= {only[0]}` if `{cls}` is nothing else"
        yield s.span, help_
