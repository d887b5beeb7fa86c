"""The maps that a dataset has from the datasets that it extends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lsu_onto.diagnostics import Diagnostic
from lsu_onto.library.pipe import Imports
from lsu_onto.library.workspace import Workspace
from lsu_onto.ontology.model import Dataset, Ontology
from lsu_onto.ontology.resolve import inherited


class InheritedMap(NamedTuple):
    """A map that a dataset inherits.

    Attributes:
        map: the map as the dataset has it; classes that the base does not have are without a row.
        base: the map of the base.
        problem: what is wrong with its choice: several files declare the map of the base, differently.
    """

    map: Ontology
    base: Ontology
    problem: Diagnostic | None


def inherited_maps(workspace: Workspace, dataset: Dataset) -> Iterator[InheritedMap]:
    """The maps of the nearest dataset that one extends and that has any, but for those that it has itself."""
    file = dataset.span.file
    for key in dataset.extends:
        sources = workspace.search.known(Path(file).parent).sources.get(key, {})
        for source in sources:
            if workspace.search.nearest(file, (dataset.name, dataset.version, *source)):
                continue
            base, problem = Imports(workspace).map(key, source, dataset.span)
            if base:
                files = tuple(dict.fromkeys((file, *dataset.bases, *base.files)))
                rows = tuple(inherited(base, dataset, ()))
                map_ = Ontology(dataset=dataset, source=base.source, rows=rows, span=dataset.span, files=files)
                yield InheritedMap(map_, base, problem)
        if sources:
            return
