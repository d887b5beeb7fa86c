"""Configs as MMEngine writes them, without yapf: every run writes its config several times, and laying out one takes
longer than training a network of a test."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from typing import Any

import lsu_seg  # noqa: F401  before yapf, whose cache another worker may be writing

# isort: split
from yapf.yapflib import yapf_api

YAPF = yapf_api.FormatCode


def parsed(text: str, **_: Any) -> tuple[str, bool]:
    """Takes yapf's place: MMEngine leaves it to yapf to notice what is no Python."""
    ast.parse(text)
    return text, True


def lay_out_by(formatter: Callable[..., Any], setattr: Callable[[object, str, Any], None] = setattr) -> None:
    for name in ("yapf.yapflib.yapf_api", "mmengine.config.config"):  # MMEngine's original imports it early
        module = sys.modules.get(name)
        if hasattr(module, "FormatCode"):
            setattr(module, "FormatCode", formatter)
