"""Imports everything of ours that registers with mmengine. Imported at the first look-up in a registry."""

from lsu_seg import backbones, datasets, hooks, losses, metrics, samplers, transforms
from lsu_seg.pseudo import loop

__all__ = ["backbones", "datasets", "hooks", "loop", "losses", "metrics", "samplers", "transforms"]
