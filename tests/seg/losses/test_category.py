"""The loss on categories: its values, its gradient, sets, weights, and what it refuses."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor

import lsu_onto
from lsu_seg.errors import ConfigError
from lsu_seg.losses.category import CategoryLoss, categories
from lsu_seg.targets.table import TargetError, TargetSet, TargetTable, UnknownTargetError
from lsu_seg.training.checks import check_model

GROUPS = ("flat", "thing", "flat", "", "thing")
ENTRIES = [TargetSet((0, 2)), TargetSet((1, 4)), TargetSet((0, 1)), TargetSet((2, 3, 4)), TargetSet((3,), 0.5)]
TABLE = TargetTable("some", 5, ENTRIES, GROUPS)
WHOLE = [{0, 2}, {1, 4}, {0, 2}, {3}, {1, 4}]
"""The classes of each class's category."""


def loss(table: TargetTable | None = TABLE, **options: float) -> CategoryLoss:
    init_default_scope("mmseg")
    made = MODELS.build(dict(type="CategoryLoss", source="some", **options))
    made.use_table(table)
    return made


def by_hand(logits: Tensor, target: Tensor) -> Tensor:
    """The mean of -log of the probabilities of all classes in the categories that a pixel may be of."""
    p, total, count = logits.double().softmax(1), torch.zeros((), dtype=torch.float64), 0
    for n, x in np.ndindex(*target.shape):
        value = int(target[n, x])
        if value == TABLE.void:
            continue
        classes, weight = TABLE.entries[value - TABLE.first] if value >= TABLE.first else ((value,), 1.0)
        members = sorted(set.union(*(WHOLE[c] for c in classes)))
        total, count = total - weight * p[n, members, x].sum().log(), count + 1
    return total / count


def test_the_value_and_the_gradient() -> None:
    torch.manual_seed(0)
    target = torch.tensor([[0, 1, 2, 3, 4, 255], [256, 257, 258, 259, 260, 4]])
    logits = torch.randn(2, 5, 6, requires_grad=True)
    value = loss(loss_weight=2.0)(logits, target)
    assert value.item() == pytest.approx(2 * by_hand(logits, target).item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(value, logits)
    (expected,) = torch.autograd.grad(2 * by_hand(logits, target), logits)
    torch.testing.assert_close(gradient, expected)
    assert not gradient[0, :, 5].any()
    assert gradient[1, :, 1].abs().sum() > 0, "a set inside one category teaches it"


def test_it_does_not_tell_the_classes_of_a_category_apart() -> None:
    logits = torch.full((1, 5, 1), -5.0, requires_grad=True)
    with torch.no_grad():
        logits[0, [0, 2]] = 5
    (gradient,) = torch.autograd.grad(loss()(logits, torch.zeros(1, 1, dtype=torch.int64)), logits)
    assert gradient[0, 0] == gradient[0, 2] and gradient.abs().max() < 1e-3
    assert loss()(logits, torch.full((1, 1), 255)) == 0


def test_half_precision_and_a_weight_for_each_pixel() -> None:
    logits = torch.randn(1, 5, 4, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([[0, 1, 256, 3]])
    half = loss()(logits.half(), target)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, loss()(logits, target), rtol=1e-2, atol=0)
    kept = torch.tensor([[1.0, 0, 0, 0]])
    torch.testing.assert_close(loss()(logits, target, weight=kept), loss()(logits[..., :1], target[:, :1]) / 4)


def test_categories_of_a_shipped_source() -> None:
    constraint = lsu_onto.load("cityscapes", "cityscapes")
    table = TargetTable("cityscapes", 19, (), tuple(constraint.source_groups))
    members, coarse, number = categories(table)
    assert [len(m) for m in members] == [2, 3, 3, 2, 1, 2, 6] and len(coarse) == 0
    assert number[:19].tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 5, 6, 6, 6, 6, 6, 6]


def test_what_is_refused() -> None:
    logits, target = torch.zeros(1, 5, 1), torch.tensor([[300]])
    for unknown in (300, 100, -1):  # -1 would be the last set, counted from the end
        with pytest.raises(UnknownTargetError, match=f"target {unknown} is neither a class, nor void"):
            loss()(torch.zeros(1, 5, 2), torch.tensor([[0, unknown]]))
    for table in (None, TargetTable("some", 5)):
        with pytest.raises(TargetError, match="a CategoryLoss of `some` was given no table with groups"):
            loss(table)(logits, target)
    with pytest.raises(TargetError, match="a CategoryLoss of `some` with 4 classes was given targets of `some` with 5"):
        loss()(torch.zeros(1, 4, 1), target)
    with pytest.raises(ConfigError, match="`loss_weight` of a CategoryLoss is 'much'; expected a number"):
        CategoryLoss("some", loss_weight="much")  # type: ignore[arg-type]


def findings(groups: tuple[str, ...], *losses: dict[str, str]) -> list[str]:
    """What is said of a head with these losses, before a training on a source with these groups."""
    init_default_scope("mmseg")
    head = torch.nn.Module()
    head.loss_decode = torch.nn.ModuleList([MODELS.build(one) for one in losses])
    model = torch.nn.Module()
    model.decode_head = head
    constraint = SimpleNamespace(source="some", num_classes=5, source_groups=groups)
    coder = SimpleNamespace(uses_table=True, has_sets=True)
    member = SimpleNamespace(constraint=constraint, coder=coder, name="a", loss_weight=1.0, unsure=None)
    return list(check_model(model, [member]))  # type: ignore[list-item]


def test_what_is_checked_before_a_training() -> None:
    sets, category = dict(type="SetNLLLoss", source="some"), dict(type="CategoryLoss", source="some")
    assert findings(GROUPS, sets, category) == []
    (alone,) = findings(GROUPS, category)
    assert "model.decode_head has a CategoryLoss alone, which does not tell the classes of a category apart" in alone
    (other,) = findings(GROUPS, sets, {**category, "source": "other"})
    assert (
        "CategoryLoss is of `other`, and the datasets of `some`: write `loss_decode=dict(type='CategoryLoss'" in other
    )
    for groups, number in ((("",) * 5, 5), (("all",) * 5, 1)):
        (nothing,) = findings(groups, sets, category)
        assert (
            f"the groups of `some` make {number} categories of 5 classes, on which there is nothing to learn" in nothing
        )
