"""Processes that a test starts find `helpers`, too."""

import os
from pathlib import Path

os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(Path(__file__).parent), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")])
)
