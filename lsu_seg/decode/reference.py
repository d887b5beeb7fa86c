"""The decode rule in plain torch: the truth that the fast paths are tested against.

It says what is meant, in float64, and makes everything of size K x H x W. See `decode` for the rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from lsu_onto import ROW_UNKNOWN, ROW_VOID
from lsu_seg.encodings import void_index


class DecodeError(ValueError):
    """Teacher output or rows that cannot be decoded. The message names the image."""


@dataclass
class View:
    """One teacher view of a whole image, at any resolution.

    Attributes:
        logits: float `[K, h, w]`.
        flip: it was computed on the mirrored image (left and right exchanged) and is mirrored back.
        void: float `[h, w]`, the teacher's no-object probability, of models that have one.
    """

    logits: Tensor
    flip: bool = False
    void: Tensor | None = None


class Decoded(NamedTuple):
    """What became of an image.

    Attributes:
        labels: `[H, W]`, channels and void: uint8 with void = 255, or with K > 255 int32 with void = 65535.
        confidence: float32 `[H, W]` in 0..1.
    """

    labels: Tensor
    confidence: Tensor


def decode(
    views: Sequence[View],
    rows: Tensor,
    allowed: Tensor,
    threshold: float | None = None,
    image_name: str = "",
) -> Decoded:
    """Give every pixel one element of its allowed set S(d): the teacher picks where the annotation leaves a choice.

    For each pixel with dataset class d, p_v being the softmax over K of view v's logits, brought to the rows'
    resolution before the softmax (bilinear, `align_corners=False`), and p their mean over views:

    1. S(d) has one element: that is the output. Pixels without annotation (`ROW_VOID`) are void.
    2. Otherwise the class of S(d) with the largest p, the lowest channel among equals. With one view the logits
       are compared, with several log p: the same order as p, and neither rounds nor underflows.
    3. In an open row, void's evidence is the no-object probability (mean over views) where the teacher has one,
       else the residual, the p of all classes outside S(d). Void wins only if it exceeds every allowed class.
    4. Confidence is the output's share of all evidence in S(d). In an open row the evidence of void is a part of
       that, so with the residual, which makes the sum 1, confidence is plain p. Steps of 1 have confidence 1.
    5. Below the threshold the output is void; the confidence stays that of the overruled choice, so that a stored
       confidence image can be cut again. Step 1 is never overruled.

    Args:
        views: at least one; all with the same K, and either all or none with `void`.
        rows: integer `[H, W]`, values 0..D-1 or `ROW_VOID`.
        allowed: bool `[D, K+1]`, the last column void (`Constraint.allowed`).
        threshold: 0..1 or None.
        image_name: for error messages.

    Raises:
        DecodeError: NaN or Inf anywhere in a view, an unknown row, an empty S(d), shapes that do not fit.

    >>> allowed = torch.tensor([[True, True, False, False]])  # one dataset class: channel 0 or 1 of 3
    >>> view = View(torch.tensor([1.0, 2.0, 9.0]).reshape(3, 1, 1))
    >>> labels, confidence = decode([view], torch.zeros(1, 1, dtype=torch.int16), allowed)
    >>> labels.item(), round(confidence.item(), 4)  # channel 2 is better, but not allowed; 1 / (1 + 1/e)
    (1, 0.7311)
    """
    num_classes = _check(views, image_name)
    device = views[0].logits.device
    rows, allowed = rows.to(device).long(), allowed.to(device)
    _check_rows(rows, allowed, num_classes, threshold, image_name)

    annotated = rows != ROW_VOID
    # [K+1, H, W]: S(d) of each pixel. Without annotation: void alone.
    void_only = torch.zeros(1, num_classes + 1, dtype=torch.bool, device=device)
    void_only[0, num_classes] = True
    pixel_set = torch.cat([allowed, void_only])[torch.where(annotated, rows, len(allowed))].permute(2, 0, 1)
    singleton = pixel_set.sum(0) == 1
    may_void, pixel_set = pixel_set[num_classes], pixel_set[:num_classes]

    logits, log_p, void = _fuse(views, rows.shape)
    score = logits if logits is not None else log_p
    best = score.masked_fill(~pixel_set, -torch.inf).argmax(0)  # the first, so the lowest, among equals
    log_best = log_p.gather(0, best[None])[0]

    p = log_p.exp()
    evidence = void if void is not None else p.masked_fill(pixel_set, 0).sum(0)
    output = torch.where(may_void & (evidence > log_best.exp()), num_classes, best)

    # In the log domain, so that a tiny share of something tiny is still a share.
    log_all = torch.cat([log_p, evidence.log()[None]])
    in_set = torch.cat([pixel_set, may_void[None]])
    log_sum = log_all.masked_fill(~in_set, -torch.inf).logsumexp(0)
    confidence = (log_all.gather(0, output[None])[0] - log_sum).exp()

    only = in_set.int().argmax(0)  # the one element, where there is but one
    output = torch.where(singleton, only, output)
    confidence = torch.where(singleton, 1.0, confidence)
    if threshold is not None:
        output = torch.where(~singleton & (confidence < threshold), num_classes, output)
    return Decoded(_labels(output, num_classes), confidence.float().clamp(0, 1))


def decode_unconstrained(views: Sequence[View], size: tuple[int, int], image_name: str = "") -> Decoded:
    """The raw teacher at label resolution: the argmax of p over all K classes, and that p as confidence.

    The baseline that pseudo-labels are compared with. Never void.

    Args:
        views: as for `decode`. size: (H, W) of the labels. image_name: for error messages.

    Raises:
        DecodeError: NaN or Inf anywhere in a view, shapes that do not fit.

    >>> view = View(torch.tensor([1.0, 2.0, 9.0]).reshape(3, 1, 1))
    >>> decode_unconstrained([view], (1, 2)).labels.tolist()
    [[2, 2]]
    """
    num_classes = _check(views, image_name)
    logits, log_p, _ = _fuse(views, size)
    best = (logits if logits is not None else log_p).argmax(0)
    confidence = log_p.gather(0, best[None])[0].exp()
    return Decoded(_labels(best, num_classes), confidence.float())


def _fuse(views: Sequence[View], size: Sequence[int]) -> tuple[Tensor | None, Tensor, Tensor | None]:
    """Bring the views to (H, W) and join them, in float64.

    Returns the logits `[K, H, W]` if there is one view, log p `[K, H, W]`, and the no-object mass `[H, W]` if any.
    """
    logits = [_resize(view.logits, view.flip, size) for view in views]
    log_p = torch.stack([x.log_softmax(0) for x in logits]).logsumexp(0)
    log_p -= torch.tensor(float(len(views)), dtype=torch.float64).log()
    masses = [_resize(view.void[None], view.flip, size)[0] for view in views if view.void is not None]
    return logits[0] if len(views) == 1 else None, log_p, torch.stack(masses).mean(0) if masses else None


def _resize(maps: Tensor, flip: bool, size: Sequence[int]) -> Tensor:
    """float64 `[C, H, W]` of `[C, h, w]`, mirrored back if `flip`."""
    maps = maps.detach().double()
    maps = maps.flip(-1) if flip else maps
    if tuple(maps.shape[1:]) == tuple(size):
        return maps
    return interpolate(maps[None], tuple(size), mode="bilinear", align_corners=False)[0]


def _labels(output: Tensor, num_classes: int) -> Tensor:
    """Channels, and K for void, as the values of label files."""
    void = void_index(num_classes)
    dtype = torch.uint8 if void <= 255 else torch.int32
    return torch.where(output == num_classes, void, output).to(dtype)


def _check(views: Sequence[View], image_name: str) -> int:
    """Refuse views that cannot be joined or are not finite. Returns K."""
    name = image_name or "image"
    if not views:
        raise DecodeError(f"{name}: no teacher view")
    num_classes = views[0].logits.shape[0]
    for i, view in enumerate(views):
        shape = tuple(view.logits.shape)
        if len(shape) != 3 or shape[0] != num_classes or 0 in shape:
            raise DecodeError(f"{name}: view {i} has logits of shape {shape}; expected ({num_classes}, h, w)")
        if (view.void is None) != (views[0].void is None):
            raise DecodeError(
                f"{name}: some views have a no-object mass and some have none; it is all or none"
            )
        if view.void is not None and view.void.shape != view.logits.shape[1:]:
            found = tuple(view.void.shape)
            raise DecodeError(f"{name}: view {i} has a no-object mass of shape {found}; expected {shape[1:]}")
        for what, maps in (("logits", view.logits), ("no-object mass", view.void)):
            if maps is not None and not torch.isfinite(maps.float()).all():  # also: beyond float32
                bad = int((~torch.isfinite(maps.float())).sum())
                raise DecodeError(f"{name}: the teacher's {what} (view {i}) hold {bad} NaN or Inf values")
        if view.void is not None and (view.void < 0).any():
            raise DecodeError(f"{name}: the teacher's no-object mass (view {i}) is negative")
    return num_classes


def _check_rows(
    rows: Tensor, allowed: Tensor, num_classes: int, threshold: float | None, image_name: str
) -> None:
    name = image_name or "image"
    if allowed.dtype != torch.bool or allowed.ndim != 2 or allowed.shape[1] != num_classes + 1:
        found = f"{allowed.dtype} {tuple(allowed.shape)}"
        raise DecodeError(
            f"{name}: `allowed` is {found}; the teacher's {num_classes} classes need bool (D, K+1)"
        )
    if not allowed.any(1).all():
        row = int((~allowed.any(1)).nonzero()[0])
        raise DecodeError(f"{name}: row {row} of `allowed` allows nothing, not even void")
    if rows.ndim != 2:
        raise DecodeError(f"{name}: rows have shape {tuple(rows.shape)}; expected (H, W)")
    unknown = int((rows == ROW_UNKNOWN).sum())
    if unknown:
        raise DecodeError(f"{name}: {unknown} pixels have a raw value that the taxonomy does not list")
    if rows.numel() and (rows.min() < ROW_VOID or rows.max() >= len(allowed)):
        found = f"{int(rows.min())}..{int(rows.max())}"
        raise DecodeError(f"{name}: rows range over {found}; the dataset has {len(allowed)} classes")
    if threshold is not None and not 0 <= threshold <= 1:
        raise DecodeError(f"{name}: the threshold is {threshold}; expected 0..1")
