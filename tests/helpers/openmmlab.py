"""MMEngine without what it does for every dataset and every Runner, and no test looks at."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from mmengine.dataset import base_dataset
from mmengine.visualization import Visualizer

make_figure = Visualizer._initialize_fig
figures: dict[str, Any] = {}


def figure(self: Visualizer, settings: dict[str, Any]) -> Any:
    if repr(settings) not in figures:
        figures[repr(settings)] = make_figure(self, settings)
    return figures[repr(settings)]


def spare() -> None:
    """No look at everything there is for garbage, 20 ms a dataset; one figure for all visualizers, 40 ms a Runner."""
    base_dataset.gc = SimpleNamespace(collect=lambda: 0)
    Visualizer._initialize_fig = figure
