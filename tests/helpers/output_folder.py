"""What a labelling run might write, without a teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lsu_seg.pseudo.output import OutputFolder

KEYS = [f"train/{name}" for name in ("a", "b", "ä b", "deep/er")]
PALETTE = np.arange(15, dtype=np.uint8).reshape(5, 3)
MANIFEST: dict[str, Any] = {"version": "1", "views": [1.0, 2.0], "threshold": 0.5}
SPLIT = {"images": "a", "tables": "a"}
RECORD = {"pixels": 24 * 40}


def arrays(key: str) -> dict[str, Any]:
    """What a run might write under `key`."""
    rng = np.random.default_rng(KEYS.index(key))
    soft = rng.integers(0, 5, (2, 24, 40), np.uint8), rng.random((2, 24, 40), np.float32)
    labels = rng.choice(np.array([0, 1, 2, 3, 4, 255], np.uint8), (24, 40))
    return dict(labels=labels, confidence=rng.random((24, 40), np.float32), soft=soft)


def fill(root: Path, keys: list[str] = KEYS, manifest: dict[str, Any] = MANIFEST, **options: Any) -> tuple[int, int]:
    """A run: writes what is not done; returns how many that were, and how many of them were damaged."""
    folder = OutputFolder(root, manifest, PALETTE, **options)
    written = 0
    try:
        for key in keys:
            if not folder.done(key):
                folder.write(key, record=RECORD, **arrays(key))
                written += 1
    finally:
        folder.close()
    return written, folder.damaged
