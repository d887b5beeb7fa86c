"""FSDP on two ranks of a CPU: the training is that of two ranks which have the whole model, and so are checkpoints."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from helpers.forkserver import Server
from helpers.students import student_config
from helpers.tiny import LOAD
from lsu_seg.errors import ConfigError
from lsu_seg.openmmlab.sharding import Sharding, check_sharding
from lsu_seg.training.run import train

FSDP = dict(type="FSDPStrategy")


def config(root: Path, iterations: int, **changes: Any) -> Config:
    """All that has to do with weights: moments, whole norms, a moving average, validation, pictures of one rank."""
    cfg = student_config(root, iterations=iterations)
    cfg.log_level = "INFO"
    cfg.model.auxiliary_head = [dict(cfg.model.decode_head)]  # of a list, MMSegmentation calls `loss` alone
    cfg.optim_wrapper = dict(
        optimizer=dict(type="AdamW", lr=0.01), clip_grad=dict(max_norm=0.05), accumulative_counts=2
    )
    cfg.default_hooks.checkpoint.interval = 1
    cfg.custom_hooks = [dict(type="EMAHook", momentum=0.1), dict(type="PanelHook", every=2, images=1)]
    dataset = dict(cfg.train_dataloader.dataset.datasets[0], pipeline=LOAD)
    # Images are shared out unevenly, so the ranks predict a different number of times.
    sampler = dict(type="DefaultSampler", shuffle=False, round_up=False)
    cfg.val_dataloader = dict(batch_size=1, sampler=sampler, dataset=dataset)
    cfg.val_cfg, cfg.val_evaluator = dict(type="ValLoop"), dict(type="OntologyIoU", source="tiny")
    cfg.train_cfg.val_interval = 2
    cfg.merge_from_dict(changes)
    return cfg


def tensors(value: Any, path: str = "") -> dict[str, torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return {path: value}
    parts = value.items() if isinstance(value, Mapping) else ()
    return {key: each for name, part in parts for key, each in tensors(part, f"{path}.{name}").items()}


def test_a_sharded_training_is_that_of_whole_models(server: Server, tmp_path: Path) -> None:
    """Both go on from a checkpoint of one process; and one process goes on from theirs."""
    init_default_scope("mmseg")
    train(config(tmp_path / "alone", 2), quiet=True)
    saved, logs, norms = {}, {}, {}
    for name, more in (("whole", {}), ("sharded", dict(strategy=FSDP, runner_type="FlexibleRunner"))):
        folder = tmp_path / name
        config(folder, 4, **more).dump(folder / "student.py")
        shutil.copytree(tmp_path / "alone/work", folder / "work", ignore=shutil.ignore_patterns("2*"))  # its logs
        job = ("train", folder / "student.py", "--launcher", "pytorch", "--resume")
        ranks = server.ranks(folder, 2, *job)
        assert [rank.wait() for rank in ranks] == [0, 0], [rank.said for rank in ranks]
        saved[name] = torch.load(folder / "work/iter_4.pth", weights_only=False)
        (log,) = (folder / "work").glob("2*/*.log")
        logs[name] = log.read_text()
        lines = [json.loads(line) for line in (log.parent / "vis_data/scalars.json").read_text().splitlines()]
        norms[name] = [line["grad_norm"] for line in lines if "grad_norm" in line]
        assert [*log.parent.rglob("panels_park*_4.png")]

    for part in ("state_dict", "ema_state_dict", "optimizer"):
        whole, sharded = (tensors(saved[name][part]) for name in ("whole", "sharded"))
        assert whole.keys() == sharded.keys()
        for key, weight in whole.items():
            assert type(sharded[key]) is type(weight)
            torch.testing.assert_close(sharded[key], weight, rtol=1e-4, atol=1e-5)
    assert norms["sharded"] == pytest.approx(norms["whole"], rel=1e-4)
    assert "FSDP" not in logs["whole"]
    own, weights = re.search(r"this one of 2 ranks keeps (\S+) of (\S+) weights", logs["sharded"]).groups()  # type: ignore
    assert 0.5 <= int(own) / int(weights.replace(",", "")) < 0.55

    shutil.copytree(tmp_path / "sharded/work", tmp_path / "again/work")
    (tmp_path / "again/work/last_checkpoint").write_text("iter_3.pth")
    last = torch.load(train(config(tmp_path / "again", 4), quiet=True, resume=True), weights_only=False)
    assert last["ema_state_dict"]["steps"] == 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            dict(strategy=dict(type="DeepSpeedStrategy")),
            "`strategy` is .*DeepSpeed.*, and mmengine's Runner",
        ),
        (dict(runner_type="FlexibleRunner"), "`runner_type` is 'FlexibleRunner', and mmengine's Runner"),
        (dict(strategy=FSDP, runner_type="MyRunner"), "`runner_type` is 'MyRunner'; leave it out"),
        (
            dict(strategy=dict(FSDP, model_wrapper=dict(cpu_offload=True))),
            "has `model_wrapper`, which is of torch",
        ),
        (dict(strategy=FSDP, launcher="none"), "one process trains, so there is nothing to share out: .*torchrun"),
        (dict(strategy=FSDP, model_wrapper_cfg=dict(type="X")), "`model_wrapper_cfg` says otherwise"),
        (dict(strategy=FSDP, compile=True), "`compile` has not been made to work with it"),
        (
            dict(strategy=FSDP, custom_hooks=[dict(type="TeacherRefreshHook", every=1)]),
            "a TeacherRefreshHook",
        ),
    ],
)
def test_what_cannot_be_sharded_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_sharding(Config(dict(launcher="pytorch") | changes))


@pytest.mark.parametrize("changes", [{}, dict(strategy=None), dict(runner_type="Runner"), dict(strategy=FSDP)])
def test_what_can_be_trained_is_not_refused(changes: dict[str, Any]) -> None:
    check_sharding(Config(dict(launcher="pytorch") | changes))


def test_a_weight_that_is_one_number_is_refused_where_it_is_trained() -> None:
    """torch would say so, too, but not which one."""
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1))
    net.scale = torch.nn.Parameter(torch.tensor(1.0))
    with pytest.raises(ConfigError, match="`strategy` is FSDP, and `scale` of the model is a single number"):
        Sharding(average=False).shard(net)
