"""The settings of a labelling that other parts pass on to a `PseudoLabelLoop`, checked when they are written."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from lsu_seg.errors import ConfigError, UserError, did_you_mean
from lsu_seg.pseudo.errors import check_output_settings
from lsu_seg.pseudo.loop import PseudoLabelLoop
from lsu_seg.teachers import Views
from lsu_seg.teachers.computing import Computing

_SET_BY_OTHERS = (
    "self",
    "runner",
    "dataloader",
    "evaluator",
    "out_dir",
    "raw_dir",
    "corrections",
    "confidence",
    "title",
)
"""Arguments of the loop that whoever passes on the rest sets itself."""


def check_views(where: str, options: Any) -> None:
    """Refuse what a `PseudoLabelLoop` would refuse when it labels, perhaps after hours of training.

    Args:
        where: the key of the config that has the options.
        options: arguments of the loop: how the teacher looks at images, `threshold` and `soft`.
    """
    if not isinstance(options, Mapping):
        raise ConfigError(f"`{where}` is {options!r}; expected `dict(scales=(…), flips=(…), …)`")
    known = [key for key in inspect.signature(PseudoLabelLoop.__init__).parameters if key not in _SET_BY_OTHERS]
    for key in options:
        if key not in known:
            hint = did_you_mean(key, known) or f"; it has {', '.join(known)}"
            raise ConfigError(f"nothing reads the key `{where}.{key}`{hint}")
    try:
        views, computing = (
            {field.name: options[field.name] for field in fields(settings) if field.name in options}
            for settings in (Views, Computing)
        )
        Computing(**computing).check_window(Views(**views).window)
        check_output_settings(options.get("threshold"), options.get("soft", 0), options.get("calibration"))
    except UserError as e:
        raise ConfigError(f"`{where}`: {e}") from e
