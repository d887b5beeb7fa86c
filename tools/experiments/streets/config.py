"""The student of `run.py`: a Cityscapes model of torch that is trained on, and its union of three datasets.

`run.py` fills in the network, its checkpoint, the folders and the pseudo-labels. Images are seen at the scale that the
teacher was trained at, 1024x512 for those of Cityscapes; the others have about as many rows.
"""

_base_ = ["../../../lsu_seg/configs/_base_/schedule_short.py"]
custom_imports = dict(imports=["lsu_seg"])
default_scope = "mmseg"
source = "cityscapes"
scale = (1024, 512)

model = dict(
    type="StreetsSegmentor",
    drop_channels=[19],  # ESPNetv2 of EdgeNets has a channel for the background
    size_divisor=16,
    loss_decode=dict(type="SetNLLLoss", source=source),
)
train_pipeline = [
    dict(type="LoadTaxImage"),
    dict(type="LoadTaxAnnotations"),
    dict(type="RandomResize", scale=scale, ratio_range=(0.6, 1.2), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(192, 320), cat_max_ratio=0.9),
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
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type="CompoundSampler", batch_size=4),
    dataset=dict(type="CompoundDataset", source=source, pipeline=train_pipeline, datasets=[]),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="TaxDataset", taxonomy=source, source=source, pipeline=test_pipeline),
)
val_evaluator = dict(type="OntologyIoU", source=source)
optim_wrapper = dict(optimizer=dict(lr=3e-4))
param_scheduler = [dict(type="OneCycleLR", eta_max=3e-4, pct_start=0.15, by_epoch=False)]
train_cfg = dict(max_iters=240, val_interval=240)
custom_hooks = [dict(type="ChannelsLastHook")]  # a quarter faster on a CPU
views = dict(scales=(1.0,), flips=(False, True))
