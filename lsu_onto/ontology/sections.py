"""Statements → sections: which statements belong to which header, and which do not fit there."""

from __future__ import annotations

from dataclasses import dataclass, field

from lsu_onto.diagnostics import Diagnostic, Fix, Span, did_you_mean
from lsu_onto.lang import syntax as ast
from lsu_onto.ontology.keys import KEYS

_HEADERS = ("source", "dataset", "map")


@dataclass
class Section:
    """A header and the statements below it."""

    header: ast.Header
    statements: list[ast.Statement] = field(default_factory=list)
    reported: set[str] = field(default_factory=set)
    """Messages that are given once, because they hold for all lines of the section."""
    damaged: bool = False
    """A line could not be read or did not fit, so a missing name may not be a further mistake."""


def split(file: ast.File, damaged: frozenset[int]) -> tuple[list[Section], list[Diagnostic]]:
    """The sections of a file, and the findings on misplaced statements.

    Args:
        file: the syntax tree.
        damaged: lines that could not be read.
    """
    splitter = _Splitter(file, damaged)
    sections = splitter.sections()
    if not sections and not damaged and not splitter.findings:
        last = file.statements[-1].span if file.statements else Span(file.path, 1, 1, 2)
        splitter.error(
            "TAX013",
            "the file declares nothing",
            last,
            "write `source NAME v1`, `dataset NAME v1 -> SOURCE v1` or `map NAME v1 -> SOURCE v1`",
        )
    ends = [s.header.span.line for s in sections[1:]] + [1 << 60] * bool(sections)
    for section, end in zip(sections, ends, strict=True):
        section.damaged |= any(section.header.span.line < n < end for n in damaged)
    return sections, splitter.findings


class _Splitter:
    def __init__(self, file: ast.File, damaged: frozenset[int]) -> None:
        self.file = file
        self.damaged = damaged
        self.findings: list[Diagnostic] = []

    def error(self, code: str, message: str, span: Span, help: str | None = None, fix: Fix | None = None) -> None:
        self.findings.append(Diagnostic(code, message, span, help, fix=fix))

    def sections(self) -> list[Section]:
        sections: list[Section] = []
        orphans = self.orphans()
        editions = 0
        for s in self.file.statements:
            if s.span.line in orphans:
                continue
            if isinstance(s, ast.Header):
                sections.append(Section(s))
            elif isinstance(s, ast.Edition):
                if sections or editions:
                    self.error("TAX011", "`tax` stands once, on the first line", s.span)
                editions += 1
            elif isinstance(s, ast.Comment):
                continue
            elif not sections:
                if not self.damaged:
                    self.error(
                        "TAX011",
                        "this stands before any header",
                        s.span,
                        "write `source NAME v1`, `dataset NAME v1 -> SOURCE v1` or `map …` above it",
                    )
            elif self.fits(s, sections[-1]):
                sections[-1].statements.append(s)
            else:
                sections[-1].damaged = True
        return sections

    def orphans(self) -> set[int]:
        """Lines below a header that could not be read: their section is unknown."""
        lines = self.file.text.split("\n")
        out: set[int] = set()
        headers = [s.span.line for s in self.file.statements if isinstance(s, ast.Header)]
        for broken in self.damaged:
            word = lines[broken - 1].split(maxsplit=1)[:1] if broken <= len(lines) else []
            if word and (word[0] in _HEADERS or did_you_mean(word[0], _HEADERS)):
                end = min((h for h in headers if h > broken), default=len(lines) + 1)
                out |= set(range(broken + 1, end))
        return out

    def fits(self, s: ast.Statement, section: Section) -> bool:
        header = section.header
        where = f"a `{header.kind}` section"
        taxon = f"{header.taxon.name.text} {header.taxon.version.text}"

        def once(message: str, span: Span, help: str, fix: Fix | None = None) -> None:
            if message not in section.reported:
                self.error("TAX011", message, span, help, fix)
            section.reported.add(message)

        if isinstance(s, ast.Row) and header.kind != "map":
            key = f"a key ends with a colon: `{s.target.text}: …`"
            self.error(
                "TAX011",
                f"a class line in {where} starts with its id",
                s.span,
                key
                if s.target.text in KEYS
                else f"write the number that label files store, e.g."
                f" `4 {s.target.text} …`; `-` only if the class is never drawn",
            )
        elif isinstance(s, ast.ClassLine) and header.kind == "map":
            ids = s.ids[0].span._replace(end=s.span.column) if s.ids and s.end == s.span.end else None
            once(
                "a row of a map names a class and has no id",
                s.span,
                f"start the line with `{s.name.text}`, or write `dataset {taxon} -> …` above to declare classes",
                Fix("take the id away", ids, "") if ids else None,
            )
        elif isinstance(s, ast.ClassLine) and not header.target and (s.relations or s.decision):
            place = (s.relations[0] if s.relations else s.decision).span  # type: ignore[union-attr]
            hint = f"write `dataset {taxon} -> SOURCE v1` in line {header.span.line}"
            if header.kind == "source":
                hint = f"take them out, or {hint} if these are a dataset's classes"
            else:
                hint += "; `lsu-onto list` shows the sources"
            once(f"relations in {where} that names no source", place, hint)
            return True
        elif isinstance(s, ast.Extends) and header.kind == "source":
            once("a source builds on nothing", s.span, "list its classes, or write `dataset` above")
        elif isinstance(s, (ast.Group, ast.Extends)) and header.kind == "map":
            once(
                f"a {'group' if isinstance(s, ast.Group) else 'base'} does not belong in a map",
                s.span,
                f"take it out, or write `dataset {taxon} -> …` above to declare classes",
            )
        else:
            return True
        return False
