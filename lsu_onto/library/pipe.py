"""The pipe of one file: parse → resolve → check. The files that it names take the same way.

Because files may name each other, a file is resolved in three extents: whole (`check`), without its maps (`declared`),
and a single map (`Imports.map`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lsu_onto.diagnostics import Diagnostic, Fix, did_you_mean, suggest
from lsu_onto.lang import syntax as ast
from lsu_onto.library.searchpath import Entry
from lsu_onto.library.workspace import Workspace
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
        resolved = resolve(file, damaged, Imports(workspace))
        findings = [*unread, *resolved.diagnostics]
        for t in resolved.taxonomies:
            findings += check_taxonomy(t)
        for o in resolved.ontologies:
            findings += check_map(o)
        # Errors cannot be allowed: what `load` compiles must keep every rule.
        kept = [d for d in findings if d.severity == "error" or d.code not in file.allowed.get(d.span.line, ())]
        kept.sort(key=lambda d: (d.span, d.code))
        return Analysis(file, resolved, list(dict.fromkeys(kept)))

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
    """What a file gets from other files: the `Importer` of `resolve`."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def taxonomy(self, kind: str, taxon: ast.Taxon) -> tuple[Source | Dataset | None, Diagnostic | None]:
        """The taxonomy that a file refers to, or the finding that says why there is none."""
        name, version = taxon.name.text, taxon.version.text
        folder, search = Path(taxon.name.span.file).parent, self.workspace.search
        entry = next((e for e in search.entries(folder) if (e.kind, e.name, e.version) == (kind, name, version)), None)
        if entry is None:
            return None, _unknown(kind, taxon, [e for e in search.entries(folder) if e.kind == kind])
        path = str(entry.path)
        self.workspace.uses(path)
        begun = self.workspace.running("declared")
        if path in begun:
            names = " -> ".join([*begun[begun.index(path) :], path])
            return None, Diagnostic("TAX205", f"`{name} {version}` builds on itself: {names}", taxon.name.span)
        resolved = declared(self.workspace, path)
        circle = next((d for d in resolved.diagnostics if d.code == "TAX205"), None)
        if circle:
            return None, replace(circle, span=taxon.name.span)
        for t in resolved.taxonomies:
            if (t.name, t.version) == (name, version):
                return t, None
        what = f"`{path}` declares `{name} {version}` but cannot be read"
        return None, Diagnostic("TAX203", what, taxon.name.span, f"lsu-onto validate {path}")

    def map(self, dataset: Key, source: Key, file: str) -> Ontology | None:
        """The map from a dataset to a source, as seen from a file, without its findings."""
        keys = (*dataset, *source)
        entries = self.workspace.search.entries(Path(file).parent)
        entry = next((e for e in entries if (e.name, e.version, e.source, e.source_version) == keys), None)
        if entry is None:
            return None
        path = str(entry.path)
        self.workspace.uses(path)
        return self.workspace.once(path, keys, lambda: self._section(path, dataset, source))

    def _section(self, path: str, dataset: Key, source: Key) -> Ontology | None:
        """One map of a file, resolved alone."""
        file, _, damaged = self.workspace.parsed(path)
        headers = [s for s in file.statements if isinstance(s, ast.Header)]
        for header, following in zip(headers, [*headers[1:], None], strict=True):
            if header.target and (_key(header.taxon), _key(header.target)) == (dataset, source):
                lines = range(header.span.line, following.span.line if following else 1 << 60)
                only = tuple(s for s in file.statements if s.span.line in lines)
                unread = frozenset(n for n in damaged if n in lines)
                resolved = resolve(ast.File(path, file.text, only), unread, self)
                return next(iter(resolved.ontologies), None)
        return None


def _key(taxon: ast.Taxon) -> Key:
    return taxon.name.text, taxon.version.text


def _unknown(kind: str, taxon: ast.Taxon, entries: Sequence[Entry]) -> Diagnostic:
    """The finding on a reference to no known taxonomy. `entries` are all of its kind."""
    name, version = taxon.name.text, taxon.version.text
    named = [e for e in entries if e.name == name]
    if named:
        versions = ", ".join(f"`{e.version}` ({e.path.name})" for e in named)
        return Diagnostic(
            "TAX204",
            f"there is no `{name} {version}`; found {versions}",
            taxon.version.span,
            f"write `{name} {named[0].version}` if its classes are the ones meant",
            fix=Fix.write(named[0].version, taxon.version.span) if len(named) == 1 else None,
        )
    names = [e.name for e in entries]
    close = did_you_mean(name, names)
    return Diagnostic(
        "TAX203",
        f"there is no {kind} `{name}`",
        taxon.name.span,
        suggest(name, names, "`lsu-onto list` shows what there is; `--path DIR` adds a folder"),
        fix=Fix.write(close, taxon.name.span) if close else None,
    )
