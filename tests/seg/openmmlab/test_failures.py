"""What a run raises at its first step, or later, is named with the key to change; a fault of ours is not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from helpers.tiny import LOAD, save
from helpers.tiny_run import MEMBER, changed, config
from lsu_seg.data.datasets import TaxDataset
from lsu_seg.data.transforms import LoadTaxAnnotations
from lsu_seg.errors import ConfigError, UserError
from lsu_seg.evaluation.run import measure
from lsu_seg.label_files.errors import LabelFileError
from lsu_seg.openmmlab.failures import said_by
from lsu_seg.runtime.own_code import failure
from lsu_seg.training import checks
from lsu_seg.training.run import train


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


@pytest.mark.parametrize("workers", [0, 1])
def test_a_transform_after_a_mosaic_is_named_with_the_image(world: Path, tmp_path: Path, workers: int) -> None:
    cfg = config(world, tmp_path)
    inner = cfg.train_dataloader.dataset
    inner.datasets[0].pipeline = LOAD[:-1]
    mosaic = dict(type="TaxMosaic", prob=1.0, img_scale=(8, 8))
    wrong = dict(type="RandomResize", scale=(8, 8), ratio_range=0, keep_ratio=True)
    cfg.train_dataloader.dataset = dict(type="MultiImageMixDataset", dataset=inner, pipeline=[mosaic, wrong, LOAD[-1]])
    cfg.train_dataloader.num_workers = workers
    with pytest.raises(ConfigError) as refusal:
        train(cfg, quiet=True)
    said = str(refusal.value)
    assert said.startswith(f"{world}/fine/images/train/a.png: `pipeline.1` of `MultiImageMixDataset` cannot be used")
    assert "ratio_range=0" in said and "Traceback" not in said


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


def test_what_another_process_says_is_shown_without_its_traceback() -> None:
    """What fails there outside of the pipeline, as where a batch is made, comes as a text."""
    lines = "Caught RuntimeError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n  File"
    error = RuntimeError(f'{lines} "collate.py", line 272, in collate_tensor_fn\nRuntimeError: not resizable\n')
    assert said_by(error) == "RuntimeError: not resizable"
    error = OSError(f'<urlopen error {lines} "a.py", line 1, in f\nOSError: <urlopen error no answer\nfrom it>\n>')
    assert said_by(error) == "OSError: <urlopen error OSError: <urlopen error no answer from it> >"


def test_what_torchscript_says_is_shown_without_its_traceback() -> None:
    script = torch.jit.CompilationUnit("def add(x):\n    return x + torch.ones(3)\n")
    with pytest.raises(RuntimeError, match="Traceback of TorchScript") as raised:
        script.add(torch.ones(2))
    for said in (said_by(raised.value), failure(raised.value).partition("`: ")[2]):
        assert said.startswith("RuntimeError: The size of tensor a (2) must match") and "Traceback" not in said
