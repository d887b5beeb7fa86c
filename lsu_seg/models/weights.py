"""Where the weights of a model lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lsu_seg.models.factory import is_factory
from lsu_seg.models.hub import hub_name
from lsu_seg.openmmlab.parts import weights_in


def weights_path(model: Mapping[str, Any], checkpoint: str | Path | None) -> str | None:
    """The checkpoint, or the file or folder that the config of a model names; None of a hub's or of code's."""
    if checkpoint:
        return str(checkpoint)
    weights = weights_in(model)
    return None if weights is None or is_factory(weights) or hub_name(weights) else weights
