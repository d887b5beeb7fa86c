"""File patterns with placeholders: the files that match, and the values of their placeholders. Imports no torch.

`{name}` matches within one folder or file name, and stands for the same text everywhere in a pattern. If a file name
can be read in several ways (`{stem}_{view}.png` and `a_b_c.png`), all readings are returned. A Parquet table counts as
a folder of the files in it.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from lsu_seg.label_files import SUFFIX, list_members

Values = dict[str, str]
"""One reading of a file name: the value of each placeholder."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_JUNK = ("thumbs.db", "desktop.ini", "__macosx")
_IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".ppm", ".pgm", ".json")


@dataclass
class Matches:
    """The files that match a pattern.

    Attributes:
        files: matching file → the readings of its name.
        junk: ignored files.
        unreadable, notes: messages for the user.
    """

    files: dict[Path, list[Values]] = field(default_factory=dict)
    junk: list[Path] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Pattern:
    """A pattern such as `images/{scene}/{stem}.png`, of one split.

    >>> Pattern("{city}/{city}_{n}.png").match("bonn/bonn_7.png")
    [{'city': 'bonn', 'n': '7'}]
    >>> Pattern("{a}_{b}.png").match("x_y_z.png")
    [{'a': 'x', 'b': 'y_z'}, {'a': 'x_y', 'b': 'z'}]
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.parts = [_PLACEHOLDER.split(part) for part in text.split("/")]
        self.names = frozenset(_PLACEHOLDER.findall(text))

    def match(self, path: str) -> list[Values]:
        """The readings of a path below the root; empty if it does not match."""
        names = path.split("/")
        if len(names) != len(self.parts):
            return []
        readings: list[Values] = [{}]
        for part, name in zip(self.parts, names, strict=True):
            readings = _read(part, name, readings)
        return readings

    def find(self, root: Path) -> Matches:
        """The matching files below a folder. Hidden and junk files are ignored, and each folder is entered once."""
        matches = Matches()
        top = root.stat()
        folders: list[tuple[Path, list[Values], frozenset[tuple[int, int]]]] = [
            (root, [{}], frozenset({(top.st_dev, top.st_ino)}))
        ]
        for depth, part in enumerate(self.parts):
            last = depth == len(self.parts) - 1
            any_suffix = last and len(part) > 1 and not part[-1]
            seen: dict[tuple[int, int], Path] = {}
            deeper = []
            for folder, readings, above in folders:
                for entry in _entries(folder, part, matches):
                    extended = _read(part, entry.name, readings)
                    if not extended or (any_suffix and not (entry.member or _is_image(entry.name))):
                        continue
                    path = folder / entry.name
                    if entry.file:
                        if last:
                            matches.files[path] = extended
                            continue
                        if path.suffix != SUFFIX:
                            continue
                    try:
                        state = path.stat()
                    except OSError as error:
                        loop = "a link that leads to itself" if error.errno == errno.ELOOP else "a link to nothing"
                        matches.notes.append(f"{path} is {loop if entry.link else error.strerror}")
                        continue
                    if last and path.is_file():
                        matches.files[path] = extended
                    elif not last and (path.is_dir() or path.suffix == SUFFIX):
                        identity = (state.st_dev, state.st_ino)
                        if identity in above:
                            matches.notes.append(f"{path} leads back to a folder above it; not entered again")
                        elif seen.setdefault(identity, path) != path:
                            matches.notes.append(f"{path} and {seen[identity]} are one folder; counted once")
                        else:
                            deeper.append((path, extended, above | {identity}))
            folders = deeper
        return matches


class _Entry(NamedTuple):
    name: str
    link: bool = False
    file: bool = False
    """Known to be a regular file, which saves a call of `stat`: a large tree has 100,000 of them."""
    member: bool = False


def _entries(folder: Path, part: list[str], matches: Matches) -> Iterable[_Entry]:
    """The entries of a folder, real folders before links to them, or the members of a table."""
    if folder.suffix == SUFFIX and folder.is_file():
        yield from (_Entry(name, file=True, member=True) for name in list_members(folder))
        return
    try:
        with os.scandir(folder) as scan:
            entries = sorted(
                (_Entry(e.name, e.is_symlink(), e.is_file(follow_symlinks=False)) for e in scan),
                key=lambda e: (e.link, e.name),
            )
    except NotADirectoryError:
        return
    except OSError as error:
        matches.unreadable.append(f"{folder} ({error.strerror})")
        return
    for entry in entries:
        hidden = entry.name.startswith(".") and not part[0].startswith(".")
        if hidden or entry.name.lower() in _JUNK:
            matches.junk.append(folder / entry.name)
        else:
            yield entry


def _is_image(name: str) -> bool:
    """Whether a name has the suffix of an image or label file; asked if the pattern does not say which suffix."""
    return name.lower().endswith(_IMAGES)


def _read(part: list[str], name: str, readings: list[Values]) -> list[Values]:
    """All readings of a name by one part of a pattern (literal, placeholder, literal …) that extend the given ones."""
    if len(part) == 1:
        return readings if name == part[0] else []
    if not (name.startswith(part[0]) and name.endswith(part[-1])):
        return []
    return [extended for values in readings for extended in _fill(part[1:], name[len(part[0]) :], values)]


def _fill(part: list[str], rest: str, values: Values) -> Iterable[Values]:
    key, literal = part[0], part[1]
    if key in values:
        if rest.startswith(values[key] + literal):
            rest = rest[len(values[key]) + len(literal) :]
            if len(part) > 2:
                yield from _fill(part[2:], rest, values)
            elif not rest:
                yield values
        return
    if len(part) == 2:
        if rest.endswith(literal) and len(rest) > len(literal):
            yield {**values, key: rest[: len(rest) - len(literal)]}
        return
    end = rest.find(literal, 1)
    while 0 < end < len(rest):
        yield from _fill(part[2:], rest[end + len(literal) :], {**values, key: rest[:end]})
        end = rest.find(literal, end + 1)
