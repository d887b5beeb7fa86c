"""A network that knows other classes as the beginning of one: a linear layer makes logits of the new classes."""

from __future__ import annotations

import torch
from torch import nn

from lsu_seg.errors import TeacherError
from lsu_seg.models.factory import find, make
from lsu_seg.openmmlab.compat import load_checkpoint
from lsu_seg.openmmlab.weights import load_into

SIDE = 128
"""Of the blank image that says how many channels the network has."""


def build(factory: str, checkpoint: str, classes: int) -> nn.Module:
    """The network of `factory` with the weights of a file, and a layer of random weights behind it.

    Args:
        factory: `file.py:function`, which makes a network that returns logits. classes: the channels of the new layer.
    """
    net = make(find(factory), {})
    load_into(net, load_checkpoint(checkpoint, map_location="cpu"), checkpoint)
    with torch.no_grad():
        logits = net.eval()(torch.zeros(1, 3, SIDE, SIDE))
    if not isinstance(logits, torch.Tensor) or logits.ndim != 4:
        raise TeacherError(f"`{factory}` makes a network that returns no logits `[N, C, h, w]`; write one that does")
    return nn.Sequential(net, nn.Conv2d(logits.shape[1], classes, 1))
