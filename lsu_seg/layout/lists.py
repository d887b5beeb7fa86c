"""List files: which images belong to a split, one a line, with or without their labels."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from lsu_seg.errors import UserError


class ListError(UserError):
    """A list file that cannot be used. The message names it, the line and the remedy."""


def read_list(
    path: Path, root: Path, images: Iterable[Path], labels: Iterable[Path]
) -> tuple[dict[Path, Path | None], list[str]]:
    """The listed images, each with its label where the line has one, and notes for the user.

    Blank lines, CRLF, a byte order mark, spaces around a path, a header and further columns are tolerated. A path may
    begin anywhere below the root, and may lack its suffix.

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
    problems, astray = [], []
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.strip().replace("\\", "/")
        if not entry:
            continue
        image, label, has_label = _read(entry, left, right)
        if not image:
            if number > 1 or not re.fullmatch(r"[\w ]+([\t,;][\w ]+)+", entry):  # a header has no paths
                problems.append(f"{path}:{number}: `{entry}` is no image of this folder")
        elif len(image) > 1:
            several = ", ".join(str(p.relative_to(root)) for p in image[:3])
            problems.append(f"{path}:{number}: `{entry}` could be {several}; write more of the path")
        elif image[0] in first:
            problems.append(f"{path}:{number}: `{entry}` stands there twice (first in line {first[image[0]]})")
        else:
            first[image[0]] = number
            out[image[0]] = label
            astray += [number] if has_label and label is None else []
    if problems:
        shown = "\n  ".join(problems[:10])
        raise ListError(f"{path}: {len(problems)} entries cannot be used, e.g.\n  {shown}")
    if not out:
        raise ListError(f"{path}: the list is empty; expected one path a line")
    where = f"{path}: {len(astray)} labels are not where the list says (first in line"
    return out, [f"{where} {astray[0]}); those that fit `labels:` are taken"] if astray else []


def _read(entry: str, images: _Tails, labels: _Tails) -> tuple[list[Path], Path | None, bool]:
    """One line: the image, its label, and whether it names a label. Between them white space, a comma or `;`."""
    if alone := images.find(entry):
        return alone, None, False
    if re.search(r"[\t,;]", entry):  # columns: numbers among them may look like a name without its suffix
        columns = sorted(re.split(r"\s*[\t,;]\s*", entry), key=len, reverse=True)
        image = next((c for c in columns if images.find(c)), "")
        if image:
            others = [c for c in columns if c != image]
            found = next((hit for c in others if len(hit := labels.find(c)) == 1), [None])
            return images.find(image), found[0], bool(others)
    astray: list[Path] = []
    for gap in re.finditer(r"\s+", entry):  # paths may have spaces: the split that names two files
        hit, label = images.find(entry[: gap.start()]), labels.find(entry[gap.end() :])
        if hit and len(label) == 1:
            return hit, label[0], True
        astray = astray or hit
    return astray, None, bool(astray)


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
