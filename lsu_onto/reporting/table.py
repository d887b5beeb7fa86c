"""An ontology as text or JSON: S(d) per class, relations, notes and statistics."""

from __future__ import annotations

import json
import re
from itertools import zip_longest
from textwrap import wrap

from lsu_onto.ontology.model import Ontology
from lsu_onto.ontology.words import allowed_names, notes, relation_text, statistics

_NARROW = 20
"""The minimum width of a column with broken lines."""
_BEHIND_OPERATOR = re.compile("(?<=[=<>~!]) ")
_GLUE = "\0"


def as_json(ontology: Ontology, only: int | None = None) -> str:
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


def as_text(ontology: Ontology, only: int | None = None, colour: bool = False, width: int | None = None) -> str:
    """A table of S(d), or everything about one class.

    Args:
        ontology: what to show.
        only: the index of the one class.
        colour: whether `.tax` text in it has terminal colours.
        width: columns of the terminal; long cells are continued on the next line. None: every row is one line.
    """
    if colour:
        from lsu_onto.lang.highlight import highlight
    else:

        def highlight(text: str, start: int = 0, end: int | None = None) -> str:
            return text[start:end]

    rows = [r for r in ontology.rows if only in (None, r.cls)]
    names = [ontology.dataset.classes[r.cls].name for r in rows]
    texts = [relation_text(r) for r in rows]
    sets = [_set_text(allowed_names(ontology, r), whole=only is not None) for r in rows]
    w1, w2, w3 = (max(map(len, cells), default=0) for cells in (names, texts, sets))
    if width:
        room = max(width - w1 - 6, _NARROW * 5 // 2)
        w2 = min(w2, max(room - w3, room * 3 // 5))
        w3 = room - w2
    head = f"map {ontology.dataset.name} {ontology.dataset.version}"
    head += f" -> {ontology.source.name} {ontology.source.version}"
    lines = [highlight(head, len("map ")), ""]
    for row, name, text, allowed in zip(rows, names, texts, sets, strict=True):
        line = f"{name:{w1}}  {text}"  # coloured as a whole: the meaning of a word depends on what precedes it
        whole = f"{name:{w1}}  {_BEHIND_OPERATOR.sub(_GLUE, text)}"  # keep an operator with its first target
        at = w1 + 2
        lead = highlight(line, 0, at)
        for left, right in zip_longest(_wrapped(whole[at:], w2), _wrapped(allowed, w3, " "), fillvalue=""):
            start = whole.index(left, at)
            at = start + len(left)
            lines.append(f"  {lead}{highlight(line, start, at)}{' ' * (w2 - len(left))}  {right}".rstrip())
            lead = " " * (w1 + 2)
        if only is not None:
            for note in notes(ontology, row):
                lines += ["    " + highlight(n) for n in _wrapped(f"# {note}", width and width - 4, "# ")]
    if only is None:
        lines += ["", *(x for s in statistics(ontology) for x in _wrapped(s, width, "  "))]
    return "\n".join(lines)


def _set_text(allowed: list[str], whole: bool) -> str:
    short = f"{' '.join(allowed[:6])} … ({len(allowed)})"
    return f"{{{' '.join(allowed) if whole or len(allowed) <= 8 else short}}}"


def _wrapped(text: str, width: int | None, indent: str = "") -> list[str]:
    """The lines of a text, broken at blanks; one line if there is no width."""
    if not width or len(text) <= width:
        return [text]
    return wrap(text, max(width, _NARROW), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
