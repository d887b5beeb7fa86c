"""How sure the teacher was of the pixels of a label, by class and by region."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsu_onto import make_folder, open_to_read
from lsu_seg.export.labelled import Item, Run
from lsu_seg.gallery.gallery import in_threads
from lsu_seg.label_files import container, own_pixels, void_index
from lsu_seg.label_files.annotation import Annotation, read_confidence
from lsu_seg.pseudo.corrections import Corrections
from lsu_seg.pseudo.output import file_sha256
from lsu_seg.runtime.lines import LineFile, read_line
from lsu_seg.runtime.progress import progress

_TILES = 8
"""A region is one of so many by so many parts of an image."""
REGIONS = 3
"""So many regions of an image are pointed out."""
_PIXELS = 1 << 40
"""No image has so many pixels."""


class Doubt(NamedTuple):
    """How many pixels of an image have each class, and how many of these are expected to be wrong, by channel.

    The teacher's confidence says so: a pixel with confidence 0.7 counts 0.3. Channel K is void.
    """

    pixels: Mapping[int, int]
    doubt: Mapping[int, float]


class Region(NamedTuple):
    """A part of an image that the teacher was not sure of; confidence: its mean there, of the class that it chose."""

    channel: int
    x: int
    y: int
    width: int
    height: int
    confidence: float


class Doubts:
    """Reads the labels of a run with their confidence."""

    def __init__(self, corrections: Corrections) -> None:
        self.folder, self._corrections = corrections.root, corrections
        self._annotations: dict[str, Annotation] = {}
        self._table: tuple[Path, str] | None = None  # the last file of annotations, and its sha256

    def annotation(self, item: Item) -> Annotation:
        """The reader of the annotation of an image, as labelling has read it."""
        if item.own_split not in self._annotations:
            unknown = "void" if item.run.manifest.get("unknown") == "void" else "error"
            root = str(item.run.data_root)
            self._annotations[item.own_split] = Annotation(item.run.constraint, unknown, root, item.own_split)
        return self._annotations[item.own_split]

    def annotation_sha256(self, item: Item) -> str:
        """sha256 of the file of the annotation of an image; a table of many images is read once."""
        path = container(item.own)
        if self._table is None or self._table[0] != path:
            self._table = path, file_sha256(path)
        return self._table[1]

    def of(self, item: Item) -> Doubt:
        labels, doubt = self._maps(item)
        k = item.run.constraint.num_classes
        pixels, sums = np.bincount(labels.ravel(), minlength=k + 1), np.bincount(labels.ravel(), doubt.ravel(), k + 1)
        return Doubt(
            {c: int(n) for c, n in enumerate(pixels) if n},
            {c: round(float(s), 3) for c, s in enumerate(sums) if s >= 0.001},
        )

    def regions(self, item: Item) -> list[Region]:
        """The parts of an image with the most doubt, most first."""
        labels, doubt = self._maps(item)
        height, width = labels.shape
        rows, columns = (np.unique(np.linspace(0, size, _TILES + 1).astype(int)) for size in (height, width))
        found = []
        for top, bottom in itertools.pairwise(rows):
            for left, right in itertools.pairwise(columns):
                tile = (slice(top, bottom), slice(left, right))
                sums = np.bincount(labels[tile].ravel(), doubt[tile].ravel())
                channel = int(sums.argmax())
                if sums[channel] > 0:
                    mean = 1 - sums[channel] / np.count_nonzero(labels[tile] == channel)
                    box = (int(left), int(top), int(right - left), int(bottom - top))
                    found.append((sums.sum(), Region(channel, *box, round(float(mean), 3))))
        found.sort(key=lambda pair: -pair[0])  # stable: from the top left
        return [region for _, region in found[:REGIONS]]

    def _maps(self, item: Item) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Channels, K for void, and the doubt of each pixel, `[H, W]`."""
        labels = read_label(item).astype(np.int64)
        k = item.run.constraint.num_classes
        labels[labels == void_index(k)] = k
        if item.confidence is not None:
            item.read_confidence()  # that it is what the run has written
            confidence = read_confidence(str(item.confidence), labels.shape)
            doubt = (1 - confidence / 255).astype(np.float32)
        elif not item.noted.asked:
            doubt = np.zeros(labels.shape, np.float32)
        else:  # all that is known is the mean over the pixels that the annotation leaves open
            rows = self.annotation(item).load(str(item.own))[1]
            is_open = np.append(item.run.constraint.relabel < 0, False)[rows]
            doubt = (is_open * (1 - item.noted.confidence)).astype(np.float32)
        correction = self._corrections.of(item.key) if item.confidence is None else None
        if correction is not None and correction.pixels.shape == labels.shape:
            doubt[correction.pixels] = 0
        return labels, doubt


def read_label(item: Item) -> NDArray[Any]:
    """`[H, W]`, channels and the void index.

    Raises:
        ExportError: the file is not what the run has written.
    """
    return own_pixels(item.label, item.read_label())


def all_doubts(run: Run, items: Sequence[Item], doubts: Doubts) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The pixels of each class in all images, int64 `[K + 1]`, and its doubt in each image, float32 `[N, K + 1]`.

    It is kept beside the corrections, so that only labels that are new are read.

    Raises:
        ExportError: a label is not what the run has written.
    """
    path, classes = doubts.folder / "doubt.jsonl", run.constraint.num_classes + 1
    pixels, doubt = np.zeros(classes, np.int64), np.zeros((len(items), classes), np.float32)
    rows = {_name(item): row for row, item in enumerate(items)}  # those that are not known yet

    def add(name: str, found: Doubt) -> None:
        row = rows.pop(name)
        for channel, count in found.pixels.items():
            pixels[channel] += count
        for channel, amount in found.doubt.items():
            doubt[row, channel] = amount

    for name, found in _kept(path):
        if name in rows and all(0 <= channel < classes for channel in (*found.pixels, *found.doubt)):
            add(name, found)
    missing = [items[row] for row in rows.values()]
    if missing:
        make_folder(path.parent)
        file = LineFile(path)
        try:
            with progress(f"doubt in {run.name}", len(missing)) as advance:
                for item, found in zip(missing, in_threads(doubts.of, missing), strict=True):
                    add(_name(item), found)
                    line = {"of": _name(item), "pixels": found.pixels, "doubt": found.doubt}
                    file.append(json.dumps(line).encode())
                    advance(1)
        finally:
            file.close()
    return pixels, doubt


def _name(item: Item) -> str:
    """What the doubt of an image depends on."""
    sums = [item.sums.get(name, b"").hex()[:32] for name in ("label", "confidence")]
    return " ".join([item.key, *sums, str(item.noted.confidence), str(item.noted.asked)])


def _kept(path: Path) -> Iterator[tuple[str, Doubt]]:
    try:
        with open_to_read(path) as file:
            for text in file:
                try:
                    line = read_line(text)
                    pixels = {int(channel): count for channel, count in line["pixels"].items()}
                    kept = str(line["of"]), Doubt(pixels, {int(channel): n for channel, n in line["doubt"].items()})
                except (ValueError, KeyError, TypeError, AttributeError):
                    continue  # cut off by a kill
                if all(isinstance(n, int) and 0 <= n < _PIXELS for n in pixels.values()) and all(
                    isinstance(n, (int, float)) and 0 <= n <= pixels.get(channel, 0)
                    for channel, n in kept[1].doubt.items()
                ):
                    yield kept
    except FileNotFoundError:
        return
