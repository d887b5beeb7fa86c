"""A dataset for MMSegmentation that is driven by its taxonomy."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from mmseg.datasets import BaseSegDataset
from numpy.typing import NDArray

import lsu_onto
from lsu_seg.data.arguments import check_arguments
from lsu_seg.label_files import size_and_time, void_index
from lsu_seg.label_files.annotation import Annotation, has_meaning
from lsu_seg.layout.pairs import DatasetError, find_pairs
from lsu_seg.openmmlab.pipelines import run_pipeline
from lsu_seg.openmmlab.registry import DATASETS, register
from lsu_seg.targets.class_pixels import count_classes
from lsu_seg.targets.class_thresholds import class_thresholds, count_confidence
from lsu_seg.targets.coder import TargetCoder
from lsu_seg.targets.reader import TargetReader
from lsu_seg.targets.table import TargetTable

_EXAMPLES = 4
"""Label files, from the first to the last, whose palettes all others must agree with in every process."""


@register(DATASETS)
class TaxDataset(BaseSegDataset):
    """A dataset in its layout on disk, described only by its taxonomy.

    Args:
        taxonomy: the name of a dataset on the search path, or the path of a `.tax` file or a compiled `.npz`. The name
            of a source means labels that are stored as its channels.
        source: the source taxonomy; required if the taxonomy has maps to several.
        data_root: the dataset's folder.
        split: one of the taxonomy's splits.
        labels: the folder of pseudo-labels (channels of the source) that replace the dataset's own labels, in the
            layout that the pseudo-label loop writes.
        weight: how often an image is drawn, relative to images of weight 1 (`CompoundSampler`).
        threshold: pseudo-labels of at least this confidence are hard targets. Below it, the target is S(d) in closed
            rows and void in open ones (`TargetCoder`). Needs `SetNLLLoss`, and `confidence/` in the folder of
            pseudo-labels. With the dataset's own labels, any number makes ambiguous pixels of closed rows
            set-valued. None: all pseudo-labels are hard targets, and ambiguous pixels of own labels are void.
        unsure: an alternative to `threshold`: the share, 0 to 1, of each class's ambiguous pixels that are not hard
            targets, the least confident ones. Rare classes then lose no more than frequent ones (`class_thresholds`).
        loss_weight: a factor on the loss of every pixel of this dataset; a value other than 1 needs `SetNLLLoss`.
        unknown: `error`, or `void` to treat values that the taxonomy does not list as void.
        paths: folders to search for the taxonomy before the shipped ones.

    Raises:
        DatasetError: an invalid `weight`, `unsure` or `indices`, an argument of MMSegmentation's datasets that has no
            effect here, or a folder that is not as the taxonomy says.

    The metainfo holds plain values only, so that checkpoints stay loadable: `classes`, `palette`, `taxonomy`,
    `source`, and `groups`, the channels of each group of the source. The `dataset` of a sample names its dataset.

    In training (in a `CompoundDataset`), an image whose target is void everywhere is skipped with a warning, and the
    next image of the same dataset is used instead, which leaves the shares of the datasets unchanged. `void_skipped` of
    a sample is the number of skipped images.
    """

    def __init__(
        self,
        taxonomy: str,
        data_root: str,
        split: str,
        source: str | None = None,
        labels: str | None = None,
        weight: float = 1.0,
        threshold: float | None = None,
        unsure: float | None = None,
        loss_weight: float = 1.0,
        unknown: str = "error",
        paths: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        names = dict(data_root=data_root, split=split, source=source, labels=labels, paths=paths)
        check_arguments(taxonomy, weight, threshold, unsure, names, kwargs)
        self.taxonomy = taxonomy
        self.paths = tuple(paths)
        self.constraint = lsu_onto.load(taxonomy, source, self.paths)
        self.split = split
        self.weight = weight
        self.name = self.constraint.dataset
        self.skip_void = False
        self.class_odds: NDArray[Any] | None = None
        """In a `CompoundDataset` with `rare_classes`: the odds of each class, by which `RareClassCrop` looks for it."""
        self.donors: Any = None
        """In a `CompoundDataset` with `copy_paste`: the `Donors` of `TaxCopyPaste`."""
        self._void: set[int] = set()
        self.pseudo = Path(labels) if labels else None
        self.unsure, self.loss_weight = unsure, loss_weight
        if unsure is not None:
            threshold = 1.0  # until `full_init` computes the thresholds
        self.reader = TargetReader(
            self.constraint, data_root, split, unknown, bool(self.pseudo), threshold, loss_weight
        )
        """The reader of target maps."""
        self.thresholds: dict[str, float] = {}
        """With `unsure`, after `full_init`: the lowest confidence at which labels of each class are hard targets."""
        self.needs_confidence = bool(self.pseudo) and threshold is not None
        metainfo = {
            "classes": list(self.constraint.source_classes),
            "palette": self.constraint.source_palette.tolist(),
        }
        k = self.constraint.num_classes
        super().__init__(data_root=data_root, metainfo=metainfo, ignore_index=void_index(k), **kwargs)
        # Not passed to mmengine, which reads strings as names of files.
        groups = {name: list(channels) for name, channels in self.constraint.groups.items()}
        self._metainfo.update(taxonomy=taxonomy, source=self.constraint.source, groups=groups)
        if paths:
            self._metainfo["paths"] = list(paths)

    @property
    def table(self) -> TargetTable:
        """The meaning of numbers above the void index in target maps. Members of a `CompoundDataset` share a table."""
        return self.reader.table

    @property
    def coder(self) -> TargetCoder:
        return self.reader.coder

    @property
    def annotation(self) -> Annotation:
        """The reader of the label files for training."""
        return self.reader.annotation

    def use_table(self, table: TargetTable) -> None:
        """Number sets by the table of a `CompoundDataset`.

        Raises:
            DatasetError: the dataset is already in another compound, which has other numbers and may be in use.
        """
        if self.reader.given not in (None, table):
            raise DatasetError(
                f"`{self.name}` is in another CompoundDataset already, whose sets have other numbers: build a"
                " TaxDataset for each CompoundDataset"
            )
        self.reader = replace(self.reader, given=table)

    def targets(self, index: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """The targets of an image for inspection: as stored, before any transform.

        Returns:
            `[H, W]` twice: the class that is the target, void if it is not a single class; and whether the target is
            one of several classes.
        """
        if not self._fully_initialized:
            self.full_init()
        return self.table.classes(self.reader.read(self.get_data_info(index)).target)

    def class_counts(self) -> NDArray[Any]:
        """The pixels of each class in the targets of every image, int64 `[N, K + 2]`: classes, sets, void."""
        return count_classes(_Items(self), self.reader, self.pseudo, f"classes of {self.name}")

    def load_data_list(self) -> list[dict[str, Any]]:
        pairs = find_pairs(self.data_root, self.constraint.layout, self.split)
        places = sorted({i * (len(pairs) - 1) // (_EXAMPLES - 1) for i in range(_EXAMPLES)})
        self.reader = replace(self.reader, examples=tuple(str(pairs[i].label) for i in places) if pairs else ())
        if not self.pseudo or self.needs_confidence:
            self.reader.own.reader.prepare()
        if isinstance(self._indices, Sequence):
            outside = [i for i in self._indices if not -len(pairs) <= i < len(pairs)]
            if outside:
                raise DatasetError(
                    f"`indices` of `{self.name}` has {outside[0]}, which is none of its {len(pairs)} images; they are"
                    " counted from 0"
                )
        items: list[dict[str, Any]] = []
        for pair in pairs:
            label = self.pseudo / f"{pair.key}.png" if self.pseudo else pair.label
            items.append(
                {
                    "img_path": str(pair.image),
                    "seg_map_path": str(label),
                    "key": pair.key,
                    "own_path": str(pair.label),
                    "confidence_path": str(self.pseudo / "confidence" / f"{pair.key}.png") if self.pseudo else "",
                    "label_map": None,
                    "reduce_zero_label": False,
                    "seg_fields": [],
                }
            )
        return items

    def full_init(self) -> None:
        if self._fully_initialized:
            return
        if self._indices is not None and not self._indices:
            raise DatasetError(f"`indices` of `{self.taxonomy}` is {self._indices!r}: no image is left")
        super().full_init()
        if self.pseudo:  # after `super().full_init()`, because `indices` may leave out images without pseudo-labels
            paths = [self.get_data_info(i)["seg_map_path"] for i in range(len(self))]
            missing = [p for p in paths if not Path(p).is_file()]
            if missing:
                raise DatasetError(
                    f"{self.pseudo}: {len(missing)} of {len(paths)} pseudo-labels are missing, e.g. {missing[0]};"
                    " run `lsu-seg pseudo-label` again, it resumes"
                )
            self._check_manifest(self.pseudo)
        if self.pseudo and self.needs_confidence:
            key = "threshold" if self.unsure is None else "unsure"
            paths = [self.get_data_info(i)["confidence_path"] for i in range(len(self))]
            missing = [p for p in paths if not Path(p).is_file()]
            if missing:
                raise DatasetError(
                    f"{self.pseudo}: {len(missing)} of {len(paths)} images of confidence are missing, e.g."
                    f" {missing[0]}, and `{key}` needs them; label again with `confidence=True` in the"
                    f" `PseudoLabelLoop`, or leave `{key}` out"
                )
            if self.unsure is not None:
                self._take_thresholds(self.pseudo, self.unsure)

    def _check_manifest(self, folder: Path) -> None:
        """Refuse pseudo-labels that were made when the taxonomies said something else."""
        try:
            with lsu_onto.open_to_read(folder / "manifest.json") as file:
                manifest = json.loads(file.read())
            made_by, names = manifest["meaning_sha256"], (manifest["dataset"], manifest["source"])
        except (OSError, ValueError, RecursionError, KeyError, TypeError):
            return  # of another program, or of a version that did not say
        c = self.constraint
        if not has_meaning(c, made_by):
            own = f"{c.dataset} {c.dataset_version}", f"{c.source} {c.source_version}"
            what = f"of {names[0]} -> {names[1]}, and not {own[0]} -> {own[1]}"
            if names == own:
                what = f"made when the taxonomies of {own[0]} -> {own[1]} had other classes, values or relations"
            raise DatasetError(
                f"{folder}: these pseudo-labels are {what}; label again into another folder, or name the taxonomies"
                " that they were made with"
            )

    def _take_thresholds(self, folder: Path, unsure: float) -> None:
        counts = count_confidence(_Items(self), self.annotation, self.reader.own, folder, f"confidence of {self.name}")
        thresholds = class_thresholds(counts, unsure)
        self.reader = replace(self.reader, threshold=tuple(thresholds.tolist()))
        classes = zip(self.constraint.source_classes, thresholds, counts.sum(1), strict=True)
        self.thresholds = {name: float(level) for name, level, pixels in classes if pixels}

    def use_labels(self, labels: str | Path) -> None:
        """Use other pseudo-labels of the same images from now on. This does not reach workers that already run.

        Raises:
            DatasetError: pseudo-labels are missing.
        """
        self.pseudo, self._void, self._fully_initialized = Path(labels), set(), False
        self.full_init()

    def fingerprint(self) -> str:
        """sha256 over names, sizes and modification times of the image and label files, and of tables beside them."""
        digest = hashlib.sha256()
        for path in self.annotation.reader.tables():
            digest.update(f"{path.name} {size_and_time(path)}\n".encode("utf-8", "surrogateescape"))
        for i in range(len(self)):
            info = self.get_data_info(i)
            for path in (info["img_path"], info["seg_map_path"]):
                digest.update(f"{info['key']} {size_and_time(path)}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def get_cat_ids(self, idx: int) -> list[int]:
        raise no_cat_ids(f"`{self.name}`")

    def prepare_data(self, idx: int) -> Any:
        return self._prepare(idx, 0)

    def _prepare(self, idx: int, skipped: int) -> Any:
        return self.run(self.pipeline, idx, class_odds=self.class_odds, donors=self.donors, void_skipped=skipped)

    def run(self, pipeline: Callable[[dict[str, Any]], Any], idx: int, **more: Any) -> Any:
        """What a pipeline makes of an image, with more entries of its `results`."""
        info = self.get_data_info(idx)
        info |= {"reader": self.reader, "dataset": self.name, "skip_void": self.skip_void, **more}
        info["image_bits"] = self.constraint.layout.image_bits
        return run_pipeline(pipeline, info, self.name)

    def __getitem__(self, idx: int) -> Any:
        # Where a pipeline returns None, mmengine draws a random sample of the whole dataset, which would hide errors.
        if not self._fully_initialized:
            self.full_init()
        if not self.skip_void:
            return self.prepare_data(idx)
        for skipped in range(len(self)):
            candidate = (idx + skipped) % len(self)
            sample = self._prepare(candidate, skipped)
            if sample is not None:
                return sample
            if candidate not in self._void:
                self._void.add(candidate)
                print_log(
                    f"{self.get_data_info(candidate)['seg_map_path']}: void everywhere, so training passes over it"
                    f" ({len(self._void)} of `{self.name}` so far); the next image is taken in its place",
                    "current",
                    logging.WARNING,
                )
        raise DatasetError(
            f"`{self.name}`: each of its {len(self)} images is void everywhere: there is nothing to train on; check the"
            " map, or give `threshold` or `unsure` so that ambiguous pixels are trained on as sets"
        )


def no_cat_ids(what: str) -> DatasetError:
    return DatasetError(
        f"a ClassBalancedDataset asks which classes an image has, and {what} does not know without reading every label:"
        " leave the wrapper out; `oversample_thr` of a CompoundDataset draws images with rare classes more often,"
        " `weight` of a TaxDataset says how often its images are drawn, and `class_weight` of a loss how much a class"
        " counts"
    )


def tax_datasets(dataset: Any) -> Iterator[TaxDataset]:
    """The TaxDatasets inside a dataset, at any depth of wrappers (`datasets`, `dataset`)."""
    if isinstance(dataset, TaxDataset):
        yield dataset
        return
    for member in getattr(dataset, "datasets", None) or [getattr(dataset, "dataset", None)]:
        if member is not None:
            yield from tax_datasets(member)


def target_table(dataset: Any) -> TargetTable | None:
    """The table of a dataset's targets, or None if it contains no TaxDataset.

    Raises:
        DatasetError: the TaxDatasets have several tables, because they are not members of one `CompoundDataset`.
    """
    tables = {d.table: d.name for d in tax_datasets(dataset)}
    if len(tables) > 1:
        names = " and ".join(f"`{name}`" for name in tables.values())
        raise DatasetError(
            f"in the targets of {names} one number means several sets: put them into one `CompoundDataset`"
            f" instead of a {type(dataset).__name__}"
        )
    return next(iter(tables), None)


class _Items(Sequence[dict[str, Any]]):
    """What `load_data_list` says of each image of a dataset, made when it is asked for.

    A list of them would be in memory once for each process that shares the work on it.
    """

    def __init__(self, dataset: TaxDataset) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: Any) -> Any:
        return self._dataset.get_data_info(index)
