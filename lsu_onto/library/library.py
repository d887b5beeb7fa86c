"""Finds taxonomies on the search path and puts the stages together: read, parse, resolve, check."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from lsu_onto.diagnostics import Diagnostic, Fix, Span, did_you_mean, suggest
from lsu_onto.errors import UserError
from lsu_onto.lang import syntax as ast
from lsu_onto.lang.parse import Lines, parse, read
from lsu_onto.library.searchpath import Entry, SearchPath, shipped
from lsu_onto.ontology import checks
from lsu_onto.ontology.model import Dataset, MapRow, Ontology, Relation, Source, Target, Taxonomy
from lsu_onto.ontology.resolve import Resolved, inherited, resolve


class TaxonomyError(UserError):
    """A taxonomy that was asked for does not exist or has errors. The message is the full report."""

    def __init__(self, message: str, diagnostics: Sequence[Diagnostic] = ()) -> None:
        super().__init__(message)
        self.diagnostics = tuple(diagnostics)


@dataclass
class Analysis:
    """Everything known of one file."""

    file: ast.File
    resolved: Resolved
    diagnostics: list[Diagnostic] = field(default_factory=list)

    @property
    def errors(self) -> list[Diagnostic]:
        return [d for d in self.diagnostics if d.severity == "error"]


class Library:
    """The search path, and every file read from it once.

    Args:
        paths: folders searched (with their subfolders) before the shipped library.
        texts: path → text that counts instead of the file on disk, which need not exist (editors).
    """

    def __init__(self, paths: Iterable[str | Path] = (), texts: Mapping[str | Path, str] | None = None) -> None:
        self.edited = {str(p): text for p, text in (texts or {}).items()}
        self.search = SearchPath([*map(Path, paths), shipped()], self.edited)
        self.entries = self.search.entries
        self.texts: dict[str, str] = {}
        self._users: dict[str, set[str]] = {}
        self._readers: list[str] = []
        self._declared: dict[str, Resolved] = {}
        self._lines: dict[str, Lines] = {}
        self._parsed: dict[str, tuple[ast.File, list[Diagnostic]]] = {}
        self._checked: dict[str, Analysis] = {}
        self._maps: dict[tuple[str, tuple[str, str], tuple[str, str]], Ontology | None] = {}
        self._open: list[str] = []

    # --- what files refer to --------------------------------------------------------------------------

    def taxonomy(self, kind: str, taxon: ast.Taxon) -> tuple[Source | Dataset | None, Diagnostic | None]:
        """The taxonomy that a file refers to, or the diagnostic that says why there is none."""
        name, version = taxon.name.text, taxon.version.text
        entries = self.entries(Path(taxon.name.span.file).parent)
        exact = next((e for e in entries if (e.kind, e.name, e.version) == (kind, name, version)), None)
        if exact:
            path = str(exact.path)
            self._used(path)
            if path in self._open:
                names = " -> ".join([*self._open[self._open.index(path) :], path])
                return None, Diagnostic("TAX205", f"`{name} {version}` builds on itself: {names}", taxon.name.span)
            declared = self.declared(path)
            circle = next((d for d in declared.diagnostics if d.code == "TAX205"), None)
            if circle:
                return None, replace(circle, span=taxon.name.span)
            for t in declared.taxonomies:
                if (t.name, t.version) == (name, version):
                    return t, None
            return None, Diagnostic(
                "TAX203",
                f"`{path}` declares `{name} {version}` but cannot be read",
                taxon.name.span,
                f"lsu-onto validate {path}",
            )
        known = [e for e in self.entries(Path(taxon.name.span.file).parent) if e.kind == kind]
        named = [e for e in known if e.name == name]
        if named:
            found = ", ".join(f"`{e.version}` ({e.path.name})" for e in named)
            fix = Fix.write(named[0].version, taxon.version.span) if len(named) == 1 else None
            return None, Diagnostic(
                "TAX204",
                f"there is no `{name} {version}`; found {found}",
                taxon.version.span,
                f"write `{name} {named[0].version}` if its classes are the ones meant",
                fix=fix,
            )
        help_ = suggest(
            name, [e.name for e in known], "`lsu-onto list` shows what there is; `--path DIR` adds a folder"
        )
        close = did_you_mean(name, [e.name for e in known])
        return None, Diagnostic(
            "TAX203",
            f"there is no {kind} `{name}`",
            taxon.name.span,
            help_,
            fix=Fix.write(close, taxon.name.span) if close else None,
        )

    def map(self, dataset: tuple[str, str], source: tuple[str, str], file: str) -> Ontology | None:
        """The map of a dataset to a source (name and version each), as seen from a file; its findings are its own."""
        for e in self.entries(Path(file).parent):
            if (e.name, e.version) == dataset and (e.source, e.source_version) == source:
                key = (str(e.path), dataset, source)
                self._used(key[0])
                if key not in self._maps:
                    with self._reading(key[0]):
                        self._maps[key] = self._map(*key)
                return self._maps[key]
        return None

    def _map(self, path: str, dataset: tuple[str, str], source: tuple[str, str]) -> Ontology | None:
        """One section of a file, resolved alone, so that files may name each other."""
        file, found = self._parse(path)
        headers = [s for s in file.statements if isinstance(s, ast.Header)]
        for header, following in zip(headers, [*headers[1:], None], strict=True):
            target = header.target
            if target and (_key(header.taxon), _key(target)) == (dataset, source):
                lines = range(header.span.line, following.span.line if following else 1 << 60)
                only = tuple(s for s in file.statements if s.span.line in lines)
                damaged = _damaged(file, found) & frozenset(d.span.line for d in found if d.span.line in lines)
                resolved = resolve(ast.File(path, file.text, only), damaged, self)
                return next(iter(resolved.ontologies), None)
        return None

    # --- reading --------------------------------------------------------------------------------------

    def _parse(self, path: str, text: str | None = None) -> tuple[ast.File, list[Diagnostic]]:
        if path not in self._parsed:
            problem = None
            if text is None:
                text = self.edited.get(path)
            if text is None:
                text, problem = read(path)
            self.texts[path] = text
            lines = self._lines.setdefault(path, {})
            self._parsed[path] = (ast.File(path, "", ()), [problem]) if problem else parse(path, text, lines)
        return self._parsed[path]

    def declared(self, path: str) -> Resolved:
        """The taxonomies that a file declares. Its maps are left alone, so that files may name each other."""
        if path not in self._declared:
            file, found = self._parse(path)
            statements = tuple(
                _without_map(s)
                for s in file.statements
                if not (isinstance(s, ast.Row) or (isinstance(s, ast.Header) and s.kind == "map"))
            )
            self._open.append(path)
            try:
                only = ast.File(path, file.text, statements)
                with self._reading(path):
                    self._declared[path] = resolve(only, _damaged(file, found), self)
            finally:
                self._open.pop()
        return self._declared[path]

    def check(self, path: str | Path, text: str | None = None) -> Analysis:
        """Read, parse, resolve and check one file; the findings of files that it imports are theirs.

        Never raises for what the file contains. With `text` the file on disk is not read (editors).
        """
        path = str(path)
        if path not in self._checked:
            file, found = self._parse(path, text)
            with self._reading(path):
                resolved = resolve(file, _damaged(file, found), self)
            found = [*found, *resolved.diagnostics]
            for t in resolved.taxonomies:
                found += checks.check_taxonomy(t)
            for o in resolved.ontologies:
                found += checks.check_map(o)
            # Errors cannot be allowed: what `load` compiles must keep every rule.
            kept = [d for d in found if d.severity == "error" or d.code not in file.allowed.get(d.span.line, ())]
            kept.sort(key=lambda d: (d.span, d.code))
            self._checked[path] = Analysis(file, resolved, list(dict.fromkeys(kept)))
        return self._checked[path]

    # --- editors --------------------------------------------------------------------------------------

    def edit(self, path: str | Path, text: str | None) -> None:
        """Let a text count instead of the file on disk; None: the file again."""
        path = str(path)
        if text is None:
            self.edited.pop(path, None)
        else:
            self.edited[path] = text
        self.forget(path)

    def forget(self, path: str | Path) -> None:
        """A file changed, came or went: read it anew when it is asked for, and what builds on it."""
        path = str(path)
        self._parsed.pop(path, None)
        if self.search.forget(path):
            for cache in (self._declared, self._checked, self._maps, self._users):
                cache.clear()
        stale, todo = set(), [path]
        while todo:
            user = todo.pop()
            if user not in stale:
                stale.add(user)
                todo += self._users.get(user, ())
        for user in stale:
            self._declared.pop(user, None)
            self._checked.pop(user, None)
        for key in [k for k in self._maps if k[0] in stale]:
            del self._maps[key]

    @contextmanager
    def _reading(self, path: str) -> Iterator[None]:
        self._readers.append(path)
        try:
            yield
        finally:
            self._readers.pop()

    def _used(self, path: str) -> None:
        """What is being read builds on this file."""
        self._users.setdefault(path, set()).update(self._readers)

    # --- ontologies -----------------------------------------------------------------------------------

    def ontology(self, name: str | Path, source: str | None = None) -> Ontology:
        """The ontology of a dataset, by name or by file.

        Args:
            name: a dataset's or source's name on the search path, with its version where there are several
                (`"vistas v2"`), or the path of a `.tax` file.
            source: the source's name (and version); needed where there are maps to several.

        Raises:
            TaxonomyError: it does not exist, the choice is ambiguous, or one of its files has errors.
        """
        file = str(name).endswith(".tax")
        found: list[Ontology] = []
        for path in [str(name)] if file else self._candidates(str(name), source):
            for o in self._sound(path):
                if (file or _is(o.dataset, str(name))) and (source is None or _is(o.source, source)):
                    found.append(o)
        if not file and not any(o.dataset is not o.source for o in found):
            found += self._inherited(str(name), source)
        # A file that has a map is asked for its map; its sources' own labels are asked for by name.
        found = [o for o in found if o.dataset is not o.source] or found
        if len(found) == 1:
            return found[0]
        if found:
            choice = ", ".join(
                f"{o.dataset.name} {o.dataset.version} -> {o.source.name} {o.source.version}" for o in found
            )
            several = len({(o.dataset.name, o.dataset.version) for o in found}) > 1
            how = "say which with `--source` (`source=` in Python)"
            if several and not file:
                how = f'name the version, e.g. `"{found[0].dataset.name} {found[0].dataset.version}"`'
            elif not file:
                how += ", or give the file's path"
            raise TaxonomyError(f"`{name}` has several maps: {choice}; {how}")
        target = f" to `{source}`" if source else ""
        if file and not source:
            raise TaxonomyError(
                f"`{name}` has no map; write `dataset NAME v1 -> SOURCE v1` and a relation for each class,"
                " or a `map` section"
            )
        self._no_path(str(name))
        raise TaxonomyError(f"there is no map from `{name}`{target}{self._hint(str(name), source)}")

    def alone(self, name: str | Path) -> Source | Dataset:
        """A dataset (else a source) by itself, whatever its maps say.

        Args:
            name: as for `ontology`. A file with a map only stands for the dataset that it maps.

        Raises:
            TaxonomyError: it does not exist, there are several, or its classes have errors.
        """
        file = str(name).endswith(".tax")
        known = [e for e in self.entries() if e.kind != "map" and _is(e, str(name))]
        known = [e for e in known if e.kind == "dataset"] or known
        found: dict[tuple[str, str], Source | Dataset] = {}
        for path in [str(name)] if file else dict.fromkeys(str(e.path) for e in known):
            declared = self.declared(path)
            # What the names and relations of maps have wrong (2xx, 3xx) does not concern the classes.
            found_here = [d for d in self.check(path).errors if not d.code.startswith(("TAX2", "TAX3"))]
            self._refuse(path, found_here or (declared.diagnostics if declared.taxonomies else []))
            for t in declared.taxonomies or [o.dataset for o in self.check(path).resolved.ontologies]:
                if file or _is(t, str(name)):
                    found.setdefault((t.name, t.version), t)  # the first on the search path wins
        datasets: list[Source | Dataset] = [t for t in found.values() if isinstance(t, Dataset)]
        datasets = datasets or list(found.values())
        if not datasets:
            self._no_path(str(name))
        if len(datasets) != 1:
            names = ", ".join(f"`{t.name} {t.version}`" for t in datasets)
            what = f"stands for {names}; name one" if names else f"is no taxonomy{self._hint(str(name), None)}"
            raise TaxonomyError(f"`{name}` {what}")
        return datasets[0]

    def _candidates(self, name: str, source: str | None) -> list[str]:
        hits: dict[tuple[str, ...], str] = {}  # the first on the search path wins
        for e in self.entries():
            if _is(e, name) and (e.kind == "source" or (e.source and source in (None, e.source, e.source_text))):
                key = (e.version, e.source, e.source_version) if e.source else (e.version,)
                hits.setdefault(key, str(e.path))
        return list(dict.fromkeys(hits.values()))

    def _inherited(self, name: str, source: str | None) -> list[Ontology]:
        """The maps that a dataset without any has from the dataset that it extends."""
        found: dict[tuple[str, ...], Ontology] = {}
        for e in [e for e in self.entries() if e.kind == "dataset" and _is(e, name)]:
            dataset = next((t for t in self.declared(str(e.path)).taxonomies if _is(t, f"{e.name} {e.version}")), None)
            if not isinstance(dataset, Dataset):
                continue
            for base in dataset.extends:
                maps = [x for x in self.entries() if (x.name, x.version) == base and x.source]
                for x in maps:
                    key = (e.version, x.source, x.source_version)
                    if key in found or source not in (None, x.source, x.source_text):
                        continue
                    origin = self.map(base, (x.source, x.source_version), str(e.path))
                    if origin:
                        found[key] = self._derive(dataset, origin)
                if maps:
                    break
        return list(found.values())

    def _derive(self, dataset: Dataset, base: Ontology) -> Ontology:
        files = dict.fromkeys((dataset.span.file, *dataset.bases, *base.files))
        self._refuse(dataset.span.file, [d for f in files for d in self.check(f).errors])
        rows = inherited(base, dataset, ())
        own = [c.name for i, c in enumerate(dataset.classes) if i not in {r.cls for r in rows}]
        if own:
            raise TaxonomyError(
                f"`{dataset.name}` has the map of `{base.dataset.name}` to `{base.source.name}`, which does not know"
                f" {', '.join(f'`{c}`' for c in own)}; write `map {dataset.name} {dataset.version} ->"
                f" {base.source.name} {base.source.version}` and a row for each of them"
            )
        return Ontology(dataset=dataset, source=base.source, rows=tuple(rows), span=dataset.span, files=tuple(files))

    def _sound(self, path: str) -> list[Ontology]:
        analysis = self.check(path)
        ontologies = list(analysis.resolved.ontologies)
        files = dict.fromkeys([path, *(f for o in ontologies for f in o.files)])
        self._refuse(path, [d for f in files for d in self.check(f).errors])
        ontologies += [identity(t) for t in analysis.resolved.taxonomies if isinstance(t, Source)]
        return ontologies

    def _refuse(self, path: str, found: list[Diagnostic]) -> None:
        errors = [d for d in found if d.severity == "error"]
        if errors:
            from lsu_onto.reporting.findings import full

            raise TaxonomyError(f"`{path}` has errors\n{full(errors, self.texts)}", errors)

    def _no_path(self, name: str) -> None:
        """Refuse a path that exists and stands for no taxonomy."""
        there = os.path.exists(name)  # noqa: PTH110 (a name may be too long for a path: Path raises)
        if not there or any(_is(e, name) for e in self.entries()):
            return
        wanted = "expected the name of a taxonomy or a `.tax` file; `lsu_onto.load` also takes a compiled `.npz`"
        if Path(name).is_dir():
            what = "a folder"
            wanted += ". `--path` (`paths=` in Python) adds the taxonomies of a folder"
        else:
            what = "compiled" if name.endswith(".npz") else "a file of another kind"
        raise TaxonomyError(f"`{name}` is {what}: {wanted}")

    def _hint(self, name: str, source: str | None) -> str:
        entries = list(self.entries())
        sources = sorted({e.source for e in entries if _is(e, name) and e.source})
        if sources and source:
            return f"; there are maps to {', '.join(f'`{s}`' for s in sources)}"
        if any(_is(e, name) and e.kind == "dataset" for e in entries):
            return "; write one: `map NAME VERSION -> SOURCE VERSION` and a row for each class"
        close = did_you_mean(name, {e.name for e in entries})
        return f"; did you mean `{close}`?" if close else "; `lsu-onto list` shows what there is"


def identity(source: Source) -> Ontology:
    """A source as its own dataset: labels that are stored as channels. Every class equals itself."""
    rows = []
    for i, c in enumerate(source.classes):
        target = Target(text=c.name, channels=(i,), kind="name", span=c.span)
        relation = Relation(op="=", targets=(target,), note="", span=c.span)
        rows.append(MapRow(cls=i, relations=(relation,), decision=None, note="", span=c.span))
    return Ontology(dataset=source, source=source, rows=tuple(rows), span=source.span, files=(source.span.file,))


def _without_map(s: ast.Statement) -> ast.Statement:
    """A statement of a dataset without what it says of its source."""
    if isinstance(s, ast.Header) and s.kind == "dataset":
        return s._replace(target=None)
    return s._replace(relations=(), decision=None) if isinstance(s, ast.ClassLine) else s


def _is(t: Entry | Taxonomy, wanted: str) -> bool:
    """Whether it has this name, or this name and version."""
    return wanted in (t.name, f"{t.name} {t.version}")


def _key(taxon: ast.Taxon) -> tuple[str, str]:
    return taxon.name.text, taxon.version.text


def _damaged(file: ast.File, found: list[Diagnostic]) -> frozenset[int]:
    """The lines that could not be read. Without the edition they can, unless nothing says that it is a `.tax` file."""
    plain = any(isinstance(s, ast.Header) for s in file.statements)
    return frozenset(d.span.line for d in found if d.severity == "error" and not (plain and d.code == "TAX004"))


def here(path: str) -> Span:
    """The first character of a file, for findings that have no better place."""
    return Span(path, 1, 1, 2)
