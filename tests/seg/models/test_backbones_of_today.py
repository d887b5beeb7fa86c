"""Networks of Hugging Face on the backbones of today, and OneFormer, which reads what to predict from a text."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from helpers.hf import M2F, built, folder, model, write_tokenizer
from lsu_seg.decode import View
from lsu_seg.errors import TeacherError
from lsu_seg.models.hf_models import tokenizer

STAGES = dict(out_features=["stage1", "stage2", "stage3", "stage4"])
VIT = dict(hidden_size=16, num_hidden_layers=4, num_attention_heads=2, image_size=64, patch_size=16, **STAGES)
PYRAMID = dict(hidden_sizes=[16, 16, 32, 32], depths=[1, 1, 1, 1], **STAGES)
BACKBONES: dict[str, dict[str, Any]] = {
    "dinov2": dict(model_type="dinov2", mlp_ratio=2, **VIT),
    "dinov3_vit": dict(model_type="dinov3_vit", intermediate_size=32, **VIT),
    "dinov3_convnext": dict(model_type="dinov3_convnext", **PYRAMID),
    "convnext": dict(model_type="convnext", **PYRAMID),
}
UPERNET, DPT, ONEFORMER = (
    "UperNetForSemanticSegmentation",
    "DPTForSemanticSegmentation",
    "OneFormerForUniversalSegmentation",
)


def on(backbone: str, network: str) -> Any:
    config = dict(BACKBONES[backbone])
    more: dict[str, Any] = {}
    if network == UPERNET:
        more = dict(auxiliary_in_channels=32 if "conv" in backbone else 16)
    if network == DPT:
        config["reshape_hidden_states"] = False
    return built(model(network, backbone_config=config, **more))


def steps(segmentor: Any) -> float:
    """A loss, taken back through the network."""
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.arange(4).repeat_interleave(16).repeat(1, 96, 1).mT))
    losses = segmentor.train()(torch.randn(2, 3, 64, 96), [sample, sample], mode="loss")
    total = sum(losses.values())
    total.backward()
    assert any(p.grad is not None and p.grad.any() for p in segmentor.parameters())
    return float(total.detach())


@pytest.mark.parametrize(
    ("backbone", "network"),
    [
        *((backbone, network) for backbone in BACKBONES for network in (UPERNET, M2F)),
        ("dinov2", DPT),
        ("dinov3_vit", DPT),
    ],
)
def test_a_network_on_a_backbone_of_today(backbone: str, network: str) -> None:
    segmentor = on(backbone, network)
    with torch.no_grad():
        view = segmentor.evidence_of(torch.randn(1, 3, 64, 96))[0]
    maps = view.logits if isinstance(view, View) else view.masks
    assert maps.isfinite().all() and maps.std() > 0
    assert maps.shape[2] * 64 == maps.shape[1] * 96
    assert 0 < steps(segmentor) < 1e6


def test_a_backbone_that_does_not_fit_is_said() -> None:
    segmentor = built(model(DPT, backbone_config=dict(BACKBONES["convnext"])))
    with pytest.raises(
        TeacherError, match=r"a DPTForSemanticSegmentation of this config does not take 1 image\(s\) of 64x64"
    ):
        segmentor.evidence_of(torch.randn(1, 3, 64, 64))


def test_a_failure_that_is_not_about_sizes_is_not_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    segmentor = built(model(DPT, backbone_config=dict(BACKBONES["convnext"])))

    def fails(**_: object) -> None:
        torch.zeros(4).item()

    monkeypatch.setattr(segmentor.net, "forward", fails)
    with pytest.raises(TeacherError, match=r"config fails on 1 image\(s\) of 64x64: RuntimeError: a Tensor with 4"):
        segmentor.evidence_of(torch.randn(1, 3, 64, 64))


def on_timm(name: str, network: str, out_indices: Sequence[int]) -> Any:
    config = dict(model_type="timm_backbone", backbone=name, out_indices=list(out_indices))
    more: dict[str, Any] = {}
    if network == UPERNET:
        import timm

        channels = timm.create_model(name, features_only=True, out_indices=list(out_indices)).feature_info.channels()
        more = dict(auxiliary_in_channels=channels[2])
    return built(model(network, backbone_config=config, **more))


def test_without_timm_its_backbones_are_refused() -> None:
    if importlib.util.find_spec("timm") is not None:
        pytest.skip("timm is installed")
    config = dict(model_type="timm_backbone", backbone="resnet18", out_indices=[1, 2, 3, 4])
    with pytest.raises(TeacherError, match="timm"):
        built(model(UPERNET, backbone_config=config))


@pytest.mark.parametrize("network", [UPERNET, M2F])
@pytest.mark.parametrize(
    ("name", "out_indices"),
    [("resnet18", [1, 2, 3, 4]), ("convnext_atto", [0, 1, 2, 3]), ("vit_small_patch16_dinov3", [2, 5, 8, 11])],
)
def test_a_backbone_of_timm_by_its_name(name: str, out_indices: list[int], network: str) -> None:
    pytest.importorskip("timm", exc_type=(ImportError, RuntimeError))  # torchvision's, if it is of another torch
    segmentor = on_timm(name, network, out_indices)
    with torch.no_grad():
        view = segmentor.evidence_of(torch.randn(1, 3, 64, 96))[0]
    maps = view.logits if isinstance(view, View) else view.masks
    assert maps.isfinite().all() and maps.std() > 0
    assert 0 < steps(segmentor) < 1e6


def test_a_backbone_of_timm_that_takes_one_size_says_so() -> None:
    pytest.importorskip("timm", exc_type=(ImportError, RuntimeError))
    segmentor = on_timm("swin_tiny_patch4_window7_224", M2F, [0, 1, 2, 3])
    with pytest.raises(TeacherError, match=r"does not take 1 image\(s\) of 64x64: Input height \(64\) doesn't match"):
        segmentor.evidence_of(torch.randn(1, 3, 64, 64))


def test_a_tokenizer_whose_reader_panics_is_refused(tmp_path: Path) -> None:
    """It is written in Rust, whose panics are no Exceptions."""
    write_tokenizer(tmp_path)
    vocabulary = json.loads((tmp_path / "vocab.json").read_text())
    settings = dict.fromkeys(("truncation", "padding", "pre_tokenizer", "post_processor", "decoder"))
    words = dict(type="BPE", end_of_word_suffix="</w>", vocab=vocabulary, merges=[])
    damaged = dict(type="Precompiled", precompiled_charsmap="AAAA")
    whole = dict(settings, version="1.0", added_tokens=[], model=words, normalizer=damaged)
    (tmp_path / "tokenizer.json").write_text(json.dumps(whole))
    with pytest.raises(TeacherError, match=r"the model cannot be loaded: .*Precompiled"):
        tokenizer(tmp_path)


def test_oneformer_is_told_its_task_by_the_folders_tokenizer(tmp_path: Path) -> None:
    path = folder(tmp_path / "oneformer", ONEFORMER)
    pretrained = dict(type="HFSegmentor", hf=dict(pretrained=str(path)))
    with pytest.raises(TeacherError, match=r"found no tokenizer, in none of tokenizer.json, vocab.json, merges.txt"):
        built(pretrained)
    write_tokenizer(path)
    segmentor = built(pretrained)
    t = 19  # of the letters
    assert segmentor.task[0, :5].tolist() == [54, t, 7, 27 + 4, t]  # start, `t`, `h`, `e` at the end of a word, `t` …
    assert (
        segmentor.task.shape == (1, 77) and segmentor.task[0, -1] == 0
    )  # padding is 0, not what the tokenizer pads by
    assert {"vocab.json", "merges.txt"} <= {file.name for file in segmentor.weight_files}
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        told = segmentor.evidence_of(images)[1].classes
        segmentor.task.fill_(1)
        other = segmentor.evidence_of(images)[1].classes
    assert not torch.allclose(told, other), "what it is told matters"
    assert 0 < steps(segmentor) < 1e6
