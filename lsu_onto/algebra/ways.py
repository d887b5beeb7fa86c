"""From the names of taxonomies to the maps that lead from one to the next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lsu_onto.algebra.facts import Step
from lsu_onto.diagnostics import did_you_mean
from lsu_onto.errors import UserError
from lsu_onto.library.find import identity
from lsu_onto.library.library import Library
from lsu_onto.library.names import file_and_name, is_called, spaced
from lsu_onto.library.searchpath import Entry
from lsu_onto.ontology.model import Ontology, Source, Taxonomy


class WayError(UserError):
    """There is no map between two taxonomies, or there are several; the message says what to name instead."""


def way(library: Library, names: Sequence[str]) -> list[Step]:
    """The maps from the first dataset through each taxonomy to the last source.

    From a source to another leads the dataset that has all of its classes, each by `=`, and a map to the other:
    from the source Vistas to Cityscapes, the dataset Vistas.

    Raises:
        TaxonomyError: a name stands for nothing, or for a file with errors. WayError: there is no such way.
    """
    last = _need_source(library, names[-1])
    first, *rest = [*map(spaced, names[1:-1]), f"{last.name} {last.version}"]
    steps = [Step(library.ontology(names[0], _exactly(library, first)))]
    for name in rest:
        steps += _next(library, steps[-1].end, name)
    return _joined(steps, last)


def way_between(library: Library, source: str, names: Sequence[str]) -> list[Step]:
    """The maps from the channels of a source through each taxonomy that is named; the last one is a source.

    Raises:
        TaxonomyError, WayError: as for `way`.
    """
    first, last = _need_source(library, source), _need_source(library, names[-1])
    steps = [Step(identity(first))]
    if names == [names[-1]] and (first.name, first.version) == (last.name, last.version):
        need_same(first, last)
        return steps
    for name in [*map(spaced, names[:-1]), f"{last.name} {last.version}"]:
        steps += _next(library, steps[-1].end, name)
    return _joined(steps, last)


def _joined(steps: list[Step], last: Source) -> list[Step]:
    """The steps, of which each begins where the one before ends, and the last ends at the source that is meant."""
    for step, start in zip(steps, [*(step.start for step in steps[1:]), last], strict=True):
        need_same(step.end, start)
    return steps


def need_same(a: Taxonomy, b: Taxonomy) -> None:
    """Refuse two taxonomies of one name that differ: each file refers to what lies nearest to it.

    Raises:
        WayError: their classes differ.
    """
    if a.signature != b.signature:
        raise WayError(
            f"`{a.name} {a.version}` has other classes in `{a.span.file}` than in `{b.span.file}`; take one out, or"
            " give it another version"
        )


def _exactly(library: Library, name: str) -> str:
    """The name and version of a source that is given by its file; any other name as it is."""
    source = library.source(name) if file_and_name(name)[0] else None
    return f"{source.name} {source.version}" if source else name


def _need_source(library: Library, name: str) -> Source:
    source = library.source(name)
    if source:
        return source
    if any(is_called(e, spaced(name)) for e in _entries(library)):
        raise WayError(f"`{name}` is a dataset, and the last name is that of the source that the map leads to")
    close = did_you_mean(name, {e.name for e in _entries(library) if e.kind == "source"})
    raise WayError(
        f"there is no source `{name}`; "
        + (f"did you mean `{close}`?" if close else "`lsu-onto list` shows what there is; `--path DIR` adds a folder")
    )


def _next(library: Library, at: Taxonomy, name: str) -> list[Step]:
    """From a taxonomy to the next that is named."""
    if not isinstance(at, Source):
        return [Step(library.ontology(f"{at.name} {at.version}", _exactly(library, name)))]
    other = library.source(name)
    if other is None:  # a dataset: its map to this source, backwards
        return [Step(library.ontology(name, f"{at.name} {at.version}"), backwards=True)]
    if (other.name, other.version) == (at.name, at.version):
        raise WayError(f"`{name}` follows on itself; name each taxonomy once")
    both = [key for key in _datasets(library, at) if key in _datasets(library, other)]
    maps = [library.ontology(f"{name} {version}", f"{at.name} {at.version}") for name, version in both]
    bridges = [o for o in maps if is_bridge(o)]
    named = [b for b in bridges if b.dataset.name == at.name] or bridges
    if len(named) == 1:
        bridge = named[0]
        dataset = f"{bridge.dataset.name} {bridge.dataset.version}"
        return [Step(bridge, backwards=True), Step(library.ontology(dataset, f"{other.name} {other.version}"))]
    between = f"from the source `{at.name} {at.version}` to `{other.name} {other.version}`"
    if named:
        choice = ", ".join(f"`{b.dataset.name}@{b.dataset.version}`" for b in named)
        raise WayError(f"several datasets lead {between}: {choice}; name one of them between the two")
    candidates = [f"`{n}@{v}`" for n, v in both]
    raise WayError(
        f"no dataset leads {between}: none has all of its classes, each by `=`, and a map to both"
        + (f"; name one between the two that has a part of them: {', '.join(candidates)}" if candidates else "")
    )


def is_bridge(o: Ontology) -> bool:
    """Whether the dataset of a map has all classes of the source, each by `=`."""
    k = len(o.source.classes)
    return k == sum(op == "=" for row in o.rows for op in row.meaning(k).channels.values())


def _datasets(library: Library, source: Source) -> Iterable[tuple[str, str]]:
    """Name and version of the datasets that have a map of their own to a source."""
    wanted = (source.name, source.version)
    return dict.fromkeys((e.name, e.version) for e in _entries(library) if (e.source, e.source_version) == wanted)


def _entries(library: Library) -> Iterator[Entry]:
    """The headers on the search path and in the current folder."""
    return library.entries(Path())
