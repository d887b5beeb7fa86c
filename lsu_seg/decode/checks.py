"""The checks that all paths of the decoder share, with the same messages, for tensors and for arrays."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsu_onto import ROW_UNKNOWN, ROW_VOID, Constraint
from lsu_seg.decode.views import DecodeError, Part, QueryView, View


def check_shapes(views: Sequence[View | QueryView], image_name: str) -> int:
    """Raise `DecodeError` if views cannot be combined. Returns K."""
    name = image_name or "image"
    if not views:
        raise DecodeError(f"{name}: no teacher view")
    for i, view in enumerate(views):
        _check_types(i, view, name)
    num_classes = int(views[0].num_classes)
    for i, view in enumerate(views):
        _check_settings(i, view, num_classes, name)
        channels = num_classes if view.to is None else len(view.to)
        if isinstance(view, QueryView):
            classes, shape = tuple(view.classes.shape), tuple(view.masks.shape)
            if len(classes) != 2 or classes[1] != channels + 1 or channels < 1:
                raise DecodeError(f"{name}: view {i} has class logits of shape {classes}; expected (Q, {channels + 1})")
            if len(shape) != 3 or shape[0] != classes[0] or 0 in shape:
                raise DecodeError(f"{name}: view {i} has mask logits of shape {shape}; expected ({classes[0]}, h, w)")
        else:
            shape = tuple(view.logits.shape)
            if len(shape) != 3 or shape[0] != channels or 0 in shape:
                raise DecodeError(f"{name}: view {i} has logits of shape {shape}; expected ({channels}, h, w)")
            if view.void is not None and tuple(view.void.shape) != shape[1:]:
                found = tuple(view.void.shape)
                raise DecodeError(f"{name}: view {i} has a no-object mass of shape {found}; expected {shape[1:]}")
    return num_classes


def _check_types(i: int, view: View | QueryView, name: str) -> None:
    """Before anything is asked of a view that only arrays and numbers know."""
    if view.to is not None and not (isinstance(view.to, np.ndarray) and view.to.ndim == 2):
        shape = getattr(view.to, "shape", None)
        found = f"a {type(view.to).__name__}" + (f" {tuple(shape)}" if shape is not None else "")
        raise DecodeError(
            f"{name}: view {i} has {found} as its map `to`; expected a numpy array, bool (C, K+1): write"
            " `numpy.array(to, bool)`"
        )
    if not isinstance(view.weight, Real) or isinstance(view.weight, bool):
        raise DecodeError(f"{name}: view {i} has weight {view.weight!r}; expected a number above 0")
    named = ("classes", "masks") if isinstance(view, QueryView) else ("logits", "void")
    for key in named:
        array = getattr(view, key)
        if not hasattr(array, "shape") and not (key == "void" and array is None):
            raise DecodeError(f"{name}: view {i} has a {type(array).__name__} as `{key}`; expected a float tensor")
        if key == "logits" and not array.shape:
            raise DecodeError(f"{name}: view {i} has logits of shape (); expected (K, h, w)")
        if key == "classes" and len(array.shape) < 2:
            raise DecodeError(f"{name}: view {i} has class logits of shape {tuple(array.shape)}; expected (Q, K+1)")


def _check_settings(i: int, view: View | QueryView, num_classes: int, name: str) -> None:
    if not view.weight > 0:
        raise DecodeError(f"{name}: view {i} has weight {view.weight}; expected a number above 0")
    if not 1e-30 <= view.weight <= 1e30:  # in float32, the sum would be 0 or Inf, and p NaN
        raise DecodeError(f"{name}: view {i} has weight {view.weight:.3}; expected a number from 1e-30 to 1e30")
    if view.to is not None and (view.to.dtype != bool or view.to.ndim != 2 or view.to.shape[1] != num_classes + 1):
        found = f"{view.to.dtype} {view.to.shape}"
        raise DecodeError(f"{name}: view {i} has a map {found}; expected bool (C, {num_classes + 1})")


def check_logits(shape: Sequence[int], constraint: Constraint, name: str) -> None:
    """Raise `DecodeError` if an array cannot be logits `[K, h, w]` of a constraint's source; say how it becomes that.

    >>> import lsu_onto
    >>> check_logits((512, 1024, 15), lsu_onto.load("demo_town", source="demo"), "a.npy")
    Traceback (most recent call last):
        ...
    lsu_seg.decode.views.DecodeError: a.npy: an array [512, 1024, 15]; expected [K, h, w] with the K = 15 classes of \
`demo` first: axis 2 has 15, so save `numpy.moveaxis(logits, 2, 0)`
    """
    k, shape = constraint.num_classes, tuple(shape)
    if len(shape) == 3 and shape[0] == k and 0 not in shape:
        return
    raise DecodeError(
        f"{name}: an array {list(shape)}; expected [K, h, w] with the K = {k} classes of `{constraint.source}` first:"
        f" {_advice(shape, k)}"
    )


def _advice(shape: tuple[int, ...], k: int) -> str:
    """What to do with an array of this shape to get `[k, h, w]`."""
    if 0 in shape:
        return "it is empty"
    inner, array, places = shape, "logits", list(range(len(shape)))
    while len(inner) > 3 and inner[0] == 1:
        inner, array, places = inner[1:], f"{array}[0]", places[1:]
    if len(inner) == 4 and k in inner[1:]:
        return f"these are {inner[0]} images: save each by itself, `{array}[i]`"
    if len(inner) > 3 and sum(n != 1 for n in shape) == 3:
        places = [i for i, n in enumerate(shape) if n != 1]
        inner, array = tuple(shape[i] for i in places), "numpy.squeeze(logits)"
    if len(inner) == 3 and k in inner:
        axis = 0 if inner[0] == k else 2 if inner[2] == k else 1
        moved = array if axis == 0 else f"numpy.moveaxis({array}, {axis}, 0)"
        return f"axis {places[axis]} has {k}, so save `{moved}`"
    if len(inner) == 3 and k + 1 in inner:
        return (
            f"one axis has {k + 1}: if one of these is background or void, leave it out, and bring the others into the"
            " order of the source's classes"
        )
    if len(shape) == 2:
        return "it has no axis of classes; if it holds class numbers, save the logits that they were chosen by"
    if k in shape:
        return f"its axes are {len(shape)}, and should be 3"
    return f"no axis has {k}: are these logits of a model with other classes, or is another `--source` meant?"


def check_part(i: int, part: Part, first: Any, height: int, rows: int, image_name: str) -> None:
    """Raise `DecodeError` if a part of a view lacks map rows that its label rows read.

    Args:
        first: int `[label_height]`, the upper of the two map rows that each row of the whole label reads.
        height: the number of map rows in the part.
        rows: the number of label rows to decode.
    """
    top, full_height, label_top, label_height = part
    if label_top >= 0 and label_top + rows <= label_height and top >= 0 and top + height <= full_height:
        if not rows:
            return
        first_read, last_read = first[label_top], min(first[label_top + rows - 1] + 1, full_height - 1)
        if top <= first_read and last_read < top + height:
            return
    raise DecodeError(
        f"{image_name or 'image'}: view {i} has rows {top}..{top + height - 1} of {full_height}, which do not cover"
        f" the label rows {label_top}..{label_top + rows - 1} of {label_height}"
    )


def check_finite(i: int, view: View | QueryView, image_name: str) -> None:
    """Raise `DecodeError` if a view has NaN, Inf, values beyond float32, or a negative no-object mass."""
    name = image_name or "image"
    if isinstance(view, QueryView):
        named: list[tuple[str, Any]] = [("class logits", view.classes), ("mask logits", view.masks)]
    else:
        named = [("logits", view.logits), ("no-object mass", view.void)]
    for title, maps in named:
        if maps is None:
            continue
        single = maps.float() if hasattr(maps, "float") else np.asarray(maps)
        if isinstance(single, np.ndarray):
            with np.errstate(over="ignore"):
                single = single.astype(np.float32, copy=False)
        # x - x is 0 for finite values and NaN for all others, in numpy and torch.
        with np.errstate(invalid="ignore"):
            bad = int((single - single != 0).sum())
        if bad:
            raise DecodeError(f"{name}: the teacher's {title} (view {i}) hold {bad} NaN or Inf values")
        if title == "no-object mass" and (maps < 0).any():
            raise DecodeError(f"{name}: the teacher's no-object mass (view {i}) is negative")


def check_allowed(allowed: NDArray[Any], num_classes: int, threshold: float | None, image_name: str) -> None:
    """Raise `DecodeError` if `allowed` does not fit K classes, or the threshold is out of range."""
    name = image_name or "image"
    if allowed.dtype != bool or allowed.ndim != 2 or allowed.shape[1] != num_classes + 1:
        found = f"{allowed.dtype} {allowed.shape}"
        raise DecodeError(f"{name}: `allowed` is {found}; the teacher's {num_classes} classes need bool (D, K+1)")
    if not allowed.any(1).all():
        row = int(np.flatnonzero(~allowed.any(1))[0])
        raise DecodeError(f"{name}: row {row} of `allowed` allows nothing, not even void")
    if threshold is not None and not 0 <= threshold <= 1:
        raise DecodeError(f"{name}: the threshold is {threshold}; expected 0..1")


def check_rows(rows: Any, num_rows: int, image_name: str) -> None:
    """Raise `DecodeError` if rows have the wrong shape, unknown values, or values out of range."""
    name = image_name or "image"
    if rows.ndim != 2:
        raise DecodeError(f"{name}: rows have shape {tuple(rows.shape)}; expected (H, W)")
    unknown = int((rows == ROW_UNKNOWN).sum())
    if unknown:
        raise DecodeError(f"{name}: {unknown} pixels have a raw value that the taxonomy does not list")
    if 0 not in rows.shape and (rows.min() < ROW_VOID or rows.max() >= num_rows):
        found = f"{int(rows.min())}..{int(rows.max())}"
        raise DecodeError(f"{name}: rows range over {found}; the dataset has {num_rows} classes")
