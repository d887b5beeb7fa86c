"""The union of datasets in one source taxonomy."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmseg.datasets import MultiImageMixDataset
from numpy.typing import NDArray

from lsu_seg.data.arguments import check_drawing
from lsu_seg.data.copy_paste import Donors
from lsu_seg.data.datasets import TaxDataset, no_cat_ids, tax_datasets
from lsu_seg.data.rare import RareClasses, find_rare_classes, repeat_factors
from lsu_seg.layout.pairs import DatasetError
from lsu_seg.openmmlab.registry import DATASETS, register
from lsu_seg.targets.table import TargetTable, joined


@register(DATASETS)
class CompoundDataset(ConcatDataset):
    """The union of datasets in one source taxonomy.

    Args:
        datasets: `TaxDataset`s (or configs of them), without wrappers.
        source: the source taxonomy of all datasets; set in every config that names none.
        pipeline: the transforms of every config that has none.
        test_mode: also return images that are void everywhere, which training skips.
        rare_classes: draw images by their classes, the rarer the likelier (`rare.py`); the number is the temperature,
            0.01 in DAFormer. The shares of the datasets stay the same. Needs a `CompoundSampler`. None: every image of
            a dataset is drawn equally often.
        oversample_thr: draw images with rare classes more often (`repeat_factors`): a class is rare if fewer than this
            share of the images have it. The shares of the datasets stay the same. Needs a `CompoundSampler`.
        copy_paste: what `TaxCopyPaste` pastes is drawn by classes, the rarer the likelier; the number is the
            temperature, as in `rare_classes`.

    Attributes:
        table: the meaning of numbers above the void index in all targets; None without a `TaxDataset`.
        rare: with `rare_classes`, after `full_init`: odds and images of the classes.
        repeats: with `oversample_thr`, after `full_init`: of each dataset, the factors of its images.
        donors: with `copy_paste`, after `full_init`: where segments come from.

    Raises:
        DatasetError: sources, classes or palettes differ; the message says which and where. Or a member is a
            wrapper of datasets, or a number that images are drawn by is out of range.
    """

    rare_classes: float | None = None
    oversample_thr: float | None = None
    copy_paste: float | None = None
    rare: RareClasses | None = None
    repeats: tuple[NDArray[np.float64], ...] | None = None
    donors: Donors | None = None

    def __init__(
        self,
        datasets: Sequence[Any],
        source: str | None = None,
        pipeline: Sequence[dict[str, Any]] | None = None,
        lazy_init: bool = False,
        test_mode: bool = False,
        rare_classes: float | None = None,
        oversample_thr: float | None = None,
        copy_paste: float | None = None,
    ) -> None:
        check_drawing(rare_classes, oversample_thr, copy_paste)
        self.rare_classes, self.oversample_thr, self.copy_paste = rare_classes, oversample_thr, copy_paste
        configs = []
        for config in datasets:
            check_member(config)
            if isinstance(config, dict):
                config = copy.copy(config)
                if source:
                    config.setdefault("source", source)
                if pipeline is not None:
                    config.setdefault("pipeline", pipeline)
            configs.append(config)
        built = [DATASETS.build(d) if isinstance(d, dict) else d for d in configs]
        if not built:
            raise DatasetError("a CompoundDataset needs at least one dataset")
        first = built[0].metainfo
        for other in built[1:]:
            pairs = {key: (first.get(key), other.metainfo.get(key)) for key in ("source", "classes", "palette")}
            differences = [f"in `{key}`: {_difference(a, b)}" for key, (a, b) in pairs.items() if a != b]
            if differences:
                raise DatasetError(
                    f"`{first.get('taxonomy')}` and `{other.metainfo.get('taxonomy')}` differ {'; '.join(differences)};"
                    " all datasets of a compound need the same source taxonomy"
                )
        seen: Counter[str] = Counter()
        for dataset in (d for d in built if isinstance(d, TaxDataset)):
            seen[dataset.name] += 1
            if seen[dataset.name] > 1:
                dataset.name += f"#{seen[dataset.name]}"
            dataset.skip_void = not test_mode
        self.table = _one_table(built)
        super().__init__(built, lazy_init=lazy_init, ignore_keys=sorted({k for d in built for k in d.metainfo}))
        self._metainfo = {k: v for k, v in first.items() if k not in ("taxonomy", "paths")}

    def full_init(self) -> None:
        if not self._fully_initialized:
            super().full_init()
            self.find_rare()

    def find_rare(self) -> None:
        """Read from the labels what images are drawn by; `use_labels` of a member asks for it again."""
        if self.rare_classes is self.oversample_thr is self.copy_paste is None:
            return
        counts, masses = [d.class_counts() for d in self.datasets], self.masses()
        if self.oversample_thr is not None:
            self.repeats = repeat_factors(counts, masses, self.oversample_thr)
        if self.copy_paste is not None:
            self.donors = Donors(self.datasets, self.weights, find_rare_classes(counts, masses, self.copy_paste))
        if self.rare_classes is not None:
            self.rare = find_rare_classes(counts, masses, self.rare_classes)
        for dataset in self.datasets:
            dataset.class_odds = None if self.rare is None else self.rare.odds
            dataset.donors = self.donors

    def get_cat_ids(self, idx: int) -> list[int]:
        raise no_cat_ids("a CompoundDataset")

    @property
    def weights(self) -> list[float]:
        """The sampling weight of each dataset."""
        return [float(getattr(d, "weight", 1.0)) for d in self.datasets]

    def masses(self) -> list[float]:
        """How often images of each dataset are drawn, relative to each other: its weight times its images."""
        return [weight * len(d) for weight, d in zip(self.weights, self.datasets, strict=True)]


def check_member(member: Any) -> None:
    """Refuse a wrapper of datasets, or its config: weights, names and shares are those of the datasets inside."""
    is_config = isinstance(member, dict)
    if not any(key in member if is_config else hasattr(member, key) for key in ("dataset", "datasets")):
        return
    kind = member.get("type") if is_config else type(member)
    name = kind.__name__ if isinstance(kind, type) else str(kind).rpartition(".")[2]
    instead = {
        "RepeatDataset": "; `weight=2.0` has its images drawn twice as often",
        "MultiImageMixDataset": ", and the MultiImageMixDataset around the CompoundDataset",
        "ClassBalancedDataset": "; `weight` says how often a dataset's images are drawn",
    }
    raise DatasetError(
        f"a member of the CompoundDataset is a {name}: write the TaxDataset itself, or each of several, into `datasets`"
        f"{instead.get(name, '')}"
    )


def _one_table(datasets: list[Any]) -> TargetTable | None:
    """Give all TaxDatasets one table of sets. Its numbers depend only on the order and settings of the datasets."""
    members = [d for dataset in datasets for d in tax_datasets(dataset)]
    if not members:
        return None
    table = joined(d.table for d in members)
    for dataset in members:
        dataset.use_table(table)
    return table


def _difference(a: Any, b: Any) -> str:
    if isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            return f"{len(a)} against {len(b)} entries"
        first = next(i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y)
        return f"entry {first} is `{a[first]}` against `{b[first]}`"
    return f"`{a}` against `{b}`"


def compound_of(dataset: Any) -> CompoundDataset | None:
    """The CompoundDataset that a dataset is, or that it wraps so that the compound's indices are valid for both."""
    while isinstance(dataset, (RepeatDataset, MultiImageMixDataset)):
        dataset = dataset.dataset
    return dataset if isinstance(dataset, CompoundDataset) else None
