"""Models with `align_corners=True`, as MMSegmentation's recipes of 769 x 769 pixels have it: labels as `predict`'s."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch.nn.functional import interpolate

from helpers.tiny import CLASSES, model_config
from lsu_seg.decode import decoder
from lsu_seg.teachers import SegmentorTeacher, Views

K = len(CLASSES)


def segmentor(align_corners: bool) -> Any:
    """A UNet whose head sits at stride 2."""
    init_default_scope("mmseg")
    torch.manual_seed(0)
    config = model_config(K)
    config["decode_head"] |= dict(in_channels=8, in_index=0, align_corners=align_corners)
    model = MODELS.build(ConfigDict(config)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model


def predicted(model: Any, image: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The labels of the model's own `predict`, and where its two best logits differ clearly."""
    size = tuple(image.shape[1:])
    with torch.no_grad():
        [sample] = model.test_step(
            dict(inputs=[image], data_samples=[SegDataSample(metainfo=dict(ori_shape=size, img_shape=size))])
        )
    best = sample.seg_logits.data.topk(2, 0).values
    return sample.pred_sem_seg.data[0].numpy(), (best[0] - best[1] > 1e-3).numpy()


def labelled(model: Any, image: torch.Tensor, path: str, **views: Any) -> np.ndarray:
    size = (image.shape[1], image.shape[2])
    teacher = SegmentorTeacher(model, CLASSES, Views(**views))
    labels = np.full(size, 254, np.uint8)
    for _, band in teacher.evidence([image], None, [size]):
        band_size = (band.bottom - band.top, size[1])
        labels[band.top : band.bottom] = decoder(path).unconstrained(band.views, band_size, "image").labels
    return labels


def picture() -> torch.Tensor:
    noise = torch.rand(1, 3, 12, 20, generator=torch.Generator().manual_seed(3))
    return (interpolate(noise, (96, 160), mode="bicubic")[0] * 255).clamp(0, 255).to(torch.uint8)


@pytest.mark.filterwarnings("ignore:When align_corners:UserWarning")  # MMSegmentation's advice on sizes
@pytest.mark.parametrize("path", ["cpu", "meta"])  # another device than a CPU or a GPU: the reference
@pytest.mark.parametrize("align_corners", [False, True])
def test_labels_are_those_of_the_models_own_predict(align_corners: bool, path: str) -> None:
    model = segmentor(align_corners)
    wanted, clear = predicted(model, picture())
    assert clear.mean() > 0.95
    assert len(np.unique(wanted)) > 2
    found = labelled(model, picture(), path, flips=(False,), memory=None)
    np.testing.assert_array_equal(found[clear], wanted[clear])
    other = labelled(segmentor(not align_corners), picture(), path, flips=(False,), memory=None)
    assert (other != wanted).mean() > 0.01  # so the comparison above would notice
