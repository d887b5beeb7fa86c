"""Teacher views and annotated rows → pseudo-labels.

`reference` is the decode rule in plain torch; `cpu` and `cuda` are compiled versions of it. Each is imported when it is
first used: `import lsu_seg.decode` loads neither torch nor numba, and `decode_arrays` needs one of the two.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lsu_seg.decode.views import Decoded, DecodeError, Part, QueryView, View, arrays

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from lsu_onto import Constraint

__all__ = ["DecodeError", "Decoded", "Decoder", "Part", "QueryView", "View", "decode_arrays", "decoder"]


class Decoder(NamedTuple):
    """One path of the decoder.

    Attributes:
        name: `"cpu"`, `"cuda"` or `"reference"`.
        start: `(views, rows, allowed, threshold, image_name)` → a function that returns `Decoded`, arrays, once; what
            it raises is a `DecodeError`. On a GPU, the work goes on between the two calls.
    """

    name: str
    start: Callable[..., Callable[[], Decoded]]

    def decode(
        self, views: Any, rows: Any, allowed: Any, threshold: float | None = None, image_name: str = ""
    ) -> Decoded:
        """Start, and wait for the result."""
        return self.start(views, rows, allowed, threshold, image_name)()

    def unconstrained(self, views: Sequence[View | QueryView], size: tuple[int, int], image_name: str) -> Decoded:
        """The labels of the teacher alone: every class is allowed in every pixel, and void in none."""
        return self.start_unconstrained(views, size, image_name)()

    def start_unconstrained(
        self, views: Sequence[View | QueryView], size: tuple[int, int], image_name: str
    ) -> Callable[[], Decoded]:
        """`unconstrained`, in two steps."""
        k = views[0].num_classes
        everything = np.arange(k + 1)[None] < k
        return self.start(views, np.zeros(size, np.int16), everything, None, image_name)


def decoder(device: str) -> Decoder:
    """The fastest path for views on a device of this type (`"cpu"`, `"cuda"`, …)."""
    if device == "cpu":
        from lsu_seg.decode import cpu

        return Decoder("cpu", partial(_at_once, cpu.decode))
    if device == "cuda" and importlib.util.find_spec("triton"):  # part of torch's CUDA builds
        from lsu_seg.decode import cuda

        return Decoder("cuda", cuda.start)
    from lsu_seg.decode import reference

    return Decoder("reference", partial(_at_once, partial(_with_tensors, reference.decode)))


def _at_once(decode: Callable[..., Decoded], *args: Any) -> Callable[[], Decoded]:
    decoded = decode(*args)
    return lambda: decoded


def _with_tensors(
    decode: Callable[..., Decoded], views: Any, rows: Any, allowed: Any, threshold: float | None, image_name: str
) -> Decoded:
    import torch

    return arrays(decode(views, torch.as_tensor(rows), torch.as_tensor(allowed), threshold, image_name))


def _tensors(view: View | QueryView) -> View | QueryView:
    """The view with tensors for arrays, which are copied: they may be read-only."""
    import torch

    found = {name: v for name, v in vars(view).items() if isinstance(v, np.ndarray) and name != "to"}
    tensors: dict[str, Any] = {name: torch.from_numpy(np.array(array)) for name, array in found.items()}
    return replace(view, **tensors)


def decode_arrays(
    logits: ArrayLike | Sequence[View | QueryView],
    rows: ArrayLike,
    constraint: Constraint,
    threshold: float | None = None,
    image_name: str = "",
) -> Decoded:
    """Decode the arrays of any framework, on the CPU.

    Args:
        logits: float `[K, h, w]` at any resolution, in the order of `constraint.source_classes`; or a list of `View`
            and `QueryView` with arrays, for several views, mirrored views, or a no-object mass.
        rows: integer `[H, W]`: the dataset's class of each pixel as an index into `constraint.classes`, -1 for pixels
            without annotation. `Constraint.rows` makes them from an array of labels, `lsu_seg.label_files.LabelReader`
            reads them from a label file.
        constraint: as returned by `lsu_onto.load`.
        threshold: 0..1; pixels with a lower confidence become void.
        image_name: for error messages.

    Returns:
        Arrays `[H, W]`: labels, uint8 with void = 255 (K > 255: uint16 with void = 65535), and confidence, float32.

    Without numba the reference decodes, hundreds of times slower, with a warning.

    Raises:
        DecodeError: NaN or Inf anywhere in a view, an unknown row, shapes that do not fit.

    >>> import lsu_onto
    >>> constraint = lsu_onto.load("demo_town", source="demo")
    >>> drivable = constraint.classes.index("drivable")  # road or lane_marking
    >>> logits = np.zeros((15, 4, 8), np.float32)
    >>> logits[constraint.source_classes.index("car")] = 9  # not allowed here
    >>> logits[constraint.source_classes.index("lane_marking"), :, 4:] = 5
    >>> rows = np.full((16, 32), drivable)
    >>> labels, confidence = decode_arrays(logits, rows, constraint)
    >>> [constraint.source_classes[c] for c in labels[0, [0, 31]]]
    ['road', 'lane_marking']
    >>> [round(float(c), 3) for c in confidence[0, [0, 31]]]
    [0.5, 0.993]
    """
    from lsu_seg.decode.checks import check_logits

    is_views = isinstance(logits, (list, tuple)) and all(isinstance(v, (View, QueryView)) for v in logits)
    views: list[View | QueryView] = list(logits) if is_views else [View(np.asarray(logits))]  # type: ignore[arg-type]
    for view in views:
        if isinstance(view, View) and view.to is None:
            check_logits(view.logits.shape, constraint, image_name or "logits")
    return _on_cpu()(views, rows, constraint.allowed, threshold, image_name)


@cache
def _on_cpu() -> Callable[..., Decoded]:
    """The CPU path, or where numba is missing the reference."""
    try:
        from lsu_seg.decode import cpu
    except ImportError as error:
        if not importlib.util.find_spec("torch"):
            raise
        why = "is not installed" if isinstance(error, ModuleNotFoundError) else f"cannot be imported ({error})"
        warnings.warn(
            f"numba {why}, so labels are decoded by the reference in torch, hundreds of times slower: "
            "`pip install numba`",
            stacklevel=3,
        )
        return _by_reference
    return cpu.decode


def _by_reference(views: Any, rows: Any, allowed: Any, threshold: float | None, image_name: str) -> Decoded:
    from lsu_seg.decode import reference
    from lsu_seg.decode.checks import check_rows

    rows = np.asarray(rows)
    check_rows(rows, len(allowed), image_name)
    views = [_tensors(view) for view in views]
    return _with_tensors(reference.decode, views, rows.astype(np.int64), allowed, threshold, image_name)
