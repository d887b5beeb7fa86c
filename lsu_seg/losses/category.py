"""The loss on the categories of classes, beside the one on classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lsu_seg.losses.mmseg import check_loss
from lsu_seg.losses.set_nll import set_nll_loss
from lsu_seg.openmmlab.registry import MODELS, register
from lsu_seg.targets.table import TableUser, TargetError, TargetSet, TargetTable, UnknownTargetError


@register(MODELS)
class CategoryLoss(TableUser, nn.Module):
    """The set-valued loss on categories: the groups of the source, in which classes stand in its `.tax` file.

    `loss_decode=[dict(type='SetNLLLoss', source='cityscapes'), dict(type='CategoryLoss', source='cityscapes')]`. It has
    no weights of its own: the probability of a category is the sum of those of its classes (its logit is the logsumexp
    of theirs). The category of a pixel is that of its class; of a set, it is one of the categories of its classes. A
    class without a group is a category of its own.

    The datasets' `TargetTable` says what the groups are; `OntologyHook` passes it to the loss before training.

    Args:
        source: the source taxonomy.
        loss_weight: a factor on the loss.
        loss_name: the name in the log; MMSeg trains only on losses whose names begin with `loss_`.
    """

    def __init__(self, source: str, loss_weight: float = 0.4, loss_name: str = "loss_category") -> None:
        super().__init__()
        check_loss(self, loss_weight, loss_name)
        self.source, self.loss_weight, self._loss_name = source, loss_weight, loss_name

    @property
    def loss_name(self) -> str:
        return self._loss_name

    def forward(
        self, cls_score: Tensor, label: Tensor, weight: Tensor | None = None, ignore_index: int = 255, **kwargs: Any
    ) -> Tensor:
        """The mean over the pixels that are not ignored, a scalar.

        Args:
            cls_score: logits `[N, K, ...]`. label: int64 `[N, ...]`, a target map. weight: float `[N, ...]`, a factor
                on each pixel's loss. ignore_index: the target of ignored pixels.

        Raises:
            TargetError: no table with groups, one of another source, or a target that has no meaning.
        """
        table = self.table_of(cls_score.shape[1])
        if not table.groups:
            raise TargetError(
                f"a CategoryLoss of `{self.source}` was given no table with groups: `OntologyHook` gives it that of the"
                " datasets before training; in a training loop of your own, call `use_table(dataset.table)`"
            )
        members, coarse, number = categories(table)
        ignored = label == ignore_index
        known = label.masked_fill(ignored, 0)
        numbers = torch.from_numpy(number).to(label.device)
        index = known.clamp(0, len(numbers) - 1)
        target = numbers[index]
        if (unknown := (index != known) | (target < 0)).any():
            first = int(known[unknown][0])
            raise UnknownTargetError(first, f"target {first} is neither a class, nor void, nor one of the sets")
        target = target.masked_fill(ignored, coarse.void)
        score = cls_score.to(torch.promote_types(cls_score.dtype, torch.float32))
        logits = torch.stack([score[:, channels].logsumexp(1) for channels in members], 1)
        loss = set_nll_loss(
            logits,
            target,
            torch.from_numpy(coarse.sets),
            set_weights=torch.from_numpy(coarse.weights),
            weight=weight,
            ignore_index=coarse.void,
            first_set=coarse.first,
        )
        return self.loss_weight * loss


def categories(table: TargetTable) -> tuple[list[list[int]], TargetTable, NDArray[np.int64]]:
    """The categories of a table's classes, and its targets as those of categories.

    Returns:
        The channels of each category; the table of sets of categories; and int64 `[void + 1 + S]`, what each target of
        the first table is in that one, -1 for numbers that are none.

    >>> table = TargetTable("demo", 3, [TargetSet((0, 1)), TargetSet((1, 2))], groups=("flat", "flat", ""))
    >>> members, coarse, number = categories(table)
    >>> members, number[[0, 1, 2, 255, 256, 257]].tolist(), coarse.sets.tolist()
    ([[0, 1], [2]], [0, 0, 1, 255, 0, 256], [[True, True]])
    """
    keys = [group or f" {channel}" for channel, group in enumerate(table.groups)]  # no group's name has a space
    of_class = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    members: list[list[int]] = [[] for _ in of_class]
    for channel, key in enumerate(keys):
        members[of_class[key]].append(channel)
    raised = [TargetSet(tuple(sorted({of_class[keys[c]] for c in cs})), weight) for cs, weight in table.entries]
    coarse = TargetTable(table.source, len(members), [e for e in raised if len(e.classes) > 1 or e.weight != 1])
    number = np.full(table.first + len(raised), -1)
    number[: table.num_classes] = [of_class[key] for key in keys]
    number[table.void] = coarse.void
    for i, entry in enumerate(raised, table.first):
        alone = len(entry.classes) == 1 and entry.weight == 1
        number[i] = entry.classes[0] if alone else coarse.number(*entry)
    return members, coarse, number
