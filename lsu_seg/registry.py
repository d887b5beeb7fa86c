"""The address at which mmengine looks for the registries of the scope `lsu_seg`; they are made in `openmmlab`."""

from lsu_seg.openmmlab.registry import *  # noqa: F403
