"""What FiftyOne exports as `FiftyOneDataset`: `samples.json`, with masks inside or beside it."""

from __future__ import annotations

import base64
import binascii
import io
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsu_seg.review.errors import ReviewError
from lsu_seg.review.returned import Layers, Returned
from lsu_seg.review.tasks import stem_of
from lsu_seg.review.to_fiftyone import FIELD

_DAMAGED = (OSError, EOFError, ValueError, SyntaxError, KeyError, TypeError, zlib.error, binascii.Error)
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
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ReviewError(f"{place}: cannot be read ({error!r}); {_EXPECTED}") from error
    for sample in samples:
        name = stem_of(str(sample.get("filepath", "")))
        of = f"{place}: sample `{name}`"
        time = sample.get("last_modified_at")
        time = str(time.get("$date", "") if isinstance(time, dict) else time or "")
        layers = partial(_layers, of, sample[FIELD], targets, read_file)
        yield Returned(of, name, layers, "", time, str(sample.get("label_sha256", "")))


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
    from PIL import Image

    try:
        values = _mask(label, read_file)
        if values.ndim != 2:
            raise ValueError(f"it has {values.ndim} dimensions")
    except (*_DAMAGED, Image.DecompressionBombError) as error:
        raise ReviewError(f"{place}: its mask cannot be read ({error}); {_EXPECTED}") from error
    for value in np.unique(values).tolist():
        if value and value not in targets:
            raise ReviewError(f"{place}: its mask has the value {value}, which no mask target explains")
        if value:
            yield targets[value], values == value


def _mask(label: Mapping[str, Any], read_file: Callable[[str], bytes]) -> NDArray[Any]:
    from PIL import Image

    if label.get("mask_path"):
        with Image.open(io.BytesIO(read_file(label["mask_path"]))) as image:
            return np.asarray(image)
    mask = label["mask"]
    data = mask["$binary"] if isinstance(mask, Mapping) else mask
    text = data["base64"] if isinstance(data, Mapping) else data
    array: NDArray[Any] = np.load(io.BytesIO(zlib.decompress(base64.b64decode(text))), allow_pickle=False)
    return array
