"""The open documents of an editor, and the library that reads them instead of the files on disk."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from lsu_onto.library.disk import Disk
from lsu_onto.library.fixing import fix
from lsu_onto.library.library import Library
from lsu_onto.library.pipe import Analysis
from lsu_onto.library.searchpath import files_below
from lsu_onto.settings import Settings, find_settings

_NOT_OURS = {"node_modules", "__pycache__", "site-packages"}
_MANY = 10_000
"""Folders that are looked into: an editor may have a whole disk open."""


class Session:
    """Open documents over the search path.

    Args:
        paths: folders searched before the shipped library.
    """

    def __init__(self, paths: Iterable[str | Path] = ()) -> None:
        self.folders: list[Path] = []
        """The folders of the editor: searched for references, but not on the search path, as in `validate`."""
        self.open: dict[str, str] = {}
        """Path → its address in the editor."""
        self.say: Callable[[str], None] = lambda message: None
        """Shows a message to the user."""
        self._said: list[Path] = []
        self.given = list(paths)
        self._start(Settings(), {})

    def find_settings(self) -> bool:
        """Read the settings of the first folder that has any, and say whether they have changed.

        Raises:
            SettingsError: they contain a mistake. The previous ones stay in use.
        """
        found = (find_settings(folder) for folder in self.folders)
        settings = next((s for s in found if s.file), Settings())
        changed = settings != self.settings
        if changed:
            self._start(settings, self.library.workspace.edited)
        return changed

    def search(self, paths: Iterable[str | Path]) -> None:
        """Search more folders."""
        self.given += paths
        self._start(self.settings, self.library.workspace.edited)

    def _start(self, settings: Settings, texts: Mapping[str, str]) -> None:
        """Start afresh, with the documents that are open."""
        self.settings = settings
        self.paths = list(dict.fromkeys(Path(p).absolute() for p in (*self.given, *settings.paths)))
        self.library = Library(self.paths, dict(texts.items()), settings.silenced)
        self._lines: dict[str, tuple[str, list[str]]] = {}
        self._disk = Disk(self.library, self.open)
        self._looked = 0.0
        self._rest = 0.0

    def edit(self, path: str, uri: str, text: str) -> None:
        self.open[path] = uri
        self.library.edit(path, text)
        self.look()

    def close(self, path: str) -> None:
        self.open.pop(path, None)
        self.library.edit(path, None)
        self.look()

    def check(self, path: str) -> Analysis:
        return self.library.check(path)

    def without_safe_findings(self, path: str) -> str:
        """The text of a document after the fixes that keep its meaning. The document stays as it is."""
        before = self.library.workspace.edited.get(path)
        try:
            fixed = fix(self.library, [path], unsafe=False)
        finally:
            self.library.edit(path, before)
        return fixed.texts[path][1].removeprefix("\ufeff") if fixed.texts else self.text(path)

    def text(self, path: str) -> str:
        self.library.workspace.parsed(path)
        return self.library.texts[path].removeprefix("\ufeff")

    def lines(self, path: str) -> list[str]:
        """The lines of a text, which are asked for once for each place in an answer."""
        self.library.workspace.parsed(path)
        text = self.library.texts[path]
        known = self._lines.get(path)
        if known is None or known[0] is not text:
            known = self._lines[path] = text, text.removeprefix("\ufeff").split("\n")
        return known[1]

    def look(self, now: bool = False) -> None:
        """Look for files that have changed, appeared or disappeared.

        Without `now` this happens at most once a second, and less often if it takes long.
        """
        start = time.monotonic()
        if not now and start - self._looked < self._rest:
            return
        self._disk.look()
        self._looked = time.monotonic()
        self._rest = max(1.0, 50 * (self._looked - start))

    def everywhere(self) -> list[str]:
        """The `.tax` files of the search path and of the editor's folders, and the open documents.

        Of folders with very many subfolders, not all are looked into, which is said once.
        """
        self.look(now=True)
        paths = self._disk.files()
        for folder in self.folders:
            left = _MANY

            def enter(name: str) -> bool:
                nonlocal left
                ours = not name.startswith(".") and name not in _NOT_OURS
                left -= ours
                return ours and left >= 0

            files = files_below(folder, enter=enter)
            paths |= {str(f) for f in files if os.path.isfile(f)}  # noqa: PTH113 (it may be closed: Path raises)
            if left < 0 and folder not in self._said:
                self._said.append(folder)
                self.say(
                    f"`{folder}` has more than {_MANY} folders: references and names are looked for in some of them"
                    " only. Open the folder of your project"
                )
        return sorted(paths)

    def owns(self, path: str) -> bool:
        """Whether a file belongs to the user: it is open, or lies in an open folder or one added to the search path.

        What is installed somewhere below such a folder, as where `/` is open, is not.
        """
        file = Path(path)
        folders = [f for f in (*self.folders, *self.paths) if file.is_relative_to(f)]
        return path in self.open or any(_NOT_OURS.isdisjoint(file.relative_to(f).parts) for f in folders)
