"""Values of a kind that a class does not take are refused before anything is built; everything else is taken."""

from __future__ import annotations

import re
from inspect import Parameter
from pathlib import Path
from typing import Any

import mmseg.visualization  # noqa: F401  (registers its visualizer)
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.model import ExponentialMovingAverage
from mmengine.registry import (
    HOOKS,
    LOG_PROCESSORS,
    LOOPS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    VISBACKENDS,
    VISUALIZERS,
)

from lsu_seg.errors import ConfigError
from lsu_seg.openmmlab import arguments
from lsu_seg.openmmlab.failures import check_types
from lsu_seg.openmmlab.registry import HOOKS as OURS


class MyOwn:
    """Of which nothing is known."""


def config(options: dict[str, Any]) -> Config:
    cfg = Config(
        dict(
            optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01)),
            param_scheduler=[dict(type="PolyLR", power=0.9, begin=0, end=2, by_epoch=False)],
            train_cfg=dict(type="IterBasedTrainLoop", max_iters=2),
            default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=2)),
            work_dir="work",
        )
    )
    cfg.merge_from_dict(options)
    return cfg


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"default_hooks.checkpoint.interval": "x"}, "`default_hooks.checkpoint.interval` is 'x'; expected a whole"),
        ({"default_hooks.checkpoint.filename_tmpl": "{}{}.pth"}, "expected a name with one `{}` for the step"),
        (
            {"default_hooks.checkpoint.filename_tmpl": "{:>9999999999}.pth"},
            "expected a name with one `{}` for the step",
        ),
        ({"default_hooks.checkpoint.filename_tmpl": "{0:>{0}}.pth"}, "expected a name with one `{}` for the step"),
        ({"default_hooks.checkpoint.filename_tmpl": "last_checkpoint"}, "work/last_checkpoint is another file or a"),
        ({"default_hooks.checkpoint.filename_tmpl": "../work/precision.json"}, "work/precision.json is another file"),
        ({"default_hooks.checkpoint": dict(out_dir=".", filename_tmpl="config.py")}, "work/config.py is another file"),
        ({"default_hooks.checkpoint.filename_tmpl": "{:c}.pth"}, "which is no name of a file, or too long for one"),
        ({"default_hooks.checkpoint.filename_tmpl": "x" * 300}, "which is no name of a file, or too long for one"),
        ({"default_hooks.checkpoint.out_dir": __file__}, "test_arguments.py is no folder: choose another one"),
        ({"default_hooks.logger": dict(type="LoggerHook", out_dir=f"{__file__}/x")}, "test_arguments.py is no folder"),
        ({"default_hooks.logger": dict(type="LoggerHook", out_dir=".", out_suffix="")}, "and only texts are copied"),
        (
            {"visualizer": dict(vis_backends=[dict(type="LocalVisBackend", config_save_file="../../student.py")])},
            "`visualizer.vis_backends.0.config_save_file` is '../../student.py'; expected the name of a file",
        ),
        ({"train_cfg.val_begin": "x"}, "`train_cfg.val_begin` is 'x'; expected a whole number, such as 1"),
        ({"train_cfg.dynamic_intervals": [(1, 0)]}, "has the interval 0; expected 1 or more"),
        (
            {"train_cfg.dynamic_intervals": [(1, "x")]},
            "a list, each entry 2 values, each a whole number, or None",
        ),
        ({"optim_wrapper.optimizer.lr": float("nan")}, "`optim_wrapper.optimizer.lr` is nan; expected a number"),
        (
            {"optim_wrapper.optimizer": dict(type="AdamW", betas=(0.9,))},
            "`optim_wrapper.optimizer.betas` is (0.9,); expected 2 values, each a number, such as (0.9, 0.999)",
        ),
        (
            {"optim_wrapper.optimizer": dict(type="AdamW", betas=np.array([0.9, 0.99]))},
            "`optim_wrapper.optimizer.betas` is array([0.9 , 0.99]); expected 2 values, each a number",
        ),
        ({"optim_wrapper.optimizer.nesterov": "yes"}, "`optim_wrapper.optimizer.nesterov` is 'yes'; expected True"),
        ({"optim_wrapper.clip_grad": dict(maxnorm=1)}, "`optim_wrapper.clip_grad.maxnorm`; did you mean `max_norm`?"),
        (
            {"optim_wrapper.clip_grad": dict(max_norm="x")},
            "`optim_wrapper.clip_grad.max_norm` is 'x'; expected a number",
        ),
        ({"optim_wrapper.clip_grad": dict(max_norm=-1)}, "`optim_wrapper.clip_grad.max_norm` is -1; expected a number"),
        ({"optim_wrapper.clip_grad": dict(type="value")}, "lacks `clip_value`: write `clip_grad=dict(clip_value=…)`"),
        (
            {"optim_wrapper.paramwise_cfg": dict(norm_decay_mul=0)},
            "nothing reads `optim_wrapper.paramwise_cfg.norm_decay_mul`; did you mean `norm_decay_mult`?",
        ),
        (
            {"optim_wrapper.paramwise_cfg": dict(custom_keys=dict(backbone=dict(lr_mul=2)))},
            "nothing reads `optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mul`; did you mean `lr_mult`?",
        ),
        (
            {"optim_wrapper.paramwise_cfg": dict(custom_keys=dict(backbone=dict(lr_mult="x")))},
            "`optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult` is 'x'; expected a number, 0 or more",
        ),
        (  # so in MMSegmentation's own configs of DNL
            {"optim_wrapper.paramwise_cfg": dict(custom_keys=dict(theta=dict(wd_mult=0.0)))},
            "nothing reads `optim_wrapper.paramwise_cfg.custom_keys.theta.wd_mult`; did you mean `decay_mult`?",
        ),
        ({"visualizer": dict(type="SegLocalVisualizer", classes=3)}, "`visualizer.classes` is 3; expected a list, or"),
        ({"optim_wrapper.paramwise_cfg": dict(custom_keys=dict(head=3))}, ".head` is 3; expected `dict(lr_mult=…)`"),
        ({"optim_wrapper.paramwise_cfg": dict(bias_lr_mult=-1)}, "bias_lr_mult` is -1; expected a number, 0 or more"),
        ({"randomness": dict(deterministic="no")}, "`randomness.deterministic` is 'no'; expected True or False"),
        (
            {"auto_scale_lr": dict(enable=True, base_batch_size=-1)},
            "base_batch_size` is -1; expected a whole number, 1",
        ),
        ({"auto_scale_lr": dict(enable="no", base_batch_size=1)}, "`auto_scale_lr.enable` is 'no'; expected True or"),
        ({"param_scheduler.0.by_epoch": "no"}, "`param_scheduler.0.by_epoch` is 'no'; expected True or False"),
        ({"param_scheduler.0.by_epoch": True}, "`param_scheduler.0` counts epochs, and the training's loop"),
        ({"default_hooks.checkpoint.by_epoch": True}, "`default_hooks.checkpoint` saves every 2 epochs, and"),
        ({"custom_hooks": [dict(type="EMAHook", begin_epoch=2)]}, "`custom_hooks.0.begin_epoch` is 2, and the tr"),
        ({"param_scheduler.0.end": 1.5}, "`param_scheduler.0.end` is 1.5; expected a whole number"),
        ({"param_scheduler.0.begin": -1}, "`param_scheduler.0.begin` is -1; expected a whole number, 0 or more"),
    ],
)
def test_a_value_of_another_kind(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        arguments.check_arguments(config(options))


def test_the_defaults_of_the_stack_are_what_its_signatures_say() -> None:
    """Signatures are relied on, so they must be right."""
    assert OURS.get("OntologyHook")
    tables = (HOOKS, LOOPS, LOG_PROCESSORS, OPTIMIZERS, OPTIM_WRAPPERS, PARAM_SCHEDULERS, VISBACKENDS, VISUALIZERS)
    classes = {c for table in tables for one in (table, *table.children.values()) for c in one.module_dict.values()}
    wrong = [
        (made, key)
        for made in classes
        for key, (hint, default) in arguments.signature_of(made).items()
        if default is not Parameter.empty and not arguments._fits(default, hint)
    ]
    assert len(classes) > 70
    assert not wrong


@pytest.mark.parametrize(
    "options",
    [
        {"visualizer": dict(vis_backends=[dict(type="LocalVisBackend")], save_dir=".")},
        {"default_hooks.checkpoint": dict(out_dir=".", filename_tmpl="{}.py")},
    ],
)
def test_a_file_that_the_config_is_read_from_is_not_written(tmp_path: Path, options: dict[str, Any]) -> None:
    (tmp_path / "work").mkdir()
    for name in ("config.py", "work/1.py"):
        (tmp_path / name).write_text("a = 1\n")
    (tmp_path / "b.py").write_text("_base_ = ['config.py', 'work/1.py']\n")
    cfg = config(options)
    cfg.work_dir = str(tmp_path / "work")
    for part in (cfg.get("visualizer", {}), cfg.default_hooks.checkpoint):
        part.update({key: str(tmp_path) for key in part if key in ("save_dir", "out_dir")})
    arguments.check_arguments(cfg)
    object.__setattr__(cfg, "_filename", str(tmp_path / "b.py"))
    with pytest.raises(ConfigError, match=r"(config.py, which this config is read from|1.py is another file)"):
        arguments.check_arguments(cfg)


@pytest.mark.parametrize(
    "options",
    [
        {"optim_wrapper.clip_grad": dict(type="value", clip_value=1)},
        {"optim_wrapper.clip_grad": dict(max_norm=35, norm_type=float("inf"))},
        {"optim_wrapper.clip_grad": dict(max_norm=35, norm_type="inf")},
        {"optim_wrapper": dict(type="AmpOptimWrapper", loss_scale=512.0)},
        {"optim_wrapper.optimizer": dict(_delete_=True, type="AdamW", lr=1, betas=[0.9, 0.99])},
        {"optim_wrapper.paramwise_cfg": dict(norm_decay_mult=0.0, custom_keys={"a.b": dict(lr_mult=2, momentum=0)})},
        {"optim_wrapper": dict(constructor="LayerDecayOptimizerConstructor", paramwise_cfg=dict(num_layers=2))},
        {"param_scheduler.0.end": float("inf")},
        {"param_scheduler.0.by_epoch": True, "train_cfg": dict(_delete_=True, by_epoch=True, max_epochs=2)},
        {"param_scheduler": [dict(type="LinearLR", convert_to_iter_based=True), dict(type="ReduceOnPlateauLR")]},
        {"param_scheduler": [dict(type="PolyLRRatio", eta_min_ratio=0.01, param_name="lr", by_epoch=False)]},
        {"optim_wrapper": dict(type=MyOwn, clip_grad=dict(type="agc", clipping=0.1))},
        {"train_cfg": dict(_delete_=True, type=MyOwn, dynamic_intervals={5: 1})},
        {"visualizer": dict(type="SegLocalVisualizer", classes=["road"], palette=[[1, 2, 3]])},
        {"train_cfg.max_iters": 2e3, "train_cfg.dynamic_intervals": [[1, 5]]},
        {"optim_wrapper.optimizer.lr": 10**400},  # which torch refuses
        # with a key that nothing takes, which is said when they are built
        {"train_cfg.dynamic_intervals": 5, "train_cfg.max_iter": 2},
        {"train_cfg.dynamic_intervals": [(1, "x")], "train_cfg.max_iter": 2},
        {"default_hooks.checkpoint": dict(by_epoch=True, interval="5", intervall=3)},
        {"custom_hooks": [dict(type="EMAHook", begin_epoch="2", momentu=1)]},
        {"custom_hooks": [dict(type="EMAHook", momentum=0.1, ema_type=ExponentialMovingAverage, priority=49)]},
        {"default_hooks.checkpoint": dict(out_dir=Path(), save_best=["mIoU"], save_last=1, filename_tmpl="only.pth")},
    ],
)
def test_what_signatures_leave_open_is_taken(options: dict[str, Any]) -> None:
    cfg = config(options)
    arguments.check_arguments(cfg)
    check_types(cfg)
