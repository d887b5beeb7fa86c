"""The start of the pipe: from a name or path to the one ontology or taxonomy that is meant, or a refusal."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lsu_onto.diagnostics import Diagnostic, did_you_mean
from lsu_onto.library.errors import TaxonomyError
from lsu_onto.library.inheritance import InheritedMap, inherited_maps
from lsu_onto.library.names import file_and_name, is_called, resolve_name, spaced
from lsu_onto.library.pipe import check, declared, differing
from lsu_onto.library.searchpath import Entry
from lsu_onto.library.workspace import Workspace
from lsu_onto.ontology.model import Dataset, MapRow, Ontology, Relation, Source, Target, Taxonomy


class SeveralMapsError(TaxonomyError):
    """A name has several maps. `source` is the identity of the one source that has the name, too."""

    def __init__(self, message: str, source: Ontology | None) -> None:
        super().__init__(message)
        self.source = source


class IncompleteMapError(TaxonomyError):
    """The map of a base does not know all classes of a dataset."""


def find_ontology(workspace: Workspace, name: str, source: str | None) -> Ontology:
    """The ontology of a dataset: see `Library.ontology`."""
    workspace, name = resolve_name(workspace, name)
    source = source and spaced(source)
    file, which = file_and_name(name)
    matches: dict[tuple[str, ...], Ontology] = {}
    for path in [file] if file else _candidates(workspace, name, source):
        for o in _without_errors(workspace, path):
            if _is_meant(o.dataset, file, which) and (source is None or is_called(o.source, source)):
                matches.setdefault(_pair(o), o)
    if all(o.dataset is o.source for o in matches.values()):
        for o in _inherited_maps(workspace, file, which, source):
            matches.setdefault(_pair(o), o)
    # A file with a map means its map; the labels of its sources are asked for by name.
    chosen = [o for o in matches.values() if o.dataset is not o.source] or list(matches.values())
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        sources = [o for o in matches.values() if o.dataset is o.source]
        raise SeveralMapsError(_several_maps(name, chosen, file), sources[0] if len(sources) == 1 else None)
    target = f" to `{source}`" if source else ""
    if file:
        named = [
            *declared(workspace, file).taxonomies,
            *(o.dataset for o in check(workspace, file).resolved.ontologies),
        ]
        if which and not any(_is_meant(t, file, which) for t in named):
            raise TaxonomyError(f"`{file}` has no dataset `{which}`; {_declares(workspace, file)}")
        raise TaxonomyError(f"`{file}` has no map{target}; {_hint_for_file(workspace, file, which)}")
    _refuse_other_paths(workspace, name)
    raise TaxonomyError(f"there is no map from `{name}`{target}{_hint(workspace, name, source)}")


def find_alone(workspace: Workspace, name: str, kinds: Sequence[str] = ("dataset", "source")) -> Source | Dataset:
    """A taxonomy of the first of some kinds that has it, by itself: see `Library.alone`."""
    workspace, name = resolve_name(workspace, name)
    file, which = file_and_name(name)
    entries = [e for e in workspace.search.entries() if e.kind in kinds and is_called(e, name)]
    entries = [e for e in entries if e.kind == kinds[0]] or entries
    matches: dict[tuple[str, str], Source | Dataset] = {}
    for path in [file] if file else _files(workspace, name, (e.taxonomy for e in entries)):
        analysis, resolved = check(workspace, path), declared(workspace, path)
        for t in resolved.taxonomies or [o.dataset for o in analysis.resolved.ontologies]:
            if _kind(t) in kinds and _is_meant(t, file, which):
                _refuse_errors(workspace, path, _errors_of_classes(workspace, [path, t.span.file, *t.bases]))
                matches.setdefault((t.name, t.version), t)  # the first on the search path wins
        if not resolved.taxonomies and not analysis.resolved.ontologies:
            _refuse_errors(workspace, path, analysis.errors)
    choice = [t for t in matches.values() if _kind(t) == kinds[0]] or list(matches.values())
    if len(choice) == 1:
        return choice[0]
    if choice:
        names = ", ".join(f"`{t.name} {t.version}`" for t in choice)
        raise TaxonomyError(f"`{name}` stands for {names}; name one{_example(file, choice)}")
    if file:
        no = f"no {kinds[0]}{f' `{which}`' if which else ''}"
        raise TaxonomyError(f"`{file}` has {no}; {_declares(workspace, file)}")
    _refuse_other_paths(workspace, name)
    raise TaxonomyError(f"`{name}` is no taxonomy{_hint(workspace, name, None)}")


def _kind(t: Source | Dataset) -> str:
    return "dataset" if isinstance(t, Dataset) else "source"


def _errors_of_classes(workspace: Workspace, files: Iterable[str]) -> Iterator[Diagnostic]:
    """The errors of files but for those in the names and relations of maps (2xx, 3xx)."""
    for file in dict.fromkeys(files):
        resolved = declared(workspace, file)
        of_maps = [d for d in check(workspace, file).errors if not d.code.startswith(("TAX2", "TAX3"))]
        yield from of_maps or (resolved.diagnostics if resolved.taxonomies else ())


def _is_meant(t: Entry | Taxonomy, file: str, which: str) -> bool:
    """Whether it is called so; in a file, its version says enough, and no name means all."""
    return is_called(t, which) or (bool(file) and which in ("", t.version))


def _pair(o: Ontology) -> tuple[str, ...]:
    """What it maps to what. The identity of a source is no map, whatever a dataset of that name has."""
    kind = "identity" if o.dataset is o.source else "map"
    return kind, o.dataset.name, o.dataset.version, o.source.name, o.source.version


def _files(workspace: Workspace, name: str, keys: Iterable[tuple[str, ...]]) -> list[str]:
    """For each key, the file of the first root that declares it. Refuses what several files there say differently."""
    files: dict[str, None] = {}
    for key in dict.fromkeys(keys):
        entries = workspace.search.nearest(None, key)
        other = differing(workspace, entries, key)
        if other:
            both = f"`{entries[0].path}` and `{other.file}`"
            raise TaxonomyError(f"{both} both declare `{name}`, differently; give the path of one, or take one out")
        files.update(dict.fromkeys(str(e.path) for e in entries[:1]))
    return list(files)


def _candidates(workspace: Workspace, name: str, source: str | None) -> list[str]:
    """The files that may hold the map of a dataset, or the source of that name."""
    return _files(
        workspace,
        name,
        (
            e.map if e.source else e.taxonomy
            for e in workspace.search.entries()
            if is_called(e, name) and (e.kind == "source" or (e.source and source in (None, e.source, e.source_text)))
        ),
    )


def _without_errors(workspace: Workspace, path: str) -> list[Ontology]:
    """The maps of a file and the identities of its sources. Refuses files with errors."""
    files = (f for o in check(workspace, path).resolved.ontologies for f in o.files)
    _refuse_errors_of(workspace, path, [path, *files])
    resolved = check(workspace, path).resolved
    return [*resolved.ontologies, *(identity(t) for t in resolved.taxonomies if isinstance(t, Source))]


def identity(source: Source) -> Ontology:
    """A source as its own dataset: labels that are stored as channels. Every class equals itself."""
    rows = []
    for i, c in enumerate(source.classes):
        target = Target(text=c.name, channels=(i,), kind="name", span=c.span)
        relation = Relation(op="=", targets=(target,), note="", span=c.span)
        rows.append(MapRow(cls=i, relations=(relation,), decision=None, note="", span=c.span))
    return Ontology(dataset=source, source=source, rows=tuple(rows), span=source.span, files=(source.span.file,))


# --- maps of the dataset that one extends -------------------------------------------------------------------


def _inherited_maps(workspace: Workspace, file: str, name: str, source: str | None) -> list[Ontology]:
    """The maps that the datasets of a name, in a file if there is one, have from the datasets that they extend."""
    entries = list(workspace.search.entries(Path(file).parent if file else None))
    called = [e for e in entries if e.kind == "dataset" and _is_meant(e, file, name)]
    called = [e for e in called if not file or e.path == Path(file)]
    matches: dict[tuple[str, ...], Ontology] = {}
    incomplete: list[TaxonomyError] = []
    for e in dict.fromkeys(called):
        taxonomies = declared(workspace, str(e.path)).taxonomies
        dataset = next((t for t in taxonomies if is_called(t, f"{e.name} {e.version}")), None)
        if not isinstance(dataset, Dataset):
            continue
        for each in inherited_maps(workspace, dataset):
            if _pair(each.map) not in matches and (source is None or is_called(each.map.source, source)):
                _refuse_errors(workspace, str(e.path), [each.problem] if each.problem else [])
                try:
                    _refuse_incomplete(workspace, each)
                    matches[_pair(each.map)] = each.map
                except IncompleteMapError as error:
                    incomplete.append(error)
    keys = {(e.name, e.version) for e in called}
    if incomplete and not matches and (source or not any(x.source and (x.name, x.version) in keys for x in entries)):
        raise incomplete[0]
    return list(matches.values())


def _refuse_incomplete(workspace: Workspace, inherited: InheritedMap) -> None:
    """Refuse an inherited map if a file that it uses has errors, or if it does not know all classes."""
    o, base = inherited.map, inherited.base.dataset
    _refuse_errors_of(workspace, o.dataset.span.file, o.files)
    mapped = {r.cls for r in o.rows}
    missing = [c.name for i, c in enumerate(o.dataset.classes) if i not in mapped]
    if missing:
        raise IncompleteMapError(
            f"`{o.dataset.name}` has the map of `{base.name}` to `{o.source.name}`, which does not know"
            f" {', '.join(f'`{c}`' for c in missing)}; write `map {o.dataset.name} {o.dataset.version} ->"
            f" {o.source.name} {o.source.version}` and a row for each of them"
        )


# --- refusals -----------------------------------------------------------------------------------------------


def _refuse_errors_of(workspace: Workspace, path: str, files: Iterable[str]) -> None:
    """Refuse `path` if it or one of the files that it uses has errors."""
    _refuse_errors(workspace, path, [d for f in dict.fromkeys(files) for d in check(workspace, f).errors])


def _refuse_errors(workspace: Workspace, path: str, findings: Iterable[Diagnostic]) -> None:
    errors = [d for d in findings if d.severity == "error"]
    if errors:
        from lsu_onto.reporting.findings import full

        raise TaxonomyError(f"`{path}` has errors\n{full(errors, workspace.texts)}", errors)


def _several_maps(name: str, matches: list[Ontology], file: str) -> str:
    choice = ", ".join(f"{o.dataset.name} {o.dataset.version} -> {o.source.name} {o.source.version}" for o in matches)
    if len({(o.dataset.name, o.dataset.version) for o in matches}) > 1:
        how = f"name {'one' if file else 'the version'}{_example(file, [o.dataset for o in matches])}"
    else:
        how = "say which with `--source` (`source=` in Python)"
        if not file:
            how += ", or give the file's path"
    return f"`{name}` has several maps: {choice}; {how}"


def _example(file: str, choice: Sequence[Taxonomy]) -> str:
    """How to name the first of several datasets."""
    first = choice[0]
    short = bool(file) and len({t.version for t in choice}) == len(choice)
    which = first.version if short else f"{first.name} {first.version}"
    return f', e.g. `"{file} {which}"`' if file else f', e.g. `"{which}"`'


def _refuse_other_paths(workspace: Workspace, name: str) -> None:
    """Refuse a path that exists but is not a taxonomy."""
    exists = os.path.exists(name)  # noqa: PTH110 (a name may be too long for a path: Path raises)
    if not exists or any(is_called(e, name) for e in workspace.search.entries()):
        return
    expected = "expected the name of a taxonomy or a `.tax` file; `lsu_onto.load` also takes a compiled `.npz`"
    if Path(name).is_dir():
        what = "a folder"
        expected += ". `--path` (`paths=` in Python) adds the taxonomies of a folder"
    else:
        what = "compiled" if name.endswith(".npz") else "a file of another kind"
    raise TaxonomyError(f"`{name}` is {what}: {expected}")


def _declares(workspace: Workspace, file: str) -> str:
    """What a file declares, in words."""
    names = ", ".join(f"`{t.name} {t.version}`" for t in declared(workspace, file).taxonomies)
    return f"it declares {names}" if names else "it declares no taxonomy"


def _hint_for_file(workspace: Workspace, file: str, name: str) -> str:
    """What to do if a file does not have the requested map: it may be in another file, or to another source."""
    own = check(workspace, file).resolved.ontologies
    datasets = [t for t in declared(workspace, file).taxonomies if isinstance(t, Dataset)]
    if not any(_is_meant(t, file, name) for t in [*datasets, *(o.dataset for o in own)]):
        return _declares(workspace, file)
    entries = list(workspace.search.entries(Path(file).parent))
    sources = sorted({o.source.name for o in [*own, *_inherited_maps(workspace, file, name, None)]})
    has = f"it has maps to {', '.join(f'`{s}`' for s in sources)}" if sources else ""
    for t in datasets:
        others = sorted({e.source for e in entries if (e.name, e.version) == (t.name, t.version)} - {"", *sources})
        if others:
            named = (
                f"name the dataset, `{t.name}`, for those that other files have: {', '.join(f'`{o}`' for o in others)}"
            )
            return f"{has}; {named}" if has else named
    return has or "write `dataset NAME v1 -> SOURCE v1` and a relation for each class, or a `map` section"


def _hint(workspace: Workspace, name: str, source: str | None) -> str:
    """What to do if a name does not have the requested map."""
    entries = list(workspace.search.entries())
    sources = sorted({e.source for e in entries if is_called(e, name) and e.source})
    if sources and source:
        here = Workspace(workspace.search.roots, workspace.edited, here=Path()).search.entries()
        for e in here:
            if is_called(e, name) and source in (e.source, e.source_text):
                return f'; `{e.path}` has one, and `--path .` (`paths=["."]` in Python) searches this folder'
        return f"; there are maps to {', '.join(f'`{s}`' for s in sources)}"
    if any(is_called(e, name) and e.kind == "dataset" for e in entries):
        return "; write one: `map NAME VERSION -> SOURCE VERSION` and a row for each class"
    other = list(dict.fromkeys(f"`{e.name} {e.version}`" for e in entries if e.name == name.partition(" ")[0]))
    if other:
        return f"; there {'are' if len(other) > 1 else 'is'} {', '.join(other)}"
    close = did_you_mean(name, {e.name for e in entries})
    advice = "`lsu-onto list` shows what there is, `--path` (`paths=` in Python) adds a folder"
    return f"; did you mean `{close}`?" if close else f"; {advice}"
