"""Who says what a row says, how sure they are, and how they came to it: data in the notes of a map.

`# by: Ada, orcid:0000-0001-2345-6789; conf: 0.8; with its kerbs` names two authors and a confidence; the rest is a note
like any other. SSSOM has the same three facts about a mapping.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from lsu_onto.diagnostics import Diagnostic, Span, suggest
from lsu_onto.ontology.model import MapRow, Ontology

MANUAL = "ManualMappingCuration"
"""How a row came about that says nothing of it: somebody wrote it."""

JUSTIFICATIONS = (
    MANUAL,
    "MappingReview",
    "LexicalMatching",
    "LexicalSimilarityThresholdMatching",
    "SemanticSimilarityThresholdMatching",
    "StructuralMatching",
    "InstanceBasedMatching",
    "BackgroundKnowledgeBasedMatching",
    "LogicalReasoning",
    "MappingChaining",
    "MappingInversion",
    "CompositeMatching",
    "UnspecifiedMatching",
)
"""The terms of SSSOM's vocabulary (semapv) for how a mapping came about."""

_FIELD = re.compile(r"(by|conf|how):\s*(.*)")
_LIKE_FIELD = re.compile(r"(\w+)\s*[:=]\s*(.*)")
_OTHERS_WRITE = {
    **dict.fromkeys(("by", "author", "authors", "creator", "author_id", "author_label"), "by"),
    **dict.fromkeys(("conf", "confidence"), "conf"),
    **dict.fromkeys(("how", "justification", "mapping_justification"), "how"),
}
"""What is written for a field and is none: the words of SSSOM, or capitals."""
_NUMBER = re.compile(r"[01]|[01]?\.\d+")


@dataclass(frozen=True)
class Provenance:
    """What the notes of a row say of it.

    Attributes:
        authors: names, or identifiers such as `orcid:…`. confidence: 0..1, or None. how: one of `JUSTIFICATIONS`.
        remarks: the notes without these data.
    """

    authors: tuple[str, ...] = ()
    confidence: float | None = None
    how: str = MANUAL
    remarks: tuple[str, ...] = ()

    def in_words(self) -> str:
        """On one line; empty if nothing is known.

        >>> Provenance(("Ada", "Bob"), 0.8).in_words(), Provenance().in_words()
        ('by Ada, Bob; confidence 0.8', '')
        """
        parts = [
            f"by {', '.join(self.authors)}" if self.authors else "",
            "" if self.confidence is None else f"confidence {in_digits(self.confidence)}",
            "" if self.how == MANUAL else self.how,
        ]
        return "; ".join(filter(None, parts))


def in_digits(confidence: float) -> str:
    """A confidence as a note has it, without an exponent.

    >>> in_digits(1.0), in_digits(0.85), in_digits(0.00002)
    ('1', '0.85', '0.00002')
    """
    return f"{Decimal(f'{confidence:g}'):f}"


def provenance(notes: Iterable[str]) -> Provenance:
    """The data in some notes; what cannot be read is a remark.

    >>> provenance(["by: Ada; conf: 0.8; with kerbs", "unverified"])
    Provenance(authors=('Ada',), confidence=0.8, how='ManualMappingCuration', remarks=('with kerbs', 'unverified'))
    """
    authors: dict[str, None] = {}
    confidence: float | None = None
    how = MANUAL
    remarks = []
    for note in notes:
        rest = []
        for part in note.split(";"):
            field = _FIELD.fullmatch(part.strip())
            if field is None or _problem(field[1], field[2]):
                rest.append(part.strip())
            elif field[1] == "by":
                authors |= dict.fromkeys(name.strip() for name in field[2].split(",") if name.strip())
            elif field[1] == "conf":
                confidence = float(field[2])
            else:
                how = field[2]
        if remark := "; ".join(filter(None, rest)):
            remarks.append(remark)
    return Provenance(tuple(authors), confidence, how, tuple(remarks))


def as_note(p: Provenance) -> str:
    """The note that says it, without the remarks; empty if there is nothing to say."""
    parts = [
        f"by: {', '.join(p.authors)}" if p.authors else "",
        "" if p.confidence is None else f"conf: {in_digits(p.confidence)}",
        "" if p.how == MANUAL else f"how: {p.how}",
    ]
    return "; ".join(filter(None, parts))


def unreadable(o: Ontology) -> Iterator[Diagnostic]:
    """Data in notes that are not as they have to be, and would count as words, or that the row has twice."""
    for row in o.rows:
        if row.inherited:
            continue
        seen: set[str] = set()
        for note, span in _notes(row):
            for part in note.split(";"):
                field = _FIELD.fullmatch(part.strip())
                if not field:
                    like = _LIKE_FIELD.fullmatch(part.strip())
                    if like and (key := _OTHERS_WRITE.get(like[1].lower())):
                        what = f"`{part.strip()}` is read as a remark"
                        yield Diagnostic("TAX313", what, span, f"write `{key}: {like[2]}`")
                    continue
                problem = _problem(field[1], field[2])
                if not problem and field[1] != "by" and field[1] in seen:
                    problem = (
                        f"is the second `{field[1]}:` of the row, and only the last one counts",
                        "take one of them out",
                    )
                seen.add(field[1])
                if problem:
                    yield Diagnostic("TAX313", f"`{part.strip()}` {problem[0]}", span, problem[1])


def _notes(row: MapRow) -> Iterator[tuple[str, Span]]:
    yield row.note, row.span
    yield from ((r.note, r.span) for r in row.relations)
    if row.decision:
        yield row.decision.note, row.decision.span


def _problem(key: str, value: str) -> tuple[str, str] | None:
    """What is wrong with a value, and what to do."""
    if key == "conf" and not (_NUMBER.fullmatch(value) and float(value) <= 1):
        return "is no confidence", "write a number from 0 to 1: `conf: 0.8`"
    if key == "how" and value not in JUSTIFICATIONS:
        close = suggest(value.removeprefix("semapv:"), JUSTIFICATIONS, f"write one of {', '.join(JUSTIFICATIONS)}")
        return "is no term of SSSOM for how a mapping came about", str(close)
    if key == "by" and not value.strip(" ,"):
        return "names nobody", "write a name or an identifier: `by: orcid:0000-0001-2345-6789`; or leave it out"
    return None
