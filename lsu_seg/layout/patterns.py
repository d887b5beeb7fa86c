"""File patterns with placeholders: the files that match, and the values of their placeholders. Imports no torch.

`{name}` matches within one folder or file name, and stands for the same text everywhere in a pattern. `**` stands for
any folders, or none. If a file name can be read in several ways (`{stem}_{view}.png` and `a_b_c.png`), all readings are
returned. A Parquet table counts as a folder of the files in it.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from lsu_seg.label_files import SUFFIX, list_members

Values = dict[str, str]
"""One reading of a file name: the value of each placeholder."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_FOLDERS = ["**"]
"""The part of a pattern that stands for any folders."""
_JUNK = ("thumbs.db", "desktop.ini", "__macosx")
_IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".ppm", ".pgm", ".json")
_SPELLINGS = (("jpg", "jpeg"), ("tif", "tiff"))


@dataclass
class Matches:
    """The files that match a pattern.

    Attributes:
        files: matching file → the readings of its name.
        misspelt: files that would match if their letters were of the pattern's case, or their suffix written as there
            (`.JPG`, `.jpeg` and `.jpg`) → the readings of that name.
        junk: ignored files.
        unreadable, notes: messages for the user.
    """

    files: dict[Path, list[Values]] = field(default_factory=dict)
    misspelt: dict[Path, list[Values]] = field(default_factory=dict)
    junk: list[Path] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Pattern:
    """A pattern such as `images/{scene}/{stem}.png`, of one split.

    >>> Pattern("{city}/{city}_{n}.png").match("bonn/bonn_7.png")
    [{'city': 'bonn', 'n': '7'}]
    >>> Pattern("{a}_{b}.png").match("x_y_z.png")
    [{'a': 'x', 'b': 'y_z'}, {'a': 'x_y', 'b': 'z'}]
    >>> Pattern("images/**/{n}.png").match("images/2026/may/7.png")
    [{'n': '7'}]
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.parts = [_PLACEHOLDER.split(part) for part in text.split("/")]
        self.names = frozenset(_PLACEHOLDER.findall(text))

    def match(self, path: str) -> list[Values]:
        """The readings of a path below the root; empty if it does not match."""
        return _match(self.parts, path.split("/"), [{}])

    def find(self, root: Path, found: Callable[[int], None] = lambda _: None) -> Matches:
        """The matching files below a folder. Hidden and junk files are ignored, and each folder is entered once.

        Args:
            found: is told of each matching file.
        """
        matches = Matches()
        top = root.stat()
        identity = top.st_dev, top.st_ino
        folders = [_Folder(root, [{}], identity, frozenset({identity}))]
        for part in self.parts[:-1]:
            folders = _below(folders, matches) if part == _FOLDERS else _enter(folders, part, matches, {})
        for folder in folders:
            _take(folder, self.parts[-1], matches, found)
        if _FOLDERS in self.parts:  # folders were looked through for folders and again for files
            for messages in (matches.junk, matches.unreadable, matches.notes):
                messages[:] = dict.fromkeys(messages)  # type: ignore[arg-type]
        return matches


def _match(parts: list[list[str]], names: list[str], readings: list[Values]) -> list[Values]:
    """The readings of the rest of a path by the rest of a pattern."""
    if not parts or not readings:
        return [] if names else readings
    if parts[0] == _FOLDERS:
        rests = (_match(parts[1:], names[i:], readings) for i in range(len(names)))
        return [reading for rest in rests for reading in rest]
    return _match(parts[1:], names[1:], _read(parts[0], names[0], readings)) if names else []


_Identity = tuple[int, int]
"""Device and inode of a folder, which may have several paths."""


class _Folder(NamedTuple):
    """A folder that matches the first parts of a pattern; `above` has the identities of itself and those around it."""

    path: Path
    readings: list[Values]
    identity: _Identity
    above: frozenset[_Identity]


def _enter(folders: Iterable[_Folder], part: list[str], matches: Matches, seen: dict[_Identity, Path]) -> list[_Folder]:
    """The folders inside the given ones that match a part. `seen` has the folders that were entered before."""
    deeper = []
    for folder in folders:
        for entry in _entries(folder.path, part, matches):
            readings = folder.readings if part == _FOLDERS else _read(part, entry.name, folder.readings)
            path = folder.path / entry.name
            table = path.suffix == SUFFIX and part != _FOLDERS
            if not readings or (entry.file and not table):
                continue
            state = _stat(path, entry, matches)
            if state is None or not (table or path.is_dir()):
                continue
            identity = state.st_dev, state.st_ino
            if identity in folder.above:
                matches.notes.append(f"{path} leads back to a folder above it; not entered again")
            elif seen.setdefault(identity, path) != path:
                matches.notes.append(f"{path} and {seen[identity]} are one folder; counted once")
            else:
                deeper.append(_Folder(path, readings, identity, folder.above | {identity}))
    return deeper


def _below(folders: list[_Folder], matches: Matches) -> list[_Folder]:
    """The folders, and all that lie in them at any depth."""
    seen = {folder.identity: folder.path for folder in folders}
    out, level = list(folders), folders
    while level := _enter(level, _FOLDERS, matches, seen):
        out += level
    return out


def _take(folder: _Folder, part: list[str], matches: Matches, found: Callable[[int], None]) -> None:
    """Add the files of a folder that match the last part."""
    any_suffix = len(part) > 1 and not part[-1]
    for entry in _entries(folder.path, part, matches):
        readings = _read(part, entry.name, folder.readings)
        path = folder.path / entry.name
        if not readings and (name := _as_in(part, entry.name)):
            meant = _read(part, name, folder.readings)
            matches.misspelt |= {path: meant} if meant and entry.file else {}
        if not readings or (any_suffix and not (entry.member or _is_image(entry.name))):
            continue
        if entry.file or (_stat(path, entry, matches) and path.is_file()):
            matches.files[path] = readings
            found(1)


def _stat(path: Path, entry: _Entry, matches: Matches) -> os.stat_result | None:
    """The state of a file or folder; None, and a note, if it is a link to nothing."""
    try:
        return path.stat()
    except OSError as error:
        loop = "a link that leads to itself" if error.errno == errno.ELOOP else "a link to nothing"
        matches.notes.append(f"{path} is {loop if entry.link else error.strerror}")
        return None


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


def _as_in(part: list[str], name: str) -> str:
    """A name whose beginning and end differ from a part's in case or in how the suffix is written, as the part has it.

    >>> _as_in(["", "stem", "_Label.jpg"], "a_label.JPEG")
    'a_Label.jpg'
    """
    tail = part[-1]
    base, dot, suffix = tail.rpartition(".")
    low = name.lower()
    for spelling in next((s for s in _SPELLINGS if suffix.lower() in s), (suffix,)) if tail else ():
        end = f"{base}{dot}{spelling}".lower()
        if low.endswith(end) and low.startswith(part[0].lower()):
            head = part[0] if len(part) > 1 else ""
            return f"{head}{name[len(head) : len(name) - len(end)]}{tail}"
    return ""


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
