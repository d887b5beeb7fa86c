"""The search path: which file declares what. Only headers are read; the files are not parsed."""

from __future__ import annotations

import os
import re
import stat
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from lsu_onto.diagnostics import closest
from lsu_onto.errors import UserError
from lsu_onto.files import TAX_LIMIT, is_folder

_VERSION = r"v\d+(?:\.\d+)*(?![\w.]|-(?!>))"
_HEADER = re.compile(
    rf"^[ \t]*(source|dataset|map)[ \t]+([A-Za-z_]\w*)[ \t]+({_VERSION})"
    rf"(?:[ \t]*->[ \t]*([A-Za-z_]\w*)[ \t]+({_VERSION}))?(?P<whole>[ \t]*(?:#(?:[ \t].*)?)?\r?$)?",
    re.MULTILINE | re.ASCII,
)


@dataclass(frozen=True)
class Entry:
    """A header found on the search path."""

    kind: str
    name: str
    version: str
    source: str
    source_version: str
    path: Path

    @property
    def source_text(self) -> str:
        return f"{self.source} {self.source_version}"

    @property
    def taxonomy(self) -> Key:
        """What it declares, unless it is the header of a map."""
        return self.kind, self.name, self.version

    @property
    def map(self) -> Key:
        """The map that it starts; the source is empty if it starts none."""
        return self.name, self.version, self.source, self.source_version


Key = tuple[str, ...]

_path = lru_cache(maxsize=1024)(Path)
"""A path that knows its text and its parts from the last time, for each of the files that every library lists."""


class Headers(NamedTuple):
    """What a file declares, and its lines that only begin like a header: prose, or mistakes."""

    whole: tuple[Entry, ...] = ()
    other: tuple[Entry, ...] = ()


def shipped() -> Path:
    """The folder of the taxonomies that are shipped with the package.

    Raises:
        UserError: it is missing.
    """
    package = Path(__file__).parents[1]
    for folder in (package / "taxonomies", package.parent / "taxonomies"):
        if folder.is_dir():
            return folder
    archive = next((folder for folder in package.parents if folder.is_file()), None)
    if archive:
        raise UserError(f"the taxonomies are in the archive `{archive}`: install it, or unpack it")
    raise UserError(f"the shipped taxonomies are missing in `{package}`: install the package again")


def files_below(
    folder: str | Path, closed: list[OSError] | None = None, enter: Callable[[str], bool] = lambda name: True
) -> list[Path]:
    """What is called `.tax` in a folder and its subfolders, in order. Linked folders count, and each folder once.

    Args:
        folder: where to start.
        closed: takes the errors of folders that cannot be read.
        enter: whether a subfolder of this name is looked into.
    """
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    todo, linked = [os.fspath(folder)], deque[str]()
    while todo or linked:  # what is linked comes last, so that a folder is known under its own path
        here = todo.pop() if todo else linked.popleft()
        identity = _identity(here)
        if identity is None or identity in seen:
            continue
        seen.add(identity)
        try:  # not `os.walk`, which before Python 3.12 goes no deeper than the stack
            with os.scandir(here) as entries:
                inside = sorted(entries, key=lambda e: e.name)
        except OSError as error:
            if closed is not None:
                closed.append(error)
            continue
        folders = [e for e in reversed(inside) if is_folder(e)]
        found += [_path(e.path) for e in inside if e.name.endswith(".tax") and not is_folder(e)]
        linked += [e.path for e in reversed(folders) if e.is_symlink() and enter(e.name)]
        todo += [e.path for e in folders if not e.is_symlink() and enter(e.name)]
    return sorted(found)


def files_in(folder: str | Path) -> list[Path]:
    """What is called `.tax` in a folder; nothing if that cannot be read: an editor names any folder."""
    try:
        return [path for path in Path(folder).iterdir() if path.name.endswith(".tax")]
    except (OSError, ValueError):
        return []


def _identity(folder: str) -> tuple[int, int] | None:
    """What a folder has in common with the links to it; None if it is gone by now."""
    try:
        stat = os.stat(folder)  # noqa: PTH116
    except (OSError, ValueError):  # no folder is called so
        return None
    return stat.st_dev, stat.st_ino


class Known:
    """Headers by what they declare. A file may refer to thousands that are not among them.

    Args:
        entries: the headers, the nearest first.
        unreadable: the lines that only begin like one.
    """

    def __init__(self, entries: Iterable[Entry], unreadable: Iterable[Entry]) -> None:
        self.named: dict[Key, list[Entry]] = {}
        """Kind and name → its headers."""
        self.sources: dict[Key, dict[tuple[str, str], None]] = {}
        """Name and version → the sources to which there are maps."""
        self.almost: dict[Key, Entry] = {}
        """`Entry.taxonomy` → the first line that begins like its header."""
        self._lowered: dict[str, dict[str, str]] = {}
        self._meant: dict[Key, str | None] = {}
        for e in dict.fromkeys(entries):
            self.named.setdefault((e.kind, e.name), []).append(e)
            self._lowered.setdefault(e.kind, {})[e.name.lower()] = e.name
            if e.source:
                self.sources.setdefault((e.name, e.version), {})[e.source, e.source_version] = None
        for e in unreadable:
            self.almost.setdefault(e.taxonomy, e)

    def meant(self, kind: str, name: str) -> str | None:
        """The name that was most likely meant by one that there is not."""
        if (kind, name) not in self._meant:
            self._meant[kind, name] = closest(name, self._lowered.get(kind, {}), 60)
        return self._meant[kind, name]


class SearchPath:
    """Folders with `.tax` files. A file's own folder comes first, then the roots in their order.

    Args:
        roots: folders searched with their subfolders, or files.
        edited: path → text that counts instead of the file on disk, which need not exist. The dictionary may
            change; `forget` must then be called.
        here: a folder that is searched last, without its subfolders.
    """

    def __init__(self, roots: Iterable[Path], edited: dict[str, str], here: Path | None = None) -> None:
        self.roots = list(roots)
        self.here = here
        self.edited = edited
        self._headers: dict[str, Headers] = {}
        self._listed: dict[tuple[Path, bool], list[Path]] = {}
        self._indexed: dict[tuple[Path, bool | None], dict[Key, list[Entry]]] = {}
        self._known: dict[Path, Known] = {}

    def entries(self, beside: Path | None = None) -> Iterator[Entry]:
        """Every header on the search path; the files beside `beside` first, then in the order of the roots."""
        yield from (e for file in self._files(beside) for e in self._entries_of(file).whole)

    def unreadable(self, beside: Path) -> Iterator[Entry]:
        """The lines that begin like a header and go on like none, in the same order: prose, or mistakes."""
        yield from (e for file in self._files(beside) for e in self._entries_of(file).other)

    def known(self, beside: Path) -> Known:
        """What there is beside `beside` and on the search path, for references to what there is not."""
        if beside not in self._known:
            self._known[beside] = Known(self.entries(beside), self.unreadable(beside))
        return self._known[beside]

    def nearest(self, file: str | None, key: Key) -> list[Entry]:
        """The headers with a key (`Entry.taxonomy` or `Entry.map`), one a file, of the first place that has any: the
        file that refers to it, the file's folder, each root. Without a file only the roots are searched."""
        places: list[tuple[Path, bool | None]] = [(root, True) for root in self.roots]
        places += [(self.here, False)] if self.here else []
        if file is not None:
            places = [(Path(file), None), (Path(file).parent, False), *places]
        found = next((entries for place in places if (entries := self._index(*place).get(key))), ())
        first: dict[Path, Entry] = {}
        for e in found:
            first.setdefault(e.path, e)
        return list(first.values())

    def _files(self, beside: Path | None) -> Iterator[Path]:
        yield from self._listing(beside, False) if beside else ()
        for root in self.roots:
            yield from self._listing(root, True)
        yield from self._listing(self.here, False) if self.here else ()

    def _listing(self, folder: Path, recursive: bool) -> list[Path]:
        key = (folder, recursive)
        if key not in self._listed:
            below = files_below(folder) if recursive else sorted(files_in(folder))
            files = [folder] if os.path.isfile(folder) else below  # noqa: PTH113 (it may be closed: Path raises)
            edited = map(Path, self.edited)
            open_ = [f for f in edited if f.parent == folder or (recursive and f.is_relative_to(folder))]
            self._listed[key] = sorted({*files, *open_}) if open_ else files
        return self._listed[key]

    def _index(self, place: Path, recursive: bool | None) -> dict[Key, list[Entry]]:
        """The headers of a folder, with or without its subfolders, by what they declare; None: of a file."""
        if (place, recursive) not in self._indexed:
            index = self._indexed[place, recursive] = {}
            for file in [place] if recursive is None else self._listing(place, recursive):
                for e in self._entries_of(file).whole:
                    for key in (e.taxonomy, e.map):
                        index.setdefault(key, []).append(e)
        return self._indexed[place, recursive]

    def _entries_of(self, file: Path) -> Headers:
        path = str(file)
        if path not in self._headers:
            edited = self.edited.get(path)
            self._headers[path] = _on_disk(file) if edited is None else _headers(edited, file)
        return self._headers[path]

    def forget(self, path: str) -> bool:
        """Read the headers of a file again. Returns whether they changed, so that any name may mean something else."""
        before = self._headers.pop(path, None)
        changed = before != self._entries_of(Path(path))
        if changed:
            self._listed.clear()
            self._indexed.clear()
            self._known.clear()
        return changed


def _headers(text: str, file: Path) -> Headers:
    whole: list[Entry] = []
    other: list[Entry] = []
    for m in _HEADER.finditer(text):
        fits = m["whole"] is not None and (m[1] == "dataset" or bool(m[4]) == (m[1] == "map"))
        (whole if fits else other).append(Entry(m[1], m[2], m[3], m[4] or "", m[5] or "", file))
    return Headers(tuple(whole), tuple(other))


_SETTLED_NS = 2_000_000_000
"""How old a change must be for the next one to have another time, on any file system: FAT counts two seconds."""

_seen: dict[str, tuple[tuple[int, ...], Headers]] = {}
"""Path → what the file looked like when it was read, and what was found. Programs load from the same hundred files many
times, each time with a new library."""


def _on_disk(file: Path) -> Headers:
    """The headers of a file. What cannot be read, or is no file, declares nothing."""
    path, now = str(file), time.time_ns()
    try:
        status = os.stat(path)  # noqa: PTH116
        looks = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        before = _seen.get(path)
        if before and before[0] == looks:
            return before[1]
        is_tax = stat.S_ISREG(status.st_mode) and status.st_size <= TAX_LIMIT
        text = file.read_text(encoding="utf-8", errors="replace") if is_tax else ""
    except (OSError, ValueError):  # ValueError: no file is called so
        return Headers()
    found = _headers(text, file)
    if max(looks[-2:]) < now - _SETTLED_NS:
        _seen[path] = looks, found
    return found
