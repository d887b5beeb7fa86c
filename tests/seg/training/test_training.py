"""Students end to end: files on disk → targets → MMSeg's transforms and heads → loss, as a config asks for them."""

from __future__ import annotations

import contextlib
import re
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner.loops import _InfiniteDataloaderIterator

from helpers.students import student_config
from helpers.tiny import CLASSES, VOID, save
from lsu_seg.data.datasets import TaxDataset
from lsu_seg.demo import data
from lsu_seg.errors import ConfigError, UserError
from lsu_seg.openmmlab.config import load_config
from lsu_seg.runtime.lock import LockedError, locked
from lsu_seg.training import divergence
from lsu_seg.training.run import train
from lsu_seg.training.saving import check_saving


@pytest.fixture(autouse=True)
def scope() -> None:
    init_default_scope("mmseg")


def test_a_student_trains_on_set_valued_targets(tmp_path: Path) -> None:
    checkpoint = train(student_config(tmp_path))
    weights = torch.load(checkpoint, weights_only=False)["state_dict"]
    assert all(torch.isfinite(w).all() for w in weights.values() if w.is_floating_point())
    assert weights["decode_head.conv_seg.weight"].shape[0] == len(CLASSES)


@pytest.mark.parametrize("iterations", [3, 200])
def test_a_training_that_diverges_ends_with_a_message_and_keeps_its_checkpoints(
    tmp_path: Path, iterations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(divergence, "_EVERY", 5)
    cfg = student_config(tmp_path, iterations=iterations)
    cfg.optim_wrapper.optimizer.lr = 1e30
    cfg.default_hooks.checkpoint.interval = 2
    with pytest.raises(divergence.DivergedError, match=r"after iteration \d+ there are weights that are NaN \(`back"):
        train(cfg, quiet=True)
    assert len(list(Path(cfg.work_dir).glob("iter_*.pth"))) < 20, "it ended early"
    assert (Path(cfg.work_dir) / "iter_2.pth").is_file()


def test_gradients_of_several_iterations_with_a_schedule_are_no_reason_to_warn(tmp_path: Path) -> None:
    cfg = student_config(tmp_path, iterations=2)
    cfg.optim_wrapper.accumulative_counts = 2
    cfg.param_scheduler = [dict(type="PolyLR", power=0.9, by_epoch=False, begin=0, end=2)]
    train(cfg, quiet=True)  # warnings are errors here


def test_a_config_without_a_training_is_named(tmp_path: Path) -> None:
    cfg = student_config(tmp_path)
    for key in ("train_dataloader", "train_cfg", "optim_wrapper"):
        cfg.pop(key)
    with pytest.raises(ConfigError, match="nothing to train: is it one for labelling or evaluation"):
        train(cfg, quiet=True)
    assert not Path(cfg.work_dir).exists()


def test_a_refused_training_leaves_nothing(tmp_path: Path) -> None:
    cfg = student_config(tmp_path)
    work = Path(cfg.work_dir)
    right = cfg.model.decode_head.num_classes
    cfg.model.decode_head.num_classes = right - 1
    with pytest.raises(UserError, match=str(right - 1)):
        train(cfg, quiet=True)
    assert not work.exists()
    work.mkdir()
    (work / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=str(right - 1)):
        train(cfg, quiet=True)
    assert [file.name for file in work.iterdir()] == ["notes.txt"]


def test_a_training_that_fails_later_keeps_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> None:
        raise ConfigError("in the validation")

    monkeypatch.setattr("mmengine.runner.loops.ValLoop.run", fails)
    cfg = student_config(tmp_path, iterations=2)
    cfg.train_cfg.val_interval = 2
    own = cfg.train_dataloader.dataset
    judged = dict(**own.datasets[0], source="tiny", pipeline=[*own.pipeline[:2], own.pipeline[-1]])
    cfg.val_dataloader = dict(batch_size=1, sampler=dict(type="DefaultSampler", shuffle=False), dataset=judged)
    cfg.update(val_cfg=dict(type="ValLoop"), val_evaluator=dict(type="OntologyIoU", source="tiny"))
    with pytest.raises(ConfigError, match="in the validation"):
        train(cfg, quiet=True)
    assert len(list(Path(cfg.work_dir).glob("*/*.log"))) == 1


def test_two_trainings_do_not_share_a_folder(tmp_path: Path) -> None:
    cfg = student_config(tmp_path)
    work = Path(cfg.work_dir)
    work.mkdir()
    with locked(work), pytest.raises(LockedError, match="is working there; wait until it ends, or choose another"):
        train(cfg, quiet=True)
    assert not list(work.iterdir())


@pytest.mark.parametrize(("size", "file"), [(20_000, "work/iter_2.pth"), (100, "work")])
def test_a_disk_that_is_full_is_said_of_which_file(tmp_path: Path, size: int, file: str) -> None:
    """A limit on the size of files is what a full disk is: a write that the system cuts off."""
    cfg = student_config(tmp_path, iterations=4)
    cfg.default_hooks.checkpoint.interval = 2
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as refusal:
            train(cfg, quiet=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert refusal.value.filename == str(tmp_path / file)
    assert not (tmp_path / "work/iter_2.pth").exists() and not (tmp_path / "work/last_checkpoint").exists()


def test_the_config_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, formatted_configs: None) -> None:
    """docs/training.md: its config trains, two iterations long, on drawn scenes."""
    root = Path(__file__).parents[3]
    (text,) = re.findall(r"^```python\n(_base_.*?)^```$", (root / "docs/training.md").read_text(), re.M | re.S)
    parts = [replace(p, images=3) for p in data.PARTS if p.folder in ("source", "town")]
    monkeypatch.setattr(data, "PARTS", tuple(parts))
    data.make_data(tmp_path / "data", seed=0)
    town = TaxDataset("demo_town", str(tmp_path / "data/town"), "train", source="demo")
    for i in range(len(town)):
        info = town.get_data_info(i)
        channels, _ = town.annotation.load(info["seg_map_path"])
        save(tmp_path / f"work/town_pseudo/{info['key']}.png", channels)
        save(
            tmp_path / f"work/town_pseudo/confidence/{info['key']}.png",
            np.where(channels < VOID, 255, 100).astype("u1"),
        )
    text = text.replace('"lsu_seg/', f'"{root}/lsu_seg/')
    for folder in ("data/source", "data/town", "work/town_pseudo"):
        assert f'"{folder}"' in text
        text = text.replace(f'"{folder}"', f'"{tmp_path / folder}"')
    (tmp_path / "student.py").write_text(text)
    cfg = load_config(tmp_path / "student.py")
    cfg.work_dir, cfg.train_cfg.max_iters = str(tmp_path), 2  # where the config lies, which mmengine would replace
    assert train(cfg, quiet=True).is_file()
    assert (tmp_path / "student.py").read_text() == text
    cfg.work_dir = str(tmp_path / "out")
    assert train(cfg, quiet=True).is_file()
    assert (tmp_path / "out/student.py").is_file()


def test_a_resumed_training_sees_what_an_unbroken_one_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []
    prepare = TaxDataset._prepare

    def recording(self: TaxDataset, idx: int, skipped: int) -> Any:
        seen.append((self.name, idx))
        return prepare(self, idx, skipped)

    monkeypatch.setattr(TaxDataset, "_prepare", recording)
    whole = student_config(tmp_path / "whole", iterations=6)
    train(whole, quiet=True)
    unbroken, seen[:] = list(seen), []
    train(student_config(tmp_path / "broken", iterations=2), quiet=True)
    train(student_config(tmp_path / "broken", iterations=6), quiet=True, resume=True)
    # MMEngine 0.10.7 loads what it skips.
    assert seen == (unbroken if hasattr(_InfiniteDataloaderIterator, "skip_iter") else unbroken[:4] + unbroken)
    assert len(unbroken) == 12


def test_a_folder_that_was_moved_is_resumed(tmp_path: Path) -> None:
    def config(folder: str, iterations: int) -> Config:
        cfg = student_config(tmp_path, iterations=iterations)
        cfg.work_dir = str(tmp_path / folder)
        return cfg

    train(config("there", 2), quiet=True)
    (tmp_path / "there").rename(tmp_path / "here")
    here = tmp_path / "here/iter_2.pth"
    assert train(config("here", 2), quiet=True, resume=True) == here, "nothing was left to do"
    assert train(config("here", 3), quiet=True, resume=True).name == "iter_3.pth"
    last, whole = tmp_path / "here/iter_3.pth", (tmp_path / "here/iter_3.pth").read_bytes()
    last.write_bytes(whole[:9000])
    with pytest.raises(
        UserError, match=r"iter_3.pth` is damaged: .*; write the path of an earlier one into .*/last_ch"
    ):
        train(config("here", 4), quiet=True, resume=True)
    (tmp_path / "here/last_checkpoint").write_text("")
    with pytest.raises(ConfigError, match=r"here/last_checkpoint is empty; write another checkpoint's path into it"):
        train(config("here", 4), quiet=True, resume=True)
    (tmp_path / "here/last_checkpoint").write_text(str(last))
    steps = (tmp_path / "here").glob("iter_*.pth")
    for checkpoint in steps:
        checkpoint.unlink()
    with pytest.raises(ConfigError, match=r"here/last_checkpoint names .*iter_3\.pth, which is not there"):
        train(config("here", 4), quiet=True, resume=True)
    (tmp_path / "here/last_checkpoint").write_text("[" * 100_000)
    with pytest.raises(ConfigError, match=r"names \[{200}, which is not there"):
        train(config("here", 4), quiet=True, resume=True)
    assert train(config("nowhere", 1), quiet=True, resume=True).name == "iter_1.pth"


def test_a_checkpoint_without_the_optimizers_state_is_not_gone_on_from(tmp_path: Path) -> None:
    def config(iterations: int, **checkpoint: bool) -> Config:
        cfg = student_config(tmp_path, iterations=iterations)
        cfg.default_hooks.checkpoint.update(checkpoint)
        cfg.param_scheduler = [dict(type="ConstantLR", by_epoch=False, factor=0.5)]
        return cfg

    last = train(config(2, save_optimizer=False, save_param_scheduler=False), quiet=True)
    assert train(config(2), quiet=True, resume=True) == last, "nothing was left to do"
    with pytest.raises(ConfigError, match=r"no state of `optimizer` and `param_schedulers`, so .* remove"):
        train(config(3), quiet=True, resume=True)
    bare = last.with_name("bare.pth")  # weights alone, which somebody has written into the file
    torch.save(torch.load(last, weights_only=False)["state_dict"], bare)
    (last.parent / "last_checkpoint").write_text(str(bare))
    with pytest.raises(ConfigError, match=r"bare\.pth has no state of `optimizer`"):
        train(config(3), quiet=True, resume=True)
    (last.parent / "last_checkpoint").unlink()
    train(config(1), quiet=True)
    assert train(config(2), quiet=True, resume=True).name == "iter_2.pth"
    # mmengine goes on with as much of the state as fits.
    more, other, wider = (config(3) for _ in range(3))
    more.param_scheduler *= 2
    other.optim_wrapper.optimizer = dict(type="AdamW", lr=0.01)
    wider.model.decode_head.channels *= 2
    for cfg, said in (
        (more, r"state of 1 of `param_scheduler`, and the config has 2, so the learning rate would jump: go on"),
        (other, r"iter_2\.pth has the state of another optimizer, with dampening, .* instead of .*betas.*: go on"),
        (wider, r"iter_2\.pth is of another model, whose `decode_head.* is \d+( x \d+)*, here \d+( x \d+)*: go on"),
    ):
        with pytest.raises(ConfigError, match=said):
            train(cfg, quiet=True, resume=True)
    state = torch.load(last.with_name("iter_2.pth"), weights_only=False)
    for meta in (None, [1], "x", dict(iter=1.5), dict(iter=-1), dict(iter=float("nan")), dict(iter=2, epoch="0")):
        torch.save({**state, "meta": meta}, last.with_name("iter_2.pth"))
        with pytest.raises(ConfigError, match=r"iter_2\.pth is damaged: its `meta` does not say after how many iter"):
            train(config(3), quiet=True, resume=True)
    for damage in (dict(state={0: 3}), dict(param_groups=[3]), dict(param_groups=[{"lr": 1}])):
        torch.save({**state, "optimizer": state["optimizer"] | damage}, last.with_name("iter_2.pth"))
        with pytest.raises(
            ConfigError, match=r"iter_2\.pth is damaged: its state of `optimizer` is none of torch's; r"
        ):
            train(config(3), quiet=True, resume=True)


def test_resuming_without_a_checkpoint_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(student_config(tmp_path, iterations=1), resume=True)
    assert "to go on from: the training begins anew" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("loop", "hook", "said"),
    [
        (
            dict(max_iters=9),
            dict(interval=-1, by_epoch=False),
            "every -1 iterations is never in a training of 9 iterat",
        ),
        (dict(max_iters=9), dict(interval=10, by_epoch=False), "every 10 iterations is never in a training of 9"),
        (dict(max_iters=9), dict(interval=2), "every 2 epochs is never in a training of 9 iterations"),
        (dict(max_iters=9), dict(interval=5, save_begin=10, by_epoch=False), "every 5 iterations after 10 is never"),
        (dict(max_iters=9), dict(interval=5, save_begin=5, by_epoch=False), None),  # mmengine saves at 5
        (dict(max_epochs=9, by_epoch=True), dict(interval=10), "every 10 epochs is never in a training of 9 epochs"),
        (dict(max_iters=9), None, "no hook does so; write"),
        (dict(max_iters=9), dict(interval=9, by_epoch=False), None),
        (dict(max_epochs=9, by_epoch=True), dict(interval=10, by_epoch=False), None),
        (dict(max_iters=9), dict(interval=99, save_last=True), None),
        (dict(max_iters=9), dict(type="MyOwnHook", interval=99), None),
    ],
)
def test_a_training_that_would_save_nothing(loop: dict[str, Any], hook: Any, said: str | None) -> None:
    hook = hook and {"type": "CheckpointHook", "save_last": False, **hook}
    loop = loop if "by_epoch" in loop else {"type": "IterBasedTrainLoop", **loop}
    cfg = Config(dict(train_cfg=loop, default_hooks=dict(checkpoint=hook), custom_hooks=[dict(type="OntologyHook")]))
    with pytest.raises(ConfigError, match=said) if said else contextlib.nullcontext():
        check_saving(cfg)


def test_a_training_that_saves_nothing(tmp_path: Path) -> None:
    cfg = student_config(tmp_path, iterations=1)
    cfg.default_hooks.checkpoint.update(interval=-1, save_last=False)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ConfigError, match=r"would save no checkpoint .* save_last=True"):
        train(cfg, quiet=True)
    assert sorted(tmp_path.iterdir()) == before
