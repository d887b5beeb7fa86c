"""Imports everything of ours that registers with mmengine. Imported at the first look-up in a registry.

By name, as mmengine imports what a config names: nothing in this room knows the rooms above it.
"""

from importlib import import_module

for _name in (
    "data.augment",
    "data.colour",
    "data.compound",
    "data.copy_paste",
    "data.datasets",
    "data.samplers",
    "data.transforms",
    "evaluation.metrics",
    "losses.category",
    "losses.mmseg",
    "models.backbones",
    "models.ensemble",
    "models.huggingface",
    "models.prompted",
    "models.mask_heads",
    "models.torch_segmentor",
    "pseudo.loop",
    "pseudo.shards",
    "training.divergence",
    "training.ontology",
    "training.panels",
    "training.progress",
    "training.refresh",
    "training.trackers",
):
    import_module(f"lsu_seg.{_name}")
