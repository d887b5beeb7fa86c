"""SegFormer-B5, the off-road datasets in 34 off-road classes: see docs/reproducing.md."""

_base_ = [
    "../_base_/data/offroad_offroad.py",
    "../_base_/models/segformer_b5.py",
    "../_base_/schedule_paper.py",
]
model = dict(decode_head=dict(num_classes=34))
