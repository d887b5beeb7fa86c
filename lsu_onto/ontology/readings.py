"""Readings of lines with the names of classes in place of what stands for them."""

from __future__ import annotations

import re
from typing import NamedTuple

from lsu_onto.diagnostics import Span
from lsu_onto.lang import fastpath
from lsu_onto.lang import syntax as ast
from lsu_onto.ontology.model import Ontology, Taxonomy
from lsu_onto.ontology.unknown import intended_class, unknown_group


def words_of(text: str) -> list[str]:
    """The words of a text without its note."""
    from lsu_onto.lang.tokens import tokens

    return [t.text for t in tokens(re.sub(r"\s+#\s.*", "", text)) if t.kind != "mark"]


def all_known(words: list[str], o: Ontology) -> bool:
    """Whether all words may be targets of relations to the source."""
    return all(w in o.source.by_any_name or w in ("void", "any") for w in words)


def values_in_words(reading: ast.Reading, o: Ontology) -> str:
    """The classes that numbers and colours in place of names stand for, in words."""
    statement = fastpath.statement("", 1, [reading.text])
    if not isinstance(statement, (ast.Row, ast.ClassLine)):
        return ""
    targets = [t.text for r in statement.relations for t in r.targets if t.kind == "string"]
    words = [(text, "channel", intended_class(text, o.source)) for text in targets]
    if isinstance(statement, ast.Row) and statement.target.kind == "string":
        words.insert(0, (statement.target.text, "id", intended_class(statement.target.text, o.dataset)))
    named = [(text, kind, hit[0]) for text, kind, hit in words if hit and re.fullmatch(r"\d+|#\w+", text)]
    return ", ".join(f"{'colour' if text[0] == '#' else kind} {text} is `{name}`" for text, kind, name in named)


class Unknown(NamedTuple):
    """A name that stands for no class, and what has none."""

    text: str
    taxonomy: Taxonomy


def named_reading(reading: ast.Reading, o: Ontology) -> ast.Reading | Unknown:
    """A reading with the names of classes in place of what stands for them."""
    text = _with_names(reading.text, o)
    if isinstance(text, Unknown):
        return text
    choices: list[tuple[str, str]] = []
    for relation, when in reading.choices:
        named = _with_names(f"x {relation}", o, row=False)
        if isinstance(named, Unknown):
            return named
        choices.append((named[2:], when))
    return _of_groups(reading._replace(text=text, choices=tuple(choices)), o)


def _of_groups(reading: ast.Reading, o: Ontology) -> ast.Reading:
    """Choices for `= @group` and `< @group`, which several classes cannot have."""
    found = re.search(r"(?<=\s)[=<] (@[\w.]+)(?=\s+#\s|$)", reading.text)
    if not found or len(o.source.group(found[1][1:])) < 2:
        return reading
    weaker = re.fullmatch(rf"([>~]) {re.escape(found[1])} void", reading.choices[1][0]) if reading.choices else None
    if weaker:  # it was typed with this operator, which is right for several
        relation = f"{weaker[1]} {found[1]}"
        return reading._replace(text=reading.text.replace(found[0], relation, 1), choices=())
    choices = (f"~ {found[1]}", "if it overlaps them"), (f"> {found[1]}", "if they make up all of it")
    return reading._replace(text=reading.text.replace(found[0], choices[0][0], 1), choices=choices)


def _with_names(text: str, o: Ontology, row: bool = True) -> str | Unknown:
    from lsu_onto.lang.relations import IGNORED

    line = text.lstrip()
    continues = line[:1] in "=<>~!-" and not line.startswith("- ")
    statement = fastpath.statement("", 1, [f"x {line}" if continues else text])
    if not isinstance(statement, (ast.Row, ast.ClassLine)):
        return text
    shift = len(text) - len(line) - 2 if continues else 0
    edits: list[tuple[Span, str]] = []
    targets = [t for r in statement.relations for t in r.targets]
    targets += statement.decision.minus if statement.decision else ()
    wanted: list[tuple[ast.Target, Taxonomy]] = [(t, o.source) for t in targets]
    if isinstance(statement, ast.Row) and row and not continues:
        wanted.append((statement.target, o.dataset))
    for t, taxonomy in wanted:
        if t.kind == "group" and not taxonomy.group(t.text):
            instead = unknown_group(t, o.source).fix
            if instead is None:
                return Unknown(f"@{t.text}", taxonomy)
            edits.append((t.span, instead.text))
        if t.kind not in ("name", "string") or t.text in taxonomy.by_name:
            continue
        if t.text in taxonomy.by_other_name:
            edits.append((t.span, taxonomy.classes[taxonomy.by_other_name[t.text]].name))
            continue
        hit = intended_class(t.text, taxonomy) or (
            ("void", "") if t.text.lower() in IGNORED and taxonomy is o.source else None
        )
        if hit is None or (taxonomy is o.dataset and hit[0].startswith("@")):
            return Unknown(t.text, taxonomy)
        edits.append((t.span, hit[0]))
    for span, name in sorted(edits, reverse=True):
        text = text[: span.column - 1 + shift] + name + text[span.end - 1 + shift :]
    return text
