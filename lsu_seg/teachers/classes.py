"""Check that a teacher's classes match the source's: their number and, if it has names, names and order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any


def class_mismatch(model: Any, classes: Sequence[str]) -> str | None:
    """The reason why a segmentor cannot teach in a source taxonomy, or None.

    Args:
        model: an MMSegmentation segmentor. Its class names are in `dataset_meta`, which comes from the checkpoint, or
            in `class_names`, which `HFSegmentor` reads from the Hugging Face config.
        classes: the source's class names.

    Names in our own `dataset_meta` are exactly the source's; other names may be spelt as `same_class` allows.
    """
    head = getattr(model, "decode_head", None)
    out = getattr(model, "out_channels", None) or getattr(head, "out_channels", None)
    if out is not None and out != len(classes):
        return f"the model predicts {out} classes, and the source taxonomy has {len(classes)}"
    meta = getattr(model, "dataset_meta", None) or {}
    names = list(meta.get("classes") or getattr(model, "class_names", None) or ())
    if not names:
        return None
    for channel, (name, expected) in enumerate(zip(names, classes, strict=False)):
        if not same_class(name, expected):
            return (
                f"the checkpoint's classes differ from the source taxonomy's from channel {channel} on:"
                f" {names[channel : channel + 3]} against {list(classes)[channel : channel + 3]}"
            )
    if len(names) != len(classes):
        return f"the checkpoint names {len(names)} classes, and the source taxonomy has {len(classes)}"
    return None


def same_class(name: str, expected: str) -> bool:
    """Whether a checkpoint's class name matches a class of a taxonomy.

    The comparison ignores case and how words are joined. If the name is a path, as in Vistas' official labels, its
    last part may stand for the whole.

    >>> same_class("Traffic light", "traffic_light"), same_class("object--traffic-sign--front", "traffic_sign_front")
    (True, True)
    >>> same_class("guard rail", "rail")
    False
    """
    path = name.split("--")
    ends = (" ".join(path[i:]) for i in range(len(path)))
    return any(_words(end) == _words(expected) for end in ends)


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold().replace("_", " ")))
