"""Notes that are data, as an editor proposes and explains them: `by:`, `conf:` and `how:` of a row, and `allow:`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Literal

from lsu_onto.diagnostics import RULES
from lsu_onto.library.pipe import Analysis
from lsu_onto.lsp import words
from lsu_onto.ontology.provenance import provenance
from lsu_onto.ontology.words import notes

Proposal = tuple[str, Literal["key", "value", "code"], str, str, str]
"""Text, kind, detail and note of an item, and what of it is typed already."""

_NOTE = re.compile(r"#(?:[ \t]+|$)")
_FIELD = re.compile(r"(?<![\w-])(by|conf|how|allow):[ \t]*([^;#]*)")


def note_at(line: str) -> int | None:
    """Where the note of a line begins, as an index; what is between quotes is none."""
    found = _NOTE.search(re.sub(r'"[^"]*"', lambda m: "_" * len(m[0]), line))
    return found.end() if found else None


def proposals(analysis: Analysis, line: int, note: str, of_row: bool) -> Iterator[Proposal]:
    """What may stand at the end of a note.

    Args:
        line: its line. note: up to the cursor. of_row: whether it belongs to the row of a map.
    """
    part = note.rpartition(";")[2].lstrip()
    typed = re.split(r"[\s,:]", part)[-1]
    if re.search(r"\ballow:[\sTAX\d,]*$", note):
        here = {d.code for d in analysis.diagnostics if d.span.line == line}
        rules = [r for r in RULES.values() if r.severity != "error"]
        for r in sorted(rules, key=lambda r: r.code not in here):
            yield r.code, "code", r.title, r.why, typed
    elif of_row and re.fullmatch(r"how:[ \t]*\w*", part):
        yield from ((word, "value", about, "", typed) for word, about in words.JUSTIFICATIONS.items())
    elif of_row and re.fullmatch(r"by:([^,]*,)*[ \t]*[^,]*", part):
        *earlier, typed = (name.strip() for name in part.removeprefix("by:").split(","))
        for author, rows in _authors(analysis).most_common():
            if author not in earlier:
                yield author, "value", f"{rows} row{'s' * (rows > 1)} of this file", "", typed
    elif re.fullmatch(r"\w*", part):
        for field in words.NOTES if of_row else ("allow",):
            if not re.search(rf"(?<![\w-]){field}:", note):
                yield f"{field}:", "key", words.NOTES[field], "", typed


def _authors(analysis: Analysis) -> Counter[str]:
    """Who is named in the rows of a file, and in how many."""
    rows = [(o, row) for o in analysis.resolved.ontologies for row in o.rows if not row.inherited]
    return Counter(author for o, row in rows for author in provenance(notes(o, row)).authors)


def data_at(line: str, column: int) -> tuple[int, int, str] | None:
    """The columns of the data under the cursor, and what they mean; None if there are none."""
    begins = note_at(line)
    for m in _FIELD.finditer(line, begins) if begins is not None else ():
        end = m.start() + len(m[0].rstrip()) + 1
        if m.start() < column <= end:
            about = f"`{m[1]}:` {words.NOTES[m[1]]}"
            value = m[2].strip()
            if m[1] == "how" and value in words.JUSTIFICATIONS:
                about += f"\n\n`{value}`: {words.JUSTIFICATIONS[value]}"
            return m.start() + 1, end, about
    return None
