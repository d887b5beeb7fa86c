"""Records → a report: counters that do not grow with the number of files, and findings with a few examples each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsu_onto import Constraint, Palettes
from lsu_seg.label_files import PALETTES, SWAPPED, UnknownValue, hint, nearest_colour, other_colour, show_value
from lsu_seg.layout.images import CAMERA_BITS
from lsu_seg.layout.pairs import BOTH, Pair, Survey
from lsu_seg.scan.collect import Record

SHOWN = 10
"""Number of examples kept per finding."""

MAX_VALUES = 1024
"""Number of distinct unlisted values that are tracked."""

TITLES = {
    "split": ("error", "splits that cannot be read"),
    "folder": ("error", "folders that cannot be read"),
    "both": ("error", BOTH),
    "double": ("error", "files of one name"),
    "alone": ("error", "files without their partner"),
    "label": ("error", "label files that are refused"),
    "image": ("error", "images that cannot be read"),
    "bits": ("warning", "images that are loaded darker than they are"),
    "size": ("error", "images and labels of different size"),
    "values": ("error", "label files with unlisted values"),
    "space": ("error", "the label space"),
    "palettes": ("error", "label files whose palettes contradict those before"),
    "smooth": ("warning", "labels that look resized with interpolation: values between two classes on their borders"),
    "overlap": ("warning", "images in two splits"),
    "void": ("warning", "labels that are void everywhere: training skips them"),
    "turned": ("warning", "images that EXIF asks to turn: image and label are taken as they are stored"),
    "palette": ("warning", "palettes that differ from the taxonomy's colours"),
    "unseen": ("warning", "classes that are declared and never seen"),
    "absent": ("warning", "splits of the taxonomy that are not here"),
    "link": ("warning", "links, folders and patterns"),
    "junk": ("info", "hidden and junk files and other forms of the labels, passed over"),
    "map": ("info", "the source"),
}
"""Kind of finding → severity and title, in display order."""


@dataclass
class Finding:
    """A problem that occurred `count` times; `examples` has the first occurrences."""

    kind: str
    severity: str = ""
    count: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        return TITLES[self.kind][1]


@dataclass
class Unlisted:
    """A value that the taxonomy does not list: its pixels, files, and first position."""

    value: int | str
    pixels: int
    files: int
    file: str
    x: int
    y: int


class Totals:
    """Sums up records.

    Attributes:
        constraint: with or without a map.
        pixels, files: int64 `[D]`, per row of d.
        void, unknown: pixels. read: labels read. needing: images that need the teacher. decoded: images decoded.
        bits: the most bits that a value of a 16-bit image needs, and sixteen: the number of these images, where neither
            files nor taxonomy say how many bits are used.
        with_unknown: labels with unlisted values. bgr: those of them whose red and blue look swapped.
    """

    def __init__(self, constraint: Constraint, unknown_is_void: bool = False) -> None:
        self.constraint = constraint
        self.pixels = np.zeros(len(constraint.classes), np.int64)
        self.files = np.zeros(len(constraint.classes), np.int64)
        self.ambiguous: NDArray[np.bool_] = constraint.allowed.sum(1) > 1
        self.void = self.unknown = self.further = self.read = self.needing = self.decoded = 0
        self.bits = self.sixteen = self.with_unknown = self.bgr = 0
        self.unlisted: dict[int | str, Unlisted] = {}
        self.findings: dict[str, Finding] = {}
        self._palettes = Palettes()
        self._severity = {"values": "warning"} if unknown_is_void else {}

    def find(self, kind: str, text: str, count: int = 1, severity: str = "") -> None:
        finding = self.findings.setdefault(kind, Finding(kind))
        finding.severity = severity or self._severity.get(kind, TITLES[kind][0])
        finding.count += count
        if len(finding.examples) < SHOWN:
            finding.examples.append(text)

    def add_survey(self, survey: Survey) -> None:
        for kind, texts in (
            ("folder", survey.unreadable),
            ("both", survey.both),
            ("double", survey.doubles),
            ("alone", sorted(survey.alone)),
            ("link", survey.notes),
            ("junk", map(str, survey.junk)),
        ):
            for text in texts:
                self.find(kind, text)

    def add(self, pair: Pair, record: Record) -> None:
        if "image" in record:
            self.find("image", record["image"])
        self.decoded += "decoded" in record or "image" in record
        self._add_bits(pair, record.get("bits", 0))
        if "label" in record:
            self.find("label", record["label"])
            return
        self.read += 1
        rows, pixels = np.array(record["rows"], np.int64).reshape(-1, 2).T
        self.pixels[rows] += pixels
        self.files[rows] += 1
        self.void += record["void"]
        self.needing += bool(self.ambiguous[rows].any())
        if not len(rows) and not record.get("unknown"):
            self.find("void", str(pair.label))
        self._add_palette(pair, dict(record.get("colours", ())))
        if "smooth" in record:
            self.find(
                "smooth",
                f"{pair.label}: {100 * record['smooth']:.0f} % of the changes from pixel to pixel are such steps; take"
                " the original label, or resize it with nearest neighbour",
            )
        self._add_unknown(pair, record)
        self._compare(pair, record)

    def _add_bits(self, pair: Pair, bits: int) -> None:
        declared = self.constraint.layout.image_bits
        if bits and declared and bits > declared:
            self.find(
                "image",
                f"{pair.image}: found a value of {bits} bits; expected at most {declared}, as `image-bits:` says",
            )
        elif bits and not declared:
            self.bits = max(self.bits, bits)
            self.sixteen += 1

    def find_dark(self) -> None:
        """Report 16-bit images of which none uses the upper bits: their 8 upper bits are all that is loaded."""
        if 0 < self.bits <= CAMERA_BITS[-1]:
            bits = next(b for b in CAMERA_BITS if b >= self.bits)
            self.find(
                "bits",
                f"no value of {self.sixteen} 16-bit image(s) that were decoded is above {(1 << bits) - 1}, and of 65535"
                f" there are: write `image-bits: {bits}` if the values use {bits} bits",
                count=self.sixteen,
            )

    def _add_palette(self, pair: Pair, colours: dict[int, int]) -> None:
        if clash := self._palettes.add(pair.label, colours):
            first = "palettes" not in self.findings
            self.find("palettes", f"{pair.label}: {clash}{f'; {PALETTES}' if first else ''}")
        # Palettes that agree differ from the taxonomy in one way.
        elif "palette" not in self.findings and (other := other_colour(pair.label, colours, self.constraint)):
            self.find("palette", other)

    def _add_unknown(self, pair: Pair, record: Record) -> None:
        values = [UnknownValue(*u) for u in record.get("unknown", ())]
        if not values:
            return
        further, pixels = record.get("more", (0, 0))
        self.unknown += sum(u.count for u in values) + pixels
        self.further += pixels
        for u in values:
            if u.value in self.unlisted:
                self.unlisted[u.value].pixels += u.count
                self.unlisted[u.value].files += 1
            elif len(self.unlisted) < MAX_VALUES:
                self.unlisted[u.value] = Unlisted(u.value, u.count, 1, str(pair.label), u.x, u.y)
            else:
                self.further += u.count
        shown = ", ".join(f"{show_value(u.value, self.constraint)} ({u.count} px, x={u.x} y={u.y})" for u in values[:3])
        more = len(values) + further - 3
        text = f"{pair.label}: {shown}{f' and {more} more value(s)' if more > 0 else ''}"
        self.with_unknown += 1
        if record.get("bgr"):
            self.bgr += 1
            text += f"; {SWAPPED}"
        self.find("values", text)

    def _compare(self, pair: Pair, record: Record) -> None:
        size, image, turned = record["size"], record.get("image_size"), record.get("turned")
        if image is not None and size != image:
            text = f"{pair.label}: the label is {size[0]}x{size[1]}, the image `{pair.image}` {image[0]}x{image[1]}"
            if isinstance(turned, int) and turned >= 5 and size == image[::-1]:
                text += f": it was drawn on the turned image (EXIF orientation {turned}); save the image turned"
            self.find("size", text)
        elif turned:
            self.find("turned", f"{pair.image}: EXIF orientation {turned}; check that its label lies on it")

    def sorted_unlisted(self) -> list[Unlisted]:
        """Unlisted values, those with most pixels first."""
        return sorted(self.unlisted.values(), key=lambda u: (-u.pixels, str(u.value)))


@dataclass
class Class:
    """A class of the dataset: its pixels and files, and the names in S(d)."""

    name: str
    colour: str
    pixels: int
    files: int
    allowed: list[str]


@dataclass
class SourceClass:
    """A class of the source: pixels that the ground truth decides as this class, and pixels that may be this class."""

    name: str
    colour: str
    decided: int
    possible: int


@dataclass
class Report:
    """The result of a scan, as plain values: `text.py` and `page.py` display it, `dataclasses.asdict` gives the JSON.

    Attributes:
        pairs: image-label pairs found; read: labels that could be read; decoded: images that were decoded.
        void: pixels that are not annotated or can only be void; decided: pixels with one class; teacher: pixels with
            several; unlisted: pixels with a value that the taxonomy does not list. Without a source, all listed pixels
            are `decided`.
        images_needing_teacher: images with pixels that need the teacher.
    """

    taxonomy: str
    source: str
    data_root: str
    encoding: str
    splits: list[str]
    pairs: int
    read: int
    decoded: int
    pixels: int
    decided: int
    teacher: int
    void: int
    unlisted: int
    images_needing_teacher: int
    classes: list[Class]
    source_classes: list[SourceClass]
    values: list[dict[str, Any]]
    hint: str
    findings: list[Finding]

    @property
    def errors(self) -> int:
        return sum(f.count for f in self.findings if f.severity == "error")

    @property
    def warnings(self) -> int:
        return sum(f.count for f in self.findings if f.severity == "warning")


def report(totals: Totals, data_root: str, splits: Sequence[str], pairs: int) -> Report:
    """Assemble the report."""
    c = totals.constraint
    k = c.num_classes
    totals.find_dark()
    for i in np.flatnonzero(totals.files == 0):
        if totals.read and (c.raw_row == i).any():
            totals.find("unseen", c.classes[i])
    single = ~totals.ambiguous
    only_void = single & c.allowed[:, k] & bool(k)
    decided, possible = _in_source(totals)
    unlisted = totals.sorted_unlisted()
    top = [UnknownValue(u.value, u.pixels, u.x, u.y) for u in unlisted]
    return Report(
        taxonomy=f"{c.dataset} {c.dataset_version}",
        source=f"{c.source} {c.source_version}".strip(),
        data_root=data_root,
        encoding=c.encoding,
        splits=list(splits),
        pairs=pairs,
        read=totals.read,
        decoded=totals.decoded,
        pixels=int(totals.pixels.sum()) + totals.void + totals.unknown,
        decided=int(totals.pixels[single & ~only_void].sum()),
        teacher=int(totals.pixels[totals.ambiguous].sum()),
        void=totals.void + int(totals.pixels[only_void].sum()),
        unlisted=totals.unknown,
        images_needing_teacher=totals.needing,
        classes=[
            Class(name, _hex(c.palette[i]), int(totals.pixels[i]), int(totals.files[i]), list(c.names(i)) if k else [])
            for i, name in enumerate(c.classes)
        ],
        source_classes=[
            SourceClass(name, _hex(colour), int(decided[i]), int(possible[i]))
            for i, (name, colour) in enumerate(zip(c.source_classes, c.source_palette, strict=True))
        ],
        values=[_unlisted_value(u, c) for u in unlisted],
        hint=_hint(totals, top),
        findings=_in_order(totals.findings.values()),
    )


def _hint(totals: Totals, unlisted: list[UnknownValue]) -> str:
    """The likely cause of the unlisted values. Files decide by themselves whether they are BGR: some may be."""
    if totals.bgr:
        of = f"{totals.bgr} of {totals.with_unknown} files with unlisted colours"
        return f"{SWAPPED} in {of}: write these again with red and blue exchanged"
    return hint(unlisted, totals.constraint) if unlisted else ""


def _in_source(totals: Totals) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """int64 `[K]` each: per class, the pixels whose only class it is, and the pixels for which it is one of several."""
    allowed = totals.constraint.allowed[:, : totals.constraint.num_classes].astype(np.int64)
    pixels = totals.pixels[:, None] * allowed
    return pixels[~totals.ambiguous].sum(0), pixels[totals.ambiguous].sum(0)


def _unlisted_value(u: Unlisted, c: Constraint) -> dict[str, Any]:
    out = {"value": show_value(u.value, c), "pixels": u.pixels, "files": u.files, "file": u.file, "x": u.x, "y": u.y}
    if c.encoding == "rgb" and isinstance(u.value, int) and len(c.raw):
        colour, name, distance = nearest_colour(u.value, c)
        out |= {"nearest": f"#{colour:06x}", "class": name, "distance": round(distance, 1)}
    return out


def _in_order(findings: Iterable[Finding]) -> list[Finding]:
    order = list(TITLES)
    severity = ("error", "warning", "info")
    return sorted(findings, key=lambda f: (severity.index(f.severity), order.index(f.kind)))


def _hex(colour: NDArray[np.uint8]) -> str:
    return f"#{colour.tobytes().hex()}"
