"""Networks whose own code fails, at any moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from lsu_seg.errors import TeacherError
from lsu_seg.openmmlab.failures import named
from lsu_seg.teachers import SegmentorTeacher, Views

RUDE = """\
import sys
from torch import nn


class Rude(nn.Conv2d):
    def __init__(self, does):
        super().__init__(3, 5, 1)
        self.does, self.ready = does, False
        nn.init.zeros_(self.weight), nn.init.zeros_(self.bias)

    def forward(self, images):
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


def build(does):
    return Rude(does)
"""


@pytest.fixture
def rude(tmp_path: Path) -> str:
    (tmp_path / "rude.py").write_text(RUDE)
    return f"{tmp_path / 'rude.py'}:build"


def built(factory: str, does: str) -> Any:
    init_default_scope("mmseg")
    with named(Config()):
        return MODELS.build(dict(type="TorchSegmentor", factory=factory, args=dict(does=does)))


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


def test_a_window_that_no_memory_holds_is_refused(rude: str) -> None:
    teacher = SegmentorTeacher(built(rude, "nothing"), ["a", "b", "c", "d", "e"], Views(window=(2**24, 2**24)))
    with pytest.raises(TeacherError, match="out of memory with a window of 16777216 x 16777216 pixels"):
        teacher.plan((64, 64), (64, 64))
