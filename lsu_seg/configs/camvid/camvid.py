"""CamVid: twenty fine-labelled frames for the teacher, the other frames in coarse classes as the extra dataset.

    lsu-seg relabel camvid_coarse --source camvid11 --data-root CAMVID --split train -o work/camvid_coarse
    lsu-seg unify lsu_seg/configs/camvid/camvid.py --data-root CAMVID

Indices split one folder of 100 frames: every fifth for the teacher, the rest for the extra dataset.
"""

_base_ = ["../_base_/resnet_fpn_small.py", "../_base_/schedule_short.py"]
custom_imports = dict(imports=["lsu_seg"])
default_scope = "mmseg"
custom_hooks = [dict(type="ChannelsLastHook")]

source = "camvid11"
data_root = "data/camvid"
coarse_root = "work/camvid_coarse"
fine_frames = list(range(0, 100, 5))
coarse_frames = [i for i in range(100) if i % 5]
model = dict(decode_head=dict(num_classes=11))

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadTaxAnnotations"),
    dict(type="RandomResize", scale=(480, 360), ratio_range=(0.6, 1.4), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(224, 288), cat_max_ratio=0.9),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PhotoMetricDistortion"),
    dict(type="PackTaxInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadTaxAnnotations"),
    dict(type="PackTaxInputs"),
]

train_dataloader = dict(
    batch_size=4,
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
                weight=2.0,  # of the student's samples a third are these frames
            )
        ],
    ),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="TaxDataset", taxonomy="camvid11", data_root=data_root, split="val", pipeline=test_pipeline
    ),
)
val_evaluator = dict(type="OntologyIoU", source=source)
train_cfg = dict(max_iters=1500, val_interval=1500)

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
    student_init="teacher",
    views=dict(scales=(0.75, 1.0), flips=(False, True)),
    evaluate=dict(
        source_val=dict(type="TaxDataset", taxonomy="camvid11", data_root=data_root, split="val"),
    ),
)
