"""Where images and labels lie below a folder, guessed from the names of its files: `images:`, `labels:`, `splits:`.

Every way to read the names is tried (see `_READINGS`), and the one that pairs most files counts. A file decides by its
content whether it can be a label.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

from lsu_onto.files import open_to_read, walk
from lsu_onto.lang.parse import parse
from lsu_onto.lang.syntax import Meta
from lsu_onto.ontology.model import alternatives
from lsu_onto.ontology.patterns import check_pattern
from lsu_onto.starter.label_values import SUFFIXES, ScanError

IMAGES = (".jpg", ".jpeg", *SUFFIXES, ".webp", ".bmp")
SPLITS = ("train", "training", "trainval", "val", "valid", "validation", "dev", "test", "testing")
"""Names of splits, in the order in which they are written."""

_SPLIT = re.compile(rf"(.*?)({'|'.join(sorted(SPLITS, key=len, reverse=True))})(.*)", re.IGNORECASE)
_ROLE = re.compile(
    r"image|img|photo|frame|camera|label|mask|annot|segment|semantic|truth|colou?r|(?<![a-z])(gt|rgb|seg|ids?)(?![a-z])",
    re.IGNORECASE,
)
"""Folders that say what lies in them are no placeholders, however many there are."""

_OTHER = re.compile(r"depth|dispar|flow|confidence|thumb|overlay|blend|preview", re.IGNORECASE)
_SHOWN = re.compile(r"colou?r|vis|instance|panoptic|train_?ids", re.IGNORECASE)
"""What lies beside the labels and is derived from them."""

_TAIL = re.compile(r"(?:[_.-][A-Za-z][A-Za-z0-9]*)+$")
_HEAD = re.compile(r"^[A-Za-z]+[_-]")
_READINGS = ("", "tail", "head", "head tail", "name")
"""Which words of a file's name are part of the pattern: those behind the stem (`{stem}_labelIds.png`), those before it,
or the whole name, where a folder tells (`{folder}/labels.png`)."""

_MAX_GROUPS = 60
"""Only the largest groups of files are compared with each other."""

_COLOURS = 256
"""An image with more colours, or more grey values than `_GREYS`, is a picture."""

_GREYS = 100


@dataclass
class GuessedLayout:
    """Patterns that pair the files of a folder.

    Attributes:
        pairs: the number of images with a label; alone: files of the two patterns without a partner.
        label_files: the labels among the pairs.
        others: further patterns of labels that fit the same images.
    """

    images: str
    labels: str
    splits: tuple[str, ...]
    pairs: int
    alone: int
    label_files: list[Path]
    others: list[str]

    def keys(self) -> list[str]:
        """The lines of a `.tax` file."""
        alone = f"; {self.alone} file{'s have' if self.alone > 1 else ' has'} no partner" if self.alone else ""
        others = f"; {' and '.join(f'`{p}`' for p in self.others[:3])} would fit, too" if self.others else ""
        return [
            *([f"splits: {' '.join(self.splits)}"] if self.splits else []),
            f"images: {self.images} # a guess: {self.pairs} pair{'s' * (self.pairs > 1)}{alone}",
            f"labels: {self.labels} # a guess{others}",
        ]


@dataclass
class _Group:
    """The files of one pattern: the values of its placeholders → the file."""

    pattern: str
    names: tuple[str, ...]
    files: dict[tuple[str, ...], str] = field(default_factory=dict)
    _by: dict[tuple[str, ...], dict[tuple[str, ...], str] | None] = field(default_factory=dict)

    def by(self, names: tuple[str, ...]) -> dict[tuple[str, ...], str] | None:
        """The files by some placeholders; None if these do not tell them apart."""
        if names not in self._by:
            places = [self.names.index(n) for n in names]
            out = {tuple([values[i] for i in places]): file for values, file in self.files.items()}
            self._by[names] = out if len(out) == len(self.files) else None
        return self._by[names]

    @property
    def is_writable(self) -> bool:
        """Whether a `.tax` file can state the pattern: `images # 1` ends at the `#`, and `{x}` is a placeholder."""
        literal = self.pattern
        for name in self.names:
            literal = literal.replace(f"{{{name}}}", "", -1 if name == "split" else 1)
        file, _ = parse("", f"tax 1\ndataset x v1\nimages: {self.pattern} # a guess\n")
        keys = [s for s in file.statements if isinstance(s, Meta)]
        is_kept = [s.value.text for s in keys] == [self.pattern] and len(alternatives(self.pattern)) == 1
        return is_kept and not any(check_pattern(keys[0])) and not re.search(r"[{}]", literal)


class _File(NamedTuple):
    """A file and the parts of its path; where a folder says the split, `parts` has `{split}`."""

    path: str
    parts: tuple[str, ...]
    split: str
    name: str
    stem: str
    suffix: str
    tail: str


def guess_layout(root: str | Path) -> GuessedLayout:
    """The layout of the images and labels below a folder.

    Raises:
        ScanError: there are none that belong together.
    """
    root = Path(root)
    paths = sorted(_files(root))
    ranks: dict[str, int] = {}
    matches: dict[tuple[int, int], int] = {}
    fits = []
    for number, groups in enumerate(_readings(paths)):
        for images, labels in permutations(groups, 2):
            pair = id(images), id(labels)
            if pair in matches:  # an earlier reading has the same two groups
                continue
            back = matches.get((pair[1], pair[0]))
            matched = matches[pair] = _matched(images, labels) if back is None else back
            image, label = (_rank(root, g, ranks) for g in (images, labels)) if matched else (0, 0)
            if label < min(image, _PICTURE):
                alone = len(images.files) + len(labels.files) - 2 * matched
                fits.append(((-matched, -image, label, alone, number), images, labels))
    if not fits:
        raise ScanError(_nothing(root, paths))
    fits.sort(key=lambda fit: fit[0])
    best = fits[0]
    writable = [fit for fit in fits if fit[1].is_writable and fit[2].is_writable]
    chosen = next((fit for fit in writable if _has_files_of(fit[1], best[1]) and _has_files_of(fit[2], best[2])), None)
    if chosen is None:
        raise ScanError(_unwritable(root, *best[1:]))
    score, images, labels = chosen
    others = [o.pattern for s, i, o in writable if i.pattern == images.pattern and s[0] == score[0]]
    return _layout(root, images, labels, [p for p in dict.fromkeys(others) if p != labels.pattern])


def _has_files_of(group: _Group, other: _Group) -> bool:
    return set(group.files.values()) >= set(other.files.values())


def _layout(root: Path, images: _Group, labels: _Group, others: list[str]) -> GuessedLayout:
    common = tuple(n for n in images.names if n in labels.names)
    by_image, by_label = images.by(common) or {}, labels.by(common) or {}
    paired = by_image.keys() & by_label.keys()
    of_split = next((g for g in (labels, images) if "split" in g.names), None)
    found = {values[of_split.names.index("split")] for values in of_split.files} if of_split else set()
    splits = sorted(found, key=lambda s: (SPLITS.index(s.lower()), s))
    alone = len(by_image) + len(by_label) - 2 * len(paired)
    files = [root / by_label[key] for key in sorted(paired)]
    return GuessedLayout(images.pattern, labels.pattern, tuple(splits), len(paired), alone, files, others)


def _files(root: Path) -> Iterator[str]:
    """The image files below a folder, relative to it. Links are followed, each folder is entered once."""
    seen = set()
    for folder, below, names in walk(root, _closed, follow=True):
        state = Path(folder).stat()
        if (state.st_dev, state.st_ino) in seen:
            below.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        below[:] = sorted(d for d in below if not d.startswith((".", "__MACOSX")))
        place = Path(folder).relative_to(root).as_posix()
        for name in names:
            if not name.startswith(".") and name.lower().endswith(IMAGES):
                yield name if place == "." else f"{place}/{name}"


def _closed(error: OSError) -> None:
    what = f"`{error.filename}` cannot be read ({error.strerror}), so that files may be missing"
    raise ScanError(f"{what}; make it readable, or leave `--data-root` out")


def _split_templates(files: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Folder → what to write for it and its split: `trainannot` → `{split}annot`, if there is a `valannot`."""
    out, words = {}, defaultdict(set)
    for part in {part for file in files for part in file.split("/")[:-1]}:
        if match := _SPLIT.fullmatch(part):
            template = f"{match[1]}{{split}}{match[3]}"
            out[part] = template, match[2]
            words[template].add(match[2].lower())
    return {part: (t, word) for part, (t, word) in out.items() if t == "{split}" or len(words[t]) > 1}


def _readings(paths: list[str]) -> Iterator[list[_Group]]:
    """The largest groups of files under each reading of their names; groups that are the same are one object."""
    files = _parsed(paths)
    known: dict[tuple[str, frozenset[str]], _Group] = {}
    read: list[list[tuple[str, str]]] = []
    for reading in _READINGS:
        ends = _ends(files, reading)
        if ends in read:
            continue
        read.append(ends)
        for any_folder in (True, False):
            groups = sorted(_groups(files, ends, any_folder), key=lambda g: -len(g.files))[:_MAX_GROUPS]
            yield [known.setdefault((g.pattern, frozenset(g.files.values())), g) for g in groups]


def _parsed(paths: list[str]) -> list[_File]:
    splits = _split_templates(paths)
    folders: dict[str, tuple[tuple[str, ...], str]] = {}
    files = []
    for path in paths:
        folder, _, name = path.rpartition("/")
        if folder not in folders:
            parts = tuple(folder.split("/")) if folder else ()
            words = [splits[f][1] for f in parts if f in splits]
            split = words[0] if len(set(words)) == 1 else ""
            folders[folder] = tuple(splits[f][0] if split and f in splits else f for f in parts), split
        stem, dot, suffix = name.rpartition(".")
        match = _TAIL.search(stem)
        tail = match[0] if match and match[0] != stem else ""  # a name is not all tail
        files.append(_File(path, *folders[folder], name, stem, dot + suffix, tail))
    return files


def _ends(files: list[_File], reading: str) -> list[tuple[str, str]]:
    """The words of each file's name, before and behind the stem, that are part of the pattern under a reading."""
    tails, names = Counter(f.tail for f in files), Counter(f.name for f in files)
    out = []
    for f in files:
        end = f.tail if "tail" in reading and tails[f.tail] > 1 else ""
        if reading == "name":
            end = f.stem if names[f.name] > 1 else ""
        stem = f.stem.removesuffix(end)
        out.append((match[0] if "head" in reading and (match := _HEAD.match(stem)) and match[0] != stem else "", end))
    return out


def _groups(files: list[_File], ends: list[tuple[str, str]], any_folder: bool) -> list[_Group]:
    """The files by their patterns. With `any_folder`, folders of a kind are a placeholder."""
    alike: dict[tuple[int, str, str, str], list[tuple[_File, str]]] = defaultdict(list)
    for f, (start, end) in zip(files, ends, strict=True):
        stem = f.stem.removesuffix(end).removeprefix(start)
        alike[len(f.parts), start, end, f.suffix].append((f, stem))
    groups: dict[str, _Group] = {}
    for (depth, start, end, suffix), members in alike.items():
        folders, stems = [f.parts for f, _ in members], [stem for _, stem in members]
        free = [j for j in range(depth) if any_folder and _varies(folders, stems, j)]
        words = ["folder"] if len(free) == 1 else [f"folder{i}" for i, _ in enumerate(free, 1)]
        into: dict[tuple[tuple[str, ...], bool, bool], _Group] = {}
        for f, stem in members:
            shown = list(f.parts)
            for j, word in zip(free, words, strict=True):
                shown[j] = f"{{{word}}}"
            key = tuple(shown), bool(f.split), bool(stem)
            if key not in into:
                pattern = "/".join([*shown, f"{start}{'{stem}' if stem else ''}{end}{suffix}"])
                names = (*(["split"] if f.split else []), *words, *(["stem"] if stem else []))
                into[key] = groups.setdefault(pattern, _Group(pattern, names))
            values = [f.split] if f.split else []
            values += [f.parts[j] for j in free]
            values += [stem] if stem else []
            into[key].files[tuple(values)] = f.path
    return [g for g in groups.values() if not _OTHER.search(g.pattern)]


def _varies(folders: list[tuple[str, ...]], stems: list[str], j: int) -> bool:
    """Whether the folders at a depth are many of a kind: cities, drives, cameras."""
    values = {parts[j] for parts in folders}
    if any("{split}" in v or _ROLE.search(v) for v in values):
        return False
    return len(values) > 1 or all(s.startswith(f"{p[j]}_") for p, s in zip(folders, stems, strict=True))


def _matched(images: _Group, labels: _Group) -> int:
    """The number of pairs that two patterns give; 0 if files would have several partners."""
    common = tuple(n for n in images.names if n in labels.names)
    if common in ((), ("split",)):
        return 0
    ours, theirs = images.by(common), labels.by(common)
    return len(ours.keys() & theirs.keys()) if ours and theirs else 0


# --- what the files are ------------------------------------------------------------------------------------


_PICTURE = 100
_LOOKED_AT = 3
"""Files of a group that are opened: one may be damaged, or a picture taken in the dark."""


def _rank(root: Path, group: _Group, ranks: dict[str, int]) -> int:
    """How little the files of a group look like labels that annotators drew: from 0 to `_PICTURE`."""
    if group.pattern not in ranks:
        kinds = [_content(root / file) for file in sorted(group.files.values())[:_LOOKED_AT]]
        sure = sorted(kind for kind in kinds if kind is not None)
        kind = sure[0] if 2 * len(sure) > len(kinds) else None
        named = bool(re.search(r"label|mask|annot|seg|truth|(?<![a-z])gt", group.pattern, re.IGNORECASE))
        shown = bool(_SHOWN.search(group.pattern))
        ranks[group.pattern] = _PICTURE if kind is None else kind - 2 * named + 8 * shown + 2
    return ranks[group.pattern]


def _content(file: Path) -> int | None:
    """0 for palette indices, 2 for 8-bit and 4 for 16-bit numbers, 6 for few colours; None for a picture."""
    from PIL import Image

    import lsu_onto.raster.reader  # noqa: F401 - where Pillow is missing, this says so

    if file.suffix.lower() not in SUFFIXES:
        return None
    try:
        with open_to_read(file) as data, Image.open(data) as image:
            if image.mode == "P":
                return 0
            if image.mode in ("1", "L"):
                return 2 if len(image.getcolors(256) or ()) <= _GREYS else None
            if image.mode.startswith("I") or image.mode == "F":
                return 4
            return 6 if image.getcolors(_COLOURS) else None
    except Exception:  # Pillow raises arbitrary exceptions for damaged files
        return None


def _nothing(root: Path, files: list[str]) -> str:
    suffixes = Counter(f.rpartition(".")[2].lower() for f in files).most_common(3)
    found = ", ".join(f"{n} x `.{s}`" for s, n in suffixes) or "no image files"
    return (
        f"`{root}`: found {found}, and no images with labels of the same names; expected images, and PNG or TIFF labels"
        " for them; leave `--data-root` out, and write `images:` and `labels:` yourself"
    )


def _unwritable(root: Path, images: _Group, labels: _Group) -> str:
    patterns = " and ".join(f"`{g.pattern}`" for g in (images, labels) if not g.is_writable)
    return (
        f"`{root}`: images and labels belong together with {patterns}, which a `.tax` file cannot state: `#`, `|`,"
        " braces, quotes and the like mean something there; rename these, or leave `--data-root` out"
    )
