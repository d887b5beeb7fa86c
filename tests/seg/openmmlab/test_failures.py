"""What mmengine raises while a run is built and started is named with the key to change; nothing else is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from helpers.tiny import LOAD, draw, label_config, model_config, save, save_checkpoint, write_park, write_tax
from lsu_seg.data.datasets import TaxDataset
from lsu_seg.data.transforms import LoadTaxAnnotations
from lsu_seg.errors import ConfigError, UserError
from lsu_seg.evaluation.run import measure
from lsu_seg.label_files.errors import LabelFileError
from lsu_seg.openmmlab.frames import PARTS
from lsu_seg.pseudo.run import pseudo_label
from lsu_seg.training import checks
from lsu_seg.training.run import train

MEMBER = "train_dataloader.dataset.datasets.0"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    write_tax(root / "tax")
    write_park(root / "park", {"a": [0, 1, 2, 3, 4, 5, -1]})
    image, channels = draw(0, [0, 1, 2, 3, 4, 255])
    for place in ("fine train/a", "fine val/a", "three train/a", "three train/b", "three train/c"):
        folder, key = place.split()
        save(root / f"{folder}/images/{key}.png", image)
        save(root / f"{folder}/labels/{key}.png", channels.astype(np.uint8))
    save_checkpoint(root / "teacher.pth")
    return root


def config(world: Path, work: Path) -> Config:
    dataset = dict(
        type="TaxDataset", taxonomy=str(world / "tax/tiny.tax"), data_root=str(world / "fine"), pipeline=LOAD
    )
    return Config(
        dict(
            custom_imports=dict(imports=["lsu_seg"]),
            default_scope="mmseg",
            log_level="ERROR",
            work_dir=str(work),
            model=model_config(),
            train_dataloader=dict(
                batch_size=1,
                sampler=dict(type="CompoundSampler"),
                dataset=dict(type="CompoundDataset", datasets=[dict(dataset, split="train")]),
            ),
            test_dataloader=dict(batch_size=1, dataset=dict(dataset, split="val")),
            test_evaluator=dict(type="OntologyIoU", source="tiny"),
            optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01)),
            param_scheduler=[dict(type="PolyLR", power=0.9, begin=0, end=2, by_epoch=False)],
            train_cfg=dict(type="IterBasedTrainLoop", max_iters=2),
            default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=2)),
        ),
        cfg_text="#",
        filename="config.py",
        format_python_code=False,
    )


def changed(world: Path, work: Path, options: dict[str, Any]) -> Config:
    """The config with keys changed; a value of None takes the key away."""
    cfg = config(world, work)
    for key, value in options.items():
        if value is None:
            folder, _, last = key.rpartition(".")
            part: Any = cfg
            for name in folder.split(".") if folder else ():
                part = part[int(name) if isinstance(part, list) else name]
            part.pop(last)
        else:
            cfg.merge_from_dict({key: value})
    return cfg


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


@HOOKS.register_module()
class WritesDown(Hook):
    called: ClassVar[list[str]] = []

    def before_run(self, runner: Any) -> None:
        self.called.append("before_run")

    def after_test(self, runner: Any) -> None:
        self.called.append(runner.test_name)

    def after_run(self, runner: Any) -> None:
        self.called.append("after_run")


def test_several_evaluations_are_one_run(world: Path, tmp_path: Path) -> None:
    cfg = config(world, tmp_path)
    cfg.custom_hooks = [dict(type="WritesDown")]
    dataset = cfg.test_dataloader.dataset
    WritesDown.called.clear()
    measure(cfg, world / "teacher.pth", {"a": dataset, "b": dataset, "c": dataset}, quiet=True)
    assert WritesDown.called == ["before_run", "a", "b", "c", "after_run"]


def test_a_mistake_in_a_later_evaluation_set_is_refused_as_in_the_first(world: Path, tmp_path: Path) -> None:
    cfg = config(world, tmp_path)
    first = cfg.test_dataloader.dataset
    for change, said in (
        (dict(taxonmy="x"), "nothing reads `test_dataloader.dataset.taxonmy`"),
        (dict(pipeline=[*LOAD[:-1], dict(type="LoadImag")]), "`test_dataloader.dataset.pipeline.2.type` is `LoadImag`"),
    ):
        with pytest.raises(ConfigError, match=re.escape(said)):
            measure(cfg, world / "teacher.pth", {"first": first, "second": {**first, **change}}, quiet=True)


# --- what stays as it is -------------------------------------------------------------------------------------


def test_a_fault_of_ours_keeps_its_traceback(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for fault in (TypeError("ours"), KeyError("ours"), AttributeError("ours")):

        def broken(*args: Any, fault: Exception = fault) -> Any:
            raise fault

        monkeypatch.setattr(checks, "check_model", broken)
        with pytest.raises(type(fault), match="ours"):
            train(config(world, tmp_path), quiet=True)


def _inner(number: int) -> None: ...


@pytest.mark.parametrize(
    "method", [(TaxDataset, "load_data_list"), (LoadTaxAnnotations, "transform")], ids=["built", "run"]
)
def test_a_wrong_keyword_in_a_function_of_ours_keeps_its_traceback(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: tuple[type, str]
) -> None:
    """Also where the config has a key of that name."""

    def broken(*args: Any) -> None:
        _inner(1, weight=2)  # type: ignore[call-arg]

    monkeypatch.setattr(*method, broken)
    with pytest.raises(TypeError, match=r"_inner\(\) got an unexpected keyword argument 'weight'"):
        train(changed(world, tmp_path, {f"{MEMBER}.weight": 2}), quiet=True)


@HOOKS.register_module()
class LosesTheHead(Hook):
    """Breaks the model, so that MMSegmentation fails, before one iteration; or itself, when it is made."""

    def __init__(self, at: int) -> None:
        if at < 0:
            raise ValueError(f"at is {at}")
        self.at = at

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if batch_idx == self.at:
            runner.model.decode_head.in_index = 7


@HOOKS.register_module()
class PassesItsKeysOn(LosesTheHead):
    def __init__(self, **keys: Any) -> None:
        super().__init__(**keys)


def test_a_key_that_a_users_class_passes_on_is_refused(world: Path, tmp_path: Path) -> None:
    cfg = config(world, tmp_path)
    cfg.custom_hooks = [dict(type="PassesItsKeysOn", at=1, att=2)]
    with pytest.raises(ConfigError, match=re.escape("nothing reads `custom_hooks.0.att`")):
        train(cfg, quiet=True)


def test_the_first_step_is_refused_and_later_ones_are_not(world: Path, tmp_path: Path) -> None:
    cfg = config(world, tmp_path)
    for at, raised in ((0, ConfigError), (1, IndexError)):
        cfg.custom_hooks = [dict(type="LosesTheHead", at=at)]
        with pytest.raises(raised, match="list index out of range"):
            train(cfg, quiet=True)


def test_a_batch_of_one_at_the_end_of_an_epoch_is_said(world: Path, tmp_path: Path) -> None:
    cfg = config(world, tmp_path)
    cfg.model.decode_head.update(type="PSPHead", pool_scales=(1,))
    for key in ("num_convs", "concat_input"):
        cfg.model.decode_head.pop(key)
    dataset = dict(cfg.train_dataloader.dataset.datasets[0], data_root=str(world / "three"))
    cfg.train_dataloader = dict(batch_size=2, sampler=dict(type="DefaultSampler", shuffle=True), dataset=dataset)
    said = "in iteration 2, a batch norm has one value of each channel.* write `train_dataloader.drop_last = True`"
    with pytest.raises(ConfigError, match=said):
        train(cfg, quiet=True)
    cfg.train_dataloader.drop_last = True
    cfg.work_dir = str(tmp_path / "dropped")
    train(cfg, quiet=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"custom_hooks": [dict(type="EMAHook", interval=0)]},  # mmengine makes a RuntimeError of what is raised
            "`custom_hooks.0` cannot be used as it is: in iteration 2, RuntimeError: ZeroDivisionError",
        ),
        (
            {"custom_hooks": [dict(type="EMAHook", interval="x")]},
            "`custom_hooks.0` cannot be used as it is: in iteration 2, TypeError: unsupported operand type(s) for %",
        ),
        (
            {"default_hooks.checkpoint.out_dir": "x\0"},
            "`default_hooks.checkpoint` cannot be used as it is: in iteration 2, ValueError: embedded null byte",
        ),
        (
            {"optim_wrapper.optimizer.weight_decay": 1e39, "optim_wrapper.accumulative_counts": 2},
            "`optim_wrapper.optimizer` cannot be used as it is: in iteration 2, RuntimeError: value cannot be",
        ),
    ],
)
def test_what_a_hook_does_wrong_later_is_refused_too(
    world: Path, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    cfg = changed(world, tmp_path, options)
    with pytest.raises(ConfigError, match=re.escape(said)) as refused:
        train(cfg, quiet=True)
    assert " object at 0x" not in str(refused.value)
    assert "Traceback (most recent call last)" in next(tmp_path.glob("*/*.log")).read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model.test_cfg.mode": 1.5}, "`model.test_cfg.mode` is 1.5; expected 'whole' or 'slide'"),
        (
            {"model.data_preprocessor.test_cfg": 5},
            "the first validation fails in `data_preprocessor` of the model: Att",
        ),
        (
            {"default_hooks.checkpoint": dict(save_best="mIuO", rule="greater")},
            "`save_best` is `mIuO`, and `val_evaluator` gives no such figure; there are source/aAcc, source/absent",
        ),
        ({"default_hooks.checkpoint.save_best": "mIoU"}, "no such figure; did you mean `source/mIoU`?"),
        (
            {"val_evaluator": [dict(type="OntologyIoU", source="tiny")] * 2},
            "two parts of `val_evaluator` give the figure `source/IoU.car`: write another `prefix='…'` into each",
        ),
        ({"val_evaluator": [5]}, "`val_evaluator` is [5]; expected `dict(type='OntologyIoU', source=…)`, or a list"),
        ({"custom_hooks": [dict(type="EMAHook")] * 2}, "several hooks of the type `EMAHook`"),
    ],
)
def test_the_first_validation_is_refused_as_the_first_step_is(
    world: Path, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    cfg = config(world, tmp_path)
    cfg.val_dataloader, cfg.val_evaluator, cfg.val_cfg = cfg.test_dataloader, cfg.test_evaluator, dict(type="ValLoop")
    cfg.train_cfg.val_interval = 1
    cfg.merge_from_dict(options)
    with pytest.raises(ConfigError, match=re.escape(said)):
        train(cfg, quiet=True)


def test_a_class_of_the_users_own_keeps_its_traceback(world: Path, tmp_path: Path) -> None:
    cfg = config(world, tmp_path)
    cfg.custom_hooks = [dict(type="LosesTheHead", at=-1)]
    with pytest.raises(ValueError, match="at is -1") as raised:
        train(cfg, quiet=True)
    assert not isinstance(raised.value, UserError)


def test_a_refusal_in_a_worker_is_the_message_alone(world: Path, tmp_path: Path) -> None:
    cfg = config(world, tmp_path / "work")
    cfg.train_dataloader.num_workers = 1
    cfg.train_dataloader.dataset.datasets[0].data_root = str(tmp_path / "fine")
    for split in ("train", "val"):
        save(tmp_path / f"fine/images/{split}/a.png", np.zeros((24, 40, 3), np.uint8))
        save(tmp_path / f"fine/labels/{split}/a.png", np.full((24, 40), 9, np.uint8))
    with pytest.raises(LabelFileError) as refusal:
        train(cfg, quiet=True)
    assert str(refusal.value).startswith(
        f"{tmp_path}/fine/labels/train/a.png: found 960 pixel(s) with unlisted values: 9"
    )
    assert "Traceback" not in str(refusal.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_transform_that_does_not_take_its_settings_is_named_with_the_image(
    world: Path, tmp_path: Path, workers: int
) -> None:
    cfg = config(world, tmp_path)
    cfg.train_dataloader.num_workers = workers
    resize = dict(type="RandomResize", scale=(8, 8), ratio_range=0, keep_ratio=True)
    cfg.train_dataloader.dataset.datasets[0].pipeline = [*LOAD[:-1], resize, LOAD[-1]]
    with pytest.raises(ConfigError) as refusal:
        train(cfg, quiet=True)
    said = str(refusal.value)
    assert said.startswith(
        f"{world}/fine/images/train/a.png: `pipeline.2` of `tiny` cannot be used as it is: TypeError: object of type"
        " 'int' has no len() (it is RandomResize("
    )
    assert "ratio_range=0" in said and "Traceback" not in said
    log = next(tmp_path.glob("*/*.log")).read_text()
    assert "Traceback (most recent call last)" in log and "_random_scale" in log


def test_a_fault_of_ours_in_a_worker_keeps_its_traceback(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LoadTaxAnnotations, "transform", lambda self, results: _inner("a", "b"))  # type: ignore[call-arg]
    cfg = config(world, tmp_path)
    cfg.train_dataloader.num_workers = 1
    with pytest.raises(TypeError, match=r"Traceback [\s\S]* _inner\(\) takes 1"):
        train(cfg, quiet=True)


def test_mmengines_concat_dataset_trains(world: Path, tmp_path: Path) -> None:
    """Several datasets in a wrapper that is not ours: they are checked, trained on and counted."""
    cfg = config(world, tmp_path)
    cfg.train_dataloader.dataset.type = "ConcatDataset"
    cfg.train_dataloader.dataset.datasets *= 2
    cfg.train_dataloader.sampler = dict(type="InfiniteSampler")
    assert train(cfg, quiet=True).is_file()
    cfg.train_cfg = dict(by_epoch=True, max_epochs=1)
    cfg.train_dataloader.sampler = dict(type="CompoundSampler")
    with pytest.raises(UserError, match="the CompoundSampler is endless"):
        train(cfg, quiet=True)
