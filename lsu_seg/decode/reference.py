"""The decode rule in plain torch, which the fast paths are tested against.

It favours clarity over speed: it computes in float64 and builds full K x H x W tensors. `decode` states the rule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate, logsigmoid

from lsu_onto import ROW_VOID
from lsu_seg.decode.checks import check_allowed, check_finite, check_part, check_rows, check_shapes
from lsu_seg.decode.views import Decoded, Part, QueryView, View, bilinear
from lsu_seg.label_files import void_index


def decode(
    views: Sequence[View | QueryView],
    rows: Tensor,
    allowed: Tensor,
    threshold: float | None = None,
    image_name: str = "",
) -> Decoded:
    """Assign every pixel one element of its allowed set S(d). The teacher chooses if the annotation leaves a choice.

    For view v, p_v is the softmax over K of the logits, which are resized to the resolution of the rows before the
    softmax (bilinear, by the view's `align_corners`); for a `QueryView`, the masks are resized and p_v is the evidence
    defined there. p is the mean of p_v over the views, by their weights. For a pixel with dataset class d:

    1. If S(d) has one element, it is the output. Pixels without annotation (`ROW_VOID`) are void.
    2. Otherwise the output is the class of S(d) with the largest p, and the lowest channel in a tie. One view is
       compared by its logits, several by log p: both have the order of p, and neither rounds nor underflows.
    3. In an open row, the evidence for void is the mean of what each view has for it, by their weights: its no-object
       probability if it has one, else its residual, the p_v of all classes outside S(d). Void wins only if it exceeds
       every allowed class.
    4. The confidence is the output's share of all evidence in S(d), which in an open row includes the evidence for
       void. With the residual, this sum is 1 and the confidence equals p. Outputs of step 1 have confidence 1.
    5. Below the threshold, the output becomes void, but the confidence remains that of the rejected choice, so that
       a stored confidence image can be thresholded again. Outputs of step 1 are never rejected.

    The channels of a view with a map (`to`) are classes of another source. The map says what each of them may be, and
    the annotation has it in S(d): the probability of a channel is divided evenly over what both leave
    (`shares_of_sets`), void included. What they leave nothing of is as outside S(d) as any class there. So a map that
    only renames classes changes nothing, and a coarse class says nothing about which of its parts it is. Where no view
    has evidence for anything in S(d), because no channel may be any of it, the output is the lowest channel, with
    confidence 0.

    Args:
        views: at least one; all have the same K.
        rows: integer `[H, W]`, values 0..D-1 or `ROW_VOID`.
        allowed: bool `[D, K+1]`, the last column void (`Constraint.allowed`).
        threshold: 0..1, or None.
        image_name: for error messages.

    Raises:
        DecodeError: NaN or Inf anywhere in a view, an unknown row, an empty S(d), shapes that do not fit.

    >>> allowed = torch.tensor([[True, True, False, False]])  # one dataset class: channel 0 or 1 of 3
    >>> view = View(torch.tensor([1.0, 2.0, 9.0]).reshape(3, 1, 1))
    >>> labels, confidence = decode([view], torch.zeros(1, 1, dtype=torch.int16), allowed)
    >>> labels.item(), round(confidence.item(), 4)  # channel 2 is better, but not allowed; 1 / (1 + 1/e)
    (1, 0.7311)
    """
    num_classes = _check(views, len(rows), image_name)
    device = views[0].maps.device
    check_allowed(allowed.cpu().numpy(), num_classes, threshold, image_name)
    rows, allowed = rows.to(device).long(), allowed.to(device)
    check_rows(rows, len(allowed), image_name)

    annotated = rows != ROW_VOID
    # [K+1, H, W]: the S(d) of each pixel; void alone for pixels without annotation.
    void_only = torch.zeros(1, num_classes + 1, dtype=torch.bool, device=device)
    void_only[0, num_classes] = True
    in_set = torch.cat([allowed, void_only])[torch.where(annotated, rows, len(allowed))].permute(2, 0, 1)
    singleton = in_set.sum(0) == 1
    may_void, may_be = in_set[num_classes], in_set[:num_classes]

    logits, log_p, evidence = _fuse(views, in_set)
    score = logits if logits is not None else log_p
    best = score.masked_fill(~may_be, -torch.inf).argmax(0)  # the first, and so the lowest channel, in a tie
    log_best = log_p.gather(0, best[None])[0]
    best = torch.where(log_best.isneginf() & may_be.any(0), may_be.int().argmax(0), best)
    output = torch.where(may_void & (evidence > log_best.exp()), num_classes, best)

    # In the log domain, so that a tiny share of tiny evidence does not underflow.
    log_all = torch.cat([log_p, evidence.log()[None]])
    log_sum = log_all.masked_fill(~in_set, -torch.inf).logsumexp(0)
    confidence = (log_all.gather(0, output[None])[0] - log_sum).exp().nan_to_num(0)  # NaN: no evidence at all

    only = in_set.int().argmax(0)  # the element of sets that have one
    output = torch.where(singleton, only, output)
    confidence = torch.where(singleton, 1.0, confidence)
    if threshold is not None:
        output = torch.where(~singleton & (confidence < threshold), num_classes, output)
    return Decoded(_labels(output, num_classes), confidence.float().clamp(0, 1))


def decode_unconstrained(views: Sequence[View | QueryView], size: tuple[int, int], image_name: str = "") -> Decoded:
    """The labels of the teacher alone: the argmax of p over all K classes, with that p as confidence. Never void.

    Pseudo-labels are compared with this baseline.

    Args:
        views: as for `decode`.
        size: (H, W) of the labels.
        image_name: for error messages.

    Raises:
        DecodeError: NaN or Inf anywhere in a view, or shapes that do not fit.

    >>> view = View(torch.tensor([1.0, 2.0, 9.0]).reshape(3, 1, 1))
    >>> decode_unconstrained([view], (1, 2)).labels.tolist()
    [[2, 2]]
    """
    num_classes = _check(views, size[0], image_name)
    everything = torch.ones(num_classes + 1, *size, dtype=torch.bool, device=views[0].maps.device)
    everything[num_classes] = False
    logits, log_p, _ = _fuse(views, everything)
    best = (logits if logits is not None else log_p).argmax(0)
    confidence = (log_p.gather(0, best[None])[0] - log_p.logsumexp(0)).exp().nan_to_num(0)
    return Decoded(_labels(best, num_classes), confidence.float())


def _fuse(views: Sequence[View | QueryView], pixel_set: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
    """Resize the views to (H, W) and combine them, in float64.

    Args:
        pixel_set: bool `[K+1, H, W]`, the S(d) of each pixel.

    Returns:
        The logits `[K, H, W]` of a single view that has logits of the source's classes, else None; log p `[K, H, W]`,
        for views with a map only inside S(d); and the evidence for void in open rows, `[H, W]`.
    """
    log_p, voids, logits = [], [], None
    total = sum(view.weight for view in views)
    for view in views:
        size, weight = pixel_set.shape[1:], view.weight / total
        mass = None
        if isinstance(view, QueryView):
            with_void = _merge(view, size)
            own, mass = with_void[:-1], with_void[-1].exp()
        else:
            logits = _resize(view.logits, view, size)
            own = logits.log_softmax(0)
            if view.void is not None:
                mass = _resize(view.void[None], view, size)[0]
        if view.to is not None:
            own, mass = _mapped(own, mass, np.asarray(view.to), pixel_set)
        elif mass is None:
            mass = own.exp().masked_fill(pixel_set[:-1], 0).sum(0)
        log_p.append(own + math.log(weight))
        voids.append(mass * weight)
    alone = len(views) == 1 and isinstance(views[0], View) and views[0].to is None
    return logits if alone else None, torch.stack(log_p).logsumexp(0), torch.stack(voids).sum(0)


def _mapped(log_p: Tensor, mass: Tensor | None, to: NDArray[np.bool_], pixel_set: Tensor) -> tuple[Tensor, Tensor]:
    """The evidence of channels of another source, by what their map and S(d) leave of them.

    Args:
        log_p: `[C, H, W]`. mass: `[H, W]`, or None. to: bool `[C, K+1]`. pixel_set: bool `[K+1, H, W]`.

    Returns:
        log p `[K, H, W]`, -inf outside S(d), and the evidence for void `[H, W]`.
    """
    table = torch.from_numpy(to).to(log_p.device)
    ways = torch.einsum("ck,khw->chw", table.double(), pixel_set.double())  # how many elements each is divided over
    divided = log_p - ways.log().clamp(min=0)
    divided = divided.masked_fill(ways == 0, -torch.inf)
    out = torch.full(pixel_set.shape, -torch.inf, dtype=torch.float64, device=log_p.device)
    for element, from_channels in enumerate(table.T):
        if from_channels.any():
            out[element] = divided[from_channels].logsumexp(0)
    out = out.masked_fill(~pixel_set, -torch.inf)
    ruled_out = log_p.exp().masked_fill(ways > 0, 0).sum(0)
    return out[:-1], out[-1].exp() + (ruled_out if mass is None else mass)


def _merge(view: QueryView, size: Sequence[int]) -> Tensor:
    """log p `[K+1, H, W]` of masks and their classes; the last channel is no-object."""
    log_class = view.classes.detach().double().log_softmax(1)[:, :, None, None]
    log_mask = logsigmoid(_resize(view.masks, view, size))
    # Class by class, because all at once would need a tensor of size Q x K x H x W.
    log_sum = torch.stack([(log_class[:, c] + log_mask).logsumexp(0) for c in range(log_class.shape[1])])
    return log_sum.log_softmax(0)


def _resize(maps: Tensor, view: View | QueryView, size: Sequence[int]) -> Tensor:
    """The maps `[C, h, w]` of a view as float64 `[C, H, W]`, mirrored back if the view is mirrored."""
    maps = maps.detach().double()
    maps = maps.flip(-1) if view.flip else maps
    if view.part is not None:
        maps = _rows_of(maps, view.part, size[0], view.align_corners)
    if tuple(maps.shape[1:]) == tuple(size):
        return maps
    return interpolate(maps[None], tuple(size), mode="bilinear", align_corners=view.align_corners)[0]


def _rows_of(maps: Tensor, part: Part, rows: int, align_corners: bool) -> Tensor:
    """The label rows of the part, `[C, rows, w]`, as `interpolate` would compute them from the whole map."""
    first, weight = bilinear(part.full_height, part.label_height, align_corners)
    label_rows = slice(part.label_top, part.label_top + rows)
    upper = torch.from_numpy(first[label_rows] - part.top).to(maps.device)
    lower = (upper + 1).clamp(max=maps.shape[1] - 1)
    share = torch.from_numpy(weight[label_rows]).to(maps.device)[:, None]
    return (1 - share) * maps[:, upper] + share * maps[:, lower]


def _labels(output: Tensor, num_classes: int) -> Tensor:
    """The values that label files store for channels 0..K-1 and for void, which is K here."""
    void = void_index(num_classes)
    dtype = torch.uint8 if void <= 255 else torch.int32
    return torch.where(output == num_classes, void, output).to(dtype)


def _check(views: Sequence[View | QueryView], rows: int, image_name: str) -> int:
    """Raise `DecodeError` if views cannot be combined, do not cover the label rows, or are not finite. Returns K."""
    num_classes = check_shapes(views, image_name)
    for i, view in enumerate(views):
        if view.part is not None:
            first, _ = bilinear(view.part.full_height, view.part.label_height, view.align_corners)
            check_part(i, view.part, first, view.maps.shape[1], rows, image_name)
        check_finite(i, view, image_name)
    return num_classes
