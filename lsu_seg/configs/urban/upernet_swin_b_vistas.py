"""UPerNet on Swin-B, the urban datasets in Mapillary Vistas' 63 classes: see docs/reproducing.md."""

_base_ = [
    "../_base_/data/urban_vistas.py",
    "../_base_/models/upernet_swin_b.py",
    "../_base_/schedule_paper.py",
]
model = dict(decode_head=dict(num_classes=63), auxiliary_head=dict(num_classes=63))
