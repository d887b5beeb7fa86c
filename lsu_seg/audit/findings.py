"""What an audit says: its findings, and what it knows of every pair of dataset class and source class."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Kind(NamedTuple):
    """A kind of finding.

    Attributes:
        title: what it is called. contradiction: whether the map contradicts the pictures; otherwise it is a note, which
            a correct map may have too.
    """

    title: str
    contradiction: bool


KINDS = {
    "shuffled": Kind("list shuffled", True),
    "mispaired": Kind("files paired wrongly", True),
    "slipped": Kind("label space slipped", True),
    "exchanged": Kind("two rows exchanged", True),
    "wrong-row": Kind("none of its row", True),
    "insisted": Kind("forbidden but insisted on", True),
    "void-hides": Kind("void hides a class", True),
    "never-chosen": Kind("allowed but never chosen", False),
    "is-void": Kind("a class that is really void", False),
}
"""The kinds of findings, the gravest first."""


class Region(NamedTuple):
    """A place that shows a finding.

    Attributes:
        key: of the image. box: top, left, bottom, right in label pixels. share: of the finding in the image, 0..1.
    """

    key: str
    box: tuple[int, int, int, int]
    share: float


@dataclass(frozen=True)
class Finding:
    """Something that the map says and the pictures do not, or the reverse.

    Attributes:
        kind: one of `KINDS`.
        rows: the dataset classes that it is about, as rows of d; of `exchanged`, the two; empty for files and lists.
        channels: the source classes that it is about; K is void. Of `insisted`, the class that is missing from S(d).
        keys: of `mispaired`, the images whose labels belong to each other's image.
        share: the estimated share of d's pixels that it concerns, 0..1, or None.
        images: number of sampled images that show it.
        score: log odds; a larger score is stronger evidence.
        expected: how many findings of this kind and at least as strong the audit of a right map reports, on average.
        figures: further evidence, by name, for the reader.
        regions: what shows it best, the best first.
        changes: row of d → its proposed S(d), as channels (K is void); empty if no change is proposed.
        confirmed: whether the audit under the changed map no longer has the finding and no new one; None: not tried.
    """

    kind: str
    rows: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()
    keys: tuple[str, ...] = ()
    share: float | None = None
    images: int = 0
    score: float = 0.0
    expected: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)
    regions: tuple[Region, ...] = ()
    changes: dict[int, tuple[int, ...]] = field(default_factory=dict)
    confirmed: bool | None = None

    @property
    def contradiction(self) -> bool:
        return KINDS[self.kind].contradiction


@dataclass(frozen=True)
class Cells:
    """What is known of every pair (d, c).

    Attributes:
        share: float32 `[D, K]`, the estimated share of d's pixels that are c, NaN where nothing was seen.
        score: float32 `[D, K]`, log odds that c occurs in d, computed as if the map did not allow it.
        decidable: float32 `[D, K]`, the share of d from which on c would have been found with a probability of 90 %;
            above 1 (inf): at no share, the cell is undecidable.
    """

    share: NDArray[np.float32]
    score: NDArray[np.float32]
    decidable: NDArray[np.float32]


@dataclass(frozen=True)
class Report:
    """The result of an audit.

    Attributes:
        dataset, source: name and version. classes: names of the D rows. source_classes: names of the K channels.
        allowed: bool `[D, K+1]`.
        images: number of images of the run. sampled: number of images in the sample. pixels: sampled pixels per row,
            int64 `[D]`. unseen: reasons by row of d why a row could not be judged at all.
        findings: contradictions first, and of each list the strongest first.
        cells: see `Cells`.
        settings: what the findings depend on, as JSON values.
        remarks: sentences about what the audit could not do.
    """

    dataset: str
    source: str
    classes: tuple[str, ...]
    source_classes: tuple[str, ...]
    allowed: NDArray[np.bool_]
    images: int
    sampled: int
    pixels: NDArray[np.int64]
    unseen: dict[int, str]
    findings: tuple[Finding, ...]
    cells: Cells
    settings: dict[str, object] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def contradictions(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.contradiction)

    @property
    def notes(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if not f.contradiction)

    @property
    def judged(self) -> bool:
        """Whether anything could be judged: a shuffled list, or what any class shows."""
        return bool(self.findings) or bool(np.isfinite(self.cells.share).any())
