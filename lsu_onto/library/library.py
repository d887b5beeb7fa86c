"""The library: a search path, and everything that can be asked of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import NoneType

from lsu_onto.diagnostics import Diagnostic, Span
from lsu_onto.errors import UserError
from lsu_onto.lang import syntax as ast
from lsu_onto.library import pipe
from lsu_onto.library.errors import TaxonomyError
from lsu_onto.library.find import find_alone, find_ontology
from lsu_onto.library.inheritance import InheritedMap, inherited_maps
from lsu_onto.library.names import file_and_name, is_called, resolve_name
from lsu_onto.library.pipe import Analysis, Imports
from lsu_onto.library.searchpath import Entry, shipped
from lsu_onto.library.workspace import Workspace
from lsu_onto.ontology.model import Dataset, Ontology, Source
from lsu_onto.ontology.resolve import Resolved

__all__ = ["Analysis", "Library", "TaxonomyError", "here", "searched"]


class Library:
    """The search path, from which every file is read once.

    Args:
        paths: folders searched (with their subfolders), or files, before the shipped library.
        texts: path → text that counts instead of the file on disk, which need not exist (editors).
        silenced: the codes of warnings and infos that are not reported of a file.
    """

    def __init__(
        self,
        paths: Iterable[str | Path] = (),
        texts: Mapping[str | Path, str] | None = None,
        silenced: Callable[[str], Collection[str]] = lambda path: (),
    ) -> None:
        edited = {str(p): text for p, text in (texts or {}).items()}
        self.workspace = Workspace([*_listed(paths), shipped()], edited, silenced=silenced)
        self.texts = self.workspace.texts
        """The text of every file that was read."""

    def entries(self, beside: Path | None = None) -> Iterator[Entry]:
        """Every header on the search path; the files beside `beside` first, then in the order of the search path."""
        return self.workspace.search.entries(beside)

    def declared(self, path: str) -> Resolved:
        """The taxonomies that a file declares, without its maps."""
        return pipe.declared(self.workspace, path)

    def check(self, path: str | Path, text: str | None = None) -> Analysis:
        """Read, parse, resolve and check one file; the findings of files that it imports are theirs.

        Never raises for what the file contains. With `text` the file on disk is not read (editors).
        """
        return pipe.check(self.workspace, str(path), text)

    def taxonomy(self, kind: str, taxon: ast.Taxon) -> tuple[Source | Dataset | None, Diagnostic | None]:
        """The taxonomy that a file refers to, or the finding that says why there is none."""
        return Imports(self.workspace).taxonomy(kind, taxon)

    def inherited_maps(self, path: str) -> list[InheritedMap]:
        """The maps that the datasets of a file have from those that they extend."""
        datasets = [t for t in self.check(path).resolved.taxonomies if isinstance(t, Dataset)]
        return [each for t in datasets for each in inherited_maps(self.workspace, t)]

    def ontology(self, name: str | Path, source: str | None = None) -> Ontology:
        """The ontology of a dataset, by name or by file.

        Args:
            name: a dataset's or source's name on the search path, with its version where there are several
                (`"vistas v2"`), or the path of a `.tax` file, with the name or version of one of its datasets where it
                has several (`"fleet.tax v2"`).
            source: the source's name (and version); needed where there are maps to several.

        Raises:
            TaxonomyError: it does not exist, the choice is ambiguous, or one of its files has errors.
        """
        if not isinstance(source, (str, NoneType)):
            raise UserError(f"`source` is {source!r}; expected the name of a source taxonomy")
        return find_ontology(self.workspace, str(name), source)

    def alone(self, name: str | Path) -> Source | Dataset:
        """A dataset (else a source) by itself, whatever its maps say.

        Args:
            name: as for `ontology`. A file with a map only stands for the dataset that it maps.

        Raises:
            TaxonomyError: it does not exist, there are several, or its classes have errors.
        """
        return find_alone(self.workspace, str(name))

    def source(self, name: str) -> Source | None:
        """A source by itself, or None if no source has this name; a path that has none is refused.

        Raises:
            TaxonomyError: there are several, its classes have errors, or the file has no source.
        """
        workspace, called = resolve_name(self.workspace, name)
        entries = workspace.search.entries()
        if not file_and_name(called)[0] and not any(e.kind == "source" and is_called(e, called) for e in entries):
            return None
        taxonomy = find_alone(workspace, called, ("source",))
        return taxonomy if isinstance(taxonomy, Source) else None

    def edit(self, path: str | Path, text: str | None) -> None:
        """Use a text instead of the file on disk, or with None the file again."""
        self.workspace.edit(str(path), text)

    def forget(self, path: str | Path) -> None:
        """Drop what is remembered of a file that has changed, appeared or disappeared, and of all files that use it."""
        self.workspace.forget(str(path))


def _listed(paths: Iterable[str | Path]) -> list[Path]:
    if isinstance(paths, (str, bytes, os.PathLike)):  # each of whose letters would be a folder, `/` among them
        raise UserError(f"`paths` is {os.fspath(paths)!r}; expected a list of folders: `[{os.fspath(paths)!r}]`")
    given = list(paths) if isinstance(paths, Iterable) else paths
    if not isinstance(given, list) or any(not isinstance(p, (str, os.PathLike)) for p in given):
        raise UserError(f"`paths` is {given!r}; expected a list of folders: `['taxonomies']`")
    return [Path(p) for p in given]


def searched(paths: Iterable[str | Path]) -> list[Path]:
    """The folders and files that a caller names, each of which must be there: in place of what is not found, a shipped
    taxonomy of the same name would be taken.

    Raises:
        UserError: one is not there, or this is no list of paths.
    """
    folders = _listed(paths)
    for folder in folders:
        if not os.path.exists(folder):  # noqa: PTH110 (Path raises)
            raise UserError(f"`paths` has `{folder}`, which is not there; expected folders, or `.tax` files")
    return folders


def here(path: str) -> Span:
    """The first character of a file, for findings that have no better place."""
    return Span(path, 1, 1, 2)
