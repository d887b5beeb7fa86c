"""Check that a teacher's classes match the source's: their number and, if anything names them, names and order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from lsu_seg.runtime.telling import tell


def class_mismatch(model: Any, classes: Sequence[str]) -> str | None:
    """The reason why a segmentor cannot teach in a source taxonomy, or None.

    Args:
        model: an MMSegmentation segmentor. Its class names are what `names_of` finds.
        classes: the source's class names.

    Names in our own checkpoints are exactly the source's; other names may be spelt as `same_class` allows.
    """
    head = getattr(model, "decode_head", None)
    out = getattr(model, "out_channels", None) or getattr(head, "out_channels", None)
    if out is not None and out != len(classes):
        hint = "; `--set model.drop_channels=…` leaves out those that are none of them"
        predicts = "1 class" if out == 1 else f"{out} classes"
        text = f"the model predicts {predicts}, and the source taxonomy has {len(classes)}"
        return text + hint * (hasattr(model, "names_of_kept") and out > len(classes))
    for place, names in names_of(model).items():
        for channel, (name, expected) in enumerate(zip(names, classes, strict=False)):
            if not same_class(name, expected):
                return (
                    f"the checkpoint's classes differ from the source taxonomy's from channel {channel} on:"
                    f" {names[channel : channel + 3]} (`{place}`) against {list(classes)[channel : channel + 3]}"
                )
        if len(names) != len(classes):
            return f"the checkpoint names {len(names)} classes (`{place}`), and the source taxonomy has {len(classes)}"
    return None


def names_of(model: Any) -> dict[str, list[str]]:
    """The class names that belong to a segmentor's weights, by the place that has them; {} if nothing names them.

    They are in `stated_classes`, which comes from a checkpoint that we loaded; or in `dataset_meta`, which comes from
    one that MMSegmentation's `init_model` loaded; or in `class_names`, which `HFSegmentor` reads from the Hugging Face
    config, and `TorchSegmentor` from its own. Hugging Face's numbers of channels (`LABEL_0`, `LABEL_1` …) are no names,
    wherever they have been copied to.
    """
    meta = getattr(model, "dataset_meta", None) or {}
    for places in (
        getattr(model, "stated_classes", None) or {},
        *({f"dataset_meta.{key}": meta.get(key)} for key in ("classes", "CLASSES")),
        {getattr(model, "names_place", "id2label"): getattr(model, "class_names", None)},
    ):
        stated = {place: _of_kept(model, names) for place, names in places.items() if names and not _numbers(names)}
        if stated:
            return stated
    return {}


def _of_kept(model: Any, names: Sequence[str]) -> list[str]:
    """The names of the channels that a `TorchSegmentor` keeps, of names of all that its network has."""
    return list(model.names_of_kept(names)) if hasattr(model, "names_of_kept") else list(names)


def _numbers(names: Sequence[str]) -> bool:
    return all(re.fullmatch(r"LABEL_\d+", name) for name in names)


def warn_of_assumed(model: Any, classes: Sequence[str]) -> None:
    """If nothing names a segmentor's classes, or says how it sees, tell what is assumed, at any log level."""
    if assumed := getattr(model, "assumed", ""):
        tell(f"warning: {assumed}")
    if names_of(model):
        return
    channels = [f"{channel} {name}" for channel, name in enumerate(classes)]
    shown = channels if len(channels) <= 6 else [*channels[:4], "…", channels[-1]]
    tell(
        "warning: neither the checkpoint nor the model names its classes, so its channels are taken for the source"
        f" taxonomy's: {', '.join(shown)}; if they have another order, every label is wrong"
    )


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
