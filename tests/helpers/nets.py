"""A file with functions that make a torch network, as a user has one, and a file beside it that it imports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

BLOCKS = """\
from torch import nn


def block(inside, outside):
    return nn.Sequential(nn.Conv2d(inside, outside, 3, 2, 1), nn.BatchNorm2d(outside), nn.ReLU())
"""

NET = """\
from types import SimpleNamespace

import torch
from torch import nn

from blocks import block


class Net(nn.Module):
    def __init__(self, classes, shape, multiple):
        super().__init__()
        self.shape, self.multiple = shape, multiple
        self.stem, self.head, self.aux = block(3, 8), nn.Conv2d(8, classes, 1), nn.Conv2d(8, classes, 1)

    def forward(self, images):
        if images.shape[2] % self.multiple or images.shape[3] % self.multiple:
            raise ValueError(f"sides {tuple(images.shape[2:])}")
        features = self.stem(images)
        logits, aux = self.head(features), self.aux(features)
        if self.shape == "dict":
            return {"aux": aux, "out": logits}
        if self.shape == "object":
            return SimpleNamespace(logits=logits)
        if self.shape == "list":
            return [aux, logits] if self.training else [logits]
        if self.shape in ("hf", "detectron"):
            empty = torch.full((1, 1), -4.0)
            classes = torch.eye(logits.shape[1]).mul(8) - 4
            classes = torch.cat([classes, empty.expand(len(classes), 1)], 1).expand(len(images), -1, -1)
            if self.shape == "hf":
                return SimpleNamespace(class_queries_logits=classes, masks_queries_logits=logits)
            return {"pred_logits": classes, "pred_masks": logits}
        return logits


def build(classes=5, shape="tensor", multiple=2):
    return Net(classes, shape, multiple)


def seeded():
    torch.manual_seed(5)
    net = Net(5, "tensor", 2)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.5)
    return net


def numbers():
    return 5


def fails(width=0):
    raise RuntimeError("no width")


def ends():
    raise SystemExit("the program ends")


network = Net(5, "tensor", 2)
half_size = "no function"
"""


def write_net(folder: Path) -> str:
    """`net.py` and `blocks.py`; returns `net.py:build`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "blocks.py").write_text(BLOCKS)
    (folder / "net.py").write_text(NET)
    return f"{folder / 'net.py'}:build"


def lively(net: Any, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights that make lively maps, put into a network and returned."""
    torch.manual_seed(seed)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return dict(net.state_dict())


def save_net(path: Path, factory: str, seed: int = 0, prefix: str = "", **arguments: Any) -> Path:
    """The weights of a network, as `torch.save(net.state_dict(), path)` writes them."""
    from lsu_seg.models.factory import find, make

    weights = lively(make(find(factory), arguments), seed)
    torch.save({f"{prefix}{name}": value for name, value in weights.items()}, path)
    return path
