"""The arguments of a `TaxDataset`, a `CompoundDataset` and of transforms, checked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any

from lsu_seg.layout.pairs import DatasetError
from lsu_seg.openmmlab.parts import wrong_names

_OF_THE_TAXONOMY = (
    *("ann_file", "img_suffix", "seg_map_suffix", "data_prefix", "filter_cfg"),
    *("reduce_zero_label", "backend_args", "metainfo", "ignore_index"),
)
"""Arguments of MMSegmentation's datasets that have no effect on one that is described by a taxonomy."""


def check_arguments(
    taxonomy: Any, weight: Any, threshold: Any, unsure: Any, names: Mapping[str, Any], others: Mapping[str, Any]
) -> None:
    """Refuse arguments of a TaxDataset that are out of range, or that it would not read.

    Args:
        names: of the source, the split and of folders.
        others: what it passes on to MMSegmentation's dataset.

    Raises:
        DatasetError: which argument, and what was expected.
    """
    for key, expected in wrong_names({"taxonomy": taxonomy, **names}):
        found = taxonomy if key == "taxonomy" else names[key]
        raise DatasetError(f"`{key}` of `{taxonomy}` is {found!r}; expected {expected}")
    if not isinstance(weight, Real) or not 0 <= float(weight) < math.inf:
        raise DatasetError(f"weight of `{taxonomy}` is {weight}; expected a finite number that is not negative")
    if unsure is not None and (threshold is not None or not isinstance(unsure, Real) or not 0 <= float(unsure) <= 1):
        other = "" if threshold is None else f", and `threshold` {threshold}"
        raise DatasetError(
            f"`unsure` of `{taxonomy}` is {unsure}{other}; expected a share of the pixels, 0 to 1, and no `threshold`"
        )
    for key in _OF_THE_TAXONOMY:
        no_prefix = key == "data_prefix" and others.get(key, "") is None  # where MMSegmentation reads a dict
        if others.get(key) or no_prefix or (key in ("metainfo", "ignore_index") and key in others):
            raise DatasetError(
                f"a TaxDataset has no `{key}`: its taxonomy says where `{taxonomy}` keeps its files, and which classes"
                " and void there are; leave it out"
            )
    indices = others.get("indices")
    if isinstance(indices, Iterable) and not isinstance(indices, str):
        valid = all(isinstance(index, Integral) for index in indices)
    else:
        valid = indices is None or isinstance(indices, Integral)
    if not valid:
        raise DatasetError(
            f"`indices` of `{taxonomy}` is {indices!r}; expected how many images to take, or a list of their numbers"
        )


def check_drawing(rare_classes: Any, oversample_thr: Any, copy_paste: Any) -> None:
    """Refuse what a CompoundDataset cannot draw images by.

    Raises:
        DatasetError: what was found, and what was expected.
    """
    evenly = "None to draw every image of a dataset equally often"
    temperature = "a temperature above 0, such as 0.01, or"
    for key, value, high, expected in (
        ("rare_classes", rare_classes, math.inf, f"{temperature} {evenly}"),
        ("oversample_thr", oversample_thr, 1.0, f"a share of the images, above 0 and at most 1, or {evenly}"),
        ("copy_paste", copy_paste, math.inf, f"{temperature} None to paste nothing"),
    ):
        if value is None:
            continue
        if not is_number(value, 0, high) or value == 0:
            raise DatasetError(f"`{key}` of a CompoundDataset is {value!r}; expected {expected}")
    if rare_classes is not None and oversample_thr is not None:
        raise DatasetError(
            "a CompoundDataset has both `rare_classes` and `oversample_thr`, and images are drawn by one of them: leave"
            " the other out"
        )


def check_transform(transform: Any, /, **settings: tuple[Any, bool, str]) -> None:
    """Refuse settings of a transform of ours: its images are loaded in workers, after whatever else takes long.

    Args:
        settings: by name, what was found, whether it will do, and what was expected.

    Raises:
        DatasetError: the first that will not do.
    """
    for key, (found, will_do, expected) in settings.items():
        if not will_do:
            raise DatasetError(f"`{key}` of a {type(transform).__name__} is {found!r}; expected {expected}")


def is_number(value: Any, low: float = -math.inf, high: float = math.inf, whole: bool = False) -> bool:
    """Whether it is a finite number in a range.

    >>> is_number(0.5, 0, 1), is_number(0.5, 0, 1, whole=True), is_number(math.nan), is_number(True)
    (True, False, False, False)
    """
    if isinstance(value, bool) or not isinstance(value, Integral if whole else Real):
        return False
    return math.isfinite(float(value)) and low <= float(value) <= high


def are_numbers(value: Any, low: float = -math.inf, high: float = math.inf, whole: bool = False) -> bool:
    """Whether it is two such numbers."""
    return isinstance(value, (list, tuple)) and len(value) == 2 and all(is_number(v, low, high, whole) for v in value)
