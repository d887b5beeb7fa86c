"""What is done to every byte of a label, by optional packages where they are installed; all give the same bytes.

ISA-L inflates labels five times as fast as zlib. Numba compiles the loops of `kernels.py`; its import takes as long as
reading some hundred labels without it, so it is imported when a process has read about as many.
"""

from __future__ import annotations

import importlib
import threading
import zlib
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsu_onto.errors import uninterrupted


def _inflater() -> Any:
    try:
        return importlib.import_module("isal.isal_zlib")
    except Exception:  # not installed; or damaged, of another Python, or a file of one's own: zlib gives the same bytes
        return zlib


fast_zlib: Any = _inflater()
"""ISA-L under zlib's names, or else zlib."""

WORTH = 512 << 20
"""Bytes of pixels from which on the import of numba is worth its time."""

LOOK_UPS = (("i2", "u2"), ("i2", "u4"), ("u4", "u2"), ("u1", "u2"), ("u2", "u2"))
"""The types of table and values that `Loops.look_up` is compiled for."""


class Loops:
    """The compiled loops, for arrays as numpy has them.

    Raises:
        ImportError: numba is not installed. It may raise any other: numba's cache may be damaged, or on a full disk.
    """

    def __init__(self) -> None:
        config: Any = importlib.import_module("numba.core.config")
        if config.DISABLE_JIT:
            raise ImportError("as plain Python, the loops would be slower than numpy by far")
        from lsu_onto.raster import kernels

        self._kernels = kernels
        # All that is ever compiled, so that no later call can fail for numba's sake.
        with uninterrupted():
            self.unfilter(np.zeros((1, 9), np.uint8), np.zeros((2, 8), np.uint8), 1)
            for table, values in LOOK_UPS:
                self.look_up(np.zeros(1, table), np.zeros(1, values))
            self.count(np.zeros(5, np.uint16))

    def unfilter(self, lines: NDArray[np.uint8], out: NDArray[np.uint8], step: int) -> bool:
        """Undo the filters of PNG rows.

        Args:
            lines: `[rows, 1 + bytes]`, each row with the byte of its filter in front.
            out: `[1 + rows, bytes]`, of which the first is given: the row above.
            step: bytes of a pixel.

        Returns:
            Whether all filters are those of the format.
        """
        if lines.flags.writeable:
            lines = lines.view()
            lines.flags.writeable = False  # or numba would compile a second function
        lines, flat = lines.reshape(-1), out.reshape(-1)
        return bool(self._kernels.unfilter(lines, _words(lines), flat, _words(flat), out.shape[1], step))

    def look_up(self, table: NDArray[Any], values: NDArray[Any], shift: int = 0) -> NDArray[Any]:
        """`table[values] + shift`, of the table's type, for the types of `LOOK_UPS`.

        Raises:
            IndexError: the table does not have a value.
        """
        if np.iinfo(values.dtype).max >= len(table) and int(values.max(initial=0)) >= len(table):
            raise IndexError(f"the value {values.max()} in a table of {len(table)}")
        values = np.require(values, requirements=("C", "A"))
        if values.flags.writeable:  # one compiled function serves both, that for arrays that are not
            values = values.view()
            values.flags.writeable = False
        out = np.empty(values.shape, table.dtype)
        self._kernels.look_up(table, values.reshape(-1), table.dtype.type(shift), out.reshape(-1))
        return out

    def count(self, values: NDArray[np.uint16]) -> NDArray[np.int64]:
        """How often each number of 16 bits occurs: int64 `[65536]`."""
        flat = np.require(values, requirements=("C", "A")).reshape(-1)
        counts = np.zeros(1 << 16, np.int64)
        whole = flat.size // 4 * 4
        self._kernels.count(flat[:whole].view(np.uint64), flat[whole:], counts)
        return counts


def _words(array: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The eight bytes from each byte on, as one number."""
    return np.ndarray((max(array.size - 7, 0),), np.uint64, array.data, 0, (1,))


class _Work:
    """The bytes that this process has read."""

    done = 0


_lock = threading.Lock()


def compiled_loops(size: int) -> Loops | None:
    """The compiled loops, to read another `size` bytes; None if numpy and Pillow are to do it."""
    if _Work.done < WORTH:
        _Work.done += size  # a thread may overwrite what another has added: it need not be exact
        return None
    with _lock:  # or each thread would compile them
        return _loops()


@lru_cache(maxsize=1)
def _loops() -> Loops | None:
    try:
        return Loops()
    except Exception:
        return None
