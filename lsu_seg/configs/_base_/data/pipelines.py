# How images are read, cropped and drawn, the same for every recipe. Data lie in `data/<name>`; `--data-root` moves all.
data_root = "data"
crop_size = (750, 1536)
train_pipeline = [
    dict(type="LoadTaxImage"),
    dict(type="LoadTaxAnnotations"),
    dict(type="RandomResize", scale=crop_size[::-1], ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type="TaxRandomCrop", crop_size=crop_size, cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="TaxPhotoMetricDistortion"),
    dict(type="PackTaxInputs"),
]
test_pipeline = [dict(type="LoadTaxImage"), dict(type="LoadTaxAnnotations"), dict(type="PackTaxInputs")]

train_dataloader = dict(
    batch_size=4,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type="CompoundSampler", batch_size=4, endless=False),
    dataset=dict(type="CompoundDataset", pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="TaxDataset", pipeline=test_pipeline),
)
