"""The demo: a small model on drawn scenes. An ordinary MMSeg config, plus the section `unify`.

`lsu-seg demo` draws the data first; then `lsu-seg unify` runs every stage, `lsu-seg train` the teacher alone.
"""

_base_ = ["../_base_/resnet_fpn_small.py", "../_base_/schedule_short.py"]
custom_imports = dict(imports=["lsu_seg"])
default_scope = "mmseg"
custom_hooks = [dict(type="ChannelsLastHook")]

source = "demo"
data_root = "work/demo/data"
model = dict(backbone=dict(type="ResNet"), decode_head=dict(num_classes=15))

train_pipeline = [
    dict(type="LoadTaxImage"),
    dict(type="LoadTaxAnnotations"),
    dict(type="RandomResize", scale=(192, 96), ratio_range=(0.75, 1.5), keep_ratio=True),
    dict(type="TaxRandomCrop", crop_size=(96, 192)),
    dict(type="Pad", size=(192, 96), pad_val=dict(img=0, seg=255)),
    dict(type="RandomFlip", prob=0.5),
    dict(type="TaxPhotoMetricDistortion"),
    dict(type="SubsampleTarget"),  # the loss of every second row and column: a third of a step less
    dict(type="PackTaxInputs"),
]
test_pipeline = [
    dict(type="LoadTaxImage"),
    dict(type="LoadTaxAnnotations"),
    dict(type="PackTaxInputs"),
]

train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type="CompoundSampler", batch_size=4),
    dataset=dict(
        type="CompoundDataset",
        source=source,
        pipeline=train_pipeline,
        datasets=[dict(type="TaxDataset", taxonomy="demo", data_root=f"{data_root}/source", split="train", weight=8.0)],
    ),
)
val_dataloader = dict(
    batch_size=10,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="TaxDataset",
        taxonomy="demo",
        data_root=f"{data_root}/source",
        split="val",
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type="OntologyIoU", source=source)
# One call for all weights, norms included, takes half as long as one for each.
optim_wrapper = dict(
    _delete_=True, type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-2, weight_decay=0.01, fused=True)
)
param_scheduler = [dict(type="OneCycleLR", eta_max=2e-2, pct_start=0.15, by_epoch=False)]
train_cfg = dict(max_iters=700, val_interval=10000)  # judged at the end, by its own stage

unify = dict(
    extra=dict(
        town=dict(
            dataset=dict(
                type="TaxDataset",
                taxonomy="demo_town",
                source=source,
                data_root=f"{data_root}/town",
                split="train",
            ),
            truth=dict(taxonomy="demo", folder=f"{data_root}/town/truth/train"),
        ),
        country=dict(
            dataset=dict(
                type="TaxDataset",
                taxonomy="demo_country",
                source=source,
                data_root=f"{data_root}/country",
                split="train",
            ),
            truth=dict(taxonomy="demo", folder=f"{data_root}/country/truth/train"),
        ),
    ),
    student_init="teacher",
    students=("raw", "constrained", "set"),
    unsure=0.25,
    views=dict(scales=(1.0, 1.5), flips=(False, True)),
    evaluate=dict(
        source_val=dict(type="TaxDataset", taxonomy="demo", data_root=f"{data_root}/source", split="val"),
        zero_shot=dict(type="TaxDataset", taxonomy="demo", data_root=f"{data_root}/zero_shot", split="val"),
        # In its own classes: what the views of `report` beside the source's are about.
        town_val=dict(
            type="TaxDataset",
            taxonomy="demo_town",
            source=source,
            data_root=f"{data_root}/town",
            split="val",
        ),
    ),
)
