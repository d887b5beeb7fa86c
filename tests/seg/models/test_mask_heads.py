"""MMSegmentation's heads with masks: as teachers, and trained on sets. What runs mmdet is skipped if there is none."""

from __future__ import annotations

import importlib.util
import math
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate

from helpers.students import student_config
from helpers.tiny import ALLOWED, VOID, label_config, model_config, read, save_checkpoint, write_park, write_tax
from lsu_seg.cli import main
from lsu_seg.decode import QueryView
from lsu_seg.errors import ConfigError, MissingPackageError
from lsu_seg.models.ensemble import _seen
from lsu_seg.models.known_masks import hard_points, labels_at, masks_and_known
from lsu_seg.models.mask_heads import match_costs
from lsu_seg.pseudo.run import pseudo_label
from lsu_seg.targets import TargetError, TargetSet, TargetTable
from lsu_seg.teachers.forward import views_of
from lsu_seg.training.checks import DisagreementError
from lsu_seg.training.run import train
from lsu_seg.unify.students import take_sets

needs_mmdet = pytest.mark.skipif(importlib.util.find_spec("mmdet") is None, reason="mmdet is not installed")


@pytest.fixture(autouse=True)
def scope() -> None:
    init_default_scope("mmseg")


# --- without mmdet -------------------------------------------------------------------------------------------


def entropy(pred_instances: Any, gt_instances: Any) -> torch.Tensor:
    """`[Q, M]`, means over points, as mmdet's `CrossEntropyLossCost`."""
    pairs = torch.broadcast_tensors(pred_instances.masks[:, None], gt_instances.masks[None])
    return binary_cross_entropy_with_logits(*pairs, reduction="none").mean(2)


def of_class(pred_instances: Any, gt_instances: Any) -> torch.Tensor:
    return -pred_instances.scores.softmax(1)[:, gt_instances.labels]


def test_queries_are_matched_by_what_is_known() -> None:
    scores, predicted = torch.randn(4, 6), 3 * torch.randn(4, 50)
    classes, labels = torch.tensor([0, 2, 3]), torch.randint(0, 2, (3, 50)).float()
    known = torch.ones(3, 50)
    known[1, 20:] = 0
    known[2] = 0
    labels *= known
    found = match_costs([of_class, entropy], scores, predicted, classes, labels, known)
    share = scores.softmax(1)
    for m, points in enumerate((50, 20, 0)):
        wanted = -share[:, classes[m]]
        if points:
            pairs = zip(*torch.broadcast_tensors(predicted[:, :points], labels[m, :points]), strict=True)
            wanted = wanted + torch.stack([binary_cross_entropy_with_logits(*pair) for pair in pairs])
        assert torch.allclose(found[:, m], wanted, atol=1e-6)
    nothing = match_costs([of_class, entropy], scores, predicted, classes[:0], labels[:0], known[:0])
    assert nothing.shape == (4, 0)


def test_points_are_drawn_where_masks_are_known() -> None:
    table = TargetTable("some", 3, [TargetSet((0, 1))])
    target = torch.full((16, 16), table.number((0, 1)))
    target[:, :4], target[:, 4:8] = 0, 2
    classes, masks = masks_and_known(target, table)
    assert classes.tolist() == [0, 2]
    points = hard_points(torch.zeros(2, 1, 8, 8), masks, 100, 8.0, 1.0)  # nowhere certain
    assert labels_at(masks, points)[1].all(1).tolist() == [True, True]
    assert points[0, :, 0].max() < 0.5  # class 0 is known on the left, and 2 everywhere
    assert points[1, :, 0].max() > 0.9


class MaskHead(nn.Module):
    """Called as mmdet's are, and answers like them: classes and masks of two layers."""

    num_classes = out_channels = 5
    align_corners = False

    def __init__(self) -> None:
        super().__init__()
        self.classes, self.masks = nn.Parameter(torch.randn(2, 7, 6)), nn.Conv2d(4, 7, 1)

    def forward(self, x: Any, batch_data_samples: Any) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        assert [s.batch_input_shape for s in batch_data_samples] == [(64, 96)] * len(x[1])
        masks = self.masks(x[1])
        return list(self.classes[:, None].expand(-1, len(masks), -1, -1)), [0 * masks, masks]


def test_the_last_layers_masks_are_the_evidence() -> None:
    model = MODELS.build(ConfigDict(model_config())).eval()
    model.decode_head = MaskHead()
    batch = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        views = views_of(model, batch)
        of_ensemble = _seen(model, torch.zeros(3, 64, 96, dtype=torch.uint8))
        masks = model.decode_head.masks(model.extract_feat(batch)[1])
    assert isinstance(of_ensemble, QueryView)
    assert len(views) == 2
    for view, mine in zip(views, masks, strict=True):
        assert isinstance(view, QueryView)
        assert torch.equal(view.masks, mine)
        assert torch.equal(view.classes, model.decode_head.classes[1])


@pytest.mark.parametrize(
    ("head", "named"),
    [
        (dict(type="SetMask2FormerHead", source="tiny", num_classes=5), "SetMask2FormerHead"),
        (dict(type="Mask2FormerHead", num_classes=5), "Mask2FormerHead"),
        (dict(type="mmseg.MaskFormerHead", num_classes=5, in_channels=[4, 4]), "mmseg.MaskFormerHead"),
        (dict(type="FCNHead", loss_decode=[dict(type="mmdet.DiceLoss")]), "mmdet.DiceLoss"),
    ],
)
def test_where_mmdet_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: dict[str, Any], named: str
) -> None:
    monkeypatch.setitem(sys.modules, "mmdet.models.dense_heads", None)
    monkeypatch.setitem(sys.modules, "mmdet", None)
    dataset = dict(taxonomy=write_tax(tmp_path / "tax"), data_root=str(tmp_path / "park"), split="train")
    write_park(tmp_path / "park", {"a": [0, 1]})
    cfg = label_config(dataset, tmp_path)
    cfg.model.decode_head = head
    with pytest.raises(MissingPackageError, match=rf"`{named}` needs mmdet.*pip install --no-deps 'onedl-mmdetection"):
        pseudo_label(cfg, save_checkpoint(tmp_path / "teacher.pth"), quiet=True)


def test_a_config_becomes_that_of_the_student_set() -> None:
    head = dict(type="Mask2FormerHead", num_classes=5)
    cfg = Config(
        dict(
            model=dict(type="EncoderDecoder", decode_head=head),
            unify=dict(unsure=0.05),
            train_dataloader=dict(dataset=dict(source="tiny", datasets=[dict(type="TaxDataset")])),
        )
    )
    take_sets(cfg)
    assert cfg.model.decode_head.to_dict() == dict(type="SetMask2FormerHead", num_classes=5, source="tiny")
    cfg.model.decode_head.type = "MaskFormerHead"
    with pytest.raises(ConfigError, match=r"decode_head is a MaskFormerHead, which cannot be .* take a `SetMask2"):
        take_sets(cfg)


def test_weighted_pixels_are_in_masks_as_others_are() -> None:
    weighted = [TargetSet((0,), 0.5), TargetSet((2,), 0.5), TargetSet((0, 1), 0.5)]
    table = TargetTable("some", 3, [TargetSet((0, 1)), *weighted])
    target = torch.tensor([[0, 2, 2, table.number((0, 1)), 255]])
    heavy = [table.number(*entry) for entry in weighted]
    weighted = torch.tensor([[heavy[0], heavy[1], heavy[1], heavy[2], 255]])
    for one, other in zip(masks_and_known(target, table), masks_and_known(weighted, table), strict=True):
        assert torch.equal(one, other)


# --- with mmdet ----------------------------------------------------------------------------------------------

METAS = [dict(img_shape=(64, 96))] * 2


def mask2former(head: str = "Mask2FormerHead", **changes: Any) -> dict[str, Any]:
    """MMSegmentation's recipe with everything small."""
    attention = dict(embed_dims=16, num_heads=2, batch_first=True)
    layer = dict(ffn_cfg=dict(embed_dims=16, feedforward_channels=16, act_cfg=dict(type="ReLU", inplace=True)))
    places = dict(num_feats=8, normalize=True)
    model = model_config()
    model["backbone"] = dict(type="MixVisionTransformer", embed_dims=8, num_layers=[1] * 4, num_heads=[1] * 4)
    model["decode_head"] = dict(
        type=head,
        num_classes=5,
        in_channels=[8] * 4,
        strides=[4, 8, 16, 32],
        feat_channels=16,
        out_channels=16,
        num_queries=12,
        num_transformer_feat_level=3,
        pixel_decoder=dict(
            type="mmdet.MSDeformAttnPixelDecoder",
            num_outs=3,
            norm_cfg=dict(type="GN", num_groups=4),
            act_cfg=dict(type="ReLU"),
            positional_encoding=places,
            encoder=dict(
                num_layers=1, layer_cfg=dict(layer, self_attn_cfg=dict(attention, num_levels=3, num_points=4))
            ),
        ),
        positional_encoding=places,
        transformer_decoder=dict(
            num_layers=2, layer_cfg=dict(layer, self_attn_cfg=attention, cross_attn_cfg=attention), init_cfg=None
        ),
        loss_cls=dict(type="mmdet.CrossEntropyLoss", loss_weight=2.0, class_weight=[1.0] * 5 + [0.1]),
        loss_mask=dict(type="mmdet.CrossEntropyLoss", use_sigmoid=True, loss_weight=5.0),
        loss_dice=dict(type="mmdet.DiceLoss", naive_dice=True, eps=1.0, loss_weight=5.0),
        train_cfg=dict(
            num_points=64,
            oversample_ratio=3.0,
            importance_sample_ratio=0.75,
            sampler=dict(type="mmdet.MaskPseudoSampler"),
            assigner=dict(
                type="mmdet.HungarianAssigner",
                match_costs=[
                    dict(type="mmdet.ClassificationCost", weight=2.0),
                    dict(type="mmdet.CrossEntropyLossCost", weight=5.0, use_sigmoid=True),
                    dict(type="mmdet.DiceCost", weight=5.0, pred_act=True, eps=1.0),
                ],
            ),
        ),
        **changes,
    )
    return model


def maskformer() -> dict[str, Any]:
    attention = dict(embed_dims=16, num_heads=2, batch_first=True)
    layer = dict(ffn_cfg=dict(embed_dims=16, feedforward_channels=16, act_cfg=dict(type="ReLU", inplace=True)))
    model = mask2former("MaskFormerHead")
    head = model["decode_head"]
    for key in ("strides", "num_transformer_feat_level", "train_cfg"):
        head.pop(key)
    head["pixel_decoder"] = dict(
        type="mmdet.PixelDecoder", norm_cfg=dict(type="GN", num_groups=4), act_cfg=dict(type="ReLU")
    )
    head["enforce_decoder_input_project"] = True
    head["transformer_decoder"] = dict(
        return_intermediate=True,
        num_layers=2,
        init_cfg=None,
        layer_cfg=dict(layer, self_attn_cfg=attention, cross_attn_cfg=attention),
    )
    return model


def built(config: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    segmentor = MODELS.build(ConfigDict(config))
    for parameter in segmentor.parameters():  # lively maps
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.3)
    return segmentor


def samples(target: torch.Tensor) -> list[SegDataSample]:
    pairs = zip(target, METAS, strict=True)
    return [SegDataSample(metainfo=meta, gt_sem_seg=PixelData(data=one[None])) for one, meta in pairs]


@needs_mmdet
def test_where_all_is_known_the_loss_is_that_of_mmsegmentation() -> None:
    segmentors = built(mask2former()), built(mask2former("SetMask2FormerHead", source="heads_known"))
    images = torch.randn(2, 3, 64, 96)
    target = torch.randint(0, 5, (2, 8, 12)).repeat_interleave(8, 1).repeat_interleave(8, 2)
    losses = []
    for segmentor in segmentors:
        torch.manual_seed(1)
        losses.append(segmentor(images, samples(target), mode="loss"))
        sum(losses[-1].values()).backward()
    assert len(losses[0]) == 9
    assert losses[1].keys() == losses[0].keys()
    for name, loss in losses[0].items():
        assert losses[1][name].item() == pytest.approx(loss.item(), rel=1e-6)
    for theirs, ours in zip(*(s.parameters() for s in segmentors), strict=True):
        assert (theirs.grad is None) == (ours.grad is None)
        if theirs.grad is not None:
            assert torch.allclose(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5 * float(theirs.grad.abs().max()))


@needs_mmdet
def test_pixels_that_may_be_a_masks_own_count_neither_in_its_loss_nor_in_matching() -> None:
    head = built(mask2former("SetMask2FormerHead", source="heads_sets")).decode_head
    head.num_points = 512
    table = TargetTable("heads_sets", 5, [TargetSet((0, 1))])
    head.use_table(table)
    either = table.first
    target = torch.full((32, 32), 2)
    target[:16], target[:, 24:] = 0, either  # the right quarter is 0 or 1, and so never 2
    known, metas = head._seg_data_to_instance_data([SegDataSample(gt_sem_seg=PixelData(data=target[None]))])

    # Query 0 is class 0 on the left, and says what it likes on the right; query 1 says the contrary on the left.
    half = torch.where(target == 0, 9.0, -9.0)
    half[16:, :24], half[:16, :24] = -9, 9
    scores = torch.zeros(1, 12, 6)
    for right in (-9.0, 9.0):
        masks = torch.full((12, 32, 32), -9.0)
        masks[0], masks[1] = half, -half
        masks[0, :, 24:], masks[1, :, 24:] = right, -9
        assert [found.tolist() for found in head._match(scores[0], masks, known[0])] == [[0, 1], [0, 1]]

    logits = (masks / 3 + torch.randn(12, 32, 32)).requires_grad_()
    _, loss_mask, loss_dice = head._loss_by_feat_single(scores, logits[None], known, metas)
    for loss in (loss_mask, loss_dice):
        (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True)
        assert not gradient[0, :, 25:].any()
        assert gradient[0, :, :23].any()
        assert (gradient[1, :, 25:] >= 0).all()  # outside the mask of 2, and pushed there
        assert gradient[1, :, 25:].any()
        assert not gradient[2:].any()
    # A mean over the known points of a mask, however few: log 2 where nothing is said.
    unsaid = head._loss_by_feat_single(scores, torch.zeros(1, 12, 32, 32), known, metas)
    assert unsaid[1].item() == pytest.approx(5 * math.log(2), rel=1e-5)


@needs_mmdet
def test_an_image_without_a_known_class_teaches_no_query() -> None:
    segmentor = built(mask2former("SetMask2FormerHead", source="heads_alone"))
    table = TargetTable("heads_alone", 5, [TargetSet((0, 1))])
    target, images = torch.full((2, 64, 96), VOID), torch.randn(2, 3, 64, 96)
    target[:, :9] = table.first
    with pytest.raises(TargetError, match="this SetMask2FormerHead was given no table of sets: write"):
        segmentor(images, samples(target), mode="loss")
    segmentor.decode_head.use_table(table)
    losses = segmentor(images, samples(target), mode="loss")
    total = sum(losses.values())
    assert total.item() == 0
    total.backward()
    assert not any(p.grad.any() for p in segmentor.parameters() if p.grad is not None)
    target[1, 40:] = 3
    losses = segmentor(images, samples(target), mode="loss")
    assert all(loss.isfinite() and loss > 0 for loss in losses.values())


@needs_mmdet
@pytest.mark.parametrize("config", [mask2former, maskformer])
def test_evidence_is_what_the_head_predicts_and_no_object(config: Any) -> None:
    segmentor = built(config()).eval()
    batch = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        views = views_of(segmentor, batch)
        wanted = segmentor.encode_decode(batch, METAS)
    for view, logits in zip(views, wanted, strict=True):
        masks = interpolate(view.masks[None], (64, 96), mode="bilinear")[0].sigmoid()
        evidence = torch.einsum("qc,qhw->chw", view.classes.softmax(1), masks)
        assert torch.allclose(evidence[:-1], logits, atol=1e-5)
        assert evidence[-1].min() > 0


@needs_mmdet
@pytest.mark.parametrize("window", [None, "128,128"])
def test_a_student_on_sets_is_trained_and_then_teaches(tmp_path: Path, window: str | None) -> None:
    cfg = student_config(tmp_path)
    refused = {
        "`loss_weight` of `park#2` has no effect: write `dict(type='TaxDataset', loss_weight=1.0, …)`": mask2former(),
        "write `decode_head=dict(type='SetMask2FormerHead', source='tiny')`": mask2former(),
        "decode_head is a MaskFormerHead, which cannot be trained on sets": maskformer(),
    }
    for message, cfg.model in refused.items():
        with pytest.raises(DisagreementError, match=re.escape(message)):
            train(cfg, quiet=True)
    cfg.model = mask2former("SetMask2FormerHead", source="tiny")
    with pytest.raises(DisagreementError, match=r"has no effect: write [^\n]*$"):  # and nothing else
        train(cfg, quiet=True)
    cfg.train_dataloader.dataset.datasets[1].loss_weight = 1.0
    checkpoint = train(cfg, quiet=True)
    config = tmp_path / "teacher.py"
    config.write_text(f"custom_imports = dict(imports=['lsu_seg'])\nmodel = {cfg.model.to_dict()!r}\n")
    root, out = tmp_path / "new", tmp_path / "out"
    drawn = write_park(root, {"a": [0, 1, 2, 3, 4, 5, -1], "b": [1, 3]}, size=(128, 160))
    line = [
        "pseudo-label",
        tmp_path / "tax/park.tax",
        "--data-root",
        root,
        "--teacher",
        config,
        "--checkpoint",
        checkpoint,
        "-o",
        out,
    ]
    line += ["--scales", "1,1.5", "--work-dir", tmp_path / "log"]
    line += ["--set", f"test_cfg.window=({window})"] if window else []
    result = CliRunner().invoke(main, [str(part) for part in line])
    assert result.exit_code == 0, result.output
    for stem, rows in drawn.items():
        label = read(out / f"labels/train/{stem}.png")
        for row, allowed in enumerate(ALLOWED):
            assert set(label[rows == row].tolist()) <= allowed
