"""Finds a dataset's files: image and label patterns → pairs. One place for every dataset; no torch."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from lsu_onto import Layout
from lsu_seg.errors import UserError
from lsu_seg.label_files import container, load_sheets, segments_path
from lsu_seg.layout.lists import ListError, read_list
from lsu_seg.layout.patterns import Held, Pattern


class DatasetError(UserError):
    """A dataset's folder is not as its taxonomy says. The message names pattern, finding and remedy."""


@dataclass(frozen=True)
class Pair:
    """An image and its label file. `key` is the label's path below the root without suffix: unique.

    Where the labels are in tables (`rle`), `label` is the image: what is looked up there.
    """

    image: Path
    label: Path
    key: str


@dataclass
class Survey:
    """What lies in a dataset's folder.

    Attributes:
        pairs: sorted by key.
        alone: files without their partner, each with a reason.
        doubles: files of which two or more claim one partner or one name, told in words.
        unreadable: folders that cannot be read.
        notes: links that were not followed, and the like.
        junk: hidden files, `.DS_Store`, thumbnails: passed over.
    """

    pairs: list[Pair] = field(default_factory=list)
    alone: list[str] = field(default_factory=list)
    doubles: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    junk: list[Path] = field(default_factory=list)


def find_pairs(root: str | Path, layout: Layout, split: str) -> list[Pair]:
    """The image-label pairs of a split, sorted by key.

    Raises:
        DatasetError: unknown split, no such folder, no match, files without their partner, or files of one name.
    """
    found = survey(root, layout, split)
    for text, what in (
        (found.unreadable, "folders that cannot be read"),
        (found.doubles, "files of one name"),
        (found.alone, "files without their partner"),
    ):
        if text:
            shown = "\n  ".join(sorted(text)[:10])
            raise DatasetError(f"{root}: {len(text)} {what}, e.g.\n  {shown}")
    for note in found.notes:
        warnings.warn(note, stacklevel=2)
    return found.pairs


def survey(root: str | Path, layout: Layout, split: str) -> Survey:
    """Look through a split: pairs, and all that is wrong with the folder.

    Raises:
        DatasetError: nothing can be said: unknown split, no such folder, no match, an unusable list.
        LabelFileError: tables that cannot be read (`rle`).
    """
    root = Path(root)
    tables = bool(layout.segments) and not layout.labels
    if not layout.images or not (layout.labels or tables):
        raise DatasetError(
            f"{root}: the taxonomy has no `images:` and `labels:` patterns, so its files cannot be found"
        )
    if layout.splits and split not in layout.splits:
        raise DatasetError(f"{root}: there is no split `{split}`; the taxonomy has {', '.join(layout.splits)}")
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder; set `data_root` to where the dataset lies")
    out = Survey()
    images, pattern = _find(root, "images", layout, split, out)
    layout = replace(layout, images=pattern)
    if tables:
        _pair_by_tables(root, layout, images, split, out)
    else:
        labels, pattern = _find(root, "labels", layout, split, out)
        layout = replace(layout, labels=pattern)
        if layout.list:
            _pair_by_list(root, layout, images, labels, split, out)
        else:
            _pair(images, labels, _edges(images, labels, _common(root, layout)), layout, split, out)
    _same_but_for_case(itertools.chain(images, () if tables else labels), out)
    out.pairs = sorted(
        (Pair(p.image, p.label, p.label.relative_to(root).with_suffix("").as_posix()) for p in out.pairs),
        key=lambda p: p.key,
    )
    return out


def overlap(pairs: Mapping[str, Iterable[Pair]]) -> list[tuple[Path, str, str]]:
    """Images that are in two splits, given the pairs of each: (image, split, split)."""
    first: dict[Path, str] = {}
    twice = []
    for split, of_split in pairs.items():
        for pair in of_split:
            image = pair.image.resolve()
            if first.setdefault(image, split) != split:
                twice.append((pair.image, first[image], split))
    return twice


def _find(root: Path, key: str, layout: Layout, split: str, out: Survey) -> tuple[dict[Path, list[Held]], str]:
    """The files of the first alternative that has any, and that alternative.

    A folder that cannot be read may hold files of it, so that the search ends there: nothing is passed over silently.
    """
    patterns = layout.alternatives(key, split)
    for pattern in patterns:
        found = Pattern(pattern).find(root)
        files, missing = _of_split(root, pattern, found.files, layout, split)
        out.notes += found.notes
        if files or found.unreadable:
            out.unreadable += found.unreadable
            out.notes += missing
            out.junk += found.junk
            return files, pattern
    raise DatasetError(f"{root}: nothing matches {_or(patterns)}{_nearest(root, patterns)}")


def _of_split(
    root: Path, pattern: str, files: dict[Path, list[Held]], layout: Layout, split: str
) -> tuple[dict[Path, list[Held]], list[str]]:
    """The files of the split where that is told by what a placeholder holds, and notes of what is missing."""
    notes = []
    for name, placeholder, values in layout.split_values:
        if name == split and placeholder in Pattern(pattern).names:
            present = {h[placeholder] for held in files.values() for h in held}
            missing = [v for v in values if v not in present]
            if missing:
                notes.append(f"{root}: nothing has `{placeholder}` {', '.join(missing)} (split `{split}`)")
            chosen = ((f, [h for h in held if h[placeholder] in values]) for f, held in files.items())
            files = {f: held for f, held in chosen if held}
    return files, notes


def _common(root: Path, layout: Layout) -> list[str]:
    both = [Pattern(layout.images), Pattern(layout.labels)]
    common = sorted(both[0].names & both[1].names)
    if not common and (both[0].names or both[1].names):
        raise DatasetError(
            f"{root}: `{layout.images}` and `{layout.labels}` have no placeholder in common, so nothing tells which"
            " label belongs to an image; write the same `{name}` in both"
        )
    return common


def _edges(
    images: dict[Path, list[Held]], labels: dict[Path, list[Held]], common: list[str]
) -> list[tuple[Path, Path]]:
    """Images and labels that agree in the common placeholders."""
    by_key: dict[tuple[str, ...], dict[Path, None]] = {}
    for label, held in labels.items():
        for h in held:
            by_key.setdefault(tuple(h[c] for c in common), {})[label] = None
    return list(
        dict.fromkeys(
            (image, label)
            for image, held in images.items()
            for h in held
            for label in by_key.get(tuple(h[c] for c in common), ())
        )
    )


def _pair(
    images: dict[Path, list[Held]],
    labels: dict[Path, list[Held]],
    edges: Iterable[tuple[Path, Path]],
    layout: Layout,
    split: str,
    out: Survey,
) -> None:
    of_image: dict[Path, list[Path]] = {}
    of_label: dict[Path, list[Path]] = {}
    for image, label in edges:
        of_image.setdefault(image, []).append(label)
        of_label.setdefault(label, []).append(image)
    for partners, one, many in ((of_image, "label", "labels"), (of_label, "image", "images")):
        for file, others in partners.items():
            if len(others) > 1:
                names = ", ".join(str(o) for o in others[:3])
                out.doubles.append(f"{file} has {len(others)} {many}: {names}; keep one {one}")
    out.pairs = [Pair(i, ls[0], "") for i, ls in of_image.items() if len(ls) == 1 and len(of_label[ls[0]]) == 1]
    # Where a pattern cannot tell which files are of this split, those without partner are of others.
    told = [p for name, p, _ in layout.split_values if name == split]
    for files, partners, pattern, what, candidates in (
        (images, of_image, layout.images, "label", labels),
        (labels, of_label, layout.labels, "image", images),
    ):
        if all(p in Pattern(pattern).names for p in told):
            # A table of images holds every frame of a drive; those without a label were never meant to have one.
            lonely = [f for f in files if f not in partners and (what == "image" or container(f) == f)]
            by_name = {o.stem.lower(): o for o in candidates} if lonely else {}
            out.alone += [f"{f} (no {what}{_why(f, by_name)})" for f in lonely]


def _why(file: Path, by_name: dict[str, Path]) -> str:
    """A guess why a file has no partner."""
    other = by_name.get(file.stem.lower())
    if other is not None and other.stem != file.stem:
        return f"; {other.name} differs in case"
    inner = PurePosixPath(file.stem)
    if inner.suffix.lower() in (".png", ".jpg", ".jpeg", ".tif", ".tiff"):
        return f"; it has two suffixes, {inner.suffix} and {file.suffix}"
    return ""


def _pair_by_list(
    root: Path,
    layout: Layout,
    images: dict[Path, list[Held]],
    labels: dict[Path, list[Held]],
    split: str,
    out: Survey,
) -> None:
    lists = layout.alternatives("list", split)
    path = next((root / p for p in lists if (root / p).is_file()), None)
    if path is None:
        raise DatasetError(f"{root}: there is no list {_or(lists)}{_nearest(root, lists)}")
    try:
        listed, notes = read_list(path, root, images, labels)
    except ListError as error:
        raise DatasetError(str(error)) from error
    out.notes += notes
    rest = {i: images[i] for i, label in listed.items() if label is None}
    edges = [(i, label) for i, label in listed.items() if label is not None]
    if rest:
        edges += _edges(rest, labels, _common(root, layout))
    chosen = {label: labels[label] for _, label in edges}
    _pair({i: images[i] for i in listed}, chosen, edges, replace(layout, split_values=()), "", out)


def _pair_by_tables(root: Path, layout: Layout, images: dict[Path, list[Held]], split: str, out: Survey) -> None:
    """`rle`: the key frames of the split's tables. Images that these do not name are of other splits."""
    pattern, tables = Pattern(layout.images), segments_path(root, layout, split)
    for name in load_sheets(tables):
        if root / name in images:
            out.pairs.append(Pair(root / name, root / name, ""))
        elif pattern.match(name):
            out.alone.append(f"{root / name} (no image, but masks in {tables.relative_to(root)})")


def _same_but_for_case(files: Iterable[Path], out: Survey) -> None:
    """Files that would be one on a disk that does not tell upper from lower case."""
    first: dict[str, Path] = {}
    for file in files:
        other = first.setdefault(str(file).casefold(), file)
        if other is not file and other != file:
            out.doubles.append(f"{other} and {file} differ in case only; rename one of the two")


def _or(patterns: Iterable[str]) -> str:
    return " or ".join(f"`{p}`" for p in patterns)


def _nearest(root: Path, patterns: Iterable[str]) -> str:
    """What lies where each pattern stops matching, as a hint."""
    hints = {}
    for pattern in patterns:
        folder = root
        for part in Path(pattern).parts[:-1]:
            if not (folder / part).is_dir():
                break
            folder /= part
        there = ", ".join(f"`{p}`" for p in sorted(p.name for p in folder.iterdir())[:5])
        hints[folder] = f"; `{folder}` has {there}" if there else f"; `{folder}` is empty"
    return "".join(hints.values())
