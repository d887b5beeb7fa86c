"""Mask2Former on Swin-B, the off-road datasets in 34 off-road classes: see docs/reproducing.md."""

_base_ = [
    "../_base_/data/offroad_offroad.py",
    "../_base_/models/mask2former_swin_b.py",
    "../_base_/schedule_paper.py",
]
model = dict(num_classes=34, source="offroad")
