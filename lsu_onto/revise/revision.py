"""A map or a dataset with other rows, ids or notes: the new text of each file, a diff, and what it would break."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import index
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, TypeVar

from lsu_onto.changes.compare import BUCKETS, compare
from lsu_onto.changes.revisions import version
from lsu_onto.constraint.matrices import compile_ontology
from lsu_onto.diagnostics import suggest
from lsu_onto.library.library import Library, searched
from lsu_onto.ontology.model import MapRow, Ontology, Source
from lsu_onto.revise.edits import Edits, RefusedError
from lsu_onto.revise.wording import Allowed, Wording, allowed, reworded

if TYPE_CHECKING:
    from lsu_onto.constraint.arrays import Constraint


@dataclass(frozen=True)
class Revision:
    """Files with a change that is not yet written.

    Attributes:
        before, after: path → text, of every file that changes.
        constraint: what the changed files compile to.
        breaks: what `lsu-onto changes` says of the change, a line per finding.
    """

    before: dict[str, str]
    after: dict[str, str]
    constraint: Constraint
    breaks: tuple[str, ...]

    def root(self) -> Path:
        """The folder in which the diff applies: the current one if it has all files, else the one that has them."""
        here, files = Path.cwd(), [Path(f).resolve() for f in self.after]
        if all(f.is_relative_to(here) for f in files):
            return here
        return Path(os.path.commonpath([f.parent for f in files]))

    def diff(self) -> str:
        """A unified diff, for `patch -p0` or `git apply -p0` in the folder `root()`. Empty if nothing changes."""
        root = self.root() if self.after else Path()
        parts: list[str] = []
        for file, new in sorted(self.after.items()):
            path = Path(file).resolve().relative_to(root).as_posix()
            label = f"{path}\t" if " " in path else path  # as GNU diff does it
            parts += difflib.unified_diff(_lines(self.before[file]), _lines(new), label, label)
        return "".join(map(_whole, parts))


def _lines(text: str) -> list[str]:
    """Lines with their ends; only a line feed ends one."""
    return [line for line in text.replace("\n", "\n\0").split("\0") if line]


def _whole(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def rewrite(
    name: str | Path,
    source: str | None = None,
    paths: Iterable[str | Path] = (),
    *,
    rows: Mapping[str, Iterable[str]] | None = None,
    ids: Mapping[str, Iterable[int]] | None = None,
    notes: Mapping[str, str | Iterable[str]] | None = None,
) -> Revision:
    """The files of a map with other rows, ids or notes. Nothing is written.

    Everything else stays as it is, to the byte. A changed row keeps the relations that stay true; what is new gets the
    weakest relation with the same S(d). Where another row then claims all of a class that is shared now, the claim is
    weakened. A row that the dataset inherits becomes one of its own.

    Args:
        name, source, paths: as for `lsu_onto.load`, but not a compiled `.npz`.
        rows: class → its new S(d), as names of source classes and `void`.
        ids: class → its new raw values; under `encoding: rgb`, colours as numbers. None at all: it is never drawn.
        notes: class → a note on its row, or several.

    Raises:
        TaxonomyError: as for `lsu_onto.load`, or the changed files have errors.
        UserError: the change cannot be written, for instance to ids that belong to a base.

    >>> revision = rewrite("demo_town", source="demo", rows={"pavement": ["sidewalk", "grass", "void"]})
    >>> print(next(line for line in revision.diff().splitlines() if line.startswith("+2")))
    +2  pavement    #f050e0  > sidewalk ~ grass void  # walkable verges count
    >>> revision.constraint.names("pavement")
    ('sidewalk', 'grass', 'void')
    """
    folders = searched(paths)
    library = Library(folders)
    o = library.ontology(name, source)
    if o.dataset is o.source:
        raise RefusedError(f"`{name}` is a source: its rows are its channels, and cannot be changed")
    wanted = {_row(o, d): _channels(o, d, names) for d, names in _by_class("rows", rows)}
    values = {_row(o, d): _raw(d, v) for d, v in _by_class("ids", ids)}
    texts = {_row(o, d): _notes(d, n) for d, n in _by_class("notes", notes)}
    edits = Edits(library, o)
    for d, wording in sorted(_wordings(o, wanted).items()):
        edits.row(d, wording)
    for d, raw in values.items():
        edits.ids(d, raw)
    for d, lines in texts.items():
        edits.notes(d, lines)
    after = {path: page.text for path, page in edits.pages.items() if page.text != page.old}
    before = {path: library.texts[path] for path in after}
    edited: dict[str | Path, str] = dict(after.items())
    changed = Library(folders, edited)
    constraint = compile_ontology(changed.ontology(name, source), after)
    return Revision(before, after, constraint, tuple(_breaks(library, changed, after)))


_T = TypeVar("_T")


def _by_class(what: str, changes: Mapping[str, _T] | None) -> Iterable[tuple[str, _T]]:
    if not isinstance(changes, (Mapping, NoneType)):
        raise RefusedError(f"`{what}` is {changes!r}; expected a dictionary by the names of classes")
    return (changes or {}).items()


def _row(o: Ontology, name: str) -> int:
    if name not in o.dataset.by_name:
        hint = suggest(str(name), o.dataset.by_name)
        raise RefusedError(f"`{o.dataset.name}` has no class `{name}`" + (f"; {hint}" if hint else ""))
    return o.dataset.by_name[name]


def _raw(name: str, values: Iterable[int]) -> frozenset[int]:
    try:
        values = list(values)
        return frozenset(map(index, values))
    except TypeError:
        raise RefusedError(f"the ids of `{name}` are {values}; expected whole numbers") from None


def _notes(name: str, notes: str | Iterable[str]) -> list[str]:
    lines = [notes] if isinstance(notes, str) or not isinstance(notes, Iterable) else list(notes)
    if any(not isinstance(line, str) for line in lines):
        raise RefusedError(f"the note of `{name}` is {notes!r}; expected text, or a list of texts")
    return [line for line in lines if line.strip()]


def _channels(o: Ontology, name: str, names: Iterable[str]) -> Allowed:
    known = o.source.by_name | {"void": len(o.source.classes)}
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise RefusedError(f"the row of `{name}` is {names!r}; expected a list of classes: `['{names}']`")
    names = list(names)
    for n in names:
        if n not in known:
            hint = suggest(str(n), known)
            raise RefusedError(f"`{o.source.name}` has no class `{n}`" + (f"; {hint}" if hint else ""))
    if not names:
        raise RefusedError(f"`{name}` would be allowed to be nothing; say `void` to ignore it")
    return frozenset(known[n] for n in names)


def _wordings(o: Ontology, wanted: Mapping[int, Allowed]) -> dict[int, Wording]:
    """Row → its new relations: of those that change, and of those that claim all of what others get a part of."""
    rows = {r.cls: r for r in o.rows}
    new = {d: s for d, s in wanted.items() if s != allowed(rows[d], o.source)}
    wordings = {d: reworded(rows[d], s, o.source) for d, s in new.items()}
    before = {d: _holds(r, o.source) for d, r in rows.items()}
    after = before | {d: w.holds for d, w in wordings.items()}
    for d, row in rows.items():
        claimed = {c for c, op in after[d].items() if op in "=>"}
        shared = frozenset().union(*(after[e].keys() - before[e].keys() for e in new if e != d))
        if own := claimed & (after[d].keys() - before[d].keys()):  # of a group from which it was taken out
            shared |= own.intersection(frozenset().union(*(after[e] for e in rows if e != d)))
        weak = frozenset(claimed & shared)
        if weak:
            wordings[d] = reworded(row, new.get(d, allowed(row, o.source)), o.source, weak)
    return wordings


def _holds(row: MapRow, source: Source) -> Mapping[int, str]:
    """The operator with which a row holds each channel. A decision holds nothing."""
    return {} if row.decision else row.meaning(len(source.classes)).channels


def _breaks(old: Library, new: Library, files: Iterable[str]) -> list[str]:
    """What `lsu-onto changes` says of files; a map that two of them stand for is named once."""
    found = []
    for file in files:
        (before, _), (after, _) = version(old, file), version(new, file)
        found += compare(before, after)
    return list(dict.fromkeys(f"{BUCKETS[d.code]}: {d.message}" for d in found))
