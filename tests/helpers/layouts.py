"""Empty files of a dataset, and the pairs that are found among them."""

from __future__ import annotations

from pathlib import Path

from lsu_onto import Layout
from lsu_seg.layout.pairs import find_pairs


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def keys(root: Path, layout: Layout, split: str = "train") -> list[str]:
    return [pair.key for pair in find_pairs(root, layout, split)]
