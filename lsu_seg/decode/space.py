"""The buffers of the CPU decoder's threads."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from lsu_seg.decode.kernels.records import RUN, TILE, Job, RowSpace, Space, TileSpace
from lsu_seg.decode.kernels.rows import PAD, TILE_PIXELS

_local = threading.local()


def space_for(job: Job, width: int, dtype: Any) -> Space:
    """This thread's buffers, kept for the next image of these sizes. They have the size of a few label rows, for any H.

    Args:
        width: the width of the labels.
        dtype: the dtype of the labels.
    """
    num_sets, num_classes = job.sets.order.shape
    depth = max(num_classes, int(job.views["count"].max())) + 2
    longest = int(job.views["width"].max()) + 2
    key = (depth, longest, num_classes, width, num_sets, dtype)
    if getattr(_local, "key", None) != key:
        # `sums` holds whole vectors of eight pixels: a run that is not short takes less than twice its length, and the
        # short runs of a set end within one vector.
        row_space = RowSpace(
            lines=np.zeros((depth, longest + PAD), np.float32),
            sums=np.empty((num_classes + 1) * 2 * (width + num_sets * 8), np.float32),
            tiles=np.empty(width, TILE),
            short_runs=np.empty(width, RUN),
            short_pixels=np.zeros(num_sets, np.int32),
            places=np.empty(width, np.int32),
            set_begin=np.empty(num_sets, np.int32),
            set_end=np.empty(num_sets, np.int32),
            begin=np.empty(depth, np.int32),
            end=np.empty(depth, np.int32),
        )
        tile = TILE_PIXELS + PAD
        tile_space = TileSpace(
            samples=np.zeros((depth, tile // 4), np.float32),
            powers=np.zeros((depth, tile // 4), np.float32),
            scores=np.zeros((depth, tile), np.float32),
            columns=np.empty(TILE_PIXELS, np.int32),
            weights=np.empty(TILE_PIXELS, np.float32),
            label=np.empty(tile, np.int32),
            narrow_label=np.empty(tile, dtype),
            sure=np.empty(tile, np.float32),
            value=np.empty(tile, np.float32),
            log_p=np.empty(num_classes + 1, np.float64),
            log_view=np.empty(num_classes + 1, np.float64),
        )
        _local.space, _local.key = Space(row_space, tile_space), key
    space: Space = _local.space
    return space
