"""Finds a dataset's files: image and label patterns → pairs. The only such code for all datasets; imports no torch."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from lsu_onto import Layout
from lsu_seg.errors import UserError
from lsu_seg.label_files import container, load_sheets, segments_path
from lsu_seg.layout.lists import ListError, read_list
from lsu_seg.layout.patterns import Pattern, Values
from lsu_seg.runtime.progress import counting

BOTH = "files that match both `images:` and `labels:`; write patterns that leave each other's files out"
"""What `Survey.both` has."""


class DatasetError(UserError):
    """A dataset's folder is not as its taxonomy says. The message names the pattern, the problem and the remedy."""


@dataclass(frozen=True)
class Pair:
    """An image and its label file. `key` is the label's path below the root without suffix, and unique.

    If the labels are in tables (`rle`), `label` is the image, by which they are looked up.
    """

    image: Path
    label: Path
    key: str


@dataclass
class Survey:
    """The contents of a dataset's folder.

    Attributes:
        pairs: sorted by key.
        alone: files without a partner, each with a reason.
        doubles: descriptions of files that share a partner or a name.
        both: files that the patterns of images and of labels match, and nothing tells which they are.
        unreadable: folders that cannot be read.
        notes: links that were not followed, and the like.
        junk: ignored files: hidden files, `.DS_Store`, thumbnails, other forms of the labels.
        misspelt: for `images` and `labels`, files that the pattern misses by the case of letters or a suffix only.
    """

    pairs: list[Pair] = field(default_factory=list)
    alone: list[str] = field(default_factory=list)
    doubles: list[str] = field(default_factory=list)
    both: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    junk: list[Path] = field(default_factory=list)
    misspelt: dict[str, dict[Path, list[Values]]] = field(default_factory=dict)


def find_pairs(root: str | Path, layout: Layout, split: str) -> list[Pair]:
    """The image-label pairs of a split, sorted by key.

    Raises:
        DatasetError: unknown split, no such folder, no match, files without a partner, or several files of one name.
    """
    contents = survey(root, layout, split)
    for problems, description in (
        (contents.unreadable, "folders that cannot be read"),
        (contents.both, BOTH),
        (contents.doubles, "files of one name"),
        (contents.alone, "files without their partner"),
    ):
        if problems:
            shown = "\n  ".join(sorted(problems)[:10])
            raise DatasetError(f"{root}: {len(problems)} {description}, e.g.\n  {shown}")
    for note in contents.notes:
        warnings.warn(note, stacklevel=2)
    return contents.pairs


def survey(root: str | Path, layout: Layout, split: str) -> Survey:
    """Find the pairs of a split, and everything that is wrong with the folder.

    Raises:
        DatasetError: there is nothing to examine: unknown split, no such folder, no match, an unusable list.
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
    labels: dict[Path, list[Values]] = {}
    with counting(f"files of {root}") as found:  # on a network drive, hundreds of thousands take minutes
        images, pattern = _find(root, "images", layout, split, out, found)
        layout = replace(layout, images=pattern)
        if not tables:
            labels, pattern = _find(root, "labels", layout, split, out, found)
            layout = replace(layout, labels=pattern)
    if tables:
        _pair_by_tables(root, layout, images, split, out)
    else:
        if layout.list:
            _pair_by_list(root, layout, images, labels, split, out)
        else:
            images = _without_labels(root, layout, images, labels, out)
            edges = _edges(images, labels, _common(root, layout))
            labels = _without_other_forms(labels, edges, layout, out)
            _pair(images, labels, edges, layout, split, out)
    _same_but_for_case(itertools.chain(images, labels), out)
    _note_misspelt(root, layout, out)
    out.pairs = sorted(
        (Pair(p.image, p.label, p.label.relative_to(root).with_suffix("").as_posix()) for p in out.pairs),
        key=lambda p: p.key,
    )
    return out


def overlap(pairs: Mapping[str, Iterable[Pair]]) -> list[tuple[Path, str, str]]:
    """Images that are in two splits, given the pairs of each split, as (image, split, split)."""
    first: dict[Path, str] = {}
    twice = []
    for split, split_pairs in pairs.items():
        for pair in split_pairs:
            image = pair.image.resolve()
            if first.setdefault(image, split) != split:
                twice.append((pair.image, first[image], split))
    return twice


def _find(
    root: Path, key: str, layout: Layout, split: str, out: Survey, found: Callable[[int], None]
) -> tuple[dict[Path, list[Values]], str]:
    """The files of the first alternative that has any, and that alternative.

    An unreadable folder may hold files of the alternative, so the search ends there: no file is skipped silently.
    """
    patterns = layout.alternatives(key, split)
    for pattern in patterns:
        matches = Pattern(pattern).find(root, found)
        files, missing = _of_split(root, pattern, matches.files, layout, split)
        out.notes += matches.notes
        if files or matches.unreadable:
            out.unreadable += matches.unreadable
            out.notes += missing
            out.junk += matches.junk
            out.misspelt[key], _ = _of_split(root, pattern, matches.misspelt, layout, split)
            return files, pattern
    raise DatasetError(f"{root}: nothing matches {_or(patterns)}{_nearest(root, patterns)}")


def _of_split(
    root: Path, pattern: str, files: dict[Path, list[Values]], layout: Layout, split: str
) -> tuple[dict[Path, list[Values]], list[str]]:
    """The files of the split, if the value of a placeholder decides about it, and notes about missing values."""
    notes = []
    for name, placeholder, values in layout.split_values:
        if name == split and placeholder in Pattern(pattern).names:
            present = {r[placeholder] for readings in files.values() for r in readings}
            missing = [v for v in values if v not in present]
            if missing:
                notes.append(f"{root}: nothing has `{placeholder}` {', '.join(missing)} (split `{split}`)")
            chosen = ((f, [r for r in readings if r[placeholder] in values]) for f, readings in files.items())
            files = {f: readings for f, readings in chosen if readings}
    return files, notes


def _common(root: Path, layout: Layout) -> list[str]:
    """The placeholders that the patterns of images and labels have in common, sorted."""
    images, labels = Pattern(layout.images), Pattern(layout.labels)
    common = sorted(images.names & labels.names)
    if not common and (images.names or labels.names):
        raise DatasetError(
            f"{root}: `{layout.images}` and `{layout.labels}` have no placeholder in common, so nothing tells which"
            " label belongs to an image; write the same `{name}` in both"
        )
    return common


def _without_labels(
    root: Path, layout: Layout, images: dict[Path, list[Values]], labels: dict[Path, list[Values]], out: Survey
) -> dict[Path, list[Values]]:
    """The images without the labels that their pattern matches as well: `{stem}.png` also matches `a_label.png`.

    Such files are labels if one of them belongs to an image that is no label. Else there is no telling.
    """
    both = [f for f in images if f in labels]
    rest = {f: readings for f, readings in images.items() if f not in labels}
    if both and any(label in images for _, label in _edges(rest, labels, _common(root, layout))):
        out.notes.append(
            f"`{layout.images}` also matches {len(both)} files of `{layout.labels}`, e.g. {both[0]}; they are taken for"
            " labels only"
        )
        return rest
    out.both = [str(f) for f in both]
    return images


def _without_other_forms(
    labels: dict[Path, list[Values]], edges: Iterable[tuple[Path, Path]], layout: Layout, out: Survey
) -> dict[Path, list[Values]]:
    """The labels without other forms of them that their pattern matches as well: `{stem}_label.png` also matches
    `a_inst_label.png`.

    Such files belong to no image, and every label that belongs to one has such a file beside it. A single label proves
    nothing.
    """
    tail = Pattern(layout.labels).parts[-1][-1]
    paired = dict.fromkeys(label for _, label in edges)
    alone = labels.keys() - paired.keys()
    if not tail or len(paired) < 2 or len(alone) < len(paired):
        return labels
    heads = [str(label).removesuffix(tail) for label in paired]
    names = [str(label).removesuffix(tail) for label in alone]
    forms: set[Path] = set()
    for infix in {name.removeprefix(heads[0]) for name in names if name.startswith(heads[0])}:
        if infix[0] not in "_-.":  # of another label: `10_inst` begins with `1`, too
            continue
        if all(Path(f"{head}{infix}{tail}") in alone for head in heads):
            forms |= {Path(f"{head}{infix}{tail}") for head in heads}
    out.junk += sorted(forms)
    return {label: readings for label, readings in labels.items() if label not in forms}


def _edges(
    images: dict[Path, list[Values]], labels: dict[Path, list[Values]], common: list[str]
) -> list[tuple[Path, Path]]:
    """Images and labels that agree in the common placeholders."""
    by_key: dict[tuple[str, ...], dict[Path, None]] = {}
    for label, readings in labels.items():
        for reading in readings:
            by_key.setdefault(tuple(reading[c] for c in common), {})[label] = None
    return list(
        dict.fromkeys(
            (image, label)
            for image, readings in images.items()
            for reading in readings
            for label in by_key.get(tuple(reading[c] for c in common), ())
        )
    )


def _pair(
    images: dict[Path, list[Values]],
    labels: dict[Path, list[Values]],
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
    # If a pattern lacks the placeholder that decides about the split, its files without a partner are of other splits.
    deciding = [p for name, p, _ in layout.split_values if name == split]
    both = set(out.both)  # which says it better
    for files, partners, pattern, partner_kind, candidates in (
        (images, of_image, layout.images, "label", labels),
        (labels, of_label, layout.labels, "image", images),
    ):
        if all(p in Pattern(pattern).names for p in deciding):
            # A table of images holds every frame of a drive, and most frames are not annotated.
            alone = [f for f in files if f not in partners and (partner_kind == "image" or container(f) == f)]
            alone = [f for f in alone if str(f) not in both]
            by_name = {_folded(o.stem): o for o in candidates} if alone else {}
            missed = _missed(f"{partner_kind}s", {f: files[f] for f in alone}, layout, out)
            out.alone += [f"{f} (no {partner_kind}{missed.get(f) or _reason(f, by_name)})" for f in alone]


def _reason(file: Path, by_name: dict[str, Path]) -> str:
    """The likely reason why a file has no partner. by_name: the files that might be it, by their folded names."""
    other = by_name.get(_folded(file.stem))
    if other is not None and other.stem != file.stem:
        if normalize("NFC", other.stem) == normalize("NFC", file.stem):
            return f"; {other.name} looks the same and has other bytes (Unicode NFC and NFD); rename one of the two"
        return f"; {other.name} differs in case"
    inner = PurePosixPath(file.stem)
    if inner.suffix.lower() in (".png", ".jpg", ".jpeg", ".tif", ".tiff"):
        return f"; it has two suffixes, {inner.suffix} and {file.suffix}"
    return ""


def _missed(kind: str, alone: dict[Path, list[Values]], layout: Layout, out: Survey) -> dict[Path, str]:
    """For files without a partner, which misspelt file it would be; these need no note of their own."""
    misspelt = out.misspelt.get(kind, {})
    common = sorted(Pattern(layout.images).names & Pattern(layout.labels).names)
    found = dict(_edges(alone, misspelt, common)) if alone and misspelt and common else {}
    out.misspelt[kind] = {f: readings for f, readings in misspelt.items() if f not in found.values()}
    pattern = getattr(layout, kind)
    return {f: f"; {other} is there, and `{pattern}` is spelt otherwise; rename it" for f, other in found.items()}


def _note_misspelt(root: Path, layout: Layout, out: Survey) -> None:
    for kind, files in out.misspelt.items():
        if files:
            they, them = ("files differ", "them") if len(files) > 1 else ("file differs", "it")
            out.notes.append(
                f"{root}: {len(files)} {they} from `{getattr(layout, kind)}` in the case of letters or the spelling of"
                f" the suffix only, e.g. {min(files)}; not used: rename {them}, or change the pattern"
            )


def _folded(stem: str) -> str:
    """A name without what people do not see, or take for the same."""
    return normalize("NFC", stem).lower()


def _pair_by_list(
    root: Path,
    layout: Layout,
    images: dict[Path, list[Values]],
    labels: dict[Path, list[Values]],
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


def _pair_by_tables(root: Path, layout: Layout, images: dict[Path, list[Values]], split: str, out: Survey) -> None:
    """Pair the key frames of the split's tables (`rle`). Images that the tables do not name are of other splits."""
    pattern, tables = Pattern(layout.images), segments_path(root, layout, split)
    for name in load_sheets(tables):
        if root / name in images:
            out.pairs.append(Pair(root / name, root / name, ""))
        elif pattern.match(name):
            out.alone.append(f"{root / name} (no image, but masks in {tables.relative_to(root)})")
    if not out.pairs and not out.alone:
        raise DatasetError(f"{root}: {tables.relative_to(root)} names no image that matches `{layout.images}`")


def _same_but_for_case(files: Iterable[Path], out: Survey) -> None:
    """Report files whose names are equal on a file system that ignores case."""
    first: dict[str, Path] = {}
    for file in files:
        other = first.setdefault(str(file).casefold(), file)
        if other is not file and other != file:
            out.doubles.append(f"{other} and {file} differ in case only; rename one of the two")


def _or(patterns: Iterable[str]) -> str:
    return " or ".join(f"`{p}`" for p in patterns)


def _nearest(root: Path, patterns: Iterable[str]) -> str:
    """A hint: the contents of the folder in which each pattern stops matching."""
    hints = {}
    for pattern in patterns:
        folder = root
        for part in Path(pattern).parts[:-1]:
            if not (folder / part).is_dir():
                break
            folder /= part
        entries = ", ".join(f"`{p.name}`{_no_file(p)}" for p in sorted(folder.iterdir())[:5])
        hints[folder] = f"; `{folder}` has {entries}" if entries else f"; `{folder}` is empty"
    return "".join(hints.values())


def _no_file(path: Path) -> str:
    """What a file is not that has the name of one."""
    if path.is_file() or not path.suffix[1:].isalpha():  # a version is no ending
        return ""
    what = "a folder" if path.is_dir() else "a pipe or a device" if path.exists() else "a link that leads nowhere"
    return f" ({what})"
