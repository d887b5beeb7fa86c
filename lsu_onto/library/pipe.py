"""The pipe of one file: parse → resolve → check. The files that it names take the same way.

Because files may name each other, a file is resolved in three extents: whole (`check`), without its maps (`declared`),
and a single section (`Imports`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from lsu_onto.diagnostics import Diagnostic, Fix, Span
from lsu_onto.lang import syntax as ast
from lsu_onto.library.searchpath import Entry
from lsu_onto.library.workspace import Workspace
from lsu_onto.ontology.intended import with_intended_help
from lsu_onto.ontology.map_checks import check_map
from lsu_onto.ontology.model import Dataset, Ontology, Source
from lsu_onto.ontology.resolve import Resolved, resolve
from lsu_onto.ontology.taxonomy_checks import check_taxonomy

Key = tuple[str, str]
"""Name and version."""


@dataclass
class Analysis:
    """Everything known of one file."""

    file: ast.File
    resolved: Resolved
    diagnostics: list[Diagnostic] = field(default_factory=list)

    @property
    def errors(self) -> list[Diagnostic]:
        return [d for d in self.diagnostics if d.severity == "error"]


def check(workspace: Workspace, path: str, text: str | None = None) -> Analysis:
    """One file, parsed, resolved and checked. The findings of files that it imports are theirs.

    Never raises for what the file contains. With `text` the file on disk is not read.
    """
    file, unread, damaged = workspace.parsed(path, text)

    def make() -> Analysis:
        imports = Imports(workspace)
        resolved = resolve(file, damaged, imports)
        findings = [*unread, *resolved.diagnostics]
        for t in resolved.taxonomies:
            findings += check_taxonomy(t)
        for o in resolved.ontologies:
            findings += check_map(o)
        kept = workspace.reported(findings)
        kept.sort(key=lambda d: (d.span, d.code))
        return Analysis(file, resolved, with_intended_help(dict.fromkeys(kept), file, resolved, imports))

    return workspace.once(path, "check", make)


def declared(workspace: Workspace, path: str) -> Resolved:
    """The taxonomies that a file declares, without its maps."""

    def make() -> Resolved:
        file, _, damaged = workspace.parsed(path)
        statements = tuple(
            _without_map(s)
            for s in file.statements
            if not (isinstance(s, ast.Row) or (isinstance(s, ast.Header) and s.kind == "map"))
        )
        return resolve(ast.File(path, file.text, statements), damaged, Imports(workspace))

    return workspace.once(path, "declared", make)


def _without_map(s: ast.Statement) -> ast.Statement:
    """A statement of a dataset without the parts that refer to its source."""
    if isinstance(s, ast.Header) and s.kind == "dataset":
        return s._replace(target=None)
    return s._replace(relations=(), decision=None) if isinstance(s, ast.ClassLine) else s


class Imports:
    """What a file gets from other files: the `Importer` of `resolve`.

    A taxonomy or map is resolved without the other sections of its file, because files may name each other. A dataset
    may build on a long chain of others, so the last of a chain is resolved first: each then finds its base done.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def taxonomy(self, kind: str, taxon: ast.Taxon) -> tuple[Source | Dataset | None, Diagnostic | None]:
        """The taxonomy that a file refers to, and what is wrong with the reference."""
        key = (kind, *_key(taxon))
        entries = self._nearest(taxon.name.span.file, key)
        if not entries:
            return None, self._unknown(kind, taxon)
        circle = self._prepare(entries[0].path, kind, taxon)
        if circle:
            return None, circle
        taxonomy = self._taxonomy(str(entries[0].path), kind, _key(taxon))
        if taxonomy is None:
            what = f"`{entries[0].path}` declares `{key[1]} {key[2]}` but cannot be read"
            return None, Diagnostic("TAX203", what, taxon.name.span, f"lsu-onto validate {entries[0].path}")
        return taxonomy, self._ambiguous(f"`{key[1]} {key[2]}`", key, taxon.name.span, entries)

    def map(self, dataset: Key, source: Key, place: Span) -> tuple[Ontology | None, Diagnostic | None]:
        """The map from a dataset to a source, as seen from a place, without its findings; and what is wrong with it."""
        key = (*dataset, *source)
        entries = self._nearest(place.file, key)
        ontology = self._map(str(entries[0].path), dataset, source) if entries else None
        what = f"the map from `{' '.join(dataset)}` to `{' '.join(source)}`"
        return ontology, self._ambiguous(what, key, place, entries) if ontology else None

    def _ambiguous(self, what: str, key: tuple[str, ...], place: Span, entries: Sequence[Entry]) -> Diagnostic | None:
        other = differing(self.workspace, entries, key)
        if other is None:
            return None
        files = ", ".join(f"`{e.path.name}`" for e in entries)
        help_ = "take one out, or give it another version"
        return Diagnostic("TAX110", f"{what} is declared in {files}, differently", place, help_, other, "another")

    def _nearest(self, file: str, key: tuple[str, ...]) -> list[Entry]:
        entries = self.workspace.search.nearest(file, key)
        for e in entries:
            self.workspace.uses(str(e.path))
        return entries

    def _prepare(self, path: Path, kind: str, taxon: ast.Taxon) -> Diagnostic | None:
        """Resolve the datasets that one builds on, the last first; or the finding that they form a circle."""
        chain: list[tuple[str, Key]] = []
        step, base = (str(path), _key(taxon)), taxon if kind == "dataset" else None
        while base and not self.workspace.knows(step[0], ("dataset", *step[1])):
            if step in chain:
                names = " -> ".join(f"{name} {version}" for _, (name, version) in [*chain[chain.index(step) :], step])
                return Diagnostic("TAX205", f"`{' '.join(step[1])}` builds on itself: {names}", taxon.name.span)
            chain.append(step)
            section = _section(self.workspace, step[0], ("dataset", *step[1]))
            base = next((s.taxon for s in section[0] if isinstance(s, ast.Extends)), None) if section else None
            entries = self._nearest(step[0], ("dataset", *_key(base))) if base else []
            if not base or not entries:
                break
            step = (str(entries[0].path), _key(base))
        for where, key in reversed(chain):
            self._taxonomy(where, "dataset", key)
        return None

    def _taxonomy(self, path: str, kind: str, key: Key) -> Source | Dataset | None:
        """A taxonomy of a file, resolved alone."""

        def make() -> Source | Dataset | None:
            section = _section(self.workspace, path, (kind, *key))
            if not section:
                return None
            text = self.workspace.parsed(path).file.text
            return resolve(ast.File(path, text, section[0]), section[1], self).taxonomies[0]

        return self.workspace.once(path, (kind, *key), make)

    def _map(self, path: str, dataset: Key, source: Key) -> Ontology | None:
        """A map of a file, resolved alone."""

        def make() -> Ontology | None:
            section = _section(self.workspace, path, (*dataset, *source))
            if not section:
                return None
            text = self.workspace.parsed(path).file.text
            resolved = resolve(ast.File(path, text, section[0]), section[1], self)
            return next(iter(resolved.ontologies), None)

        return self.workspace.once(path, (*dataset, *source), make)

    def _unknown(self, kind: str, taxon: ast.Taxon) -> Diagnostic:
        """The finding on a reference to no known taxonomy."""
        name, version = taxon.name.text, taxon.version.text
        folder, search = Path(taxon.name.span.file).parent, self.workspace.search
        known = search.known(folder)
        named = known.named.get((kind, name), [])
        almost = known.almost.get((kind, name, version))
        if almost:
            what = f"there is no {kind} `{name} {version}`; a line of `{almost.path}` begins like its header"
            return Diagnostic("TAX203", what, taxon.name.span, f"lsu-onto validate {almost.path}")
        if named:
            versions = ", ".join(f"`{e.version}` ({e.path.name})" for e in named)
            return Diagnostic(
                "TAX204",
                f"there is no `{name} {version}`; found {versions}",
                taxon.version.span,
                f"write `{name} {named[0].version}` if its classes are the ones meant",
                fix=Fix.write(named[0].version, taxon.version.span) if len(named) == 1 else None,
            )
        close = known.meant(kind, name)
        other = "`lsu-onto list` shows what there is; `--path DIR` adds a folder"
        return Diagnostic(
            "TAX203",
            f"there is no {kind} `{name}`",
            taxon.name.span,
            f"did you mean `{close}`?" if close else other,
            fix=Fix.write(close, taxon.name.span) if close else None,
        )


def _key(taxon: ast.Taxon) -> Key:
    return taxon.name.text, taxon.version.text


def _section(
    workspace: Workspace, path: str, key: tuple[str, ...]
) -> tuple[tuple[ast.Statement, ...], frozenset[int]] | None:
    """The statements of the first section with a key (`Entry.taxonomy` or `Entry.map`), and its lines that could not be
    read. A taxonomy has no part of a map."""
    file, _, damaged = workspace.parsed(path)
    found = workspace.once(path, "sections", lambda: _sections(file)).get(key)
    if found is None:
        return None
    section, declares, end = found
    lines = range(section[0].span.line, end)
    statements = tuple(map(_without_map, section)) if key == declares else section
    return statements, frozenset(n for n in damaged if n in lines)


def _sections(file: ast.File) -> dict[tuple[str, ...], tuple[tuple[ast.Statement, ...], tuple[str, ...], int]]:
    """The first section with each key: its statements, what it declares, and the line at which the next one starts."""
    found: dict[tuple[str, ...], tuple[tuple[ast.Statement, ...], tuple[str, ...], int]] = {}
    starts = [(i, s) for i, s in enumerate(file.statements) if isinstance(s, ast.Header)]
    for (i, header), following in zip_longest(starts, starts[1:]):
        stop, line = (following[0], following[1].span.line) if following else (None, 1 << 60)
        declares: tuple[str, ...] = (header.kind, *_key(header.taxon))
        maps: tuple[str, ...] = _key(header.taxon) + _key(header.target) if header.target else declares
        for key in (declares, maps):
            found.setdefault(key, (file.statements[i:stop], declares, line))
    return found


def differing(workspace: Workspace, entries: Sequence[Entry], key: tuple[str, ...]) -> Span | None:
    """The header of the first of several declarations that says something else than the first. Copies do no harm."""
    if len(entries) < 2:
        return None
    declarations = [d for e in entries if (d := _declaration(workspace, str(e.path), key))]
    return next((place for place, said in declarations if said != declarations[0][1]), None)


def _declaration(workspace: Workspace, path: str, key: tuple[str, ...]) -> tuple[Span, bytes] | None:
    """The header of a section, and the checksum of what it says: in a tree of copies, each is asked for again and again
    by all."""

    def make() -> tuple[Span, bytes] | None:
        section = _section(workspace, path, key)
        if section is None:
            return None
        said = [_said(s) for s in section[0] if not isinstance(s, ast.Comment)]
        return section[0][0].span, hashlib.sha256(repr(said).encode()).digest()

    return workspace.once(path, ("said", key), make)


def _said(value: object) -> object:
    """A part of a syntax tree without places and notes."""
    if not isinstance(value, tuple):
        return value
    fields = getattr(value, "_fields", None)
    if fields is None:
        return [_said(v) for v in value]
    return [type(value).__name__, *(_said(v) for f, v in zip(fields, value, strict=True) if f not in ("span", "note"))]
