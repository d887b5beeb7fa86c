"""What tools are given of each image: a name, the image, its label, and what to look at."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsu_onto import Constraint
from lsu_seg.export.labelled import Item, Run
from lsu_seg.label_files import container, void_index
from lsu_seg.review.doubt import Region
from lsu_seg.review.errors import ReviewError

_DIGITS = 8
_LONGEST = 120
"""Characters of a name: tools put more before and after it."""


@dataclass(frozen=True)
class Task:
    """An image to look at.

    Attributes:
        name: see `name_of`. file: the image's file, below the folder of images.
        labels: `[H, W]`, channels and the void index.
        sha256: of the label's file.
        because: the class that it was chosen for. regions: what to look at first.
        doubt: the share of its pixels that is expected to be wrong.
    """

    item: Item
    name: str
    file: str
    labels: NDArray[Any]
    sha256: str
    because: str
    regions: Sequence[Region]
    doubt: float

    @property
    def constraint(self) -> Constraint:
        return self.item.run.constraint

    def class_of(self, channel: int) -> str:
        return class_name(self.constraint, channel)

    def masks(self) -> list[tuple[str, NDArray[np.bool_]]]:
        """The classes in the label, each with its pixels. Void has none: what is not painted is void."""
        void = void_index(self.constraint.num_classes)
        return [(self.class_of(int(c)), self.labels == c) for c in np.unique(self.labels) if c != void]

    def look(self) -> str:
        """What to look at, in words."""
        places = [f"{self.class_of(r.channel)} {r.confidence:.2f} at {r.x},{r.y}" for r in self.regions]
        return f"chosen for {self.because}; least sure: {', '.join(places)}" if places else f"chosen for {self.because}"

    def document(self) -> dict[str, Any]:
        """What `review.json` says of it."""
        return {
            "name": self.name,
            "file": self.file,
            "dataset": self.item.run.name,
            "key": self.item.key,
            "label_sha256": self.sha256,
            "chosen_for": self.because,
            "doubt": self.doubt,
            "regions": [
                {"class": self.class_of(r.channel), "box": [r.x, r.y, r.width, r.height], "confidence": r.confidence}
                for r in self.regions
            ],
        }


def class_name(constraint: Constraint, channel: int) -> str:
    return constraint.source_classes[channel] if channel < constraint.num_classes else "void"


def name_of(dataset: str, key: str) -> str:
    """The name of an image in every tool: without folders, and of letters that each of them takes.

    It is all that comes back from some of them, so it follows from dataset and key alone.

    >>> name_of("idd", "gtFine/train/0/1_gtFine")
    'idd__gtFine__train__0__1_gtFine'
    >>> name_of("idd", "train/ä b")
    'idd__train____b-2ecc54d9'
    """
    whole = f"{dataset}/{key}"
    name = re.sub(r"[^A-Za-z0-9_-]", "_", whole.replace("/", "__"))
    if name.replace("__", "/") == whole and len(name) <= _LONGEST:
        return name
    return f"{name[:_LONGEST]}-{hashlib.sha256(whole.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def file_of(item: Item, data: bytes) -> str:
    """The name of an image's file: `name_of`, how the sha256 of its label begins, and the suffix of the image.

    CVAT returns nothing else that says which label a person was shown.
    """
    suffix = item.image.suffix
    if container(item.image) != item.image:  # in a table
        suffix = ".png" if data.startswith(b"\x89PNG") else ".jpg"
    return f"{name_of(item.run.name, item.key)}.label-{item.sums['label'].hex()[:_DIGITS]}{suffix}"


def by_name(items: Sequence[Item]) -> dict[str, Item]:
    """The images by their names.

    Raises:
        ReviewError: two have one name.
    """
    names: dict[str, Item] = {}
    for item in items:
        other = names.setdefault(name_of(item.run.name, item.key), item)
        if other.key != item.key or other.run is not item.run:
            raise ReviewError(
                f"`{other.key}` of {other.run.root} and `{item.key}` of {item.run.root} would have one name in the"
                " tools: review one folder at a time"
            )
    return names


def name_and_label(file: str) -> tuple[str, str]:
    """The name of an image, and how the sha256 of its label begins, from what a tool calls its file.

    >>> name_and_label("/data/local-files/?d=images/idd__a.label-0123abcd.jpg")
    ('idd__a', '0123abcd')
    >>> name_and_label(r"C:\\tasks\\idd__a.png")
    ('idd__a', '')
    """
    stem = PurePosixPath(re.split(r"[\\/?=]", file)[-1]).stem
    found = re.fullmatch(rf"(.+)\.label-([0-9a-f]{{{_DIGITS}}})", stem)
    return (found[1], found[2]) if found else (stem, "")


def colours(run: Run) -> Mapping[str, str]:
    """The colour of each class, as `#rrggbb`."""
    c = run.constraint
    rows = zip(c.source_classes, c.source_palette.tolist(), strict=True)
    return {name: "#{:02x}{:02x}{:02x}".format(*rgb) for name, rgb in rows}
