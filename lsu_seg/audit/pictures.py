"""What an audit shows of a dataset: image, annotation, teacher and pseudo-label, cut out of the same place."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lsu_onto import ROW_UNKNOWN, ROW_VOID, Constraint
from lsu_seg.audit.findings import Finding
from lsu_seg.audit.sample import GRID, UNSEEN, Sample
from lsu_seg.gallery.candidates import Candidates, Sighting
from lsu_seg.gallery.crop import Box, cut, encode, fitted, outline, with_context
from lsu_seg.gallery.gallery import in_threads, open_pair
from lsu_seg.label_files import LabelFileError, LabelReader
from lsu_seg.label_files.annotation import channel_constraint
from lsu_seg.layout.pairs import DatasetError, survey
from lsu_seg.runtime.progress import track

PER_FINDING = 3
"""So many places show a finding."""

_PLACES = 150
"""So many places are shown on a page at most: of the first findings, if there are many."""

_MOST = 60_000
_LEAST = 0.03
_NOT_ASKED = -3
_NO_CLASS = {
    ROW_VOID: ("void", (20, 20, 20)),
    ROW_UNKNOWN: ("unlisted value", (255, 255, 255)),
    _NOT_ASKED: ("not asked", (128, 128, 128)),
}


@dataclass(frozen=True)
class Pictures:
    """Where the pictures of an audited dataset are.

    Attributes:
        constraint: of the dataset, as audited. sightings: key → image and label.
        labels: the output folder of the labelling run, or None. raw: its `raw_dir`, or None.
        problems: which of the splits cannot be read, with the reasons.
    """

    constraint: Constraint
    sightings: Mapping[str, Sighting]
    labels: Path | None = None
    raw: Path | None = None
    problems: tuple[str, ...] = ()

    @classmethod
    def find(
        cls,
        constraint: Constraint,
        data_root: str | Path,
        splits: Sequence[str] = (),
        labels: str | Path | None = None,
        raw: str | Path | None = None,
    ) -> Pictures:
        """Find images and labels as the taxonomy says.

        Args:
            splits: those of the audit; empty means all that exist.

        Raises:
            DatasetError: no split has any images and labels that can be read.
        """
        sightings: dict[str, Sighting] = {}
        problems: list[str] = []
        for split in splits or constraint.layout.splits or [""]:
            try:
                pairs = survey(data_root, constraint.layout, split).pairs
                reader = LabelReader(constraint, unknown="keep", root=str(data_root), split=split)
                reader.prepare()
            except (DatasetError, LabelFileError) as error:
                problems.append(str(error))
                continue
            sightings |= {pair.key: Sighting(pair, reader) for pair in pairs}
        if problems and not sightings:
            raise DatasetError(problems[-1])
        labels, raw = (Path(folder) if folder else None for folder in (labels, raw))
        return cls(constraint, sightings, labels, raw, tuple(problems) if splits else ())

    def missing(self, sample: Sample) -> list[str]:
        """What is in a sample and cannot be shown, because its files are not where they were."""
        lost = [key for key in sample.keys if key not in self.sightings]
        of = f"{len(lost)} of {len(sample.keys)} images that were looked at"
        return [f"{of} are gone, e.g. `{lost[0]}`"] if lost else []


class Panel(NamedTuple):
    """One of the pictures of a place.

    Attributes:
        title: what it is. picture: PNG or WebP. inside: of the outlined pixels, classes with colour and share.
    """

    title: str
    picture: bytes
    inside: list[tuple[str, str, float]]


class Strip(NamedTuple):
    """The pictures of one place, side by side.

    Attributes:
        path: of the image. key: of the pair. row: the outlined row of d, or None. share: the row's of the whole image.
        size: width and height of the panels. outline: a PNG to lay on each, or empty.
    """

    path: Path
    key: str
    row: int | None
    share: float
    size: tuple[int, int]
    outline: bytes
    panels: list[Panel]


def candidates(pictures: Pictures, sample: Sample) -> Candidates:
    """The images of a sample that may show a class; what is not annotated is row -1."""
    out = Candidates()
    for i, key in enumerate(sample.keys):
        if key in pictures.sightings:
            pixels = sample.pixels[i]
            rows = [
                (int(row) if row < len(pixels) - 1 else ROW_VOID, int(pixels[row])) for row in np.flatnonzero(pixels)
            ]
            out.add(i / len(sample.keys), rows, pictures.sightings[key])
    return out


def make_strips(
    pictures: Pictures, sample: Sample, findings: Sequence[Finding], budget: int
) -> tuple[dict[int, list[Strip]], list[str]]:
    """For each finding, by its index, what shows it; and which images or labels cannot be opened, with the reasons.

    Args:
        budget: so many characters of pictures the page may have.
    """
    per_finding = min(PER_FINDING, max(1, _PLACES // max(1, len(findings))))
    places = [_places(finding)[:per_finding] for finding in findings[:_PLACES]]
    wanted: dict[str, list[tuple[int, Box | None]]] = {}
    for i, own in enumerate(places):
        for key, box in own:
            if key in pictures.sightings:
                wanted.setdefault(key, []).append((i, box))
    limit = min(_MOST, budget * 3 // 4 // max(1, sum(map(len, wanted.values()))))
    studio = _Studio(pictures, sample, limit)
    made = in_threads(lambda key: studio.strips(key, [(findings[i], box) for i, box in wanted[key]]), wanted)
    strips: dict[int, list[tuple[int, Strip]]] = {}
    problems = []
    for key, (of_key, problem) in zip(wanted, track(made, "pictures of findings", len(wanted)), strict=True):
        problems += problem
        for (i, box), strip in zip(wanted[key], of_key, strict=False):
            strips.setdefault(i, []).append((places[i].index((key, box)), strip))
    return {i: [strip for _, strip in sorted(own, key=lambda s: s[0])] for i, own in strips.items()}, problems


def _places(finding: Finding) -> list[tuple[str, Box | None]]:
    """Keys and boxes (None: the whole image) that show a finding."""
    whole: list[tuple[str, Box | None]] = [(key, None) for key in finding.keys]
    return whole or [(region.key, region.box) for region in finding.regions]


class _Studio:
    """Opens the files of a key, and cuts strips out of them."""

    def __init__(self, pictures: Pictures, sample: Sample, limit: int) -> None:
        self._pictures, self._sample, self._limit = pictures, sample, limit
        self._channels = LabelReader(channel_constraint(pictures.constraint), unknown="void")
        self._grid_of = {sample.keys[image]: g for g, image in enumerate(sample.grid_image.tolist())}

    def strips(self, key: str, places: Iterable[tuple[Finding, Box | None]]) -> tuple[list[Strip], list[str]]:
        sighting = self._pictures.sightings[key]
        try:
            image, rows = open_pair(sighting)
        except LabelFileError as error:
            return [], [str(error)]
        constraint, problems = self._pictures.constraint, []
        maps: list[tuple[str, NDArray[Any], Sequence[str], NDArray[np.uint8]]] = [
            ("ground truth", rows, constraint.classes, constraint.palette)
        ]
        for title, folder in (("teacher", self._pictures.raw), ("pseudo-label", self._pictures.labels)):
            try:
                channels = self._read(folder, key, rows.shape)
            except LabelFileError as error:
                channels = None
                problems.append(str(error))
            if channels is None and title == "teacher":
                channels = self._grid(key, rows.shape)
                title = "teacher, coarsely"
            if channels is not None:
                maps.append((title, channels, constraint.source_classes, constraint.source_palette))
        strips = []
        for finding, box in places:
            row = _row_to_outline(finding, rows, box)
            mask = rows == row if row is not None else np.zeros(rows.shape, bool)
            shown = (0, 0, *rows.shape) if box is None else with_context(_inside(box, rows.shape), rows.shape)
            here = slice(shown[0], shown[2]), slice(shown[1], shown[3])
            panels = [Panel("image", encode(cut(image, shown), self._limit * 2 // 5), [])]
            for title, values, names, palette in maps:
                counted = _shares(values[here], mask[here], names, palette)
                panels.append(Panel(title, _drawn(values[here], palette, fitted(shown), self._limit // 8), counted))
            line = outline(mask, shown) if row is not None else b""
            share = float(mask.mean())
            strips.append(Strip(sighting.pair.image, key, row, share, fitted(shown), line, panels))
        return strips, problems

    def _read(self, folder: Path | None, key: str, shape: tuple[int, ...]) -> NDArray[np.int16] | None:
        """The channels of a label of a run, -1 for void; None if it is not there."""
        path = folder / f"{key}.png" if folder else None
        if path is None or not path.is_file():
            return None
        channels = self._channels.inspect(path).rows
        if channels.shape != shape:
            found = f"a label of {channels.shape[1]}x{channels.shape[0]}"
            raise LabelFileError.of(path, found, f"{shape[1]}x{shape[0]}, as the annotation has", "label again")
        return channels

    def _grid(self, key: str, shape: tuple[int, ...]) -> NDArray[np.int16] | None:
        """The teacher's channels from the grid of the image, as large as its label, or `_NOT_ASKED`."""
        if key not in self._grid_of:
            return None
        top = self._sample.grid_top[self._grid_of[key], ..., 0].astype(np.int32)
        y, x = (np.arange(side) * cells // side for side, cells in zip(shape, GRID, strict=True))
        return np.where(top == UNSEEN, _NOT_ASKED, top).astype(np.int16)[np.ix_(y, x)]


def _inside(box: Box, shape: tuple[int, ...]) -> Box:
    """The box, where it lies in the image at all."""
    top, left = min(max(0, box[0]), shape[0] - 1), min(max(0, box[1]), shape[1] - 1)
    return top, left, min(max(box[2], top + 1), shape[0]), min(max(box[3], left + 1), shape[1])


def _row_to_outline(finding: Finding, rows: NDArray[np.int16], box: Box | None) -> int | None:
    """Of the rows that a finding is about, the one that has most of the box; none for findings about files."""
    if not finding.rows:
        return None
    top, left, bottom, right = _inside(box, rows.shape) if box else (0, 0, *rows.shape)
    part = rows[top:bottom, left:right]
    return max(finding.rows, key=lambda row: int(np.count_nonzero(part == row)))


def _shares(
    values: NDArray[Any], mask: NDArray[np.bool_], names: Sequence[str], palette: NDArray[np.uint8]
) -> list[tuple[str, str, float]]:
    """The classes of the pixels in a mask (of all, if it is empty) with colour and share, the largest three."""
    values = values[mask] if mask.any() else values.reshape(-1)
    found, counts = np.unique(values, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:3]
    return [
        (_name(int(found[i]), names), _hex(_colour(int(found[i]), palette)), float(counts[i] / len(values)))
        for i in order
        if counts[i] >= _LEAST * len(values)
    ]


def _name(value: int, names: Sequence[str]) -> str:
    return names[value] if value >= 0 else _NO_CLASS[value][0]


def _colour(value: int, palette: NDArray[np.uint8]) -> tuple[int, ...]:
    return tuple(palette[value].tolist()) if value >= 0 else _NO_CLASS[value][1]


def _hex(colour: Iterable[int]) -> str:
    return f"#{bytes(colour).hex()}"


def _drawn(values: NDArray[Any], palette: NDArray[np.uint8], size: tuple[int, int], limit: int) -> bytes:
    """A map of classes in their colours, as a PNG; coarser, if it has more than `limit` bytes."""
    height, width = values.shape
    y, x = (np.arange(n) * side // n for n, side in ((size[1], height), (size[0], width)))
    found, index = np.unique(values[np.ix_(y, x)], return_inverse=True)
    if len(found) > 256:  # more colours than a palette has
        found, index = found[:256], np.minimum(index, 255)
    image = Image.fromarray(index.reshape(size[1], size[0]).astype(np.uint8))
    image.putpalette([part for value in found.tolist() for part in _colour(value, palette)])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    if buffer.tell() > limit and min(size) >= 32:
        return _drawn(values, palette, (size[0] // 2, size[1] // 2), limit)
    return buffer.getvalue()
