# Off-road datasets in the 34 off-road classes: the teacher is trained on GOOSE, whose labels alone decide all 34.
_base_ = "offroad.py"
source = "offroad"
home = "goose"
sets = {
    name: dict(
        type="TaxDataset",
        source=source,
        data_root=f"{_base_.data_root}/{d.get('folder', name)}",
        **{key: value for key, value in d.items() if key != "folder"},
    )
    for name, d in {**_base_.datasets, **_base_.zero_shot}.items()
}
train_dataloader = dict(dataset=dict(source=source, datasets=[dict(sets[home], weight=4.0)]))
val_dataloader = dict(dataset=dict(sets[home], split="val"))
val_evaluator = dict(type="OntologyIoU", source=source)
unify = dict(
    extra={name: dict(dataset=sets[name]) for name in _base_.datasets if name != home},
    students=("set",),
    unsure=0.25,
    views=dict(scales=(0.5, 1.0, 1.5, 2.0), flips=(False, True)),
    evaluate={
        f"{home}_val": dict(sets[home], split="val"),
        **{name: sets[name] for name in _base_.zero_shot},
    },
)
