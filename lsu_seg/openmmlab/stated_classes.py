"""What a checkpoint says of its classes, wherever a generation of OpenMMLab's tools keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_KEYS = ("classes", "class_names", "id2label")
"""In any case: MMSegmentation 0.x has `CLASSES`."""

_DEPTH = 4
"""How deep records lie: `message_hub.runtime_info.dataset_meta.classes`."""


def stated_classes(checkpoint: Mapping[str, Any]) -> dict[str, list[str]]:
    """The class names in a checkpoint, by the key that has them. A checkpoint may name them several times.

    MMSegmentation 0.x writes `meta.CLASSES`, the first releases of 1.x `meta.dataset_meta.CLASSES`, later ones
    `meta.dataset_meta.classes`, and MMEngine's message hub has them once more.

    >>> stated_classes({"state_dict": {}, "meta": {"CLASSES": ("road", "sky"), "epoch": 3}})
    {'meta.CLASSES': ['road', 'sky']}
    """
    return dict(_stated(checkpoint, "", _DEPTH))


def _stated(record: Mapping[Any, Any], path: str, depth: int) -> Iterator[tuple[str, list[str]]]:
    for key, value in record.items():
        place = f"{path}{key}"
        if str(key).casefold() in _KEYS and (names := _names(value)):
            yield place, names
        elif isinstance(value, Mapping) and depth > 1:
            yield from _stated(value, f"{place}.", depth - 1)


def _names(value: Any) -> list[str]:
    """The names in the order of their channels; none where the value is something else."""
    if isinstance(value, Mapping):  # channel → name; JSON makes text of the channels
        channels = {str(key): name for key, name in value.items()}
        value = [channels.get(str(channel)) for channel in range(len(channels))]
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        return []
    return list(value) if all(isinstance(name, str) for name in value) else []
