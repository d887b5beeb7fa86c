"""What configs of `helpers.tiny_run` refer to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from helpers.tiny import draw, save, save_checkpoint, write_park, write_tax


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    write_tax(root / "tax")
    write_park(root / "park", {"a": [0, 1, 2, 3, 4, 5, -1]})
    image, channels = draw(0, [0, 1, 2, 3, 4, 255])
    for place in ("fine train/a", "fine val/a", "three train/a", "three train/b", "three train/c"):
        folder, key = place.split()
        save(root / f"{folder}/images/{key}.png", image)
        save(root / f"{folder}/labels/{key}.png", channels.astype(np.uint8))
    save_checkpoint(root / "teacher.pth")
    return root
