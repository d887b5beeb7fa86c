"""A model's evidence for an image or a window, in a form that lets windows be joined."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lsu_seg.decode import Part, QueryView, View

_ELSEWHERE = -100.0
"""Class logit of a class mask for all other classes: e^-100 is negligible, and finite."""


@dataclass(frozen=True)
class Maps:
    """The evidence of a `View` or `QueryView` as one tensor.

    Attributes:
        values: float32 `[C, h, w]`: logits (with `mass`, the last map is the no-object probability) or mask logits.
        classes: float32 `[C, K+1]`, the class logits of the masks; None: `values` are logits.
        mass: the last of `values` is the no-object probability.
        blendable: channel c has the same meaning in every window, so windows can be averaged.
        align_corners: as in `View`.
    """

    values: Tensor
    classes: Tensor | None = None
    mass: bool = False
    blendable: bool = True
    align_corners: bool = False

    @classmethod
    def of(cls, view: View | QueryView) -> Maps:
        if isinstance(view, QueryView):
            return cls(view.masks.float(), view.classes.float(), False, False, view.align_corners)
        if view.void is None:
            return cls(view.logits.float(), align_corners=view.align_corners)
        values = torch.cat([view.logits.float(), view.void.float()[None]])
        return cls(values, mass=True, align_corners=view.align_corners)

    def view(self, flip: bool, rows: slice | None = None, part: Part | None = None) -> View | QueryView:
        """In the decoder's form: all rows unchanged, or a copy of some."""
        values = self.values if rows is None else self.values[:, rows].contiguous()
        if self.classes is not None:
            return QueryView(self.classes, values, flip, part, self.align_corners)
        if self.mass:
            return View(values[:-1], flip, values[-1], part, self.align_corners)
        return View(values, flip, None, part, self.align_corners)

    def like(self, values: Tensor) -> Maps:
        """Other values with the same meaning."""
        return replace(self, values=values)

    def by_class(self) -> Maps:
        """Masks with one class each → one mask per class and one for no object.

        The queries of two windows are unrelated. Therefore, in every pixel, the evidence of each class and of no object
        (`QueryView` has the formula) is divided by its sum, which gives p, and log(p / (1 - p)) is the logit of that
        class's mask. As a view of K + 1 queries, one per class, the result decodes as the queries do, except that the
        sum over queries is taken at the masks' resolution instead of the label's.

        >>> maps = Maps.of(QueryView(torch.tensor([[4.0, 0, 0], [0, 0, 1]]), torch.tensor([1.0, -1]).view(2, 1, 1)))
        >>> maps.by_class().values.flatten().sigmoid()  # class 0, class 1, no object
        tensor([0.7622, 0.0699, 0.1679])
        """
        if self.blendable or self.classes is None:
            return self
        count, height, width = self.values.shape
        log_mask = logsigmoid(self.values).view(count, -1)
        # Relative to the pixel's most certain mask, whose class probabilities sum to 1: the sum is at least 1.
        share = log_mask.sub_(log_mask.amax(0)).exp_()
        with torch.autocast(share.device.type, enabled=False):  # 1 - 2**-24 is 1 in less than float32
            evidence = self.classes.softmax(1).T @ share
        values = _as_logits(evidence.div_(evidence.sum(0))).view(-1, height, width)
        classes = torch.full((len(values), len(values)), _ELSEWHERE, device=values.device).fill_diagonal_(0)
        return Maps(values, classes, align_corners=self.align_corners)

    def tempered(self, temperature: float) -> Maps:
        """The evidence with its logits divided by a temperature. Masks are merged by class first.

        The evidence of masks is no softmax of logits, so it is p, including that of no object, which gets the exponent
        1 / temperature: where p is a softmax of logits, this is the same.

        >>> maps = Maps.of(QueryView(torch.tensor([[4.0, 0, 0], [0, 0, 1]]), torch.tensor([1.0, -1]).view(2, 1, 1)))
        >>> maps.tempered(2).values.flatten().sigmoid()
        tensor([0.5643, 0.1709, 0.2648])
        """
        if temperature == 1:
            return self
        maps = self.by_class()
        if maps.classes is None:
            values = maps.values / temperature
            if maps.mass:
                values[-1] = maps.values[-1]
            return maps.like(values)
        return maps.like(_as_logits((logsigmoid(maps.values) / temperature).softmax(0)))


def _as_logits(p: Tensor) -> Tensor:
    return torch.logit(p.clamp_(1e-30, 1 - 2**-24))


def stride_of(window: tuple[int, int], maps: tuple[int, int]) -> int:
    """Pixels per value of a map, or 0 if that is not the same whole number in both directions.

    >>> stride_of((512, 256), (128, 64)), stride_of((512, 512), (37, 37))
    (4, 0)
    """
    stride = window[0] // max(1, maps[0])
    return stride if (maps[0] * stride, maps[1] * stride) == window else 0
