"""The set-valued loss against the plain formula, against `F.cross_entropy`, and in MMSeg's heads."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS, TASK_UTILS
from mmseg.structures import SegDataSample
from torch import Tensor

from helpers.examples import examples
from lsu_seg.errors import ConfigError
from lsu_seg.losses.mmseg import SetNLLLoss
from lsu_seg.losses.set_nll import set_nll_loss
from lsu_seg.targets import TargetError, TargetSet, TargetTable

FIRST = 256


def plain(logits: Tensor, target: Tensor, sets: Tensor, smoothing: float = 0.0) -> Tensor:
    """-log Σ p over the pixel's set, everything of size K x H x W written out; float64."""
    k = logits.shape[1]
    rows = torch.cat([torch.eye(k, dtype=torch.bool), torch.ones(1, k, dtype=torch.bool), sets])
    index = torch.where(target < k, target, torch.where(target == 255, k, target - FIRST + k + 1))
    inside = rows[index].movedim(-1, 1)
    logp = logits.double().log_softmax(1)
    among = -logp.masked_fill(~inside, -torch.inf).logsumexp(1)
    spread = -(logp * inside).sum(1) / inside.sum(1)
    mixed = torch.where(target >= FIRST, (1 - smoothing) * among + smoothing * spread, among)
    return torch.where(target == 255, 0.0, mixed)


@st.composite
def problems(draw: Any) -> tuple[Tensor, Tensor, Tensor]:
    """logits [N, K, H, W], target, sets: with sets of one and of all, and pixels that are ignored."""
    k = draw(st.integers(2, 9))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 9999)))
    sets = torch.rand(draw(st.integers(1, 6)), k, generator=generator) < draw(st.floats(0, 1))
    sets[~sets.any(1), draw(st.integers(0, k - 1))] = True
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 5)))
    values = torch.cat([torch.arange(k), torch.tensor([255]), FIRST + torch.arange(len(sets))])
    target = values[torch.randint(0, len(values), shape, generator=generator)]
    logits = torch.randn(shape[0], k, *shape[1:], generator=generator) * draw(st.sampled_from([1, 5, 50]))
    return logits, target, sets


@given(problems(), st.sampled_from([0.0, 0.1, 0.5]))
@settings(max_examples=examples(80))
def test_it_is_the_plain_formula(problem: tuple[Tensor, Tensor, Tensor], smoothing: float) -> None:
    logits, target, sets = problem
    found = set_nll_loss(logits.double(), target, sets, label_smoothing=smoothing, reduction="none")
    wanted = plain(logits, target, sets, smoothing)
    assert torch.allclose(found, wanted, atol=1e-12)
    valid = int((target != 255).sum())
    mean = set_nll_loss(logits.double(), target, sets, label_smoothing=smoothing)
    assert torch.allclose(mean, wanted.sum() / max(1, valid), atol=1e-12)
    total = set_nll_loss(logits.double(), target, sets, label_smoothing=smoothing, reduction="sum")
    assert torch.allclose(total, wanted.sum(), atol=1e-9)


@given(problems(), st.sampled_from([0.0, 0.3]))
@settings(max_examples=examples(30))
def test_its_gradient_is_autograds_of_the_plain_formula(
    problem: tuple[Tensor, Tensor, Tensor], smoothing: float
) -> None:
    logits, target, sets = problem
    upstream = torch.linspace(-1, 2, target.numel(), dtype=torch.float64).view(target.shape)
    gradients = []
    for loss in (
        lambda z: set_nll_loss(z, target, sets, label_smoothing=smoothing, reduction="none"),
        lambda z: plain(z, target, sets, smoothing),
    ):
        z = logits.double().requires_grad_()
        (loss(z) * upstream).sum().backward()
        gradients.append(z.grad)
    assert torch.allclose(*gradients, atol=1e-12)


def test_gradcheck() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 2, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    sets = torch.tensor([[True, True, False, False], [True] * 4, [False, False, True, False]])
    target = torch.tensor([[[0, 3, 256], [257, 258, 255]], [[257, 256, 1], [2, 255, 256]]])
    weights = dict(
        class_weight=torch.tensor([1.0, 2.0, 0.5, 3.0]),
        set_weights=torch.tensor([0.5, 2.0, 1.0]),
        weight=torch.rand(2, 2, 3, generator=generator),
        label_smoothing=0.2,
    )
    assert torch.autograd.gradcheck(lambda z: set_nll_loss(z, target, sets, **weights), logits)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_without_sets_it_is_cross_entropy(reduction: str, weighted: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 6, 5, 7, generator=generator)
    target = torch.randint(0, 6, (2, 5, 7), generator=generator)
    target[0, :2] = 255
    weight = torch.rand(6, generator=generator) + 0.1 if weighted else None
    wanted = F.cross_entropy(logits, target, weight=weight, ignore_index=255, reduction=reduction)
    for sets in (torch.zeros(0, 6, dtype=torch.bool), torch.ones(2, 6, dtype=torch.bool)):
        found = set_nll_loss(logits, target, sets, class_weight=weight, reduction=reduction)
        assert torch.allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_a_set_of_one_is_a_hard_target_and_a_set_of_all_costs_nothing() -> None:
    logits = torch.randn(1, 5, 4, 4, requires_grad=True)
    sets = torch.cat([torch.eye(5, dtype=torch.bool), torch.ones(1, 5, dtype=torch.bool)])
    hard = torch.randint(0, 5, (1, 4, 4))
    a = set_nll_loss(logits, hard, sets, label_smoothing=0.3)
    b = set_nll_loss(logits, hard + FIRST, sets, label_smoothing=0.3)
    assert torch.equal(a, b)
    everything = torch.full((1, 4, 4), FIRST + 5)
    loss = set_nll_loss(logits, everything, sets)
    loss.backward()
    assert abs(loss.item()) < 1e-6
    assert logits.grad.abs().max() < 1e-6


def test_a_negative_ignore_index() -> None:
    """As torch has it by default."""
    logits, target = torch.randn(1, 3, 2, 2), torch.tensor([[[0, -100], [3, 2]]])
    sets = torch.tensor([[True, True, False]])
    found = set_nll_loss(logits, target, sets, ignore_index=-100, reduction="none")
    wanted = plain(logits, torch.tensor([[[0, 255], [256, 2]]]), sets)
    assert torch.allclose(found.double(), wanted, atol=1e-6)


def test_weights() -> None:
    """Class weights as in F.cross_entropy, a set's the mean of its members'; the others do not divide the mean."""
    logits = torch.zeros(1, 4, 3)
    sets = torch.tensor([[True, True, False, False]])
    target = torch.tensor([[2, 256, 255]])
    hard, among = torch.tensor(4.0).log(), torch.tensor(2.0).log()
    classes = torch.tensor([1.0, 3.0, 4.0, 9.0])
    found = set_nll_loss(logits, target, sets, class_weight=classes)
    assert torch.isclose(found, (4 * hard + 2 * among) / 6)
    found = set_nll_loss(logits, target, sets, set_weights=torch.tensor([0.5]))
    assert torch.isclose(found, (hard + 0.5 * among) / 2)
    found = set_nll_loss(logits, target, sets, weight=torch.tensor([[0.0, 3.0, 1.0]]))
    assert torch.isclose(found, 3 * among / 2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_is_as_exact_as_its_logits(dtype: torch.dtype) -> None:
    """Logits that would overflow or vanish if anything were computed in their own dtype."""
    logits = (torch.randn(2, 6, 8, 8) * 3000).to(dtype).requires_grad_()
    sets = torch.tensor([[True, True, False, False, False, True], [False, True, True, False, False, False]])
    target = torch.randint(0, 2, (2, 8, 8)) + FIRST
    loss = set_nll_loss(logits, target, sets)
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.allclose(loss.double(), plain(logits.detach(), target, sets).mean(), rtol=1e-6)
    assert logits.grad.dtype == dtype
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.abs().sum() > 0


def test_under_autocast() -> None:
    conv = torch.nn.Conv2d(3, 6, 1)
    images, target = torch.randn(1, 3, 8, 8), torch.randint(0, 6, (1, 8, 8))
    sets = torch.ones(1, 6, dtype=torch.bool)
    sets[0, :3] = False
    target[0, :4] = FIRST
    with torch.autocast("cpu", torch.bfloat16):
        logits = conv(images)
        loss = set_nll_loss(logits, target, sets)
    assert (logits.dtype, loss.dtype) == (torch.bfloat16, torch.float32)
    loss.backward()
    assert conv.weight.grad.dtype == torch.float32
    assert torch.allclose(loss.double(), plain(logits.detach(), target, sets).mean(), rtol=1e-5)


def test_layouts() -> None:
    """Channels-last logits, as ChannelsLastHook makes them, and logits of points `[N, K]`."""
    logits, sets = torch.randn(2, 5, 4, 6), torch.tensor([[True, True, False, True, False]])
    target = torch.randint(0, 5, (2, 4, 6))
    target[:, 0] = FIRST
    wanted = plain(logits, target, sets)
    last = logits.to(memory_format=torch.channels_last)
    assert torch.allclose(set_nll_loss(last, target, sets, reduction="none").double(), wanted, atol=1e-5)
    points = logits.movedim(1, -1).reshape(-1, 5)
    found = set_nll_loss(points, target.view(-1), sets, reduction="none")
    assert torch.allclose(found.view(2, 4, 6).double(), wanted, atol=1e-5)


def test_everything_ignored_is_zero_with_a_graph() -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    for classes in (None, torch.ones(3)):
        loss = set_nll_loss(
            logits, torch.full((1, 4, 4), 255), torch.ones(1, 3, dtype=torch.bool), class_weight=classes
        )
        loss.backward()
        assert loss.item() == 0
        assert (logits.grad == 0).all()


def test_refusals() -> None:
    logits, target = torch.randn(1, 3, 2, 2), torch.zeros(1, 2, 2, dtype=torch.int64)
    sets = torch.tensor([[True, True, False], [False, False, False]])
    with pytest.raises(TargetError, match="set 1 is empty"):
        set_nll_loss(logits, target, sets)
    for value in (-1, 3, 254, 257):
        with pytest.raises(
            TargetError,
            match=f"target {value} is neither a class below 3, nor the ignored index, nor one of 1 sets",
        ):
            set_nll_loss(logits, target + value, sets[:1])
    with pytest.raises(TargetError, match=r"expected \[N, K, ...\] and \[N, ...\]"):
        set_nll_loss(logits, target[0], sets[:1])
    with pytest.raises(TargetError, match=r"expected bool \[S, 3\]"):
        set_nll_loss(logits, target, sets[:1, :2])
    with pytest.raises(TargetError, match="the numbers overlap"):
        set_nll_loss(logits, target, sets[:1], ignore_index=1)


# --- in MMSeg ----------------------------------------------------------------------------------------------


SOURCE = "a source of test_losses"
TABLE = TargetTable(SOURCE, 5, [TargetSet((0, 1)), TargetSet((2, 3, 4)), TargetSet((1,), 0.5)])


def head(loss: Any, **options: Any) -> Any:
    init_default_scope("mmseg")
    decode = MODELS.build(
        dict(
            type="FCNHead",
            in_channels=4,
            in_index=0,
            channels=4,
            num_convs=1,
            concat_input=False,
            dropout_ratio=0.0,
            num_classes=5,
            norm_cfg=dict(type="BN"),
            align_corners=False,
            loss_decode=loss,
            **options,
        )
    )
    if isinstance(decode.loss_decode, SetNLLLoss):
        decode.loss_decode.use_table(TABLE)
    return decode


def batch(target: Tensor) -> list[SegDataSample]:
    samples = []
    for one in target:
        samples.append(SegDataSample())
        samples[-1].gt_sem_seg = PixelData(data=one[None])
    return samples


def some_targets() -> Tensor:
    values = torch.tensor([0, 1, 2, 3, 4, 255, *range(TABLE.first, TABLE.first + len(TABLE))])
    return values[torch.randint(0, len(values), (2, 16, 16), generator=torch.Generator().manual_seed(0))]


def test_in_a_decode_head() -> None:
    target, table = some_targets(), TABLE
    decode = head(dict(type="SetNLLLoss", source=SOURCE))
    losses = decode.loss_by_feat(torch.randn(2, 5, 4, 4, requires_grad=True), batch(target))
    assert set(losses) == {"loss_set_nll", "acc_seg"}
    losses["loss_set_nll"].backward()
    logits = torch.randn(2, 5, 16, 16)
    found = decode.loss_by_feat(logits, batch(target))["loss_set_nll"]
    weights = torch.ones(2, 16, 16)
    weights[target == table.first + 2] = 0.5
    wanted = (plain(logits, target, torch.from_numpy(table.sets)) * weights).sum() / (target != 255).sum()
    assert torch.isclose(found.double(), wanted, rtol=1e-5)


def test_what_it_saw_of_a_batch() -> None:
    target = some_targets()
    decode = head(dict(type="SetNLLLoss", source=SOURCE))
    decode.loss_decode.watch = True
    logits = torch.randn(2, 5, 16, 16)
    acc_seg = decode.loss_by_feat(logits, batch(target))["acc_seg"]
    table = TABLE
    allowed = {i: {i} for i in range(5)} | {255: set()}
    allowed |= {table.first + i: set(row.nonzero()[0].tolist()) for i, row in enumerate(table.sets)}
    best = logits.argmax(1)
    for n in range(2):
        _, _, sets, valid, right = decode.loss_decode.seen[n].tolist()
        pairs = list(zip(target[n].flatten().tolist(), best[n].flatten().tolist(), strict=True))
        assert right == sum(b in allowed[t] for t, b in pairs)
        assert valid == sum(t != 255 for t, _ in pairs)
        assert sets == sum(len(allowed[t]) > 1 for t, _ in pairs)
    seen = decode.loss_decode.seen.sum(0)
    assert acc_seg / 100 < seen[4] / seen[3]  # to MMSegmentation every set is wrong


def test_hard_labels_train_as_with_mmsegs_cross_entropy() -> None:
    target = some_targets()
    target[target > 255] = 3
    logits = torch.randn(2, 5, 16, 16)
    for sampler in (None, dict(type="OHEMPixelSampler", min_kept=20)):
        ours = head(dict(type="SetNLLLoss", source=SOURCE), sampler=sampler)
        theirs = head(dict(type="CrossEntropyLoss", avg_non_ignore=True), sampler=sampler)
        a = ours.loss_by_feat(logits, batch(target))["loss_set_nll"]
        b = theirs.loss_by_feat(logits, batch(target))["loss_ce"]
        assert torch.isclose(a, b, rtol=1e-5)


def test_ohem_keeps_the_pixels_of_greatest_loss() -> None:
    target, logits = some_targets(), torch.randn(2, 5, 16, 16)
    decode = head(dict(type="SetNLLLoss", source=SOURCE), sampler=dict(type="OHEMPixelSampler", min_kept=30))
    kept = decode.sampler.sample(logits, target[:, None])
    losses = decode.loss_decode(logits, target, reduction_override="none")
    assert int(kept.sum()) == 60
    assert losses[kept == 1].min() >= losses[(kept == 0) & (target != 255)].max()


def test_ohem_with_a_threshold_goes_by_the_probability_of_the_set() -> None:
    target, logits = some_targets(), torch.randn(2, 5, 16, 16) * 3
    decode = head(
        dict(type="SetNLLLoss", source=SOURCE),
        sampler=dict(type="SetOHEMPixelSampler", thresh=0.7, min_kept=20),
    )
    kept = decode.sampler.sample(logits, target[:, None])
    p = (-plain(logits, target, torch.from_numpy(TABLE.sets))).exp()
    assert torch.equal(kept == 1, (p < 0.7) & (target != 255))
    hard = torch.where(target > 255, 2, target)
    plain_sampler = TASK_UTILS.build(dict(type="OHEMPixelSampler", context=decode, thresh=0.7, min_kept=20))
    assert torch.equal(decode.sampler.sample(logits, hard[:, None]), plain_sampler.sample(logits, hard[:, None]))


def test_options_of_the_module() -> None:
    target, logits = some_targets(), torch.randn(2, 5, 16, 16)

    def build(**options: Any) -> SetNLLLoss:
        loss: SetNLLLoss = MODELS.build(dict(type="SetNLLLoss", source=SOURCE, **options))
        loss.use_table(TABLE)
        return loss

    one = build()(logits, target)
    assert torch.isclose(build(loss_weight=0.4)(logits, target), 0.4 * one)
    assert build(loss_name="loss_aux").loss_name == "loss_aux"
    total = build(reduction="sum")(logits, target)
    assert torch.isclose(build()(logits, target, avg_factor=10.0), total / 10)
    weighted = build(class_weight=[1.0, 2.0, 3.0, 4.0, 5.0])(logits, target)
    assert not torch.isclose(weighted, one)


@pytest.mark.parametrize(
    ("key", "values", "expected"),
    [
        (
            "class_weight",
            [[1.0, math.nan], [-1.0], ["a"], [None], [[1.0]], [True], [math.inf]],
            "expected numbers, 0 or",
        ),
        ("class_weight", [[0.0, 0]], "is 0 for every class"),
        ("label_smoothing", [1, 2, -0.1, math.nan, "0.1"], "expected 0 to 1, without 1"),
        ("loss_weight", [-1, math.nan, "1", None, True], "expected a number, 0 or more"),
        ("loss_name", [7, None, ""], "expected a name that begins with `loss_`"),
    ],
)
def test_settings_that_would_teach_nothing_are_refused(key: str, values: list[Any], expected: str) -> None:
    for value in values:
        with pytest.raises(ConfigError, match=f"^`{key}` of a SetNLLLoss .*{expected}"):
            SetNLLLoss(SOURCE, **{key: value})


def test_without_a_table_hard_labels_are_trained_on_and_sets_refused() -> None:
    target, logits = some_targets(), torch.randn(2, 5, 16, 16)
    hard = torch.where(target > 255, 2, target)
    sampler = dict(type="SetOHEMPixelSampler", thresh=0.7, min_kept=20)
    decode = head(dict(type="SetNLLLoss", source=SOURCE), sampler=sampler)
    wanted = decode.loss_decode(logits, hard)
    decode.loss_decode.use_table(None)
    assert torch.equal(decode.loss_decode(logits, hard), wanted)
    decode.sampler.sample(logits, hard[:, None])
    message = (
        r"target 258 stands for a set of classes, and this SetNLLLoss was given no table of sets: write"
        r" `custom_hooks = \[dict\(type='OntologyHook'\)\]`.*call `use_table\(dataset\.table\)`"
    )
    with pytest.raises(TargetError, match=message):
        decode.loss_decode(logits, target)
    with pytest.raises(TargetError, match=message):
        decode.sampler.sample(logits, target[:, None])
    with pytest.raises(TargetError, match="target 7 is neither a class below 5"):  # a raw value: no matter of tables
        decode.loss_decode(logits, torch.full_like(target, 7))


def test_two_losses_of_one_source_have_tables_of_their_own() -> None:
    logits, target = torch.randn(1, 5, 1, 1), torch.full((1, 1, 1), 256)
    p = logits.softmax(1)[0, :, 0, 0]
    for classes in ((0, 1), (2, 4)):
        loss = SetNLLLoss(SOURCE)
        loss.use_table(TargetTable(SOURCE, 5, [TargetSet(classes)]))
        assert loss(logits, target).item() == pytest.approx(-p[list(classes)].sum().log().item(), rel=1e-5)
        assert not loss.state_dict()
        with pytest.raises(TargetError, match="target 257 is neither a class below 5"):
            loss(logits, target + 1)
    other = SetNLLLoss("another")
    other.use_table(TABLE)
    with pytest.raises(TargetError, match="a SetNLLLoss of `another` with 5 classes was given targets of `a source"):
        other(logits, target)


def test_the_page_on_plain_pytorch_runs_with_torch_alone(tmp_path: Path) -> None:
    """All its examples in one process, where OpenMMLab, OpenCV and numba are not to be had."""
    page = (Path(__file__).parents[3] / "docs/plain-pytorch.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    missing = ("mmengine", "mmcv", "mmseg", "mmdet", "cv2", "numba", "matplotlib", "pycocotools")
    script = f"""
import sys
for name in {missing}:
    sys.modules[name] = None
{"".join(blocks)}
assert sum(losses[-4:]) < 0.3 * sum(losses[:4]), losses
assert inside > 0.8, inside
assert set(np.unique(target)) <= {{*range(constraint.num_classes), 255, *range(256, 256 + len(sets))}}
assert all(c.table is table for c in coders) and len(table) == len(sets)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(blocks) == 5
