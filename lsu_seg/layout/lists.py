"""List files, which name the images of a split, one per line, with or without their labels."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from lsu_onto import open_to_read
from lsu_seg.errors import UserError


class ListError(UserError):
    """A list file that cannot be used. The message names it, the line and the remedy."""


def read_list(
    path: Path, root: Path, images: Iterable[Path], labels: Iterable[Path]
) -> tuple[dict[Path, Path | None], list[str]]:
    """The listed images, each with its label if the line has one, and notes for the user.

    Blank lines, CRLF, a byte order mark, spaces around a path, a header and further columns are accepted. A path may
    begin anywhere below the root, and may lack its suffix.

    Raises:
        ListError: the file is unreadable, or an entry matches no file, matches several files, or is a duplicate.
    """
    try:
        with open_to_read(path) as file:
            text = file.read().decode("utf-8-sig")
    except OSError as error:
        raise ListError(f"{path}: cannot be read ({error.strerror}); check `list:` and the split") from error
    except UnicodeDecodeError as error:
        raise ListError(f"{path}: not UTF-8 text at byte {error.start}; expected one path a line") from error
    image_index, label_index = _SuffixIndex(images, root), _SuffixIndex(labels, root)
    out: dict[Path, Path | None] = {}
    first: dict[Path, int] = {}
    problems, misplaced = [], []
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.strip().replace("\\", "/")
        if not entry:
            continue
        matches, label, has_label = _read(entry, image_index, label_index)
        if not matches:
            if number > 1 or not re.fullmatch(r"[\w ]+([\t,;][\w ]+)+", entry):  # a header has no paths
                problems.append(f"{path}:{number}: `{entry}` is no image of this folder")
        elif len(matches) > 1:
            candidates = ", ".join(str(p.relative_to(root)) for p in matches[:3])
            problems.append(f"{path}:{number}: `{entry}` could be {candidates}; write more of the path")
        elif matches[0] in first:
            problems.append(f"{path}:{number}: `{entry}` stands there twice (first in line {first[matches[0]]})")
        else:
            first[matches[0]] = number
            out[matches[0]] = label
            misplaced += [number] if has_label and label is None else []
    if problems:
        shown = "\n  ".join(problems[:10])
        raise ListError(f"{path}: {len(problems)} entries cannot be used, e.g.\n  {shown}")
    if not out:
        raise ListError(f"{path}: the list is empty; expected one path a line")
    note = f"{path}: {len(misplaced)} labels are not where the list says (first in line"
    return out, [f"{note} {misplaced[0]}); those that fit `labels:` are taken"] if misplaced else []


def _read(entry: str, images: _SuffixIndex, labels: _SuffixIndex) -> tuple[list[Path], Path | None, bool]:
    """The image, its label, and whether the line names a label; white space, a comma or `;` separates the two."""
    if whole_line := images.find(entry):
        return whole_line, None, False
    if re.search(r"[\t,;]", entry):  # columns, of which numbers may look like a name without its suffix
        columns = sorted(re.split(r"\s*[\t,;]\s*", entry), key=len, reverse=True)
        image = next((c for c in columns if images.find(c)), "")
        if image:
            others = [c for c in columns if c != image]
            label = next((matches[0] for c in others if len(matches := labels.find(c)) == 1), None)
            return images.find(image), label, bool(others)
    without_label: list[Path] = []
    for gap in re.finditer(r"\s+", entry):  # paths may contain spaces: take the first gap between two known files
        image_matches, label_matches = images.find(entry[: gap.start()]), labels.find(entry[gap.end() :])
        if image_matches and len(label_matches) == 1:
            return image_matches, label_matches[0], True
        without_label = without_label or image_matches
    return without_label, None, bool(without_label)


class _SuffixIndex:
    """Finds files by the end of their path, with or without the file name's suffix."""

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
