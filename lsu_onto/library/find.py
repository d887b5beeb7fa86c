"""The start of the pipe: from a name or path to the one ontology or taxonomy that is meant, or a refusal."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from lsu_onto.diagnostics import Diagnostic, did_you_mean
from lsu_onto.library.errors import TaxonomyError
from lsu_onto.library.pipe import Imports, check, declared
from lsu_onto.library.searchpath import Entry
from lsu_onto.library.workspace import Workspace
from lsu_onto.ontology.model import Dataset, MapRow, Ontology, Relation, Source, Target, Taxonomy
from lsu_onto.ontology.resolve import inherited


def find_ontology(workspace: Workspace, name: str, source: str | None) -> Ontology:
    """The ontology of a dataset: see `Library.ontology`."""
    is_file = name.endswith(".tax")
    matches = [
        o
        for path in ([name] if is_file else _candidates(workspace, name, source))
        for o in _without_errors(workspace, path)
        if (is_file or _is_called(o.dataset, name)) and (source is None or _is_called(o.source, source))
    ]
    if not is_file and all(o.dataset is o.source for o in matches):
        matches += _inherited_maps(workspace, name, source)
    # A file with a map means its map; the labels of its sources are asked for by name.
    matches = [o for o in matches if o.dataset is not o.source] or matches
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise _several_maps(name, matches, is_file)
    if is_file and not source:
        raise TaxonomyError(
            f"`{name}` has no map; write `dataset NAME v1 -> SOURCE v1` and a relation for each class,"
            " or a `map` section"
        )
    _refuse_other_paths(workspace, name)
    target = f" to `{source}`" if source else ""
    raise TaxonomyError(f"there is no map from `{name}`{target}{_hint(workspace, name, source)}")


def find_alone(workspace: Workspace, name: str) -> Source | Dataset:
    """A dataset (else a source) by itself: see `Library.alone`."""
    is_file = name.endswith(".tax")
    entries = [e for e in workspace.search.entries() if e.kind != "map" and _is_called(e, name)]
    entries = [e for e in entries if e.kind == "dataset"] or entries
    matches: dict[tuple[str, str], Source | Dataset] = {}
    for path in [name] if is_file else dict.fromkeys(str(e.path) for e in entries):
        analysis, resolved = check(workspace, path), declared(workspace, path)
        # Errors in the names and relations of maps (2xx, 3xx) do not concern the classes.
        of_classes = [d for d in analysis.errors if not d.code.startswith(("TAX2", "TAX3"))]
        _refuse_errors(workspace, path, of_classes or (resolved.diagnostics if resolved.taxonomies else []))
        for t in resolved.taxonomies or [o.dataset for o in analysis.resolved.ontologies]:
            if is_file or _is_called(t, name):
                matches.setdefault((t.name, t.version), t)  # the first on the search path wins
    datasets: list[Source | Dataset] = [t for t in matches.values() if isinstance(t, Dataset)]
    datasets = datasets or list(matches.values())
    if len(datasets) == 1:
        return datasets[0]
    if datasets:
        names = ", ".join(f"`{t.name} {t.version}`" for t in datasets)
        raise TaxonomyError(f"`{name}` stands for {names}; name one")
    _refuse_other_paths(workspace, name)
    raise TaxonomyError(f"`{name}` is no taxonomy{_hint(workspace, name, None)}")


def _is_called(t: Entry | Taxonomy, name: str) -> bool:
    """Whether it has this name, or this name and version."""
    return name in (t.name, f"{t.name} {t.version}")


def _candidates(workspace: Workspace, name: str, source: str | None) -> list[str]:
    """The files that may hold the map of a dataset, or the source of that name."""
    matches: dict[tuple[str, ...], str] = {}  # the first on the search path wins
    for e in workspace.search.entries():
        if _is_called(e, name) and (e.kind == "source" or (e.source and source in (None, e.source, e.source_text))):
            key = (e.version, e.source, e.source_version) if e.source else (e.version,)
            matches.setdefault(key, str(e.path))
    return list(dict.fromkeys(matches.values()))


def _without_errors(workspace: Workspace, path: str) -> list[Ontology]:
    """The maps of a file and the identities of its sources. Refuses files with errors."""
    resolved = check(workspace, path).resolved
    _refuse_errors_of(workspace, path, [path, *(f for o in resolved.ontologies for f in o.files)])
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


def _inherited_maps(workspace: Workspace, name: str, source: str | None) -> list[Ontology]:
    """The maps that a dataset without its own has from the dataset that it extends."""
    entries = list(workspace.search.entries())
    matches: dict[tuple[str, ...], Ontology] = {}
    for e in entries:
        if e.kind != "dataset" or not _is_called(e, name):
            continue
        taxonomies = declared(workspace, str(e.path)).taxonomies
        dataset = next((t for t in taxonomies if _is_called(t, f"{e.name} {e.version}")), None)
        if not isinstance(dataset, Dataset):
            continue
        for base in dataset.extends:
            maps = [x for x in entries if (x.name, x.version) == base and x.source]
            for x in maps:
                key = (e.version, x.source, x.source_version)
                if key in matches or source not in (None, x.source, x.source_text):
                    continue
                origin = Imports(workspace).map(base, (x.source, x.source_version), str(e.path))
                if origin:
                    matches[key] = _inherit(workspace, dataset, origin)
            if maps:
                break
    return list(matches.values())


def _inherit(workspace: Workspace, dataset: Dataset, base: Ontology) -> Ontology:
    files = tuple(dict.fromkeys((dataset.span.file, *dataset.bases, *base.files)))
    _refuse_errors_of(workspace, dataset.span.file, files)
    rows = inherited(base, dataset, ())
    mapped = {r.cls for r in rows}
    missing = [c.name for i, c in enumerate(dataset.classes) if i not in mapped]
    if missing:
        raise TaxonomyError(
            f"`{dataset.name}` has the map of `{base.dataset.name}` to `{base.source.name}`, which does not know"
            f" {', '.join(f'`{c}`' for c in missing)}; write `map {dataset.name} {dataset.version} ->"
            f" {base.source.name} {base.source.version}` and a row for each of them"
        )
    return Ontology(dataset=dataset, source=base.source, rows=tuple(rows), span=dataset.span, files=files)


# --- refusals -----------------------------------------------------------------------------------------------


def _refuse_errors_of(workspace: Workspace, path: str, files: Iterable[str]) -> None:
    """Refuse `path` if it or one of the files that it uses has errors."""
    _refuse_errors(workspace, path, [d for f in dict.fromkeys(files) for d in check(workspace, f).errors])


def _refuse_errors(workspace: Workspace, path: str, findings: Iterable[Diagnostic]) -> None:
    errors = [d for d in findings if d.severity == "error"]
    if errors:
        from lsu_onto.reporting.findings import full

        raise TaxonomyError(f"`{path}` has errors\n{full(errors, workspace.texts)}", errors)


def _several_maps(name: str, matches: list[Ontology], is_file: bool) -> TaxonomyError:
    choice = ", ".join(f"{o.dataset.name} {o.dataset.version} -> {o.source.name} {o.source.version}" for o in matches)
    first = matches[0].dataset
    several_datasets = len({(o.dataset.name, o.dataset.version) for o in matches}) > 1
    if several_datasets and not is_file:
        how = f'name the version, e.g. `"{first.name} {first.version}"`'
    else:
        how = "say which with `--source` (`source=` in Python)"
        if not is_file:
            how += ", or give the file's path"
    return TaxonomyError(f"`{name}` has several maps: {choice}; {how}")


def _refuse_other_paths(workspace: Workspace, name: str) -> None:
    """Refuse a path that exists but is not a taxonomy."""
    exists = os.path.exists(name)  # noqa: PTH110 (a name may be too long for a path: Path raises)
    if not exists or any(_is_called(e, name) for e in workspace.search.entries()):
        return
    expected = "expected the name of a taxonomy or a `.tax` file; `lsu_onto.load` also takes a compiled `.npz`"
    if Path(name).is_dir():
        what = "a folder"
        expected += ". `--path` (`paths=` in Python) adds the taxonomies of a folder"
    else:
        what = "compiled" if name.endswith(".npz") else "a file of another kind"
    raise TaxonomyError(f"`{name}` is {what}: {expected}")


def _hint(workspace: Workspace, name: str, source: str | None) -> str:
    """What to do if a name does not have the requested map."""
    entries = list(workspace.search.entries())
    sources = sorted({e.source for e in entries if _is_called(e, name) and e.source})
    if sources and source:
        return f"; there are maps to {', '.join(f'`{s}`' for s in sources)}"
    if any(_is_called(e, name) and e.kind == "dataset" for e in entries):
        return "; write one: `map NAME VERSION -> SOURCE VERSION` and a row for each class"
    close = did_you_mean(name, {e.name for e in entries})
    return f"; did you mean `{close}`?" if close else "; `lsu-onto list` shows what there is"
