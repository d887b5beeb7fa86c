"""Where images and labels lie below a folder, guessed from the names of its files: `images:`, `labels:`, `splits:`.

Every way to read the names is tried (see `_READINGS`), and the one that pairs most files counts. A file decides by its
content whether it can be a label.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import permutations, product
from pathlib import Path

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

    def by(self, names: Iterable[str]) -> dict[tuple[str, ...], str] | None:
        """The files by some placeholders; None if these do not tell them apart."""
        places = [self.names.index(n) for n in names]
        out = {tuple(values[i] for i in places): file for values, file in self.files.items()}
        return out if len(out) == len(self.files) else None


def guess_layout(root: str | Path) -> GuessedLayout:
    """The layout of the images and labels below a folder.

    Raises:
        ScanError: there are none that belong together.
    """
    root = Path(root)
    files = sorted(_files(root))
    splits = _split_templates(files)
    ranks: dict[str, int] = {}
    fits = []
    for number, (reading, any_folder) in enumerate(product(_READINGS, (True, False))):
        groups = sorted(_groups(files, splits, reading, any_folder), key=lambda g: -len(g.files))
        for images, labels in permutations(groups[:_MAX_GROUPS], 2):
            matched = _matched(images, labels)
            image, label = (_rank(root, g, ranks) for g in (images, labels)) if matched else (0, 0)
            if label < min(image, _PICTURE):
                alone = len(images.files) + len(labels.files) - 2 * matched
                fits.append(((-matched, -image, label, alone, number), images, labels))
    if not fits:
        raise ScanError(_nothing(root, files))
    fits.sort(key=lambda fit: fit[0])
    best, images, labels = fits[0]
    others = [o.pattern for score, i, o in fits if i.pattern == images.pattern and score[0] == best[0]]
    return _layout(root, images, labels, [p for p in dict.fromkeys(others) if p != labels.pattern])


def _layout(root: Path, images: _Group, labels: _Group, others: list[str]) -> GuessedLayout:
    common = [n for n in images.names if n in labels.names]
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
    for folder, below, names in os.walk(root, followlinks=True, onerror=_closed):
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


def _groups(files: list[str], splits: dict[str, tuple[str, str]], reading: str, any_folder: bool) -> list[_Group]:
    """The files by their patterns. With `any_folder`, folders of a kind are a placeholder."""
    tails = Counter(_tail(file) for file in files)
    names = Counter(file.rpartition("/")[2] for file in files)
    read: dict[tuple[int, str, str, str], list[tuple[list[str], str, str, str]]] = defaultdict(list)
    for file in files:
        *folders, name = file.split("/")
        stem, dot, suffix = name.rpartition(".")
        end = _tail(file) if "tail" in reading and tails[_tail(file)] > 1 else ""
        if reading == "name":
            end = stem if names[name] > 1 else ""
        stem = stem.removesuffix(end)
        start = match[0] if "head" in reading and (match := _HEAD.match(stem)) and match[0] != stem else ""
        found = [splits[f] for f in folders if f in splits]
        split = found[0][1] if found and len({word for _, word in found}) == 1 else ""
        parts = [splits[f][0] if split and f in splits else f for f in folders]
        read[len(parts), start, end, dot + suffix].append((parts, split, stem.removeprefix(start), file))
    groups: dict[str, _Group] = {}
    for (depth, start, end, suffix), members in read.items():
        free = [j for j in range(depth) if any_folder and _varies([m[0] for m in members], [m[2] for m in members], j)]
        words = dict(
            zip(free, ["folder"] if len(free) == 1 else [f"folder{i}" for i, _ in enumerate(free, 1)], strict=True)
        )
        for parts, split, stem, file in members:
            shown = [f"{{{words[j]}}}" if j in words else part for j, part in enumerate(parts)]
            pattern = "/".join([*shown, f"{start}{'{stem}' if stem else ''}{end}{suffix}"])
            placeholders = (*(["split"] if split else []), *words.values(), *(["stem"] if stem else []))
            values = (*([split] if split else []), *(parts[j] for j in words), *([stem] if stem else []))
            groups.setdefault(pattern, _Group(pattern, placeholders)).files[values] = file
    return [g for g in groups.values() if not _OTHER.search(g.pattern)]


def _tail(file: str) -> str:
    """The words at the end of a file's name, without its suffix; the name is not all of them."""
    stem = file.rpartition("/")[2].rpartition(".")[0]
    match = _TAIL.search(stem)
    return match[0] if match and match[0] != stem else ""


def _varies(folders: list[list[str]], stems: list[str], j: int) -> bool:
    """Whether the folders at a depth are many of a kind: cities, drives, cameras."""
    values = {parts[j] for parts in folders}
    if any("{split}" in v or _ROLE.search(v) for v in values):
        return False
    return len(values) > 1 or all(s.startswith(f"{p[j]}_") for p, s in zip(folders, stems, strict=True))


def _matched(images: _Group, labels: _Group) -> int:
    """The number of pairs that two patterns give; 0 if files would have several partners."""
    common = [n for n in images.names if n in labels.names]
    if common in ([], ["split"]):
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
        with Image.open(file) as image:
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
