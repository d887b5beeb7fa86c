"""What is exported: the labelled images of some runs, each with its files and the checksums that these must have."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import lsu_onto
from lsu_onto import Constraint
from lsu_seg.errors import UserError
from lsu_seg.label_files import container, read_bytes
from lsu_seg.label_files.annotation import has_meaning
from lsu_seg.layout.pairs import find_pairs
from lsu_seg.pseudo.records import FILES, STATED, pack, read_records, teachers_label
from lsu_seg.pseudo.sample import read_manifest
from lsu_seg.runtime.progress import track


class ExportError(UserError):
    """Labels that cannot be exported as they are, or a folder that cannot be written. The message says what to do."""


@dataclass
class Run:
    """A labelling run.

    Attributes:
        name: the dataset's.
        about: what its taxonomy says of it: `title`, `url`, `licence`, ….
        images: number of exported images by split.
        pixels, void: of their labels, as the run counted them.
        corrected: number of exported images that people have corrected.
    """

    root: Path
    data_root: Path
    constraint: Constraint
    manifest: Mapping[str, Any]
    about: Mapping[str, str]
    images: dict[str, int] = field(default_factory=dict)
    pixels: int = 0
    void: int = 0
    corrected: int = 0

    @property
    def name(self) -> str:
        return self.constraint.dataset


class Noted(NamedTuple):
    """What is kept of a record; there may be hundreds of thousands.

    Attributes:
        sums: sha256 of `label`, `confidence` and `image`; of what there is.
        asked: pixels that the annotation leaves open. confidence: the teacher's, the mean over these.
        teacher: sha256 of the teacher's own label. is_corrected: whether a person has changed it.
    """

    sums: Mapping[str, bytes]
    pixels: int
    void: int
    asked: int
    confidence: float
    teacher: bytes
    is_corrected: bool


class Item(NamedTuple):
    """A labelled image.

    Attributes:
        split: as the export calls it, see `SPLITS`.
        key: of the label, below the run's folder; unique in its dataset.
        image: the file, or its place in a table.
        sums: sha256 of `label`, `confidence` and `image`; of what there is, and what the run has noted.
        own: the dataset's own annotation. own_split: the split as the dataset calls it.
        noted: what the run has noted of the label.
    """

    run: Run
    split: str
    key: str
    image: Path
    sums: Mapping[str, bytes]
    own: Path
    own_split: str
    noted: Noted

    @property
    def label(self) -> Path:
        return self.run.root / FILES["label"].format(self.key)

    @property
    def confidence(self) -> Path | None:
        return self.run.root / FILES["confidence"].format(self.key) if "confidence" in self.sums else None

    def read_label(self) -> bytes:
        return self._checked(self.label, "label")

    def read_confidence(self) -> bytes | None:
        return self._checked(self.confidence, "confidence") if self.confidence else None

    def read_image(self) -> bytes:
        return self._checked(self.image, "image")

    def _checked(self, path: Path, what: str) -> bytes:
        """The bytes of a file, which are those that the run has written, or has seen."""
        data = read_bytes(path)
        expected = self.sums.get(what)
        if expected and hashlib.sha256(data).digest() != expected:
            how = "has changed since it was labelled" if what == "image" else "is not what the run has written"
            raise ExportError(f"{path}: this file {how}; run the same labelling again, which renews its label")
        return data


SPLITS = {"training": "train", "val": "validation", "valid": "validation", "testing": "test"}
"""What splits are called in an export, where datasets have several names for the same."""


def read_runs(roots: Sequence[Path], data_roots: Mapping[str, Path], paths: Sequence[str] = ()) -> list[Run]:
    """The runs whose labels lie in folders.

    Args:
        data_roots: the folder of each dataset, by its name; under the empty name, that of all others.
        paths: as for `lsu_onto.load`.

    Raises:
        ExportError: they have labels in several sources, or in other classes than their taxonomies have now; a dataset
            has no folder. SampleError: one is no labelling run. TaxonomyError: see `lsu_onto.load`.
    """
    runs: list[Run] = []
    for root in roots:
        manifest = read_manifest(root)
        dataset, source = str(manifest["dataset"]), str(manifest["source"])
        constraint = lsu_onto.load(dataset, source, paths)
        made_by = manifest.get("meaning_sha256")
        if made_by is not None and not has_meaning(constraint, made_by):
            raise ExportError(
                f"{root}: these labels were made when the taxonomies of {dataset} -> {source} had other classes, values"
                " or relations; label again into another folder, or name the taxonomies that they were made with"
                " (`--path`)"
            )
        data_root = data_roots.get(constraint.dataset) or data_roots.get("")
        if data_root is None:
            raise ExportError(
                f"{root} has labels of `{constraint.dataset}`, and nothing says where its images are:"
                f" --data-root {constraint.dataset}=DIR"
            )
        first = runs[0] if runs else None
        if first and (first.manifest["source"], first.constraint.source_classes) != (source, constraint.source_classes):
            raise ExportError(
                f"{root} has labels in `{source}`, and {first.root} in `{first.manifest['source']}`: the classes of one"
                " dataset are those of one source; export them one by one"
            )
        about = {} if dataset.endswith(".npz") else lsu_onto.about(dataset, paths)
        runs.append(Run(root, data_root, constraint, manifest, about))
    unknown = sorted(set(data_roots) - {run.name for run in runs} - {""})
    if unknown:
        raise ExportError(
            f"--data-root {unknown[0]}=…: there are labels of {', '.join(sorted({r.name for r in runs}))}"
        )
    return runs


def labelled_items(runs: Sequence[Run], unfinished: bool) -> list[Item]:
    """The labelled images of some runs: split by split, run by run, in the order of their keys.

    Args:
        unfinished: take what is labelled of runs that have not labelled all images yet; otherwise, such runs are
            refused.

    Raises:
        ExportError: a run is not finished, or its images are not in its dataset's folder; two runs have the same label.
        DatasetError: see `find_pairs`.
    """
    items = [item for run in track(runs, "looking for images", len(runs)) for item in _items_of(run, unfinished)]
    seen: dict[tuple[str, str], Item] = {}
    for item in items:
        other = seen.setdefault((item.run.name, item.key), item)
        if other.run is not item.run:  # one run may have an image in several splits
            raise ExportError(
                f"{other.run.root} and {item.run.root} both have a label of `{item.key}` of `{item.run.name}`: name one"
                " of them"
            )
    if not items:
        raise ExportError(f"{', '.join(str(run.root) for run in runs)}: no image is labelled yet")
    return sorted(items, key=lambda item: item.split)  # a stable order: within a split, everything stays


def _items_of(run: Run, unfinished: bool) -> Iterator[Item]:
    records = {record["key"]: _noted(record) for record in read_records(run.root)}  # the last of a key counts
    layout = run.constraint.layout
    splits = run.manifest.get("splits")
    missing: list[str] = []
    exported: set[str] = set()
    for split in splits if isinstance(splits, dict) and splits else layout.splits or ("train",):
        name = SPLITS.get(split) or re.sub(r"\W", "_", split)
        for pair in find_pairs(run.data_root, layout, split):
            record = records.get(pair.key)
            if record is None:
                missing.append(pair.key)
                continue
            run.images[name] = run.images.get(name, 0) + 1
            if pair.key not in exported:  # by another split with the same image
                run.pixels += record.pixels
                run.void += record.void
                run.corrected += record.is_corrected
            exported.add(pair.key)
            sums = record.sums
            if container(pair.image) != pair.image:  # the checksum is that of the table around it
                sums = {what: each for what, each in sums.items() if what != "image"}
            yield Item(run, name, pair.key, pair.image, sums, pair.label, split, record)
    if elsewhere := [key for key in records if key not in exported]:
        raise ExportError(
            f"{run.root} has labels of {len(elsewhere)} images that are not in {run.data_root}, e.g."
            f" `{elsewhere[0]}`: name the folder whose images were labelled, --data-root {run.name}=DIR"
        )
    if missing and not unfinished:
        raise ExportError(
            f"{run.root}: {len(missing)} images have no label yet, e.g. `{missing[0]}`; run the same labelling again,"
            " which resumes, or export what is there with `--unfinished`"
        )


def _noted(record: dict[str, Any]) -> Noted:
    sums = {name: bytes.fromhex(s) for name, s in record["files"].items() if name in ("label", "confidence")}
    inputs = pack(record.get("inputs"))
    if inputs:
        *_, content = STATED.unpack_from(inputs)  # of the first of `INPUTS`, the image
        sums |= {"image": content} if any(content) else {}
    pixels, void, asked = (n if isinstance(n := record.get(key), int) else 0 for key in ("pixels", "void", "asked"))
    mean = record.get("confidence")
    confidence = float(mean) if isinstance(mean, (int, float)) else 1.0
    teacher = bytes.fromhex(teachers_label(record) or "")
    correction = record.get("correction")
    is_corrected = isinstance(correction, dict) and bool(correction.get("pixels"))
    return Noted(sums, pixels, void, asked, confidence, teacher, is_corrected)
