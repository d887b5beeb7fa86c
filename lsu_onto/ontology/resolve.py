"""Syntax tree + imported taxonomies → model. This resolves names and judges nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar, cast

from lsu_onto.diagnostics import Diagnostic, Fix, Span
from lsu_onto.lang import syntax as ast
from lsu_onto.lang.colours import as_colour
from lsu_onto.ontology import keys as tax_keys
from lsu_onto.ontology import model
from lsu_onto.ontology.class_lines import quoted_colour, several_aliases
from lsu_onto.ontology.sections import Section, split
from lsu_onto.ontology.unknown import taken_apart, unknown_class, unknown_group

Kind = type[model.Source] | type[model.Dataset]
Key = tuple[str, str]
"""Name and version."""
T = TypeVar("T")


@dataclass
class Resolved:
    """What one file declares."""

    taxonomies: list[model.Source | model.Dataset] = field(default_factory=list)
    ontologies: list[model.Ontology] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)


class Importer(Protocol):
    """Looks up what other files declare."""

    def taxonomy(self, kind: str, taxon: ast.Taxon) -> tuple[Any, Diagnostic | None]:
        """(`source` or `dataset`, reference) → the taxonomy, and what is wrong with the reference."""

    def map(self, dataset: Key, source: Key, place: Span) -> tuple[model.Ontology | None, Diagnostic | None]:
        """The map from a dataset to a source, each given by name and version, as seen from a place, and what is wrong
        with it there."""


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
    return [replace(r, cls=cls, inherited=True) for cls, r in rows if cls is not None and cls not in taken]


def _key(taxon: ast.Taxon) -> Key:
    return taxon.name.text, taxon.version.text


def _another_source(base: model.Ontology, source: model.Source, place: Span) -> Diagnostic:
    """The finding on a map that a dataset would inherit, to a source that only has the same name and version."""
    called, name = f"`{source.name} {source.version}`", f"`{base.dataset.name} {base.dataset.version}`"
    where = f"`{base.source.span.file}`" if base.source.span.file != source.span.file else "another place"
    what = f"the map of {name}, which this dataset inherits, is to the {called} of {where}, which has other classes"
    help_ = f"take one {called} out, or give yours another version and write a map to that"
    return Diagnostic("TAX110", what, place, help_, source.span, f"the {called} that is meant here")


def _take(waiting: dict[T, list[Section]], key: T) -> Section:
    """The first section that waits under a key, which is then no longer waiting."""
    section = waiting[key].pop(0)
    if not waiting[key]:
        del waiting[key]
    return section


_SOURCE_VOID = {"id": (255,), "id16": (65535,)}
"""The void value of a source's label files if the file declares none: the one that pseudo-labels use."""


class _Resolver:
    def __init__(self, file: ast.File, damaged: frozenset[int], importer: Importer) -> None:
        self.file = file
        self.damaged = damaged
        self.importer = importer
        self.out = Resolved()
        self.waiting: dict[tuple[str, Key], list[Section]] = {}
        """The taxonomies that are not yet resolved, by kind and name."""
        self.maps: dict[tuple[Key, Key], list[Section]] = {}
        """The maps that are not yet resolved, by dataset and source."""
        self.mapped: dict[tuple[Key, Key], model.Ontology] = {}
        self.declared: dict[Key, model.Taxonomy] = {}
        self.of_kind: dict[tuple[str, Key], model.Taxonomy] = {}
        self.at: dict[Span, model.Taxonomy] = {}
        """The resolved ones: the first of each name, by name and by kind and name; and all, by their header."""
        self.open: set[tuple[str, Key]] = set()
        """The taxonomies that are being resolved."""

    def error(self, code: str, message: str, span: Span, help: str | None = None, fix: Fix | None = None) -> None:
        self.out.diagnostics.append(Diagnostic(code, message, span, help, fix=fix))

    def run(self) -> Resolved:
        sections, self.out.diagnostics = split(self.file, self.damaged)
        for s in sections:
            key = _key(s.header.taxon)
            if s.header.kind != "map":
                self.waiting.setdefault((s.header.kind, key), []).append(s)
            if s.header.target and s.header.kind != "source":
                self.maps.setdefault((key, _key(s.header.target)), []).append(s)
        while self.waiting:
            self.chain(next(iter(self.waiting)))
        while self.maps:
            self.ontology(_take(self.maps, next(iter(self.maps))))
        return self.out

    # --- taxonomies -----------------------------------------------------------------------------------

    def chain(self, key: tuple[str, Key]) -> None:
        """Resolve a taxonomy, after those of this file that it builds on: a chain may be longer than Python's stack."""
        sections: list[Section] = []
        while key in self.waiting:
            section = _take(self.waiting, key)
            sections.append(section)
            self.open.add(key)
            base = next((s.taxon for s in section.statements if isinstance(s, ast.Extends)), None)
            if base is None:
                break
            key = ("dataset", _key(base))
        for section in reversed(sections):
            self.taxonomy(section)
            self.open.discard((section.header.kind, _key(section.header.taxon)))

    def taxonomy(self, section: Section) -> None:
        header, taxon = section.header, section.header.taxon
        name, version = taxon.name.text, taxon.version.text
        self.reserved(taxon.name)
        first = self.declared.get((name, version))
        if first:
            self.out.diagnostics.append(
                Diagnostic(
                    "TAX110",
                    f"`{name} {version}` is declared twice",
                    header.span,
                    "take one out, or give it another version",
                    first.span,
                    "first here",
                )
            )
        base = self.base(section)
        damaged = section.damaged or (base is None and any(isinstance(s, ast.Extends) for s in section.statements))
        keys = tax_keys.read(section.statements, base)
        self.out.diagnostics += keys.findings
        own: list[model.TaxClass] = []
        group = ""
        for s in section.statements:
            if isinstance(s, ast.Group):
                group = s.name
            elif isinstance(s, ast.ClassLine):
                if s.name.text in ast.RESERVED:
                    help_ = "take the line out, and list its raw values under the key `void:`"
                    self.reserved(s.name, help_ if s.name.text == "void" else "choose another name")
                    damaged = True  # the line is not a class, so whatever it lacks is no further mistake
                else:
                    own.append(self.tax_class(s, group))
        lines = [s for s in section.statements if isinstance(s, ast.ClassLine)]
        odd = [*map(quoted_colour, lines), several_aliases(lines)]
        self.out.diagnostics += [d for d in odd if d]
        if not own and not base and not damaged:
            self.error("TAX013", f"`{name}` has no classes", header.span, "write one per line: `0 road #804080`")
        if base:
            replaced = {c.name for c in own}
            own = [c for c in base.classes if c.name not in replaced] + own
        kind: Kind = model.Source if header.kind == "source" else model.Dataset
        made = kind(
            name=name,
            version=version,
            classes=tuple(own),
            meta=keys.meta,
            encoding=keys.encoding,
            void=keys.void if keys.void or kind is model.Dataset else _SOURCE_VOID.get(keys.encoding, ()),
            void_span=keys.void_span,
            span=header.span,
            bases=(*base.bases, base.span.file) if base else (),
            extends=((base.name, base.version), *base.extends) if base else (),
            damaged=damaged or bool(base and base.damaged),
        )
        self.out.taxonomies.append(made)
        self.declared.setdefault((name, version), made)
        self.of_kind.setdefault((header.kind, (name, version)), made)
        self.at[header.span] = made
        for s in section.statements:
            if isinstance(s, ast.Meta) and s.value.text:
                self.out.diagnostics += tax_keys.misfits(s, made)

    def base(self, section: Section) -> model.Dataset | None:
        extends = [s for s in section.statements if isinstance(s, ast.Extends)]
        for s in extends[1:]:
            self.error("TAX011", "a dataset builds on one other", s.span, "take one of the two out")
        if not extends:
            return None
        taxon, this = extends[0].taxon, _key(section.header.taxon)
        base: model.Dataset | None = self.lookup("dataset", taxon)
        if base and this in ((base.name, base.version), *base.extends):  # that of another file
            names = " -> ".join(" ".join(key) for key in (this, (base.name, base.version), *base.extends))
            self.error("TAX205", f"`{' '.join(this)}` builds on itself: {names}", taxon.name.span)
            return None
        return base

    def tax_class(self, s: ast.ClassLine, group: str) -> model.TaxClass:
        quoted = as_colour(s.official.text) if s.official and not s.colours else None  # the colour that was meant
        return model.TaxClass(
            name=s.name.text,
            official=s.official.text if s.official else s.name.text,
            ids=tuple((i.low, i.high) for i in s.ids),
            colours=tuple(int(c[1:], 16) for c in ([quoted] if quoted else [w.text for w in s.colours])),
            aliases=tuple(a.text for a in s.aliases),
            group=group,
            note=s.note,
            span=s.name.span,
            end=s.end,
        )

    def reserved(self, word: ast.Word, help: str = "choose another name") -> None:
        if word.text in ast.RESERVED:
            self.error("TAX105", f"`{word.text}` is a reserved word", word.span, help)

    # --- maps -----------------------------------------------------------------------------------------

    def lookup(self, kind: str, taxon: ast.Taxon) -> Any:
        """A taxonomy of this file or another. None if there is none; a finding then says why."""
        key = _key(taxon)
        if (kind, key) in self.of_kind:
            return self.of_kind[kind, key]
        if (kind, key) in self.open:
            self.error("TAX205", f"`{' '.join(key)}` builds on itself", taxon.name.span, "take one `extends` out")
            return None
        taxonomy, problem = self.importer.taxonomy(kind, taxon)
        if problem:
            self.out.diagnostics.append(problem)
        return taxonomy

    def ontology(self, section: Section) -> None:
        header, damaged = section.header, section.damaged
        assert header.target is not None  # the grammar: a map has a target; run() asks for one elsewhere
        source: model.Source | None = self.lookup("source", header.target)
        if header.kind == "map":
            dataset: model.Dataset | None = self.lookup("dataset", header.taxon)
        else:
            dataset = self.at.get(header.span)  # type: ignore[assignment]
        if source is None or dataset is None:
            return
        pair = (_key(header.taxon), _key(header.target))
        if pair in self.mapped:
            what = f"`{dataset.name} {dataset.version}` is already mapped to `{source.name} {source.version}`"
            other, help_ = self.mapped[pair].span, "put all rows into one of the two"
            self.out.diagnostics.append(Diagnostic("TAX110", what, header.span, help_, other, "first here"))
        if header.kind == "map":
            self.out.diagnostics += tax_keys.misplaced(section.statements, " ".join(pair[0]))
        rows: list[model.MapRow] = []
        seen: dict[int, Span] = {}
        at = {c.span: i for i, c in enumerate(dataset.classes)}
        for s in section.statements:
            if isinstance(s, ast.Row):
                cls = self.reference(s.target, dataset, quiet=dataset.damaged)
                if cls is None:
                    damaged = True  # the row means some class, which is then not unmapped
                    continue
                if cls in seen:
                    self.out.diagnostics.append(
                        Diagnostic(
                            "TAX311",
                            f"`{dataset.classes[cls].name}` has two rows in this map",
                            s.span,
                            "put all its relations in one place",
                            seen[cls],
                            "first here",
                        )
                    )
                    continue
                seen[cls] = s.span
                rows.append(self.row(s, cls, source, s.span))
            elif isinstance(s, ast.ClassLine) and (s.relations or s.decision):
                index = at.get(s.name.span)
                if index is not None:
                    rows.append(self.row(s, index, source, s.span))
        base = self.base_map(dataset, source, header.span)
        if base and base.source.signature != source.signature:
            self.out.diagnostics.append(_another_source(base, source, header.span))
            damaged = True  # the rows of that map are about other channels
        elif base:
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
        made = model.Ontology(
            dataset=dataset,
            source=source,
            rows=tuple(rows),
            span=header.span,
            damaged=damaged or dataset.damaged or source.damaged,
            files=tuple(files),
        )
        self.out.ontologies.append(made)
        self.mapped.setdefault(pair, made)

    def base_map(self, dataset: model.Dataset, source: model.Source, place: Span) -> model.Ontology | None:
        """The map to the same source, in this file or another, of the nearest dataset that this one extends.

        The last of the chain comes first: each then finds the map of its own base done.
        """
        key = (source.name, source.version)
        nearest: tuple[model.Ontology | None, Diagnostic | None] = None, None
        for base in reversed(dataset.extends):
            if (base, key) in self.maps:  # it may be further down
                self.ontology(_take(self.maps, (base, key)))
            own = self.mapped.get((base, key))
            found = (own, None) if own else self.importer.map(base, key, place)
            nearest = found if found[0] else nearest
        if nearest[1]:
            self.out.diagnostics.append(nearest[1])
        return nearest[0]

    def row(self, s: ast.Row | ast.ClassLine, cls: int, source: model.Source, span: Span) -> model.MapRow:
        poisoned = False

        def targets(items: tuple[ast.Target, ...]) -> tuple[model.Target, ...]:
            nonlocal poisoned
            out = []
            reported: set[int] = set()
            for run, finding in taken_apart(items, source) if not source.damaged else ():
                self.out.diagnostics.append(finding)
                reported.update(run)
            for i, t in enumerate(items):
                last = items[i - 1] if i else None
                channels = None if i in reported else self.target(t, source, last)
                if channels is None:
                    poisoned = True
                else:
                    out.append(model.Target(text=t.text, channels=channels, kind=t.kind, span=t.span))
            return tuple(out)

        relations = tuple(
            model.Relation(op=cast(Any, r.op), targets=targets(r.targets), note=r.note, span=r.span)
            for r in s.relations
        )
        decision = None
        if s.decision:
            d = s.decision
            decision = model.Decision(to=d.to, minus=targets(d.minus), note=d.note, span=d.span)
        return model.MapRow(cls=cls, relations=relations, decision=decision, note=s.note, span=span, poisoned=poisoned)

    def target(self, t: ast.Target, source: model.Source, last: ast.Target | None) -> tuple[int, ...] | None:
        if t.kind in ("void", "any"):
            return ()
        if t.kind == "group":
            members = source.group(t.text)
            if not members and not source.damaged:
                self.out.diagnostics.append(unknown_group(t, source))
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
                self.error(
                    "TAX206",
                    f"`{t.text}` is an alias of `{c.name}`",
                    t.span,
                    f"write `{c.name}`",
                    Fix.write(c.name, t.span, True),
                )
            return hit
        if not quiet:
            self.out.diagnostics.append(unknown_class(t, taxonomy, last))
        return None
