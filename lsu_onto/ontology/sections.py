"""Statements → sections: which statements belong to which header, and which do not fit there."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from lsu_onto.diagnostics import Diagnostic, Fix, Span, did_you_mean
from lsu_onto.lang import syntax as ast
from lsu_onto.ontology.keys import FOREIGN, KEYS, class_in, is_key, meaning

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


def _header_for(statements: Sequence[ast.Statement]) -> str:
    """What to write above statements without a header."""
    lines = [s for s in statements if isinstance(s, (ast.ClassLine, ast.Row))]
    if lines and all(isinstance(s, ast.Row) for s in lines):
        return "write `map DATASET v1 -> SOURCE v1`"
    if any(isinstance(s, ast.ClassLine) and (s.relations or s.decision) for s in lines):
        return "write `dataset NAME v1 -> SOURCE v1`, with the source of the relations,"
    return "write `dataset NAME v1`, or `source NAME v1` if these are the classes of a model,"


class _Splitter:
    def __init__(self, file: ast.File, damaged: frozenset[int]) -> None:
        self.file = file
        self.damaged = damaged
        self.lines = file.text.split("\n")
        self.findings: list[Diagnostic] = []
        self.quiet: set[int] = set()
        """Rows outside of maps that one finding is about."""

    def error(self, code: str, message: str, span: Span, help: str | None = None, fix: Fix | None = None) -> None:
        self.findings.append(Diagnostic(code, message, span, help, fix=fix))

    def sections(self) -> list[Section]:
        sections: list[Section] = []
        orphans = self.orphans()
        before_headers: list[ast.Statement] = []
        editions = 0
        for s in self.statements(orphans):
            if isinstance(s, ast.Header):
                sections.append(Section(s))
            elif isinstance(s, ast.Edition):
                if sections or editions:
                    self.error("TAX011", "`tax` stands once, on the first line", s.span)
                editions += 1
            elif isinstance(s, ast.Comment):
                continue
            elif not sections:
                before_headers.append(s)
            elif self.fits(s, sections[-1]):
                sections[-1].statements.append(s)
            else:
                sections[-1].damaged = True
        if before_headers and not self.damaged:
            help_ = f"{_header_for(before_headers)} above it"
            if sections and all(isinstance(s, (ast.Meta, ast.Extends)) for s in before_headers):
                help_ = f"move it below the header that it belongs to, e.g. line {sections[0].header.span.line}"
            self.error("TAX011", "this stands before any header", before_headers[0].span, help_)
        return sections

    def statements(self, orphans: set[int]) -> list[ast.Statement]:
        """The statements whose section is known. A header that is plainly of the wrong kind is replaced."""
        out: list[ast.Statement] = []
        parts: list[list[ast.Statement]] = []
        for s in self.file.statements:
            if s.span.line in orphans:
                continue
            if not parts or isinstance(s, ast.Header):
                parts.append([])
            parts[-1].append(s)
        for i, part in enumerate(parts):
            if not isinstance(part[0], ast.Header):
                out += part
            elif not self.in_two_lines(part, parts[i + 1] if i + 1 < len(parts) else []):
                out += self.up_to_missing_header(part)
        return out

    def in_two_lines(self, part: list[ast.Statement], following: list[ast.Statement]) -> bool:
        """`dataset town v1`, and on the next line `source demo v1`: the next header is changed into the one meant."""
        first, second = part[0], following[0] if following else None
        cls = next((s for s in following[1:] if isinstance(s, ast.ClassLine)), None)
        if not (
            isinstance(first, ast.Header)
            and isinstance(second, ast.Header)
            and (first.kind, first.target, second.kind, len(part)) == ("dataset", None, "source", 1)
            and cls
            and (cls.relations or cls.decision)
        ):
            return False
        taxon, source = (" ".join((t.name.text, t.version.text)) for t in (first.taxon, second.taxon))
        what = "a dataset and its source stand in one header"
        help_ = f"write `dataset {taxon} -> {source}` in line {first.span.line}, and take this line out"
        self.error("TAX011", what, second.span, help_)
        following[0] = first._replace(target=second.taxon)
        return True

    def up_to_missing_header(self, part: list[ast.Statement]) -> list[ast.Statement]:
        """The statements of a section, up to the place where the header of another one is missing."""
        header = part[0]
        assert isinstance(header, ast.Header)
        taxon = f"{header.taxon.name.text} {header.taxon.version.text}"
        lines = [s for s in part if isinstance(s, (ast.ClassLine, ast.Row))]
        if header.kind == "dataset" and header.target and lines and all(isinstance(s, ast.Row) for s in lines):
            if any(isinstance(s, ast.Row) and s.target.text in KEYS for s in lines):
                return part
            source = f"{header.target.name.text} {header.target.version.text}"
            if self.declared(header.taxon):
                help_ = f"its classes are those of the other section: write `map {taxon} -> {source}`"
                self.error("TAX110", f"`{taxon}` is declared twice", header.span, help_)
                return [header._replace(kind="map"), *part[1:]]
            if len(lines) > 1:
                what = "a class line in a `dataset` section starts with its id"
                help_ = (
                    f"write the number that label files store in front of each class, e.g. `4 {self.line(lines[0])}`;"
                    f" or `map {taxon} -> {source}` in line {header.span.line} if `{taxon}` is declared elsewhere"
                )
                self.error("TAX011", what, lines[0].span, help_)
                self.quiet |= {s.span.line for s in lines}
        if header.kind == "source":
            plain = [isinstance(s, ast.ClassLine) and not (s.relations or s.decision) for s in part]
            related = [isinstance(s, ast.ClassLine) and bool(s.relations or s.decision) for s in part]
            if True in plain and True in related and not any(plain[related.index(True) :]):
                at = related.index(True)
                while at and not plain[at - 1]:
                    at -= 1
                at = next((i for i in range(at, len(part)) if not isinstance(part[i], ast.Comment)), at)
                help_ = f"write `dataset NAME v1 -> {taxon}` above it: these are the classes of a dataset"
                self.error("TAX011", "a header is missing in front of this", part[at].span, help_)
                return part[:at]
        return part

    def declared(self, taxon: ast.Taxon) -> bool:
        """Whether the file declares this dataset in a section of its own."""
        name = (taxon.name.text, taxon.version.text)
        headers = [s for s in self.file.statements if isinstance(s, ast.Header) and s.kind == "dataset"]
        return [(h.taxon.name.text, h.taxon.version.text) for h in headers].count(name) > 1

    def line(self, s: ast.Statement) -> str:
        """The line of a statement, without its note."""
        return re.sub(r"\s+#(\s.*)?$", "", self.lines[s.span.line - 1].strip())

    def orphans(self) -> set[int]:
        """Lines below a header that could not be read: their section is unknown."""
        lines = self.lines
        out: set[int] = set()
        headers = [s.span.line for s in self.file.statements if isinstance(s, ast.Header)]
        for broken in self.damaged:
            word = lines[broken - 1].split(maxsplit=1)[:1] if broken <= len(lines) else []
            unread = self.file.unread.get(broken)
            meant = unread.reading.text.split(" ", 1)[0] if unread and unread.reading else ""
            if meant in _HEADERS or (word and (word[0] in _HEADERS or did_you_mean(word[0], _HEADERS))):
                at = bisect_right(headers, broken)
                out.update(range(broken + 1, headers[at] if at < len(headers) else len(lines) + 1))
        return out

    def row(self, s: ast.Row, where: str) -> ast.Meta | None:
        """A row outside of a map: a class line without its id, or a key with `=`, which is returned."""
        line, key = self.line(s), s.target.text
        setting = re.fullmatch(r"[\w-]+\s*=\s*(.*?),?", line)
        if setting and key in KEYS:
            written = f"{key}: {setting[1]}"
            place = s.span._replace(end=s.span.column + len(line))
            self.error(
                "TAX011", f"`{line}` is not a key", s.span, f"write `{written}`", Fix.write(written, place, True)
            )
            return ast.Meta(ast.Word(key, s.span), ast.Word(setting[1], s.span), "", s.span)
        elif setting and key in FOREIGN:
            self.error("TAX011", f"`{key}` is not a key", s.span, FOREIGN[key])
        else:
            help_ = f"write the number that label files store, e.g. `4 {line}`; `-` only if the class is never drawn"
            self.error("TAX011", f"a class line in {where} starts with its id", s.span, help_)
        return None

    def fits(self, s: ast.Statement, section: Section) -> bool:
        header = section.header
        where = f"a `{header.kind}` section"
        taxon = f"{header.taxon.name.text} {header.taxon.version.text}"

        def once(message: str, span: Span, help: str, fix: Fix | None = None) -> None:
            if message not in section.reported:
                self.error("TAX011", message, span, help, fix)
            section.reported.add(message)

        if isinstance(s, ast.Row) and header.kind != "map":
            meant = None if s.span.line in self.quiet else self.row(s, where)
            section.statements += [meant] if meant else []
        elif isinstance(s, ast.Meta) and header.kind == "map" and not is_key(s.key.text):
            help_ = f"a row of a map has no colon: `{s.key.text} < …`"
            self.error("TAX011", f"`{s.key.text}` is not a key", s.key.span, help_)
        elif isinstance(s, ast.Meta) and not meaning(s.key.text) and (line := class_in(s)):
            fix = Fix.write(line, s.span) if line[0].isdigit() else None
            help_ = f"a class line has no colon, and its id stands in front: `{line}`"
            self.error("TAX011", f"`{s.key.text}` is not a key", s.key.span, help_, fix)
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
