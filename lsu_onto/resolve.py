"""Syntax tree + imported taxonomies → model. Finds what a name stands for; judges nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from lsu_onto import model
from lsu_onto.diagnostics import Diagnostic, Fix, Span, did_you_mean, suggest
from lsu_onto.keys import misfits
from lsu_onto.lang import syntax as ast

ENCODINGS = ("id", "id16", "id16/N", "instance-ids", "rgb", "panoptic-rgb", "polygons", "rle")
KEYS = (
    "title", "url", "paper", "cite", "licence", "license", "confidence", "source-of-labels",
    "encoding", "void", "background", "splits", "images", "labels", "segments", "list",
)  # fmt: skip

Kind = type[model.Source] | type[model.Dataset]


@dataclass
class Section:
    """A header and the statements below it."""

    header: ast.Header
    statements: list[ast.Statement] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    """What was said once, and holds for all its lines."""
    spoiled: bool = False
    """A statement did not fit here, so that a missing name may be no further mistake."""


@dataclass
class Resolved:
    """What one file declares."""

    taxonomies: list[model.Source | model.Dataset] = field(default_factory=list)
    ontologies: list[model.Ontology] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)


class Importer(Protocol):
    """What other files declare."""

    def taxonomy(self, kind: str, taxon: ast.Taxon) -> tuple[Any, Diagnostic | None]:
        """(`source` or `dataset`, reference) → the taxonomy, or why there is none."""

    def map(self, dataset: tuple[str, str], source: tuple[str, str], file: str) -> model.Ontology | None:
        """The map of a dataset to a source, both by name and version, as seen from a file."""


def resolve(file: ast.File, damaged: frozenset[int], importer: Importer) -> Resolved:
    """Resolve the sections of a file.

    Args:
        file: the syntax tree.
        damaged: lines that could not be read; their sections raise no follow-on errors.
        importer: looks up taxonomies that other files declare.
    """
    return _Resolver(file, damaged, importer).run()


def inherited(base: model.Ontology, dataset: model.Dataset, own: Iterable[int]) -> list[model.MapRow]:
    """The rows of a base's map for the classes of `dataset` that have none of their own."""
    taken = set(own)
    rows = ((dataset.by_name.get(base.dataset.classes[r.cls].name), r) for r in base.rows)
    return [
        r.model_copy(update={"cls": cls, "inherited": True})
        for cls, r in rows
        if cls is not None and cls not in taken
    ]


def _key(taxon: ast.Taxon) -> tuple[str, str]:
    return taxon.name.text, taxon.version.text


_HEADERS = ("source", "dataset", "map")
_SOURCE_VOID = {"id": (255,), "id16": (65535,)}
"""What a source's label files mean by void where the file says nothing: as pseudo-labels are written."""


class _Resolver:
    def __init__(self, file: ast.File, damaged: frozenset[int], importer: Importer) -> None:
        self.file = file
        self.damaged = damaged
        self.importer = importer
        self.out = Resolved()

    def error(
        self, code: str, message: str, span: Span, help: str | None = None, fix: Fix | None = None
    ) -> None:
        self.out.diagnostics.append(Diagnostic(code, message, span, help, fix=fix))

    def run(self) -> Resolved:
        sections = self.sections()
        ends = [s.header.span.line for s in sections[1:]] + [1 << 60] * bool(sections)
        broken = [
            any(s.header.span.line < n < end for n in self.damaged)
            for s, end in zip(sections, ends, strict=True)
        ]
        if not sections and not self.damaged and not self.out.diagnostics:
            last = self.file.statements[-1].span if self.file.statements else Span(self.file.path, 1, 1, 2)
            self.error("TAX013", "the file declares nothing", last,
                       "write `source NAME v1`, `dataset NAME v1 -> SOURCE v1` or `map NAME v1 -> SOURCE v1`")  # fmt: skip
        for section, bad in zip(sections, broken, strict=True):
            if section.header.kind != "map":
                self.taxonomy(section, bad or section.spoiled)
        self.maps = [
            (section, bad or section.spoiled)
            for section, bad in zip(sections, broken, strict=True)
            if section.header.target and section.header.kind != "source"
        ]
        while self.maps:
            self.ontology(*self.maps.pop(0))
        return self.out

    # --- sections -------------------------------------------------------------------------------------

    def sections(self) -> list[Section]:
        sections: list[Section] = []
        orphans = self.orphans()
        for s in self.file.statements:
            if s.span.line in orphans:
                continue
            if isinstance(s, ast.Header):
                sections.append(Section(s))
            elif isinstance(s, ast.Edition):
                if sections or (s.span.line > 1 and any(isinstance(x, ast.Edition) for x in self.before(s))):
                    self.error("TAX011", "`tax` stands once, on the first line", s.span)
            elif isinstance(s, ast.Comment):
                continue
            elif not sections:
                if not self.damaged:
                    self.error("TAX011", "this stands before any header", s.span,
                               "write `source NAME v1`, `dataset NAME v1 -> SOURCE v1` or `map …` above it")  # fmt: skip
            elif self.fits(s, sections[-1]):
                sections[-1].statements.append(s)
            else:
                sections[-1].spoiled = True
        return sections

    def orphans(self) -> set[int]:
        """Lines below a header that could not be read: they belong to no section that is known."""
        lines = self.file.text.split("\n")
        out: set[int] = set()
        headers = [s.span.line for s in self.file.statements if isinstance(s, ast.Header)]
        for broken in self.damaged:
            word = lines[broken - 1].split(maxsplit=1)[:1] if broken <= len(lines) else []
            if word and (word[0] in _HEADERS or did_you_mean(word[0], _HEADERS)):
                end = min((h for h in headers if h > broken), default=len(lines) + 1)
                out |= set(range(broken + 1, end))
        return out

    def before(self, statement: ast.Statement) -> list[ast.Statement]:
        return [s for s in self.file.statements if s.span.line < statement.span.line]

    def fits(self, s: ast.Statement, section: Section) -> bool:
        header = section.header
        where = f"a `{header.kind}` section"
        taxon = f"{header.taxon.name.text} {header.taxon.version.text}"

        def once(message: str, span: Span, help: str, fix: Fix | None = None) -> None:
            if message not in section.told:
                self.error("TAX011", message, span, help, fix)
            section.told.add(message)

        if isinstance(s, ast.Row) and header.kind != "map":
            key = f"a key ends with a colon: `{s.target.text}: …`"
            self.error("TAX011", f"a class line in {where} starts with its id", s.span,
                       key if s.target.text in KEYS else f"write the number that label files store, e.g."
                       f" `4 {s.target.text} …`; `-` only if the class is never drawn")  # fmt: skip
        elif isinstance(s, ast.ClassLine) and header.kind == "map":
            ids = replace(s.ids[0].span, end=s.span.column) if s.ids and s.end == s.span.end else None
            once("a row of a map names a class and has no id", s.span,
                 f"start the line with `{s.name.text}`, or write `dataset {taxon} -> …` above to declare classes",
                 Fix("take the id away", ids, "") if ids else None)  # fmt: skip
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
            once(f"a {'group' if isinstance(s, ast.Group) else 'base'} does not belong in a map", s.span,
                 f"take it out, or write `dataset {taxon} -> …` above to declare classes")  # fmt: skip
        else:
            return True
        return False

    # --- taxonomies -----------------------------------------------------------------------------------

    def taxonomy(self, section: Section, damaged: bool) -> None:
        header, taxon = section.header, section.header.taxon
        name, version = taxon.name.text, taxon.version.text
        self.reserved(taxon.name)
        first = next((t for t in self.out.taxonomies if (t.name, t.version) == (name, version)), None)
        if first:
            twice = f"`{name} {version}` is declared twice"
            self.out.diagnostics.append(
                Diagnostic(
                    "TAX110",
                    twice,
                    header.span,
                    "take one out, or give it another version",
                    first.span,
                    "first here",
                )
            )
        base = self.base(section)
        damaged = damaged or (base is None and any(isinstance(s, ast.Extends) for s in section.statements))
        meta = dict(base.meta) if base else {}
        own: list[model.TaxClass] = []
        group = ""
        encoding, void = (base.encoding, base.void) if base else ("id", ())
        void_words: tuple[str, Span] | None = None
        for s in section.statements:
            if isinstance(s, ast.Group):
                group = s.name
            elif isinstance(s, ast.ClassLine):
                if s.name.text in ast.RESERVED:
                    help_ = "take the line out, and list its raw values under the key `void:`"
                    self.reserved(s.name, help_ if s.name.text == "void" else "choose another name")
                    damaged = True  # that line is no class, so that what it lacks is no further mistake
                else:
                    own.append(self.tax_class(s, group))
            elif isinstance(s, ast.Meta):
                key, value = s.key.text, s.value.text
                if key not in KEYS and not key.startswith("split-"):
                    hit = did_you_mean(key, KEYS)
                    fix = Fix.write(f"{hit}:", s.key.span) if hit else None
                    self.error("TAX008", f"unknown key `{key}`", s.key.span, suggest(key, KEYS), fix)
                if not value:
                    self.error("TAX012", f"`{key}:` has no value", s.span, "write one, or take the line out")
                if key in ("images", "labels", "segments", "list") and value:
                    self.pattern(s)
                if key == "encoding":
                    encoding = self.encoding(s)
                elif key == "void":
                    void_words = (value, s.value.span)
                meta[key] = value
        if void_words:
            void = self.void(*void_words, encoding)
        if not own and not base and not damaged:
            self.error(
                "TAX013", f"`{name}` has no classes", header.span, "write one per line: `0 road #804080`"
            )
        if base:
            replaced = {c.name for c in own}
            own = [c for c in base.classes if c.name not in replaced] + own
        kind: Kind = model.Source if header.kind == "source" else model.Dataset
        made = kind(
            name=name,
            version=version,
            classes=tuple(own),
            meta=meta,
            encoding=encoding,
            void=void if void or kind is model.Dataset else _SOURCE_VOID.get(encoding, ()),
            span=header.span,
            bases=(*base.bases, base.span.file) if base else (),
            extends=((base.name, base.version), *base.extends) if base else (),
            damaged=damaged or bool(base and base.damaged),
        )
        self.out.taxonomies.append(made)
        for s in section.statements:
            if isinstance(s, ast.Meta) and s.value.text:
                self.out.diagnostics += misfits(s, made)

    def base(self, section: Section) -> model.Dataset | None:
        wanted = [s for s in section.statements if isinstance(s, ast.Extends)]
        for s in wanted[1:]:
            self.error("TAX011", "a dataset builds on one other", s.span, "take one of the two out")
        base: model.Dataset | None = self.lookup("dataset", wanted[0].taxon) if wanted else None
        return base

    def tax_class(self, s: ast.ClassLine, group: str) -> model.TaxClass:
        return model.TaxClass(
            name=s.name.text,
            official=s.official.text if s.official else s.name.text,
            ids=tuple((i.low, i.high) for i in s.ids),
            colours=tuple(int(c.text[1:], 16) for c in s.colours),
            aliases=tuple(a.text for a in s.aliases),
            group=group,
            note=s.note,
            span=s.name.span,
            end=s.end,
        )

    def reserved(self, word: ast.Word, help: str = "choose another name") -> None:
        if word.text in ast.RESERVED:
            self.error("TAX105", f"`{word.text}` is a reserved word", word.span, help)

    def pattern(self, s: ast.Meta) -> None:
        """A file pattern is relative and has `{name}` placeholders."""
        value = s.value.text
        rest = re.sub(r"\{[A-Za-z_]\w*\}", "", value)
        if value.startswith("/") or re.match(r"[A-Za-z]:", value) or ".." in value.split("/"):
            self.error(
                "TAX012",
                f"`{value}` leaves the dataset's folder",
                s.value.span,
                "write it relative to `data_root`",
            )
        elif s.key.text in ("segments", "list") and set(re.findall(r"\{(\w+)\}", value)) - {"split"}:
            self.error("TAX012", f"`{s.key.text}:` names one file per split", s.value.span,
                       "its only placeholder is `{split}`")  # fmt: skip
        elif "{" in rest or "}" in rest:
            self.error("TAX012", f"`{value}` has a brace that is no placeholder", s.value.span,
                       "a placeholder is `{name}` with letters, digits and `_`")  # fmt: skip

    def encoding(self, s: ast.Meta) -> str:
        value = s.value.text
        if (value in ENCODINGS and value != "id16/N") or re.fullmatch(r"id16/[1-9]\d{0,4}", value):
            return value
        hit = did_you_mean(value, [e for e in ENCODINGS if "N" not in e])
        self.error("TAX012", f"unknown encoding `{value}`", s.value.span,
                   f"one of {', '.join(f'`{e}`' for e in ENCODINGS)}",
                   Fix.write(hit, s.value.span) if hit and value else None)  # fmt: skip
        return "id"

    def void(self, text: str, span: Span, encoding: str) -> tuple[int, ...]:
        """Raw values: numbers, ranges, or colours under `encoding: rgb`."""
        ranges: list[tuple[int, int]] = []
        for word in dict.fromkeys(re.split(r"[\s,]+", text)):
            numbers = re.fullmatch(r"(\d{1,10})(?:\.\.(\d{1,10}))?", word)
            if encoding in model.NAMED:
                self.error("TAX012", f"`encoding: {encoding}` stores names, and void is none", span,
                           "write the label as a class, and `-> void` behind it")  # fmt: skip
            elif encoding == "rgb" and re.fullmatch(r"#[0-9A-Fa-f]{6}", word):
                ranges.append((int(word[1:], 16), int(word[1:], 16)))
            elif encoding != "rgb" and numbers and int(numbers[2] or numbers[1]) - int(numbers[1]) < 65536:
                ranges.append((int(numbers[1]), int(numbers[2] or numbers[1])))
            else:
                wanted = (
                    "colours such as `#000000`"
                    if encoding == "rgb"
                    else "numbers such as `0,255` or `250..255`"
                )
                self.error(
                    "TAX012",
                    f"`{word}` is not a raw value of `encoding: {encoding}`",
                    span,
                    f"expected {wanted}",
                )
        values: list[int] = []
        for low, high in sorted(ranges):  # they may overlap, and be many
            values += range(max(low, values[-1] + 1 if values else 0), high + 1)
        return tuple(values)

    # --- maps -----------------------------------------------------------------------------------------

    def lookup(self, kind: str, taxon: ast.Taxon) -> Any:
        """A taxonomy of this file or another; None after reporting why there is none."""
        wanted: Any = model.Source if kind == "source" else model.Dataset
        for t in self.out.taxonomies:
            if isinstance(t, wanted) and (t.name, t.version) == (taxon.name.text, taxon.version.text):
                return t
        found, problem = self.importer.taxonomy(kind, taxon)
        if problem:
            self.out.diagnostics.append(problem)
        return found

    def ontology(self, section: Section, damaged: bool) -> None:
        header = section.header
        assert header.target is not None  # the grammar: a map has a target; run() asks for one elsewhere
        source: model.Source | None = self.lookup("source", header.target)
        if header.kind == "map":
            dataset: model.Dataset | None = self.lookup("dataset", header.taxon)
        else:
            dataset = next((t for t in self.out.taxonomies if t.span == header.span), None)  # type: ignore[assignment]
        if source is None or dataset is None:
            return
        for other in self.out.ontologies:
            if (other.dataset, other.source) == (dataset, source):
                what = f"`{dataset.name} {dataset.version}` is already mapped to `{source.name} {source.version}`"
                self.out.diagnostics.append(
                    Diagnostic(
                        "TAX110",
                        what,
                        header.span,
                        "put all rows into one of the two",
                        other.span,
                        "first here",
                    )
                )
        rows: list[model.MapRow] = []
        seen: dict[int, Span] = {}
        at = {c.span: i for i, c in enumerate(dataset.classes)}
        for s in section.statements:
            if isinstance(s, ast.Row):
                cls = self.reference(s.target, dataset, quiet=dataset.damaged)
                if cls is None:
                    damaged = True  # some class is meant here: it is not unmapped
                    continue
                if cls in seen:
                    self.out.diagnostics.append(
                        Diagnostic("TAX311", f"`{dataset.classes[cls].name}` has two rows in this map", s.span,
                                   "put all its relations in one place", seen[cls], "first here")
                    )  # fmt: skip
                    continue
                seen[cls] = s.span
                rows.append(self.row(s, cls, source, s.span))
            elif isinstance(s, ast.ClassLine) and (s.relations or s.decision):
                index = at.get(s.name.span)
                if index is not None:
                    rows.append(self.row(s, index, source, s.span))
        base = self.base_map(dataset, source)
        if base:
            rows += inherited(base, dataset, {r.cls for r in rows})
            damaged = damaged or base.damaged
        files = dict.fromkeys(
            (
                dataset.span.file,
                *dataset.bases,
                self.file.path,
                source.span.file,
                *(base.files if base else ()),
            )
        )
        self.out.ontologies.append(
            model.Ontology(
                dataset=dataset,
                source=source,
                rows=tuple(rows),
                span=header.span,
                damaged=damaged or dataset.damaged or source.damaged,
                files=tuple(files),
            )
        )

    def base_map(self, dataset: model.Dataset, source: model.Source) -> model.Ontology | None:
        """The map to the same source of the dataset that this one extends, in this file or another."""
        wanted = (source.name, source.version)
        for base in dataset.extends:
            for i, (section, damaged) in enumerate(self.maps):  # one that stands further down
                header = section.header
                if _key(header.taxon) == base and header.target and _key(header.target) == wanted:
                    del self.maps[i]
                    self.ontology(section, damaged)
                    break
            for o in self.out.ontologies:
                if (o.dataset.name, o.dataset.version) == base and (
                    o.source.name,
                    o.source.version,
                ) == wanted:
                    return o
            found = self.importer.map(base, wanted, self.file.path)
            if found:
                return found
        return None

    def row(self, s: ast.Row | ast.ClassLine, cls: int, source: model.Source, span: Span) -> model.MapRow:
        poisoned = False

        def targets(items: tuple[ast.Target, ...]) -> tuple[model.Target, ...]:
            nonlocal poisoned
            out = []
            for i, t in enumerate(items):
                channels = self.target(t, source, last=items[i - 1] if i else None)
                if channels is None:
                    poisoned = True
                else:
                    out.append(model.Target(text=t.text, channels=channels, kind=t.kind, span=t.span))
            return tuple(out)

        relations = tuple(
            model.Relation(op=r.op, targets=targets(r.targets), note=r.note, span=r.span) for r in s.relations
        )
        decision = None
        if s.decision:
            d = s.decision
            decision = model.Decision(to=d.to, minus=targets(d.minus), note=d.note, span=d.span)
        return model.MapRow(
            cls=cls, relations=relations, decision=decision, note=s.note, span=span, poisoned=poisoned
        )

    def target(self, t: ast.Target, source: model.Source, last: ast.Target | None) -> tuple[int, ...] | None:
        if t.kind in ("void", "any"):
            return ()
        if t.kind == "group":
            members = source.group(t.text)
            if not members and not source.damaged:
                names = source.groups
                hit = did_you_mean(t.text, names)
                close = f"did you mean `@{hit}`?" if hit else None
                fix = Fix.write(f"@{hit}", t.span) if hit else None
                if not close and t.text in source.by_name:
                    close = f"`{t.text}` is a class: write it without `@`"
                    fix = Fix.write(t.text, t.span)
                listing = (
                    "its groups are " + ", ".join(f"`@{g}`" for g in names) if names else "it has no groups"
                )
                self.error(
                    "TAX202", f"`{source.name}` has no group `{t.text}`", t.span, close or listing, fix
                )
            return members or None
        channel = self.reference(t, source, quiet=source.damaged, last=last)
        return None if channel is None else (channel,)

    def reference(
        self, t: ast.Target, taxonomy: model.Taxonomy, quiet: bool, last: ast.Target | None = None
    ) -> int | None:
        """The class that a name or quoted official name stands for."""
        if t.kind == "name" and t.text in taxonomy.by_name:
            return taxonomy.by_name[t.text]
        if t.text in taxonomy.by_other_name:
            hit = taxonomy.by_other_name[t.text]
            c = taxonomy.classes[hit]
            if t.text in c.aliases and t.text != c.official:
                self.error("TAX206", f"`{t.text}` is an alias of `{c.name}`", t.span, f"write `{c.name}`",
                           Fix.write(c.name, t.span))  # fmt: skip
            return hit
        if not quiet:
            known = taxonomy.by_other_name | taxonomy.by_name
            instead: str | None = None
            if last and last.text in known and t.text in ("and", "or"):
                help_ = "targets are separated by spaces: leave it out"
            elif last and f"{last.text}_{t.text}" in taxonomy.by_name:
                help_ = f"a name is one word: did you mean `{last.text}_{t.text}`?"
            elif t.text.lower() in ("void", "any"):
                instead = t.text.lower()
                help_ = f"write `{instead}`"
            elif t.text in taxonomy.groups:
                instead = f"@{t.text}"
                help_ = f"`{t.text}` is a group: write `{instead}`"
            else:
                listing = f"`lsu-onto show {taxonomy.name}` lists its classes"
                close = did_you_mean(t.text, known)
                instead = taxonomy.classes[known[close]].name if close else None
                help_ = (
                    suggest(t.text, known, f"{listing}; a note starts with `# `" if last else listing) or ""
                )
            fix = Fix.write(instead, t.span) if instead else None
            self.error("TAX201", f"`{taxonomy.name}` has no class `{t.text}`", t.span, help_, fix)
        return None
