"""Pseudo-label, row of d and confidence → the training target of a pixel."""

from lsu_seg.targets.coder import TargetCoder
from lsu_seg.targets.reader import TargetReader
from lsu_seg.targets.table import TakesTargetTable, TargetError, TargetSet, TargetTable, query_targets

__all__ = [
    "TakesTargetTable",
    "TargetCoder",
    "TargetError",
    "TargetReader",
    "TargetSet",
    "TargetTable",
    "query_targets",
]
