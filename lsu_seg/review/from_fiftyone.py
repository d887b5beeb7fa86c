"""What FiftyOne exports as `FiftyOneDataset`: `samples.json`, with masks inside or beside it."""

from __future__ import annotations

import base64
import binascii
import io
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsu_seg.review.errors import ReviewError
from lsu_seg.review.returned import Layers, Returned, check_size, mask_file
from lsu_seg.review.tasks import name_and_label
from lsu_seg.review.to_fiftyone import FIELD

_DAMAGED = (
    *(OSError, EOFError, ValueError, SyntaxError, KeyError, TypeError, MemoryError, zlib.error, binascii.Error),
    TokenError,  # of the header of an array
)
_PER_PIXEL, _BESIDE = 8, 4096
"""Bytes of a pixel of an array, and of what is beside the pixels, at most: more is no mask, and is not unpacked."""
_EXPECTED = "export the dataset with `dataset.export(DIR, dataset_type=fiftyone.types.FiftyOneDataset)`"


def read(place: str, read_file: Callable[[str], bytes]) -> Iterator[Returned]:
    """The samples that have a mask.

    Args:
        read_file: the bytes of a file of the folder; raises OSError.

    Raises:
        ReviewError: it is damaged, or of another format.
    """
    try:
        samples = json.loads(read_file("samples.json"))["samples"]
        metadata = json.loads(read_file("metadata.json"))
        targets = _targets(metadata)
        samples = [sample for sample in samples if isinstance(sample.get(FIELD), dict)]
    except ReviewError:  # a ValueError, too
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ReviewError(f"{place}: cannot be read ({error!r}); {_EXPECTED}") from error
    for sample in samples:
        name, digits = name_and_label(str(sample.get("filepath", "")))
        of = f"{place}: sample `{name}`"
        time = sample.get("last_modified_at")
        time = str(time.get("$date", "") if isinstance(time, dict) else time or "")
        layers = partial(_layers, of, sample[FIELD], targets, read_file)
        yield Returned(of, name, layers, "", time, str(sample.get("label_sha256") or digits))


def _targets(metadata: Mapping[str, Any]) -> dict[int, str]:
    """What the values of masks mean: in the older layout below `info`, in the newer one beside it."""
    for about in (metadata.get("info") or {}, metadata):
        for stated in ((about.get("mask_targets") or {}).get(FIELD), about.get("default_mask_targets")):
            if stated:
                return {int(value): str(name) for value, name in stated.items()}
    raise ValueError("metadata.json has no mask targets")


def _layers(
    place: str,
    label: Mapping[str, Any],
    targets: Mapping[int, str],
    read_file: Callable[[str], bytes],
    height: int,
    width: int,
) -> Layers:
    try:
        values = _mask(place, label, read_file, height, width)
        if values.ndim != 2:
            raise ValueError(f"it has {values.ndim} dimensions")
    except ReviewError:  # a ValueError, too
        raise
    except _DAMAGED as error:
        raise ReviewError(f"{place}: its mask cannot be read ({error}); {_EXPECTED}") from error
    for value in np.unique(values).tolist():
        if value and value not in targets:
            raise ReviewError(f"{place}: its mask has the value {value}, which no mask target explains")
        if value:
            yield targets[value], values == value


def _mask(
    place: str, label: Mapping[str, Any], read_file: Callable[[str], bytes], height: int, width: int
) -> NDArray[Any]:
    if label.get("mask_path"):
        return mask_file(place, lambda: read_file(label["mask_path"]), height, width)
    mask = label["mask"]
    data = mask["$binary"] if isinstance(mask, Mapping) else mask
    text = data["base64"] if isinstance(data, Mapping) else data
    unpacked = zlib.decompressobj().decompress(base64.b64decode(text), height * width * _PER_PIXEL + _BESIDE)
    array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(unpacked), allow_pickle=False)
    if array.ndim == 2:
        check_size(place, array.shape[::-1], (width, height))
    return array
