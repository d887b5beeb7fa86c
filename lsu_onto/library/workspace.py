"""The memory beside the pipe: texts, syntax trees and results of files, and which file uses which.

The pipe stores its results here, so that every step is done once per file. An editor changes texts here; only what uses
a changed file is done again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from lsu_onto.diagnostics import Diagnostic
from lsu_onto.lang import syntax as ast
from lsu_onto.lang.parse import Lines, parse, read
from lsu_onto.library.searchpath import SearchPath

T = TypeVar("T")


class Parsed(NamedTuple):
    """The syntax tree of a file."""

    file: ast.File
    findings: list[Diagnostic]
    damaged: frozenset[int]
    """The lines that could not be read."""


class Workspace:
    """Files as they are on disk or in an editor, and the results of the pipe for them.

    Args:
        roots: folders searched with their subfolders, in this order.
        edited: path → text that counts instead of the file on disk, which need not exist. `edit` changes it.
        here: a folder that is searched last, without its subfolders.
        silenced: the codes of warnings and infos that are not reported of a file.
    """

    def __init__(
        self,
        roots: Iterable[Path],
        edited: dict[str, str],
        here: Path | None = None,
        silenced: Callable[[str], Collection[str]] = lambda path: (),
    ) -> None:
        self.edited = edited
        self._silenced = silenced
        self.search = SearchPath(roots, edited, here)
        self.texts: dict[str, str] = {}
        """The text of every file that was read."""
        self._lines: dict[str, Lines] = {}
        self._parsed: dict[str, Parsed] = {}
        self._results: dict[str, dict[Hashable, Any]] = {}
        self._users: dict[str, set[str]] = {}
        self._running: list[tuple[str, Hashable]] = []

    # --- texts and results ----------------------------------------------------------------------------

    def parsed(self, path: str, text: str | None = None) -> Parsed:
        """The syntax tree of a file. With `text` the file on disk is not read."""
        if path not in self._parsed:
            problem, on_disk = None, False
            if text is None:
                text = self.edited.get(path)
            if text is None:
                text, problem = read(path)
                on_disk = True
            self.texts[path] = text
            lines = self._lines.setdefault(path, {})
            if problem:
                file, findings = ast.File(path, "", ()), [problem]
            elif on_disk and not lines:
                file, kept, read_before = _parsed_before(path, text)
                findings = list(kept)
                lines.update(read_before)
            else:
                file, findings = parse(path, text, lines)
            self._parsed[path] = Parsed(file, findings, _damaged(file, findings))
        return self._parsed[path]

    def once(self, path: str, step: Hashable, make: Callable[[], T]) -> T:
        """The result of a step for a file. `make` is called the first time, and again once the file was forgotten."""
        results = self._results.setdefault(path, {})
        if step not in results:
            self._running.append((path, step))
            try:
                results[step] = make()
            finally:
                self._running.pop()
        result: T = results[step]
        return result

    def knows(self, path: str, step: Hashable) -> bool:
        """Whether a step of a file has a result."""
        return step in self._results.get(path, ())

    def uses(self, path: str) -> None:
        """Note that all running steps use this file."""
        self._users.setdefault(path, set()).update(user for user, _ in self._running)

    def reported(self, findings: Iterable[Diagnostic]) -> list[Diagnostic]:
        """Findings without those that a note or a project's settings silence.

        Errors cannot be silenced: what `load` compiles must keep every rule.
        """

        def silent(d: Diagnostic) -> bool:
            allowed = self.parsed(d.span.file).file.allowed.get(d.span.line, ())
            return d.code in allowed or d.code in self._silenced(d.span.file)

        return [d for d in findings if d.severity == "error" or not silent(d)]

    # --- changes --------------------------------------------------------------------------------------

    def edit(self, path: str, text: str | None) -> None:
        """Use a text instead of the file on disk, or with None the file again."""
        if text is None:
            self.edited.pop(path, None)
        else:
            self.edited[path] = text
        self.forget(path)

    def forget(self, path: str) -> None:
        """Drop the results for a file that has changed, appeared or disappeared, and for all files that use it."""
        self._parsed.pop(path, None)
        if self.search.forget(path):  # any name may mean another file now
            self._results.clear()
            self._users.clear()
        stale, todo = set(), [path]
        while todo:
            user = todo.pop()
            if user not in stale:
                stale.add(user)
                todo += self._users.get(user, ())
        for user in stale:
            self._results.pop(user, None)


@lru_cache(maxsize=256)
def _parsed_before(path: str, text: str) -> tuple[ast.File, tuple[Diagnostic, ...], Lines]:
    """The syntax tree of this very text: programs load the same files many times, each time with a new library.

    Of all shipped files, and some: who looks through them in turn finds none in a cache that is a little too small.
    """
    lines: Lines = {}
    file, findings = parse(path, text, lines)
    return file, tuple(findings), lines


def _damaged(file: ast.File, findings: list[Diagnostic]) -> frozenset[int]:
    """The lines that could not be read. Without the edition they can, unless nothing says that it is a `.tax` file."""
    plain = any(isinstance(s, ast.Header) for s in file.statements)
    return frozenset(d.span.line for d in findings if d.severity == "error" and not (plain and d.code == "TAX004"))
