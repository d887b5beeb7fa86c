"""UPerNet on Swin-B, the off-road datasets in 34 off-road classes: see docs/reproducing.md."""

_base_ = [
    "../_base_/data/offroad_offroad.py",
    "../_base_/models/upernet_swin_b.py",
    "../_base_/schedule_paper.py",
]
model = dict(decode_head=dict(num_classes=34), auxiliary_head=dict(num_classes=34))
