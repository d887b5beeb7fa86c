"""Mask2Former on Swin-B, the urban datasets in Cityscapes' 19 classes: see docs/reproducing.md."""

_base_ = [
    "../_base_/data/urban_cityscapes.py",
    "../_base_/models/mask2former_swin_b.py",
    "../_base_/schedule_paper.py",
]
model = dict(num_classes=19, source="cityscapes")
