"""The search path: which file declares what. Only headers are read; the files are not parsed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_HEADER = re.compile(
    r"^[ \t]*(source|dataset|map)[ \t]+(\w+)[ \t]+(v[\d.]+)(?:[ \t]*->[ \t]*(\w+)[ \t]+(v[\d.]+))?",
    re.MULTILINE,
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
    todo = [Path(folder)]
    while todo:  # what is linked comes last, so that a folder is known under its own path
        for here, folders, files in os.walk(todo.pop(0), onerror=None if closed is None else closed.append):
            identity = _identity(here)
            if identity is None or identity in seen:
                folders.clear()
                continue
            seen.add(identity)
            folders[:] = sorted(f for f in folders if enter(f))
            todo += [path for f in folders if (path := Path(here, f)).is_symlink()]
            found += [Path(here, f) for f in files if f.endswith(".tax")]
    return sorted(found)


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
        roots: folders searched with their subfolders.
        edited: path → text that counts instead of the file on disk, which need not exist. The dictionary may
            change; `forget` must then be called.
    """

    def __init__(self, roots: Iterable[Path], edited: dict[str, str]) -> None:
        self.roots = list(roots)
        self.edited = edited
        self._headers: dict[str, list[Entry]] = {}
        self._indexed: dict[tuple[Path, bool], list[Entry]] = {}

    def entries(self, beside: Path | None = None) -> Iterator[Entry]:
        """Every header on the search path; the files beside `beside` first, then in the order of the roots."""
        if beside:
            yield from self._index(beside, False)
        for root in self.roots:
            yield from self._index(root, True)

    def _index(self, folder: Path, recursive: bool) -> list[Entry]:
        key = (folder, recursive)
        if key not in self._indexed:
            files = set(files_below(folder) if recursive else folder.glob("*.tax"))
            open_ = map(Path, self.edited)
            files |= {f for f in open_ if f.parent == folder or (recursive and f.is_relative_to(folder))}
            self._indexed[key] = [e for f in sorted(files) for e in self._entries_of(f)]
        return self._indexed[key]

    def _entries_of(self, file: Path) -> list[Entry]:
        path = str(file)
        if path not in self._headers:
            text = self.edited[path] if path in self.edited else _text(file) if file.is_file() else ""
            headers = (Entry(m[1], m[2], m[3], m[4] or "", m[5] or "", file) for m in _HEADER.finditer(text))
            self._headers[path] = list(headers)
        return self._headers[path]

    def forget(self, path: str) -> bool:
        """Read the headers of a file again. Returns whether they changed, so that any name may mean something else."""
        before = self._headers.pop(path, None)
        changed = before != self._entries_of(Path(path))
        if changed:
            self._indexed.clear()
        return changed


def _text(file: Path) -> str:
    """The text of a file, for the index. A file that cannot be read declares nothing."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
