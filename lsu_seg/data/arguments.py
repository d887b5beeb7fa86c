"""The arguments of a `TaxDataset`, checked."""

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
        if others.get(key) or (key in ("metainfo", "ignore_index") and key in others):
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


def check_temperature(rare_classes: Any) -> None:
    """Refuse a `rare_classes` of a CompoundDataset that is no temperature.

    Raises:
        DatasetError: what was found, and what was expected.
    """
    if rare_classes is None:
        return
    if not isinstance(rare_classes, Real) or isinstance(rare_classes, bool) or not 0 < float(rare_classes) < math.inf:
        raise DatasetError(
            f"`rare_classes` of a CompoundDataset is {rare_classes!r}; expected a temperature above 0, such as 0.01, or"
            " None to draw every image of a dataset equally often"
        )
