"""List files: which images belong to a split, one a line, with or without their labels."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath


class ListError(ValueError):
    """A list file that cannot be used. The message names it, the line and the remedy."""


def read_list(
    path: Path, root: Path, images: Iterable[Path], labels: Iterable[Path]
) -> dict[Path, Path | None]:
    """The listed images, each with its label where the line has one.

    Blank lines, CRLF, a byte order mark and spaces around a path are tolerated. A path may begin anywhere below the
    root, and may lack its suffix.

    Raises:
        ListError: unreadable, an entry that is not there or could be several files, or one that stands twice.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ListError(f"{path}: cannot be read ({error.strerror}); check `list:` and the split") from error
    except UnicodeDecodeError as error:
        raise ListError(f"{path}: not UTF-8 text at byte {error.start}; expected one path a line") from error
    left, right = _Tails(images, root), _Tails(labels, root)
    out: dict[Path, Path | None] = {}
    first: dict[Path, int] = {}
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.strip().replace("\\", "/")
        if not entry:
            continue
        found = _read(entry, left, right)
        if found is None:
            problems.append(f"{path}:{number}: `{entry}` is no image of this folder")
        elif len(found[0]) > 1:
            several = ", ".join(str(p.relative_to(root)) for p in found[0][:3])
            problems.append(f"{path}:{number}: `{entry}` could be {several}; write more of the path")
        elif found[0][0] in first:
            problems.append(
                f"{path}:{number}: `{entry}` stands there twice (first in line {first[found[0][0]]})"
            )
        else:
            first[found[0][0]] = number
            out[found[0][0]] = found[1]
    if problems:
        shown = "\n  ".join(problems[:10])
        raise ListError(f"{path}: {len(problems)} entries cannot be used, e.g.\n  {shown}")
    if not out:
        raise ListError(f"{path}: the list is empty; expected one path a line")
    return out


def _read(entry: str, images: _Tails, labels: _Tails) -> tuple[list[Path], Path | None] | None:
    """One line: an image, or an image and its label with white space, a comma or a semicolon between them."""
    if alone := images.find(entry):
        return alone, None
    for gap in re.finditer(r"\s*[\s,;]\s*", entry):  # paths may have spaces: the split that names two files
        image, label = images.find(entry[: gap.start()]), labels.find(entry[gap.end() :])
        if image and len(label) == 1:
            return image, label[0]
    return None


class _Tails:
    """Finds files by the end of their path, with or without suffix."""

    def __init__(self, files: Iterable[Path], root: Path) -> None:
        self.files = [(f, PurePosixPath(f.relative_to(root).as_posix())) for f in files]
        self.suffixes = {name.suffix for _, name in self.files}
        self._tables: dict[tuple[int, bool], dict[tuple[str, ...], list[Path]]] = {}

    def find(self, entry: str) -> list[Path]:
        parts = tuple(p for p in entry.split("/") if p not in ("", "."))
        if not parts:
            return []
        return self._table(len(parts), True).get(parts) or self._table(len(parts), False).get(parts, [])

    def _table(self, depth: int, suffix: bool) -> dict[tuple[str, ...], list[Path]]:
        if (depth, suffix) not in self._tables:
            table: dict[tuple[str, ...], list[Path]] = {}
            for file, name in self.files:
                parts = (name if suffix else name.with_suffix("")).parts
                if len(parts) >= depth:
                    table.setdefault(parts[-depth:], []).append(file)
            self._tables[depth, suffix] = table
        return self._tables[depth, suffix]
