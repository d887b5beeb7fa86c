"""MMEngine without what it does for every dataset and every Runner, and no test looks at."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any


def spare() -> None:
    """No look at everything there is for garbage, 20 ms a dataset; one figure for all visualizers, 40 ms a Runner."""
    from mmengine.dataset import base_dataset

    base_dataset.gc = SimpleNamespace(collect=lambda: 0)
    visualization = sys.modules.get("mmengine.visualization")  # where nothing has imported it, nobody waits for it
    if visualization is None:
        return
    visualizer = visualization.Visualizer
    make, made = visualizer._initialize_fig, dict[str, Any]()

    def figure(self: Any, settings: dict[str, Any]) -> Any:
        if repr(settings) not in made:
            made[repr(settings)] = make(self, settings)
        return made[repr(settings)]

    visualizer._initialize_fig = figure
