"""The decode rule in plain torch, which the fast paths are tested against.

It favours clarity over speed: it computes in float64 and builds full K x H x W tensors. `decode` states the rule.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
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
    defined there. p is the mean of p_v over the views. For a pixel with dataset class d:

    1. If S(d) has one element, it is the output. Pixels without annotation (`ROW_VOID`) are void.
    2. Otherwise the output is the class of S(d) with the largest p, and the lowest channel in a tie. One view is
       compared by its logits, several by log p: both have the order of p, and neither rounds nor underflows.
    3. In an open row, the evidence for void is the no-object probability (mean over views) if the teacher has one,
       else the residual: the p of all classes outside S(d). Void wins only if it exceeds every allowed class.
    4. The confidence is the output's share of all evidence in S(d), which in an open row includes the evidence for
       void. With the residual, this sum is 1 and the confidence equals p. Outputs of step 1 have confidence 1.
    5. Below the threshold, the output becomes void, but the confidence remains that of the rejected choice, so that
       a stored confidence image can be thresholded again. Outputs of step 1 are never rejected.

    Args:
        views: at least one; all have the same K, and either all or none have `void`.
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
    device = _maps(views[0]).device
    check_allowed(allowed.cpu().numpy(), num_classes, threshold, image_name)
    rows, allowed = rows.to(device).long(), allowed.to(device)
    check_rows(rows, len(allowed), image_name)

    annotated = rows != ROW_VOID
    # [K+1, H, W]: the S(d) of each pixel; void alone for pixels without annotation.
    void_only = torch.zeros(1, num_classes + 1, dtype=torch.bool, device=device)
    void_only[0, num_classes] = True
    pixel_set = torch.cat([allowed, void_only])[torch.where(annotated, rows, len(allowed))].permute(2, 0, 1)
    singleton = pixel_set.sum(0) == 1
    may_void, pixel_set = pixel_set[num_classes], pixel_set[:num_classes]

    logits, log_p, void = _fuse(views, rows.shape)
    score = logits if logits is not None else log_p
    best = score.masked_fill(~pixel_set, -torch.inf).argmax(0)  # the first, and so the lowest channel, in a tie
    log_best = log_p.gather(0, best[None])[0]

    p = log_p.exp()
    evidence = void if void is not None else p.masked_fill(pixel_set, 0).sum(0)
    output = torch.where(may_void & (evidence > log_best.exp()), num_classes, best)

    # In the log domain, so that a tiny share of tiny evidence does not underflow.
    log_all = torch.cat([log_p, evidence.log()[None]])
    in_set = torch.cat([pixel_set, may_void[None]])
    log_sum = log_all.masked_fill(~in_set, -torch.inf).logsumexp(0)
    confidence = (log_all.gather(0, output[None])[0] - log_sum).exp()

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
    logits, log_p, _ = _fuse(views, size)
    best = (logits if logits is not None else log_p).argmax(0)
    confidence = log_p.gather(0, best[None])[0].exp()
    return Decoded(_labels(best, num_classes), confidence.float())


def _fuse(views: Sequence[View | QueryView], size: Sequence[int]) -> tuple[Tensor | None, Tensor, Tensor | None]:
    """Resize the views to (H, W) and combine them, in float64.

    Returns:
        The logits `[K, H, W]` of a single view that has logits, else None; log p `[K, H, W]`; and the no-object mass
        `[H, W]`, or None.
    """
    log_p, masses, logits = [], [], None
    for view in views:
        if isinstance(view, QueryView):
            with_void = _merge(view, size)
            log_p.append(with_void[:-1])
            masses.append(with_void[-1].exp())
            continue
        logits = _resize(view.logits, view, size)
        log_p.append(logits.log_softmax(0))
        if view.void is not None:
            masses.append(_resize(view.void[None], view, size)[0])
    mean = torch.stack(log_p).logsumexp(0) - torch.tensor(float(len(views)), dtype=torch.float64).log()
    return logits if len(views) == 1 else None, mean, torch.stack(masses).mean(0) if masses else None


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


def _maps(view: View | QueryView) -> Tensor:
    return view.masks if isinstance(view, QueryView) else view.logits


def _check(views: Sequence[View | QueryView], rows: int, image_name: str) -> int:
    """Raise `DecodeError` if views cannot be combined, do not cover the label rows, or are not finite. Returns K."""
    num_classes = check_shapes(views, image_name)
    for i, view in enumerate(views):
        if view.part is not None:
            first, _ = bilinear(view.part.full_height, view.part.label_height, view.align_corners)
            check_part(i, view.part, first, _maps(view).shape[1], rows, image_name)
        check_finite(i, view, image_name)
    return num_classes
