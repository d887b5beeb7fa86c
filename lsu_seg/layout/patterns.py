"""File patterns with placeholders: which files match, and what their placeholders hold. No torch.

`{name}` matches within one folder or file name, and the same name means the same text wherever it stands. Where a
file name can be read in several ways (`{stem}_{view}.png` and `a_b_c.png`) all of them are given. A Parquet table
counts as a folder of the files in it.
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

Held = dict[str, str]
"""What the placeholders hold."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_JUNK = ("thumbs.db", "desktop.ini", "__macosx")
_IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".ppm", ".pgm", ".json")


@dataclass
class Found:
    """files: matching file → the ways to read its name. junk: passed over. unreadable, notes: to be told."""

    files: dict[Path, list[Held]] = field(default_factory=dict)
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

    def match(self, path: str) -> list[Held]:
        """The ways to read a path below the root; empty if it does not match."""
        names = path.split("/")
        if len(names) != len(self.parts):
            return []
        held: list[Held] = [{}]
        for part, name in zip(self.parts, names, strict=True):
            held = _read(part, name, held)
        return held

    def find(self, root: Path) -> Found:
        """The matching files below a folder. Hidden and junk files are passed over; a folder is entered once."""
        found = Found()
        top = root.stat()
        open_: list[tuple[Path, list[Held], frozenset[tuple[int, int]]]] = [
            (root, [{}], frozenset({(top.st_dev, top.st_ino)}))
        ]
        for depth, part in enumerate(self.parts):
            last = depth == len(self.parts) - 1
            open_end = last and len(part) > 1 and not part[-1]
            seen: dict[tuple[int, int], Path] = {}
            deeper = []
            for folder, held, above in open_:
                for entry in _entries(folder, part, found):
                    ways = _read(part, entry.name, held)
                    if not ways or (open_end and not (entry.member or _known(entry.name))):
                        continue
                    path = folder / entry.name
                    if entry.file:
                        if last:
                            found.files[path] = ways
                            continue
                        if path.suffix != SUFFIX:
                            continue
                    try:
                        state = path.stat()
                    except OSError as error:
                        loop = "a link that leads to itself" if error.errno == errno.ELOOP else "a link to nothing"
                        found.notes.append(f"{path} is {loop if entry.link else error.strerror}")
                        continue
                    if last and path.is_file():
                        found.files[path] = ways
                    elif not last and (path.is_dir() or path.suffix == SUFFIX):
                        here = (state.st_dev, state.st_ino)
                        if here in above:
                            found.notes.append(f"{path} leads back to a folder above it; not entered again")
                        elif seen.setdefault(here, path) != path:
                            found.notes.append(f"{path} and {seen[here]} are one folder; counted once")
                        else:
                            deeper.append((path, ways, above | {here}))
            open_ = deeper
        return found


class _Entry(NamedTuple):
    name: str
    link: bool = False
    file: bool = False
    """Known to be a regular file, so that it need not be asked about: a big tree has 100,000 of them."""
    member: bool = False


def _entries(folder: Path, part: list[str], found: Found) -> Iterable[_Entry]:
    """What lies in a folder, real folders before links to them; or in a table."""
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
        found.unreadable.append(f"{folder} ({error.strerror})")
        return
    for entry in entries:
        hidden = entry.name.startswith(".") and not part[0].startswith(".")
        if hidden or entry.name.lower() in _JUNK:
            found.junk.append(folder / entry.name)
        else:
            yield entry


def _known(name: str) -> bool:
    """Whether a name whose suffix the pattern leaves open is one of an image or label file."""
    return name.lower().endswith(_IMAGES)


def _read(part: list[str], name: str, held: list[Held]) -> list[Held]:
    """All ways in which a name fits one part of a pattern: literal, placeholder, literal …, given what is held."""
    if len(part) == 1:
        return held if name == part[0] else []
    if not (name.startswith(part[0]) and name.endswith(part[-1])):
        return []
    return [ways for before in held for ways in _fill(part[1:], name[len(part[0]) :], before)]


def _fill(part: list[str], rest: str, held: Held) -> Iterable[Held]:
    key, literal = part[0], part[1]
    if key in held:
        if rest.startswith(held[key] + literal):
            rest = rest[len(held[key]) + len(literal) :]
            if len(part) > 2:
                yield from _fill(part[2:], rest, held)
            elif not rest:
                yield held
        return
    if len(part) == 2:
        if rest.endswith(literal) and len(rest) > len(literal):
            yield {**held, key: rest[: len(rest) - len(literal)]}
        return
    end = rest.find(literal, 1)
    while 0 < end < len(rest):
        yield from _fill(part[2:], rest[end + len(literal) :], {**held, key: rest[:end]})
        end = rest.find(literal, end + 1)
