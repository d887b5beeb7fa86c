"""Imports everything of ours that registers with mmengine. Imported at the first look-up in a registry."""

import lsu_seg.data.datasets
import lsu_seg.data.samplers
import lsu_seg.data.transforms
import lsu_seg.evaluation.metrics
import lsu_seg.losses.mmseg
import lsu_seg.models.backbones
import lsu_seg.models.huggingface
import lsu_seg.models.mask_heads
import lsu_seg.pseudo.loop
import lsu_seg.pseudo.shards
import lsu_seg.training.ontology
import lsu_seg.training.progress
import lsu_seg.training.refresh  # noqa: F401
