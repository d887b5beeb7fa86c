"""Where a finding shows: images, and boxes in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lsu_seg.audit.findings import Finding, Region
from lsu_seg.audit.sample import Sample

SURE = 128
"""p · 255 from which on a pixel shows a class."""
SHOWN = 6
"""Images that are shown of a finding."""


def shown_by(sample: Sample, finding: Finding) -> NDArray[np.float32]:
    """How much each sampled pixel of the finding's rows shows of it, float32 `[N]`, 0..1; -1 for all other pixels."""
    inside = np.isin(sample.row, finding.rows)
    p = sample.p.astype(np.float32) / 255
    match finding.kind:
        case "insisted" | "void-hides" | "wrong-row" if finding.channels:
            value = p[:, list(finding.channels)].sum(1)
        case "never-chosen" | "is-void":
            value = 1 - p[:, list(finding.channels)].sum(1) if finding.channels else 1 - p.max(1)
        case _:
            value = np.ones(len(p), np.float32)
            for d, channels in finding.changes.items():
                known = [c for c in channels if c < p.shape[1]]
                value = np.where(sample.row == d, p[:, known].sum(1), value)
    return np.where(inside, value, np.float32(-1))


def sees(sample: Sample, finding: Finding) -> int:
    """Number of sampled images that show a finding."""
    if finding.kind == "mispaired":
        return len(finding.keys)
    if not finding.rows:
        return len(sample.grid_image)
    return len(np.unique(sample.image[shown_by(sample, finding) * 255 >= SURE]))


def regions(sample: Sample, finding: Finding) -> tuple[Region, ...]:
    """The images that show a finding best, each with the box of the pixels that do."""
    if finding.kind == "mispaired":
        at = {key: i for i, key in enumerate(sample.keys)}
        whole = {key: (0, 0, int(sample.size[at[key], 0]), int(sample.size[at[key], 1])) for key in finding.keys}
        return tuple(Region(key, box, 1.0) for key, box in whole.items())
    if not finding.rows:
        return ()
    value = shown_by(sample, finding)
    kept = np.flatnonzero(value >= 0)
    if not len(kept):
        return ()
    images = np.bincount(sample.image[kept], minlength=len(sample.keys))
    total = np.bincount(sample.image[kept], value[kept], minlength=len(sample.keys))
    share = total / np.maximum(images, 1)
    # many pixels of it rather than a few that are sure
    pixels = sample.pixels[:, list(finding.rows)].sum(1)
    size = np.maximum(sample.size.prod(1), 1)
    worth = np.where(images >= 2, share * np.sqrt(pixels / size), 0)
    out = []
    for i in np.argsort(-worth, kind="stable")[:SHOWN].tolist():
        if worth[i] <= 0:
            break
        here = kept[sample.image[kept] == i]
        best = here[value[here] >= min(0.5, float(value[here].max()))]
        out.append(Region(sample.keys[i], _box(sample.place[best], sample.size[i]), float(share[i])))
    return tuple(out)


def _box(places: NDArray[np.uint16], size: NDArray[np.int32]) -> tuple[int, int, int, int]:
    """The box around most of the places, at least a sixth of the image high and wide."""
    low, high = np.quantile(places.astype(float), (0.1, 0.9), axis=0)
    middle, half = (low + high) / 2, np.maximum((high - low) / 2 * 1.2, size / 12)
    top, left = np.clip(middle - half, 0, size - 1)
    bottom, right = np.clip(middle + half, 1, size)
    return int(top), int(left), int(np.ceil(bottom)), int(np.ceil(right))
