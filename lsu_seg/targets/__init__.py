"""Pseudo-label, row of d and confidence → what the loss of a pixel is."""

from lsu_seg.targets.table import TargetCoder, TargetError, TargetTable, query_targets, target_table

__all__ = ["TargetCoder", "TargetError", "TargetTable", "query_targets", "target_table"]
