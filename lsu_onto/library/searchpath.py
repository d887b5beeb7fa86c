"""The search path: which file declares what. Only headers are read; the files are not parsed."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lsu_onto.files import is_folder

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


def shipped() -> Path:
    """The folder of the taxonomies that are shipped with the package."""
    package = Path(__file__).parents[1]
    return next(p for p in (package / "taxonomies", package.parent / "taxonomies") if p.is_dir())


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
        found += [Path(e.path) for e in inside if e.name.endswith(".tax") and not is_folder(e)]
        linked += [e.path for e in reversed(folders) if e.is_symlink() and enter(e.name)]
        todo += [e.path for e in folders if not e.is_symlink() and enter(e.name)]
    return sorted(found)


def files_in(folder: str | Path) -> list[Path]:
    """What is called `.tax` in a folder; nothing if that cannot be read: an editor names any folder."""
    try:
        return [path for path in Path(folder).iterdir() if path.name.endswith(".tax")]
    except OSError:
        return []


def _identity(folder: str) -> tuple[int, int] | None:
    """What a folder has in common with the links to it; None if it is gone by now."""
    try:
        stat = os.stat(folder)  # noqa: PTH116
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


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
        self._headers: dict[str, tuple[list[Entry], list[Entry]]] = {}
        self._listed: dict[tuple[Path, bool], list[Path]] = {}
        self._indexed: dict[tuple[Path, bool | None], dict[Key, list[Entry]]] = {}

    def entries(self, beside: Path | None = None) -> Iterator[Entry]:
        """Every header on the search path; the files beside `beside` first, then in the order of the roots."""
        yield from (e for file in self._files(beside) for e in self._entries_of(file)[0])

    def unreadable(self, beside: Path) -> Iterator[Entry]:
        """The lines that begin like a header and go on like none, in the same order: prose, or mistakes."""
        yield from (e for file in self._files(beside) for e in self._entries_of(file)[1])

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
            below = files_below(folder) if recursive else files_in(folder)
            files = {folder} if os.path.isfile(folder) else set(below)  # noqa: PTH113 (it may be closed: Path raises)
            open_ = map(Path, self.edited)
            files |= {f for f in open_ if f.parent == folder or (recursive and f.is_relative_to(folder))}
            self._listed[key] = sorted(files)
        return self._listed[key]

    def _index(self, place: Path, recursive: bool | None) -> dict[Key, list[Entry]]:
        """The headers of a folder, with or without its subfolders, by what they declare; None: of a file."""
        if (place, recursive) not in self._indexed:
            index = self._indexed[place, recursive] = {}
            for file in [place] if recursive is None else self._listing(place, recursive):
                for e in self._entries_of(file)[0]:
                    for key in (e.taxonomy, e.map):
                        index.setdefault(key, []).append(e)
        return self._indexed[place, recursive]

    def _entries_of(self, file: Path) -> tuple[list[Entry], list[Entry]]:
        """The headers of a file, and the lines that only begin like one."""
        path = str(file)
        if path not in self._headers:
            text = self.edited[path] if path in self.edited else _text(file)
            whole: list[Entry] = []
            other: list[Entry] = []
            for m in _HEADER.finditer(text):
                fits = m["whole"] is not None and (m[1] == "dataset" or bool(m[4]) == (m[1] == "map"))
                (whole if fits else other).append(Entry(m[1], m[2], m[3], m[4] or "", m[5] or "", file))
            self._headers[path] = whole, other
        return self._headers[path]

    def forget(self, path: str) -> bool:
        """Read the headers of a file again. Returns whether they changed, so that any name may mean something else."""
        before = self._headers.pop(path, None)
        changed = before != self._entries_of(Path(path))
        if changed:
            self._listed.clear()
            self._indexed.clear()
        return changed


def _text(file: Path) -> str:
    """The text of a file, for the index. What cannot be read, or is no file, declares nothing."""
    try:
        return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    except OSError:
        return ""
