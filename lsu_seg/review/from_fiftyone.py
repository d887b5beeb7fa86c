"""What FiftyOne exports as `FiftyOneDataset`: `samples.json`, with masks inside or beside it."""

from __future__ import annotations

import base64
import binascii
import io
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from tokenize import TokenError
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lsu_seg.review.elements import elements
from lsu_seg.review.errors import ReviewError
from lsu_seg.review.returned import Layers, Returned, check_size, mask_file
from lsu_seg.review.tasks import name_and_label
from lsu_seg.review.to_fiftyone import FIELD

_DAMAGED = (
    *(OSError, EOFError, ValueError, SyntaxError, KeyError, TypeError, MemoryError, zlib.error, binascii.Error),
    *(TokenError, OverflowError, RecursionError),  # of the header of an array
)
_UNPACKING = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)
_PER_PIXEL, _BESIDE = 8, 4096
"""Bytes of a pixel of an array, and of what is beside the pixels, at most: more is no mask, and is not unpacked."""
_EXPECTED = "export the dataset with `dataset.export(DIR, dataset_type=fiftyone.types.FiftyOneDataset)`"


def read(place: str, read_file: Callable[[str], bytes], open_file: Callable[[str], IO[bytes]]) -> Iterator[Returned]:
    """The samples that have a mask.

    Args:
        read_file: the bytes of a file of the folder. open_file: the file itself. Both raise OSError.

    Raises:
        ReviewError: it is damaged, or of another format.
    """
    with _readable(place, "metadata.json"):
        targets = _targets(json.loads(read_file("metadata.json")))
    for number, sample in enumerate(_samples(place, open_file), 1):
        if not isinstance(sample, dict):
            raise ReviewError(f"{place}: sample {number} of `samples.json` is no object; {_EXPECTED}")
        if not isinstance(sample.get(FIELD), dict):
            continue
        name, digits = name_and_label(str(sample.get("filepath", "")))
        of = f"{place}: sample `{name}`"
        time = sample.get("last_modified_at")
        time = str(time.get("$date", "") if isinstance(time, dict) else time or "")
        layers = partial(_layers, of, sample[FIELD], targets, read_file)
        yield Returned(of, name, layers, "", time, str(sample.get("label_sha256") or digits))


def _samples(place: str, open_file: Callable[[str], IO[bytes]]) -> Iterator[Any]:
    with _readable(place, "samples.json"), open_file("samples.json") as file:
        yield from elements(file, "samples")


@contextmanager
def _readable(place: str, name: str) -> Iterator[None]:
    try:
        yield
    except ReviewError:  # a ValueError, too
        raise
    except (*_UNPACKING, OSError, ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        why = error.strerror if isinstance(error, OSError) and error.strerror else why
        raise ReviewError(f"{place}: `{name}` cannot be read ({why}); {_EXPECTED}") from error


def _targets(metadata: Any) -> dict[int, str]:
    """What the values of masks mean: in the older layout below `info`, in the newer one beside it."""
    if not isinstance(metadata, dict):
        raise ValueError("it is no object")
    for about in (metadata.get("info") or {}, metadata):
        of_field = about.get("mask_targets") if isinstance(about, dict) else None
        of_field = of_field.get(FIELD) if isinstance(of_field, dict) else None
        for stated in (of_field, about.get("default_mask_targets") if isinstance(about, dict) else None):
            if not stated:
                continue
            if not isinstance(stated, dict) or not all(isinstance(name, str) for name in stated.values()):
                raise ValueError(f"its mask targets are {str(stated)[:60]}; expected values with the names of classes")
            wrong = next((value for value in stated if not re.fullmatch(r"\d{1,9}", value)), None)
            if wrong is not None:
                raise ValueError(f"its mask targets have the value {wrong[:40]!r}, which is no number of a pixel")
            return {int(value): name for value, name in stated.items()}
    raise ValueError("it has no mask targets")


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
        if values.dtype.kind not in "biuf":
            raise ValueError(f"it has values of {values.dtype}")
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
