"""Networks whose own code fails, at any moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from lsu_seg.decode import View
from lsu_seg.decode.inputs import Arrays, sets_of
from lsu_seg.errors import ConfigError, TeacherError
from lsu_seg.models.segmentor import _loss_of
from lsu_seg.openmmlab.failures import named
from lsu_seg.openmmlab.weights import nan_weights
from lsu_seg.teachers import SegmentorTeacher, Views

RUDE = """\
import sys
import torch
from torch import nn

AS = {
    "percent": lambda out: 100 * out.softmax(1),
    "half": lambda out: 255 * out.bfloat16().softmax(1),
    "sigmoid": lambda out: out.sigmoid(),
    "float8": lambda out: out.to(torch.float8_e4m3fn),
    "positive": lambda out: out.exp(),
    "one colour": lambda out: out.mean((2, 3), keepdim=True).abs().expand_as(out),
    "queries": lambda out: {"pred_logits": torch.randn(len(out), 5, 6).softmax(2), "pred_masks": out},
    "masks": lambda out: {"pred_logits": torch.randn(len(out), 5, 6), "pred_masks": out.sigmoid()},
}


class Rude(nn.Conv2d):
    def __init__(self, does):
        super().__init__(3, 5, 1)
        self.does, self.ready = does, False
        if does not in (*AS, "later"):
            nn.init.zeros_(self.weight), nn.init.zeros_(self.bias)

    def forward(self, images):
        if self.does.startswith("narrow") and images.shape[2] != 32:
            raise ValueError("32, please")
        if self.does == "narrow probabilities":
            return super().forward(images).softmax(1)
        if self.does == "later" and self.ready:
            return super().forward(images).softmax(1)
        if self.does in AS:
            return AS[self.does](super().forward(images))
        if self.does == "ends" and self.ready:
            sys.exit(0)
        if self.does == "property":
            return type("Lazy", (), {"logits": property(lambda _: {}["late"])})()
        return super().forward(images)

    def train(self, mode=True):
        if self.does == "train":
            raise RuntimeError("always on")
        return super().train(mode)

    def state_dict(self, *args, **settings):
        if self.does == "state":
            raise RuntimeError("none to be had")
        return {"name": self.does} if self.does == "text" else super().state_dict(*args, **settings)

    def get_extra_state(self):
        return {"steps": 3}

    def set_extra_state(self, state):
        pass


class Bare(nn.Module):
    def __init__(self):
        self.k = 5

    def forward(self, images):
        return images[:, [0, 1, 2, 0, 1]]


class Unspeakable(Exception):
    def __str__(self):
        sys.exit(0)


def build(does):
    if does == "exits as it is told":
        raise Unspeakable
    if does == "bare":
        return Bare()
    net = Rude(does)
    if does == "16 bits":
        return net.half()
    if does == "circle":
        net.inner = nn.Sequential(nn.Sequential())
        net.inner[0].outer = net
    return net
"""


@pytest.fixture
def rude(tmp_path: Path) -> str:
    (tmp_path / "rude.py").write_text(RUDE)
    return f"{tmp_path / 'rude.py'}:build"


def built(factory: str, does: str, **settings: Any) -> Any:
    init_default_scope("mmseg")
    with named(Config()):
        return MODELS.build(dict(type="TorchSegmentor", factory=factory, args=dict(does=does), **settings))


def test_a_network_that_ends_the_program_is_refused(rude: str) -> None:
    """Labelling would seem to have come to its end."""
    segmentor = built(rude, "ends")
    segmentor.net.ready = True
    with pytest.raises(TeacherError, match=r"fails on 1 image.*: in `sys.exit\(0\)`: SystemExit: 0"):
        segmentor.evidence_of(torch.zeros(1, 3, 32, 32))


def test_a_network_that_fails_at_any_moment_is_refused(rude: str) -> None:
    with pytest.raises(TeacherError, match="KeyError: 'late'"):
        built(rude, "property")
    with pytest.raises(TeacherError, match=r"own code fails: .*rude\.py:.*: in .*RuntimeError: always on"):
        built(rude, "train")
    segmentor = built(rude, "state")
    with pytest.raises(TeacherError, match=r"own code fails: .*RuntimeError: none to be had"), named(Config()):
        assert segmentor.untrained


def test_what_a_layer_adds_to_its_state_is_no_weight(rude: str) -> None:
    assert built(rude, "text").untrained == ""


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("bare", "own code fails: .*AttributeError: .*_parameters"),  # `super().__init__()` is not called
        ("circle", "own code fails: .*RecursionError"),
        ("16 bits", "fails on 1 image.*its `weight` is float16, and images are float32: let the .* `net.float\\(\\)`$"),
        ("exits as it is told", "fails: .*in `raise Unspeakable`: Unspeakable$"),
    ],
)
def test_what_is_no_network_is_refused(rude: str, does: str, said: str) -> None:
    with pytest.raises(TeacherError, match=said):
        built(rude, does)


def test_a_state_that_is_no_weight_is_not_nan(rude: str) -> None:
    assert nan_weights(built(rude, "nothing")) == []


def test_logits_are_read_whatever_view_they_are() -> None:
    logits = torch.randn(3, 4, 4)
    sets = sets_of(np.ones((1, 4), bool), void=255)
    mine, other = (Arrays.of(View(x), sets, 1.0).maps for x in (-logits, torch._neg_view(logits)))
    assert np.array_equal(mine, other)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (
            dict(type="CrossEntropyLoss", class_weight=[1.0] * 3, avg_non_ignore=True),
            "CrossEntropyLoss fails on logits .*: weight tensor",
        ),
        (dict(type="FocalLoss"), "FocalLoss fails on logits"),
        (dict(type="OhemCrossEntropy"), "OhemCrossEntropy fails on logits .*ignore_index"),
    ],
)
def test_a_loss_that_fails_is_named(rude: str, loss: dict[str, Any], said: str) -> None:
    segmentor = built(rude, "nothing", loss_decode=loss)
    with pytest.raises(ConfigError, match=said):
        segmentor._pixel_loss(torch.zeros(2, 5, 8, 8), torch.zeros(2, 8, 8, dtype=torch.long))


def test_a_scripted_loss_that_fails_is_named_without_a_traceback() -> None:
    class Scripted(torch.nn.Module):
        add = torch.jit.CompilationUnit("def add(x):\n    return x + torch.ones(3)\n").add

        def forward(self, logits: torch.Tensor, target: torch.Tensor, **_: Any) -> Any:
            return self.add(logits)

    with pytest.raises(ConfigError, match=r"Scripted fails on logits .*The size of tensor a") as refusal:
        _loss_of(Scripted(), torch.zeros(2, 5, 8, 8), torch.zeros(2, 8, 8, dtype=torch.long), 255)
    assert "Traceback" not in str(refusal.value)


def test_a_loss_of_each_pixel_counts_as_its_mean(rude: str) -> None:
    logits, target = torch.randn(2, 5, 8, 8), torch.randint(0, 5, (2, 8, 8))
    mean, each = (
        built(rude, "nothing", loss_decode=dict(type="CrossEntropyLoss", reduction=r, avg_non_ignore=True))._pixel_loss(
            logits, target
        )
        for r in ("mean", "none")
    )
    torch.testing.assert_close(mean, each)


def test_networks_of_one_size_are_asked_at_that_size(rude: str) -> None:
    five = ["a", "b", "c", "d", "e"]
    teacher = SegmentorTeacher(built(rude, "narrow", num_classes=5), five, Views())
    with pytest.raises(TeacherError, match=r"32, please; .* set `test_cfg.window` to \(height, width\)"):
        teacher.plan((64, 64), (64, 64))
    SegmentorTeacher(built(rude, "narrow", num_classes=5), five, Views(window=(32, 32))).plan((64, 64), (64, 64))
    teacher = SegmentorTeacher(built(rude, "narrow probabilities", num_classes=5), five, Views(window=(32, 32)))
    with pytest.raises(TeacherError, match="returned probabilities, which add up to 1; expected logits"):
        teacher.plan((64, 64), (64, 64))


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("percent", "returned probabilities times 100, which add up to 100; expected logits"),
        ("half", "returned probabilities times 25"),
        ("queries", "returned probabilities, which add up to 1, as `pred_logits`; expected class logits"),
        ("masks", "returned only values from 0 to 1 as `pred_masks`; expected mask logits: leave the sigmoid out"),
        ("float8", r"returned a tensor \[1, 5, 128, 128\] of float8_e4m3fn .*, in float16 or wider"),
    ],
)
def test_what_is_no_logits_is_refused(rude: str, does: str, said: str) -> None:
    with pytest.raises(TeacherError, match=said):
        built(rude, does)


@pytest.mark.parametrize("training", [False, True])
def test_logits_that_become_probabilities_later_are_refused(rude: str, training: bool) -> None:
    segmentor = built(rude, "later", drop_channels=[4]).train(training)
    segmentor.evidence_of(torch.randn(1, 3, 32, 32))
    segmentor.net.ready = True
    with pytest.raises(TeacherError, match="returned probabilities, which add up to 1; expected logits"):
        segmentor.evidence_of(torch.randn(1, 3, 32, 32))


@pytest.mark.parametrize("does", ["positive", "one colour", "nothing"])
def test_logits_that_are_never_negative_are_no_probabilities(rude: str, does: str) -> None:
    assert "sigmoid" not in built(rude, does).assumed


def test_values_of_a_sigmoid_are_said_to_be_taken_for_logits(rude: str) -> None:
    assert "only values from 0 to 1, is taken for logits: if it is a sigmoid's" in built(rude, "sigmoid").assumed


def test_a_window_that_no_memory_holds_is_refused(rude: str) -> None:
    teacher = SegmentorTeacher(built(rude, "nothing"), ["a", "b", "c", "d", "e"], Views(window=(2**20, 2**20)))
    with pytest.raises(TeacherError, match="out of memory with a window of 1048576 x 1048576 pixels"):
        teacher.plan((64, 64), (64, 64))
