"""Finds a dataset's files: image and label patterns → pairs. One place for every dataset; no torch."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass
from pathlib import Path

from lsu_onto import Layout

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class DatasetError(ValueError):
    """A dataset's folder is not as its taxonomy says. The message names pattern, finding and remedy."""


@dataclass(frozen=True)
class Pair:
    """An image and its label file. `key` is the label's path below the root without suffix: unique."""

    image: Path
    label: Path
    key: str


def find_pairs(root: str | Path, layout: Layout, split: str) -> list[Pair]:
    """The image-label pairs of a split, sorted by key.

    Raises:
        DatasetError: unknown split, no such folder, no match, or files without their partner.
    """
    root = Path(root)
    if not layout.images or not layout.labels:
        raise DatasetError(
            f"{root}: the taxonomy has no `images:` and `labels:` patterns, so its files cannot be found"
        )
    if layout.splits and split not in layout.splits:
        raise DatasetError(
            f"{root}: there is no split `{split}`; the taxonomy has {', '.join(layout.splits)}"
        )
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder; set `data_root` to where the dataset lies")
    images, labels = (_match(root, p, split) for p in (layout.images, layout.labels))
    for found, pattern in ((images, layout.images), (labels, layout.labels)):
        if not found:
            raise DatasetError(
                f"{root}: nothing matches `{pattern.replace('{split}', split)}`{_nearest(root, pattern, split)}"
            )
    alone = [f"{images[k]} (no label)" for k in images.keys() - labels.keys()]
    alone += [f"{labels[k]} (no image)" for k in labels.keys() - images.keys()]
    if alone:
        shown = "\n  ".join(sorted(alone)[:10])
        raise DatasetError(f"{root}: {len(alone)} files without their partner, e.g.\n  {shown}")
    pairs = [Pair(images[k], labels[k], str(labels[k].relative_to(root).with_suffix(""))) for k in images]
    return sorted(pairs, key=lambda p: p.key)


def _match(root: Path, pattern: str, split: str) -> dict[tuple[tuple[str, str], ...], Path]:
    """Files by what their placeholders hold; hidden ones (`._x.png`, `.cache/x.png`) are passed over."""
    pattern = pattern.replace("{split}", split)
    parts = _PLACEHOLDER.split(pattern)
    seen: set[str] = set()
    regex = wildcards = ""
    for i, part in enumerate(parts):
        if i % 2 == 0:
            regex += re.escape(part)
            wildcards += glob.escape(part)
        else:
            regex += f"(?P={part})" if part in seen else f"(?P<{part}>[^/]+)"
            wildcards += "*"
            seen.add(part)
    found: dict[tuple[tuple[str, str], ...], Path] = {}
    for file in root.glob(wildcards):
        path = file.relative_to(root)
        hidden = (p[0] == "." != q[0] for p, q in zip(path.parts, Path(pattern).parts, strict=True))
        match = re.fullmatch(regex, path.as_posix())
        if match and not any(hidden):
            found[tuple(sorted(match.groupdict().items()))] = file
    return found


def _nearest(root: Path, pattern: str, split: str) -> str:
    """What lies where the pattern stops matching, as a hint."""
    folder = root
    for part in Path(pattern.replace("{split}", split)).parts[:-1]:
        if not (folder / part).is_dir():
            break
        folder /= part
    there = sorted(p.name for p in folder.iterdir())[:5]
    return f"; `{folder}` has {', '.join(f'`{n}`' for n in there)}" if there else f"; `{folder}` is empty"
