"""mmengine hooks: `training.py` for any training, the others for one whose datasets are taxonomies'."""

from lsu_seg.hooks.ontology import OntologyHook
from lsu_seg.hooks.refresh import TeacherRefreshHook
from lsu_seg.hooks.training import ChannelsLastHook, TestProgressHook, TrainProgressHook

__all__ = ["ChannelsLastHook", "OntologyHook", "TeacherRefreshHook", "TestProgressHook", "TrainProgressHook"]
