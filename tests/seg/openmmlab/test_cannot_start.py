"""What mmengine raises while a run is built is named with the key to change."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from mmengine.runner import Runner

from helpers.tiny import LOAD, label_config
from helpers.tiny_run import MEMBER, changed
from lsu_seg.errors import UserError
from lsu_seg.evaluation.run import measure
from lsu_seg.openmmlab.frames import PARTS
from lsu_seg.pseudo.run import pseudo_label
from lsu_seg.training.run import train


def test_the_parts_of_mmengines_runner() -> None:
    assert [name for name in PARTS if not hasattr(Runner, name)] == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        # names
        (
            {"model.type": "EncodrDecoder"},
            "`model.type` is `EncodrDecoder`, and no class of that name is registered; did",
        ),
        ({"model.backbone.norm_cfg.type": "BNN"}, "`model.backbone.norm_cfg.type` is `BNN`"),
        (
            {f"{MEMBER}.type": "TaxDatset"},
            f"`{MEMBER}.type` is `TaxDatset`, and no class of that name is registered; did",
        ),
        ({f"{MEMBER}.pipeline.0.type": "LoadImag"}, f"`{MEMBER}.pipeline.0.type` is `LoadImag`"),
        ({"train_cfg.type": "IterBasedTrainLop"}, "did you mean `IterBasedTrainLoop`?"),
        ({"optim_wrapper.optimizer.type": "SGDD"}, "`optim_wrapper.optimizer.type` is `SGDD`"),
        ({"param_scheduler.0.type": "PolLR"}, "did you mean `PolyLR`?"),
        ({"train_dataloader.sampler.type": "CompoundSample"}, "did you mean `CompoundSampler`?"),
        (
            {f"{MEMBER}.pipeline.0.type": ""},
            f"`{MEMBER}.pipeline.0.type` is ``, and no class of that name is registered",
        ),
        ({"model.decode_head.norm_cfg.type": ""}, "`model.decode_head.norm_cfg.type` is ``, and no class"),
        ({"param_scheduler.0.type": "abc"}, "`param_scheduler.0.type` is `abc`, and no class of that name is"),
        ({"default_scope": ""}, "write `default_scope = 'mmseg'`"),
        ({"default_scope": "mmsg"}, "which the scope `mmsg` does not have: write `default_scope = 'mmseg'`"),
        # keys that nothing takes
        (
            {"train_cfg.max_iter": 3},
            "nothing reads `train_cfg.max_iter`: `IterBasedTrainLoop` does not take `max_iter`; did",
        ),
        ({f"{MEMBER}.taxonmy": "x"}, "`TaxDataset` does not take `taxonmy`; did you mean `taxonomy`?"),
        (
            {"train_dataloader.dataset.type": "ConcatDataset", "train_dataloader.dataset.source": "tiny"},
            "`train_dataloader.dataset.source`: `ConcatDataset` does not take `source`; `CompoundDataset` does",
        ),
        ({f"{MEMBER}.type": "CityscapesDataset"}, "`CityscapesDataset` does not take `taxonomy`; `TaxDataset` does"),
        ({"model.decode_head.loss_decode.wight": 1}, "nothing reads `model.decode_head.loss_decode.wight`"),
        ({"train_dataloader.num_worker": 1}, "`DataLoader` does not take `num_worker`; did you mean `num_workers`?"),
        ({"param_scheduler.0.powr": 1}, "`PolyLR` does not take `powr`; did you mean `power`?"),
        ({"env_cfg": {"mp_cfg": {"mp_start_metho": "fork"}}}, "did you mean `mp_start_method`?"),
        ({"custom_hooks": [dict(type="EMAHook", momentu=1)]}, "nothing reads `custom_hooks.0.momentu`"),
        (
            {"custom_hooks": [dict(type="EMAHook", ema_type="ExpMomentumEMAA")]},
            "`custom_hooks.0` names `ExpMomentumEMAA`, and no class of that name is registered",
        ),
        # keys that are missing
        ({"train_cfg.max_iters": None}, "`train_cfg` lacks `max_iters`, which `IterBasedTrainLoop` needs"),
        ({"model.backbone": None}, "`model` lacks `backbone`, which `EncoderDecoder` needs"),
        (
            {f"{MEMBER}.taxonomy": None, f"{MEMBER}.taxonomie": "tiny"},
            f"nothing reads `{MEMBER}.taxonomie`: `TaxDataset` does not take `taxonomie`; did you mean `taxonomy`?",
        ),
        ({"model": None}, "config.py has no `model = dict(type=…, …)`"),
        ({"default_hooks.checkpint.interval": 3}, "`default_hooks.checkpint` has no `type`"),
        ({"train_dataloader.dataset": None}, "`train_dataloader` has no `dataset`"),
        ({"optim_wrapper": None, "param_scheduler": None}, "the config has `train_dataloader` and `train_cfg` and no"),
        # values that are not taken
        (
            {"train_dataloader.persistent_workers": True},
            "`train_dataloader` cannot be used as it is: ValueError: persist",
        ),
        (
            {"train_dataloader.num_workers": 1, "train_dataloader.prefetch_factor": 0},
            "a data loader of the config cannot start its processes: AssertionError: prefetch_factor must be greater",
        ),
        (
            {"train_dataloader.num_workers": 1, "train_dataloader.generator": 5},
            "a data loader of the config cannot start its processes: TypeError: random_() received",
        ),
        ({"env_cfg": 5}, "`env_cfg` is 5; expected `dict("),
        ({"env_cfg": dict(mp_cfg="fork")}, "`env_cfg.mp_cfg` is 'fork'; expected `dict("),
        (
            {"train_dataloader.num_batch_per_epoch": 0},
            "`train_dataloader.num_batch_per_epoch` is 0; expected a whole number, 1 or more",
        ),
        (
            {"train_dataloader.dataset": dict(_delete_=True, type="RepeatDataset", times=0, dataset={})},
            "`train_dataloader.dataset.times` is 0; expected a whole number, 1 or more",
        ),
        (
            {"model.decode_head.loss_decode": []},
            "decode_head has no loss: write `decode_head=dict(loss_decode=dict(type='SetNLLLoss', source='tiny'))`",
        ),
        ({"optim_wrapper.optimizer.lr": -1}, "`optim_wrapper.optimizer` cannot be used as it is: ValueError: Invalid"),
        (
            {"optim_wrapper.optimizer.type": "Adafactor"},  # transformers', which mmengine registers
            "`optim_wrapper.optimizer` cannot be used as it is: ValueError: Cannot combine manual `lr`",
        ),
        ({"param_scheduler.0.end": -1}, "`param_scheduler.0` cannot be used as it is: ValueError: end should"),
        ({"default_hooks.checkpoint.interval": "x"}, "`default_hooks.checkpoint.interval` is 'x'; expected a whole"),
        (
            {"default_hooks.checkpoint": dict(save_best="x", rule="x")},
            "`default_hooks.checkpoint` cannot be used as it",
        ),
        ({"optim_wrapper.optimizer.lr": 1e39}, "without overflow (in `optim_wrapper.optimizer`)"),
        (
            {"param_scheduler": [dict(type="StepLR", step_size=0, by_epoch=False)]},
            "ZeroDivisionError: integer modulo by zero (in `param_scheduler`)",
        ),
        ({"train_cfg.max_iters": 1e300}, "`train_cfg.max_iters` is 1e+300; expected a whole number, 1000000000000 or"),
        ({"train_cfg": dict(_delete_=True, type="ValLoop")}, "`train_cfg.type` is 'ValLoop'; expected `IterBased"),
        ({"train_cfg.type": "SetNLLLoss"}, "`train_cfg.type` is `SetNLLLoss`, and no loop of that name is registered"),
        ({"sync_bn": "torc"}, "`sync_bn` is 'torc'; expected 'torch' or 'mmcv'"),
        ({"efficient_conv_bn_eval": ["bakbone"]}, "`efficient_conv_bn_eval` cannot be used as it is: AttributeError"),
        (
            {"randomness": {"seed": 2**32 - 1}},
            "`randomness.seed` is 4294967295; expected a whole number from 0 to 21474",
        ),
        ({"randomness": {"seed": "x"}}, "`randomness` cannot be used as it is"),
        ({"custom_imports": ["lsu_seg"]}, "`custom_imports` is ['lsu_seg']; expected `dict(imports=['a_module'])`"),
        ({"custom_imports.imports": [5]}, "`custom_imports` is {'imports': [5]}; expected `dict(imports=['a_module'"),
        ({"work_dir": 3}, "`work_dir` is 3; expected a folder"),
        ({"log_level": "LOUD"}, "`log_level` cannot be used as it is: KeyError: 'LOUD'"),
        ({"custom_hooks": dict(type="EMAHook")}, "`custom_hooks` is {'type': 'EMAHook'}; expected a list"),
        (
            {"model.data_preprocessor": None},
            "`model.data_preprocessor` is None or missing, so nothing says how",
        ),
        ({f"{MEMBER}.pipeline": [dict(type="RandomFlip", prob=1.5)]}, "AssertionError: in `assert 0 <= prob <= 1`"),
        (
            {f"{MEMBER}.pipeline": [*LOAD[:2], dict(type="CLAHE", tile_grid_size=(0, 8)), LOAD[2]]},
            f"`{MEMBER}.pipeline.2.tile_grid_size` is (0, 8); expected two whole numbers, 1 or more",
        ),
        (
            {f"{MEMBER}.pipeline": [*LOAD[:2], dict(type="ImageToTensor", keys=["img"]), LOAD[2]]},
            "`PackTaxInputs` makes the tensors, and `img` is one already",
        ),
        ({"train_dataloader.num_workers": 10**5}, "`train_dataloader.num_workers` is 100000; expected 512 or fewer"),
        ({"train_dataloader.num_workers": 1.5}, "`train_dataloader.num_workers` is 1.5; expected a whole number, 0 or"),
        ({"optim_wrapper.accumulative_counts": 2.5}, "`optim_wrapper.accumulative_counts` is 2.5; expected a whole"),
        ({"train_dataloader.batch_size": True}, "`train_dataloader.batch_size` is True; expected a whole number, 1 or"),
        ({"train_dataloader.sampler": True}, "`train_dataloader.sampler` is True; expected `dict(type=…, …)`"),
        ({"train_dataloader.sampler": []}, "`train_dataloader.sampler` is []; expected `dict(type=…, …)`"),
        ({"model.test_cfg": True}, "`model.test_cfg` is True; expected `dict(…)`"),
        ({"model.decode_head.num_classes": "abc"}, "`model.decode_head.num_classes` is 'abc'; expected how many"),
        ({f"{MEMBER}.source": [1, 2]}, f"`{MEMBER}.source` is [1, 2]; expected a text"),
        ({f"{MEMBER}.data_root": 0}, f"`{MEMBER}.data_root` is 0; expected a text"),
        ({f"{MEMBER}.paths": "tax"}, f"`{MEMBER}.paths` is 'tax'; expected a list of folders"),
        ({"train_dataloader.dataset.source": -1}, "`train_dataloader.dataset.source` is -1; expected a text"),
        # files
        ({"load_from": "/nowhere.pth"}, "`load_from`: there is no checkpoint `/nowhere.pth`"),
        (
            {"model.backbone.init_cfg": dict(type="Pretrained", checkpoint="/no.pth")},
            "`model.backbone.init_cfg`: there is no checkpoint `/no.pth`",
        ),
        # the first step
        (
            {"log_processor": dict(custom_cfg=[dict(data_src="loss", method_name="men", window_size=2)])},
            "KeyError: 'men has not been registered in HistoryBuffer._statistics_methods' (in `log_processor`)",
        ),
        (
            {"model.decode_head.in_channels": 5},
            "the first step fails in `decode_head.convs.0.conv` of the model: Runtime",
        ),
    ],
)
def test_a_training_that_cannot_start(world: Path, tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        train(changed(world, tmp_path, options), quiet=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"test_cfg.thresold": 0.5}, "`PseudoLabelLoop` does not take `thresold`; did you mean `threshold`?"),
        ({"test_cfg.flips": True}, "flips are True; expected a list of true and false: [false, true]"),
        (
            {"model.data_preprocessor": None},
            "`model.data_preprocessor` is None or missing, so nothing says how",
        ),
        ({"test_cfg.out_dir": 3}, "`test_cfg.out_dir` is 3; expected a folder"),
        ({"test_dataloader.persistent_workers": True}, "cannot be used as it is: ValueError: persistent_workers"),
        ({"test_dataloader.dataset": 3}, "`test_dataloader` has no `dataset`"),
        (
            {"test_dataloader.dataset": dict(_delete_=True, type="RepeatDataset", dataset={}, times=2)},
            "`test_dataloader.dataset` is a RepeatDataset around datasets; a PseudoLabelLoop labels one TaxDataset",
        ),
    ],
)
def test_a_labelling_that_cannot_start(world: Path, tmp_path: Path, options: dict[str, Any], said: str) -> None:
    dataset = dict(taxonomy=str(world / "tax/park.tax"), data_root=str(world / "park"), split="train")
    cfg = label_config(dataset, tmp_path)
    cfg.merge_from_dict(options)
    with pytest.raises(UserError, match=re.escape(said)):
        pseudo_label(cfg, world / "teacher.pth", quiet=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"test_evaluator.sorce": "x"}, "`OntologyIoU` does not take `sorce`; did you mean `source`?"),
        ({"test_evaluator": "OntologyIoU"}, "write `val_evaluator = dict(type='OntologyIoU', source=…)`"),
        (
            {"model.data_preprocessor": None},
            "`model.data_preprocessor` is None or missing, so nothing says how",
        ),
        ({"test_evaluator": dict(_delete_=True, type="OntologyIoU")}, "write `val_evaluator = dict(type='OntologyIoU'"),
        ({"model.hf": 3}, "`model.hf` is 3; expected `dict(pretrained='FOLDER')`"),
        ({"test_dataloader.dataset.indices": "x"}, "`indices` of"),
        ({"test_dataloader": "x"}, "`test_dataloader` has no `dataset`"),
        ({"test_dataloader.dataset.type": "ConcatDataset"}, "the evaluation set `test` is a ConcatDataset"),
        (
            {"test_dataloader.dataset": dict(_delete_=True, type="RepeatDataset", dataset={}, times=2)},
            "the evaluation set `test` is a RepeatDataset around a dataset, and each image is judged once",
        ),
    ],
)
def test_an_evaluation_that_cannot_start(world: Path, tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        measure(changed(world, tmp_path, options), world / "teacher.pth", quiet=True)
