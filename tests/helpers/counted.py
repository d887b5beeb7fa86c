"""A small world, and predictions in it that were counted by hand."""

from __future__ import annotations

import torch

from helpers.worlds import make_constraint
from lsu_onto import ROW_UNKNOWN, ROW_VOID

V, U = ROW_VOID, ROW_UNKNOWN
SOURCE = ["road", "terrain", "car", "truck"]


WORLD = make_constraint(
    SOURCE,
    {
        "street": "= road",
        "vehicle": "> car truck",
        "gravel": "~ road terrain",
        "animal": "void",
        "rock": "void",
    },
    novel=["animal"],
)


ROWS = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 4, V, V, U]], dtype=torch.int16)


PRED = torch.tensor([[0, 0, 1, 2, 2, 3, 0, 9, 0, 1, 2, 0, 9, 1, 9, 0, 1, 2]])
