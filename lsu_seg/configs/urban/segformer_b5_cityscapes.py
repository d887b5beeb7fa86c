"""SegFormer-B5, the urban datasets in Cityscapes' 19 classes: see docs/reproducing.md."""

_base_ = [
    "../_base_/data/urban_cityscapes.py",
    "../_base_/models/segformer_b5.py",
    "../_base_/schedule_paper.py",
]
model = dict(decode_head=dict(num_classes=19))
