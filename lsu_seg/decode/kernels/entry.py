"""The function that Python calls, which decodes chunks of label rows until none is left."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from lsu_seg.decode.kernels.jit import entry
from lsu_seg.decode.kernels.lanes import floats
from lsu_seg.decode.kernels.records import Image, Job, RowSpace, Rule, Sets, Space, Steps, TileSpace
from lsu_seg.decode.kernels.rows import decode_row
from lsu_seg.decode.kernels.sampling import not_finite

ROWS_PER_CHUNK = 8
"""The label rows that a thread takes at a time. At stride 4, the logits that they need fit into a core's L2 cache."""


@intrinsic
def _take_next(typing_context, counter):
    """Fetch and increment element 0 of an int64 array, atomically."""

    def codegen(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        one = ir.Constant(ir.IntType(64), 1)
        return builder.atomic_rmw("add", array.data, one, "seq_cst")

    return types.int64(counter), codegen


@entry
def decode_rows(sources):
    # The arguments are plain tuples: numba's cache index would contain the classes of named tuples, and a version that
    # has renamed one of these classes could not even read the index.
    def decode_rows(progress, image, rule, sets, steps, views, row_space, tile_space):
        """Decode label rows together with other threads that have the same `progress`.

        Args:
            progress: int64 [1], the next chunk of rows; and int64 [2], two flags that stop all threads: a view is not
                finite; a row is not one of the dataset's.
            image, rule, sets, steps: `Image`, `Rule`, `Sets`, `Steps`.
            views: VIEW [V].
            row_space, tile_space: the `RowSpace` and `TileSpace` of this thread.
        """
        counter, status = progress
        image, job = Image(*image), Job(Rule(*rule), Sets(*sets), Steps(*steps), views)
        space = Space(RowSpace(*row_space), TileSpace(*tile_space))
        height = len(image.rows)
        chunks = (height + ROWS_PER_CHUNK - 1) // ROWS_PER_CHUNK
        while True:
            chunk = _take_next(counter)
            if chunk >= chunks or status[0] or status[1]:
                return sources
            # A chunk also checks an equally large part of the logits, in memory order, for NaN and Inf.
            for v in range(len(views)):
                size = views[v].count * views[v].height * views[v].width
                maps = floats(views[v].maps, size)
                if not_finite(maps[size * chunk // chunks : size * (chunk + 1) // chunks]):
                    status[0] = 1
            for y in range(height * chunk // chunks, height * (chunk + 1) // chunks):
                if not decode_row(y, image, job, space):
                    status[1] = 1

    return decode_rows
