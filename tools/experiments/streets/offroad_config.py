"""The models of `offroad.py`: those of CamVid, with YCOR's eight classes.

Frames are seen at half of YCOR's size, RUGD's with the same number of rows.
"""

_base_ = ["../../../lsu_seg/configs/camvid/camvid.py"]
source = "ycor"
scale = (512, 272)

model = dict(
    decode_head=dict(
        num_classes=8,
        # About 1/sqrt of the classes' shares of the pixels, no more than 4: puddles and obstacles are below 1 %.
        loss_decode=dict(source=source, class_weight=[0.9, 1.0, 0.9, 4.0, 4.0, 1.5, 0.6, 1.1]),
    ),
)
train_pipeline = [
    dict(type="LoadTaxImage"),
    dict(type="LoadTaxAnnotations"),
    dict(type="RandomResize", scale=scale, ratio_range=(0.6, 1.2), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(160, 256), cat_max_ratio=0.9),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PhotoMetricDistortion"),
    dict(type="PackTaxInputs"),
]
test_pipeline = [
    dict(type="LoadTaxImage"),
    dict(type="Resize", scale=scale, keep_ratio=True),  # before the labels, which keep their size
    dict(type="LoadTaxAnnotations"),
    dict(type="PackTaxInputs"),
]
train_dataloader = dict(dataset=dict(source=source, pipeline=train_pipeline, datasets=[]), sampler=dict(batch_size=8))
val_dataloader = dict(dataset=dict(taxonomy=source, source=source, pipeline=test_pipeline))
val_evaluator = dict(source=source, views=("source", "set"))
train_cfg = dict(max_iters=300, val_interval=300)
views = dict(scales=(1.0,), flips=(False, True))
