"""Turn fine ground truth into a coarser taxonomy's, through a map: how a dataset with that taxonomy looks.

Needed to study the method where a fine truth is at hand: the coarse labels play the extra dataset, the fine
truth scores what the pseudo-labels made of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import lsu_onto
from lsu_onto import ROW_VOID, Constraint, TaxonomyError, write_atomic
from lsu_seg.errors import UserError
from lsu_seg.label_files import read_bytes
from lsu_seg.label_files.annotation import Annotation
from lsu_seg.layout.images import opencv_image, plain_png
from lsu_seg.layout.pairs import find_pairs
from lsu_seg.layout.patterns import Pattern
from lsu_seg.runtime.progress import track


class RelabelError(UserError):
    """The map leaves a source class without any dataset class."""


def coarsen(channels: NDArray[np.integer], constraint: Constraint, rng: np.random.Generator) -> NDArray[np.int16]:
    """Draw the fine labels as an annotator with the coarse taxonomy would.

    A source class that lies inside one dataset class becomes that class. Where several classes may hold it, each
    connected region gets one of them by chance: two annotators would disagree about regions, not about pixels.

    Args:
        channels: int `[H, W]`, source channels; anything else is not annotated.
        constraint: of the coarse taxonomy.
        rng: decides the open cases.

    Returns:
        int16 `[H, W]`: rows of the coarse taxonomy, or `ROW_VOID`. The truth always lies in S(row).

    Raises:
        RelabelError: a class that occurs has no row.
    """
    rows = np.full(channels.shape, ROW_VOID, np.int16)
    drawn = np.isin(np.arange(len(constraint.classes)), constraint.raw_row)  # not those with `-` for a value
    for c in np.unique(channels):
        if not 0 <= c < constraint.num_classes:
            continue
        own = np.flatnonzero(drawn & (constraint.kind[:, c] > 0))
        undecided = np.flatnonzero(drawn & constraint.allowed[:, c] & (constraint.kind[:, c] == 0))  # `-> any`
        if not len(own) and not len(undecided):
            name = constraint.source_classes[c]
            raise RelabelError(f"no class of `{constraint.dataset}` holds `{name}`; add a relation to its map")
        mask = channels == c
        if len(own) == 1 and not len(undecided):
            rows[mask] = own[0]
            continue
        # Decisions such as `-> any` are for the odd region that an annotator skipped.
        chance = np.concatenate([np.full(len(own), 1.0), np.full(len(undecided), 0.04 if len(own) else 1.0)])
        count, regions = cv2.connectedComponents(mask.astype(np.uint8))
        picks = rng.choice(np.concatenate([own, undecided]), size=count, p=chance / chance.sum())
        rows[mask] = picks[regions[mask]]
    return rows


def encode(rows: NDArray[np.int16], constraint: Constraint) -> NDArray[np.uint8]:
    """Rows → the dataset's own label image: `[H, W]` for `id`, `[H, W, 3]` RGB for `rgb`.

    Each class is stored as its lowest raw value, void as the lowest void value.
    """
    void = constraint.raw[constraint.raw_row == ROW_VOID]
    if (rows == ROW_VOID).any() and not len(void):
        raise RelabelError(f"`{constraint.dataset}` has no `void:` value to store pixels that are not annotated")
    first = [int(constraint.raw[constraint.raw_row == d].min(initial=1 << 24)) for d in range(len(constraint.classes))]
    table = np.array([*first, int(void[0]) if len(void) else 0], np.int64)
    values = table[rows]  # ROW_VOID is -1: the last entry
    if values.max(initial=0) == 1 << 24:
        name = constraint.classes[rows[values == 1 << 24][0]]
        raise RelabelError(f"`{name}` of `{constraint.dataset}` has no raw value to store it as")
    if constraint.encoding == "rgb":
        return np.stack([values >> 16, values >> 8 & 255, values & 255], -1).astype(np.uint8)
    if constraint.encoding != "id":
        raise RelabelError(f"cannot write `encoding: {constraint.encoding}`; use `id` or `rgb`")
    return values.astype(np.uint8)


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write an image, whole or not at all; colours are RGB."""
    bgr = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    ok, data = cv2.imencode(".png", np.ascontiguousarray(bgr), [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not ok:
        raise OSError(f"{path}: OpenCV cannot write it")
    write_atomic(path, data.tobytes())


def relabel_dataset(
    taxonomy: str, fine: str, root: Path, split: str, output: Path, seed: int, paths: Sequence[str] = ()
) -> int:
    """Write the coarse twin of a fine dataset, images and labels, in the coarse taxonomy's layout.

    Args:
        taxonomy: the coarse dataset, with a map to the fine one's source.
        fine: the taxonomy of the labels under `root`; every class of it must mean one source class, or be a decision
            such as `-> any`, whose pixels are not annotated in the output.
        root, split: where the fine dataset lies. output: where the coarse one goes.
        seed: decides where classes overlap, image by image.
        paths: as for `lsu_onto.load`. The files beside a coarse `.tax` file come first, as they do for what it names.

    Returns:
        the number of images.
    """
    fine_constraint, coarse = _load(taxonomy, fine, paths)
    several = (fine_constraint.relabel < 0) & (fine_constraint.kind > 0).any(1)
    if several.any():
        name = fine_constraint.classes[int(several.argmax())]
        raise RelabelError(f"`{name}` of `{fine}` may be several classes; only fine labels can be relabelled")
    if output.resolve().is_relative_to(root.resolve()):
        raise RelabelError(f"{output}: the output must not be the input, or a folder inside it")
    pairs = find_pairs(root, fine_constraint.layout, split)
    annotation = Annotation(fine_constraint, root=str(root), split=split)
    # Where there are alternatives, the first is written: it is also the first to be looked for.
    image_pattern, label_pattern = (
        alternatives[0] if (alternatives := coarse.layout.alternatives(key, split)) else ""
        for key in ("images", "labels")
    )
    for pattern in (image_pattern, label_pattern):
        if "{stem}" not in pattern or re.search(r"\{(?!stem\})|\*\*", pattern):
            raise RelabelError(f"`{taxonomy}`: the pattern `{pattern}` needs `{{stem}}`, and only that and `{{split}}`")
    patterns = fine_constraint.layout.alternatives("images", split)
    stems: dict[str, Path] = {}
    for pair in pairs:
        stem = _stem(pair.image, root, patterns)
        if stems.setdefault(stem, pair.image) != pair.image:
            raise RelabelError(f"{pair.image} and {stems[stem]} would both become `{stem}`")
    suffix = Path(image_pattern).suffix
    if suffix != pairs[0].image.suffix:
        raise RelabelError(f"`{taxonomy}` has images `*{suffix}`, and {pairs[0].image} is copied as it is")
    _check_no_other(output, image_pattern, stems)
    for i, (stem, pair) in enumerate(track(zip(stems, pairs, strict=True), "relabelling", len(pairs))):
        channels, _ = annotation.load(str(pair.label))
        data = read_bytes(pair.image)
        height, width = _decoded(pair.image, data).shape[:2]
        if (height, width) != channels.shape:
            raise RelabelError(
                f"{pair.image}: found {width} x {height} pixels; expected {channels.shape[1]} x"
                f" {channels.shape[0]}, as its label {pair.label} has; `lsu-seg scan` lists all such pairs"
            )
        rows = coarsen(channels, coarse, np.random.default_rng([seed, i]))
        write_png(output / label_pattern.format(stem=stem), encode(rows, coarse))
        write_atomic(output / image_pattern.format(stem=stem), data)
    return len(pairs)


def _check_no_other(output: Path, pattern: str, images: Mapping[str, Path]) -> None:
    """Refuse a folder that has other images of these names, as that of another dataset has.

    Another seed, or a map that has changed, replaces the labels of the same images.
    """
    there = {path: image for stem, image in images.items() if (path := output / pattern.format(stem=stem)).exists()}
    for path, image in track(there.items(), f"images in {output}", len(there)) if there else ():
        if path.stat().st_size != image.stat().st_size or path.read_bytes() != read_bytes(image):
            raise RelabelError(f"{path}: is another image than {image}, which would replace it; choose an empty folder")


def _load(taxonomy: str, fine: str, paths: Sequence[str]) -> tuple[Constraint, Constraint]:
    """The constraints of the fine and the coarse taxonomy.

    Of several maps of the fine one, the coarse one decides. If both have several, those to the fine one itself count.
    """
    beside = sorted(Path(taxonomy).parent.glob("*.tax")) if taxonomy.endswith(".tax") else []
    places: list[str | Path] = [*beside, *paths]
    try:
        first = lsu_onto.load(fine, paths=places)
    except TaxonomyError as error:
        try:
            lsu_onto.load_dataset(fine, places)
        except TaxonomyError:
            raise error from None  # there is none, or its classes have errors
        try:
            coarse = lsu_onto.load(taxonomy, paths=paths)
        except TaxonomyError as several:
            try:
                return lsu_onto.load(fine, fine, places), lsu_onto.load(taxonomy, fine, paths)
            except TaxonomyError:
                raise several from None
        return lsu_onto.load(fine, coarse.source, places), coarse
    return first, lsu_onto.load(taxonomy, first.source, paths)


def _stem(image: Path, root: Path, patterns: Sequence[str]) -> str:
    """The name of a copy: that of the image, or of the folder that `{stem}` stands for, as in `{stem}/rgb.jpg`."""
    for pattern in patterns:
        if "{stem}" not in pattern.split("/")[-1]:
            for reading in Pattern(pattern).match(image.relative_to(root).as_posix()):
                if "stem" in reading:
                    return reading["stem"]
    return image.stem


def _decoded(path: Path, data: bytes) -> NDArray[Any]:
    """The pixels of an image, which says whether it is whole: its size alone does not."""
    rgb = plain_png(path, data)
    return opencv_image(path, data) if rgb is None else rgb
