"""The files of a library on the disk, and which of them have changed: a library itself reads each of them once.

It looks at the files instead of being told. That needs no library, works on every file system, and costs what it takes
to ask for the state of some hundred files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable
from pathlib import Path

from lsu_onto.library.library import Library
from lsu_onto.library.searchpath import files_below, files_in

_REST = 0.25
"""Seconds between two looks."""

_SHARE = 20
"""At most one part in so many of the time is spent looking, however many files there are."""

_QUIET = 0.05
"""Seconds without a change after which a file is taken for saved: editors write, rename and touch."""

_SETTLED = 2.0
"""Seconds after which a file that never comes to rest is read all the same."""

_COARSE_NS = 20_000_000
"""By how much the clock of a file system may be behind."""

_Stamp = tuple[int, int, int, int]


class Disk:
    """What the files look like that a library may read: those of its search path, and those beside what it has read.

    Args:
        library: forgets what changes.
        named: files whose neighbours count as well, whether or not they are there.
    """

    def __init__(self, library: Library, named: Collection[str] = ()) -> None:
        self.library = library
        self.named = named
        self._stamps: dict[str, _Stamp] = {}
        self._folders: set[Path] = set()
        self._looked = 0

    def files(self) -> set[str]:
        """Every file that a name may refer to, and its neighbours; those that are named need not be there."""
        found = {str(f) for root in self.library.workspace.search.roots for f in files_below(root)}
        for folder in self._neighbourhood():
            found |= {str(f) for f in files_in(folder)}
        return {f for f in found if os.path.isfile(f)} | set(self.named)  # noqa: PTH113 (it may be closed: Path raises)

    def look(self, others: Iterable[str] = ()) -> list[str]:
        """The files that have changed, appeared or disappeared since the last look. The library forgets them.

        Args:
            others: files that are not read by the library.
        """
        began = time.time_ns() - _COARSE_NS
        folders = self._neighbourhood()
        now = stamps({*self.files(), *others})
        changed = {path for path in now.keys() | self._stamps.keys() if now.get(path) != self._stamps.get(path)}
        for path in changed:
            if path not in self.library.workspace.edited:
                self.library.forget(path)
        # What is seen for the first time, because something beside it was read, has not changed.
        known = [
            path
            for path in changed
            if path in self._stamps or Path(path).parent in self._folders or max(now[path][:2]) > self._looked
        ]
        self._stamps, self._folders, self._looked = now, folders, began
        return sorted(known)

    def wait(self, others: Collection[str] = ()) -> list[str]:
        """Wait until files change and come to rest again, and return them."""
        rest = 0.0
        while True:
            time.sleep(rest)
            began = time.monotonic()
            changed = dict.fromkeys(self.look(others))
            while changed and time.monotonic() < began + _SETTLED:
                time.sleep(_QUIET)
                more = self.look(others)
                if not more:
                    break
                changed.update(dict.fromkeys(more))
            if changed:
                return list(changed)
            rest = max(_REST, _SHARE * (time.monotonic() - began))

    def _neighbourhood(self) -> set[Path]:
        return {Path(p).parent for p in (*self.library.texts, *self.named)}


def stamps(paths: Iterable[str]) -> dict[str, _Stamp]:
    """What the files look like that are there."""
    return {path: stamp for path in paths if (stamp := _stamp(path))}


def _stamp(path: str) -> _Stamp | None:
    """What tells a file from what it was: a rename brings another number, and a `touch -r` another change of state."""
    try:
        stat = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino
