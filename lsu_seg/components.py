"""Imports everything of ours that registers with mmengine. Imported at the first look-up in a registry."""

from lsu_seg import hooks, metrics
from lsu_seg.data import datasets, samplers, transforms
from lsu_seg.losses import mmseg as losses
from lsu_seg.models import backbones, huggingface, mask_heads
from lsu_seg.pseudo import loop, shards

__all__ = [
    "backbones",
    "datasets",
    "hooks",
    "huggingface",
    "loop",
    "losses",
    "mask_heads",
    "metrics",
    "samplers",
    "shards",
    "transforms",
]
