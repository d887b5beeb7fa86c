"""Hugging Face models that predict masks, trained on sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from helpers.hf import M2F, SEGFORMER, built, folder, model
from lsu_seg.errors import ConfigError, TeacherError
from lsu_seg.models.hf_models import SET_QUERY_MODELS
from lsu_seg.models.known_masks import NO_SETS
from lsu_seg.targets import TargetError, TargetSet, TargetTable
from lsu_seg.unify.students import take_sets

MASKFORMER = "MaskFormerForInstanceSegmentation"
POINT_MODELS = SET_QUERY_MODELS


def samples(target: Any) -> list[SegDataSample]:
    return [SegDataSample(gt_sem_seg=PixelData(data=one[None])) for one in target]


@pytest.mark.parametrize("name", POINT_MODELS)
def test_where_all_is_known_the_loss_is_that_of_transformers(name: str) -> None:
    theirs, ours = built(model(name)).train(), built(dict(model(name), source="loss_known")).train()
    assert not theirs.takes_sets
    assert ours.takes_sets
    images = torch.randn(2, 3, 64, 64)
    target = torch.randint(0, 3, (2, 8, 8)).repeat_interleave(8, 1).repeat_interleave(8, 2)
    losses = []
    for segmentor in (theirs, ours):
        torch.manual_seed(1)
        loss = segmentor(images, samples(target), mode="loss")["loss_masks"]
        loss.backward()
        losses.append(loss.item())
    assert losses[0] > 1
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    pairs = zip(theirs.parameters(), ours.parameters(), strict=True)
    gradients = [(a.grad, b.grad) for a, b in pairs if a.grad is not None]
    largest = max(float(a.abs().max()) for a, _ in gradients)
    assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-5 * largest) for a, b in gradients)


def test_pixels_that_may_be_a_masks_own_count_neither_in_its_loss_nor_in_matching() -> None:
    from lsu_seg.models.known_masks import masks_and_known

    segmentor = built(dict(model(M2F, train_num_points=512), source="loss_sets"))
    table = TargetTable("loss_sets", 5, [TargetSet((0, 1))])
    either = table.first
    target = torch.full((32, 32), 2)
    target[:16], target[:, 24:] = 0, either  # the right quarter is 0 or 1, and so never 2
    classes, masks = masks_and_known(target, table)
    assert classes.tolist() == [0, 2]
    assert masks[0, 1, :, 24:].sum() == 0
    assert masks[1, 1].all()

    criterion = segmentor.net.criterion
    logits = torch.randn(1, 2, 32, 32, requires_grad=True)
    indices = [(torch.tensor([0, 1]), torch.tensor([0, 1]))]
    losses = criterion.loss_masks(logits, [masks], indices, torch.tensor(2.0))
    sum(losses.values()).backward()
    assert not logits.grad[0, 0, :, 25:].any()
    assert logits.grad[0, 0, :, :23].any()
    assert logits.grad[0, 1, :, 25:].any()  # outside the mask of 2, and trained so

    # Query 0 is class 0 on the left, and says what it likes on the right; query 1 says the contrary on the left.
    half = torch.where(target == 0, 9.0, -9.0)
    half[16:, :24], half[:16, :24] = -9, 9
    for right in (-9.0, 9.0):
        first, second = half.clone(), -half
        first[:, 24:], second[:, 24:] = right, -9
        pairs = criterion.matcher(torch.stack([first, second])[None], torch.zeros(1, 2, 6), [masks], [classes])
        assert [p.tolist() for p in pairs[0]] == [[0, 1], [0, 1]]


@pytest.mark.parametrize("name", POINT_MODELS)
def test_sets_alone_train_no_mask(name: str) -> None:
    segmentor = built(dict(model(name), source="loss_alone")).train()
    table = TargetTable("loss_alone", 5, [TargetSet((0, 1))])
    target = torch.full((2, 64, 64), 255)
    target[:, :9] = table.first
    with pytest.raises(TargetError, match="target 256 stands for a set of classes, and this HFSegmentor was given no"):
        segmentor(torch.randn(2, 3, 64, 64), samples(target), mode="loss")
    segmentor.use_table(table)
    assert segmentor(torch.randn(2, 3, 64, 64), samples(target), mode="loss")["loss_masks"].item() == 0
    target[1, 40:] = 3
    loss = segmentor(torch.randn(2, 3, 64, 64), samples(target), mode="loss")["loss_masks"]
    assert loss.isfinite()
    assert loss > 0


def test_the_checks_before_training_know_which_models_take_sets(park: Path) -> None:
    from lsu_seg.data.datasets import TaxDataset
    from lsu_seg.training.checks import check_model

    def dataset(**options: Any) -> TaxDataset:
        return TaxDataset(str(park / "tax/park.tax"), str(park / "park"), "train", **options)

    members = [dataset(threshold=0.5)]

    def found(name: str, **options: Any) -> str:
        return "\n".join(check_model(built(dict(model(name), **options)), members))

    assert "write `model=dict(source='tiny')`" in found(M2F)
    assert found(MASKFORMER) == f"model is a {MASKFORMER}, which {NO_SETS}; or leave out `threshold` of `park`"
    assert "has source='town', and the datasets `tiny`" in found(M2F, source="town")
    assert found(M2F, source="tiny") == found(SEGFORMER, loss_decode=dict(type="SetNLLLoss", source="tiny")) == ""
    assert "SetNLLLoss" in found(SEGFORMER)

    members = [dataset(unsure=0.1)]
    assert "as they come of `unsure` of `park`: write `model=dict(source='tiny')`" in found(M2F)
    members = [dataset(loss_weight=0.5)]  # no sets, but numbers of the table
    for line in (found(M2F, source="tiny"), found(M2F), found(MASKFORMER)):
        assert line.startswith("model is trained on masks, so the `loss_weight` of `park` has no effect: write")
        assert "\n" not in line
    assert found(SEGFORMER, loss_decode=dict(type="SetNLLLoss", source="tiny")) == ""
    assert "SetNLLLoss" in found(SEGFORMER)


def test_maskformer_is_not_made_a_student_on_sets(tmp_path: Path) -> None:
    sets = dict(source="tiny", datasets=[dict(type="TaxDataset")])
    for hf in (dict(model(MASKFORMER)["hf"]), dict(pretrained=str(folder(tmp_path / "hf", MASKFORMER)))):
        segmentor = dict(type="HFSegmentor", hf=hf)
        cfg = Config(dict(model=segmentor, unify=dict(threshold=0.5), train_dataloader=dict(dataset=sets)))
        with pytest.raises(ConfigError, match=f"model is a {MASKFORMER}, which cannot .* out of `unify.students`"):
            take_sets(cfg)


@pytest.mark.parametrize("name", [MASKFORMER, SEGFORMER])
def test_a_source_without_effect_is_refused(name: str) -> None:
    with pytest.raises(TeacherError, match=f"`source` has no effect on a {name}: leave it out"):
        built(dict(model(name), source="tiny"))
