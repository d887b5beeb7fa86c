"""An ontology as text or JSON: S(d) per class, relations, notes and statistics; a source as a list of its classes."""

from __future__ import annotations

import json
import re
from itertools import zip_longest
from textwrap import wrap
from typing import Any

from lsu_onto.ontology.model import Ontology, TaxClass
from lsu_onto.ontology.provenance import Provenance, provenance
from lsu_onto.ontology.words import allowed_names, notes, relation_text, statistics

_NARROW = 20
"""The minimum width of a column with broken lines."""
_BEHIND_OPERATOR = re.compile("(?<=[=<>~!]) ")
_GLUE = "\0"


def as_json(ontology: Ontology, only: int | None = None) -> str:
    """The same facts for machines, in a versioned envelope; classes of a source also have their channel and colour."""
    is_source = ontology.dataset is ontology.source
    classes = [
        {
            "name": ontology.dataset.classes[r.cls].name,
            "relation": relation_text(r),
            "allowed": allowed_names(ontology, r),
            "notes": notes(ontology, r),
            **_origin(provenance(notes(ontology, r))),
            **(_of_source(r.cls, ontology.source.classes[r.cls]) if is_source else {}),
        }
        for r in ontology.rows
        if only in (None, r.cls)
    ]
    head = {
        "dataset": f"{ontology.dataset.name} {ontology.dataset.version}",
        "source": f"{ontology.source.name} {ontology.source.version}",
    }
    return json.dumps({"version": 1, **head, "classes": classes}, indent=2)


def _origin(p: Provenance) -> dict[str, Any]:
    return {"authors": list(p.authors), "confidence": p.confidence, "justification": p.how}


def _of_source(channel: int, c: TaxClass) -> dict[str, Any]:
    return {
        "channel": channel,
        "group": c.group or None,
        "colour": _hexa(c) or None,
        "official": c.official,
        "aliases": list(c.aliases),
    }


def _hexa(c: TaxClass) -> str:
    return f"#{c.colours[0]:06x}" if c.colours else ""


def as_text(ontology: Ontology, only: int | None = None, colour: bool = False, width: int | None = None) -> str:
    """A table of S(d), or everything about one class. Of a source: its classes, whose S(d) would say nothing.

    Args:
        ontology: what to show.
        only: the index of the one class.
        colour: whether `.tax` text in it has terminal colours.
        width: columns of the terminal; long cells are continued on the next line. None: every row is one line.
    """
    if ontology.dataset is ontology.source:
        return _class_list(ontology, only, colour, width)
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
            origin = provenance(notes(ontology, row))
            if origin.in_words():
                lines += [f"    {line}" for line in _wrapped(origin.in_words(), width and width - 4)]
            for note in origin.remarks:
                lines += ["    " + highlight(n) for n in _wrapped(f"# {note}", width and width - 4, "# ")]
    if only is None:
        lines += ["", *(x for s in statistics(ontology) for x in _wrapped(s, width, "  "))]
    return "\n".join(lines)


def _class_list(ontology: Ontology, only: int | None, colour: bool, width: int | None) -> str:
    """Channel, name, group, colour and note of the classes of a source; of one class, its other names, too."""
    source = ontology.source
    shown = [(k, c) for k, c in enumerate(source.classes) if only in (None, k)]
    w1, w2, w3 = (max(map(len, cells), default=0) for cells in zip(*(_cells(k, c) for k, c in shown), strict=True))
    lines = [f"source {source.name} {source.version}", ""]
    for k, c in shown:
        channel, name, group = _cells(k, c)
        lead = f"  {channel:>{w1}}  {name:{w2}}  {group:{w3}}  "
        code, at = _hexa(c) or " " * 7, len(lead) + 9
        if colour and c.rgb:
            code = _painted(code, *c.rgb)
        first, *rest = _wrapped(f"# {c.note}" if c.note else "", width and width - at, "# ")
        lines.append(f"{lead}{code}  {first}".rstrip())
        lines += [" " * at + text for text in rest]
        if only is not None:
            others = [*([c.official] if c.official != c.name else []), *c.aliases]
            lines += [f"    also {', '.join(f'`{o}`' for o in others)}"] if others else []
    if only is None:
        lines += ["", f"{len(shown)} classes"]
    return "\n".join(lines)


def _painted(code: str, r: int, g: int, b: int) -> str:
    """The code of a colour on a ground of this colour, for a terminal."""
    ink = 30 if 299 * r + 587 * g + 114 * b > 128_000 else 97
    return f"\x1b[{ink};48;2;{r};{g};{b}m{code}\x1b[0m"


def _cells(channel: int, c: TaxClass) -> tuple[str, str, str]:
    return str(channel), c.name, f"[{c.group}]" if c.group else ""


def _set_text(allowed: list[str], whole: bool) -> str:
    short = f"{' '.join(allowed[:6])} … ({len(allowed)})"
    return f"{{{' '.join(allowed) if whole or len(allowed) <= 8 else short}}}"


def _wrapped(text: str, width: int | None, indent: str = "") -> list[str]:
    """The lines of a text, broken at blanks; one line if there is no width."""
    if not text or not width or len(text) <= width:
        return [text]
    return wrap(text, max(width, _NARROW), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
