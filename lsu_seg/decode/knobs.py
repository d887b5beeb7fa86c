"""The knobs of the GPU kernels by compute capability: `knobs.json`, which `tools/gpu_check.py --tune` measures.

They change how long a decode takes; with several views also the last bits of confidences, and nothing else.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

TABLE = Path(__file__).with_suffix(".json")


class Knob(NamedTuple):
    """How one kernel is launched.

    Attributes:
        size: pixels of a program (`one_view`), or elements of its tile, channels x pixels.
        warps: of 32 threads, in a program. stages: of loads under way in a loop.
    """

    size: int
    warps: int
    stages: int


class Knobs(NamedTuple):
    """Knobs for the three forms of evidence: one view of logits; several; queries among them."""

    one_view: Knob
    logits: Knob
    queries: Knob


@lru_cache(8)
def knobs(capability: tuple[int, int] | None) -> Knobs:
    """The knobs measured on this compute capability, else on the nearest lower one, else the general ones.

    >>> knobs(None).one_view.warps
    4
    """
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    measured = {tuple(map(int, key.split("."))): key for key in table if key != "general"}
    lower = [c for c in measured if capability is not None and c <= capability]
    row = table[measured[max(lower)]] if lower else table["general"]
    return Knobs(**{form: Knob(**knob) for form, knob in row.items()})
